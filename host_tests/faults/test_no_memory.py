"""Memory ends at any allocation between the broker's bytes and the flash, or between a card and the
coil, in the firmware as it is wired and under MicroPython: nothing is half done, the next message
is taken, and the coil is where the session says. What does not move the coil is tried here at every
third; with TAPGATE_EVERY_CUT=1 in the environment all is at every one.
"""

import json
import os
import subprocess
from pathlib import Path

from host_tests.link.running import environment
from host_tests.programs import ROOT

PROGRAM = "host_tests/faults/programs/no_memory.py"
# Each takes seconds of one processor: two at a time.
THIRD = "1" if os.environ.get("TAPGATE_EVERY_CUT") == "1" else "3"
KINDS = (
    (THIRD, ("settings", "allow-list", "index", "shard", "junk", "sending", "command", "verdict")),
    ("1", ("stop", "tap", "second tap")),
)
WITHIN_S = 120
LEAST = 20  # times that any of them was tried


def test_wherever_memory_ends_nothing_is_half_done_and_the_next_message_is_taken(
    micropython: str, tmp_path: Path
):
    running = []
    for number, (every, kinds) in enumerate(KINDS):
        folder = tmp_path / str(number)
        folder.mkdir()
        said = tmp_path / f"{number}.txt"
        command = [micropython, "-X", "heapsize=1M", PROGRAM, str(folder)]
        command += [",".join(kinds), every]
        with said.open("w") as out:
            process = subprocess.Popen(
                command, cwd=ROOT, env=environment(), stdout=out, stderr=subprocess.STDOUT
            )
        running.append((process, said, kinds))
    for process, said, kinds in running:
        status = process.wait(WITHIN_S)
        assert status == 0, said.read_text()[-3_000:]
        found = json.loads(said.read_text().splitlines()[-1])
        assert set(found) == set(kinds)
        for kind, counts in found.items():
            assert counts["tried"] >= LEAST, kind
            assert counts["failed"] > 0 or kind == "junk", kind
