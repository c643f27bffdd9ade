"""`tapgate events`: what chargers have said, as people read it."""

import sqlite3
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from firmware.link import messages
from host_tests.portal.conftest import Tapgate
from host_tests.portal.served import event
from host_tests.portal.stays import OSLO, at
from tools.portal import database, event_words, intake

NOON = at(2026, 5, 4, 12)
HOUR = 3_600
OTHER_KEY = "signature: not made with this charger's key for this topic"

Hear = Callable[..., None]


@pytest.fixture
def hear(home: Path) -> Hear:
    """Events come in from the garage: (name, fields) each."""
    count = iter(range(1, 1_000_000))

    def store(*said: tuple[str, dict[str, Any]]) -> None:
        with sqlite3.connect(home / "tapgate.db") as connection:
            [(key,)] = connection.execute("SELECT key FROM charger WHERE name = 'garage'")
        signed = [event(bytes.fromhex(key), next(count), name, **fields) for name, fields in said]
        with database.changing(home) as session:
            heard = [("garage", topic, payload) for topic, payload in signed]
            _, refused = intake.store(session, heard, int(time.time()))
        assert not refused

    return store


@pytest.fixture
def card(site: Tapgate, anna: str) -> str:
    """The token of Anna's card."""
    number = ("--number", "04a1b2c3", "--label", "blue fob")
    return site("card", "add", anna, *number, "--json").json["token"]


def line(site: Tapgate, name: str) -> str:
    [found] = [each for each in site("events").out.splitlines() if name in each]
    return " ".join(found.split())


def test_a_session_is_told_in_words(site: Tapgate, hear: Hear, card: str):
    now = int(time.time())
    start = {"token": card, "role": "user", "group": 3, "by": "card", "t": now}
    end = {"token": card, "role": "user", "by": "card", "session": 1, "wh": 12_345}
    end |= {"start": now, "end": now + 60, "reason": "power_loss", "t": now + 60}
    hear(("session_started", start), ("session_ended", {**end, "last_boot": 1, "last_up": 50}))
    started, ended = line(site, "session started"), line(site, "session ended")
    assert started.endswith("anna@example.org, card blue fob")
    assert "anna@example.org, card blue fob, 12.345 kWh" in ended and ended.endswith("power cut")
    assert card not in started + ended and str(now) not in ended


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"start": NOON, "end": NOON + HOUR}, "2026-05-04 12:00 to 13:00"),
        ({"start": NOON, "end": NOON + 24 * HOUR}, "2026-05-04 12:00 to 2026-05-05 12:00"),
        ({"start": NOON, "end": None}, "from 2026-05-04 12:00"),
        ({"start": None, "end": NOON}, "until 2026-05-04 12:00"),
        ({"start": None, "end": None}, "no card"),
        ({"wh": 7}, "0.007 kWh"),
        ({"wh": "7", "start": "noon", "end": 1 << 70, "reason": 5}, "no card"),
        ({"reason": "owner"}, "owner's card"),
        ({"reason": "some_thing"}, "some thing"),
        ({"reason": "remote", "colour": "red"}, "from afar, colour red"),
    ],
)
def test_an_end_says_how_much_when_and_why(fields, words):
    row = {"event": "session_ended", "token": None, **fields}
    assert event_words.what(row, OSLO).endswith(words)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"event": "session_started", "token": None, "by": "open"}, "no card, open to anyone"),
        ({"event": "session_resumed", "session": 9, "wh": 2_100}, "2.100 kWh so far"),
        ({"event": "fault", "fault": "meter", "detail": "x"}, "fault meter, detail x"),
        ({"event": "booted", "t_min": NOON}, "t_min 2026-05-04 12:00"),
        ({"event": "selftest_done", "passed": True, "failed": [], "parts": {"wifi": -6}}, "passed"),
        (
            {"event": "selftest_done", "v": 7, "passed": False, "failed": ["wifi", "list"]},
            "failed: wifi, list, v 7",
        ),
        (
            {"event": "selftest_done", "passed": False, "failed": [], "why": "it was ended"},
            "ended early: it was ended",
        ),
        ({"event": "selftest_done", "failed": 5}, "not passed"),
        (
            {"event": "update_failed", "firmware": "0.2.0", "why": "3 crashes"},
            "0.2.0 gave way to the version before, 3 crashes",
        ),
        (
            {"event": "update_failed", "firmware": None},
            "null gave way to the version before, null",
        ),
        (
            {"event": "card_refused", "token": "0" * 14, "verdict": "Unknown"},
            f"card {'0' * 14}, verdict Unknown",
        ),
        ({"event": "card_refused", "token": "removed-0a1b", "hint": None}, "removed-0a1b"),
        ({"event": "card_refused", "token": 7, "verdict": None}, ""),
        (
            {"event": "fault", "fault": "settings_damaged", "detail": OTHER_KEY},
            "the settings on its flash are signed with another key: as it should be after a rekey, "
            f"until it is linked, fault settings_damaged, detail {OTHER_KEY}",
        ),
    ],
)
def test_other_events_say_what_they_hold(row, words):
    assert event_words.what(row, OSLO) == words


