"""What chargers tell of their sessions becomes accounts: once, whose it was, and when."""

import itertools
import random
import sqlite3
import time
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

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
from host_tests.portal.lives import lives
from host_tests.portal.served import Served, ServeProcess, until
from tools.portal import people, timeline

BO = "bo@example.org"


@pytest.fixture
def books(site: Tapgate, home) -> Books:
    return Books(home)


@pytest.fixture
def bo(site: Tapgate) -> str:
    assert site("person", "add", BO, "--name", "Bo").status == 0
    return BO


def rows(home, table: str) -> int:
    with sqlite3.connect(home / "tapgate.db") as tables:
        return next(tables.execute(f"SELECT count(*) FROM {table}"))[0]


# --- exactly once ---


def test_what_is_told_twice_counts_once(books, home):
    told = [started(1, NOON), ended(2, 1, NOON + 600, 250)]
    for _ in range(3):
        assert books.take(*told, *told) == []
    assert (books.stay().wh, rows(home, "event")) == (250, 2)


def test_the_same_number_of_another_start_is_another_event(books, home):
    books.take(started(7, NOON, boot=5), started(7, NOON + 60, boot=5_000_000))
    assert len(books.stays()) == rows(home, "event") == 2


def test_the_same_number_of_the_same_start_with_another_content_is_refused(books):
    books.take(ended(2, 1, NOON, 250))
    [why] = books.take(ended(2, 1, NOON, 900))
    assert "used before" in why and books.stay().wh == 250


def test_a_time_that_comes_later_is_taken_up(books, home):
    books.take(started(1, None, up=10, t_min=NOON - 900))
    assert books.take(started(1, NOON, up=10)) == []
    assert books.take(started(1, None, up=10, t_min=NOON - 900)) == []  # late
    assert rows(home, "event") == 1
    assert (books.stay().start, books.stay().estimated) == (NOON, False)
    with sqlite3.connect(home / "tapgate.db") as tables:
        [(t, body)] = tables.execute("SELECT t, body FROM event")
    assert t == NOON and "t_min" not in body


# --- sessions ---


def test_an_end_without_its_beginning_is_a_session(books):
    books.take(ended(9, 4, NOON + 600, 250, start=NOON, token="0a" * 7, role="user", by="card"))
    stay = books.stay()
    assert (stay.start, stay.end, stay.wh, stay.token) == (NOON, NOON + 600, 250, "0a" * 7)
    assert (stay.by, stay.reason, stay.estimated, stay.running) == (
        "card",
        "unplugged",
        False,
        False,
    )


def test_an_end_that_knows_no_beginning_at_all_is_told_as_of_its_end(books):
    books.take(ended(9, 4, NOON + 600))
    assert (books.stay().start, books.stay().end) == (NOON + 600, NOON + 600)
    assert books.stay().estimated


def test_an_end_that_names_no_session_is_one(books):
    body = ended(9, 4, NOON + 600, 70)
    del body["session"]
    books.take(body)
    assert books.stay().wh == 70


def test_a_session_without_an_end_runs_with_what_the_state_says(books):
    books.take(started(1, NOON))
    assert (books.stay().running, books.stay().end, books.stay().wh) == (True, None, 0)
    books.at += 60
    books.state({"session": {"n": 1, "wh": 420}, "journal": {"pending": 0}})
    assert (books.stay().running, books.stay().wh) == (True, 420)
    books.take(ended(2, 1, NOON + 900, 500))
    assert (books.stay().running, books.stay().wh) == (False, 500)


@pytest.mark.parametrize("wh", [None, "9", -1, 100])
def test_of_a_session_that_runs_the_most_that_was_heard_counts(books, wh):
    books.take(started(1, NOON), resumed(2, 1, NOON + 60, 300, boot=6))
    books.at += 60
    books.state({"session": {"n": 1, "wh": wh}})
    assert (books.stay().running, books.stay().wh) == (True, 300)


def test_a_session_is_over_when_the_next_one_has_begun(books):
    books.take(started(5, NOON + 900))
    books.take(started(1, NOON), resumed(3, 1, NOON + 300, 120))
    first, second = books.stays()
    assert (first.running, first.end, first.reason, first.wh) == (False, None, None, 120)
    assert second.running
    books.take(ended(4, 1, NOON + 800, 300))  # the end comes after all
    assert (books.stays()[0].end, books.stays()[0].wh) == (NOON + 800, 300)


