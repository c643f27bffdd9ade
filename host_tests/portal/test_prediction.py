"""What `tapgate check` says a charger answers, case by case, from what people have filled in."""

import time
from collections.abc import Callable
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from host_tests.portal.conftest import OWNER, Tapgate
from host_tests.portal.test_portal_allowlist import entry
from tools.portal import allowlist, database, installation, prediction, token
from tools.portal.prediction import Prediction
from tools.portal.schema import (
    Card,
    Charger,
    Group,
    Installation,
    Partner,
    Permission,
    Person,
    ReportedState,
    Schedule,
    ScheduleWindow,
)

OSLO = ZoneInfo("Europe/Oslo")
NUMBER = "04a1b2c3"
ANNA = "anna@example.org"
DAY_S = 86_400


def utc(*parts: int, fold: int = 0) -> int:
    """Oslo's local time as UTC seconds."""
    year, month, day, *clock = parts
    return int(datetime(year, month, day, *clock, tzinfo=OSLO, fold=fold).timestamp())


NOON = utc(2026, 6, 1, 12)  # a Monday


@pytest.fixture
def user(site: Tapgate, anna: str) -> Tapgate:
    """Anna is a user of the installation, with one card; there is a second charger, "gate"."""
    assert site("grant", anna, "--role", "user").status == 0
    assert site("card", "add", anna, "--number", NUMBER, "--as", "hex").status == 0
    assert site("charger", "add", "gate").status == 0
    return site


@pytest.fixture
def tables(user: Tapgate, home) -> Callable[[Callable[..., Any]], None]:
    """Change rows that no command is needed for: `tables(lambda session, anna: ...)`."""

    def change(how: Callable[..., Any]) -> None:
        with database.changing(home) as session:
            how(session, _person(session, ANNA))

    return change


@pytest.fixture
def predicted(user: Tapgate, home) -> Callable[..., Prediction]:
    """Of Anna's card, or of any token, at a charger and a time."""

    def ask(charger: str = "garage", at: int = NOON, token: bytes | None = None, **how: Any):
        with database.reading(home) as session:
            site = session.scalars(select(Installation)).one()
            where = _charger(session, charger)
            mine = bytes.fromhex(_person(session, ANNA).cards[0].token)
            return prediction.of_card(session, site, where, token or mine, at, **how)

    return ask


def _person(session, email: str) -> Person:
    return session.scalars(select(Person).where(Person.email == email)).one()


def _charger(session, name: str) -> Charger:
    return session.scalars(select(Charger).where(Charger.name == name)).one()


def weekly(session, name: str, *windows: tuple[int, int, int]) -> Schedule:
    """A schedule of (weekday, first minute, end)."""
    rows = [ScheduleWindow(weekday=w, start_min=a, end_min=b) for w, a, b in windows]
    made = Schedule(number=1, name=name, windows=rows)
    session.add(made)
    return made


def test_a_permission_on_the_installation_counts_at_every_charger(predicted):
    for charger in ("garage", "gate"):
        found = predicted(charger)
        assert (found.verdict, found.role, found.ends) == ("Accepted", "user", "own")


def test_a_permission_on_one_charger_replaces_the_wider_one_there(user, predicted):
    assert user("grant", ANNA, "--role", "owner", "--charger", "gate").status == 0
    assert (predicted("gate").role, predicted("gate").ends) == ("owner", "any")
    assert predicted("garage").role == "user"
    assert user("revoke", ANNA, "--charger", "gate").status == 0
    assert predicted("gate").verdict == "Unknown"
    assert predicted("garage").verdict == "Accepted"


def test_who_has_no_permission_or_no_card_here_is_unknown(user, predicted):
    assert predicted(token=b"1234567").verdict == "Unknown"
    assert user("revoke", ANNA).status == 0
    assert predicted().verdict == "Unknown"


def test_a_blocked_card_is_blocked_whatever_else_is_wrong(user, predicted):
    until = ("--until", "2026-01-01T00:00")
    assert user("grant", ANNA, "--role", "user", *until).status == 0
    assert user("card", "block", NUMBER, "--as", "hex").status == 0
    assert predicted().verdict == "Blocked"


