"""One card: its whole number or none, in as few SPI frames as it takes."""

import random

import pytest

from firmware.cards.iso14443a import DEAD, NOBODY, NUMBER, SEVERAL, UNREADABLE
from firmware.cards.mfrc522 import crc_a
from host_tests.reader.bench import Bench

FOUR = "04a1b2c3"
SEVEN = "04112233445566"
TEN = "04112233445566778899"

# Lengths of the frames that read the status with 5 bytes of a level or 3 of a SAK behind it.
ANTICOLLISION_READ = 11
SAK_READ = 9


def numbers(length: int, count: int) -> list[str]:
    """Any bytes, but first ones that mean nothing special at that length (ISO 14443-3, 6.5.4)."""
    rng = random.Random(length)
    return [(bytes([4]) + rng.randbytes(length - 1)).hex() for _ in range(count)]


@pytest.mark.parametrize(
    "number", [number for length in (4, 7, 10) for number in numbers(length, 20)]
)
def test_a_card_is_told_by_its_whole_number(bench: Bench, number: str) -> None:
    bench.place(number)
    assert bench.poll() == NUMBER
    assert bench.told == [number]


@pytest.mark.parametrize("number", ["00000000", "ffffffff", "80000001", "00000000000000", "f" * 20])
def test_extreme_numbers_are_numbers(bench: Bench, number: str) -> None:
    bench.place(number)
    bench.poll()
    assert bench.told == [number]


@pytest.mark.parametrize("kind", ["classic1k", "classic4k"])
@pytest.mark.parametrize("number", [FOUR, SEVEN, TEN])
def test_the_kind_of_card_makes_no_difference(bench: Bench, number: str, kind: str) -> None:
    bench.place(number, kind)
    bench.poll()
    assert bench.told == [number]


def test_a_four_byte_number_may_begin_with_the_cascade_tag(bench: Bench) -> None:
    bench.place("88a1b2c3")
    bench.poll()
    assert bench.told == ["88a1b2c3"]


def test_a_seven_byte_number_keeps_its_bytes_whatever_they_are(bench: Bench) -> None:
    bench.place("04888888880400")
    bench.poll()
    assert bench.told == ["04888888880400"]


@pytest.mark.parametrize(
    ("number", "budget", "frames"), [(None, 7, 7), (FOUR, 26, 22), (SEVEN, 43, 34), (TEN, 60, 46)]
)
def test_a_poll_keeps_to_its_spi_frames(
    bench: Bench, number: str | None, budget: int, frames: int
) -> None:
    if number:
        bench.place(number)
    assert [bench.frames_of(bench.poll) for _ in range(60)] == [frames] * 60
    assert frames <= budget
    # The model counts them too.
    before = bench.model.frames
    bench.poll()
    assert bench.model.frames - before == frames


@pytest.mark.parametrize(
    ("number", "limit_ms"), [(None, 0.8), (FOUR, 3.5), (SEVEN, 6.0), (TEN, 8.5)]
)
def test_a_poll_takes_little_more_than_the_air_does(
    bench: Bench, number: str | None, limit_ms: float
) -> None:
    if number:
        bench.place(number)
    bench.run_ms(2000)
    assert bench.longest_ns < limit_ms * 1e6


def test_a_card_is_found_again_at_every_poll(bench: Bench) -> None:
    bench.place(SEVEN)
    assert bench.polls(200) == [NUMBER] * 200


def test_a_card_entering_at_any_moment_is_read_within_two_polls(make_bench) -> None:
    for offset_us in range(0, 25_000, 997):
        bench = make_bench().start()
        bench.poll()
        bench.sleep_ns(offset_us * 1_000)
        bench.place(FOUR)  # another 10 ms
        bench.polls(2)
        assert bench.told == [FOUR], offset_us


def spoil(bench: Bench, length: int, place: int, bits: int, fix_crc: bool = False) -> None:
    """Flips bits of a byte of the answers that come in status frames of that length."""

    def tamper(sent: bytes, got: bytes) -> bytes:
        if len(sent) != length or sent[0] != 0x88:
            return got
        spoilt = bytearray(got)
        spoilt[place] ^= bits
        if fix_crc:
            crc = crc_a(spoilt, 6, 7)
            spoilt[7:9] = bytes([crc & 0xFF, crc >> 8])
        return bytes(spoilt)

    bench.tamper = tamper


def refused(bench: Bench) -> str:
    """Why one look at the card failed, while the next without the spoiler gives its number."""
    assert bench.poll() == UNREADABLE
    assert bench.told == []
    why = bench.reader._selection.why
    bench.tamper = lambda sent, got: got
    assert bench.poll() == NUMBER
    assert bench.told == [FOUR]
    return why


@pytest.mark.parametrize("place", [6, 7, 8, 9, 10])
@pytest.mark.parametrize("bit", [0x01, 0x80])
def test_a_wrong_check_byte_is_no_number(bench: Bench, place: int, bit: int) -> None:
    bench.place(FOUR)
    spoil(bench, ANTICOLLISION_READ, place, bit)
    bcc = 0x04 ^ 0xA1 ^ 0xB2 ^ 0xC3
    found, computed = (bcc ^ bit, bcc) if place == 10 else (bcc, bcc ^ bit)
    assert refused(bench) == f"BCC {found:02x}, computed {computed:02x}"


