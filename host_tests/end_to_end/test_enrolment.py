"""A charger that registers the next card: what the light shows and what is reported."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from host_tests.end_to_end.conftest import ANNA, STRANGER, Site, wait
from host_tests.end_to_end.seeing import coil, light, plug_in, rests, tap, unplug
from host_tests.end_to_end.wire import Wire
from tools.portal import token
from tools.virtual.client import VirtualCharger

NAME = "registry"
NEW = "04c1c2c3c4c5c6"
SECONDS = 60


class Desk(Wire):
    """Orders cards to be registered, and hears what became of that."""

    def enrol(self, seconds: int = SECONDS) -> int:
        """The order's version, once the charger waits for a card."""
        done = self.command("enrol", seconds=seconds)
        assert done["ok"], done["why"]
        return done["v"]

    def outcome(self, v: int) -> dict[str, Any]:
        """Of that order, without what every event has."""

        def found() -> dict[str, Any] | None:
            for event in list(self.events):
                if event["event"] in ("card_enrolled", "enrol_failed") and event["v"] == v:
                    return event
            return None

        body = dict(wait(found, 10, "registered or not"))
        for name in ("n", "boot", "t", "up", "v"):
            del body[name]
        return body

    def remarks(self, v: int) -> list[str]:
        return [e["why"] for e in self.events if e["event"] == "enrol_retry" and e["v"] == v]

    def wait_until(self, state: str) -> None:
        wait(lambda: self.state["state"] == state, 5, state)


@pytest.fixture(scope="module")
def powered(site: Site) -> Iterator[tuple[VirtualCharger, Desk, bytes]]:
    site.add(NAME)
    path = site.config(NAME)
    config = json.loads(path.read_text())
    desk = Desk(site.broker, NAME, bytes.fromhex(config["charger_key"]))
    try:
        with VirtualCharger.start(path, site.home / NAME) as charger:
            site.wait_in_step(NAME)
            yield charger, desk, bytes.fromhex(config["card_key"])
    finally:
        desk.close()


@pytest.fixture
def charger(powered: tuple[VirtualCharger, Desk, bytes]) -> VirtualCharger:
    """At rest: no vehicle, and no card that was here a moment ago."""
    unplug(powered[0])
    time.sleep(1.6)
    return powered[0]


@pytest.fixture
def desk(powered: tuple[VirtualCharger, Desk, bytes]) -> Desk:
    return powered[1]


def test_a_card_is_reported_by_its_token_and_never_by_its_number(
    charger: VirtualCharger, desk: Desk, powered: tuple
):
    v = desk.enrol()
    assert desk.state["light"] == {"colour": "white", "pattern": "slow pulse"}
    tap(charger, NEW)
    expected = token.token(powered[2], bytes.fromhex(NEW)).hex()
    assert desk.outcome(v) == {
        "event": "card_enrolled",
        "token": expected,
        "hint": "c5c6",
        "known": False,
    }
    assert NEW not in json.dumps(desk.events)
    desk.wait_until("available")


def test_a_card_on_the_list_is_told_and_shown_red(charger: VirtualCharger, desk: Desk):
    v = desk.enrol()
    charger.wait_for(light("red"), 2, tap(charger, ANNA))
    assert desk.outcome(v)["known"] is True


def test_two_cards_at_once_are_neither(charger: VirtualCharger, desk: Desk):
    v = desk.enrol()
    # Both come into the field before the reader looks again, or the first one is registered.
    with_both = charger.mark()
    charger.do("place", uid=NEW)
    charger.do("place", uid=STRANGER)
    wait(lambda: desk.remarks(v) or desk.state["state"] == "available", 5, "seen")
    charger.do("remove", uid=NEW)
    charger.do("remove", uid=STRANGER)
    if desk.remarks(v):
        charger.wait_for(light("yellow"), 2, with_both)
        assert desk.remarks(v) == ["several"]
        time.sleep(0.6)
        tap(charger, STRANGER)
        assert desk.outcome(v)["hint"] == STRANGER[-4:]
    else:
        assert desk.outcome(v)["hint"] == NEW[-4:]


def test_a_phone_is_not_registered(charger: VirtualCharger, desk: Desk):
    v = desk.enrol()
    since = charger.mark()
    charger.do("place", kind="phone")
    charger.wait_for(light("red"), 5, since)
    charger.do("remove", uid=charger.status()["cards"][0])
    assert desk.outcome(v) == {"event": "enrol_failed", "why": "RandomNumber"}


def test_no_card_in_time_and_no_card_any_more(charger: VirtualCharger, desk: Desk):
    v = desk.enrol(1)
    assert desk.outcome(v) == {"event": "enrol_failed", "why": "time_out"}
    v = desk.enrol()
    assert desk.command("enrol", seconds=0)["ok"] is True
    assert desk.outcome(v) == {"event": "enrol_failed", "why": "cancelled"}
    assert "not while" in desk.command("enrol", seconds=0)["why"]
    desk.wait_until("available")


def test_the_later_of_two_orders_gets_the_card(charger: VirtualCharger, desk: Desk):
    first, second = desk.enrol(), desk.enrol()
    assert desk.outcome(first) == {"event": "enrol_failed", "why": "replaced"}
    tap(charger, NEW)
    assert desk.outcome(second)["hint"] == "c5c6"


def test_a_vehicle_that_comes_meanwhile_waits_in_yellow_after_it(
    charger: VirtualCharger, desk: Desk
):
    v = desk.enrol()
    since = charger.mark()
    charger.do("plug")
    rests(charger, coil(True), 0.3, since)
    since = tap(charger, NEW)
    desk.outcome(v)
    charger.wait_for(light("yellow"), 4, since)
    time.sleep(0.3)
    charger.wait_for(coil(True), 2, tap(charger, ANNA))


def test_a_vehicle_that_leaves_meanwhile_is_not_waited_for(charger: VirtualCharger, desk: Desk):
    plug_in(charger, "yellow")
    v = desk.enrol()
    unplug(charger)
    tap(charger, NEW)
    desk.outcome(v)
    desk.wait_until("available")


def test_a_card_held_there_without_a_link_is_reported_when_there_is_one(
    site: Site, charger: VirtualCharger, desk: Desk
):
    v = desk.enrol()
    charger.do("link", up=False)
    try:
        charger.wait_for(light("white"), 2, tap(charger, NEW))
    finally:
        charger.do("link", up=True)
    wait(lambda: any(e.get("v") == v and "hint" in e for e in desk.events), 60, "reported")
    wait(lambda: site.status(NAME)["online"], 30, "online again")


def test_a_power_cut_ends_it_and_a_card_is_a_card_again(charger: VirtualCharger, desk: Desk):
    desk.enrol()
    plug = charger.mark()
    charger.do("plug")
    charger.do("power", off_ms=200)
    charger.wait_for(lambda push: "ready" in push, 20, plug)
    since = charger.mark()
    charger.wait_for(light("yellow"), 5, plug)
    charger.wait_for(coil(True), 2, tap(charger, ANNA))
    rests(charger, coil(False), 0.3, since)
