"""`tapgate report` on sessions made by hand: what is in it, what adds up, what people see."""

import os
import random
import stat
import time
from dataclasses import replace
from datetime import date, timedelta

import pytest
from sqlalchemy import select

from host_tests.portal.conftest import Tapgate
from host_tests.portal.stays import (
    APP,
    BLUE,
    EVERY_KIND,
    FROM_THE_APP,
    GONE,
    HOW_IT_ENDED_UNKNOWN,
    LOST,
    MAY,
    OPEN,
    PLAIN,
    PLAIN_CARD,
    REMOVED,
    RUNNING,
    UNKNOWN,
    Tell,
    at,
    stay,
    teller,
)
from tools.portal import database, moments, report
from tools.portal.listing import Column, Listing
from tools.portal.report import Period
from tools.portal.schema import Charger, ReportedState


@pytest.fixture
def told(site: Tapgate, monkeypatch: pytest.MonkeyPatch) -> Tell:
    """These are the sessions that the portal knows."""
    return teller(monkeypatch)


def refused(answer, *words: str) -> None:
    assert answer.status == 2 and answer.out == ""
    assert answer.err.startswith("tapgate: ") and answer.err.count("\n") == 1, answer.err
    for word in words:
        assert word in answer.err, answer.err


# --- what is in it ---


def test_a_session_is_told_in_local_time_with_its_offset(site: Tapgate, told: Tell):
    told(stay())
    assert site(*MAY, "--format", "json").json == {
        "from": "2026-05-01",
        "to": "2026-05-31",
        "by": "person",
        "sessions": [
            {
                "charger": "garage",
                "person": "anna@example.org",
                "name": "Anna Østby",
                "card": BLUE,
                "label": "blue fob",
                "hint": "a1b2",
                "start": "2026-05-04T18:00:00+02:00",
                "end": "2026-05-04T20:05:00+02:00",
                "estimated": False,
                "wh": 12_345,
                "reason": "unplugged",
                "by": "card",
                "running": False,
            }
        ],
        "running": [],
        "totals": [{"key": "anna@example.org", "name": "Anna Østby", "sessions": 1, "wh": 12_345}],
        "lost": [],
    }


def test_what_a_charger_had_no_room_for_is_told(site: Tapgate, told: Tell, home):
    told(stay())
    body = {"online": True, "journal": {"lost_sessions": 19}}
    with database.changing(home) as session:
        charger = session.scalars(select(Charger)).one()
        session.add(ReportedState(charger_id=charger.id, seen_at=1, body=body))
    assert site(*MAY, "--json").json["lost"] == [{"charger": "garage", "records": 19}]
    for how in ([], ["--format", "csv"]):
        assert "garage was full and lost 19 records of sessions" in site(*MAY, *how).err


def test_json_is_the_same_whichever_way_it_is_asked_for(site: Tapgate, told: Tell):
    told(*EVERY_KIND)
    asked = [site(*MAY, *how) for how in (["--json"], ["--format", "json"])]
    asked += [site("--json", *MAY), site(*MAY, "--json", "--format", "json")]
    assert len({each.out for each in asked}) == 1 and asked[0].json["sessions"]


@pytest.mark.parametrize(
    ("by", "keys"),
    [
        ("person", ["anna@example.org", GONE, None]),
        ("charger", ["garage", "gate", "yard"]),
        ("card", [BLUE, PLAIN, APP, GONE, LOST, None]),
    ],
)
def test_sums_are_by_person_charger_or_card(site: Tapgate, told: Tell, by, keys):
    told(*EVERY_KIND)
    assert [each["key"] for each in site(*MAY, "--json", "--by", by).json["totals"]] == keys


def test_one_report_has_sessions_with_and_without_authorisation(site: Tapgate, told: Tell):
    told(stay(), OPEN, UNKNOWN)
    found = site(*MAY, "--json").json
    assert [each["person"] for each in found["sessions"]] == ["anna@example.org", None, None]
    assert [each["card"] for each in found["sessions"]] == [BLUE, None, LOST]
    assert found["totals"][-1] == {"key": None, "name": None, "sessions": 2, "wh": 20_500}
    out = site(*MAY).out
    assert "no card" in out and "nobody known" in out
    assert "without a person" in site(*MAY, "--by", "person").out
    assert "without a card" in site(*MAY, "--by", "card").out


