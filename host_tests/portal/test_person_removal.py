"""Who is removed leaves nothing behind but what accounting needs, and that under a pseudonym."""

import json
import re
import sqlite3
from pathlib import Path

import pytest

from host_tests.portal.books import (
    ANNAS,
    BOS,
    NOON,
    Books,
    app_token,
    card,
    ended,
    event,
    held_since,
    resumed,
    started,
)
from host_tests.portal.conftest import Tapgate
from host_tests.portal.served import Served
from tools.portal import database

EVA = "Eva.Unverwechselbar@Example.org"
NAME, LABEL = "Eva Unverwechselbar", "the pinkest card of all"


@pytest.fixture
def books(site: Tapgate, home: Path) -> Books:
    return Books(home)


@pytest.fixture
def eva(site: Tapgate) -> str:
    assert site("person", "add", EVA, "--name", NAME).status == 0
    assert site("grant", EVA, "--role", "user").status == 0
    return EVA


@pytest.fixture
def token(site: Tapgate, eva: str, home: Path) -> str:
    """Of her card, which she has had for a long time."""
    found = card(site, eva, ANNAS, LABEL)
    held_since(home, [(found, eva, NOON - 86_400, None)])
    return found


def contents(home: Path) -> dict[str, str]:
    """All rows of each table, as text."""
    with sqlite3.connect(home / "tapgate.db") as tables:
        names = [name for (name,) in tables.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table'"
        )]  # fmt: skip
        return {each: json.dumps(tables.execute(f"SELECT * FROM {each}").fetchall())
                for each in names}  # fmt: skip


def test_sessions_stay_under_one_pseudonym(books, site, eva, token, home):
    books.take(started(1, NOON, token), ended(2, 1, NOON + 600, 250, token=token))
    books.take(started(3, NOON + 700, app_token(home, eva)), ended(4, 3, NOON + 900, 50))
    site("person", "remove", eva)
    books.take(started(5, NOON + 1_000, token), ended(6, 5, NOON + 1_100, 70, token=token))
    found = books.stays()
    [pseudonym] = {each.person for each in found}
    assert pseudonym and re.fullmatch("removed-[0-9a-f]{12}", pseudonym)
    assert [each.wh for each in found] == [250, 50, 70]
    assert {each.token for each in found} == {pseudonym}  # whichever card it was, or the app
    assert {(each.name, each.hint, each.label) for each in found} == {(None,) * 3}


def test_another_persons_pseudonym_is_another(books, site, eva, token, anna, home):
    books.take(started(1, NOON, token), started(3, NOON + 60, app_token(home, anna)))
    site("person", "remove", eva)
    site("person", "remove", anna)
    assert len({each.person for each in books.stays()}) == 2


def test_whoever_has_the_card_next_keeps_what_is_theirs(books, site, eva, token, anna, home):
    books.take(started(1, NOON, token), ended(2, 1, NOON + 600, token=token))
    site("person", "remove", eva)
    card(site, anna, ANNAS, "now green")
    held_since(home, [(token, anna, NOON + 5_000, None)])
    with sqlite3.connect(home / "tapgate.db") as tables:
        tables.execute("UPDATE holding SET until = ? WHERE until IS NOT NULL", [NOON + 2_000])
    books.take(started(5, NOON + 1_500, token), ended(6, 5, NOON + 1_600, token=token))
    books.take(started(7, NOON + 6_000, token), ended(8, 7, NOON + 6_100, token=token))
    first, second, third = books.stays()
    assert first.person == second.person and first.person.startswith("removed-")
    assert (third.person, third.token, third.label) == (anna, token, "now green")


def test_a_session_that_ran_meanwhile_is_theirs_to_its_end(books, site, eva, token):
    books.take(started(1, NOON, token))
    assert site("person", "remove", eva).status == 0
    [running] = books.stays()
    assert running.running and running.person.startswith("removed-")
    books.take(resumed(2, 1, NOON + 300, 100), ended(3, 1, NOON + 600, 250, token=token))
    [over] = books.stays()
    assert (over.person, over.wh, over.running) == (running.person, 250, False)


@pytest.mark.parametrize("serves", [False, True])
def test_not_a_byte_of_them_is_left(live, home, eva, token, serves):
    books = Books(home)
    books.take(*(event("card_enrolled", n, NOON, token=token, hint="b2c3") for n in range(1, 200)))
    live("person", "set", eva, "--name", "Eva Sogenannt")  # a longer row was written over
    live("card", "remove", card(live, eva, BOS, "a card that was lost"))

    def found(text: str) -> list[str]:
        files = {each.name: each.read_bytes().lower() for each in home.iterdir() if each.is_file()}
        return [name for name, data in files.items() if text.lower().encode() in data]

    with sqlite3.connect(home / "tapgate.db") as tables:  # as most builds of SQLite delete
        tables.execute("PRAGMA secure_delete=OFF")
        tables.execute("INSERT INTO card_group VALUES (77, 77, 'her former name')")
        tables.commit()
        tables.execute("DELETE FROM card_group WHERE id = 77")
    hers = (EVA, NAME, "her former name", "Sogenannt", LABEL, "that was lost")
    assert found(EVA) and found(LABEL) and found("that was lost") and found("her former name")
    if serves:
        with Served(home) as served:
            served.ready()
            answer = live("person", "remove", EVA)
            assert answer.err == ""
            left = {text: found(text) for text in hers}
    else:
        live("person", "remove", EVA)
        left = {text: found(text) for text in hers}
    assert not any(left.values()), left
    assert all("b2c3" not in rows for rows in contents(home).values())


