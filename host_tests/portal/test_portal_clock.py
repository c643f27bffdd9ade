"""Nothing is signed while this computer's clock does not fit what is known of the time."""

import sqlite3
import time

import pytest

from host_tests.portal.served import Served, until
from host_tests.portal.test_portal_publishing import SETTINGS, key
from tools.portal import chargers, commanding, database, own_clock, publishing, serving, signing
from tools.portal.refusal import Refusal
from tools.portal.schema import Event

HOUR_S = 3_600
DAY_S = 24 * HOUR_S
YEAR_S = 365 * DAY_S
NOW = int(time.time())


@pytest.fixture
def clock(monkeypatch):
    """Sets this computer's clock that far ahead."""
    now = time.time

    def ahead(seconds: int) -> None:
        monkeypatch.setattr(time, "time", lambda: now() + seconds)

    return ahead


def order(home, at: int) -> None:
    with database.changing(home) as session:
        commanding.issue(session, chargers.find(session, "garage"), "identify", {}, at)


def doubted(home, at: int) -> str | None:
    with database.reading(home) as session:
        return own_clock.doubt(session, at)


@pytest.mark.parametrize(
    ("seconds", "words"), [(10 * YEAR_S, "days after"), (-HOUR_S - 60, "is before")]
)
def test_a_wrong_clock_publishes_nothing_until_somebody_says_that_it_is_right(
    live, home, clock, seconds, words
):
    live("publish")
    clock(seconds)
    live("access", "open")
    for _ in range(2):
        answer = live("publish")
        assert answer.status == 1 and answer.err.count("\n") == 1
        assert words in answer.err and "tapgate publish --clock-is-right" in answer.err
    assert live("publish", "--clock-is-right").status == 0
    live("access", "restricted")
    assert live("publish").status == 0  # it is asked once


def test_no_order_is_signed_with_a_wrong_clock(site, home):
    order(home, NOW)
    for at in (NOW + own_clock.UNUSED_S + DAY_S, NOW - HOUR_S - DAY_S):
        with pytest.raises(Refusal, match="nothing is signed"):
            order(home, at)
    order(home, NOW + 1)


def test_no_config_is_written_with_a_wrong_clock(live, home, clock, tmp_path):
    """Its `issued` is the first time that a board knows."""
    live("publish")
    clock(10 * YEAR_S)
    out = tmp_path / "config.json"
    answer = live("charger", "config", "garage", "--out", str(out))
    assert answer.status == 1 and "nothing is signed" in answer.err
    assert not out.exists()


def test_an_hour_back_and_five_weeks_without_anything_are_no_cause_for_doubt(site, home):
    last = NOW + HOUR_S  # later than all that setting up has left
    order(home, last)
    for at, right in (
        (last - own_clock.BACK_S, True),
        (last - own_clock.BACK_S - 1, False),
        (last + own_clock.UNUSED_S, True),
        (last + own_clock.UNUSED_S + 1, False),
    ):
        assert (doubted(home, at) is None) is right, at


def test_a_site_in_which_nothing_happens_is_asked_nothing_as_long_as_serve_looks(site, home):
    for day in range(0, 400, 30):
        with database.changing(home) as session:
            own_clock.check(session, NOW + day * DAY_S)


def test_what_a_charger_has_reported_counts_unless_its_own_clock_was_wrong(site, home):
    with database.changing(home) as session:
        number = chargers.find(session, "garage").id
        given = {"charger_id": number, "boot": 1, "up": 1, "event": "booted", "body": {}}
        later = NOW + 30 * DAY_S
        session.add(Event(n=1, t=later, received_at=later, **given))
        session.add(Event(n=2, t=NOW + 10 * YEAR_S, received_at=later, **given))
    assert doubted(home, NOW + 60 * DAY_S) is None
    assert doubted(home, NOW + 70 * DAY_S) is not None
    assert doubted(home, NOW) is not None


def test_once_a_clock_that_was_years_ahead_is_put_right_it_is_watched_as_before(site, home):
    ahead = NOW + 10 * YEAR_S
    with database.changing(home) as session:
        own_clock.confirm(session, ahead)
    order(home, ahead)
    assert doubted(home, NOW)
    with database.changing(home) as session:
        own_clock.confirm(session, NOW)
    order(home, NOW)
    assert doubted(home, NOW + 30 * DAY_S) is None
    assert doubted(home, NOW + 2 * YEAR_S)
    assert doubted(home, ahead)
    assert doubted(home, NOW - 2 * HOUR_S)


def test_a_damaged_or_missing_note_only_means_that_less_is_known(site, home):
    order(home, NOW)
    for damage in ("", "[]", '{"right_at":"x","overruled":null}', "\udcff"):
        (home / "clock.json").write_text(damage, errors="surrogateescape")
        assert doubted(home, NOW) is None
        assert doubted(home, NOW + YEAR_S)
    (home / "clock.json").unlink()
    assert doubted(home, NOW - DAY_S)


def test_serve_signs_nothing_says_so_and_goes_on_when_the_clock_is_right_again(
    live, home, clock, monkeypatch
):
    monkeypatch.setattr(serving, "RETRY_S", 0.2)
    live("publish")
    with Served(home) as served:
        served.ready()
        clock(10 * YEAR_S)
        live("access", "open")
        served.says("nothing is signed")
        assert "nothing is signed" in live("status").err
        assert signed(home)["access"] == "restricted"
        clock(0)
        until(lambda: signed(home)["access"] == "open")
        assert abs(signed(home)["t"] - time.time()) < HOUR_S


def test_serve_goes_on_when_somebody_says_that_the_clock_is_right(live, home, clock, monkeypatch):
    monkeypatch.setattr(serving, "RETRY_S", 0.2)
    live("publish")
    clock(YEAR_S)
    live("access", "open")
    with Served(home) as served:
        served.says("nothing is signed")
        publishing.publish(home, everything=False, clock_is_right=True)
        served.ready()
    assert signed(home)["access"] == "open"


def signed(home) -> dict:
    """The settings that were last signed."""
    with sqlite3.connect(home / "tapgate.db") as connection:
        rows = connection.execute("SELECT payload FROM publication WHERE topic = ?", [SETTINGS])
        return signing.verified(key(home), SETTINGS, next(rows)[0].encode()) or {}
