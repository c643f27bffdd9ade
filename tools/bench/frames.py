"""The driver on the chip model: SPI frames of a look, and what the chip answers to it."""

from __future__ import annotations

import sys
import types
from typing import NamedTuple

from tools.bench.model import FRAME_US, SPI_HZ
from tools.virtual.rc522 import Chip, Field, MifareClassic

_READ_STATUS = 0x80 | 0x04 << 1
_WRITE_FIFO = 0x09 << 1
_FRAMING = 0x0D << 1
_START_SEND = 0x80
_START_POLLS = 20  # by then the chip is up


class Look(NamedTuple):
    """One poll. `answers`: what was sent to the card, and what the chip then showed:
    five status registers and the bytes of its FIFO. `air_us`: what the driver waited for."""

    frames: int
    bytes: int
    air_us: int
    answers: list[tuple[bytes, bytes]]


def look(uid: str | None) -> Look:
    """One poll of the reader, at the number of a card that lies there, or at nobody."""
    desk = _Desk()
    desk.polls(_START_POLLS)
    if uid is not None:
        desk.field.place(MifareClassic(bytes.fromhex(uid), "classic1k", start_up_ns=0))
    desk.polls(1)  # the first one tells of it
    desk.frames = desk.bytes = desk.air_us = 0
    desk.answers.clear()
    desk.polls(1)
    if desk.told != ([] if uid is None else [uid]):
        raise AssertionError(f"the reader told of {desk.told}, in the field was {uid}")
    return Look(desk.frames, desk.bytes, desk.air_us, list(desk.answers))


class _Desk:
    """Chip model, driver and reader, on a clock of their own."""

    def __init__(self) -> None:
        mfrc522, reader = _driver()
        setattr(mfrc522, "sleep_us", self._wait)  # noqa: B010
        setattr(reader, "ticks_ms", lambda: self.now_ns // 1_000_000)  # noqa: B010
        self.now_ns = 1_000_000_000
        self.field = Field(lambda: self.now_ns)
        self.model = Chip(lambda: self.now_ns, self.field)
        self.frames = self.bytes = self.air_us = 0
        self.answers: list[tuple[bytes, bytes]] = []
        self.told: list[str] = []
        self._sent = b""
        self._asked = False
        chip = mfrc522.MFRC522(self, self._cs)
        self._reader = reader.Reader(chip, lambda number: self.told.append(number.hex()))

    def polls(self, count: int) -> None:
        for _ in range(count):
            self._reader.poll()
            self.now_ns += 25_000_000

    def _wait(self, us: int) -> None:
        self.now_ns += us * 1_000
        self.air_us += us

    def _cs(self, level: int) -> None:
        if level:
            self.model.deselect()
        else:
            self.frames += 1
            self.now_ns += FRAME_US * 1_000
            self.model.select()

    def write(self, out: bytes) -> None:
        self._clock(bytes(out))
        if out[0] == _WRITE_FIFO:
            self._sent = bytes(out[1:])
        elif out[0] == _FRAMING and out[1] & _START_SEND:
            self._asked = True

    def write_readinto(self, out: bytes, into: memoryview) -> None:
        into[:] = self._clock(bytes(out))
        if self._asked and out[0] == _READ_STATUS:
            self._asked = False
            self.answers.append((self._sent, bytes(into[1:])))

    def _clock(self, out: bytes) -> bytes:
        self.bytes += len(out)
        self.now_ns += len(out) * 8_000_000_000 // SPI_HZ
        return self.model.exchange(out)


def _driver():
    """The firmware's modules, under CPython, which lacks some of what they import."""
    import time

    if "micropython" not in sys.modules:
        stand_in = types.ModuleType("micropython")
        vars(stand_in)["const"] = lambda value: value
        sys.modules["micropython"] = stand_in
    for name, function in (
        ("sleep_us", lambda us: None),
        ("ticks_ms", lambda: 0),
        ("ticks_add", lambda ticks, ms: ticks + ms),
        ("ticks_diff", lambda end, start: end - start),
    ):
        if not hasattr(time, name):
            setattr(time, name, function)
    from firmware.cards import mfrc522, reader

    return mfrc522, reader


_COMMANDS, _SENT_BYTES, _ANSWER_BYTES = 6, 10, 12


def record(uid: str) -> bytes:
    """The answers of a card as the modelled board's chip takes them (board/reader_chip.py)."""
    found = b""
    for sent, answer in look(uid).answers:
        found += bytes([len(sent)]) + sent.ljust(_SENT_BYTES, b"\0")
        found += bytes([len(answer)]) + answer.ljust(_ANSWER_BYTES, b"\0")
    return found.ljust(_COMMANDS * (2 + _SENT_BYTES + _ANSWER_BYTES), b"\0")
