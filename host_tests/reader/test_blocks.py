"""MIFARE Classic blocks through the driver: authenticate, read, write."""

import pytest

from firmware.cards.mfrc522 import ANSWER, WUPA, CardError
from firmware.cards.mifare import AUTH_A, AUTH_B, ChipError
from host_tests.reader.bench import Bench

KEY = b"\xff" * 6


def select(bench: Bench, number: str) -> bytes:
    """Places a card and selects it; its number."""
    bench.place(number)
    chip = bench.chip
    assert chip.request(WUPA) == ANSWER
    for level in range(1, 4):
        assert chip.anticoll(level) == ANSWER
        assert chip.select_tag(level) == ANSWER
        if not chip.sak & 0x04:
            break
    return bytes.fromhex(number)


@pytest.mark.parametrize("number", ["04a1b2c3", "04112233445566", "04112233445566778899"])
def test_a_block_is_written_and_read_back(bench: Bench, number: str) -> None:
    uid = select(bench, number)
    chip = bench.chip
    chip.auth(AUTH_A, 8, KEY, uid)
    data = bytes(range(16))
    chip.write(8, data)
    assert chip.read(8) == data
    assert chip.read(9) == bytes(16)
    chip.stop_crypto1()
    assert chip.check() is None


def test_a_readable_key_b_opens_nothing(bench: Bench) -> None:
    """As delivered, key B can be read, so it is data and no key (MF1S50yyX, access conditions)."""
    uid = select(bench, "04a1b2c3")
    bench.chip.auth(AUTH_B, 8, KEY, uid)
    with pytest.raises(CardError, match="NAK"):
        bench.chip.read(8)


def test_block_0_holds_the_number(bench: Bench) -> None:
    uid = select(bench, "04a1b2c3")
    bench.chip.auth(AUTH_A, 0, KEY, uid)
    assert bench.chip.read(0)[:4] == uid


def test_a_wrong_key_is_an_error_that_says_so(bench: Bench) -> None:
    uid = select(bench, "04a1b2c3")
    with pytest.raises(CardError, match=r"authentication of block 4: .*expected 08"):
        bench.chip.auth(AUTH_A, 4, b"\x00" * 6, uid)


def test_a_block_without_authentication_is_an_error(bench: Bench) -> None:
    select(bench, "04a1b2c3")
    with pytest.raises(CardError, match=r"block 4|command 30"):
        bench.chip.read(4)


def test_a_refused_write_names_the_nak(bench: Bench) -> None:
    uid = select(bench, "04a1b2c3")
    bench.chip.auth(AUTH_A, 0, KEY, uid)
    with pytest.raises(CardError, match=r"write of block 0: NAK [0145], expected ACK a"):
        bench.chip.write(0, bytes(16))


def test_a_block_of_another_sector_is_refused(bench: Bench) -> None:
    uid = select(bench, "04a1b2c3")
    bench.chip.auth(AUTH_A, 8, KEY, uid)
    with pytest.raises(CardError, match="NAK"):
        bench.chip.read(12)


def test_a_damaged_block_is_an_error(bench: Bench) -> None:
    uid = select(bench, "04a1b2c3")
    bench.chip.auth(AUTH_A, 8, KEY, uid)
    bench.tamper = lambda sent, got: (
        got[:5] + bytes([got[5] ^ 1]) + got[6:] if len(sent) == 19 and sent[0] == 0x92 else got
    )
    with pytest.raises(CardError, match=r"CRC of block 8 [0-9a-f]{4}, computed [0-9a-f]{4}"):
        bench.chip.read(8)


def test_lengths_are_checked_before_anything_is_sent(bench: Bench) -> None:
    uid = select(bench, "04a1b2c3")
    frames = bench.frames
    with pytest.raises(ValueError, match="key of 5 bytes, expected 6"):
        bench.chip.auth(AUTH_A, 8, b"\xff" * 5, uid)
    with pytest.raises(ValueError, match="block of 15 bytes, expected 16"):
        bench.chip.write(8, bytes(15))
    assert bench.frames == frames


def test_a_card_that_is_gone_is_an_error_within_bounds(bench: Bench) -> None:
    uid = select(bench, "04a1b2c3")
    bench.chip.auth(AUTH_A, 8, KEY, uid)
    bench.field.remove(bench.field.cards[0])
    start_ns = bench.now_ns
    with pytest.raises(CardError, match=r"command 30: irq .*, expected an answer"):
        bench.chip.read(8)
    assert bench.now_ns - start_ns < 30_000_000


def test_a_dead_chip_is_an_error_within_bounds(bench: Bench) -> None:
    uid = select(bench, "04a1b2c3")
    bench.model.fault = "dead"
    for level in (0x00, 0xFF):
        bench.model.dead_level = level
        start_ns = bench.now_ns
        with pytest.raises(CardError):
            bench.chip.read(8)
        if not level:
            with pytest.raises(CardError):
                bench.chip.auth(AUTH_A, 8, KEY, uid)
        assert bench.now_ns - start_ns < 60_000_000
    with pytest.raises(ChipError, match="VersionReg ff"):
        bench.chip.init()


def test_after_the_blocks_the_reader_reads_on(bench: Bench) -> None:
    uid = select(bench, "04a1b2c3")
    chip = bench.chip
    chip.auth(AUTH_A, 8, KEY, uid)
    chip.read(8)
    chip.halt()
    bench.sleep_ns(1_000_000)
    chip.stop_crypto1()
    bench.polls(1)
    assert bench.told == ["04a1b2c3"]
    bench.field.remove(bench.field.cards[0])
    bench.run_ms(3_000)
    assert bench.told == ["04a1b2c3", "gone"]
    assert [health for health, _ in bench.health] == ["ok"]
