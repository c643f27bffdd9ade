"""A week in words becomes minutes of the week; local time becomes offsets from UTC."""

import calendar
from datetime import UTC, date, datetime, timedelta, tzinfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.portal import moments, schedules, week
from tools.portal.refusal import WrongUsage

EPOCH = datetime(2024, 1, 1, tzinfo=UTC)
DAY = 1_440


def at(day: int, hour: int, minute: int = 0) -> int:
    return day * DAY + hour * 60 + minute


@pytest.mark.parametrize(
    ("text", "windows"),
    [
        (
            "mo-fr 08:00-18:00, sa 09:00-12:00",
            [(at(day, 8), at(day, 18)) for day in range(5)] + [(at(5, 9), at(5, 12))],
        ),
        ("Mon-Tue 8:00-18:00", [(at(0, 8), at(0, 18)), (at(1, 8), at(1, 18))]),
        ("wednesday 08:00 – 18:30", [(at(2, 8), at(2, 18, 30))]),
        ("mo we 08:00-09:00", [(at(0, 8), at(0, 9)), (at(2, 8), at(2, 9))]),
        ("mo 08:00-12:00 13:00-17:00", [(at(0, 8), at(0, 12)), (at(0, 13), at(0, 17))]),
        ("mo 08:00-12:00, 13:00-17:00", [(at(0, 8), at(0, 12)), (at(0, 13), at(0, 17))]),
        ("fr 22:00-06:00", [(at(4, 22), at(5, 6))]),
        ("su 22:00-06:00", [(0, at(0, 6)), (at(6, 22), at(7, 0))]),
        ("mo 22:00-00:00", [(at(0, 22), at(1, 0))]),
        ("mo 22:00-24:00", [(at(0, 22), at(1, 0))]),
        ("fr-mo 20:00-21:00", [(at(day, 20), at(day, 21)) for day in (0, 4, 5, 6)]),
        ("sa-su", [(at(5, 0), at(7, 0))]),
        ("tu", [(at(1, 0), at(2, 0))]),
        (
            "mo-fr 08:00-18:00, sa, su",
            [(at(d, 8), at(d, 18)) for d in range(5)] + [(at(5, 0), at(7, 0))],
        ),
        ("mo, 08:00-18:00", [(at(0, 8), at(0, 18))]),
        ("mo-su 00:00-24:00", [(0, at(7, 0))]),
        ("mo 08:00-10:00, mo 09:00-11:00; mo 11:00-12:00", [(at(0, 8), at(0, 12))]),
    ],
)
def test_words_for_a_week(text, windows):
    assert week.parse(text) == windows


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no week"),
        (",", "no week"),
        ("08:00-18:00", "before any day"),
        ("m 08:00-18:00", "'m' is no day"),
        ("mx 08:00-18:00", "'mx' is no day"),
        ("mo 8-18", "no time"),
        ("mo 08:00", "no time"),
        ("mo 08:60-09:00", "no time of a day"),
        ("mo 24:00-24:00", "no time of a day"),
        ("mo 08:00-24:01", "no time of a day"),
        ("mo 08:00-08:00", "00:00-24:00"),
        ("mo 08:00-09:00 tu", "'tu' is no"),
        ("mo, we, fr 08:00-18:00", "'mo 00:00-24:00'"),  # all of Monday, or only by day?
        ("mo, tu, 08:00-18:00", "'mo 00:00-24:00'"),
    ],
)
def test_words_that_fit_no_week_or_several_are_refused(text, words):
    with pytest.raises(WrongUsage) as refused:
        week.parse(text)
    assert words in str(refused.value)


_WINDOWS = st.lists(
    st.tuples(st.integers(0, week.WEEK_MIN - 1), st.integers(1, 2 * DAY)).map(
        lambda each: (each[0], each[0] + each[1])
    ),
    min_size=1,
    max_size=12,
)


@given(_WINDOWS)
def test_windows_are_in_order_and_apart_and_hold_the_same_minutes(windows):
    joined = week.joined(windows)
    minutes = {each % week.WEEK_MIN for first, end in windows for each in range(first, end)}
    assert {each for first, end in joined for each in range(first, end)} == minutes
    flat = [each for window in joined for each in window]
    assert flat == sorted(set(flat)) and flat[0] >= 0 and flat[-1] <= week.WEEK_MIN


