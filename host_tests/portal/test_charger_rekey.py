"""A charger's new key: the old one opens nothing from then on, and nothing is lost by it."""

import json
import sqlite3
import time

import pytest

from firmware.downlink import Downlink
from firmware.link import messages
from firmware.link.topics import Topics
from host_tests.portal.books import NOON, Books, ended, started
from host_tests.portal.conftest import Observer
from host_tests.portal.served import Served, event
from tools.portal import rekeying

SETTINGS = "tapgate/home/garage/settings"
ALLOWLIST = "tapgate/home/garage/allowlist"


def key(home, column: str = "key") -> bytes:
    with sqlite3.connect(home / "tapgate.db") as tables:
        [[found]] = tables.execute(f"SELECT {column} FROM charger")
    return bytes.fromhex(found or "")


def config(site, tmp_path) -> dict:
    file = tmp_path / "config.json"
    assert site("charger", "config", "garage", "--out", str(file)).status == 0
    return json.loads(file.read_text())


def test_the_key_is_another_and_all_else_stays(site, home, tmp_path):
    before = config(site, tmp_path)
    answer = site("charger", "rekey", "garage")
    assert answer.status == 0 and "config.json" in answer.out
    after = config(site, tmp_path)
    assert before.pop("charger_key") != after.pop("charger_key")
    assert {**before, "issued": 0} == {**after, "issued": 0}


def test_commands_settings_and_list_are_signed_anew(live, broker, observe, home):
    """In versions that follow, so that a board which remembers those takes them."""
    live("publish")
    seen: Observer = observe(broker)
    seen.until(lambda: ALLOWLIST in seen.newest())
    former = key(home)
    before = {topic: seen.newest()[topic] for topic in (SETTINGS, ALLOWLIST)}
    live("charger", "rekey", "garage")
    assert not live("status", "--json").json[0]["published"]
    assert live("publish", "--json").json["messages"] == 2
    for topic, old in before.items():
        seen.until(lambda topic=topic, old=old: seen.newest()[topic] != old)
        new = messages.verify(key(home), topic, seen.newest()[topic])
        assert new["v"] > messages.verify(former, topic, old)["v"]
        with pytest.raises(messages.MessageError, match="signature"):
            messages.verify(former, topic, seen.newest()[topic])
    assert live("publish", "--json").json["messages"] == 0


def test_a_board_with_the_new_key_refuses_every_message_of_the_old_one(site, home):
    """Whatever was recorded before: settings, lists, orders, answers."""
    from tools.portal import chargers, commanding, database, installation

    topics = Topics("home", "garage")

    def signed(kind: str) -> tuple[str, bytes]:
        topic = getattr(topics, kind)
        with database.changing(home) as session:
            charger = chargers.find(session, "garage")
            content = {"command": "restart", "exp": int(time.time()) + 60, "n": 1}
            site_, now = installation.current(session), int(time.time())
            return topic, commanding.next_message(
                session, site_, charger, kind, topic, content, now
            )[1]

    recorded = [signed(kind) for kind in ("settings", "allowlist", "command", "verdict")]
    site("charger", "rekey", "garage")
    refused: list[tuple] = []

    class Clock:
        def up_s(self):
            return 100 * len(refused)

        def lower_bound(self, t):
            raise AssertionError("a message of the old key has moved the clock")

    def never(*_):
        raise AssertionError("a message of the old key was followed")

    board = Downlink(
        key(home), topics, None, None, None, Clock(), {"restart": never}, never,
        lambda name, body: refused.append((name, body["topic"], body["why"])), never,
    )  # fmt: skip
    for topic, payload in recorded:
        board.message(topic, payload)
    assert refused == [
        ("message_rejected", kind, "signature")
        for kind in ("settings", "allowlist", "command", "verdict")
    ]


def test_what_is_told_under_the_old_key_counts_only_when_somebody_says_so(site, home):
    books = Books(home)
    said = started(1, NOON), ended(2, 1, NOON + 60, 700)
    former = [("garage", *books.signed(each)) for each in said]
    site("charger", "rekey", "garage")
    from tools.portal import database, intake

    for _ in range(2):  # a broker may bring it twice
        with database.changing(home) as session:
            new, refused = intake.store(session, former, books.at)
        assert new == [] and all("held back" in each.why for each in refused)
    assert books.stays() == [] and site("events", "--json").json == []
    assert [each["n"] for each in site("charger", "held", "garage", "--json").json] == [1, 2]
    assert "session ended" in site("charger", "held", "garage").out
    answer = site("charger", "held", "garage", "--take", "--json").json
    assert (answer["taken"], answer["new"]) == (2, 2)
    assert books.stay().wh == 700
    assert site("charger", "held", "garage", "--json").json == []


