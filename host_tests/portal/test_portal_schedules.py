"""Named weeks on the command line, on a charger's list and in its settings message."""

import json
import random
import sqlite3
from bisect import bisect_right
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from host_tests.portal.conftest import OWNER, Tapgate
from host_tests.portal.test_portal_commands import refused
from tools.portal.allowlist import EPOCH_S

OFFICE = "mo-fr 08:00-18:00, sa 09:00-12:00"


@pytest.fixture
def told(site: Tapgate, home):
    """A charger's settings as they ought to be."""

    def read() -> dict:
        from tools.portal import database, installation, lists

        with database.reading(home) as session:
            [wanted] = lists.wanted(session, installation.current(session))
            return wanted.settings

    return read


def test_a_schedule_is_added_shown_changed_and_removed(site: Tapgate):
    assert site("schedule", "add", "office", "--week", OFFICE, "--json").json == {
        "schedule": "office",
        "number": 1,
        "week": OFFICE,
        "permissions": 0,
    }
    refused(site("schedule", "add", "Office", "--week", OFFICE), 1, "'office'")
    answer = site("schedule", "set", "office", "--week", "friday 22:00-06:00", "--json").json
    assert answer["week"] == "fr 22:00-06:00"
    assert [each["week"] for each in site("schedule", "list", "--json").json] == ["fr 22:00-06:00"]
    assert site("schedule", "remove", "office").status == 0
    assert site("schedule", "list", "--json").json == []
    refused(site("schedule", "remove", "office"), 1, "schedule list")


@pytest.mark.parametrize("text", ["", "whenever", "mo, we, fr 08:00-18:00", "mo 25:00-26:00"])
def test_a_week_that_is_none_is_wrong_usage(site: Tapgate, text):
    refused(site("schedule", "add", "office", "--week", text), 2, "--week")


def test_a_permission_with_a_schedule_says_so_at_the_charger(site: Tapgate, anna, listed):
    site("schedule", "add", "nights", "--week", "fr 22:00-06:00")
    site("schedule", "add", "office", "--week", OFFICE)
    token = site("card", "add", anna, "--number", "04a1b2c3", "--json").json["token"]
    answer = site("grant", anna, "--role", "user", "--schedule", "Office", "--json").json
    assert (answer["schedule"], answer["role"]) == ("office", "user")
    assert listed()[token][15] == 2 << 3 | 1
    assert "user, office" in site("person", "list").out
    site("grant", anna, "--role", "user")
    assert listed()[token][15] == 1
    refused(site("grant", anna, "--role", "user", "--schedule", "days"), 1, "'days'")


def test_a_schedule_in_use_stays(site: Tapgate, anna):
    site("schedule", "add", "office", "--week", OFFICE)
    site("grant", anna, "--role", "user", "--schedule", "office")
    refused(site("schedule", "remove", "office"), 1, "used by 1 permission", "schedule set")
    site("revoke", anna)
    assert site("schedule", "remove", "office").status == 0


def test_an_owner_by_the_week_is_not_the_last_one(site: Tapgate, anna):
    site("schedule", "add", "office", "--week", OFFICE)
    site("grant", anna, "--role", "owner", "--schedule", "office")
    refused(site("revoke", OWNER), 1, "last owner")
    refused(site("grant", OWNER, "--role", "owner", "--schedule", "office"), 1, "last owner")


def test_there_are_31_schedules_at_most(site: Tapgate, home):
    for number in range(31):
        assert site("schedule", "add", f"s{number}", "--week", "mo").status == 0
    refused(site("schedule", "add", "more", "--week", "mo"), 1, "31 schedules")
    site("schedule", "remove", "s7")
    assert site("schedule", "add", "more", "--week", "mo", "--json").json["number"] == 8


def test_a_freed_number_is_not_the_next_one(site: Tapgate):
    site("schedule", "add", "office", "--week", OFFICE)
    site("schedule", "remove", "office")
    assert site("schedule", "add", "other", "--week", "mo", "--json").json["number"] == 2


