"""TIME as people write it, in a zone that puts its clocks forward and back."""

from datetime import UTC, datetime

import pytest

from tools.portal import moments
from tools.portal.refusal import WrongUsage

OSLO = moments.zone("Europe/Oslo")


def utc(*parts: int) -> int:
    return int(datetime(*parts, tzinfo=UTC).timestamp())


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-01-15T12:00", utc(2026, 1, 15, 11)),  # winter
        ("2026-07-15T12:00", utc(2026, 7, 15, 10)),  # summer
        ("2026-07-15 12:00:30", utc(2026, 7, 15, 10, 0, 30)),
        ("2026-07-15T12:00Z", utc(2026, 7, 15, 12)),
        ("2026-07-15T12:00+05:30", utc(2026, 7, 15, 6, 30)),
        ("20260715T1200", utc(2026, 7, 15, 10)),
        ("2026-07-15", utc(2026, 7, 14, 22)),
        ("2026-03-29T03:00", utc(2026, 3, 29, 1)),  # the first moment of summer time
    ],
)
def test_a_time_without_an_offset_is_local(text, moment):
    assert moments.parse(text, OSLO) == moment


def test_a_date_alone_as_an_end_counts_to_its_end():
    assert moments.parse("2026-07-15", OSLO, end=True) == utc(2026, 7, 15, 22)
    assert moments.parse("2026-07-15T00:00", OSLO, end=True) == utc(2026, 7, 14, 22)
    # The day on which the clock is put back has 25 hours.
    day = moments.parse("2026-10-25", OSLO), moments.parse("2026-10-25", OSLO, end=True)
    assert day[1] - day[0] == 25 * 3_600


def test_a_time_that_the_clock_skips_is_refused():
    with pytest.raises(WrongUsage, match="put forward"):
        moments.parse("2026-03-29T02:30", OSLO)


def test_a_time_that_comes_twice_is_refused_with_both_ways_to_write_it():
    with pytest.raises(WrongUsage) as refused:
        moments.parse("2026-10-25T02:30", OSLO)
    assert "2026-10-25T02:30:00+02:00" in str(refused.value)
    assert "2026-10-25T02:30:00+01:00" in str(refused.value)
    assert moments.parse("2026-10-25T02:30+02:00", OSLO) == utc(2026, 10, 25, 0, 30)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "tomorrow",
        "2026-02-30",
        "2026-13-01",
        "15.7.2026",
        "2026-07-15T25:00",
        "9999",
        "2026-W30",
    ],
)
def test_what_is_no_time_is_refused(text):
    with pytest.raises(WrongUsage):
        moments.parse(text, OSLO)


ENDS = (
    "0001-01-01T00:00+14:00",
    "0001-01-01",
    "1969-12-31T23:59Z",
    "9999-12-31",
    "9999-12-31T23:59:59-12:00",
)


@pytest.mark.parametrize("text", ENDS)
def test_a_time_that_no_clock_here_shows_is_refused_whatever_it_is_for(site, anna, text):
    for command in (
        ("grant", anna, "--role", "user", "--until", text),
        ("grant", anna, "--role", "user", "--from", text),
        ("check", "garage", "--person", anna, "--at", text),
    ):
        answer = site(*command)
        assert answer.status == 2 and "beyond the calendar" in answer.err, answer
    assert site("grant", anna, "--role", "user", "--until", "1970-01-02").status == 0
    assert site("check", "garage", "--person", anna, "--at", "9998-12-30").status == 0


@pytest.mark.parametrize("text", ["9999-12-31", "0001-01-01", "9999-12-31T23:59:59-12:00"])
def test_the_ends_of_the_calendar_are_refused_or_read_but_never_crash(text):
    for end in (False, True):
        try:
            assert isinstance(moments.parse(text, OSLO, end=end), int)
        except WrongUsage as refused:
            assert "calendar" in str(refused)


@pytest.mark.parametrize("name", ["Mars/Olympus", "", "../../etc/passwd", "/etc/localtime", "."])
def test_an_unknown_zone_is_refused(name):
    with pytest.raises(WrongUsage, match="time zone"):
        moments.zone(name)


def test_utc_needs_no_zone_files(monkeypatch):
    monkeypatch.setattr(moments, "ZoneInfo", None)
    assert moments.shown(0, moments.zone("UTC")) == "1970-01-01T00:00:00+00:00"


def test_the_machine_has_a_zone(monkeypatch):
    monkeypatch.setenv("TZ", ":Asia/Kolkata")
    assert moments.machine_zone_name() == "Asia/Kolkata"
    monkeypatch.setenv("TZ", "nonsense")
    assert moments.zone(moments.machine_zone_name())
