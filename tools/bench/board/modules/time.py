"""`time` of the modelled board, in board time."""

import clockwork as _clockwork
from _native_time import gmtime, localtime, mktime, ticks_add, ticks_diff  # noqa: F401
from clockwork import sleep, sleep_ms, sleep_us, time, time_ns  # noqa: F401

ticks_ms = _clockwork.now_ms
ticks_us = _clockwork.now_us
