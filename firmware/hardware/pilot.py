"""Whether a vehicle is connected and asks for energy: by the control pilot, IEC 61851-1 annex A."""

from time import ticks_diff, ticks_us

from micropython import const

from firmware.hardware.vehicle import (
    ASKS,
    CONNECT_MS,
    CONNECTED,
    DISCONNECT_MS,
    NEITHER,
    Debounced,
)

PILOT_HZ = const(1_000)
STEADY = const(65_535)  # +12 V without a break: nothing is offered

SHORT = "pilot_short"  # state E: the pilot is at earth
LOST = "pilot_lost"  # state F: no positive voltage
DIODE = "pilot_diode"  # the negative half-wave is not -12 V: no vehicle, a resistor or a bridge
VENTILATION = "pilot_ventilation"  # state D: the vehicle must not be charged where it stands
_PASSING = (SHORT, LOST)  # over when the pilot is well; the others when the vehicle is gone

_A = const(0)
_C = const(2)
_D = const(3)
_E = const(4)
_F = const(5)
_NOTHING = const(-1)  # no conclusion from this look

# Half-way between +12, +9, +6, +3 and 0 V. Each level is good to 1 V, and 0.1 V for the converter;
# in the 0.8 V that are left between two, the state stays what it was.
_EDGES_MV = const((10_500, 7_500, 4_500, 1_500))
_KEEP_MV = const(400)
_NEGATIVE_MV = const(-10_000)
_POSITIVE_MV = const(1_000)

# One look ends as soon as it has both half-waves: up to three readings of the positive one (the
# first may lie on the edge) and one of the negative one. It covers two periods of the PWM, and two
# more for a half-wave that it has not met by then: at 6 A the positive one is 0.1 ms long, which is
# about the time of a reading. Only three looks on end without it say that there is none.
_LOOK_US = const(2_200)
_READS_MAX = const(250)
_READS_MIN = const(10)  # fewer in the time of a look, and what was not seen may still be there
_PEAKS = const(3)
_MISSES = const(3)

_ASK_MS = const(50)
_REST_MS = const(20)
_FAULT_MS = const(100)
_GOOD_MS = const(1_000)

_ADC_ZERO_UV = const(1_300_000)  # at the pin for 0 V on the pilot; 1 V at the pin is 12 V there


def duty(max_current_a: int) -> int:
    """The PWM's duty, of 65,535, that allows so many amperes: 0.6 A per percent, 6 to 51 A."""
    return (max_current_a * 65_535 + 30) // 60


class Pilot:
    """Reads the pilot through `adc` (`read_uv`), drives it through `pwm` (`duty_u16`, 1 kHz).

    peak_mv, low_mv: the highest and the lowest voltage of the last look.

    fault: the name of what is wrong, or None. Wrong stays wrong: state D and a missing diode until
    the vehicle is gone, state E and F until the pilot was well for a second.

    State D (ventilation) is refused as a fault: a Tapgate charger switches no fan, and a light
    that says "waiting for the vehicle" would be wrong for ever.
    """

    tells_draw = True  # a vehicle that asks is one that draws what it is given

    def __init__(self, pwm, adc, max_current_a: int, ticks=ticks_us):
        self._pwm = pwm
        self._adc = adc
        self._duty = duty(max_current_a)
        self._ticks_us = ticks
        self.fault = None
        self.offered = False
        self._raw = _A
        self.peak_mv = 0
        self.low_mv = 0
        self._reads = 0
        self._misses = 0  # looks on end that did not meet the positive half-wave
        self._connected = Debounced(CONNECT_MS, DISCONNECT_MS)
        self._asks = Debounced(_ASK_MS, _REST_MS)
        self._wrong = Debounced(_FAULT_MS, _GOOD_MS)
        self._why = None
        pwm.duty_u16(STEADY)

    def offer(self, on: bool) -> None:
        """Put the PWM on the pilot, which lets the vehicle ask; or take it off."""
        if on != self.offered:
            self.offered = on
            self._pwm.duty_u16(self._duty if on else STEADY)

    @property
    def letter(self) -> str:
        """The state of the last look, "A" to "F"."""
        return "ABCDEF"[self._raw]

    def sample(self, now_ms: int) -> tuple:
        """Look once, for at most 4.4 ms; call it every 10 ms. Returns (connected, asks)."""
        self._look()
        raw = self._classify()
        diode = not self.offered or self.low_mv <= _NEGATIVE_MV
        why = None
        if raw != _NOTHING:
            self._raw = raw
            if raw <= _D:
                self._connected.update(raw != _A, now_ms)
            if raw == _E:
                why = SHORT
            elif raw == _F:
                why = LOST
            elif raw == _D:
                why = VENTILATION
            elif raw != _A and not diode and self._reads >= _READS_MIN:
                why = DIODE
            self._judge(why, now_ms)
        if raw != _NOTHING or self._misses >= _MISSES:
            asks = raw == _C and self.offered and diode and self.fault is None
            self._asks.update(asks, now_ms)
        if not self._connected.value:
            return NEITHER
        return ASKS if self._asks.value else CONNECTED

    def _judge(self, why, now_ms):
        if why is not None:
            self._why = why
        if self._wrong.update(why is not None, now_ms):
            if self.fault is None:
                self.fault = self._why
        elif self.fault in _PASSING or not self._connected.value:
            self.fault = None

    def _classify(self):
        peak_mv = self.peak_mv
        few = self._reads < _READS_MIN
        if self.offered and peak_mv < _POSITIVE_MV and (few or self.low_mv <= _NEGATIVE_MV):
            if self._misses < _MISSES:
                self._misses += 1
            if few or self._misses < _MISSES:
                return _NOTHING
        else:
            self._misses = 0
        if peak_mv <= _NEGATIVE_MV:
            return _F
        before = self._raw
        for state in range(4):
            edge_mv = _EDGES_MV[state]
            if peak_mv >= (edge_mv - _KEEP_MV if before <= state else edge_mv + _KEEP_MV):
                return state
        return _E

    def _look(self):
        adc = self._adc  # not the method: binding it to a name would allocate
        ticks = self._ticks_us
        began_us = ticks()
        peak_mv = low_mv = (adc.read_uv() - _ADC_ZERO_UV) * 12 // 1_000
        reads = 1
        peaks = 1 if peak_mv >= _POSITIVE_MV else 0
        past = False  # the positive half-wave was seen, and is over
        while reads < _READS_MAX:
            if not self.offered:
                if reads == 2:
                    break
            elif (past or peaks == _PEAKS) and low_mv <= _NEGATIVE_MV:
                break
            else:
                us = ticks_diff(ticks(), began_us)
                if us >= 2 * _LOOK_US or (us >= _LOOK_US and peaks and low_mv <= _NEGATIVE_MV):
                    break
            mv = (adc.read_uv() - _ADC_ZERO_UV) * 12 // 1_000
            reads += 1
            if mv >= _POSITIVE_MV:
                peaks += 1
            elif peaks:
                past = True
            if mv > peak_mv:
                peak_mv = mv
            elif mv < low_mv:
                low_mv = mv
        self.peak_mv = peak_mv
        self.low_mv = low_mv
        self._reads = reads
