"""`machine` of the virtual board: an ESP32's names, an ESP32's signatures, an ESP32's refusals."""

import time as _time

import _native_machine as _native
import line as _line
import wire as _wire
from analog import ADC, PWM  # noqa: F401
from counters import Counter  # noqa: F401
from pin import Pin, Signal  # noqa: F401
from pin import number_of as _number_of
from spi import SPI, SoftSPI  # noqa: F401
from timers import RTC, WDT, Timer  # noqa: F401

PWRON_RESET = 1
HARD_RESET = 2
WDT_RESET = 3
DEEPSLEEP_RESET = 4
SOFT_RESET = 5
SLEEP = 2
DEEPSLEEP = 4
PIN_WAKE = 2
EXT0_WAKE = 2
EXT1_WAKE = 3
TIMER_WAKE = 4
TOUCHPAD_WAKE = 5
ULP_WAKE = 6

mem8 = _native.mem8
mem16 = _native.mem16
mem32 = _native.mem32

_cause = PWRON_RESET
_unique_id = bytes(6)
_freq = 160_000_000


def _end(kind, *arguments):
    """Ask for the end of this life and wait for it; nothing here can stand in its way."""
    _line.call("board.reset", kind, *arguments)
    while True:
        _time.sleep(1)


def reset():
    _end("hard")


def soft_reset():
    _end("soft")


def deepsleep(time_ms=0):
    _end("deepsleep", time_ms)


def lightsleep(time_ms=None):
    while time_ms is None:
        if _line.doze(1000):
            return
    _time.sleep_ms(time_ms)


sleep = lightsleep


def idle():
    _line.doze(1)


def reset_cause():
    return _cause


def wake_reason():
    return TIMER_WAKE if _cause == DEEPSLEEP_RESET else 0


def unique_id():
    return _unique_id


def freq(hz=None):
    global _freq
    if hz is None:
        return _freq
    if hz not in (20_000_000, 40_000_000, 80_000_000, 160_000_000, 240_000_000):
        raise ValueError("frequency must be 20MHz, 40MHz, 80Mhz, 160MHz or 240MHz")
    _freq = hz
    return None


def disable_irq():
    return 0


def enable_irq(state):
    return None


def bitstream(pin, encoding, timing, data):
    if encoding != 0:
        raise ValueError("encoding")
    if len(timing) != 4:
        raise ValueError("requested length 4 but object has length %d" % len(timing))
    number = _number_of(pin)
    count = len(data)
    if count > 4000:
        raise ValueError("data too long: %d bytes" % count)
    _line.flush()
    size = count + 4
    head = bytes((size & 255, size >> 8, _wire.BITSTREAM, number, count & 255, count >> 8))
    _line.tell(head + bytes(data), size + 2)


def time_pulse_us(pin, pulse_level, timeout_us=1000000):
    start = _time.ticks_us()
    for level in (not pulse_level, pulse_level):
        while bool(pin()) == bool(level):
            if _time.ticks_diff(_time.ticks_us(), start) > timeout_us:
                return -2 if level == (not pulse_level) else -1
        if level == (not pulse_level):
            start = _time.ticks_us()
    return _time.ticks_diff(_time.ticks_us(), start)
