"""The CRC coprocessor and the digital self-test (data sheet 8.6, 10.3.1.4, 16.1.1)."""

import pytest

from host_tests.chip.desk import MS, Desk
from tools.virtual.rc522 import registers as reg
from tools.virtual.rc522.crc import crc16, crc_a

# The data sheet's reference bytes, versions 1.0 and 2.0.
SELF_TEST = {
    0x91: "00C637D532B7575CC2D87C4DD970C77310E6D2AA5EA13E5A14AF3061C970DB2E"
    "642272B5BD65F4EC22BCD37235CDAA411FA7F35314DE7E02D90FB55E251D2979",
    0x92: "00EB66BA57BF2395D0E30D3D27895CDE9D3BA700215B8982513AEB020CA50049"
    "7C844DB3CCD21B815D4876D5716121A986968338CF9D5B6DDC15BA3E7D953B2F",
}


def calculate(desk: Desk, data: bytes) -> int:
    desk.write(reg.FIFO_LEVEL, reg.FLUSH)
    desk.write(reg.DIV_IRQ, reg.CRC_IRQ)
    desk.write(reg.FIFO_DATA, *data)
    desk.write(reg.COMMAND, reg.CALC_CRC)
    assert not desk.read(reg.STATUS1) & reg.CRC_READY
    desk.step()
    assert desk.read(reg.DIV_IRQ) & reg.CRC_IRQ
    assert desk.read(reg.STATUS1) & reg.CRC_READY
    return desk.read(reg.CRC_RESULT_H) << 8 | desk.read(reg.CRC_RESULT_L)


def test_crc_a_of_the_published_values():
    assert crc16(b"123456789") == 0xBF05
    for data, crc in (("5000", "57cd"), ("08", "b6dd"), ("18", "37cd"), ("20", "fc70")):
        assert crc_a(bytes.fromhex(data)).hex() == crc
    assert crc_a(b"\x04").hex() == "da17"
    assert crc_a(b"\x60\x03").hex() == "6e49"


def test_the_coprocessor_gives_crc_a():
    assert calculate(Desk(), b"123456789") == 0xBF05


@pytest.mark.parametrize(
    ("preset", "expected"),
    [(0, 0x2189), (1, 0xBF05), (3, 0x6F91)],  # KERMIT, CRC-A, MCRF4XX
)
def test_each_preset_gives_its_own_crc(preset, expected):
    desk = Desk()
    desk.write(reg.MODE, 0x3C | preset)
    assert calculate(desk, b"123456789") == expected


def test_msb_first_mirrors_data_and_result():
    desk = Desk()
    desk.write(reg.MODE, 0x3C | reg.MSB_FIRST | 3)
    result = calculate(desk, b"123456789")
    mirrored = int(f"{result >> 8:08b}"[::-1] + f"{result & 0xFF:08b}"[::-1], 2)
    assert mirrored == crc16(bytes(int(f"{c:08b}"[::-1], 2) for c in b"123456789"), 0xFFFF)


def test_bytes_written_later_are_added():
    desk = Desk()
    calculate(desk, b"1234")
    desk.write(reg.FIFO_DATA, *b"56789")
    desk.step()
    assert desk.read(reg.CRC_RESULT_H) << 8 | desk.read(reg.CRC_RESULT_L) == 0xBF05


def test_crc_ok_says_that_the_result_is_zero():
    desk = Desk()
    calculate(desk, b"\x50\x00\x57\xcd")
    assert desk.read(reg.STATUS1) & reg.CRC_OK
    desk.write(reg.COMMAND, reg.IDLE)
    calculate(desk, b"\x50\x00")
    assert not desk.read(reg.STATUS1) & reg.CRC_OK


def test_calc_crc_runs_until_another_command():
    desk = Desk()
    calculate(desk, b"1")
    assert desk.read(reg.COMMAND) & 0xF == reg.CALC_CRC
    desk.write(reg.COMMAND, reg.IDLE)
    assert desk.read(reg.COMMAND) & 0xF == reg.IDLE


def self_test(desk: Desk, buffer: bytes = bytes(25)) -> bytes:
    desk.write(reg.COMMAND, reg.SOFT_RESET)
    desk.write(reg.FIFO_LEVEL, reg.FLUSH)
    desk.write(reg.FIFO_DATA, *buffer)
    desk.write(reg.COMMAND, reg.MEM)
    desk.write(reg.AUTO_TEST, 0x09)
    desk.write(reg.FIFO_DATA, 0)
    desk.write(reg.COMMAND, reg.CALC_CRC)
    desk.ns += 5 * MS
    assert desk.read(reg.FIFO_LEVEL) == 64
    return desk.read_many(reg.FIFO_DATA, 64)


@pytest.mark.parametrize("version", [0x91, 0x92])
def test_the_self_test_gives_the_reference_bytes(version):
    assert self_test(Desk(version=version)) == bytes.fromhex(SELF_TEST[version])


def test_the_self_test_needs_an_empty_buffer():
    assert self_test(Desk(), buffer=bytes(24) + b"\x01") != bytes.fromhex(SELF_TEST[0x92])


def test_another_version_fails_the_self_test():
    assert self_test(Desk(version=0xB2)) not in map(bytes.fromhex, SELF_TEST.values())
