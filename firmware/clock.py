"""What time it is, how sure that is, and how long the board has been up.

Times are seconds since 1970 (UTC). The clock is either set (`set_exactly`), or knows a time that is
certainly past (`lower_bound`), or knows nothing. What it says never goes back.
"""

from time import ticks_diff, ticks_ms

from micropython import const

from firmware import flash

# 2024-01-01, the allow-list's epoch, and the end of its 24 bits of minutes (2055).
EPOCH_2024 = const(1_704_067_200)
_LAST = const(2_710_700_000)

# How far an exact time may lie behind what is known before one of the two must be false.
_DISAGREE_S = const(600)
# How far it may lie ahead before it has to be said twice, and how alike.
_AHEAD_S = const(86_400)
_ALIKE_S = const(5)
_STORE_S = const(600)
_STORE_AGAIN_S = const(60)

# In the RTC's memory, which lasts exactly as long as its time: this firmware set it, in UTC.
_MARK = const(b"tapgate utc")


class Clock:
    """Counts on from the best time known; call `tick` at least once a minute.

    rtc: machine.RTC. load() returns the stored time or None, save(t) stores it; both may be None.
    ticks: milliseconds with the wrap of `time.ticks_ms`.
    """

    def __init__(self, rtc, load=None, save=None, ticks=ticks_ms):
        self._rtc = rtc
        self._save = save
        self._ticks = ticks
        self._last_ms = ticks()
        self._up_s = 0
        self._rest_ms = 0
        self._base = None  # the time at which the board was started, as far as known
        self._floor = 0  # the latest time ever told
        self._saved_up_s = 0
        self._save_due = False
        self.is_set = False
        self.said_once = None  # what `_base` would be by an exact time that is not believed yet
        self.store_error = None  # why the time could not be stored, or None
        stored = load() if load else None
        if stored is not None and self._possible(stored):
            self._base = self._floor = stored
        kept = self._kept()
        if kept is not None and kept >= self._floor - _DISAGREE_S:
            self._base = kept
            self.is_set = True
        elif self._base is not None:
            # Good enough for the dates in the broker's certificate.
            self._to_rtc(self._base, b"")

    def up_s(self) -> int:
        """Whole seconds since the start, past any wrap of the ticks."""
        now_ms = self._ticks()
        self._rest_ms += ticks_diff(now_ms, self._last_ms)
        self._last_ms = now_ms
        if self._rest_ms >= 1_000:
            self._up_s += self._rest_ms // 1_000
            self._rest_ms %= 1_000
        return self._up_s

    def now(self) -> int | None:
        """The time if the clock `is_set`, else the latest time that is certainly past, or None."""
        base = self._base
        if base is None:
            return None
        now = base + self.up_s()
        if now < self._floor:
            return self._floor
        self._floor = now
        return now

    def exact(self) -> int | None:
        """The time if the clock is set, else None: for what is recorded."""
        return self.now() if self.is_set else None

    def exact_at(self, up_s: int) -> int | None:
        """When it was `up_s`, if the clock is set by now: it need not have been then."""
        now = self.exact()
        return None if now is None else now - (self.up_s() - up_s)

    def minutes(self) -> int | None:
        """`now` in minutes since 2024-01-01, as the allow-list counts."""
        now = self.now()
        return None if now is None else (now - EPOCH_2024) // 60

    def set_exactly(self, t: int) -> bool:
        """Take the time from NTP. False, and nothing changed: it lies far before what is known, or
        so far ahead of it that the next answer has to say the same (`said_once`).

        A little before is believed, and the clock then stands until that moment comes round again.
        Nothing turns a clock back that one wrong answer has set years ahead.
        """
        said, self.said_once = self.said_once, None
        if not self._possible(t):
            return False
        known = self.now()
        if known is not None:
            if t < known - _DISAGREE_S:
                return False
            base = t - self.up_s()
            if t > known + _AHEAD_S and (said is None or abs(base - said) > _ALIKE_S):
                self.said_once = base
                return False
        self._rebase(t, known)
        self.is_set = True
        self._to_rtc(t, _MARK)
        return True

    def lower_bound(self, t: int) -> bool:
        """It is at least `t`: a verified message says so. True if that was news.

        A clock that was set and is far behind a signed time was set wrongly, and no longer counts
        as set.
        """
        known = self.now()
        slack_s = _DISAGREE_S if self.is_set else 0
        if not self._possible(t) or (known is not None and t <= known + slack_s):
            return False
        self.is_set = False
        self._rebase(t, known)
        self._to_rtc(t, b"")
        return True

    def tick(self) -> None:
        """Keep the seconds, and store the time when ten minutes have passed since it was."""
        up_s = self.up_s()
        if self._save is None or self._base is None:
            return
        if not self._save_due and up_s - self._saved_up_s < _STORE_S:
            return
        if self.store_error is not None and up_s - self._saved_up_s < _STORE_AGAIN_S:
            return
        self._saved_up_s = up_s
        try:
            self._save(self.now())
            self._save_due = False
            self.store_error = None
        except (OSError, MemoryError) as error:
            self._save_due = True
            self.store_error = str(error) or type(error).__name__

    def _rebase(self, t, known):
        self._base = t - self.up_s()
        if known is None or t - known >= _STORE_S:
            self._save_due = True

    def _kept(self):
        """The time of an RTC that this firmware set before the last reset, or None."""
        memory = getattr(self._rtc, "memory", None)
        if memory is None or memory() != _MARK:
            return None
        year, month, day, _, hour, minute, second, _ = self._rtc.datetime()
        t = unix_time(year, month, day, hour, minute, second)
        return t if self._possible(t) else None

    def _to_rtc(self, t, mark):
        year, month, day, hour, minute, second = date_time(t)
        self._rtc.datetime((year, month, day, 0, hour, minute, second, 0))
        if hasattr(self._rtc, "memory"):
            self._rtc.memory(mark)

    def _possible(self, t):
        return type(t) is int and EPOCH_2024 <= t <= _LAST


class TimeFile:
    """Keeps one time on flash: `load` and `save` for a Clock."""

    def __init__(self, path: str):
        self._path = path

    def load(self) -> int | None:
        data = flash.read(self._path, 16)
        return int(data) if data and data.isdigit() else None

    def save(self, t: int) -> None:
        flash.replace(self._path, str(t).encode())


# --- calendar: the epoch of `time` differs between a board (2000) and a computer (1970) -----------

_MONTH_DAYS = const((31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31))


def unix_time(year: int, month: int, day: int, hour: int, minute: int, second: int) -> int:
    """Seconds since 1970 of a date and time in UTC, from 1970 to 2099."""
    days = 365 * (year - 1970) + (year - 1969) // 4 + sum(_MONTH_DAYS[: month - 1]) + day - 1
    if month > 2 and year % 4 == 0:
        days += 1
    return ((days * 24 + hour) * 60 + minute) * 60 + second


def date_time(t: int) -> tuple:
    """(year, month, day, hour, minute, second) in UTC of seconds since 1970, from 1970 to 2099."""
    days, seconds = divmod(t, 86_400)
    year = 1970 + (4 * days + 2) // 1_461
    days -= 365 * (year - 1970) + (year - 1969) // 4
    month = 1
    for length in _MONTH_DAYS:
        if month == 2 and year % 4 == 0:
            length += 1
        if days < length:
            break
        days -= length
        month += 1
    return year, month, days + 1, seconds // 3_600, seconds // 60 % 60, seconds % 60