@given(_WINDOWS)
def test_a_week_as_it_is_shown_means_the_same_again(windows):
    joined = week.joined(windows)
    assert week.parse(week.shown(joined)) == joined


@given(_WINDOWS)
def test_a_week_by_days_is_the_same_week(windows):
    joined = week.joined(windows)
    by_day = week.by_day(joined)
    assert all(0 <= first < end <= DAY for _, first, end in by_day)
    assert (
        week.joined([(day * DAY + first, day * DAY + end) for day, first, end in by_day]) == joined
    )


def test_a_window_on_the_wire_is_two_numbers_of_two_bytes():
    assert week.wire([(480, 1_080), (0, 10_080)]) == "01e00438" + "00002760"


def sunday(year: int, month: int, which: int) -> date:
    """The first (0), second (1), ... or last (-1) Sunday of a month."""
    weeks = [each[calendar.SUNDAY] for each in calendar.monthcalendar(year, month)]
    return date(year, month, [day for day in weeks if day][which])


def moment(day: date, hour: int, minute: int = 0) -> int:
    """Minutes since the epoch of a time in UTC."""
    found = datetime(day.year, day.month, day.day, tzinfo=UTC) - EPOCH
    return found // timedelta(minutes=1) + hour * 60 + minute


def by_the_rules(zone: str, year: int) -> list[tuple[int, int]]:
    """The changes of a year, worked out from the rules in the law and not from any table."""
    if zone == "Europe/Oslo":  # 01:00 UTC on the last Sundays of March and October
        return [
            (moment(sunday(year, 3, -1), 1), 120),
            (moment(sunday(year, 10, -1), 1), 60),
        ]
    if zone == "America/New_York":  # 02:00 by the clock, second of March and first of November
        return [
            (moment(sunday(year, 3, 1), 2 + 5), -240),
            (moment(sunday(year, 11, 0), 2 + 4), -300),
        ]
    if zone == "Australia/Lord_Howe":  # 02:00 by the clock, first of April and October; 30 minutes
        return [
            (moment(sunday(year, 4, 0), 2 - 11), 630),
            (moment(sunday(year, 10, 0), 2 - 10, -30), 660),
        ]
    return []


STANDING = {"Asia/Kathmandu": 345, "UTC": 0}


@pytest.mark.parametrize("year", [2026, 2027, 2030])
@pytest.mark.parametrize(
    "zone", ["Europe/Oslo", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "UTC"]
)
def test_clock_changes_are_known_for_this_year_and_four_more(zone, year):
    found, until = schedules.offsets(moments.zone(zone), year)
    begin = moment(date(year, 1, 1), 0)
    assert until == moment(date(year + 5, 1, 1), 0)
    (first, offset), *changes = found
    assert first <= begin
    expected = [each for later in range(year, year + 5) for each in by_the_rules(zone, later)]
    assert changes == expected
    if expected:
        assert (first, offset) == by_the_rules(zone, year - 1)[-1]
    else:
        assert offset == STANDING[zone]


def test_a_year_that_begins_before_the_minutes_do_begins_with_them():
    found, _ = schedules.offsets(moments.zone("Europe/Oslo"), 2024)
    assert found[0] == (0, 60)
    assert found[1:3] == tuple(by_the_rules("Europe/Oslo", 2024))


class Ramadan(tzinfo):
    """Clocks that are put back for a month and a half each year, as Morocco's."""

    def utcoffset(self, dt: datetime | None) -> timedelta:
        return timedelta(hours=0 if dt and (2, 15) <= (dt.month, dt.day) < (4, 1) else 1)

    def fromutc(self, dt: datetime) -> datetime:
        return dt + self.utcoffset(dt)  # by the date in UTC


def test_changes_that_are_close_together_are_all_known():
    found, _ = schedules.offsets(Ramadan(), 2026)
    assert [offset for _, offset in found] == [60, *([0, 60] * 5)]
    assert 44 * DAY <= found[2][0] - found[1][0] <= 46 * DAY