@pytest.mark.parametrize(
    ("state", "running"),
    [
        ({"session": None, "journal": {"pending": 0}}, False),
        ({"session": {"n": 77}, "journal": {"pending": 0}}, False),
        ({"session": None, "journal": {"pending": 3}}, True),  # its end is on its way
        ({"session": {"n": 1}, "journal": {"pending": 0}}, True),
        ({"session": None}, True),
        ({"session": {"n": True}, "journal": {"pending": False}}, True),
        ({"session": [], "journal": []}, True),
        ({"session": {"n": None}, "journal": {"pending": 0}}, True),  # one, but not which
    ],
)
def test_a_session_is_over_when_its_charger_says_so(books, state, running):
    books.take(started(1, NOON))
    books.state(state)  # of the same second: it may have been said before
    assert books.stay().running
    books.at += 60
    books.state(state | {"uptime_s": 9})
    assert books.stay().running is running


def test_a_session_ended_by_a_power_cut_lasted_until_its_last_reading(books):
    books.take(started(1, NOON))
    books.take(
        ended(2, 1, NOON + 5_000, 80, boot=6, up=3, reason="power_loss", end=None,
              last_boot=5, last_up=1_200)
    )  # fmt: skip
    stay = books.stay()
    assert (stay.end, stay.reason, stay.estimated) == (NOON + 1_200, "power_loss", False)


def test_no_session_ends_before_it_begins_nor_begins_before_the_last_is_over(books):
    """The clock was put back in between."""
    books.take(started(1, NOON), ended(2, 1, NOON - 50, up=60))
    books.take(started(3, NOON - 40, up=70), ended(4, 3, NOON + 500))
    first, second = books.stays()
    assert (first.start, first.end, first.estimated) == (NOON, NOON, True)
    assert (second.start, second.end, second.estimated) == (NOON, NOON + 500, True)


def test_a_beginning_that_comes_late_moves_what_hangs_on_it(books):
    books.take(started(3, NOON - 40, up=70), ended(4, 3, NOON + 500))
    assert books.stay().start == NOON - 40
    books.take(ended(2, 1, NOON, up=60, start=NOON - 600))
    assert [each.start for each in books.stays()] == [NOON - 600, NOON]


def test_the_real_end_counts_where_a_power_cuts_was_told_too(books):
    """The flash could not be written: after the cut the charger took the session for running."""
    told = [
        started(1, NOON),
        ended(2, 1, NOON + 600, 900),
        ended(70, 1, NOON + 300, 700, boot=6, up=3, reason="power_loss", last_boot=5, last_up=300),
    ]
    for order in itertools.permutations(told):
        books.forget()
        for each in order:
            books.take(each)
        stay = books.stay()
        assert (stay.end, stay.wh, stay.reason) == (NOON + 600, 900, "unplugged")


def test_a_session_that_was_resumed_after_its_end_was_told_goes_on(books):
    """The same, but that it was told as ended and was still there at the start after that."""
    cut = {"reason": "power_loss", "end": NOON + 300, "last_boot": 5, "last_up": 300}
    told = [
        started(1, NOON),
        ended(70, 1, NOON + 400, 700, boot=6, up=3, **cut),
        resumed(900, 1, NOON + 500, 700, boot=7, up=3),
    ]
    last = ended(901, 1, NOON + 900, 1_500, boot=7, up=403)
    for order in itertools.permutations(told):
        books.forget()
        books.take(*order)
        assert (books.stay().running, books.stay().end) == (True, None)
        books.take(last)
        stay = books.stay()
        assert (stay.running, stay.end, stay.wh) == (False, NOON + 900, 1_500)
        assert stay.reason == "unplugged"
    books.forget()
    books.take(told[0], told[1], last)  # a session_resumed is routine, and may be missing
    assert (books.stay().end, books.stay().wh) == (NOON + 900, 1_500)
    books.forget()
    again = {**cut, "end": NOON + 450, "last_boot": 7, "last_up": 50}
    books.take(told[0], told[1], ended(950, 1, NOON + 800, 1_200, boot=8, up=3, **again))
    assert (books.stay().end, books.stay().wh) == (NOON + 450, 1_200)


def test_an_end_before_a_resumption_is_all_that_may_be_known_of_a_session(books):
    cut = ended(70, 1, None, 700, boot=6, up=3, reason="power_loss", last_boot=5, last_up=300)
    for order in itertools.permutations([cut, resumed(900, 1, None, 800, boot=7, up=3)]):
        books.forget()
        assert books.take(*order) == []
        assert (books.stay().wh, books.stay().estimated) == (800, True)
    books.take(started(1, NOON), ended(901, 1, NOON + 900, 1_500, boot=7, up=403))
    assert (books.stay().start, books.stay().end, books.stay().wh) == (NOON, NOON + 900, 1_500)


