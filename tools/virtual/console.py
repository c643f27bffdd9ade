"""The board's console on standard output, whole lines at a time."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys

_READ_BYTES = 4096


class StandardOutput:
    """Nothing is typed into this console, so it never shows a REPL."""

    repl = False
    raw = False

    def __init__(self, loop: asyncio.AbstractEventLoop):
        self._loop = loop
        self._read = -1
        self._line = b""

    def attach(self) -> tuple[int, int]:
        self._read, write = os.pipe()
        os.set_blocking(self._read, False)
        self._loop.add_reader(self._read, self._printed)
        return os.open(os.devnull, os.O_RDONLY), write

    def life_began(self, process: subprocess.Popen) -> None:
        """Nothing to do: the pipe is all there is."""

    def life_state(self, name: str) -> None:
        """Nothing to do: there is no REPL to prepare."""

    def interrupts(self, on: bool) -> None:
        """Nothing to do: no Ctrl-C comes this way."""

    def life_ended(self, soft: bool) -> None:
        if self._read < 0:
            return
        self.catch_up()
        self._loop.remove_reader(self._read)
        os.close(self._read)
        self._read = -1
        if self._line:
            show(self._line + b"\n")
            self._line = b""

    def catch_up(self) -> None:
        """Show what the board has printed until now, before anything else is said."""
        while self._read >= 0 and self._printed():
            continue

    def close(self) -> None:
        self.life_ended(soft=False)

    def _printed(self) -> bool:
        try:
            data = os.read(self._read, _READ_BYTES)
        except BlockingIOError:
            return False
        if not data:
            self._loop.remove_reader(self._read)
            return False
        whole, newline, self._line = (self._line + data).rpartition(b"\n")
        if newline:
            show(whole + newline)
        return True


def show(data: bytes) -> None:
    """On standard output at once; whoever closed it does not want to know."""
    try:
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    except (BrokenPipeError, ValueError):
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115


def say(text: str) -> None:
    show(text.encode() + b"\n")