@pytest.mark.parametrize(
    ("second", "verdict"),
    [
        (-60, "NotAtThisTime"),
        (-1, "NotAtThisTime"),
        (0, "NotAtThisTime"),
        (29, "NotAtThisTime"),
        (30, "Accepted"),
        (60, "Accepted"),
        (119, "Accepted"),
        (120, "Accepted"),
        (149, "Accepted"),
        (150, "Expired"),
        (180, "Expired"),
    ],
)
def test_bounds_count_in_whole_minutes(tables, predicted, second: int, verdict: str):
    start = NOON + 30  # the first whole minute begins 30 s later, the last ends 40 s before the end

    def bounds(session, anna: Person):
        anna.permissions[0].valid_from = start - 29
        anna.permissions[0].valid_until = start + 150 + 40

    tables(bounds)
    assert predicted(at=start + second).verdict == verdict


@given(
    st.one_of(st.none(), st.integers(allowlist.EPOCH_S - 200, allowlist.EPOCH_S + 400)),
    st.one_of(st.none(), st.integers(allowlist.EPOCH_S - 200, allowlist.EPOCH_S + 400)),
    st.integers(allowlist.EPOCH_S + 60, allowlist.EPOCH_S + 500),
)
def test_bounds_are_those_that_the_list_carries(first: int | None, end: int | None, at: int):
    role = allowlist.Permission("user", first, end, 0)
    packed = entry(allowlist.Card(bytes(7), 1, 0, False), role)
    begins, ends = (int.from_bytes(packed[i : i + 3], "big") for i in (9, 12))
    minute = (at - allowlist.EPOCH_S) // 60
    carried = begins <= minute and (not ends or minute < ends)
    site = Installation(timezone="UTC")
    row = Permission(role="user", valid_from=first, valid_until=end)
    assert (prediction._out_of_time(site, row, at, True) is None) is carried


def test_a_schedule_holds_in_local_time_on_its_days(tables, predicted):
    def office_hours(session, anna: Person):
        anna.permissions[0].schedule = weekly(session, "office", (0, 480, 1020))

    tables(office_hours)
    for moment, verdict in (
        (utc(2026, 6, 1, 7, 59, 59), "NotAtThisTime"),
        (utc(2026, 6, 1, 8), "Accepted"),
        (utc(2026, 6, 1, 16, 59, 59), "Accepted"),
        (utc(2026, 6, 1, 17), "NotAtThisTime"),
        (utc(2026, 6, 2, 12), "NotAtThisTime"),  # a Tuesday
        (utc(2026, 1, 5, 8), "Accepted"),  # the same in winter
        (utc(2026, 1, 5, 7, 59, 59), "NotAtThisTime"),
    ):
        assert predicted(at=moment).verdict == verdict, moment
    assert predicted(at=NOON, clock_set=False).verdict == "ClockUnknown"


def test_an_hour_that_a_clock_change_repeats_counts_twice_and_one_it_skips_never(tables, predicted):
    def nightly(session, anna: Person):
        anna.permissions[0].schedule = weekly(session, "night", (6, 120, 180))  # Sunday, 2 to 3

    tables(nightly)
    back = utc(2026, 10, 25, 2)
    minutes = range(back - 3_600, back + 3 * 3_600, 60)
    assert sum(predicted(at=each).verdict == "Accepted" for each in minutes) == 120
    forward = utc(2026, 3, 29, 3)
    minutes = range(forward - 2 * 3_600, forward + 3_600, 60)
    assert not [each for each in minutes if predicted(at=each).verdict == "Accepted"]


def test_with_a_clock_that_only_says_what_is_past_nothing_opens(tables, predicted):
    def bounds(session, anna: Person):
        anna.permissions[0].valid_from, anna.permissions[0].valid_until = NOON, NOON + DAY_S

    tables(bounds)
    assert predicted(at=NOON - 60, clock_set=False).verdict == "ClockUnknown"
    assert predicted(at=NOON, clock_set=False).verdict == "Accepted"
    assert predicted(at=NOON + DAY_S, clock_set=False).verdict == "Expired"


def test_a_service_card_starts_nothing_unless_the_charger_lets_it(user, tables, predicted):
    assert user("grant", ANNA, "--role", "service").status == 0
    assert (predicted().verdict, predicted().ends) == ("Invalid", "any")

    def let(session, anna: Person):
        _charger(session, "gate").service_may_start = True

    tables(let)
    assert predicted("gate").verdict == "Accepted"
    assert predicted("garage").verdict == "Invalid"

    def let_all(session, anna: Person):
        session.scalars(select(Installation)).one().service_may_start = True
        _charger(session, "gate").service_may_start = False

    tables(let_all)
    assert predicted("gate").verdict == "Invalid"
    assert predicted("garage").verdict == "Accepted"