@pytest.mark.parametrize("by", report.BY)
def test_sums_agree_with_the_sessions(site: Tapgate, told: Tell, by):
    chance = random.Random(7)
    told(
        *(
            replace(chance.choice(EVERY_KIND), wh=chance.randrange(100_000), start=moment)
            for moment in range(at(2026, 4, 1), at(2026, 7, 1), 20_011)
        )
    )
    found = site(*MAY, "--json", "--by", by).json
    name = {"person": "person", "charger": "charger", "card": "card"}[by]
    assert len(found["totals"]) > 2
    for total in found["totals"]:
        theirs = [each["wh"] for each in found["sessions"] if each[name] == total["key"]]
        assert (total["sessions"], total["wh"]) == (len(theirs), sum(theirs))
    assert sum(each["sessions"] for each in found["totals"]) == len(found["sessions"])
    assert len({each["key"] for each in found["totals"]}) == len(found["totals"])


def test_a_card_that_changed_hands_is_told_with_all_who_had_it(site: Tapgate, told: Tell):
    told(stay(), stay(person="bo@example.org", name=None, label=None), stay())
    [total] = site(*MAY, "--json", "--by", "card").json["totals"]
    assert total == {
        "key": BLUE,
        "label": "blue fob",
        "hint": "a1b2",
        "people": ["anna@example.org", "bo@example.org"],
        "sessions": 3,
        "wh": 3 * 12_345,
    }


def test_a_running_session_is_told_apart_and_in_no_sum(site: Tapgate, told: Tell):
    told(stay(), RUNNING)
    found = site(*MAY, "--json").json
    assert [each["end"] is None for each in found["sessions"]] == [False]
    [running] = found["running"]
    assert running["running"] is True and (running["end"], running["wh"]) == (None, 4_000)
    assert found["totals"][0]["wh"] == 12_345
    out = site(*MAY).out
    assert "(4.000)  running" in out and "1 session is still running" in out
    assert site(*MAY, "--by", "charger").out.count("still running") == 1
    csv = site(*MAY, "--format", "csv")
    assert csv.out.count("\r\n") == 2 and "1 session is still running" in csv.err


# --- which days ---


def period(first: str, last: str, zone: str = "Europe/Oslo") -> tuple[int, int]:
    found = Period(moments.day(first), moments.day(last), moments.zone(zone))
    return found.since, found.until


@pytest.mark.parametrize(
    ("first", "last", "hours"),
    [
        ("2026-05-01", "2026-05-01", 24),
        ("2026-03-29", "2026-03-29", 23),  # the clock is put forward
        ("2026-10-25", "2026-10-25", 25),  # and back
        ("2026-03-01", "2026-03-31", 31 * 24 - 1),
        ("2026-10-01", "2026-10-31", 31 * 24 + 1),
        ("2026-01-01", "2026-12-31", 365 * 24),
    ],
)
def test_both_days_count_from_midnight_to_midnight(first, last, hours):
    since, until = period(first, last)
    assert until - since == hours * 3_600
    assert since == at(*map(int, first.split("-")))


def test_a_session_belongs_to_the_day_on_which_it_started(site: Tapgate, told: Tell):
    midnight = at(2026, 6, 1)
    told(*(stay(start=moment, end=midnight + 60) for moment in (midnight - 1, midnight)))
    starts = [each["start"] for each in site(*MAY, "--json").json["sessions"]]
    assert starts == ["2026-05-31T23:59:59+02:00"]
    june = site("report", "--from", "2026-06-01", "--to", "2026-06-01", "--json").json["sessions"]
    assert [each["start"] for each in june] == ["2026-06-01T00:00:00+02:00"]


def test_both_hours_that_have_the_same_name_are_told_with_their_offsets(site: Tapgate, told: Tell):
    second = at(2026, 10, 25, 3) - 1_800
    told(stay(start=second - 3_600, end=second))
    [row] = site("report", "--from", "2026-10-25", "--to", "2026-10-25", "--json").json["sessions"]
    assert (row["start"], row["end"]) == ("2026-10-25T02:30:00+02:00", "2026-10-25T02:30:00+01:00")
    assert "1 h 00 min" in site("report", "--from", "2026-10-25", "--to", "2026-10-25").out


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("Asia/Beirut", "2026-03-29", 23),  # from midnight on to one
        ("America/Havana", "2026-11-01", 25),  # from one back to midnight
        ("Pacific/Apia", "2011-12-30", 0),  # left out altogether
        ("Asia/Kolkata", "2026-03-29", 24),
    ],
)
def test_days_follow_each_other_where_midnight_is_skipped_or_comes_twice(zone, day, hours):
    since, until = period(day, day, zone)
    assert until - since == hours * 3_600
    before, after = (str(date.fromisoformat(day) + timedelta(days=days)) for days in (-1, 1))
    assert period(before, before, zone)[1] == since and period(after, after, zone)[0] == until


