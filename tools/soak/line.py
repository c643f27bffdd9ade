"""The line to the modelled board (board/line.py): its questions, and the answers. The board's clock
stands still between the two."""

from __future__ import annotations

import os
import select
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from tools.soak.board import codes

_QUESTION = struct.Struct(codes.QUESTION)
_ANSWER = struct.Struct(codes.ANSWER)
_ORDER = struct.Struct(codes.ORDER)

Order = tuple[int, int, bytes]
_LOOK_MS = 2_000


class Gone(Exception):
    """The board's process has ended by itself."""


class Question(NamedTuple):
    """`now_ns`: on the board's clock. `pulses`: of the meter, since the board's start."""

    what: int
    argument: int
    now_ns: int
    pulses: int
    data: bytes


class Line:
    """Two named pipes in a folder, for one life of the board."""

    def __init__(self, folder: Path):
        self.ask, self.hear = folder / "ask", folder / "hear"
        for path in (self.ask, self.hear):
            path.unlink(missing_ok=True)
            os.mkfifo(path)
        # Held open for both ways, so that neither end waits for the other to come.
        self._asked = os.open(self.ask, os.O_RDWR)
        self._told = os.open(self.hear, os.O_RDWR)

    def question(self, alive: Callable[[], bool]) -> Question:
        head = self._read(_QUESTION.size, alive)
        what, _, size, argument, now_ns, pulses = _QUESTION.unpack(head)
        return Question(what, argument, now_ns, pulses, self._read(size, alive))

    def answer(
        self,
        number: int,
        flags: int,
        due_ns: int,
        closely_ms: int,
        data: bytes = b"",
        orders: Sequence[Order] = (),
    ) -> None:
        parts = [_ANSWER.pack(number, flags, len(orders), 0, due_ns, closely_ms), data]
        for what, argument, content in orders:
            parts += [_ORDER.pack(what, argument, len(content)), content]
        os.write(self._told, b"".join(parts))

    def close(self) -> None:
        os.close(self._asked)
        os.close(self._told)

    def _read(self, size: int, alive: Callable[[], bool]) -> bytes:
        found = b""
        while len(found) < size:
            ready, _, _ = select.select([self._asked], [], [], _LOOK_MS / 1_000)
            if ready:
                found += os.read(self._asked, size - len(found))
            elif not alive():
                raise Gone
        return found
