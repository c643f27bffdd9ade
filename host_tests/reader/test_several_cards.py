"""Two cards at once: "one card please", never one of them at a guess."""

import random

import pytest

from firmware.cards.iso14443a import SEVERAL, UNREADABLE
from firmware.cards.mfrc522 import ANSWER, COLLISION, SILENCE, WUPA
from host_tests.reader.bench import Bench, MifareClassic, Phone

A = "04a1b2c3"


def some_numbers(rng: random.Random, count: int) -> list[str]:
    numbers: set[str] = set()
    while len(numbers) < count:
        length = rng.choice([4, 7, 10])
        numbers.add((bytes([rng.choice([1, 4, 0x52, 0xF5])]) + rng.randbytes(length - 1)).hex())
    return sorted(numbers)


@pytest.mark.parametrize("count", [2, 3, 5])
@pytest.mark.parametrize("seed", range(25))
def test_several_cards_at_once_are_several(make_bench, count: int, seed: int) -> None:
    bench = make_bench(seed=seed).start()
    for number in some_numbers(random.Random(seed * 10 + count), count):
        bench.place(number, random.Random(seed).choice(["classic1k", "classic4k"]))
    bench.polls(40)
    assert bench.told == ["several"]
    assert bench.longest_ns < 12e6


@pytest.mark.parametrize("bit", range(32))
def test_numbers_that_differ_in_one_bit_are_told_apart(bench: Bench, bit: int) -> None:
    other = int.from_bytes(bytes.fromhex(A), "little") ^ 1 << bit
    number = other.to_bytes(4, "little")
    if number[0] == 0x08:
        pytest.skip("08 would be a random number")
    bench.place(A)
    bench.place(number.hex())
    assert bench.poll() == SEVERAL
    bench.polls(20)
    assert bench.told == ["several"]


def test_numbers_that_differ_in_the_second_level_are_told_apart(bench: Bench) -> None:
    bench.place("04112233445566")
    bench.place("04112233445567")
    bench.polls(20)
    assert bench.told == ["several"]


def test_a_short_number_that_is_the_beginning_of_a_long_one_is_told_apart(bench: Bench) -> None:
    bench.place("88041122")
    bench.place("04112233445566")
    bench.polls(20)
    assert bench.told == ["several"]


def test_two_phones_are_several(bench: Bench) -> None:
    bench.field.place(Phone(random.Random(1)))
    bench.field.place(Phone(random.Random(2)))
    bench.sleep_ns(10_000_000)
    bench.polls(20)
    assert bench.told == ["several"]


def test_a_phone_and_a_card_are_several(bench: Bench) -> None:
    bench.field.place(Phone(random.Random(1)))
    bench.place(A)
    bench.polls(20)
    assert bench.told == ["several"]


def test_a_second_card_laid_beside_a_tapped_one_is_no_tap(bench: Bench) -> None:
    bench.place(A)
    bench.polls(4)
    second = bench.place("05a1b2c3")
    bench.polls(20)
    bench.field.remove(second)
    bench.polls(80)
    assert bench.told == [A, "several"]


def test_the_last_of_several_is_a_tap_when_it_has_stayed_alone(bench: Bench) -> None:
    first = bench.place(A)
    bench.place("05a1b2c3")
    bench.polls(20)
    bench.field.remove(first)
    bench.run_ms(900)
    assert bench.told == ["several"]
    bench.run_ms(200)
    assert bench.told == ["several", "gone", "05a1b2c3"]


def test_noise_alone_never_makes_one_card_several(make_bench) -> None:
    for seed in range(15):
        bench = make_bench(seed=seed).start()
        bench.model.fault = "noise"
        bench.place(A)
        bench.polls(60)
        assert "several" not in bench.told


def test_two_cards_in_noise_are_never_one(make_bench) -> None:
    for seed in range(15):
        bench = make_bench(seed=seed).start()
        bench.model.fault = "noise"
        bench.place(A)
        bench.place("05a1b2c7")
        bench.polls(60)
        assert set(bench.told) <= {"several", "unreadable"}


def test_a_collision_without_a_second_card_gives_no_number(bench: Bench) -> None:
    """As strong noise in one bit would have it, once at one bit and once at another."""
    bench.place(A)
    for bit in (3, 17):

        def tamper(sent: bytes, got: bytes, bit: int = bit) -> bytes:
            if len(sent) == 11 and sent[0] == 0x88:
                bench.tamper = lambda sent, got: got
                return got[:2] + bytes([0x08]) + got[3:5] + bytes([bit]) + got[6:]
            return got

        bench.tamper = tamper
        assert bench.poll() == UNREADABLE
        assert bench.told == []
        assert f"collision at bit {bit} of level 1" in bench.reader._selection.why


def test_anticollision_follows_every_bit_to_each_card(bench: Bench) -> None:
    """Positions count from the first byte of the answer: with three cards the second collision
    comes after bits that were known already."""
    chip = bench.chip
    rng = random.Random(7)
    for _ in range(60):
        numbers = [rng.randbytes(4) for _ in range(4)]
        # The same first bits, so that collisions come late and in the midst of bytes.
        shared = rng.randrange(32)
        stem = int.from_bytes(numbers[0], "little") & ((1 << shared) - 1)
        numbers = [
            (int.from_bytes(n, "little") >> shared << shared | stem).to_bytes(4, "little")
            for n in numbers
        ]
        numbers = [bytes([0x05]) + n[1:] if n[0] == 0x88 else n for n in numbers]
        cards = [MifareClassic(number, rng=rng) for number in numbers]
        for card in cards:
            bench.field.place(card)
        bench.sleep_ns(10_000_000)
        found = set()
        pending: list[tuple[bytes, int]] = [(bytes(5), 0)]
        while pending:
            prefix, known = pending.pop()
            code = SILENCE
            for _ in range(2):  # a card that was in mid-selection hears only the second call
                if chip.request(WUPA) == SILENCE:
                    continue
                chip.uid[:] = prefix
                code = chip.anticoll(1, known)
                break
            if code == ANSWER:
                assert chip.bcc() == chip.uid[4]
                found.add(bytes(chip.uid[:4]))
            elif code == COLLISION:
                one = bytes(chip.uid)
                at = chip.known
                assert one[(at - 1) >> 3] >> (at - 1 & 7) == 1  # nothing beyond what is known
                zero = bytearray(one)
                zero[(at - 1) >> 3] ^= 1 << (at - 1 & 7)
                pending += [(one, at), (bytes(zero), at)]
            chip.halt()
            bench.sleep_ns(1_000_000)
        assert found == set(numbers)
        for card in cards:
            bench.field.remove(card)
        bench.sleep_ns(10_000_000)