def test_what_a_partner_may_do_their_people_may_where_they_have_nothing_of_their_own(
    tables, predicted
):
    def employ(session, anna: Person):
        anna.partner = Partner(name="Volt", lookup_key="4821", added_at=0)
        session.flush()
        for charger in (None, _charger(session, "gate")):
            session.add(
                Permission(partner_id=anna.partner_id, charger=charger, role="service", given_at=0)
            )

    tables(employ)
    assert predicted("garage").role == "user"
    assert predicted("gate").role == "service"
    tables(lambda session, anna: anna.permissions.clear())
    assert predicted("garage").role == "service"


def test_a_list_that_nobody_has_issued_for_too_long_lets_nobody_in(predicted):
    limit = 30 * DAY_S
    assert predicted(issued=NOON - limit).verdict == "Accepted"
    assert predicted(issued=NOON - limit - 1).verdict == "ListTooOld"
    assert predicted(issued=NOON - limit - 1, token=b"1234567").verdict == "ListTooOld"


def test_the_access_mode_is_the_chargers_own_or_the_installations(user, predicted):
    assert user("access", "open", "--charger", "gate").status == 0
    assert (predicted("gate").access, predicted("garage").access) == ("open", "restricted")
    assert predicted("gate").verdict == "Accepted"


def test_under_an_operator_nobody_knows_but_the_operator(tables, predicted):
    def connect(offline: str):
        def change(session, anna: Person):
            site = session.scalars(select(Installation)).one()
            site.operator_name, site.operator_offline = "Volt", offline
            _charger(session, "gate").access = "open"

        return change

    tables(connect("deny"))
    found = predicted("gate")
    assert (found.verdict, found.operator, found.access) == (None, "Volt", "restricted")
    assert found.offline and found.offline.verdict == "Unknown"
    tables(connect("list"))
    found = predicted("gate")
    assert found.verdict is None and found.offline and found.offline.verdict == "Accepted"


def test_who_may_end_whose_session(user, tables, home):
    """Holders are Anna and her colleague; who taps is named."""
    for name, role in (
        ("mate", "user"),
        ("other", "user"),
        ("boss", "owner"),
        ("fixer", "service"),
    ):
        email = f"{name}@example.org"
        assert user("person", "add", email).status == 0
        assert user("grant", email, "--role", role).status == 0
        number = name.encode().hex().ljust(14, "0")[:14]
        assert user("card", "add", email, "--number", number, "--as", "hex").status == 0
    assert user("card", "add", ANNA, "--number", "04a1b2c4", "--as", "hex").status == 0
    company = Group(number=40_000, name="company")

    def group(session, anna: Person):
        _person(session, "mate@example.org").group = anna.group = company

    tables(group)

    def ends(of: str = "card", by: str = "card") -> set[str]:
        with database.reading(home) as session:
            site, where = installation.current(session), _charger(session, "garage")
            anna = _person(session, ANNA)
            holder = {
                "card": bytes.fromhex(anna.cards[0].token),
                "app": token.of_person(bytes.fromhex(site.card_key), anna.id),
                "nobody": None,
            }[of]

            def may(card: Card) -> bool:
                mine = bytes.fromhex(card.token)
                found = prediction.of_card(session, site, where, mine, NOON)
                return prediction.may_end(session, site, found, mine, holder, by)

            return {
                card.person.email.split("@")[0]
                + ("'s own" if bytes.fromhex(card.token) == holder else "")
                for card in session.scalars(select(Card))
                if may(card)
            }

    assert ends() == {"anna's own", "anna", "mate", "boss", "fixer"}
    assert ends("app", "remote") == {"anna", "mate", "boss", "fixer"}
    assert ends("nobody", "open") == {"boss", "fixer"}
    assert ends(by="operator") == {"anna's own", "boss", "fixer"}

    def over(session, anna: Person):
        for name in ("anna", "mate", "boss"):
            _person(session, f"{name}@example.org").cards[0].blocked = True

    tables(over)
    assert ends() == {"anna", "fixer"}  # a blocked card does nothing, whatever it began


# --- the command ---