def test_what_cannot_be_taken_stays_held_back(site, home):
    """Its number is another event's in the accounts: one of the two is somebody else's work."""
    books = Books(home)
    books.signed({})
    site("charger", "rekey", "garage")
    books.take(started(1, NOON), started(1, NOON + 5), ended(2, 1, NOON + 60, 700))
    answer = site("charger", "held", "garage", "--take")
    assert "2 events of 'garage' are in the accounts" in answer.out
    assert "held back still: 1 event" in answer.out
    [left] = site("charger", "held", "garage", "--json").json
    assert (left["n"], left["t"]) == (1, NOON + 5)
    assert site("charger", "held", "garage", "--take", "--json").json["kept"] == 1
    assert books.stay().wh == 700


def test_what_somebody_else_has_told_is_forgotten(site, home):
    books = Books(home)
    books.signed({})
    site("charger", "rekey", "garage")
    assert "held back" in books.take(started(1, NOON))[0]
    assert "held back" in site("charger", "remove", "garage").err
    assert site("charger", "held", "garage", "--drop").status == 0
    assert books.stays() == [] and site("charger", "held", "garage", "--json").json == []


def test_no_more_is_held_back_than_there_is_room_for(site, home, monkeypatch):
    monkeypatch.setattr(rekeying, "HELD_MOST", 2)
    books = Books(home)
    books.signed({})
    site("charger", "rekey", "garage")
    books.take(*(started(n, NOON + n) for n in range(5)))
    assert len(site("charger", "held", "garage", "--json").json) == 2


def test_once_the_board_has_signed_with_the_new_key_the_old_one_is_forgotten(site, home):
    books = Books(home)
    _, by_former = books.signed(started(5, NOON))
    site("charger", "rekey", "garage")
    assert key(home, "former_key")
    books._keys.clear()
    assert books.take(started(1, NOON)) == []
    assert not key(home, "former_key")
    from tools.portal import database, intake

    with database.changing(home) as session:
        _, refused = intake.store(
            session, [("garage", "tapgate/home/garage/event", by_former)], NOON
        )
    assert refused[0].why == "an event that this charger has not signed"


def test_status_says_that_the_board_lacks_its_new_key(live, home, broker, observe):
    live("charger", "rekey", "garage")
    live("publish")
    [row] = live("status", "--json").json
    assert row["rekeyed"] and not row["in_step"] and row["published"]
    shown = live("status").out
    assert "old key since" in shown and "new key" in shown and "--port" in shown
    seen: Observer = observe(broker)
    with Served(home) as served:
        served.ready()
        seen.tell(*event(key(home), 1))
        live_rows = lambda: live("status", "--json").json[0]  # noqa: E731
        seen.until(lambda: live_rows()["rekeyed"] is None)
    assert "old key" not in live("status").out


def test_another_new_key_before_the_board_has_the_last_takes_saying_so(site, home):
    before = key(home)
    site("charger", "rekey", "garage")
    pending = key(home)
    answer = site("charger", "rekey", "garage")
    assert answer.status == 1 and "--again" in answer.err and key(home) == pending
    assert site("charger", "rekey", "garage", "--again").status == 0
    assert key(home) != pending and key(home, "former_key") == before


def test_so_does_one_before_anything_signed_with_the_last_has_come_in(site, home):
    """What the board had signed before may still wait at the broker."""
    from tools.portal import chargers, database

    before = key(home)
    site("charger", "rekey", "garage")
    with database.changing(home) as session:
        rekeying.given(chargers.find(session, "garage"))
    has = key(home)
    answer = site("charger", "rekey", "garage")
    assert answer.status == 1 and "--again" in answer.err and "tapgate serve" in answer.err
    assert (key(home), key(home, "former_key")) == (has, before)
    assert site("charger", "rekey", "garage", "--again").status == 0 and key(home) != has
