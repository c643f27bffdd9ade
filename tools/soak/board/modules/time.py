"""`time` of a board whose milliseconds wrap as an ESP32's do, and soon after its start."""

import clockwork as _clockwork
from _native_time import gmtime, localtime, mktime  # noqa: F401
from clockwork import sleep, sleep_ms, sleep_us, time, time_ns  # noqa: F401

_PERIOD = 1 << 30
_HALF = 1 << 29

# Set by the job: so far had the counter come when the board started.
offset_ms = 0


def ticks_ms():
    return _clockwork.now_ms() + offset_ms & _PERIOD - 1


def ticks_us():
    return _clockwork.now_us() & _PERIOD - 1


def ticks_add(ticks, delta):
    return ticks + delta & _PERIOD - 1


def ticks_diff(end, start):
    return (end - start + _HALF & _PERIOD - 1) - _HALF