def test_the_same_number_in_two_journals_is_two_sessions_also_without_their_beginnings(books):
    far = 5 + timeline.NEW_JOURNAL
    books.take(ended(9, 4, NOON + 600, 250), ended(9, 4, NOON + 9_600, 70, boot=far))
    assert [each.wh for each in books.stays()] == [250, 70]
    books.take(started(4, NOON + 9_000, boot=far))
    assert [(each.start, each.wh) for each in books.stays()] == [
        (NOON + 600, 250), (NOON + 9_000, 70),
    ]  # fmt: skip


# --- time ---


def test_a_time_that_turns_out_as_estimated_is_estimated_no_longer(books):
    told = [
        event("booted", 1, NOON, boot=5, up=50),
        started(10, None, boot=6, up=100),
        ended(11, 10, None, boot=6, up=200),
        event("booted", 12, NOON + 300, boot=6, up=300),
    ]
    for each in told:
        books.take(each)
    one_by_one = books.stay()
    books.forget()
    books.take(*told)
    assert books.stay() == one_by_one
    assert (one_by_one.start, one_by_one.estimated) == (NOON + 100, False)


def test_what_moves_a_session_moves_the_next_though_another_journals_stand_between(books):
    """Numbers of two journals that happen to be near each other."""
    far = 5 + timeline.NEW_JOURNAL
    other = [started(4, NOON, boot=far), ended(5, 4, NOON + 9, boot=far)]
    late = [started(1, NOON - 900, up=1), started(3, NOON - 800, up=101)]
    late_end = ended(2, 1, NOON - 100, up=60)
    after = [started(2_000, NOON - 700, up=201), ended(2_001, 2_000, NOON - 500, up=401)]
    books.take(*late, *other, *after)
    books.take(late_end, {**other[0], "n": 6}, ended(7, 6, NOON + 20, boot=far))
    moved = books.stays()
    books.forget()
    books.take(*late, *other, *after, late_end, {**other[0], "n": 6})
    books.take(ended(7, 6, NOON + 20, boot=far))
    assert books.stays() == moved
    assert [each.start for each in moved if each.charger == "garage"].count(NOON - 100) == 2


def test_times_are_worked_out_when_the_clock_is_set(books):
    books.take(started(1, None, up=100), ended(2, 1, None, up=700))
    assert books.stay().estimated and books.stay().end == books.at
    books.take(event("booted", 3, NOON + 1_000, up=1_000))
    assert (books.stay().start, books.stay().end) == (NOON + 100, NOON + 700)
    assert not books.stay().estimated


def test_a_start_that_never_knew_the_time_is_put_between_its_neighbours(books):
    books.take(started(10, None, boot=6, up=100), ended(11, 10, None, boot=6, up=200))
    books.take(event("booted", 12, NOON + 9_000, boot=7, up=10))
    assert books.stay().end == NOON + 8_990
    books.take(event("booted", 1, NOON, boot=5, up=50))
    assert (books.stay().start, books.stay().end) == (NOON + 100, NOON + 200)
    assert books.stay().estimated


def test_a_charger_with_a_new_flash_goes_on_where_it_was(books):
    books.take(started(9_000, NOON, boot=2_000_000), ended(9_001, 9_000, NOON + 60, boot=2_000_000))
    books.take(started(50, NOON + 3_600, boot=17), ended(51, 50, NOON + 3_700, boot=17))
    assert [each.start for each in books.stays()] == [NOON, NOON + 3_600]
    assert not any(each.estimated for each in books.stays())


def test_a_session_counts_where_it_began_and_nowhere_else(books):
    for at, begun in enumerate((NOON - 1, NOON, NOON + 99, NOON + 100)):
        n = 10 * at + 1
        books.take(started(n, begun, up=n), ended(n + 1, n, begun, up=n + 1))
    assert [each.start for each in books.stays(NOON, NOON + 100)] == [NOON, NOON + 99]
    assert [each.start for each in books.stays(NOON + 100)] == [NOON + 100]


# --- whose ---


