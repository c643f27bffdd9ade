"""An energy meter with S0 pulses (IEC 62053-31), counted by the chip while the program does other
things (`esp32.PCNT`, MicroPython 1.26 or later).
"""

from time import ticks_diff, ticks_ms

from micropython import const

from firmware.hardware.meter import Meter

_FILTER = const(1_023)  # in ticks of 80 MHz, the most there is: shorter than 12.8 us is no pulse
# As for the interrupt in s0.py: closer to one another than this are no two pulses.
_DISTANCE_MIN_MS = const(8)
_SPARE_MS = const(16)  # that a pulse may seem to come early by: two more after a pause
# The counter has 16 bits. It is cleared long before they are full, just after a pulse: a pulse that
# came while it is read and cleared would be lost, and the next one cannot come so soon.
_CLEAR_AT = const(16_384)


class CountedS0(Meter):
    """Counts the pulses of an S0 output that pulls `pin` to ground, from the start of the board.

    counter: an `esp32.PCNT`; raises what that raises. A pulse counts at its beginning.
    """

    def __init__(self, counter, pin, pulses_per_kwh: int, stall_s: int = 0, ticks=ticks_ms):
        super().__init__(pulses_per_kwh, stall_s)
        self.pin = pin
        self._ticks = ticks
        counter.init(pin=pin, falling=counter.INCREMENT, rising=counter.IGNORE, filter=_FILTER)
        counter.start()
        self._counter = counter
        self._seen = counter.value()  # what was counted before is an earlier start's
        self._began_ms = None  # the look before this one
        self._spare_ms = 0  # since the last pulse, as far as the next one may have needed it

    def look(self, now_ms: int) -> None:
        """Take over what has been counted; call it every 10 ms, and never two minutes apart."""
        began_ms = self._ticks()
        seen = self._counter.value()
        new = seen - self._seen
        if new < 0:
            new = seen  # it was cleared, by whatever it was
        most = new
        if self._began_ms is not None:
            # What is new has come since the last look began and before this one ends.
            self._spare_ms = min(self._spare_ms, _SPARE_MS)
            since_ms = ticks_diff(self._ticks(), self._began_ms)
            most = max(1, (self._spare_ms + since_ms) // _DISTANCE_MIN_MS)
            self._spare_ms += ticks_diff(began_ms, self._began_ms)
        if new:
            if seen >= _CLEAR_AT:
                new = self._counter.value(0) - self._seen
                seen = 0
            # What rings longer than the filter takes comes in bursts that no meter sends.
            new = min(new, most)
            self._spare_ms = max(0, self._spare_ms - new * _DISTANCE_MIN_MS)
            self.pulses += new
        self._seen = seen
        self._began_ms = began_ms