def test_their_tokens_stay_where_they_are_needed_alone(books, site, eva, token, home):
    app = app_token(home, eva)
    books.state({"session": {"n": 1, "token": token, "wh": 1}, "journal": {"pending": 0}})
    books.take(
        started(1, NOON, token), ended(2, 1, NOON + 9, token=token),
        event("card_refused", 3, NOON + 20, token=token, verdict="Expired", more=[{"x": token}]),
        event("card_refused", 4, NOON - 900_000, token=token, hint="b2c3"),  # before it was hers
        started(5, NOON + 30, app, by="remote"),
    )  # fmt: skip
    with database.changing(home) as session:
        from tools.portal import chargers, commanding, own_clock

        charger = chargers.find(session, "garage")
        own_clock.confirm(session, NOON)
        commanding.issue(session, charger, "authorise", {"token": app}, NOON)
    site("person", "remove", eva)

    def where() -> dict[str, list[str]]:
        rows = contents(home)
        return {each: [name for name in rows if each in rows[name]] for each in (token, app)}

    assert where() == {token: ["holding"], app: []}
    # And what a charger tells weeks later is stored without them, too.
    books.take(ended(6, 5, NOON + 90, token=app), event("card_refused", 7, None, token=token))
    books.take(started(8, NOON + 99, token), ended(9, 8, None, token=token))
    books.at += 60
    books.state({"session": {"n": 8, "token": token, "wh": 2}, "journal": {"pending": 0}})
    assert where() == {token: ["holding"], app: []}
    assert len({each.person for each in books.stays()}) == 1


def test_what_they_did_may_be_told_again(books, site, eva, token, home):
    told = [started(1, None, token, up=10, hint="b2c3"), ended(2, 1, None, up=90, token=token)]
    books.take(*told)
    site("person", "remove", eva)
    assert books.take(*told) == []
    assert books.take({**told[0], "t": NOON}) == []
    [stay] = books.stays()
    assert (stay.start, stay.end) == (NOON, NOON + 80)
    assert stay.person and stay.person.startswith("removed-")
    [why] = books.take({**told[0], "by": "remote"})  # something else is still something else
    assert "used before" in why


def test_a_time_that_comes_after_they_were_removed_finds_them_still(books, site, eva, token, home):
    """Told weeks later by a charger whose clock was not set: at first it seems to be nobody's."""
    with sqlite3.connect(home / "tapgate.db") as tables:
        tables.execute("UPDATE holding SET until = ?", [NOON + 2_000])
    site("person", "remove", eva)
    books.take(started(1, None, token, up=10), ended(2, 1, None, up=90, token=token))
    books.take(event("booted", 3, NOON + 1_000, up=1_000))
    [stay] = books.stays()
    assert stay.start == NOON + 10
    assert stay.person and stay.person.startswith("removed-")
    assert stay.token == stay.person


def test_a_time_may_show_that_it_was_theirs_and_not_the_next_holders(
    books, site, eva, token, anna, home
):
    site("person", "remove", eva)
    card(site, anna, ANNAS)
    held_since(home, [(token, anna, NOON + 5_000, None)])
    with sqlite3.connect(home / "tapgate.db") as tables:
        tables.execute("UPDATE holding SET until = ? WHERE until IS NOT NULL", [NOON + 2_000])
    books.take(started(1, None, token, up=10), ended(2, 1, None, up=90, token=token))
    assert books.stay().person == anna
    books.take(event("booted", 3, NOON + 1_000, up=1_000))
    stay = books.stay()
    assert stay.person and stay.person.startswith("removed-")
    assert stay.token == stay.person and token not in contents(home)["event"]


def test_what_was_told_without_a_time_is_theirs_when_they_go(books, site, eva, token, anna, home):
    site("card", "remove", token)
    card(site, anna, ANNAS)
    moments = [(token, eva, NOON - 900, NOON + 2_000), (token, anna, NOON + 5_000, None)]
    held_since(home, moments)
    books.take(started(1, None, token, up=10), event("booted", 3, NOON + 1_000, up=1_000))
    assert books.stay().person == EVA
    site("person", "remove", eva)
    assert token not in contents(home)["event"]


def test_what_could_not_be_wiped_is_said(site, eva, home, monkeypatch):
    monkeypatch.setattr(database, "PATIENCE_S", 0.2)
    reader = sqlite3.connect(home / "tapgate.db", isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM person").fetchone()
    answer = site("person", "remove", eva)
    assert answer.status == 0 and "unused parts" in answer.err and answer.err.count("\n") == 1
    reader.close()
    assert database.wipe(home)
    assert EVA.encode() not in (home / "tapgate.db").read_bytes()
