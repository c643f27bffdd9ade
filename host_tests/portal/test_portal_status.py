"""What chargers say of themselves, beside what they should hold."""

import time
from datetime import datetime

import pytest

STATE = "tapgate/home/garage/state"


@pytest.fixture
def due(live, anna):
    """What the charger ought to hold, published."""
    live("grant", anna, "--role", "user")
    live("card", "add", anna, "--number", "04a1b2c3")
    live("publish")
    return live("status", "--json").json[0]["expected"]


def state(due: dict, **change) -> dict:
    held = {name: due[name] for name in ("version", "digest", "cards")}
    return {
        "online": True,
        "state": "awaiting",
        "light": {"colour": "yellow", "pattern": "slow pulse"},
        "access": "restricted",
        "vehicle": True,
        "allowlist": {**held, "age_s": 3},
        "reader": "ok",
        "faults": [],
        **change,
    }


def test_a_charger_that_holds_what_it_should_is_in_step(live, broker, observe, due):
    observe(broker).say(STATE, state(due))
    before = time.time()
    [row] = live("status", "garage", "--json").json
    assert row["in_step"] is True and row["online"] is True and row["published"] is True
    assert (row["charger"], row["state"], row["access"]) == ("garage", "awaiting", "restricted")
    assert row["allowlist"] == {name: due[name] for name in ("version", "digest", "cards")}
    seen = datetime.fromisoformat(row["seen"])
    assert seen.utcoffset() is not None and before - 1 <= seen.timestamp() <= time.time()
    out = live("status").out
    assert "awaiting" in out and "in step" in out


def test_a_charger_with_another_list_or_mode_lags(live, broker, observe, due):
    seen = observe(broker)
    for change in (
        {"allowlist": {"version": due["version"] - 1, "digest": "0" * 32, "cards": 0}},
        {"allowlist": {"version": due["version"] - 1, "digest": due["digest"], "cards": 1}},
        {"allowlist": None},
        {"access": "open"},
    ):
        seen.say(STATE, state(due, **change))
        [row] = live("status", "--json").json
        assert (row["in_step"], row["published"]) == (False, True), change
        assert "waiting" in live("status").out


def test_a_change_that_is_not_published_shows(live, broker, observe, due, anna):
    observe(broker).say(STATE, state(due))
    live("revoke", anna)
    [row] = live("status", "--json").json
    assert (row["in_step"], row["published"], row["expected"]["cards"]) == (False, False, 0)
    assert "not published" in live("status").out


def test_another_broker_holds_nothing_yet(live, broker, observe, due):
    observe(broker).say(STATE, state(due))
    live("broker", broker.url)
    assert live("status", "--json").json[0]["published"] is False
    live("publish")
    assert live("status", "--json").json[0]["published"] is True


def test_a_charger_that_went_away_is_shown_as_it_was_last(live, broker, observe, due):
    seen = observe(broker)
    seen.say(STATE, state(due, state="charging"))
    [before] = live("status", "--json").json
    seen.say(STATE, {"online": False})  # the last will
    [row] = live("status", "--json").json
    assert row == {**before, "online": False}


def test_a_charger_that_was_never_there_is_offline_and_empty(live, broker):
    [row] = live("status", "--json").json
    assert (row["online"], row["state"], row["in_step"], row["seen"]) == (False, None, False, None)
    assert row["allowlist"] == {"version": None, "digest": None, "cards": None}


def test_with_the_broker_away_the_last_known_state_is_shown_and_said_so(live, broker, observe, due):
    observe(broker).say(STATE, state(due))
    [before] = live("status", "--json").json
    broker.stop()
    answer = live("status", "--json")
    [row] = answer.json
    assert row == {**before, "online": None}
    assert "what was last heard" in answer.err and answer.err.count("\n") == 1
    assert "not known" in live("status").out


