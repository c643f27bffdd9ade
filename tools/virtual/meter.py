"""The energy meter's S0 output: an open collector that pulls its line low for each pulse."""

from __future__ import annotations

from collections.abc import Callable

from tools.virtual.schedule import Schedule


class Meter:
    def __init__(self, schedule: Schedule, pulses_per_kwh: int, on_edge: Callable[[], None]):
        self._schedule = schedule
        self._on_edge = on_edge
        self.pulses_per_kwh = pulses_per_kwh
        self._low = False
        self._to_come = 0
        self._rest = 0.0  # energy that is not yet a whole pulse
        self._pulse_ms = self._gap_ms = 0.0
        self._when_done: list[Callable[[], None]] = []

    def energy(
        self, wh: float, pulse_ms: float, gap_ms: float, when_done: Callable[[], None]
    ) -> int:
        """Let that much energy pass; the pulses come one after the other. Returns their number."""
        exact = wh * self.pulses_per_kwh / 1000 + self._rest
        pulses = int(exact + 1e-9)
        self._rest = exact - pulses
        self._pulse_ms, self._gap_ms = pulse_ms, gap_ms
        idle = not self._to_come
        self._to_come += pulses
        self._when_done.append(when_done)
        if idle:
            self._next()
        return pulses

    def level(self) -> int | None:
        return 0 if self._low else None

    def _next(self) -> None:
        if not self._to_come:
            finished, self._when_done = self._when_done, []
            for when_done in finished:
                when_done()
            return
        self._low = True
        self._on_edge()
        self._schedule.after(self._pulse_ms, self._pulse_over)

    def _pulse_over(self) -> None:
        self._low = False
        self._to_come -= 1
        self._on_edge()
        self._schedule.after(self._gap_ms, self._next)
