"""A bench: the driver and the reader on the chip model, on a clock that only the bench moves."""

import random

from firmware.cards import mfrc522, mifare, reader
from firmware.cards.mifare import Mifare
from firmware.cards.reader import Reader
from tools.virtual.rc522 import Chip, Field, MifareClassic, Phone

__all__ = ["Bench", "MifareClassic", "Phone"]

FRAME_NS = 40_000  # what one SPI frame costs an ESP32, besides its bits
SPI_HZ = 5_000_000
TICKS = (1 << 30) - 1


class Bench:
    """`chip` the driver, `model` the chip, `field` the field, `reader` on top; `told` what the
    reader's callbacks were given, in order, `health` its changes of health."""

    def __init__(self, monkeypatch, seed: int = 1, start_ns: int = 1_000_000_000, rst=True, **more):
        self.now_ns = start_ns
        self.rng = random.Random(seed)
        self.field = Field(self.now)
        self.model = Chip(self.now, self.field, rng=random.Random(seed + 1), **more)
        self.frames = 0
        self.resets = 0
        self._selected = False
        # To spoil things: what a frame brings (sent, got -> got), what happens before frame n, and
        # how much of its waiting the driver does.
        self.tamper = lambda sent, got: got
        self.on_frame = lambda n: None
        self.patience = 1.0
        self.longest_ns = 0
        for module in (mfrc522, mifare):
            monkeypatch.setattr(
                module, "sleep_us", lambda us: self.sleep_ns(int(us * 1_000 * self.patience))
            )
        monkeypatch.setattr(mifare, "sleep_ms", lambda ms: self.sleep_ns(ms * 1_000_000))
        monkeypatch.setattr(reader, "ticks_ms", lambda: self.now_ns // 1_000_000 & TICKS)
        self.chip = Mifare(self, self.cs, self.rst if rst else None)
        self.told: list = []
        self.health: list[tuple[str, str]] = []
        self.beats = 0
        self.reader = Reader(
            self.chip,
            lambda number: self.told.append(number.hex()),
            self.told.append,
            lambda: self.told.append("gone"),
            lambda health, detail: self.health.append((health, detail)),
            self._beat,
        )

    def _beat(self) -> None:
        self.beats += 1

    # The clock

    def now(self) -> int:
        return self.now_ns

    def sleep_ns(self, ns: int) -> None:
        self.now_ns += ns

    # What the driver is handed as bus, chip-select and reset pin

    def rst(self, level: int) -> None:
        self.resets += not level
        self.model.reset_pin(level)

    def cs(self, level: int) -> None:
        if level:
            if self._selected:
                self.model.deselect()
                self.now_ns += FRAME_NS // 2
            self._selected = False
            return
        assert not self._selected
        self._selected = True
        self.now_ns += FRAME_NS // 2
        self.frames += 1
        self.on_frame(self.frames)
        self.model.select()

    def write(self, out) -> None:
        self._clock(bytes(out))

    def write_readinto(self, out, into) -> None:
        assert len(out) == len(into)
        into[:] = self._clock(bytes(out))

    def _clock(self, out: bytes) -> bytes:
        assert self._selected, "SPI while the chip-select is high"
        got = self.tamper(out, self.model.exchange(out))
        self.now_ns += len(out) * 8 * 1_000_000_000 // SPI_HZ
        return got

    # What the tests do

    def poll(self) -> int:
        """One poll, and on to the start of the next."""
        start_ns = self.now_ns
        outcome = self.reader.poll()
        self.longest_ns = max(self.longest_ns, self.now_ns - start_ns)
        self.now_ns = max(self.now_ns, start_ns + 25_000_000)
        return outcome

    def polls(self, count: int) -> list[int]:
        return [self.poll() for _ in range(count)]

    def run_ms(self, ms: int) -> None:
        until_ns = self.now_ns + ms * 1_000_000
        while self.now_ns < until_ns:
            self.poll()

    def start(self) -> "Bench":
        """Until the reader is up and has found nothing."""
        for _ in range(100):
            if self.reader.health == "ok":
                break
            self.poll()
        assert self.reader.health == "ok", self.reader.detail
        self.longest_ns = 0
        return self

    def frames_of(self, action) -> int:
        before = self.frames
        action()
        return self.frames - before

    def place(self, number: str, kind: str = "classic1k") -> MifareClassic:
        """Another card, powered up and awake before the next poll."""
        card = MifareClassic(bytes.fromhex(number), kind, rng=self.rng)
        self.field.place(card)
        self.sleep_ns(10_000_000)
        return card