@pytest.mark.parametrize("place", [6, 7, 8])
def test_a_sak_with_a_wrong_crc_is_no_selection(bench: Bench, place: int) -> None:
    bench.place(FOUR)
    spoil(bench, SAK_READ, place, 0x10)
    assert refused(bench).startswith("level 1 select:")


def test_a_sak_that_asks_for_more_without_a_cascade_tag_is_refused(bench: Bench) -> None:
    bench.place(FOUR)
    spoil(bench, SAK_READ, 6, 0x04, fix_crc=True)
    assert refused(bench) == "cascade tag 04, expected 88"


def test_a_sak_that_says_complete_ends_the_number_whatever_it_began_with(bench: Bench) -> None:
    bench.place(SEVEN)
    spoil(bench, SAK_READ, 6, 0x04, fix_crc=True)
    bench.poll()
    assert bench.told == ["88041122"]


def test_a_fourth_cascade_level_does_not_exist(bench: Bench) -> None:
    bench.place("04112233445588667788")  # level 3 begins with 88
    crc = crc_a(b"\x0c", 0, 1)
    saks = []

    def tamper(sent: bytes, got: bytes) -> bytes:
        if len(sent) == SAK_READ and sent[0] == 0x88:
            saks.append(got[6])
            if len(saks) == 3:
                return got[:6] + bytes([0x0C, crc & 0xFF, crc >> 8])
        return got

    bench.tamper = tamper
    assert bench.poll() == UNREADABLE
    assert bench.told == []
    assert bench.reader._selection.why == "SAK 0c at level 3, expected the last level"


@pytest.mark.parametrize("length", [ANTICOLLISION_READ, SAK_READ])
@pytest.mark.parametrize("level", [0, 1, 2, 4, 6])
def test_an_answer_of_another_length_is_no_answer(bench: Bench, length: int, level: int) -> None:
    bench.place(FOUR)
    bench.tamper = lambda sent, got: (
        got[:3] + bytes([level]) + got[4:] if len(sent) == length and sent[0] == 0x88 else got
    )
    refused(bench)


@pytest.mark.parametrize("length", [ANTICOLLISION_READ, SAK_READ])
def test_an_answer_with_a_broken_last_byte_is_no_answer(bench: Bench, length: int) -> None:
    bench.place(FOUR)
    spoil(bench, length, 4, 0x03)  # ControlReg: three bits of the last byte
    refused(bench)


@pytest.mark.parametrize("length", [ANTICOLLISION_READ, SAK_READ])
@pytest.mark.parametrize("error", [0x01, 0x02, 0x10])
def test_an_answer_with_an_error_is_no_answer(bench: Bench, length: int, error: int) -> None:
    bench.place(FOUR)
    spoil(bench, length, 2, error)
    refused(bench)


@pytest.mark.parametrize(("place", "bits"), [(3, 0x01), (2, 0x01), (2, 0x02), (2, 0x08)])
def test_a_time_out_with_anything_heard_is_not_silence(bench: Bench, place: int, bits: int) -> None:
    """FIFOLevelReg or ErrorReg say that something came in before the timer ran out."""
    flushes = []

    def tamper(sent: bytes, got: bytes) -> bytes:
        if sent == b"\x14\x80":
            flushes.append(bench.now_ns)
        if sent[0] == 0x88:
            return got[:place] + bytes([got[place] | bits]) + got[place + 1 :]
        return got

    bench.tamper = tamper
    assert bench.poll() == UNREADABLE
    assert flushes, "what came in must not be sent with the next call"


@pytest.mark.parametrize("number", [FOUR, SEVEN, TEN])
def test_a_card_taken_away_at_any_moment_harms_nothing(make_bench, number: str) -> None:
    frames = make_bench().start()
    frames.place(number)
    count = frames.frames_of(frames.poll)
    for at in range(1, count + 1):
        bench = make_bench().start()
        card = bench.place(number)
        first = bench.frames

        def take(n: int, bench=bench, card=card, at=at, first=first) -> None:
            if n == first + at and card in bench.field.cards:
                bench.field.remove(card)

        bench.on_frame = take
        outcome = bench.poll()
        assert outcome in (NOBODY, NUMBER, UNREADABLE), at
        assert bench.told == ([number] if outcome == NUMBER else []), at
        assert bench.longest_ns < 12e6, at
        bench.run_ms(400)
        assert bench.health == [("ok", "VersionReg 92")], at
        if outcome != NOBODY:
            assert bench.told[-1] == "gone", at
        # And the next card is read as ever.
        bench.told.clear()
        bench.place(number)
        bench.poll()
        assert bench.told == [number], at


def test_an_answer_later_than_the_standard_has_it_is_read_with_patience(bench: Bench) -> None:
    bench.place(SEVEN)
    bench.patience = 0.6  # the first look at the status comes too early
    outcomes = bench.polls(8)
    assert NUMBER in outcomes and DEAD not in outcomes and SEVERAL not in outcomes
    assert bench.told == [SEVEN]
    assert outcomes[-3:] == [NUMBER] * 3


def test_request_anticoll_select_do_alone(bench: Bench) -> None:
    """The usual three calls of a program that has only the driver."""
    bench.place(FOUR)
    chip = bench.chip
    assert chip.request() == 0 and chip.anticoll() == 0
    assert bytes(chip.uid).hex() == FOUR + "d4" and chip.bcc() == 0xD4
    assert chip.select_tag() == 0 and chip.sak == 0x08
    chip.halt()
    bench.sleep_ns(1_000_000)
    assert chip.request() == 1  # a halted card does not hear REQA
    assert chip.request(0x52) == 0