def test_a_card_is_whose_it_was_then(books, site, anna, bo, home):
    token = card(site, anna, ANNAS, "blue")
    site("card", "remove", token)
    card(site, bo, ANNAS, "red")
    held_since(home, [(token, anna, NOON, NOON + 1_000), (token, bo, NOON + 5_000, None)])
    for at, begun in enumerate((500, 3_000, 6_000)):
        n = 10 * at + 1
        books.take(started(n, NOON + begun, token), ended(n + 1, n, NOON + begun + 60))
    found = [(each.person, each.name, each.label, each.hint) for each in books.stays()]
    assert found == [
        (anna, None, "blue", "b2c3"), (None, None, None, None), (BO, "Bo", "red", "b2c3"),
    ]  # fmt: skip
    assert {each.token for each in books.stays()} == {token}


def test_clocks_may_differ_a_little(books, site, anna, home):
    token = card(site, anna, ANNAS)
    held_since(home, [(token, anna, NOON, None)])
    books.take(started(1, NOON - 20, token, up=1), ended(2, 1, NOON + 60))
    assert books.stay().person == anna


def test_where_the_time_is_not_known_a_card_is_whose_it_is(books, site, anna, home):
    token = card(site, anna, ANNAS)
    held_since(home, [(token, anna, books.at - 60, None)])
    books.take(started(1, None, token, t_min=NOON))
    assert books.stay().person == anna and books.stay().estimated


def test_a_time_that_comes_later_may_make_it_somebody_elses(books, site, anna, bo, home):
    token = card(site, anna, ANNAS)
    site("card", "remove", token)
    card(site, bo, ANNAS)
    held_since(home, [(token, anna, NOON, NOON + 1_000), (token, bo, NOON + 1_000, None)])
    books.take(started(1, None, token, up=100), ended(2, 1, None, up=200))
    assert books.stay().person == BO
    books.take(event("booted", 3, NOON + 500, up=300))
    assert books.stay().person == anna


def test_a_start_from_the_app_is_the_persons(books, anna, home):
    books.take(started(1, NOON, app_token(home, anna), by="remote"))
    assert (books.stay().person, books.stay().by, books.stay().hint) == (anna, "remote", None)


def test_many_unknown_cards_cost_one_look_at_the_people(books, site, anna, home, monkeypatch):
    asked, look = [], people.numbers_by_token
    monkeypatch.setattr(people, "numbers_by_token", lambda *a: asked.append(1) or look(*a))
    books.take(*(started(n, NOON + n, f"{n:014x}") for n in range(1, 40)))
    assert len(asked) == 1 and len(books.stays()) == 39


def test_nobodys_sessions_are_told_too(books):
    books.take(started(1, NOON), ended(2, 1, NOON + 60), started(3, NOON + 90, "0c" * 7))
    first, second = books.stays()
    assert (first.person, first.token, first.by) == (None, None, "open")
    assert (second.person, second.token, second.by) == (None, "0c" * 7, "card")


def test_cards_that_were_imported_and_registered_have_their_history_too(
    books, site, home, tmp_path
):
    file = tmp_path / "people.csv"
    file.write_text(f"email,name,role,charger,number\ncleo@example.org,Cleo,user,,{BOS}\n")
    assert site("import", str(file)).status == 0
    token = site("card", "list", "--json").json[0]["token"]
    books.at = int(time.time())
    books.take(started(1, books.at, token, up=1))
    assert (books.stay().person, books.stay().name) == ("cleo@example.org", "Cleo")


# --- whatever comes ---