@pytest.mark.parametrize(
    ("event", "body", "line"),
    [
        ("list_applied", {"cards": 7}, "left: holds its list, 7 cards"),
        (
            "message_rejected",
            {"topic": "settings", "why": "signature", "detail": "x"},
            "left: refused a message on settings: signature, x",
        ),
        ("fault", {"fault": "reader", "detail": "deaf"}, "left: fault: reader, deaf"),
        ("fault_cleared", {"fault": "journal"}, "left: fault cleared: journal"),
        (
            "fault",
            {"fault": "allowlist_damaged", "detail": OTHER_KEY},
            "left: fault: allowlist_damaged, the list on its flash is signed with another key: as "
            "it should be after a rekey, until it is linked",
        ),
        (
            "fault",
            {"fault": "settings_damaged", "detail": "json: x"},
            "left: fault: settings_damaged, json: x",
        ),
        ("fault", {"fault": "journal", "detail": OTHER_KEY}, f"left: fault: journal, {OTHER_KEY}"),
        ("booted", {"cause": "power"}, None),
    ],
)
def test_who_watches_serve_is_told_at_once_what_is_worth_a_line(event, body, line):
    assert event_words.at_once("left", event, body) == line


def test_a_flash_signed_with_another_key_says_so_in_the_chargers_own_words():
    with pytest.raises(messages.MessageError) as refused:
        messages.verify(b"k" * 32, "topic", b"0" * 64 + b" {}")
    assert str(refused.value) == OTHER_KEY


def test_a_card_is_shown_as_whose_it_was(
    site: Tapgate, hear: Hear, card: str, monkeypatch: pytest.MonkeyPatch
):
    now = int(time.time())
    refused = {"token": card, "verdict": "Expired"}
    hear(("card_refused", {**refused, "t": now}))
    monkeypatch.setattr(time, "time", lambda: now + 1_000.0)
    site("card", "remove", card)
    site("person", "add", "bo@example.org")
    site("card", "add", "bo@example.org", "--number", "04a1b2c3")
    hear(("card_refused", {**refused, "t": now + 1_010}))
    rows = site("events", "--json").json
    assert [each["person"] for each in rows] == ["anna@example.org", "bo@example.org"]
    assert [each["label"] for each in rows] == ["blue fob", None]
    assert all(each["token"] == card for each in rows)
    assert "bo@example.org, card …b2c3, verdict Expired" in site("events").out


def test_a_start_from_the_app_is_its_persons(site: Tapgate, hear: Hear, anna: str, home: Path):
    from tools.portal import installation, people
    from tools.portal.token import of_person

    with database.reading(home) as session:
        key = bytes.fromhex(installation.current(session).card_key)
        token = of_person(key, people.find(session, anna).id).hex()
    hear(("session_started", {"token": token, "role": "user", "by": "remote", "t": 1_700_000_000}))
    assert line(site, "session started").endswith("anna@example.org, from the app")


def test_an_unknown_card_is_its_token(site: Tapgate, hear: Hear):
    hear(("card_refused", {"token": "00112233445566", "verdict": "Unknown"}))
    assert "card 00112233445566, verdict Unknown" in site("events").out
    assert "person" not in site("events", "--json").json[0]


def test_an_event_without_a_time_is_given_one_that_is_marked(site: Tapgate, hear: Hear):
    now = int(time.time())
    hear(
        ("booted", {"boot": 5, "up": 10}),
        ("fault", {"boot": 5, "up": 70, "t": now, "fault": "meter"}),
    )
    booted, fault = site("events", "--json").json
    assert booted["time"] is None and booted["estimated"] is not None
    assert "estimated" not in fault and fault["time"] is not None
    assert datetime.fromisoformat(booted["estimated"]).timestamp() == now - 60
    out = site("events").out
    assert out.splitlines()[2].startswith("~") and "~ no exact time" in out
    assert site("events", "--since", fault["time"], "--json").json == [fault]
    assert site("events", "--since", booted["estimated"], "--json").json == [booted, fault]
    assert site("events", "--since", "2100-01-01").out.startswith("no events")


def test_nothing_that_a_charger_says_moves_a_terminals_cursor(site: Tapgate, hear: Hear):
    hostile = "\x1b[2J\x07\r\N{RIGHT-TO-LEFT OVERRIDE}"
    fields = dict.fromkeys(("token", "by", "reason", "fault", "hint", "person", hostile), hostile)
    names = ("session_started", "session_ended", "session_resumed", "fault")
    hear(*((name, fields) for name in names))
    hear(*((name, {key: [hostile, {}] for key in fields}) for name in names))
    out = site("events").out
    assert all(each.isprintable() for line in out.split("\n") for each in line)


def test_a_person_who_was_removed_is_a_pseudonym(site: Tapgate, hear: Hear, card: str, anna: str):
    hear(("card_refused", {"token": card, "verdict": "Expired", "t": int(time.time())}))
    site("person", "remove", anna)
    for said in (site("events").out, site("events", "--json").out):
        assert anna not in said and card not in said and "removed-" in said
