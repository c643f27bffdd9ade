"""Registers, SPI framing, resets and power-down (data sheet 8.1.2, 8.6, 8.8, 9.2, 9.3)."""

import pytest

from host_tests.chip.desk import MS, Desk
from tools.virtual.rc522 import registers as reg

RESET_VALUES = {
    0x01: 0x20,
    0x02: 0x80,
    0x03: 0x00,
    0x04: 0x14,
    0x05: 0x00,
    0x06: 0x00,
    0x07: 0x21,
    0x08: 0x00,
    0x0A: 0x00,
    0x0B: 0x08,
    0x0C: 0x10,
    0x0D: 0x00,
    0x11: 0x3F,
    0x12: 0x00,
    0x13: 0x00,
    0x14: 0x80,
    0x15: 0x00,
    0x16: 0x10,
    0x17: 0x84,
    0x18: 0x84,
    0x19: 0x4D,
    0x1C: 0x62,
    0x1D: 0x00,
    0x21: 0xFF,
    0x22: 0xFF,
    0x24: 0x26,
    0x26: 0x48,
    0x27: 0x88,
    0x28: 0x20,
    0x29: 0x20,
    0x2A: 0x00,
    0x2B: 0x00,
    0x2C: 0x00,
    0x2D: 0x00,
    0x36: 0x40,
    0x37: 0x92,
}


def test_every_register_has_its_reset_value():
    desk = Desk(set_up=False)
    assert {address: desk.read(address) for address in RESET_VALUES} == RESET_VALUES


@pytest.mark.parametrize("version", [0x91, 0x92, 0x12])
def test_the_version_is_what_was_asked_for(version):
    assert Desk(version=version).read(reg.VERSION) == version


def test_soft_reset_restores_the_reset_values():
    desk = Desk()
    desk.write(reg.FIFO_DATA, 1, 2, 3)
    desk.write(reg.COMMAND, reg.SOFT_RESET)
    assert {address: desk.read(address) for address in RESET_VALUES} == RESET_VALUES


def test_one_frame_reads_different_registers_one_byte_late():
    desk = Desk()
    answer = desk.frame(bytes([0x80 | reg.VERSION << 1, 0x80 | reg.MODE << 1, 0x80 | 0x24 << 1, 0]))
    assert answer[1:] == bytes([0x92, 0x3D, 0x26])


def test_a_write_sends_every_byte_to_the_same_register():
    desk = Desk()
    desk.write(reg.FIFO_DATA, 1, 2, 3)
    assert desk.read(reg.FIFO_LEVEL) == 3
    assert desk.read_many(reg.FIFO_DATA, 3) == bytes([1, 2, 3])


def test_the_trailing_byte_of_a_read_takes_nothing_from_the_fifo():
    desk = Desk()
    desk.write(reg.FIFO_DATA, 1, 2, 3)
    address = 0x80 | reg.FIFO_DATA << 1
    assert desk.frame(bytes([address, address]))[1] == 1
    assert desk.read(reg.FIFO_LEVEL) == 2


def test_a_frame_may_be_clocked_in_pieces():
    desk = Desk()
    desk.chip.select()
    desk.chip.exchange(bytes([0x80 | reg.VERSION << 1]))
    assert desk.chip.exchange(b"\x00") == b"\x92"
    desk.chip.deselect()


def test_frames_are_counted():
    desk = Desk()
    before = desk.chip.frames
    desk.read(reg.VERSION)
    desk.write(reg.FIFO_DATA, 1, 2)
    assert desk.chip.frames == before + 2


def test_without_nss_nothing_is_heard():
    desk = Desk()
    desk.chip.exchange(bytes([reg.MODE << 1, 0x00]))
    assert desk.read(reg.MODE) == 0x3D


@pytest.mark.parametrize(
    ("register", "written", "read"),
    [
        (reg.VERSION, 0x00, 0x92),  # read only
        (reg.ERROR, 0xFF, 0x00),
        (reg.CRC_RESULT_L, 0x12, 0xFF),
        (reg.FIFO_LEVEL, 0x3F, 0x00),
        (reg.BIT_FRAMING, 0xFF, 0x77),  # StartSend is write only, bit 3 reserved
        (reg.CONTROL, 0x00, 0x10),  # both strobes write only
        (reg.MODE, 0x29, 0x3D),  # reserved bits 4 and 2 stay
        (reg.TX_ASK, 0xFF, 0x40),
        (reg.RF_CFG, 0x7F, 0x78),
        (reg.COLL, 0x00, 0x20),  # only ValuesAfterColl
        (reg.DIV_IEN, 0xFF, 0x94),
        (0x0F, 0xFF, 0x00),  # reserved for future use
        (reg.MOD_WIDTH, 0x00, 0x00),
        (reg.T_PRESCALER, 0x5A, 0x5A),
    ],
)
def test_each_bit_keeps_its_access_rule(register, written, read):
    desk = Desk()
    desk.write(register, written)
    assert desk.read(register) == read


