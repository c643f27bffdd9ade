"""NXP MFRC522 ("RC522") reader chip on SPI: registers and single exchanges.

`request`, `anticoll`, `select_tag` and `halt` allocate nothing on the heap and return a result
code. What the charger has no use for, MIFARE Classic blocks above all, is in mifare.py; the two
files may be used alone. Bare section numbers are those of the MFRC522 data sheet, Rev. 3.9; ISO
14443-3 is ISO/IEC 14443-3 Type A.

An SPI frame costs an ESP32 some 40 us whatever is in it, so frames are what this driver saves: the
FIFO is written and read in bursts, and all that is to be known after an exchange comes in one
pipelined read (8.1.2.1) together with the answer itself. An exchange is six frames; a seventh puts
the chip to rest when nobody answered, or empties the FIFO when something was left in it.
"""

from time import sleep_us

from micropython import const

# What an exchange ended with.
ANSWER = const(0)  # whole and without error
SILENCE = const(1)  # the chip's own timer ran out, and not one bit was received
COLLISION = const(2)  # several cards answered differently; `coll_bit` says where
GARBLED = const(3)  # something answered, but not so that it can be used
DEAD = const(4)  # the chip itself does not do what it must: neither answer nor time-out, or no chip

# ISO 14443-3, 6.4
REQA = const(0x26)
WUPA = const(0x52)
CASCADE_TAG = const(0x88)
SAK_CASCADE = const(0x04)

_GAINS_DB = {18: 0x00, 23: 0x10, 33: 0x40, 38: 0x50, 43: 0x60, 48: 0x70}  # RFCfgReg, 9.3.3.6

FIELD_GUARD_MS = const(5)  # a card may take so long to wake in a new field (ISO 14443-3, 5)
WAKE_MS = const(50)  # the longest that the oscillator is given to start (8.8.2 names no bound)

# Registers (section 9.2)
_COMMAND = const(0x01)
_COM_IRQ = const(0x04)
_ERROR = const(0x06)
_STATUS2 = const(0x08)
_FIFO_DATA = const(0x09)
_FIFO_LEVEL = const(0x0A)
_CONTROL = const(0x0C)
_COLL = const(0x0E)
_MODE = const(0x11)
_TX_MODE = const(0x12)
_RX_MODE = const(0x13)
_TX_CONTROL = const(0x14)
_TX_ASK = const(0x15)
_RF_CFG = const(0x26)
_T_MODE = const(0x2A)
_T_PRESCALER = const(0x2B)
_T_RELOAD_HIGH = const(0x2C)
_T_RELOAD_LOW = const(0x2D)
_VERSION = const(0x37)

_IRQ_RX = const(0x20)
_IRQ_TIMER = const(0x01)
_ERROR_COLLISION = const(0x08)
_ERROR_ANY_OTHER = const(0x17)  # FIFO overflow, CRC, parity, protocol
_POWER_DOWN = const(0x10)  # CommandReg: still waking
_CRYPTO1_ON = const(0x08)  # Status2Reg
_NO_POSITION = const(0x20)  # CollReg
_FIFO_SIZE = const(64)
_ANTENNA_ON = const(0x83)

# Whole SPI frames that never change. The address byte is register * 2, plus 0x80 to read (8.1.2.3).
_IDLE = const(b"\x02\x00")
_TRANSMIT = const(b"\x02\x04")
_TRANSCEIVE = const(b"\x02\x0c")
_SOFT_RESET = const(b"\x02\x0f")
_CLEAR_IRQS = const(b"\x08\x7f")
_FLUSH = const(b"\x14\x80")
_FRAME_SHORT = const(b"\x1a\x07")  # the last byte sent has 7 bits, as REQA and WUPA do
_SEND_SHORT = const(b"\x1a\x87")
_FRAME_WHOLE = const(b"\x1a\x00")
_SEND_WHOLE = const(b"\x1a\x80")
_FIFO_REQA = const(b"\x12\x26")
_FIFO_WUPA = const(b"\x12\x52")
_FIFO_HLTA = const(b"\x12\x50\x00\x57\xcd")