def test_check_answers_for_a_card_by_number_and_by_token(user: Tapgate, predicted):
    by_number = user("check", "garage", "--card", NUMBER, "--as", "hex", "--json").json
    assert by_number["verdict"] == "Accepted" and by_number["role"] == "user"
    assert by_number["access"] == "restricted" and by_number["person"] == ANNA
    again = user("check", "garage", "--card", by_number["token"], "--json").json
    assert again | {"at": by_number["at"]} == by_number
    prose = user("check", "garage", "--card", by_number["token"])
    assert "Accepted" in prose.out and ANNA in prose.out and NUMBER not in prose.out


def test_check_answers_for_a_time(user: Tapgate):
    assert user("grant", ANNA, "--role", "user", "--from", "2030-01-01", "--until", "2030-01-31")
    for moment, verdict in (
        ("2029-12-31T23:59", "NotAtThisTime"),
        ("2030-01-01T00:00", "Accepted"),
        ("2030-01-31T23:59:59", "Accepted"),
        ("2030-02-01", "Expired"),
        ("2029-12-31T23:00Z", "Accepted"),  # Oslo is an hour ahead
    ):
        said = user("check", "garage", "--person", ANNA, "--at", moment, "--json").json
        assert said["verdict"] == verdict, moment


def test_check_answers_for_cards_that_nobody_has(user: Tapgate):
    for card, verdict in (
        ("deadbeef", "Unknown"),
        ("0badc0ffee1234", "Unknown"),
        ("08a1b2c3", "RandomNumber"),
        ("08a1b2c3d4e5f6", "Unknown"),
    ):
        said = user("check", "garage", "--card", card, "--json").json
        assert (said["verdict"], said["token"], said["person"]) == (verdict, None, None)


def test_check_says_whether_the_session_that_runs_there_is_ended(user: Tapgate, tables):
    def check(charger: str = "garage", *more: str) -> tuple[bool | None, str]:
        asked = ("check", charger, "--card", NUMBER, "--as", "hex", *more)
        return user(*asked, "--json").json["ends_session"], user(*asked).out

    def runs(holder: Any) -> Callable[..., None]:
        def says(session, anna: Person) -> None:
            body = {"session": holder and {"token": holder, "by": "card"}}
            where = _charger(session, "garage").id
            session.merge(ReportedState(charger_id=where, seen_at=1, body=body))

        return says

    assert check() == (None, check()[1]) and "session" not in check()[1]
    tables(lambda session, anna: runs(anna.cards[0].token)(session, anna))
    assert check()[0] is True and "ends the session that runs there" in check()[1]
    assert check("gate")[0] is None and check("garage", "--at", "2026-06-01")[0] is None
    assert user("card", "block", NUMBER, "--as", "hex").status == 0
    assert check()[0] is False
    tables(runs("0badc0ffee1234"))
    assert check()[0] is False and "does not end the session" in check()[1]
    for hostile in (7, [], "x" * 9_000, {}):
        tables(runs(hostile))
        assert check()[0] in (False, None)
    assert user("operator", "connect", "Volt").status == 0
    assert check()[0] is None  # its platform knows


def test_check_knows_how_old_the_list_on_the_charger_is(live: Tapgate, anna: str, monkeypatch):
    live("grant", anna, "--role", "user")
    live("publish")
    assert live("check", "garage", "--person", anna, "--json").json["verdict"] == "Accepted"
    number = ("--number", NUMBER, "--as", "hex")
    live("card", "add", anna, *number)
    later = time.time() + 31 * DAY_S
    monkeypatch.setattr(time, "time", lambda: later)
    said = live("check", "garage", "--card", NUMBER, "--as", "hex")
    assert "ListTooOld" in said.out and "tapgate publish" in said.out


@pytest.mark.parametrize(
    ("status", "arguments"),
    [
        (2, ()),
        (2, ("garage",)),
        (2, ("garage", "--person", OWNER, "--card", NUMBER)),
        (2, ("garage", "--person", OWNER, "--as", "hex")),
        (2, ("garage", "--person", OWNER, "--at", "soon")),
        (1, ("garage", "--person", "who@example.org")),
        (1, ("garage", "--card", "what")),
        (1, ("cellar", "--person", OWNER)),
    ],
)
def test_check_says_what_is_wrong_with_the_question(user: Tapgate, status: int, arguments):
    said = user("check", *arguments)
    assert said.status == status and said.out == ""
    assert said.err.startswith("tapgate: ") or status == 2
