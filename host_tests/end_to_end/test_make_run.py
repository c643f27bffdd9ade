"""`make run` without a terminal."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SHOWN = (
    "open to all",
    "closed: current flows",
    "blue",
    "restricted",
    "yellow",
    "awaiting",
    "red",
    "Unknown",
    "Anna's card",
    "closed: current flows",
    "charging",
    "finished",
    "the round is complete",
)


def test_it_plays_one_full_round_and_exits_0(micropython: str):
    run = subprocess.run(
        [sys.executable, "-m", "tools.demo"],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    at = 0
    for words in SHOWN:
        found = run.stdout.find(words, at)
        assert found >= 0, f"{words!r} does not follow in:\n{run.stdout}"
        at = found + len(words)
    assert not run.stderr
