"""`make run` without a terminal."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
# Per source: the lamp is read from its pins, and what the firmware says of itself comes over MQTT,
# so that either may be first.
SHOWN = {
    "--": ("open to all", "restricted", "an unknown card", "Anna's card", "Anna's", "complete"),
    "contactor": ("closed: current flows", "open", "closed: current flows", "open"),
    "light": ("blue", "green", "yellow", "red", "yellow", "green", "blue", "green"),
    "state": ("charging", "available", "awaiting", "charging", "finished", "available"),
    "verdict": ("Unknown: refused", "Accepted"),
    "session": ("started: open to all", "ended: unplugged", "ended: card"),
}


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
    for source, shown in SHOWN.items():
        lines = [line for line in run.stdout.splitlines() if f" {source} " in f" {line}"]
        found = iter(lines)
        for words in shown:
            assert any(words in line for line in found), f"no {words!r} in order in {lines}"
    assert not run.stderr
