"""The empty poll runs 40 times a second for years: it must leave the heap alone."""

import subprocess
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def test_an_empty_poll_allocates_nothing_under_micropython(micropython: str) -> None:
    run = subprocess.run(
        [micropython, "host_tests/reader/programs/no_allocation.py"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert run.stdout.strip() == "nothing allocated"
