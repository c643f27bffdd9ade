"""Runs the MicroPython programs beside it and reads what they print."""

import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
PROGRAMS = Path("host_tests/link/programs")

# What a test may still call "not blocked" on a computer that many share. A link that blocks at all
# blocks for at least a second in these tests.
LONGEST_GAP_MS = 250

# The deadlines of the link, shortened so that a test need not wait for them.
QUICK = {
    "OPEN_MS": 1200,
    "ANSWER_MS": 500,
    "PACKET_MS": 600,
    "WRITE_MS": 600,
    "BACKOFF_MS": [50, 100],
    "LASTED_MS": 300_000,
    "keepalive_s": 1,
}


def environment() -> dict[str, str]:
    """The board's import path: the root of the repository, and umqtt."""
    return os.environ | {"MICROPYPATH": f":.frozen:{Path(sys.prefix) / 'micropython'}"}


class Program:
    """A running program. `seen`: everything it printed, as dicts, oldest first."""

    def __init__(self, micropython: str, name: str, **options):
        self.seen: list[dict] = []
        self._lines: queue.Queue[str] = queue.Queue()
        self._process = subprocess.Popen(
            [micropython, str(PROGRAMS / f"{name}.py")],
            cwd=ROOT,
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self._write(options)  # not as an argument: MicroPython takes none of over 255 bytes

    def __enter__(self) -> "Program":
        return self

    def __exit__(self, *_) -> None:
        assert self._process.stdin is not None
        if not self._process.stdin.closed:
            self._process.stdin.close()
        try:
            self._process.wait(3)
        except subprocess.TimeoutExpired:
            self.kill()
        self._reader.join(3)

    def kill(self) -> None:
        """As a power cut does it."""
        self._process.kill()
        self._process.wait()

    def do(self, what: str, **order) -> None:
        self._write({"do": what} | order)

    def wait(self, what: str, within_s: float = 8, **expected) -> dict:
        """The next line about `what` in which `expected` stands."""
        return self.until(
            lambda line: line["what"] == what and expected.items() <= line.items(),
            within_s,
            f"{what} {expected}",
        )

    def wait_in_any_order(self, *expected: dict, within_s: float = 8) -> None:
        """Until each of these has been in a line: what the broker answers first is its affair."""
        missing = list(expected)

        def last(line: dict) -> bool:
            missing[:] = [one for one in missing if not one.items() <= line.items()]
            return not missing

        self.until(last, within_s, f"all of {expected}")

    def until(self, true: Callable[[dict], bool], within_s: float, named: str) -> dict:
        end = time.monotonic() + within_s
        while True:
            try:
                text = self._lines.get(timeout=max(0.001, end - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"no {named} within {within_s} s; seen {self.seen}") from None
            line = self._parsed(text)
            self.seen.append(line)
            if true(line):
                return line

    def facts(self) -> dict:
        """What was measured since the last call."""
        self.do("facts")
        return self.wait("facts")

    def unblocked(self, during: str) -> dict:
        """`facts`, when no task was kept waiting; prints how long it was at most."""
        facts = self.facts()
        print(f"{during}: longest gap {facts['gap_ms']:.1f} ms, {facts['late']} over 25 ms")
        assert facts["gap_ms"] < LONGEST_GAP_MS, facts
        assert facts["beats"] > 0, "the link's own task stood still"
        return facts

    def count(self, what: str, **expected) -> int:
        """How many such lines were seen so far."""
        return sum(line["what"] == what and expected.items() <= line.items() for line in self.seen)

    def _write(self, content: dict) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(content) + "\n")
        self._process.stdin.flush()

    def _parsed(self, text: str) -> dict:
        try:
            return json.loads(text)
        except ValueError:
            return {"what": "text", "text": text}

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line.rstrip("\n"))