HOSTILE = [
    "",
    "nonsense",
    "[1]",
    "null",
    '{"online":1}',
    '{"online":"true"}',
    '{"online":true,"state":7,"access":[],"allowlist":[],"light":"red","seen":{}}',
    '{"online":true,"allowlist":{"version":"1","digest":2,"cards":true}}',
    "[" * 50_000,
    '{"online":true,"x":"' + "y" * 100_000 + '"}',
    b"\xff\xfe",
    '{"online":true,"vehicle":NaN}',
    '{"online":true,"state":"\\u001b[2J","access":"\\u001b]0;mine\\u0007"}',
    '{"online":true,"vehicle":' + "[" * 400 + "]" * 400 + "}",
    '{"online":true,"light":{"colour":' + "[" * 400 + "]" * 400 + "}}",
    '{"online":true,"faults":["\\u001b[2J",[7]]}',
]


def test_what_anybody_may_write_on_the_broker_breaks_nothing(live, broker, observe):
    anybody = observe(broker)
    for payload in HOSTILE:
        anybody.say(STATE, payload)
        answer, prose = live("status", "--json"), live("status")
        [row] = answer.json
        assert row["in_step"] is False, payload
        assert row["state"] is None, payload
        assert row["allowlist"] == {"version": None, "digest": None, "cards": None}, payload
        assert "NaN" not in answer.out and "\\u001b" not in answer.out, payload
        assert prose.status == 0 and "\x1b" not in prose.out, payload


JOURNAL = {"pending": 3, "full": 1, "lost_routine": 0, "lost_sessions": 0, "stored": True}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"full": 80, "pending": 8_123}, "garage: its journal is 80% full; 8123 events still to"),
        ({"full": 75, "pending": 1}, "75% full; 1 event still to be sent"),
        ({"stored": False}, "garage: its journal cannot be written"),
        ({"lost_sessions": 2}, "garage: its journal was full and lost 2 records of sessions"),
        ({"lost_routine": 7}, "garage: its journal was full and lost 7 events beside"),
    ],
)
def test_a_journal_that_wants_a_connection_is_remarked_on(live, broker, observe, change, words):
    seen = observe(broker)
    seen.say(STATE, {"online": True, "journal": JOURNAL, "events_lost": 0})
    assert live("status", "--json").json[0]["journal"] == JOURNAL
    assert "journal" not in live("status").out
    seen.say(STATE, {"online": True, "journal": {**JOURNAL, **change}})
    assert live("status", "--json").json[0]["journal"] == {**JOURNAL, **change}
    assert words in live("status").out
    seen.say(STATE, {"online": False})  # it is away: what it last said of that counts all the more
    assert words in live("status").out


def test_a_meter_that_stands_still_is_remarked_on(live, broker, observe):
    observe(broker).say(STATE, {"online": True, "faults": ["meter"]})
    assert "garage: its meter stands still" in live("status").out


def test_an_older_firmware_has_no_journal_and_counts_what_it_lost_together(live, broker, observe):
    observe(broker).say(STATE, {"online": True, "events_lost": 4})
    assert live("status", "--json").json[0]["journal"] is None
    assert "garage has lost 4 events" in live("status").out


@pytest.mark.parametrize("wrong", [None, True, "80", 80.5, -1, 1 << 60, [80], {"fall": 80}])
def test_nonsense_in_a_journal_is_no_remark(live, broker, observe, wrong):
    seen = observe(broker)
    journal = {**dict.fromkeys(JOURNAL, wrong), "stored": 0, "more": "\x1b[2J"}
    for body in ({"journal": journal}, {"journal": wrong}, {"events_lost": wrong}):
        seen.say(STATE, {"online": True, "faults": wrong, **body})
        [row] = live("status", "--json").json
        assert row["journal"] in (None, dict.fromkeys(JOURNAL)) and row["events_lost"] is None
        out = live("status").out
        assert "journal" not in out and "lost" not in out


def test_every_charger_has_its_row(live, broker, observe, due):
    live("charger", "add", "gate")
    observe(broker).say("tapgate/home/stranger/state", state(due))
    rows = live("status", "--json").json
    assert [row["charger"] for row in rows] == ["garage", "gate"]
    assert [row["charger"] for row in live("status", "gate", "--json").json] == ["gate"]
