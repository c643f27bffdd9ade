"""Data of an earlier Tapgate go on as they are, with the sessions that are in their events."""

import json
import sqlite3
from typing import Any

import pytest

from host_tests.portal.books import ANNAS, NOON, Books, card, started
from host_tests.portal.conftest import Tapgate
from tools.portal.schema import SCHEMA_VERSION

# What layout 2 had in place of what is there now.
LAYOUT_2 = """
DROP TABLE charging_session; DROP TABLE holding; DROP TABLE removed_person;
DROP TABLE charger_boot; DROP TABLE event; DROP TABLE removed_charger; DROP TABLE held_event;
CREATE TABLE event (
    id INTEGER NOT NULL, charger_id INTEGER NOT NULL, n BIGINT NOT NULL, boot BIGINT NOT NULL,
    t BIGINT, up BIGINT NOT NULL, event VARCHAR(32) NOT NULL, body JSON NOT NULL,
    received_at BIGINT NOT NULL, PRIMARY KEY (id), UNIQUE (charger_id, n),
    FOREIGN KEY(charger_id) REFERENCES charger (id)
);
CREATE INDEX ix_event_t ON event (t);
CREATE TABLE charging_session (
    id INTEGER NOT NULL, charger_id INTEGER NOT NULL, start_n BIGINT NOT NULL, end_n BIGINT,
    person_id INTEGER, card_id INTEGER, pseudonym VARCHAR(32), token VARCHAR(14), role VARCHAR(7),
    start BIGINT, "end" BIGINT, wh BIGINT, reason VARCHAR(32), PRIMARY KEY (id),
    UNIQUE (charger_id, start_n), FOREIGN KEY(charger_id) REFERENCES charger (id),
    FOREIGN KEY(person_id) REFERENCES person (id) ON DELETE SET NULL,
    FOREIGN KEY(card_id) REFERENCES card (id) ON DELETE SET NULL
);
CREATE INDEX ix_session_start ON charging_session (start);
UPDATE schema SET version = 2;
"""


INSERT = (
    "INSERT INTO event (charger_id, n, boot, t, up, event, body, received_at) "
    "VALUES (1, :n, 5, :t, :up, :event, :body, :at)"
)


def told(token: str) -> list[dict[str, Any]]:
    """What a charger of that time has told: a card has charged, then somebody, then it."""
    found = [
        (1, NOON, "session_started", {"token": token}),
        (2, NOON + 60, "session_ended", {"token": token, "wh": 250, "start": NOON}),
        (3, NOON + 90, "session_started", {"token": None}),
        (4, NOON + 99, "session_ended", {"token": None, "wh": 50, "reason": "unplugged"}),
        (5, NOON + 100, "session_started", {"token": token}),
        (6, None, "booted", {}),
    ]
    return [
        {"n": n, "t": t, "up": 10 * n, "event": name, "body": json.dumps(body), "at": NOON + 900}
        for n, t, name, body in found
    ]


def expected(person: str) -> list[tuple]:
    """(person, start, end, wh) of each session."""
    return [
        (person, NOON, NOON + 60, 250),
        (None, NOON + 90, NOON + 99, 50),
        (person, NOON + 100, None, 0),
    ]


@pytest.fixture
def former(site: Tapgate, anna: str, home) -> Books:
    """A home of layout 2."""
    token = card(site, anna, ANNAS)
    with sqlite3.connect(home / "tapgate.db") as tables:
        tables.executescript(LAYOUT_2)
        tables.execute("UPDATE card SET added_at = ?", [NOON - 900])
        tables.executemany(INSERT, told(token))
    return Books(home)


@pytest.mark.parametrize("first", [["events", "--json"], ["access", "restricted"]])
def test_they_are_brought_up_when_they_are_first_used(former, site, anna, first):
    """By whoever reads them, and by whoever writes."""
    assert site(*first).status == 0
    found = [(each.person, each.start, each.end, each.wh) for each in former.stays()]
    assert found == expected(anna)
    assert [each["n"] for each in site("events", "--json").json] == [1, 2, 3, 4, 5, 6]
    assert former.stays()[-1].running
    assert former.take(started(5, NOON + 100, up=50, boot=6)) == []  # of another start: another


def test_they_are_brought_up_once(former, site, home):
    for _ in range(2):
        assert site("card", "list").status == 0
    with sqlite3.connect(home / "tapgate.db") as tables:
        assert tables.execute("SELECT version FROM schema").fetchall() == [(SCHEMA_VERSION,)]
        assert tables.execute("SELECT count(*) FROM holding").fetchall() == [(1,)]


def test_those_that_knew_no_removed_chargers_go_on(site, home):
    """Layout 3."""
    with sqlite3.connect(home / "tapgate.db") as tables:
        tables.executescript("DROP TABLE removed_charger; DROP TABLE held_event;")
        tables.execute("UPDATE schema SET version = 3")
    assert site("charger", "remove", "garage").status == 0
    assert site("charger", "list", "--json").json == []


def test_what_cannot_be_brought_up_stays_as_it_was(former, site, home):
    with sqlite3.connect(home / "tapgate.db") as tables:
        tables.execute("ALTER TABLE card RENAME COLUMN added_at TO added")
    assert site("card", "list").status == 1
    with sqlite3.connect(home / "tapgate.db") as tables:
        assert tables.execute("SELECT version FROM schema").fetchall() == [(2,)]
        assert tables.execute("SELECT count(*) FROM event").fetchall() == [(6,)]
