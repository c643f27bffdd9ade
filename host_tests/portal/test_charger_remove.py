"""A charger that is taken out leaves its accounts behind, and nothing else."""

import json
import sqlite3
from functools import partial

from host_tests.portal.books import ANNAS, NOON, Books, card, ended, held_since, started
from host_tests.portal.conftest import Observer
from host_tests.portal.served import Served, event, until
from tools.portal import chargers, database, serving, signing
from tools.portal.schema import Charger

MAY = ["--from", "2026-05-01", "--to", "2026-06-30"]


def charged(site, home, person: str, wh: int = 1_000) -> Books:
    """One session with that person's card, numbered from 1."""
    books = Books(home)
    cards = site("card", "list", "--json").json
    token = cards[0]["token"] if cards else card(site, person, ANNAS)
    held_since(home, [(token, person, NOON - 900, None)])
    assert books.take(started(1, NOON, token), ended(2, 1, NOON + 60, wh)) == []
    return books


def is_signed(seen: Observer, key: bytes, topic: str) -> bool:
    return signing.verified(key, topic, seen.newest()[topic]) is not None


def rows(home, question: str) -> list[tuple]:
    with sqlite3.connect(home / "tapgate.db") as tables:
        return tables.execute(question).fetchall()


def test_its_sessions_stay_in_the_reports_under_its_name(site, anna, home):
    charged(site, home, anna)
    answer = site("charger", "remove", "garage", "--json").json
    assert (answer["charger"], answer["removed"], answer["board"]) == ("garage", True, None)
    report = site("report", *MAY, "--json").json
    [session] = report["sessions"]
    assert (session["charger"], session["person"], session["wh"]) == ("garage", anna, 1_000)
    assert session["charger_removed"]
    assert "garage (removed 20" in site("report", *MAY).out
    assert "garage (removed 20" in site("report", *MAY, "--format", "csv").out
    told = site("events", "--charger", "garage", "--json").json
    assert [(each["charger"], each["n"]) for each in told] == [("garage", 1), ("garage", 2)]
    assert "garage (removed 20" in site("events").out


def test_it_is_there_no_more(site):
    site("charger", "remove", "garage")
    assert site("charger", "list", "--json").json == []
    assert site("status", "--json").json == []
    for command in (
        ["charger", "config", "garage", "--out", "x.json"],
        ["charger", "remove", "garage"],
        ["charger", "rekey", "garage"],
        ["grant", "ola@example.org", "--role", "user", "--charger", "garage"],
        ["access", "open", "--charger", "garage"],
    ):
        answer = site(*command)
        assert (answer.status, answer.out) == (1, "")
        assert "'garage' was removed" in answer.err


def test_its_own_permissions_go_and_others_stay(site, anna):
    site("grant", anna, "--role", "user")
    site("grant", anna, "--role", "owner", "--charger", "garage")
    site("charger", "add", "gate")
    site("grant", anna, "--role", "service", "--charger", "gate")
    assert site("charger", "remove", "garage", "--json").json["permissions"] == 1
    [found] = [each for each in site("person", "list", "--json").json if each["person"] == anna]
    assert [(each["role"], each["charger"]) for each in found["permissions"]] == [
        ("user", None),
        ("service", "gate"),
    ]


def test_whoever_gets_its_name_is_another_charger(site, anna, home):
    """With the same numbers of starts and events, and a key of its own."""
    books = charged(site, home, anna, 1_000)
    _, former = books.signed(started(7, NOON + 500))
    site("charger", "remove", "garage")
    assert books.take(started(7, NOON + 500)) == ["no charger of that name"]
    site("charger", "add", "garage")
    assert books.take(started(7, NOON + 500)) == ["an event that this charger has not signed"]
    assert former not in json.dumps(rows(home, "SELECT * FROM charger")).encode()
    charged(site, home, anna, 2_000)
    report = site("report", *MAY, "--by", "charger", "--json").json
    assert [(each["wh"], "charger_removed" in each) for each in report["sessions"]] == [
        (1_000, True),
        (2_000, False),
    ]
    totals = [(each["key"], each["wh"], "charger_removed" in each) for each in report["totals"]]
    assert totals == [("garage", 1_000, True), ("garage", 2_000, False)]
    mine = site("events", "--charger", "garage", "--json").json
    assert len(mine) == 2 and not any("charger_removed" in each for each in mine)
    site("charger", "remove", "garage")
    assert len(site("events", "--charger", "garage", "--json").json) == 4


