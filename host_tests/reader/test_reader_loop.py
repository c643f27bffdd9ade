"""The asyncio side: the rhythm of the polls, the watchdog's beat, nobody kept waiting."""

import asyncio
from itertools import pairwise

import pytest

from firmware.cards import reader as reader_module
from host_tests.reader.bench import Bench


class Enough(Exception):
    pass


@pytest.fixture
def run(bench: Bench, monkeypatch):
    """Runs the loop for so many turns on the bench's clock; returns when each poll began, in ms."""

    def run_turns(turns: int) -> list[float]:
        began: list[float] = []

        async def sleep_ms(ms: int) -> None:
            assert ms >= 1
            bench.sleep_ns(int(ms * 1_000_000))
            if len(began) >= turns:
                raise Enough

        poll = bench.reader.poll

        def noted_poll() -> int:
            began.append(bench.now_ns / 1e6)
            return poll()

        monkeypatch.setattr(reader_module.asyncio, "sleep_ms", sleep_ms)
        monkeypatch.setattr(bench.reader, "poll", noted_poll)
        with pytest.raises(Enough):
            asyncio.run(bench.reader.run())
        monkeypatch.setattr(bench.reader, "poll", poll)
        return began

    return run_turns


def gaps(began: list[float]) -> list[float]:
    return [later - earlier for earlier, later in pairwise(began)]


def test_an_empty_field_is_polled_every_25_ms(bench: Bench, run) -> None:
    assert all(24 <= gap <= 26 for gap in gaps(run(50)))


def test_the_watchdog_gets_a_beat_each_turn(bench: Bench, run) -> None:
    run(50)
    assert bench.beats == 50


def test_the_beat_goes_on_while_the_chip_is_dead(bench: Bench, run) -> None:
    bench.model.fault = "dead"
    began = run(400)
    assert bench.beats == 400
    assert max(gaps(began)) < 30
    assert bench.reader.health == "fault"


def test_a_card_at_rest_is_polled_every_100_ms(bench: Bench, run) -> None:
    bench.place("04a1b2c3")
    pauses = gaps(run(20))
    assert all(24 <= gap <= 27 for gap in pauses[:1])
    assert all(99 <= gap <= 102 for gap in pauses[3:])


def test_a_card_at_rest_that_is_missed_is_looked_for_every_25_ms(bench: Bench, run) -> None:
    card = bench.place("04a1b2c3")
    run(10)
    bench.field.remove(card)
    pauses = gaps(run(12))
    assert all(24 <= gap <= 26 for gap in pauses[2:])
    assert bench.told == ["04a1b2c3", "gone"]


def test_a_card_that_was_taken_away_is_known_to_be_gone_within_a_quarter_second(
    bench: Bench, run
) -> None:
    card = bench.place("04a1b2c3")
    run(10)
    bench.field.remove(card)
    taken_ns = bench.now_ns
    while bench.told[-1] != "gone":
        run(1)
    assert bench.now_ns - taken_ns < 250_000_000


def test_a_card_that_is_awaited_is_looked_for_every_6_ms(bench: Bench, run) -> None:
    bench.reader._awaited = lambda: True
    assert all(5 <= gap <= 7 for gap in gaps(run(50)))
    bench.place("04a1b2c3")
    assert all(99 <= gap <= 102 for gap in gaps(run(20))[3:])


def test_a_card_that_was_halted_is_left_in_peace_however_long_its_number_took(
    bench: Bench, run
) -> None:
    bench.reader._awaited = lambda: True
    bench.place("04a1b2c3")
    bench.reader.presentation._on_card = lambda number: bench.sleep_ns(40_000_000)
    (gap,) = gaps(run(2))
    assert gap >= 40 + 10


def test_who_polls_more_often_anyhow_goes_on_with_that(bench: Bench, run) -> None:
    bench.reader._awaited = lambda: True
    bench.reader._poll_ms = 5
    assert all(4 <= gap <= 6 for gap in gaps(run(50)))


def test_there_is_time_for_other_things_only_when_no_look_is_wanted_soon(bench: Bench, run) -> None:
    card = bench.place("04a1b2c3")
    moments: list[tuple] = []
    bench.reader._between = lambda: moments.append(
        (bench.told[-1:], bench.reader.presentation.misses)
    )
    run(4)
    bench.field.remove(card)
    run(12)
    # The first look has read the card, the second found it again; then it is missed.
    assert moments[:3] == [(["04a1b2c3"], 0)] * 3
    assert moments[3:] == [(["gone"], 0)] * len(moments[3:]) and len(moments) > 3


def test_what_takes_long_between_two_looks_delays_none(bench: Bench, run) -> None:
    bench.reader._between = lambda: bench.sleep_ns(18_000_000)
    assert all(24 <= gap <= 26 for gap in gaps(run(50)))