def test_a_charger_keeps_256_windows_at_most(site: Tapgate, told):
    hours = " ".join(f"{hour:02}:00-{hour:02}:30" for hour in range(24))
    site("schedule", "add", "half", "--week", f"mo-su {hours}")  # 168
    refused(site("schedule", "add", "more", "--week", f"mo-th {hours}"), 1, "264 windows", "256")
    assert [each["schedule"] for each in site("schedule", "list", "--json").json] == ["half"]
    fits = f"mo-we {hours}, th {hours[: 16 * 12 - 1]}"
    refused(site("schedule", "add", "more", "--week", f"{fits}, su"), 1, "257 windows")
    assert site("schedule", "add", "more", "--week", fits).status == 0
    assert sum(len(each) // 8 for each in told()["schedules"].values()) == 256
    refused(site("schedule", "set", "more", "--week", f"mo-th {hours}"), 1, "264 windows")
    assert site("schedule", "set", "half", "--week", f"mo-tu {hours}").status == 0


def test_the_largest_settings_message_is_small_enough(site: Tapgate, home, told):
    with sqlite3.connect(home / "tapgate.db") as connection:
        connection.execute("UPDATE installation SET timezone = 'Africa/Casablanca'")
        for number in range(1, 32):
            connection.execute(
                "INSERT INTO schedule VALUES (?, ?, ?)", [number, number, f"s{number}"]
            )
            connection.executemany(
                "INSERT INTO schedule_window (schedule_id, weekday, start_min, end_min) "
                "VALUES (?, 6, ?, ?)",
                [(number, 900 + 60 * each, 901 + 60 * each) for each in range(8)],
            )
    signed = json.dumps({"v": 1 << 53, "t": 1 << 33, **told()}, separators=(",", ":"))
    assert 64 + 1 + len(signed) < 8_192


def test_without_schedules_a_charger_is_told_of_no_clock_changes(told):
    assert not {"schedules", "offsets", "offsets_until"} & told().keys()


@pytest.mark.parametrize(
    "zone", ["Europe/Oslo", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe", "UTC"]
)
def test_a_charger_can_tell_the_local_week_from_what_it_is_told(site: Tapgate, home, told, zone):
    """Held against the calendar for the minutes around every change, and for any others."""
    site("schedule", "add", "nights", "--week", "fr 22:00-06:00, su 23:00-01:00")
    with sqlite3.connect(home / "tapgate.db") as connection:
        connection.execute("UPDATE installation SET timezone = ?", [zone])
    said = told()
    text, offsets, until = said["schedules"]["1"], said["offsets"], said["offsets_until"]
    windows = [
        (int(text[each : each + 4], 16), int(text[each + 4 : each + 8], 16))
        for each in range(0, len(text), 8)
    ]
    this_year = datetime.now(UTC).year
    begin = (int(datetime(this_year, 1, 1, tzinfo=UTC).timestamp()) - EPOCH_S) // 60
    assert offsets[0][0] <= begin and until > begin + 4 * 365 * 1_440
    assert offsets == sorted(offsets)
    some = random.Random(zone)
    minutes = [some.randrange(begin, until) for _ in range(2_000)]
    minutes += [change + each for change, _ in offsets[1:] for each in range(-90, 91)]
    for minute in minutes:
        local = datetime.fromtimestamp(EPOCH_S, UTC) + timedelta(minutes=minute)
        local = local.astimezone(ZoneInfo(zone))
        offset = offsets[bisect_right(offsets, [minute, 1_000]) - 1][1]
        of_week = (minute + offset) % 10_080  # 2024-01-01 was a Monday
        assert of_week == local.weekday() * 1_440 + local.hour * 60 + local.minute
        evening = local.hour >= 22 if local.weekday() == 4 else local.hour >= 23
        holds = (
            (local.weekday() in (4, 6) and evening)
            or (local.weekday() == 5 and local.hour < 6)
            or (local.weekday() == 0 and local.hour < 1)
        )
        assert any(first <= of_week < end for first, end in windows) == holds