@pytest.mark.parametrize(
    ("first", "last", "words"),
    [
        ("yesterday", "2026-05-31", ["'yesterday'", "2026-05-31"]),
        ("2026-05-01", "2026-02-30", ["'2026-02-30'"]),
        ("2026-05-01T12:00", "2026-05-31", ["not a date"]),
        ("20260501", "2026-05-31", ["not a date"]),
        ("2026-W18-1", "2026-05-31", ["not a date"]),
        ("٢٠٢٦-٠٥-٠١", "2026-05-31", ["not a date"]),
        ("", "2026-05-31", ["not a date"]),
        ("2026-05-02", "2026-05-01", ["2026-05-02 is after --to 2026-05-01"]),
        ("1969-12-31", "2026-05-01", ["calendar", "1970"]),
        ("2026-05-01", "9999-12-31", ["calendar", "9998"]),
    ],
)
def test_wrong_days_are_refused_in_one_line(site: Tapgate, told: Tell, first, last, words):
    refused(site("report", "--from", first, "--to", last), *words)


def test_the_ends_of_the_calendar_can_be_asked_for(site: Tapgate, told: Tell):
    assert site("report", "--from", "1970-01-01", "--to", "9998-12-31").status == 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--by", "colour"), ["--by", "person", "charger", "card"]),
        (("--format", "pdf"), ["--format", "table", "csv", "json"]),
        (("--format", "csv", "--json"), ["exclude"]),
        (("--format", "table", "--json"), ["exclude"]),
        (("--format", "table", "--out", "x"), ["--out", "csv"]),
    ],
)
def test_what_is_not_to_be_had_is_refused_with_what_is(site: Tapgate, told: Tell, options, words):
    refused(site(*MAY, *options), *words)


def test_a_day_that_is_missing_is_asked_for(site: Tapgate):
    refused(site("report", "--from", "2026-05-01"), "--to")


def test_nothing_in_these_days_is_said_so(site: Tapgate, told: Tell):
    assert "no sessions from 2026-05-01 to 2026-05-31" in site(*MAY).out
    found = site(*MAY, "--json").json
    assert (found["sessions"], found["running"], found["totals"]) == ([], [], [])
    assert site(*MAY, "--format", "csv").out.count("\r\n") == 1


def test_help_says_what_a_running_session_is(site: Tapgate):
    answer = site("report", "--help")
    assert answer.status == 0 and "still running" in answer.out


# --- for people ---


def test_the_table_has_a_line_for_each_session_and_one_for_all(site: Tapgate, told: Tell):
    told(stay(), PLAIN_CARD, FROM_THE_APP)
    out = site(*MAY).out
    assert "2026-05-04 18:00  2 h 05 min  garage   anna@example.org  blue fob" in out
    assert "…c3d4" in out and "the app" in out and "unplugged" in out
    energies = ["12.345", "1.000", "0.007", "13.352"]
    ends = [line.index(e) + len(e) for e in energies for line in out.splitlines() if e in line]
    assert len(ends) == 4 and len(set(ends)) == 1, out  # right below each other
    assert "3 sessions" in out.splitlines()[-1]


def test_with_by_there_is_a_line_for_each_and_one_for_all(site: Tapgate, told: Tell):
    told(*EVERY_KIND)
    lines = site(*MAY, "--by", "person").out.splitlines()
    [anna] = [line for line in lines if "anna@" in line]
    assert anna.split() == ["anna@example.org", "Anna", "Østby", "4", "13.402"]
    [total] = [line for line in lines if line.startswith("total")]
    assert total.split() == ["total", "7", "33.905"]


def test_estimated_times_are_marked_and_explained(site: Tapgate, told: Tell):
    told(stay(), UNKNOWN)
    out = site(*MAY).out
    assert " 2026-05-04 18:00   2 h 05 min" in out and "~2026-05-04 18:00  ~2 h 05 min" in out
    assert "~ no exact time" in out
    told(stay())
    assert "~" not in site(*MAY).out


def test_a_session_that_is_over_without_an_end_counts_and_says_so(site: Tapgate, told: Tell):
    told(HOW_IT_ENDED_UNKNOWN)
    [row] = site(*MAY, "--json").json["sessions"]
    assert (row["end"], row["reason"], row["wh"]) == (None, None, 50)
    assert "not known" in site(*MAY).out and "running" not in site(*MAY).out


