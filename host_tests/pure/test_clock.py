import os
from time import ticks_add  # pyright: ignore[reportAttributeAccessIssue]

from firmware.clock import EPOCH_2024, Clock, TimeFile, date_time, unix_time

T = 1_790_000_000  # 2026-09-21T14:13:20Z


class _Rtc:
    """Keeps date and memory as the ESP32's does, without going on by itself."""

    def __init__(self):
        self.date = (2000, 1, 1, 5, 0, 0, 0, 0)
        self.kept = b""

    def datetime(self, date=None):
        if date is not None:
            self.date = date
        return self.date

    def memory(self, data=None):
        if data is not None:
            self.kept = data
        return self.kept


class _Rig:
    def __init__(self, stored=None, rtc=None, begin_ms=0):
        self.rtc = rtc or _Rtc()
        self.now_ms = begin_ms
        self.stored = stored
        self.saves = []
        self.fail: Exception | None = None
        self.clock = Clock(self.rtc, lambda: self.stored, self._save, lambda: self.now_ms)

    def _save(self, t):
        if self.fail:
            raise self.fail
        self.saves.append(t)
        self.stored = t

    def run(self, seconds, step_ms=1_000):
        for _ in range(seconds * 1_000 // step_ms):
            self.now_ms = ticks_add(self.now_ms, step_ms)
            self.clock.tick()

    def restart(self):
        return _Rig(self.stored, self.rtc)


def test_a_new_clock_knows_nothing():
    clock = _Rig().clock
    assert clock.now() is None
    assert clock.exact() is None
    assert clock.minutes() is None
    assert clock.is_set is False


def test_a_clock_that_was_set_counts_on():
    rig = _Rig()
    rig.run(100)
    assert rig.clock.set_exactly(T) is True
    assert rig.clock.is_set
    rig.run(3_600)
    assert rig.clock.now() == rig.clock.exact() == T + 3_600


def test_a_signed_time_is_a_lower_bound_and_no_exact_time():
    rig = _Rig()
    assert rig.clock.lower_bound(T) is True
    assert rig.clock.is_set is False
    assert rig.clock.exact() is None
    rig.run(60)
    assert rig.clock.now() == T + 60


def test_only_a_later_bound_is_news():
    rig = _Rig()
    rig.clock.lower_bound(T)
    assert rig.clock.lower_bound(T - 1) is False
    assert rig.clock.lower_bound(T) is False
    assert rig.clock.now() == T
    assert rig.clock.lower_bound(T + 1_000) is True
    assert rig.clock.now() == T + 1_000


def test_minutes_are_counted_from_2024():
    rig = _Rig()
    rig.clock.set_exactly(EPOCH_2024 + 125)
    assert rig.clock.minutes() == 2


def test_impossible_times_are_refused():
    rig = _Rig()
    impossible: tuple = (0, -1, 946_684_800, EPOCH_2024 - 1, 1 << 40, None, "now", 1.79e9, True)
    for t in impossible:
        assert rig.clock.set_exactly(t) is False, t
        assert rig.clock.lower_bound(t) is False, t
    assert rig.clock.now() is None
    assert _Rig(stored=5).clock.now() is None


def test_set_a_little_back_it_stands_until_time_has_caught_up():
    rig = _Rig()
    rig.clock.lower_bound(T)
    assert rig.clock.now() == T
    assert rig.clock.set_exactly(T - 100) is True
    assert rig.clock.now() == T
    rig.run(60)
    assert rig.clock.now() == T
    rig.run(60)
    assert rig.clock.now() == T + 20


def test_an_exact_time_long_before_what_is_known_is_not_believed():
    rig = _Rig()
    rig.clock.lower_bound(T)
    assert rig.clock.set_exactly(T - 601) is False
    assert rig.clock.is_set is False
    assert rig.clock.now() == T


def test_an_exact_time_more_than_a_day_ahead_has_to_be_said_twice():
    for is_set in (False, True):
        rig = _Rig()
        rig.clock.lower_bound(T)
        if is_set:
            rig.clock.set_exactly(T)
        assert rig.clock.set_exactly(T + 86_401) is False
        assert (rig.clock.now(), rig.clock.is_set) == (T, is_set)
        rig.run(1_000)
        assert rig.clock.set_exactly(T + 87_405) is True  # a thousand seconds later, and a little
        assert rig.clock.now() == T + 87_405


def test_up_to_a_day_ahead_and_by_a_clock_that_knows_nothing_once_is_enough():
    assert _Rig().clock.set_exactly(T) is True
    rig = _Rig(stored=T)
    assert rig.clock.set_exactly(T + 86_400) is True


def test_two_times_far_ahead_that_do_not_agree_in_a_row_are_not_believed():
    far = T + 10_000_000
    for other in (far + 6, far - 6, far + 86_400, 1 << 40):
        rig = _Rig(stored=T)
        assert rig.clock.set_exactly(far) is False
        assert rig.clock.set_exactly(other) is False
        assert rig.clock.now() == T
    for other in (T - 601, T + 5):  # one that is behind, one that is right
        rig = _Rig(stored=T)
        for _ in range(3):
            assert rig.clock.set_exactly(far) is False
            rig.clock.set_exactly(other)
        assert (rig.clock.now() or 0) <= T + 5


def test_a_signed_time_long_after_the_clock_unsets_it():
    rig = _Rig()
    rig.clock.set_exactly(T)
    assert rig.clock.lower_bound(T + 500) is False  # two clocks are never quite the same
    assert rig.clock.is_set and rig.clock.now() == T
    assert rig.clock.lower_bound(T + 100_000) is True
    assert rig.clock.is_set is False
    assert rig.clock.now() == T + 100_000


def test_time_never_goes_back_whatever_it_is_told():
    rig = _Rig()
    last = 0
    told = (T, T - 300, T + 50, T - 590, T + 10_000, T - 9_999, T + 9_500, T + 5, T + 20_000)
    for i, t in enumerate(told * 3):
        if i % 2:
            rig.clock.set_exactly(t)
        else:
            rig.clock.lower_bound(t)
        rig.run(7)
        now = rig.clock.now()
        assert now is not None and now >= last, (i, t)
        last = now


def test_up_time_passes_the_wrap_of_the_ticks():
    rig = _Rig(begin_ms=ticks_add(0, -5_500))
    rig.clock.set_exactly(T)
    rig.run(11)
    assert rig.clock.up_s() == 11
    assert rig.clock.now() == T + 11


def test_up_time_goes_on_for_weeks():
    rig = _Rig()
    rig.clock.set_exactly(T)
    rig.run(30 * 86_400, step_ms=3_600_000)
    assert rig.clock.up_s() == 30 * 86_400
    assert rig.clock.now() == T + 30 * 86_400


def test_up_time_loses_no_milliseconds():
    rig = _Rig()
    rig.run(1_000, step_ms=333)
    assert rig.clock.up_s() == 3_003 * 333 // 1_000


def test_the_stored_time_is_the_lower_bound_after_a_power_cut():
    rig = _Rig(stored=T)
    assert rig.clock.now() == T
    assert rig.clock.is_set is False


def test_the_time_is_stored_every_ten_minutes_and_not_more_often():
    rig = _Rig()
    rig.run(2_000)
    assert rig.saves == []
    rig.clock.set_exactly(T)
    rig.run(3_000)
    assert len(rig.saves) == 5, rig.saves
    for i in range(1, 5):
        assert 600 <= rig.saves[i] - rig.saves[i - 1] <= 601


def test_a_jump_ahead_is_stored_at_once():
    rig = _Rig(stored=T)
    rig.run(10)
    rig.clock.set_exactly(T + 5_000)
    rig.run(2)
    assert rig.saves == [T + 5_001]


def test_a_board_that_starts_again_and_again_does_not_wear_the_flash():
    rig = _Rig(stored=T)
    saves = 0
    for _ in range(20):
        rig = rig.restart()
        rig.rtc.kept = b""
        rig.run(5)
        rig.clock.set_exactly((rig.clock.now() or 0) + 5)
        rig.run(5)
        saves += len(rig.saves)
    assert saves == 0


def test_a_time_that_cannot_be_stored_is_tried_again_each_minute():
    for error in (OSError(28), MemoryError()):
        rig = _Rig()
        rig.fail = error
        rig.clock.set_exactly(T)
        rig.run(30)
        assert rig.clock.store_error
        rig.fail = None
        rig.run(20)
        assert rig.saves == []
        rig.run(20)
        assert len(rig.saves) == 1
        assert rig.clock.store_error is None


def test_a_clock_that_was_set_stays_set_over_a_reset_without_a_power_cut():
    rig = _Rig()
    rig.clock.set_exactly(T)
    rig.run(1)
    again = rig.restart()
    assert again.clock.is_set
    assert (again.clock.now() or 0) >= T


def test_an_rtc_that_somebody_else_set_is_not_believed():
    rtc = _Rtc()
    rtc.date = (2026, 9, 21, 0, 16, 13, 20, 0)  # a tool that writes local time
    rig = _Rig(rtc=rtc)
    assert rig.clock.now() is None
    rtc.kept = b"something"
    assert _Rig(rtc=rtc).clock.now() is None


def test_an_rtc_with_a_lower_bound_only_is_not_taken_for_exact():
    rig = _Rig()
    rig.clock.lower_bound(T)
    assert rig.restart().clock.is_set is False


def test_an_rtc_far_behind_the_stored_time_is_not_taken_for_exact():
    rig = _Rig()
    rig.clock.set_exactly(T)
    rig.stored = T + 1_000
    again = rig.restart()
    assert again.clock.is_set is False
    assert again.clock.now() == T + 1_000


def test_the_rtc_is_set_for_the_dates_in_certificates():
    rig = _Rig(stored=T)
    assert rig.rtc.date[:3] == (2026, 9, 21)
    assert rig.rtc.date[4:7] == (14, 13, 20)
    rig.clock.lower_bound(T + 86_400)
    assert rig.rtc.date[:3] == (2026, 9, 22)
    rig.clock.set_exactly(T + 172_800)
    assert rig.rtc.date[:3] == (2026, 9, 23)


def test_an_rtc_without_memory_will_do():
    class Plain:
        date = None

        def datetime(self, date=None):
            self.date = date or self.date
            return self.date

    clock = Clock(Plain(), ticks=lambda: 0)
    clock.set_exactly(T)
    clock.tick()
    assert clock.now() == T


def test_dates_and_seconds_agree():
    for date, t in (
        ((1970, 1, 1, 0, 0, 0), 0),
        ((2000, 1, 1, 0, 0, 0), 946_684_800),
        ((2000, 2, 29, 23, 59, 59), 951_868_799),
        ((2000, 3, 1, 0, 0, 0), 951_868_800),
        ((2024, 1, 1, 0, 0, 0), EPOCH_2024),
        ((1999, 12, 31, 23, 59, 59), 946_684_799),
        ((2024, 12, 31, 23, 59, 59), 1_735_689_599),
        ((2025, 1, 1, 0, 0, 0), 1_735_689_600),
        ((2026, 9, 21, 14, 13, 20), T),
        ((2099, 12, 31, 23, 59, 59), 4_102_444_799),
    ):
        assert date_time(t) == date
        assert unix_time(*date) == t


def test_every_day_of_a_century_comes_back():
    day_before = (1969, 12, 31)
    for t in range(3_723, 4_102_444_800, 86_400):
        date = date_time(t)
        assert unix_time(*date) == t
        assert 1 <= date[1] <= 12 and 1 <= date[2] <= 31 and date[3:] == (1, 2, 3)
        assert date[:3] > day_before
        day_before = date[:3]


def test_a_time_file_gives_back_what_it_was_given():
    path = "time-under-test"
    file = TimeFile(path)
    assert file.load() is None
    try:
        file.save(T)
        assert file.load() == T
        for damaged in (b"", b"x", b"-5", b"17900000001790000000", b"1790\x00000"):
            with open(path, "wb") as raw:
                raw.write(damaged)
            assert file.load() is None, damaged
    finally:
        os.remove(path)
