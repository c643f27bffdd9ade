"""The allow-list on a real littlefs, under the board's interpreter: at full size, and cut short."""

import hashlib
from pathlib import Path

import pytest

from host_tests.programs import found_by
from host_tests.pure.lists import List

PROGRAMS = Path("host_tests/allowlist/programs")
CARDS = 50_000


def run(micropython: str, program: str, *arguments: str) -> dict:
    return found_by(micropython, PROGRAMS / program, *arguments, within_s=120)


@pytest.mark.parametrize(
    "case", ["first list", "cards changed", "other shards", "nobody", "pack copied"]
)
def test_the_supply_cut_at_every_block_write_leaves_one_whole_list(micropython: str, case: str):
    found = run(micropython, "power_cuts.py", case)
    assert found["cuts"] >= 10
    assert found["old"] > 0


def write_list(path: Path, salt: bytes = b"") -> Path:
    """The objects of 50,000 cards, one behind the other as the programs take them."""
    tokens = (hashlib.sha256(salt + b"%d" % number).digest()[:7] for number in range(CARDS))
    built = List(dict.fromkeys(tokens, (0, 0, 0, 1)), 8)
    objects = [built.index, *built.shards]
    path.write_bytes(b"".join(len(each).to_bytes(2, "big") + each for each in objects))
    return path


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_list(tmp_path_factory.mktemp("list") / "objects")


@pytest.fixture(scope="module")
def at_size(micropython: str, objects: Path) -> dict:
    return run(micropython, "at_size.py", str(objects), str(CARDS))


@pytest.mark.parametrize(("blocks_left", "at_once"), [(242, True), (210, False)])
def test_50_000_cards_all_replaced_at_once_or_after_a_list_of_nobody(
    micropython: str, objects: Path, tmp_path: Path, blocks_left: int, at_once: bool
):
    others = write_list(tmp_path / "others", b"other ")
    found = run(micropython, "turnover.py", str(objects), str(others), str(CARDS), str(blocks_left))
    assert found["at_once"] is at_once
    assert found["rejected"] == ([] if at_once else ["flash_full"])
    assert found["blocks_free"] >= blocks_left - 16  # nothing of the old list is left


def test_50_000_cards_have_room_next_to_firmware_and_journal(at_size: dict):
    assert at_size["blocks"] <= 220
    assert at_size["blocks_free"] >= 128


def test_a_look_up_among_50_000_cards_reads_little(at_size: dict):
    assert at_size["lookup_blocks_read"] <= 8
    assert at_size["lookup_pieces_read"] <= 48


def test_one_card_changed_among_50_000_stays_within_the_budget(at_size: dict):
    assert at_size["change_bytes_received"] <= 9 * 1024
    assert at_size["change_blocks_programmed"] <= 5


def test_the_memory_for_50_000_cards_stays_small(at_size: dict):
    assert at_size["heap_bytes"] <= 24 * 1024  # of a 64-bit interpreter


@pytest.mark.parametrize("case", ["settings", "versions", "clock", "switched off"])
def test_the_supply_cut_at_every_block_write_of_a_small_file_leaves_the_old_or_the_new(
    micropython: str, case: str
):
    found = run(micropython, "file_cuts.py", case)
    assert found["cuts"] >= 3
    assert found["old"] > 0