def test_of_somebody_who_was_removed_no_card_is_told(site: Tapgate, told: Tell):
    told(REMOVED, OPEN)
    first, second = (line for line in site(*MAY).out.splitlines() if line.startswith("2026-05-04"))
    assert f"{GONE}  –" in first and "no card" in second
    by_card = site(*MAY, "--by", "card").out.splitlines()
    [gone] = [line.split() for line in by_card if GONE in line]
    [without] = [line.split() for line in by_card if "without a card" in line]
    assert gone == ["–", GONE, "1", "0.003"] and without[-2:] == ["1", "20.000"]


def test_nothing_that_a_charger_says_moves_a_terminals_cursor(site: Tapgate, told: Tell):
    told(
        stay(
            person="a\x1b[2J@b",
            reason="\x1b[2J",
            by="\x07",
            label="\x1b]0;x\x07",
            charger="a\rb",
            name="\x9b2J",
        )
    )
    for options in ((), ("--by", "card"), ("--by", "person"), ("--by", "charger")):
        out = site(*MAY, *options).out
        assert all(each.isprintable() for line in out.split("\n") for each in line), options
    assert "\x1b" not in site(*MAY, "--format", "csv").out


LONG = ["2026-05-04 18:00", "garage", "anna-with-a-long-name@example.org", "青い鍵" * 6, "12.345"]


@pytest.mark.parametrize("room", [200, 100, 80, 50, 40])
def test_a_narrow_terminal_shows_all_of_it_in_its_width(room):
    columns = [
        *(Column("started"), Column("charger"), Column("person", folds=True, below=True)),
        *(Column("card", folds=True, below=True), Column("kWh", right=True)),
    ]
    table = Listing(columns, [LONG], room, ["1 session", "", "", "", "12.345"])
    from rich.cells import cell_len

    lines = "\n".join(table.lines()).split("\n")
    assert max(map(cell_len, [*lines, table.head, table.rule, table.last])) <= room
    assert sorted("".join(LONG).replace(" ", "")) == sorted("".join(lines).replace(" ", ""))


def test_a_row_of_several_lines_begins_like_the_others():
    columns = [Column(" started"), Column("person", folds=True)]
    rows = [[" 2026-05-04", "anna-with-a-long-name@example.org"], ["~2026-05-05", "–"]]
    first, second, third = "\n".join(Listing(columns, rows, 35).lines()).split("\n")
    assert first == " 2026-05-04  anna-with-a-long-name@"
    assert second == " " * 13 + "example.org"
    assert third == "~2026-05-05  –"


# --- a file ---


def test_a_file_is_for_its_owner_alone_and_is_there_whole_or_not(
    site: Tapgate, told: Tell, tmp_path, monkeypatch
):
    told(stay())
    file = tmp_path / "may.csv"
    answer = site(*MAY, "--out", str(file))
    assert answer.status == 0 and "1 session, 12.345 kWh" in answer.out
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    before = file.read_bytes()
    assert before.decode() == site(*MAY, "--format", "csv").out

    def full(*_):
        raise OSError(28, "No space left on device")

    told(stay(), OPEN)
    monkeypatch.setattr(os, "replace", full)
    answer = site(*MAY, "--out", str(file))
    assert answer.status == 1 and "No space left" in answer.err
    assert [each.name for each in tmp_path.iterdir()] == ["may.csv"]
    assert file.read_bytes() == before


def test_a_file_of_json_is_the_json(site: Tapgate, told: Tell, tmp_path):
    told(*EVERY_KIND)
    file = tmp_path / "may.json"
    answer = site(*MAY, "--format", "json", "--out", str(file), "--json")
    said = {"out": str(file), "format": "json", "sessions": 7, "wh": 33_905}
    assert answer.json == said
    assert file.read_text() == site(*MAY, "--json").out


def test_what_is_no_file_is_not_replaced(site: Tapgate, told: Tell, tmp_path):
    told(stay(), RUNNING)
    for where in (tmp_path, tmp_path / "no" / "may.csv"):
        answer = site(*MAY, "--out", str(where))
        assert answer.status == 1 and answer.err.count("\n") == 1


# --- much of it ---


@pytest.mark.parametrize("options", [(), ("--by", "card"), ("--format", "csv"), ("--json",)])
def test_fifty_thousand_sessions_take_seconds(site: Tapgate, told: Tell, options):
    year = range(at(2026, 1, 1), at(2026, 12, 31), 365 * 86_400 // 50_000)
    told(*(stay(start=each, end=each + 60, token=f"{each % 7_000:014x}") for each in year))
    begin = time.monotonic()
    answer = site("report", "--from", "2026-01-01", "--to", "2026-12-31", *options)
    assert answer.status == 0 and time.monotonic() - begin < 30


def test_an_installation_that_has_just_begun_has_an_empty_report(site: Tapgate):
    assert site(*MAY, "--json").json["sessions"] == []