ODD = [None, True, -1, 1 << 60, 1.5, "", "\x00", "\ud800", "x" * 500, [], {}, [[1]], "0a" * 7]


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("name", ["session_started", "session_ended", "session_resumed"])
def test_an_event_of_odd_fields_breaks_nothing(books, name, odd):
    keys = ("token", "role", "group", "by", "session", "start", "end", "wh", "reason",
            "last_boot", "last_up", "t_min")  # fmt: skip
    all_odd: dict[str, Any] = dict.fromkeys(keys, odd)
    books.take(event(name, 1, NOON, **all_odd))
    books.take(event(name, 2, None, up=(1 << 62) - 1, **all_odd))
    books.take(event(name, 3, (1 << 62) - 1, up=0, boot=(1 << 62) - 1, **all_odd))
    for number, key in enumerate(keys, 4):
        books.take(event(name, number, NOON + number, **{key: odd}))
    for stay in books.stays():
        assert stay.end is None or stay.start <= stay.end
        assert 0 <= stay.wh < 1 << 53


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(life=lives(), seed=st.integers(0, 1 << 30))
def test_the_same_life_is_the_same_account_however_it_is_told(books, life, seed):
    books.forget()
    for each in life.events:
        assert books.take(each) == []
    in_order = books.stays()
    assert [each.wh for each in in_order if not each.running] == life.wh
    for before, after in itertools.pairwise(in_order):
        assert (before.end or before.start) <= after.start
    for stay, truth in zip(in_order, life.times, strict=True):
        assert stay.estimated or (stay.start, stay.end) == truth

    chance = random.Random(seed)
    told = life.events + chance.choices(life.events, k=len(life.events) // 2)
    chance.shuffle(told)
    books.forget()
    while told:
        size = chance.randint(1, 12)
        assert books.take(*told[:size]) == []
        told = told[size:]
    assert books.stays() == in_order


def test_a_serve_that_is_killed_in_mid_stream_counts_each_session_once(live, home, broker, observe):
    """What was stored and not acknowledged comes again, whatever the broker makes of it: here the
    charger itself says it again."""
    books, seen = Books(home), observe(broker)
    life = [one for n in range(1, 61, 2)
            for one in (started(n, NOON + n), ended(n + 1, n, NOON + n + 1, n))]  # fmt: skip
    said = [books.signed(each) for each in life]
    sent = 0
    for _ in range(2):
        with ServeProcess(home) as running:
            running.says("ready")
            before = rows(home, "event")
            for each in said[sent : sent + 30]:
                seen.tell(*each)
            sent += 30
            until(lambda: rows(home, "event") > before)  # noqa: B023
            running.kill()
    with Served(home) as served:
        served.ready()
        for each in said[::-1]:
            seen.tell(*each)
        until(lambda: rows(home, "event") == len(said))
    assert [each.wh for each in books.stays()] == list(range(1, 61, 2))
    assert sum("not stored" in line for line in served.lines) == 0


# --- how fast ---


def test_years_of_sessions_slow_nothing_down(books, home):
    """50,000 sessions, a week's start of the charger each 500; the figures are generous."""
    from tools.portal import database
    from tools.portal.schema import ChargerBoot, ChargingSession, Event

    count, apart = 50_000, 1_800
    with database.changing(home) as session:
        base = {"charger_id": 1, "received_at": NOON}
        for chunk in (range(at, at + 5_000) for at in range(0, count, 5_000)):
            events, sessions = [], []
            for at in chunk:
                n, boot, t = 2 * at + 1, 1 + at // 500, NOON + at * apart
                up = at % 500 * apart
                for name, plus in (("session_started", 0), ("session_ended", 1)):
                    body = {"session": n, "wh": 7} if plus else {"token": None}
                    events.append(
                        base | {"n": n + plus, "boot": boot, "t": t + plus * 600, "event": name,
                                "up": up + plus * 600, "session": n, "body": body}
                    )  # fmt: skip
                sessions.append(
                    base | {"start_n": n, "boot": boot, "end_n": n + 1, "start_boot": boot,
                            "start_up": up, "start_t": t, "end_boot": boot, "end_up": up + 600,
                            "end_t": t + 600, "wh": 7, "start": t, "end": t + 600,
                            "estimated": False}
                )  # fmt: skip
            session.bulk_insert_mappings(Event.__mapper__, events)
            session.bulk_insert_mappings(ChargingSession.__mapper__, sessions)
        for boot in range(1, 1 + count // 500):
            t = NOON + (boot - 1) * 500 * apart
            up = 499 * apart + 600
            session.add(
                ChargerBoot(charger_id=1, boot=boot, up=up, first_up=0, first_t=t, last_up=up,
                            last_t=t + up, not_after=t, began=t)
            )  # fmt: skip
    books.at = NOON + (count + 1_000) * apart
    fresh = []
    for at in range(count, count + 50):
        n, t = 2 * at + 1, NOON + at * apart
        up = (at - count) * apart
        fresh += [
            started(n, t, boot=101, up=up), ended(n + 1, n, t + 600, 7, boot=101, up=up + 600),
        ]  # fmt: skip
    began = time.perf_counter()
    assert books.take(*fresh) == []
    took_s = time.perf_counter() - began
    month = NOON + 20_000 * apart
    began = time.perf_counter()
    found = books.stays(month, month + 30 * 86_400)
    told_s = time.perf_counter() - began
    print(f"100 events {took_s:.3f} s, {len(found)} stays of a month {told_s:.3f} s")
    assert len(found) == 30 * 86_400 // apart
    assert len(books.stays()) == count + 50
    assert took_s < 5 and told_s < 5
