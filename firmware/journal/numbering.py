"""Numbers that never repeat: how often the board has started, and the number of each event.

One small file holds both. Event numbers are taken from the flash in blocks, so that an event costs
no write of its own; what is left of a block at a power cut is never used.
"""

import json

from micropython import const

from firmware import flash

BLOCK = const(256)  # event numbers reserved with one write
_LIMIT_BYTES = const(64)


class Numbering:
    """`boot` counts the starts of this board; `next()` gives the number of the next event.

    `path`: the file, replaced by an atomic rename. Where it cannot be read, the old numbers are
    lost: the count then goes on from `fallback` (seconds since 1970 of the last known time, or 0),
    so that it still moves forward where a clock is known. Where it cannot be written, `stored` is
    False, numbers are still unique within this start of the board, and each tries to write again.
    """

    def __init__(self, path: str, fallback: int = 0):
        self._path = path
        boot, reserved = _read(path, fallback)
        self.boot = boot + 1
        self._next = self._reserved = reserved
        self.stored = True

    def next(self) -> int:
        """The next event number; writes to flash once in `BLOCK` calls."""
        if self._next >= self._reserved or not self.stored:
            reserved = self._next + BLOCK
            self.stored = _write(self._path, self.boot, reserved)
            self._reserved = reserved
        number = self._next
        self._next = number + 1
        return number


def _read(path: str, fallback: int) -> tuple:
    try:
        boot, reserved = json.loads(flash.read(path, _LIMIT_BYTES) or b"")
        if type(boot) is int and type(reserved) is int and boot >= 0 and reserved >= 1:
            return boot, reserved
    except (ValueError, TypeError):
        pass  # not there yet, or damaged: both go on from the fallback
    return 0, max(1, fallback)


def _write(path: str, boot: int, reserved: int) -> bool:
    try:
        flash.replace(path, json.dumps([boot, reserved]).encode())
    except OSError:
        return False
    return True
