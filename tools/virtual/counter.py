"""The pulse counters of the chip (PCNT): edges on a pin, counted while the program does other
things. Lives as long as the board is not reset."""

from __future__ import annotations

from collections.abc import Callable

from tools.virtual.pins import Pins

_EFFECT = {0: 0, 1: 1, 2: -1}  # ignore, increment, decrement
_LIMIT = 32_767  # a 16-bit counter starts over there
IRQ_MIN, IRQ_MAX, IRQ_ZERO = 16, 32, 64
_APB_TICKS_PER_MS = 80_000


class Counter:
    def __init__(self, pins: Pins, interrupt: Callable[[], None], now_ns: Callable[[], int]):
        self._pins, self._interrupt, self._now_ns = pins, interrupt, now_ns
        self._effects = {0: 0, 1: 0}
        self._min, self._max = -_LIMIT, _LIMIT
        self._filter_ns = 0
        self._last_ns = 0
        self._trigger = 0
        self._runs = True
        self.flags = 0
        self.value = 0

    def init(self, settings: dict) -> None:
        self._pins.stop_counting(self._edge)
        self._effects = {
            1: _EFFECT[settings.get("rising", 0)],
            0: _EFFECT[settings.get("falling", 0)],
        }
        self._min = settings.get("min", -_LIMIT)
        self._max = settings.get("max", _LIMIT)
        self._filter_ns = settings.get("filter", 0) * 1_000_000 // _APB_TICKS_PER_MS
        if "pin" in settings:
            self._pins.count_edges(settings["pin"], self._edge)

    def run(self, on: bool) -> None:
        self._runs = on

    def irq(self, trigger: int) -> None:
        self._trigger = trigger

    def stop(self) -> None:
        self._pins.stop_counting(self._edge)

    def _edge(self, level: int) -> None:
        now_ns = self._now_ns()
        short = now_ns - self._last_ns < self._filter_ns
        self._last_ns = now_ns
        if not self._runs or short:
            return
        self.value += self._effects[level]
        if self.value >= self._max > 0:
            self._reached(IRQ_MAX)
        elif self.value <= self._min < 0:
            self._reached(IRQ_MIN)
        elif self.value == 0:
            self._report(IRQ_ZERO)

    def _reached(self, flag: int) -> None:
        self.value = 0
        self._report(flag)

    def _report(self, flag: int) -> None:
        if self._trigger & flag:
            self.flags |= flag
            self._interrupt()
