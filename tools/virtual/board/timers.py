"""machine.WDT, machine.Timer, machine.RTC."""

import time

import line
import wire

_FEED = bytes((1, 0, wire.FEED))
_wdt_timeout = None


class WDT:
    """Runs in the world: feeding is a mark, and nothing in here can stop it."""

    def __init__(self, id=0, timeout=5000):
        global _wdt_timeout
        if id != 0:
            raise ValueError("WDT(%d) doesn't exist" % id)
        if timeout <= 0:
            raise ValueError("WDT timeout too short")
        if _wdt_timeout is not None and _wdt_timeout != timeout:
            raise ValueError(
                "the watchdog runs with %d ms and cannot be changed to %d" % (_wdt_timeout, timeout)
            )
        _wdt_timeout = timeout
        line.call("wdt.start", timeout)

    def feed(self):
        line.tell(_FEED, 3)


_timers = {}


class Timer:
    ONE_SHOT = 0
    PERIODIC = 1

    def __new__(cls, id, *arguments, **keywords):
        if not -1 <= id <= 3:
            raise ValueError("invalid Timer number")
        if id == -1:
            id = max(_timers, default=3) + 1
            id = max(id, 4)
            if id > 200:
                raise RuntimeError("too many virtual timers")
        if id not in _timers:
            _timers[id] = object.__new__(cls)
        timer = _timers[id]
        timer._id = id
        return timer

    def __init__(self, id, **keywords):
        if not hasattr(self, "_callback"):
            self._callback = None
            self._period_ms = 0
            self._once = False
        if keywords:
            self.init(**keywords)

    def init(self, *, mode=1, callback=None, period=-1, freq=None, tick_hz=1000, hard=False):
        if freq is not None:
            period_ms = 1000 / freq
        elif period > 0:
            period_ms = period * 1000 / tick_hz
        else:
            period_ms = 0xFFFFFFFF
        self._callback = callback
        self._period_ms = period_ms
        self._once = mode == Timer.ONE_SHOT
        line.call("timer.start", self._id, period_ms, not self._once)

    def deinit(self):
        self._callback = None
        line.call("timer.stop", self._id)

    def value(self):
        return line.call("timer.value", self._id)


def _elapsed(number):
    timer = _timers.get(number)
    if timer is not None and timer._callback is not None:
        timer._callback(timer)


line.on_event(wire.TIMER_EVENT, _elapsed)


class RTC:
    def __init__(self, id=0):
        if id != 0:
            raise ValueError("RTC(%d) doesn't exist" % id)

    def datetime(self, moment=None):
        if moment is not None:
            self._set(moment)
            return None
        ns = time.time_ns()
        year, month, day, hour, minute, second, weekday, _ = time.gmtime(ns // 1000000000)
        return (year, month, day, weekday, hour, minute, second, ns // 1000 % 1000000)

    def init(self, moment):
        self._set(moment)

    def _set(self, moment):
        if len(moment) != 8:
            raise ValueError("requested length 8 but object has length %d" % len(moment))
        year, month, day, _, hour, minute, second, microsecond = moment
        if not (2000 <= year <= 2135 and 1 <= month <= 12 and 1 <= day <= 31):
            raise ValueError("date out of range: %r" % (moment,))
        seconds = time.mktime((year, month, day, hour, minute, second, 0, 0))
        time._set_clock(seconds + microsecond / 1000000)
        line.call("rtc.set", seconds, microsecond)

    def memory(self, data=None):
        import binascii

        if data is None:
            return binascii.unhexlify(line.call("rtc.memory"))
        if len(data) > 2048:
            raise ValueError("buffer too long")
        line.call("rtc.memory", binascii.hexlify(data).decode())
        return None
