"""An energy meter with S0 pulses (IEC 62053-31)."""

from time import ticks_diff, ticks_ms

from micropython import const

# S0 pulses and the gaps between them last 30 ms or more. The interrupt's handler runs when the
# interpreter gets to it, which shortens what it sees, so the limits are far below that: enough
# against ringing and spikes, and enough for 36 kW at 10,000 pulses per kWh.
_WIDTH_MIN_MS = const(3)
_DISTANCE_MIN_MS = const(8)


class S0:
    """Counts the pulses of an S0 output that pulls `pin` to ground, from the start of the board.

    A pulse counts at its end, if it was long enough and not too close to the one before.
    """

    def __init__(self, pin, pulses_per_kwh: int, ticks=ticks_ms):
        self._per_kwh = pulses_per_kwh
        self._ticks = ticks
        self.pulses = 0
        self._low = False  # a pulse that began before the start is nobody's
        self._fell_ms = self._counted_ms = ticks()
        pin.irq(self._edge, pin.IRQ_FALLING | pin.IRQ_RISING)

    @property
    def wh(self) -> int:
        """Whole watt-hours."""
        return self.pulses * 1_000 // self._per_kwh

    @property
    def mwh(self) -> int:
        """Milliwatt-hours: subtract these, not the rounded `wh`, for the energy of a session."""
        return self.pulses * 1_000_000 // self._per_kwh

    def _edge(self, pin):
        now_ms = self._ticks()
        if not pin():
            if not self._low:
                self._low = True
                self._fell_ms = now_ms
        elif self._low:
            self._low = False
            if _at_least(now_ms, self._fell_ms, _WIDTH_MIN_MS) and _at_least(
                now_ms, self._counted_ms, _DISTANCE_MIN_MS
            ):
                self._counted_ms = now_ms
                self.pulses += 1


def _at_least(now_ms, then_ms, least_ms):
    # The ticks wrap after days without a pulse: the difference may then even be negative.
    return not 0 <= ticks_diff(now_ms, then_ms) < least_ms
