"""The timer unit (data sheet 8.5): a prescaler and a 16-bit counter that counts down once per tick.

It never influences reception; it only raises a request when it has run out.
"""

from tools.virtual.rc522.air import cycles, ns


class Timer:
    """Runs lazily: `due` is when it runs out, None while it stands."""

    __slots__ = ("_reload", "_started_ns", "_stopped_at", "_tick_cycles", "due")

    def __init__(self) -> None:
        self.due: int | None = None
        self._started_ns = 0
        self._tick_cycles = 1
        self._reload = 0
        self._stopped_at = 0

    @property
    def running(self) -> bool:
        """Status1Reg TRunning."""
        return self.due is not None

    def start(self, at_ns: int, tick_cycles: int, reload: int) -> None:
        """Load `reload` and count; one tick is `tick_cycles` of the carrier."""
        self._started_ns = at_ns
        self._tick_cycles = tick_cycles
        self._reload = reload
        self.due = at_ns + ns(tick_cycles * (reload + 1))

    def stop(self, at_ns: int) -> None:
        """Stand still at the present value."""
        self._stopped_at = self.value(at_ns)
        self.due = None

    def expire(self) -> None:
        """The moment `due`: stand at zero."""
        self.due = None
        self._stopped_at = 0

    def value(self, at_ns: int) -> int:
        """TCounterValReg at `at_ns`."""
        if self.due is None:
            return self._stopped_at
        return max(0, self._reload - cycles(at_ns - self._started_ns) // self._tick_cycles)
