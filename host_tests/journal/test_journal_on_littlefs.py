"""The journal on a real littlefs, under the board's interpreter: cut short, full, and worn.

A block of the flash bears 100,000 erasures. littlefs moves what is written often to other blocks
after every 100 of them, so that all that are free take turns:

    years = free blocks x 100,000 / (blocks erased in a session x sessions a day x 365)

With 10 sessions a day of an hour each, a reading stored every minute, and the 200 blocks that are
free beside firmware and a list of 50,000 cards: over 2,000 years online, 900 offline. Even if no
more than 8 blocks were to take turns it would be over 80 and 35.
"""

from pathlib import Path

import pytest

from host_tests.allowlist.test_list_on_littlefs import CARDS, write_list
from host_tests.programs import found_by

PROGRAMS = Path("host_tests/journal/programs")
SESSIONS = 10_000
ERASURES = 100_000


def run(micropython: str, program: str, *arguments: str) -> dict:
    found = found_by(micropython, PROGRAMS / program, *arguments, within_s=300)
    print(program, *arguments, found)
    return found


def test_the_supply_cut_at_every_block_write_loses_and_doubles_nothing(micropython: str):
    found = run(micropython, "power_cuts.py")
    assert found["cuts"] >= 90
    assert 20 <= found["running"] <= found["cuts"] - 20  # cut in sessions, and between them


@pytest.fixture(scope="module")
def full(micropython: str, tmp_path_factory: pytest.TempPathFactory) -> dict:
    objects = write_list(tmp_path_factory.mktemp("list") / "objects")
    return run(micropython, "capacity.py", str(objects), str(CARDS), str(SESSIONS))


def test_10_000_sessions_are_kept_next_to_50_000_cards_and_sent_in_order(full: dict):
    assert full["lost_sessions"] == 0
    assert full["events"] == full["pending"] == 2 * SESSIONS + full["routine_kept"]
    assert full["routine_kept"] > 100
    assert full["stored"]


def test_a_full_journal_has_said_so_long_before(full: dict):
    assert full["full"] == sorted(full["full"])
    assert full["full"][-2] < 75 < full["full"][-1] < 100


def test_cards_can_change_beside_a_full_journal(full: dict):
    assert full["blocks_free"] >= 32  # what a pack of them needs to be written anew; and they did


def test_what_is_acknowledged_gives_its_room_back(full: dict):
    assert full["files_left"] == ["a", "b"]


def test_a_full_journal_is_read_quickly_at_the_start_and_in_pieces_afterwards(full: dict):
    assert full["load_blocks"] <= 300
    assert full["load_pieces"] <= 4_000  # of 128 bytes, most of them to find out what is free
    assert full["pieces_per_event"] <= 6


@pytest.mark.parametrize(("link", "erased", "programmed"), [("online", 4, 16), ("offline", 9, 36)])
def test_a_session_wears_the_flash_little(
    micropython: str, link: str, erased: int, programmed: int
):
    found = run(micropython, "wear.py", link, "100")
    assert found["erased"] <= erased
    assert found["programmed"] <= programmed * 1_024
    assert found["most_erased"] <= 110  # then others have their turn
    assert 8 * ERASURES / (found["erased"] * 10 * 365) > 20


def test_an_idle_journal_takes_little_memory(micropython: str):
    found = run(micropython, "heap.py")
    assert found["idle_bytes"] <= 5_000  # of a 64-bit interpreter
    assert found["code_bytes"] <= 36_000
