"""Reader, contactor and pilot fail while a vehicle charges by its pilot: the whole firmware, from
the pins to the events, and what comes after the fault. One charger for all of them.
"""

import time
from collections.abc import Iterator

import pytest

from host_tests.end_to_end.conftest import ANNA, Site, wait
from host_tests.end_to_end.seeing import coil, light, plug_in, rests, tap
from host_tests.faults.conftest import Watched, powered, prepared

FOUND_S = 1.0  # from a fault at contactor or pilot to the coil
SEEN_S = 3.0  # to the light, which may still be answering a card
OVER_S = 6.0  # good for a second, and two more in case it flickers
REPLUGGED_S = 20.0  # a reader that is gone is asked after 1, 2, 4 s and so on


@pytest.fixture(scope="module")
def piloted(site: Site) -> Iterator[Watched]:
    path = prepared(site, "piloted", vehicle={"kind": "pilot"})
    with powered(site, "piloted", path, site.home / "piloted-flash") as made:
        yield made


@pytest.fixture
def charging(piloted: Watched) -> Iterator[Watched]:
    """Anna's vehicle draws; afterwards everything is well, and it leaves."""
    piloted.charging_ms()
    time.sleep(0.3)  # the contacts have followed
    yield piloted
    charger = piloted.charger
    for what in ("contactor", "pilot", "reader"):
        charger.do(what, fault="none")
    charger.do("unplug")
    wait(lambda: not piloted.wire.state["faults"], OVER_S + 2, "well again")
    piloted.wait_for_state(state="available")
    time.sleep(1.2)  # since Anna's card, no more than the wait that an approved tap has


def fails(charging: Watched, what: str, fault: str, name: str) -> int:
    """The fault comes: the coil goes first, then light and report. Where in the events that was."""
    charger = charging.charger
    since, heard = charger.mark(), len(charging.wire.events)
    charger.do(what, fault=fault)
    opened = charger.wait_for(coil(False), FOUND_S, since)
    red = charger.wait_for(light("red"), SEEN_S, since)
    assert opened["t_ms"] <= red["t_ms"]
    charging.reported("fault", heard, lambda found: found["fault"] == name)
    state = charging.wait_for_state(state="faulted", contactor=False)
    assert state["faults"] == [name]
    assert state["session"] is not None
    return heard


def test_a_reader_stuck_in_crypto_is_freed_before_the_next_card_comes(charging: Watched):
    charger = charging.charger
    since = charger.mark()
    charger.do("reader", fault="stuck")  # nobody frees it but the firmware
    time.sleep(1.7)  # which looks each second
    charger.wait_for(coil(False), 2, tap(charger, ANNA))  # her second tap ends her session
    rests(charger, lambda push: "reset" in push, 0, since)


def test_a_pilot_at_earth_stops_the_current_and_the_session_goes_on_after_it(charging: Watched):
    charger = charging.charger
    heard = fails(charging, "pilot", "short", "pilot_short")
    since = charger.mark()
    charger.do("pilot", fault="none")
    charger.wait_for(coil(True), OVER_S, since)
    charger.wait_for(light("blue"), 2, since)
    charging.reported("fault_cleared", heard, lambda found: found["fault"] == "pilot_short")
    assert "session_ended" not in [event["event"] for event in charging.wire.events[heard:]]


def test_a_session_that_waits_behind_the_pilot_after_a_cut_can_be_stopped(charging: Watched):
    charger, wire = charging.charger, charging.wire
    heard = fails(charging, "pilot", "short", "pilot_short")
    since = charger.mark()
    charger.do("power", off_ms=0)
    charger.wait_for(lambda push: "ready" in push, 20, since)
    charging.reported("fault", heard, lambda found: found["fault"] == "pilot_short", 20)
    charging.reported("booted", heard)
    charging.wait_for_state(state="faulted", session=None)
    assert wire.command("stop")["ok"] is True
    assert charging.reported("session_ended", heard)["reason"] == "remote"
    since = charger.mark()
    charger.do("pilot", fault="none")
    charging.wait_for_state(state="awaiting")
    rests(charger, coil(True), 1, since)
    assert "session_resumed" not in [event["event"] for event in wire.events[heard:]]


def test_without_a_diode_nothing_flows_until_the_plug_is_pulled(charging: Watched):
    charger = charging.charger
    heard = fails(charging, "pilot", "diode", "pilot_diode")
    since = charger.mark()
    charger.do("pilot", fault="none")
    rests(charger, coil(True), 3.5, since)  # whatever it is, it was no vehicle
    charger.do("unplug")
    charging.reported("fault_cleared", heard, lambda found: found["fault"] == "pilot_diode")
    assert charging.reported("session_ended", heard)["reason"] == "unplugged"


def test_a_feedback_that_is_lost_looks_like_welded_contacts_and_keeps_the_next_vehicle_out(
    charging: Watched,
):
    charger = charging.charger
    heard, since = len(charging.wire.events), charger.mark()
    charger.do("contactor", fault="feedback_lost")
    rests(charger, coil(False), 0.3, since)  # closed it is, and closed it says
    charger.do("unplug")
    charger.wait_for(coil(False), FOUND_S, since)
    charger.wait_for(light("red"), SEEN_S, since)
    charging.reported("fault", heard, lambda found: found["fault"] == "contactor_welded")
    charging.reported("session_ended", heard)
    opened = charger.mark()
    charger.do("plug")
    charger.wait_for(light("red"), 3, tap(charger, ANNA))
    rests(charger, coil(True), 0.3, opened)
    charger.do("unplug")
    charger.do("contactor", fault="none")
    charging.reported("fault_cleared", heard, lambda found: found["fault"] == "contactor_welded")


def test_a_reader_that_is_unplugged_ends_nothing_and_works_when_it_is_plugged_in_again(
    charging: Watched,
):
    charger, wire = charging.charger, charging.wire
    heard, since = len(wire.events), charger.mark()
    charger.do("reader", fault="unplugged", level=255)
    found = charging.reported("fault", heard)
    assert found["fault"] == "reader"
    assert found["detail"].startswith("VersionReg ff, expected")
    assert charging.wait_for_state(reader="fault")["state"] == "charging"
    rests(charger, coil(False), 0.2, since)
    charger.do("unplug")
    charger.wait_for(coil(False), FOUND_S, since)
    charger.wait_for(light("yellow"), 5, charger.mark())  # red and yellow in turn
    assert wire.command("authorise", token="01" * 7, role="owner", group=0)["ok"] is True
    charger.do("plug")
    charger.wait_for(coil(True), 3, since)
    charger.do("unplug")
    charger.do("reader", fault="none")
    charging.reported("reader_recovered", heard, within_s=REPLUGGED_S)
    plug_in(charger, "yellow")
    charger.wait_for(coil(True), 2, tap(charger, ANNA))
