"""The bench itself: that what it counts adds up, and that a missed budget is shown as missed."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from tools.bench import frames, growth, printed
from tools.bench.charger import Cost
from tools.bench.figures import Measured, budgets, flat
from tools.bench.fleet import Times
from tools.bench.frames import Look
from tools.bench.growth import Figures
from tools.bench.taps import Charger, Run, Tap

KEYS = (
    "tap_to_coil_ms_p50", "tap_to_coil_ms_p99", "tap_to_coil_faulty_link_ms_p99",
    "spi_frames_empty_poll", "spi_frames_uid4", "spi_frames_uid7", "cards_on_2mb",
    "lookup_reads_max", "lookup_ms_50k", "one_card_bytes_received",
    "one_card_blocks_programmed", "journal_sessions", "heap_used_kb_32bit", "mpy_kb",
)  # fmt: skip


def a_tap(uid: str, ms: float) -> Tap:
    return Tap(uid, ms, [0.0] * 5 + [ms - 7], [1.0, 0.0, 2.0, 1.0, 3.0, 0.0], [22, 76, 1, 8, 0])


def everything(p99_ms: float = 39.0, heap_kb: int = 100) -> Measured:
    """Figures that keep every budget, but for what is said otherwise."""
    taps = [a_tap(uid, p99_ms) for uid in ("04a1b2c3", "04a1b2c3d4e5f6")]
    run = Run(taps, 1, 0, 280_000.0, 120_000.0, 0.4)
    looks = (Look(7, 0, 0, []), Look(22, 0, 0, []), Look(34, 0, 0, []))
    size = Figures(50_000, 211, 80, 8, 9, [0.0] * 6, 20, 5, 11, 1, 0, 600, [5], [5], [7_400])
    return Measured(
        looks, run, run, run, 4.5, [size._replace(cards=100), size], 76_000, 170, 10_500, 1_400,
        Cost([7_400], [6]), heap_kb * 1024, 140_000, 137_000, Times(1, 1, 2),
    )  # fmt: skip


def test_the_json_has_the_keys_that_others_rely_on():
    found = flat(everything())
    assert set(KEYS) <= found.keys()
    assert all(isinstance(value, int | float) for value in found.values())


def test_a_budget_that_is_kept_or_missed_is_shown_so():
    assert all(row.kept is not False for row in budgets(everything()))
    missed = [
        row.what for row in budgets(everything(p99_ms=41.0, heap_kb=130)) if row.kept is False
    ]
    assert (
        len(missed) == 4
    )  # with a good link, with a bad one, by the other yardstick, and the heap
    out = io.StringIO()
    printed.show(everything(p99_ms=41.0), Console(file=out, width=118))
    assert out.getvalue().count("MISSED") == 3


def test_frames_are_counted_on_the_chip_model():
    assert [frames.look(uid).frames for uid in (None, "04a1b2c3")] == [7, 22]


@pytest.fixture(scope="module")
def charger(micropython: str, tmp_path_factory: pytest.TempPathFactory) -> Charger:
    return Charger(tmp_path_factory.mktemp("bench"), cards=500)


def test_the_parts_of_a_taps_time_add_up(charger: Charger):
    run = charger.taps(6, seed=3)
    assert run.lost == 0
    for tap in run.taps:
        assert sum(tap.waited) + sum(tap.after) == pytest.approx(tap.ms, abs=0.01)
        # 4 or 7 bytes: frames from the card's first answer on, all but those of the call itself.
        assert tap.counts[0] * 0.04 == pytest.approx(tap.after[0], abs=0.001)
        assert tap.after[2] in (pytest.approx(2.29), pytest.approx(4.185))
        assert tap.after[3] == tap.counts[2] >= 1  # a millisecond for each block of flash
        assert tap.after[4] > 0


def test_a_bad_link_is_gone_through(charger: Charger):
    assert charger.taps(4, seed=4, faults=True).lost == 0


def test_cards_are_judged_one_after_the_other(charger: Charger):
    assert 1 < charger.per_second() < 10


def test_a_list_is_made_loaded_looked_up_in_and_changed(micropython: str, tmp_path: Path):
    found = growth.measured(tmp_path, 300)
    assert (found.files_opened, found.file_reads) == (0, 1)
    assert len(found.change_blocks) == growth.CHANGES
    assert found.lookup_ms >= found.lookup_blocks >= 1
