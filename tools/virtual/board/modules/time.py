"""`time` as on an ESP32: epoch 2000, whole seconds, UTC only, sleeps that let interrupts run.

The ticks are the interpreter's own, because asyncio's task queue, written in C, counts in them:
they begin at some value and wrap far later than the board's 2**30.
"""

import _native_time as _native
import line as _line

sleep_us = _native.sleep_us
ticks_add = _native.ticks_add
ticks_cpu = _native.ticks_cpu
ticks_diff = _native.ticks_diff
ticks_ms = _native.ticks_ms
ticks_us = _native.ticks_us

_EPOCH = 946684800  # 2000-01-01 on the computer's clock
_ticks = _native.ticks_us
_set_s = 0  # the real-time clock when it was last set or the board started
_set_at_us = _ticks()


def _set_clock(seconds):
    global _set_s, _set_at_us
    _set_s = seconds
    _set_at_us = _ticks()


def time_ns():
    return int(_set_s * 1000000000) + (_ticks() - _set_at_us) * 1000


def time():
    return time_ns() // 1000000000


def sleep_ms(ms):
    if ms <= 0:
        return
    end = _ticks() + ms * 1000
    left = ms
    while left > 0:
        _line.doze(left)
        left = (end - _ticks() + 999) // 1000


def sleep(seconds):
    sleep_ms(int(seconds * 1000))


def gmtime(seconds=None):
    return _native.gmtime((time() if seconds is None else int(seconds)) + _EPOCH)[:8]


localtime = gmtime


def mktime(moment):
    year, month, day, hour, minute, second = moment[:6]
    year += (month - 1) // 12
    month = (month - 1) % 12 + 1
    # days from civil, era of 400 years, March first
    shifted = year - (month <= 2)
    era = shifted // 400
    of_era = shifted - era * 400
    of_year = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1
    days = era * 146097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 730425
    return ((days * 24 + hour) * 60 + minute) * 60 + second
