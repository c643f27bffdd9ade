"""The lamp, seen from outside: what the pins make of it, as (red, green, blue) of 0 to 255.

PWM channels take a new duty over at the end of their period, so three of them written one after the
other are one change of colour; a change counts once the channels have been left alone that long.
"""

from __future__ import annotations

from collections.abc import Callable

from tools.virtual.pins import Drive
from tools.virtual.schedule import Due, Schedule

SETTLE_MS = 2.0  # two periods of 1 kHz
SETTLE_AT_MOST_MS = 10.0

Colour = tuple[int, int, int]
DARK: Colour = (0, 0, 0)


class Lamp:
    """Shows `on_change(colour, t_ms)` each change once; t_ms is when the pins made it."""

    def __init__(self, schedule: Schedule, on_change: Callable[[Colour, float], None]):
        self._schedule = schedule
        self._on_change = on_change
        self.colour: Colour = DARK

    def power_lost(self) -> None:
        self._show(DARK, self._schedule.t_ms())

    def _show(self, colour: Colour, t_ms: float) -> None:
        if colour != self.colour:
            self.colour = colour
            self._on_change(colour, t_ms)


class RgbLamp(Lamp):
    def __init__(
        self,
        schedule: Schedule,
        on_change: Callable[[Colour, float], None],
        common_anode: bool = False,
    ):
        super().__init__(schedule, on_change)
        self._common_anode = common_anode
        self._duties: list[float | None] = [None, None, None]
        self._first_ms = self._last_ms = 0.0
        self._settling: Due | None = None

    def channel(self, index: int) -> Callable[[Drive], None]:
        def driven(drive: Drive) -> None:
            if drive.duty != self._duties[index]:
                self._duties[index] = drive.duty
                self._touched()

        return driven

    def power_lost(self) -> None:
        if self._settling:
            self._settling.cancel()
            self._settling = None
        self._duties = [None, None, None]
        super().power_lost()

    def _touched(self) -> None:
        self._last_ms = self._schedule.t_ms()
        if self._settling is None:
            self._first_ms = self._last_ms
            self._settling = self._schedule.after(SETTLE_MS, self._settle)

    def _settle(self) -> None:
        now_ms = self._schedule.t_ms()
        quiet_ms = now_ms - self._last_ms
        if quiet_ms < SETTLE_MS and now_ms - self._first_ms < SETTLE_AT_MOST_MS:
            self._settling = self._schedule.after(SETTLE_MS - quiet_ms, self._settle)
            return
        self._settling = None
        red, green, blue = (self._brightness(duty) for duty in self._duties)
        self._show((red, green, blue), self._last_ms)

    def _brightness(self, duty: float | None) -> int:
        if duty is None:
            return 0
        return round(255 * (1 - duty if self._common_anode else duty))


class NeopixelLamp(Lamp):
    """WS2812: keeps its colour until it is told another or loses power; the first lamp counts."""

    def __init__(
        self,
        schedule: Schedule,
        on_change: Callable[[Colour, float], None],
        order: str = "GRB",
    ):
        super().__init__(schedule, on_change)
        self._order = order

    def data(self, stream: bytes) -> None:
        if len(stream) < len(self._order):
            return
        values = dict(zip(self._order, stream, strict=False))
        self._show((values["R"], values["G"], values["B"]), self._schedule.t_ms())