# The timer counts in steps of (2 * 169 + 1) / 13.56 MHz = 25 us, from the end of what is sent until
# the fifth bit of the answer (9.3.3.10). Type A fixes the moment of the answer to requests,
# anticollision and selection: the fifth bit is there 143 us after the end of sending.
_PRESCALER = const(0xA9)
_RELOAD_SELECTION = const(10)  # 11 steps: 275 us

# From StartSend to the end of the answer, 1 bit = 128 / 13.56 MHz = 9.44 us:
#   sent bits + pause until the answer (1300 + 39 clocks) + start bit + answered bits + 1 of silence
# and some 20 us of allowance. Bits count their parity. A request is waited for until the timer has
# run out (75 + 275 us), which is when an answer (344 + 9 us) has just ended.
_REQUEST_US = const(395)
_ANTICOLL_US = const(735)  # 18 + 45 bits, wherever the card's number is split
_SELECT_US = const(1160)  # 81 + 27 bits

# What follows does not depend on the chip: a missing or broken one costs this and no more.
_LATE_READS = const(12)
_LATE_STEP_US = const(100)

# Answers of one exchange are read to these places of the buffer.
_AT_IRQ = const(1)
_AT_ERROR = const(2)
_AT_LEVEL = const(3)
_AT_CONTROL = const(4)
_AT_COLL = const(5)
_AT_DATA = const(6)
_STATUS_REGISTERS = const((_COM_IRQ, _ERROR, _FIFO_LEVEL, _CONTROL, _COLL))

# Supervised registers, each with its value after configure(); of Status2Reg one bit counts.
# ModeReg: the transmitter waits for the field; CRC preset 6363. TModeReg: the timer starts by
# itself. Thus an exchange while the antenna is off ends as DEAD, never as SILENCE.
_SETTINGS = (
    _VERSION, 0x00,
    _TX_MODE, 0x00,
    _RX_MODE, 0x00,
    _T_MODE, 0x80,
    _T_PRESCALER, _PRESCALER,
    _T_RELOAD_HIGH, 0x00,
    _T_RELOAD_LOW, _RELOAD_SELECTION,
    _TX_ASK, 0x40,
    _MODE, 0x3D,
    _RF_CFG, 0x58,
    _STATUS2, 0x00,
    _TX_CONTROL, _ANTENNA_ON,
)  # fmt: skip
_SUPERVISED = const(12)
_AT_VERSION = const(0)
_AT_RELOAD_HIGH = const(5)
_AT_RELOAD_LOW = const(6)
_AT_GAIN = const(9)
_AT_STATUS2 = const(10)
_AT_ANTENNA = const(11)


class CardError(Exception):
    """A card did not do what was asked of it; says what was found and expected."""