def test_mfcrypto1on_cannot_be_set_by_the_host():
    desk = Desk()
    desk.write(reg.STATUS2, reg.CRYPTO1_ON)
    assert not desk.crypto_on


def test_hard_reset_restores_the_reset_values_and_keeps_the_buffer():
    desk = Desk()
    desk.write(reg.FIFO_DATA, *range(25))
    desk.write(reg.COMMAND, reg.MEM)
    desk.chip.reset_pin(0)
    assert desk.read(reg.VERSION) == 0
    assert not desk.field.carrier
    desk.chip.reset_pin(1)
    desk.ns += MS
    assert desk.read(reg.MODE) == 0x3F
    desk.write(reg.COMMAND, reg.MEM)
    assert desk.read_many(reg.FIFO_DATA, 25) == bytes(range(25))


def test_after_a_hard_reset_powerdown_reads_one_until_the_clock_runs():
    desk = Desk()
    desk.chip.reset_pin(0)
    desk.chip.reset_pin(1)
    assert desk.read(reg.COMMAND) & reg.POWER_DOWN
    desk.write(reg.T_PRESCALER, 0xA9)  # too early: lost
    desk.ns += MS
    assert desk.read(reg.COMMAND) == 0x20
    assert desk.read(reg.T_PRESCALER) == 0


def test_the_start_up_counts_1024_clocks_after_the_crystal():
    desk = Desk()
    desk.chip.reset_pin(0)
    desk.chip.reset_pin(1)
    desk.ns += 37_700
    assert desk.read(reg.COMMAND) & reg.POWER_DOWN


def test_power_off_forgets_the_buffer_too():
    desk = Desk()
    desk.write(reg.FIFO_DATA, *range(25))
    desk.write(reg.COMMAND, reg.MEM)
    desk.chip.power(False)
    assert desk.read(reg.VERSION) == 0
    desk.chip.power(True)
    desk.ns += MS
    desk.write(reg.COMMAND, reg.MEM)
    assert desk.read_many(reg.FIFO_DATA, 25) == bytes(25)


def test_soft_power_down_keeps_the_registers_and_drops_the_field():
    desk = Desk()
    desk.write(reg.COMMAND, reg.POWER_DOWN | reg.NO_CMD_CHANGE)
    assert desk.read(reg.COMMAND) & reg.POWER_DOWN
    assert not desk.field.carrier
    assert desk.read(reg.T_RELOAD_L) == 199
    desk.write(reg.COMMAND, reg.NO_CMD_CHANGE)
    assert desk.read(reg.COMMAND) & reg.POWER_DOWN  # not before the clock is stable
    desk.ns += MS
    assert not desk.read(reg.COMMAND) & reg.POWER_DOWN
    assert desk.field.carrier


def test_soft_reset_wakes_from_soft_power_down():
    desk = Desk()
    desk.write(reg.COMMAND, reg.POWER_DOWN)
    desk.write(reg.COMMAND, reg.SOFT_RESET)
    assert desk.read(reg.COMMAND) & reg.POWER_DOWN
    desk.ns += MS
    assert desk.read(reg.COMMAND) == 0x20
    assert desk.read(reg.T_RELOAD_L) == 0


def test_random_id_replaces_ten_bytes_of_the_buffer():
    desk = Desk()
    desk.write(reg.FIFO_DATA, *range(100, 125))
    desk.write(reg.COMMAND, reg.MEM)
    desk.write(reg.COM_IRQ, 0x7F)
    desk.write(reg.COMMAND, reg.RANDOM_ID)
    assert desk.read(reg.COM_IRQ) & reg.IDLE_IRQ
    desk.write(reg.COMMAND, reg.MEM)
    buffer = desk.read_many(reg.FIFO_DATA, 25)
    assert buffer[10:] == bytes(range(110, 125))
    assert buffer[:10] != bytes(range(100, 110))
