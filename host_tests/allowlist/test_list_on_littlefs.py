"""The allow-list on a real littlefs, under the board's interpreter: at full size, and cut short."""

import hashlib
import json
import subprocess
from pathlib import Path

import pytest

from host_tests.pure.lists import List

ROOT = Path(__file__).parent.parent.parent
PROGRAMS = Path("host_tests/allowlist/programs")
CARDS = 50_000


def run(micropython: str, program: str, *arguments: str) -> dict:
    done = subprocess.run(
        [micropython, "-X", "heapsize=16M", str(PROGRAMS / program), *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize(
    "case", ["first list", "cards changed", "other shards", "nobody", "pack copied"]
)
def test_the_supply_cut_at_every_block_write_leaves_one_whole_list(micropython: str, case: str):
    found = run(micropython, "power_cuts.py", case)
    assert found["cuts"] > 10
    assert found["old"] > 0


@pytest.fixture(scope="module")
def at_size(micropython: str, tmp_path_factory: pytest.TempPathFactory) -> dict:
    tokens = (hashlib.sha256(b"%d" % number).digest()[:7] for number in range(CARDS))
    built = List(dict.fromkeys(tokens, (0, 0, 0, 1)), 8)
    path = tmp_path_factory.mktemp("list") / "objects"
    objects = [built.index, *built.shards]
    path.write_bytes(b"".join(len(each).to_bytes(2, "big") + each for each in objects))
    return run(micropython, "at_size.py", str(path), str(CARDS))


def test_50_000_cards_have_room_next_to_firmware_and_journal(at_size: dict):
    assert at_size["blocks"] <= 220
    assert at_size["blocks_free"] >= 128


def test_a_look_up_among_50_000_cards_reads_little(at_size: dict):
    assert at_size["lookup_blocks_read"] <= 8
    assert at_size["lookup_pieces_read"] <= 48


def test_one_card_changed_among_50_000_stays_within_the_budget(at_size: dict):
    assert at_size["change_bytes_received"] <= 9 * 1024
    assert at_size["change_blocks_programmed"] <= 6


def test_the_memory_for_50_000_cards_stays_small(at_size: dict):
    assert at_size["heap_bytes"] <= 18 * 1024  # of a 64-bit interpreter