class MFRC522:
    """One reader chip. The bus and the pins are handed in: `spi` (mode 0, at most 10 MHz) with
    write(buf) and write_readinto(out, into); `cs` and `rst` are called with 0 and 1.

    After an exchange: `uid` the 4 bytes of the cascade level and their check byte, `known` how many
    of its bits are valid, `coll_bit` the bit (from 1) where cards differed, `sak`, and
    `last_bits` the number of bits in the last byte (0 = all). `version` is the chip's: 91 and 92
    are genuine, others are clones, which is no fault, and 0 is before `configure`.

    `patient`: set by itself when an answer came later than Type A allows. Answers are then read in
    a frame of their own, when they are known to be complete.
    """

    def __init__(self, spi, cs, rst=None, gain_db: int = 38) -> None:
        if gain_db not in _GAINS_DB:
            raise ValueError("gain {} dB, allowed {}".format(gain_db, sorted(_GAINS_DB)))
        self._cs = cs
        self._rst = rst
        self._write = spi.write
        self._exchange_bytes = spi.write_readinto
        self._pair = bytearray(2)
        cs(1)

        # Sent: FIFO address, SEL, NVB, up to 5 bytes of the level, CRC_A.
        self._sent = bytearray(b"\x12" + bytes(9))
        self._sent_parts = tuple([memoryview(self._sent)[: 1 + n] for n in range(10)])
        self.uid = memoryview(self._sent)[3:8]
        self._framing = bytearray(_FRAME_WHOLE)
        self._sending = bytearray(_SEND_WHOLE)

        # Read back: the status registers, then n bytes of the FIFO or the supervised registers.
        self._got = bytearray(1 + len(_STATUS_REGISTERS) + _SUPERVISED)
        self._status = tuple(
            [_pipelined(_STATUS_REGISTERS + (_FIFO_DATA,) * n, self._got) for n in range(6)]
        )
        supervised = tuple([_SETTINGS[2 * at] for at in range(_SUPERVISED)])
        self._audit = _pipelined(_STATUS_REGISTERS + supervised, self._got)
        self._expected = bytearray([_SETTINGS[2 * at + 1] for at in range(_SUPERVISED)])
        self._expected[_AT_GAIN] = _GAINS_DB[gain_db] | 0x08  # bit 3 is reserved, 1 after reset
        self._late_got = bytearray(6)
        self._late = tuple([_pipelined((_FIFO_DATA,) * n, self._late_got) for n in range(6)])

        self.patient = False
        self.known = 0
        self.sak = 0
        self.coll_bit = 0
        self.last_bits = 0
        self._leftovers = True
        self._reload = -1

    # The chip

    @property
    def version(self) -> int:
        return self._expected[_AT_VERSION]

    def reset(self) -> None:
        """Hard reset where the pin is wired, else soft. The chip is away for up to `WAKE_MS`."""
        if self._rst is None:
            self.soft_reset()
        else:
            self._rst(0)
            sleep_us(10)  # at least 100 ns (8.8.1)
            self._rst(1)

    def soft_reset(self) -> None:
        self._frame(_SOFT_RESET)

    def awake(self) -> bool:
        """True when the chip answers after a reset and its oscillator runs."""
        version = self._get(_VERSION)
        return version not in (0x00, 0xFF) and not self._get(_COMMAND) & _POWER_DOWN

    def configure(self) -> str | None:
        """Writes all settings, switches the antenna on and reads everything back: None, or what is
        wrong. A card needs `FIELD_GUARD_MS` after this."""
        version = self._get(_VERSION)
        self._expected[_AT_VERSION] = version
        if version in (0x00, 0xFF):
            return "VersionReg {:02x}, expected 91, 92 or a clone's: no chip".format(version)
        self._frame(_IDLE)
        self._frame(_FLUSH)
        self._expected[_AT_RELOAD_HIGH] = 0
        self._expected[_AT_RELOAD_LOW] = self._reload = _RELOAD_SELECTION
        self._expected[_AT_ANTENNA] = _ANTENNA_ON
        for at in range(_AT_VERSION + 1, _SUPERVISED):
            self._put(_SETTINGS[2 * at], self._expected[at])
        self._leftovers = False
        return self.check()

    def check(self) -> str | None:
        """Compares the supervised registers with what they should be, in one SPI frame: None, or
        the first that differs."""
        out, into = self._audit
        self._cs(0)
        self._exchange_bytes(out, into)
        self._cs(1)
        return self.checked()

    def checked(self) -> str | None:
        """The same for the registers that `request(mode, audit=True)` has brought along; before the
        next exchange."""
        for at in range(_SUPERVISED):
            found = self._got[_AT_DATA + at]
            if at == _AT_STATUS2:
                found &= _CRYPTO1_ON
            if found != self._expected[at]:
                names = (
                    "VersionReg TxModeReg RxModeReg TModeReg TPrescalerReg TReloadReg-high "
                    "TReloadReg-low TxASKReg ModeReg RFCfgReg Status2Reg TxControlReg"
                )
                name = names.split()[at].replace("-", " ")
                return "{} {:02x}, expected {:02x}".format(name, found, self._expected[at])
        return None

    def status(self) -> str:
        """The status registers as the last exchange left them, for messages."""
        got = self._got
        return "irq {:02x} error {:02x} fifo {} last bits {} coll {:02x}".format(
            got[_AT_IRQ], got[_AT_ERROR], got[_AT_LEVEL], got[_AT_CONTROL] & 7, got[_AT_COLL]
        )

    # Selection, one exchange each (ISO 14443-3, 6.4): result codes, no allocation

    def request(self, mode: int = REQA, audit: bool = False) -> int:
        """Calls the cards in the field: REQA those that are idle, WUPA the halted ones too.
        `audit` reads the supervised registers in the same SPI frame, see `checked`."""
        if self._reload != _RELOAD_SELECTION:
            self._set_reload(_RELOAD_SELECTION)
        return self._exchange(
            _FIFO_WUPA if mode == WUPA else _FIFO_REQA,
            _FRAME_SHORT,
            _SEND_SHORT,
            _REQUEST_US,
            self._audit if audit else self._status[0],
            0,
        )

    def anticoll(self, level: int = 1, known: int = 0) -> int:
        """One ANTICOLLISION at cascade level 1 to 3, with the first `known` bits of `uid` given.

        ANSWER: `uid` is complete and `known` 40; its check byte is the caller's to judge (`bcc`).
        COLLISION: `uid` holds `known` bits, of which the last, where the cards differ, is set to 1.
        """
        sent = self._sent
        whole = known >> 3
        bits = known & 7
        sent[1] = 0x91 + 2 * level
        sent[2] = 0x20 + (whole << 4) + bits
        framing = _FRAME_WHOLE
        sending = _SEND_WHOLE
        length = 2 + whole
        if bits:
            framing = self._framing
            sending = self._sending
            framing[1] = bits << 4 | bits
            sending[1] = 0x80 | bits << 4 | bits
            length += 1
        count = 5 - whole
        code = self._exchange(
            self._sent_parts[length], framing, sending, _ANTICOLL_US, self._status[count], count
        )
        got = self._got
        if code == ANSWER:
            if got[_AT_LEVEL] != count or self.last_bits:
                return GARBLED
            self.known = 40
        elif code == COLLISION:
            # The position counts from the first byte of this answer, known bits of it included.
            position = got[_AT_COLL] & 0x1F or 32
            count = (position + 7) >> 3
            self.coll_bit = (whole << 3) + position
            if (
                got[_AT_COLL] & _NO_POSITION
                or not known < self.coll_bit <= 32
                or got[_AT_LEVEL] < count
            ):
                return GARBLED
            self.known = self.coll_bit
        else:
            return code
        given = (1 << bits) - 1
        sent[3 + whole] = sent[3 + whole] & given | got[_AT_DATA] & (0xFF ^ given)
        for n in range(1, count):
            sent[3 + whole + n] = got[_AT_DATA + n]
        if code == COLLISION:
            last = 2 + whole + count
            bit = 1 << ((self.known - 1) & 7)
            sent[last] = sent[last] & (bit - 1) | bit
        return code

    def bcc(self) -> int:
        """The check byte that belongs to the four bytes in `uid` (ISO 14443-3, 6.5.3.1)."""
        sent = self._sent
        return sent[3] ^ sent[4] ^ sent[5] ^ sent[6]

    def select_tag(self, level: int = 1) -> int:
        """SELECT of the card whose 5 bytes of this cascade level are in `uid`. ANSWER: the CRC_A is
        right, and `sak` has bit 2 (`SAK_CASCADE`) set if another level follows."""
        sent = self._sent
        sent[1] = 0x91 + 2 * level
        sent[2] = 0x70
        crc = crc_a(sent, 1, 8)
        sent[8] = crc & 0xFF
        sent[9] = crc >> 8
        code = self._exchange(
            self._sent_parts[9], _FRAME_WHOLE, _SEND_WHOLE, _SELECT_US, self._status[3], 3
        )
        got = self._got
        if code == COLLISION:
            self.coll_bit = got[_AT_COLL] & 0x1F
        if code != ANSWER:
            return code
        if got[_AT_LEVEL] != 3 or self.last_bits:
            return GARBLED
        crc = crc_a(got, _AT_DATA, _AT_DATA + 1)
        if got[_AT_DATA + 1] != crc & 0xFF or got[_AT_DATA + 2] != crc >> 8:
            return GARBLED
        self.sak = got[_AT_DATA]
        return ANSWER

    def halt(self) -> None:
        """HLTA: a selected card is halted and answers WUPA only; one that is half selected falls
        back and answers the next WUPA. Nothing answers: the chip is left alone to send it."""
        if self._leftovers:
            self._frame(_FLUSH)
            self._leftovers = False
        self._frame(_FRAME_WHOLE)
        self._frame(_FIFO_HLTA)
        self._frame(_TRANSMIT)

    def _exchange(self, sent, framing, sending, wait_us, status, count) -> int:
        cs = self._cs
        write = self._write
        exchange_bytes = self._exchange_bytes
        got = self._got
        out, into = status
        if self.patient and count:
            out, into = self._status[0]
        cs(0)
        write(_CLEAR_IRQS)
        cs(1)
        if self._leftovers:
            cs(0)
            write(_FLUSH)
            cs(1)
        # StartSend is seen as a rising edge, so it is taken back before it is given.
        cs(0)
        write(framing)
        cs(1)
        cs(0)
        write(sent)
        cs(1)
        cs(0)
        write(_TRANSCEIVE)
        cs(1)
        cs(0)
        write(sending)
        cs(1)
        sleep_us(wait_us)
        late = False
        for _ in range(_LATE_READS):
            cs(0)
            exchange_bytes(out, into)
            cs(1)
            irq = got[_AT_IRQ]
            if irq & (_IRQ_RX | _IRQ_TIMER):
                break
            # The read has taken what there was of an unfinished answer: this one is lost.
            late = True
            out, into = self._status[0]
            sleep_us(_LATE_STEP_US)
        else:
            irq = 0
        level = got[_AT_LEVEL]
        error = got[_AT_ERROR]
        self.last_bits = got[_AT_CONTROL] & 7
        if irq & 0x80 or level > _FIFO_SIZE or not irq:
            self._rest(True)
            return DEAD
        if not irq & _IRQ_RX:
            garbled = level or error & (_ERROR_ANY_OTHER | _ERROR_COLLISION)
            self._rest(garbled or count)
            return GARBLED if garbled else SILENCE
        if late and count and not self.patient:
            self._rest(True)
            self.patient = True
            return GARBLED
        if self.patient and count:
            if level <= 5:
                out, into = self._late[level]
                cs(0)
                exchange_bytes(out, into)
                cs(1)
                for n in range(level):
                    got[_AT_DATA + n] = self._late_got[1 + n]
            self._leftovers = level > 5
        else:
            self._leftovers = level != count
        if error & _ERROR_COLLISION:
            return COLLISION
        if error & _ERROR_ANY_OTHER:
            return GARBLED
        return ANSWER

    def _rest(self, leftovers) -> None:
        """Ends an exchange without a usable answer, so that nothing more is received."""
        self._frame(_IDLE)
        self._leftovers = leftovers

    # Registers

    def _set_reload(self, steps: int) -> None:
        self._put(_T_RELOAD_HIGH, steps >> 8)
        self._put(_T_RELOAD_LOW, steps & 0xFF)
        self._expected[_AT_RELOAD_HIGH] = steps >> 8
        self._expected[_AT_RELOAD_LOW] = steps & 0xFF
        self._reload = steps

    def _frame(self, frame) -> None:
        self._cs(0)
        self._write(frame)
        self._cs(1)

    def _put(self, register: int, value: int) -> None:
        self._pair[0] = register << 1
        self._pair[1] = value
        self._frame(self._pair)

    def _get(self, register: int) -> int:
        into = bytearray(2)
        self._cs(0)
        self._exchange_bytes(bytes([_read_address(register), 0]), into)
        self._cs(1)
        return into[1]


def crc_a(data, start: int, end: int) -> int:
    """CRC_A (ISO 14443-3, 6.2.4) over data[start:end], to be sent low byte first."""
    crc = 0x6363
    for at in range(start, end):
        x = data[at] ^ crc & 0xFF
        x = (x ^ x << 4) & 0xFF
        crc = (crc >> 8) ^ x << 8 ^ x << 3 ^ x >> 4
    return crc


def _read_address(register: int) -> int:
    return 0x80 | register << 1


def _pipelined(registers: tuple, into: bytearray) -> tuple:
    """What to send in one SPI frame to read all these registers, and where the answer goes: each
    byte sent names the register whose value comes with the next one, so the first is no answer."""
    addresses = bytes([_read_address(register) for register in registers])
    return addresses + b"\x00", memoryview(into)[: len(registers) + 1]
