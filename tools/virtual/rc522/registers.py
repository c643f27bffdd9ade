"""The MFRC522's registers: addresses, reset values, writable bits (data sheet 9.2, 9.3).

Write-only bits read zero; reserved bits keep their reset value whatever is written.
"""

COMMAND, COM_IEN, DIV_IEN, COM_IRQ, DIV_IRQ, ERROR, STATUS1, STATUS2 = range(0x01, 0x09)
FIFO_DATA, FIFO_LEVEL, WATER_LEVEL, CONTROL, BIT_FRAMING, COLL = range(0x09, 0x0F)
MODE, TX_MODE, RX_MODE, TX_CONTROL, TX_ASK, TX_SEL, RX_SEL, RX_THRESHOLD, DEMOD = range(0x11, 0x1A)
MF_TX, MF_RX, SERIAL_SPEED = 0x1C, 0x1D, 0x1F
CRC_RESULT_H, CRC_RESULT_L, MOD_WIDTH, RF_CFG, GS_N, CW_GS_P, MOD_GS_P = (
    0x21,
    0x22,
    0x24,
    0x26,
    0x27,
    0x28,
    0x29,
)
T_MODE, T_PRESCALER, T_RELOAD_H, T_RELOAD_L, T_COUNTER_H, T_COUNTER_L = range(0x2A, 0x30)
TEST_SEL1, TEST_SEL2, TEST_PIN_EN, TEST_PIN_VALUE, TEST_BUS, AUTO_TEST, VERSION = range(0x31, 0x38)
ANALOG_TEST, TEST_DAC1, TEST_DAC2, TEST_ADC = range(0x38, 0x3C)

# address: (reset value, bits the host writes as they stand). Registers with behaviour of their own
# (commands, requests, FIFO, strobes) have their write rules in `core`.
RULES = {
    COMMAND: (0x20, 0x00),
    COM_IEN: (0x80, 0xFF),
    DIV_IEN: (0x00, 0x94),
    COM_IRQ: (0x14, 0x00),
    DIV_IRQ: (0x00, 0x00),
    ERROR: (0x00, 0x00),
    STATUS1: (0x21, 0x00),
    STATUS2: (0x00, 0xC0),
    FIFO_DATA: (0x00, 0x00),
    FIFO_LEVEL: (0x00, 0x00),
    WATER_LEVEL: (0x08, 0x3F),
    CONTROL: (0x10, 0x00),
    BIT_FRAMING: (0x00, 0x77),
    COLL: (0xA0, 0x80),
    MODE: (0x3F, 0xAB),
    TX_MODE: (0x00, 0xF8),
    RX_MODE: (0x00, 0xFC),
    TX_CONTROL: (0x80, 0xFB),
    TX_ASK: (0x00, 0x40),
    TX_SEL: (0x10, 0x3F),
    RX_SEL: (0x84, 0xFF),
    RX_THRESHOLD: (0x84, 0xF7),
    DEMOD: (0x4D, 0xFF),
    MF_TX: (0x62, 0x03),
    MF_RX: (0x00, 0x10),
    SERIAL_SPEED: (0xEB, 0xFF),
    CRC_RESULT_H: (0xFF, 0x00),
    CRC_RESULT_L: (0xFF, 0x00),
    MOD_WIDTH: (0x26, 0xFF),
    RF_CFG: (0x48, 0x70),
    GS_N: (0x88, 0xFF),
    CW_GS_P: (0x20, 0x3F),
    MOD_GS_P: (0x20, 0x3F),
    T_MODE: (0x00, 0xFF),
    T_PRESCALER: (0x00, 0xFF),
    T_RELOAD_H: (0x00, 0xFF),
    T_RELOAD_L: (0x00, 0xFF),
    T_COUNTER_H: (0x00, 0x00),
    T_COUNTER_L: (0x00, 0x00),
    TEST_SEL1: (0x00, 0x07),
    TEST_SEL2: (0x00, 0xFF),
    TEST_PIN_EN: (0x80, 0xFE),
    TEST_PIN_VALUE: (0x00, 0xFE),
    TEST_BUS: (0x00, 0x00),
    AUTO_TEST: (0x40, 0x4F),
    VERSION: (0x00, 0x00),
    ANALOG_TEST: (0x00, 0xFF),
    TEST_DAC1: (0x00, 0x3F),
    TEST_DAC2: (0x00, 0x3F),
    TEST_ADC: (0x00, 0x00),
}
WRITABLE = [RULES.get(address, (0, 0))[1] for address in range(64)]
RESET = bytes(RULES.get(address, (0, 0))[0] for address in range(64))

# CommandReg
RCV_OFF, POWER_DOWN = 0x20, 0x10
IDLE, MEM, RANDOM_ID, CALC_CRC, TRANSMIT = 0x0, 0x1, 0x2, 0x3, 0x4
NO_CMD_CHANGE, RECEIVE, TRANSCEIVE, MF_AUTHENT, SOFT_RESET = 0x7, 0x8, 0xC, 0xE, 0xF
# ComIrqReg, ComIEnReg
SET1, TX_IRQ, RX_IRQ, IDLE_IRQ = 0x80, 0x40, 0x20, 0x10
HI_ALERT_IRQ, LO_ALERT_IRQ, ERR_IRQ, TIMER_IRQ = 0x08, 0x04, 0x02, 0x01
IRQ_INV = 0x80
# DivIrqReg, DivIEnReg
SET2, MFIN_IRQ, CRC_IRQ = 0x80, 0x10, 0x04
# ErrorReg
WR_ERR, BUFFER_OVFL, COLL_ERR, CRC_ERR, PARITY_ERR, PROTOCOL_ERR = (
    0x80,
    0x10,
    0x08,
    0x04,
    0x02,
    0x01,
)
# Status1Reg, Status2Reg
CRC_OK, CRC_READY, IRQ_BIT, T_RUNNING, HI_ALERT, LO_ALERT = 0x40, 0x20, 0x10, 0x08, 0x02, 0x01
CRYPTO1_ON = 0x08
# the rest
FLUSH = 0x80
T_STOP_NOW, T_START_NOW = 0x80, 0x40
START_SEND = 0x80
VALUES_AFTER_COLL, COLL_POS_NOT_VALID = 0x80, 0x20
MSB_FIRST, TX_WAIT_RF = 0x80, 0x20
CRC_EN = 0x80
RX_NO_ERR, RX_MULTIPLE = 0x08, 0x04
TX_RF_EN = 0x03
FORCE_100_ASK = 0x40
PARITY_DISABLE = 0x10
T_AUTO, T_AUTO_RESTART = 0x80, 0x10
T_PRESCAL_EVEN = 0x10
