"""The report as CSV: what any reader gets back, and that no spreadsheet runs any of it."""

import csv
import io
import re
import unicodedata
from datetime import date

import pytest
from hypothesis import example, given
from hypothesis import strategies as some

from host_tests.portal.conftest import Tapgate
from host_tests.portal.stays import EVERY_KIND, MAY, NOBODY, OSLO, Tell, stay, teller
from tools.portal import report_csv
from tools.portal.report import BY, Period, Report

PERIOD = Period(date(2026, 5, 1), date(2026, 5, 31), OSLO)


@pytest.fixture
def told(site: Tapgate, monkeypatch: pytest.MonkeyPatch) -> Tell:
    """These are the sessions that the portal knows."""
    return teller(monkeypatch)


def read(text: str) -> list[dict[str, str]]:
    """As Python's reader at its strictest takes it."""
    assert text[0] == report_csv.BYTE_ORDER_MARK
    rows = list(csv.reader(io.StringIO(text[1:], newline=""), strict=True))
    assert len({len(row) for row in rows}) == 1
    return [dict(zip(rows[0], row, strict=True)) for row in rows[1:]]


def sessions(*stays) -> list[dict[str, str]]:
    return read(report_csv.sessions(Report(PERIOD, "person", list(stays))))


def test_a_session_is_a_line_with_iso_times_and_a_whole_number(site, told: Tell):
    told(stay())
    assert read(site(*MAY, "--format", "csv").out) == [
        {
            "date": "2026-05-04",
            "charger": "garage",
            "person": "anna@example.org",
            "name": "Anna Østby",
            "card": "023456789abcde",
            "label": "blue fob",
            "number": "…a1b2",
            "start": "2026-05-04T18:00:00+02:00",
            "end": "2026-05-04T20:05:00+02:00",
            "estimated": "no",
            "wh": "12345",
            "reason": "unplugged",
            "by": "card",
        }
    ]


def test_what_is_not_known_is_empty():
    [row] = sessions(stay(**NOBODY, token=None, reason=None, by=None))
    empty = {key for key, cell in row.items() if not cell}
    assert empty == {"person", "name", "card", "label", "number", "reason", "by"}


def test_every_line_ends_as_the_rfc_has_it_and_quotes_are_doubled():
    text = report_csv.sessions(Report(PERIOD, "person", [stay(label='5" fob, blue')] * 2))
    assert text.count("\r\n") == text.count("\n") == text.count("\r") == 3
    assert '"5"" fob, blue"' in text
    assert sessions(stay(label='5" fob, blue'))[0]["label"] == '5" fob, blue'


def test_it_begins_with_the_mark_by_which_spreadsheets_know_utf_8(site, told: Tell, tmp_path):
    told(stay())
    site(*MAY, "--out", str(tmp_path / "may.csv"))
    written = (tmp_path / "may.csv").read_bytes()
    assert written.startswith(b"\xef\xbb\xbfdate,charger,")
    assert "Anna Østby".encode() in written and written.endswith(b"\r\n")


@pytest.mark.parametrize("by", BY)
def test_the_lines_add_up_to_what_json_says(site, told: Tell, by):
    told(*EVERY_KIND)
    expected = site(*MAY, "--json", "--by", by).json
    rows = read(site(*MAY, "--format", "csv").out)
    assert [int(row["wh"]) for row in rows] == [each["wh"] for each in expected["sessions"]]
    totals = read(site(*MAY, "--format", "csv", "--by", by).out)
    assert [(row[by] or None, int(row["sessions"]), int(row["wh"])) for row in totals] == [
        (each["key"], each["sessions"], each["wh"]) for each in expected["totals"]
    ]
    assert {(row["from"], row["to"]) for row in totals} == {("2026-05-01", "2026-05-31")}


FORMULAS = [
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    '=HYPERLINK("http://evil.example";"click")',
    "=cmd|' /C calc'!A0",
    "  =1+1",
    '"=1+1',
    "\t=1+1",
    "\r=1+1",
    "\n=1+1",
    "\tx",
    "＝1+1",
    "＋1",
    "－1",
    "＠SUM(A1)",
    "﹦1",
    "﹢1",
    "﹣1",
    "﹫x",
    "\N{MINUS SIGN}1",
    "\N{ZERO WIDTH SPACE}=1",
    "Anna;=1+1",
    "Anna, =1+1",
    'Anna;"=1+1"',
    "Anna|+1",
    "Anna;;=1",
    "Anna\n=1",
]


def runs(cell: str) -> bool:
    """Whether a spreadsheet might take it for a formula."""
    first = cell.lstrip(' "\t\r\n\x00\N{ZERO WIDTH SPACE}')[:1]
    return unicodedata.normalize("NFKC", first)[:1] in {*"=+-@\N{MINUS SIGN}"} - {""} or (
        cell[:1] in {"\t", "\r", "\n"}
    )


@pytest.mark.parametrize("text", FORMULAS)
def test_no_text_can_run_as_a_formula(text):
    fields = dict.fromkeys(("charger", "person", "name", "token", "label", "hint"), text)
    one = stay(**fields, reason=text, by=text)
    for by in BY:
        found = Report(PERIOD, by, [one])
        for whole in (report_csv.sessions(found), report_csv.totals(found)):
            for row in read(whole):
                assert not any(map(runs, row.values())), row
            # Where the country's list separator is another, a line is split at that.
            assert not any(map(runs, re.split(r"[;|\n]", whole[1:].replace("\r\n", "\n"))))


@given(some.text(some.characters(codec="utf-8"), max_size=20))
@example("a;;=")
@example('",=')
def test_whatever_the_text_it_is_one_harmless_cell(text):
    file = io.StringIO(newline="")
    csv.writer(file, lineterminator="\r\n").writerow([report_csv.harmless(text), 1])
    assert file.getvalue().count("\r\n") == 1
    [[cell, number]] = csv.reader(io.StringIO(file.getvalue(), newline=""), strict=True)
    assert number == "1" and not any(map(runs, re.split("[,;|]", cell)))


@pytest.mark.parametrize(
    "text",
    ["Anna Østby", "anna-maria@example.org", "5 + 5", "a=b", "2026-05-01", "…a1b2", "青い鍵"],
)
def test_usual_text_stays_as_it_is(text):
    assert report_csv.harmless(text) == text


def test_a_number_stays_a_number():
    text = report_csv.sessions(Report(PERIOD, "person", [stay(wh=0), stay(wh=10**9)]))
    assert [line.split(",")[-3] for line in text.splitlines()[1:]] == ["0", "1000000000"]
