"""An energy meter with S0 pulses (IEC 62053-31), counted by an interrupt."""

from time import ticks_diff, ticks_ms

from micropython import const

from firmware.hardware.meter import Meter

# S0 pulses and the gaps between them last 30 ms or more. The interrupt's handler runs when the
# interpreter gets to it, which shortens what it sees, so the limits are far below that: enough
# against ringing and spikes, and enough for 36 kW at 10,000 pulses per kWh.
_WIDTH_MIN_MS = const(3)
_DISTANCE_MIN_MS = const(8)


class S0(Meter):
    """Counts the pulses of an S0 output that pulls `pin` to ground, from the start of the board.

    A pulse counts at its end, if it was long enough and not too close to the one before.
    """

    def __init__(self, pin, pulses_per_kwh: int, stall_s: int = 0, ticks=ticks_ms):
        super().__init__(pulses_per_kwh, stall_s)
        self.pin = pin
        self._ticks = ticks
        self._low = False  # a pulse that began before the start is nobody's
        self._fell_ms = self._counted_ms = ticks()
        pin.irq(self._edge, pin.IRQ_FALLING | pin.IRQ_RISING)

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
