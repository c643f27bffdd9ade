"""The real-time clock and its memory: they live through every reset, and lose everything with the
supply."""

from __future__ import annotations

from tools.virtual.schedule import Schedule


class Rtc:
    def __init__(self, schedule: Schedule):
        self._schedule = schedule
        self.power_lost()

    def power_lost(self) -> None:
        self._set_s = 0.0  # 2000-01-01
        self._set_at_ns = self._schedule.now_ns()
        self.memory = b""

    def set(self, seconds: int, microsecond: int) -> None:
        self._set_s = seconds + microsecond / 1_000_000
        self._set_at_ns = self._schedule.now_ns()

    def seconds(self) -> float:
        """Since 2000-01-01."""
        return self._set_s + (self._schedule.now_ns() - self._set_at_ns) / 1_000_000_000
