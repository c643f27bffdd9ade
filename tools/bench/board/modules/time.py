"""`time` of the modelled board, in board time."""

import clockwork as _clockwork
from _native_time import gmtime, localtime, mktime, ticks_add, ticks_diff  # noqa: F401

ticks_ms = _clockwork.now_ms
ticks_us = _clockwork.now_us
sleep_us = _clockwork.sleep_us
sleep_ms = _clockwork.sleep_ms


def sleep(seconds):
    sleep_ms(round(seconds * 1_000))


def time_ns():
    return _clockwork.now_ns


def time():
    return _clockwork.now_ns // 1_000_000_000
