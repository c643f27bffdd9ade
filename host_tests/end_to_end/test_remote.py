"""Sessions started and ended from the app, at a charger with the real firmware."""

import threading
import time
from collections.abc import Iterator

import pytest

from host_tests.end_to_end.conftest import ANNA, Site
from host_tests.end_to_end.seeing import coil, plug_in, rests, shines, tap, unplug
from host_tests.end_to_end.serving import serving
from tools.demo import tapgate
from tools.portal.app_sessions import AGAIN_S
from tools.virtual.client import VirtualCharger

SETTLED_S = 1.6
BEN = "bea1b2c3"


@pytest.fixture(scope="module", autouse=True)
def _ben(site: Site) -> None:
    site.tapgate("person", "add", "ben@x.org")
    site.tapgate("grant", "ben@x.org", "--role", "user")
    site.tapgate("card", "add", "ben@x.org", "--number", BEN, "--as", "hex")


@pytest.fixture(scope="module")
def powered(site: Site) -> Iterator[VirtualCharger]:
    site.add("remote")
    with site.charger("remote") as running:
        site.wait_in_step("remote")
        yield running


@pytest.fixture
def charger(powered: VirtualCharger) -> VirtualCharger:
    """At rest: no vehicle, and no card that was here a moment ago."""
    unplug(powered)
    time.sleep(SETTLED_S)
    return powered


def refusal(site: Site, *arguments: str) -> str:
    status, out, error = tapgate(["--home", str(site.home), *arguments])
    assert status == 1, f"{out}{error}"
    return error


def test_a_start_closes_the_contactor_and_a_stop_opens_it(site: Site, charger: VirtualCharger):
    plug_in(charger, "yellow")
    since = charger.mark()
    started = site.tapgate("start", "remote", "--person", "anna@x.org")
    assert started["started"] is True
    charger.wait_for(coil(True), 5, since)
    assert "a session runs there" in refusal(site, "start", "remote", "--person", "ben@x.org")
    since = charger.mark()
    stopped = site.tapgate("stop", "remote")
    assert (stopped["person"], stopped["reason"]) == ("anna@x.org", "remote")
    charger.wait_for(coil(False), 5, since)
    assert "no session runs there" in refusal(site, "stop", "remote")


def test_started_first_and_plugged_in_later(site: Site, charger: VirtualCharger):
    since = charger.mark()
    assert site.tapgate("start", "remote", "--person", "anna@x.org")["started"] is False
    rests(charger, coil(True), 0.3, since)
    charger.do("plug")
    charger.wait_for(coil(True), 5, since)


def test_any_card_of_the_persons_ends_it_and_nobody_elses(site: Site, charger: VirtualCharger):
    plug_in(charger, "yellow")
    since = charger.mark()
    site.tapgate("start", "remote", "--person", "anna@x.org")
    charger.wait_for(coil(True), 5, since)
    time.sleep(SETTLED_S)
    since = tap(charger, BEN)
    shines(charger, "red", 1, since)
    rests(charger, coil(False), 0.3, since)
    charger.wait_for(coil(False), 1, tap(charger, ANNA))


def test_the_app_ends_a_session_that_a_card_began(site: Site, charger: VirtualCharger):
    plug_in(charger, "yellow")
    since = tap(charger, ANNA)
    charger.wait_for(coil(True), 5, since)
    assert site.tapgate("stop", "remote")["person"] == "anna@x.org"
    charger.wait_for(coil(False), 5, since)


def test_who_may_not_charge_is_not_started(site: Site, charger: VirtualCharger):
    site.tapgate("person", "add", "eve@x.org")
    plug_in(charger, "yellow")
    since = charger.mark()
    assert "no permission" in refusal(site, "start", "remote", "--person", "eve@x.org")
    rests(charger, coil(True), 0.3, since)


def test_a_charger_that_is_switched_off_starts_nobody(site: Site, charger: VirtualCharger):
    site.tapgate("available", "remote", "off")
    assert "tapgate available remote on" in refusal(
        site, "start", "remote", "--person", "anna@x.org"
    )
    site.tapgate("available", "remote", "on")
    plug_in(charger, "yellow")
    assert site.tapgate("start", "remote", "--person", "anna@x.org")["started"] is True


def test_serve_ends_the_session_of_who_is_let_in_no_more(site: Site, charger: VirtualCharger):
    with serving(site):
        for withdraw, give_back in (
            (("revoke", "ben@x.org"), ("grant", "ben@x.org", "--role", "user")),
            (
                ("revoke", "ben@x.org", "--charger", "remote"),
                ("grant", "ben@x.org", "--charger", "remote", "--inherit"),
            ),
        ):
            plug_in(charger, "yellow")
            since = charger.mark()
            site.tapgate("start", "remote", "--person", "ben@x.org")
            charger.wait_for(coil(True), 5, since)
            rests(charger, coil(False), 1.5, since)
            since = charger.mark()
            site.tapgate(*withdraw)
            # A charger is told at most every ten seconds, whatever it says of itself.
            charger.wait_for(coil(False), AGAIN_S + 5, since)
            site.tapgate(*give_back)
            unplug(charger)


def test_a_withdrawal_that_serve_slept_through_counts_when_it_wakes(
    site: Site, charger: VirtualCharger
):
    plug_in(charger, "yellow")
    since = charger.mark()
    site.tapgate("start", "remote", "--person", "ben@x.org")
    charger.wait_for(coil(True), 5, since)
    site.change("revoke", "ben@x.org")
    try:
        rests(charger, coil(False), 1, since)
        since = charger.mark()
        with serving(site):
            charger.wait_for(coil(False), 5, since)
    finally:
        site.change("grant", "ben@x.org", "--role", "user")


def test_orders_from_several_at_once_are_all_answered(site: Site, charger: VirtualCharger):
    failed = []

    def identify() -> None:
        from tools.portal import commanding

        try:
            commanding.give(site.home, "remote", "identify")
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=identify) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(30)
    assert failed == []


def test_a_charger_that_was_never_there_is_not_waited_for(site: Site):
    site.tapgate("charger", "add", "never-there")
    began = time.monotonic()
    assert "never been on this broker" in refusal(site, "stop", "never-there")
    assert time.monotonic() - began < 5