def test_a_session_that_ran_there_is_over(site, anna, home):
    books = charged(site, home, anna)
    books.take(started(3, NOON + 100))
    assert books.stays()[-1].running
    site("charger", "remove", "garage")
    assert not books.stays()[-1].running


def test_no_key_and_no_password_of_it_is_left_in_the_database(site, home):
    config = home.parent / "config.json"
    site("charger", "config", "garage", "--out", str(config), "--wifi-ssid", "Hytta",
         "--wifi-password", "correct-horse")  # fmt: skip
    key = json.loads(config.read_text())["charger_key"]
    config.unlink()
    assert site("charger", "remove", "garage").status == 0
    for file in home.iterdir():
        content = file.read_bytes()
        assert key.encode() not in content and b"correct-horse" not in content, file


def test_nobody_signs_for_it_any_more(site, home):
    """Not even with an empty key, which is what a missing one would be."""
    site("charger", "remove", "garage")
    books = Books(home)
    [[name]] = rows(home, "SELECT name FROM charger")
    topic = f"tapgate/home/{name}/event"
    books._keys[name] = b""
    payload = signing.sign(b"", topic, started(1, NOON))
    with database.changing(home) as session:
        from tools.portal import intake

        new, refused = intake.store(session, [(name, topic, payload)], NOON)
        assert new == [] and refused[0].why == "no charger of that name"
        [row] = session.query(Charger).all()
        assert len(row.key) == 64 and chargers.every(session) == []


def test_what_it_has_not_delivered_is_warned_of(site, home):
    Books(home).state({"journal": {"pending": 3}, "session": {"n": 5}})
    answer = site("charger", "remove", "garage")
    assert answer.status == 1 and answer.err.count("\n") == 1
    assert "3 events and a session that still runs" in answer.err and "--yes" in answer.err
    assert site("charger", "list", "--json").json
    assert site("charger", "remove", "garage", "--yes").status == 0


def test_nothing_of_it_stays_at_the_broker(live, broker, observe, home):
    live("charger", "add", "gate")
    live("publish")
    seen: Observer = observe(broker)
    seen.say("tapgate/home/garage/state", {"online": True})
    seen.until(lambda: "tapgate/home/garage/allowlist" in seen.newest())
    live("charger", "remove", "garage", "--yes")
    assert live("publish").status == 0
    after = observe(broker)
    after.until(lambda: "tapgate/home/gate/allowlist" in after.newest())
    left = [topic for topic, payload in after.newest().items() if "/garage/" in topic and payload]
    assert left == []


def test_while_serve_runs_it_is_gone_at_once_and_stays_gone(
    live, broker, observe, home, monkeypatch
):
    """Also where its board goes on reporting, which is not said of one whose last will comes."""
    monkeypatch.setattr(serving, "HEAL_S", 0.1)
    seen: Observer = observe(broker)
    state = "tapgate/home/garage/state"

    def left() -> list[str]:
        return [
            topic for topic, payload in seen.newest().items() if "/garage/" in topic and payload
        ]

    with Served(home) as served:
        served.ready()
        seen.say(state, {"online": True})
        seen.until(lambda: len(left()) == 3)
        live("charger", "remove", "garage", "--yes")
        served.says("nothing of it is left at the broker")
        until(lambda: not left(), left)
        seen.say(state, {"online": False})
        seen.until(lambda: len(left()) == 1)
        until(lambda: not left(), left)
        assert not any("reporting" in line for line in served.lines)
        seen.say(state, {"online": True})
        served.says("a board goes on reporting as it")
        until(lambda: not left(), left)
        seen.tell(*event(b"k" * 32, 1))
        served.says("no charger of that name")


def test_its_successor_keeps_what_is_published_for_it(live, broker, observe, home):
    """Removed and added again before anything was published."""
    live("publish")
    seen: Observer = observe(broker)
    seen.say("tapgate/home/garage/state", {"online": True, "state": "charging"})
    live("charger", "remove", "garage", "--yes")
    live("charger", "add", "garage")
    assert live("publish").status == 0
    seen.until(lambda: seen.newest().get("tapgate/home/garage/state") == b"")
    [[key]] = rows(home, "SELECT key FROM charger WHERE name = 'garage'")
    for kind in ("settings", "allowlist"):
        topic = f"tapgate/home/garage/{kind}"
        seen.until(partial(is_signed, seen, bytes.fromhex(key), topic))
    [row] = live("status", "--json").json
    assert (row["state"], row["online"]) == (None, False)
