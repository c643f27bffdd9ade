"""Sessions started from the app end when their person may not charge there any more."""

import time

import pytest

from firmware.link import messages
from tools.portal import chargers, commanding, database, installation, people, token
from tools.portal.app_sessions import AGAIN_S, GONE_S, AppSessions

START = int(time.time()) - 600


class Watch:
    def __init__(self, home):
        self.home = home
        self.duty = AppSessions()
        self.now = START + 600

    def token(self, email: str) -> str:
        with database.reading(self.home) as session:
            key = bytes.fromhex(installation.current(session).card_key)
            return token.of_person(key, people.find(session, email).id).hex()

    def _call(self, what: str, *arguments) -> list[dict]:
        with database.changing(self.home) as session:
            charger = chargers.find(session, "garage")
            given = (charger, *arguments) if what == "state" else arguments
            orders = list(getattr(self.duty, what)(session, *given, self.now))
            assert all(each.charger == charger.id for each in orders)
            issued = [
                commanding.issue(session, charger, each.command, each.body, self.now)
                for each in orders
            ]
            key = bytes.fromhex(charger.key)
        return [messages.verify(key, topic, payload) for _, topic, payload in issued]

    def says(self, session: object) -> list[dict]:
        """The charger's state: a session, or None."""
        return self._call("state", {"online": True, "state": "charging", "session": session})

    def runs(self, holder: str, by: str = "remote", start: int | None = START) -> list[dict]:
        return self.says({"token": holder, "role": "user", "start": start, "wh": 5, "by": by})

    def changed(self) -> list[dict]:
        return self._call("published")

    def ticks(self, seconds: int, step: int = 1) -> list[dict]:
        orders = []
        for _ in range(0, seconds, step):
            self.now += step
            if self.duty.is_due(self.now):
                orders += self._call("tick")
        return orders


@pytest.fixture
def user(site, anna) -> str:
    site("grant", anna, "--role", "user")
    return anna


@pytest.fixture
def watch(site, home) -> Watch:
    return Watch(home)


def test_a_session_whose_person_may_charge_goes_on(watch, user):
    assert watch.runs(watch.token(user)) == []
    assert watch.changed() == watch.ticks(60) == []


@pytest.mark.parametrize(
    "command",
    [
        ("revoke", "anna@example.org"),
        ("revoke", "anna@example.org", "--charger", "garage"),
        ("person", "remove", "anna@example.org"),
        ("grant", "anna@example.org", "--role", "user", "--until", "2025-01-01"),
        ("grant", "anna@example.org", "--role", "user", "--from", "2054-01-01"),
    ],
)
def test_a_withdrawn_permission_stops_the_persons_session_alone(watch, user, site, command):
    holder = watch.token(user)
    watch.runs(holder)
    assert site(*command).status == 0
    [order] = watch.changed()
    assert order["command"] == "stop" and order["reason"] == "withdrawn"
    assert order["token"] == holder and order["exp"] > watch.now


def test_it_is_asked_again_every_ten_seconds_until_it_is_over(watch, user, site):
    holder = watch.token(user)
    watch.runs(holder)
    site("revoke", user)
    first = watch.changed()
    assert len(first) == 1
    assert watch.changed() == watch.runs(holder) == []  # at most every ten seconds
    orders = watch.ticks(3 * AGAIN_S)
    assert len(orders) == 3
    assert [each["v"] for each in orders] == sorted({each["v"] for each in orders})
    watch.says(None)
    assert watch.ticks(3 * AGAIN_S) == []


def test_a_charger_that_is_gone_is_not_asked_for_ever(watch, user, site):
    watch.runs(watch.token(user))
    site("revoke", user)
    watch.changed()
    assert len(watch.ticks(10 * GONE_S, 10)) <= GONE_S // AGAIN_S
    assert len(watch.runs(watch.token(user))) == 1


def test_a_charger_that_was_removed_is_given_no_order(watch, user, site, home):
    watch.runs(watch.token(user))
    site("revoke", user)
    assert site("charger", "remove", "garage", "--yes").status == 0
    with database.changing(home) as session:
        assert list(watch.duty.published(session, watch.now)) == []


def test_while_nobody_is_stopped_there_is_nothing_to_do_each_second(watch, user, site):
    watch.runs(watch.token(user))
    assert not watch.duty.is_due(watch.now)
    site("revoke", user)
    watch.changed()
    assert not watch.duty.is_due(watch.now + AGAIN_S - 1)
    assert watch.duty.is_due(watch.now + AGAIN_S)


def test_states_that_come_and_go_cause_no_more_stops(watch, user, site):
    site("revoke", user)
    holder = watch.token(user)
    orders = []
    for _ in range(5):
        orders += watch.runs(holder)
        watch.says(None)
    assert len(orders) == 1


def test_a_permission_given_back_in_time_lets_it_go_on(watch, user, site):
    watch.runs(watch.token(user))
    site("revoke", user)
    watch.changed()
    site("grant", user, "--role", "user")
    assert watch.changed() == watch.ticks(60) == []


def test_a_permission_that_runs_out_in_its_course_ends_no_session(watch, user, site, home):
    with database.changing(home) as session:
        people.find(session, user).permissions[0].valid_until = START + 300
    assert watch.runs(watch.token(user)) == watch.changed() == []


def test_cards_sessions_are_not_touched(watch, user, site):
    holder = watch.token(user)
    site("revoke", user)
    for by in ("card", "operator", "open", None):
        assert watch.runs(holder, by=by) == []


def test_where_withdrawal_ends_no_session_neither_does_this(watch, user, site, home):
    with database.changing(home) as session:
        installation.current(session).stop_on_withdrawal = False
    watch.runs(watch.token(user))
    site("revoke", user)
    assert watch.changed() == []


@pytest.mark.parametrize("offline", ["deny", "list"])
def test_an_operator_that_is_connected_ends_no_session_by_that(watch, user, site, offline):
    holder = watch.token(user)
    watch.runs(holder)
    assert site("operator", "connect", "Volt", "--offline", offline).status == 0
    assert watch.changed() == watch.runs(holder) == watch.ticks(60) == []
    assert site("person", "remove", user).status == 0
    assert [each["token"] for each in watch.changed()] == [holder]


def test_somebody_added_later_is_known_too(watch, user, site):
    watch.runs("0" * 14)
    site("person", "add", "late@x.org")
    site("grant", "late@x.org", "--role", "user")
    watch.says(None)
    assert watch.runs(watch.token("late@x.org")) == []


def test_who_comes_after_somebody_removed_does_not_inherit_their_session(watch, user, site):
    holder = watch.token(user)
    site("person", "remove", user)
    site("person", "add", "late@x.org")
    site("grant", "late@x.org", "--role", "user")
    assert watch.token("late@x.org") != holder
    assert len(watch.runs(holder)) == 1


def test_where_the_charger_does_not_know_its_start_the_order_does(watch, user, home):
    holder = watch.token(user)
    with database.changing(home) as session:
        people.find(session, user).permissions[0].valid_until = START + 300
        charger = chargers.find(session, "garage")
        commanding.issue(session, charger, "authorise", {"token": holder}, START)
    assert watch.runs(holder, start=None) == []


def test_a_hostile_state_harms_nothing(watch):
    for session in (5, [], "x", {}, {"by": "remote"}, {"by": "remote", "token": 7},
                    {"by": "remote", "token": "x" * 9_000, "start": []}):  # fmt: skip
        assert watch.says(session) == []
    assert watch.runs("z" * 14, start=-(10**30)) != []  # a stop for nobody: harmless
