"""What a charger makes of the time that it is told, and of none."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest

from host_tests.end_to_end.conftest import ANNA, Site, wait
from host_tests.end_to_end.seeing import coil, plug_in, start_charging, tap, unplug
from host_tests.end_to_end.wire import Wire
from tools.virtual.client import VirtualCharger

DAY_S = 86_400
SOON, ENDING = "50010001", "e0d10001"  # cards valid from tomorrow on, and until tomorrow
ASKED_AGAIN_S = 2.5  # the first wait after a failure is over by then
TASK_LATE_S = 7  # a task that gives no sign for so long is late


@pytest.fixture(scope="module")
def timed(site: Site) -> Site:
    """The site with two people whose permissions begin and end tomorrow."""
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    for name, number, bound in (("soon", SOON, "--from"), ("ending", ENDING, "--until")):
        site.tapgate("person", "add", f"{name}@x.org")
        site.tapgate("grant", f"{name}@x.org", "--role", "user", bound, tomorrow)
        site.tapgate("card", "add", f"{name}@x.org", "--number", number, "--as", "hex")
    return site


@contextmanager
def powered(site: Site, name: str, **ntp) -> Iterator[tuple[VirtualCharger, Wire]]:
    """A charger, and the wire it hangs on. `ntp`: its own section in config.json."""
    site.add(name)
    path = site.config(name)
    config = json.loads(path.read_text())
    config["ntp"].update(ntp)
    path.write_text(json.dumps(config))
    wire = Wire(site.broker, name, bytes.fromhex(config["charger_key"]))
    try:
        with VirtualCharger.start(path, site.home / f"{name}-flash") as charger:
            site.wait_in_step(name)
            yield charger, wire
    finally:
        wire.close()


def starts_again(charger: VirtualCharger, wire: Wire) -> None:
    """The supply goes, and with it what the real-time clock knew; until it is online again."""
    boots = starts(wire)
    charger.do("power", off_ms=200)
    wait(lambda: starts(wire) > boots, 20, "started again")


def starts(wire: Wire) -> int:
    """How often it has started, as far as it has told; it tells its state before."""
    return len([event for event in wire.events if event["event"] == "booted"])


def clock_is(wire: Wire, word: str) -> None:
    wait(lambda: wire.state.get("clock") == word, 20, f"clock {word}")


def refusal(charger: VirtualCharger, wire: Wire, number: str, ahead_s: int = 0) -> str:
    """Plug in, tap, unplug: the verdict that is reported, with the right time or with none."""
    before = len(wire.events)
    plug_in(charger, "yellow")
    tap(charger, number)
    found = wait(
        lambda: [e for e in wire.events[before:] if e["event"] == "card_refused"], 5, "refused"
    )
    unplug(charger)
    if wire.state["clock"] == "set":
        assert found[0]["t"] - time.time() == pytest.approx(ahead_s, abs=5)
    else:
        assert found[0]["t"] is None
    return found[0]["verdict"]


def test_a_charger_asks_for_the_time_and_knows_it(timed: Site, name: str):
    with powered(timed, name) as (charger, wire):
        clock_is(wire, "set")
        assert refusal(charger, wire, SOON) == "NotAtThisTime"
        start_charging(charger, ENDING)


def test_a_permission_begins_and_ends_by_the_time_servers_clock(timed: Site, name: str):
    with powered(timed, name) as (charger, wire):
        clock_is(wire, "set")
        charger.do("time", offset_s=2 * DAY_S)
        starts_again(charger, wire)
        clock_is(wire, "set")
        start_charging(charger, SOON)
        unplug(charger)
        assert refusal(charger, wire, ENDING, 2 * DAY_S) == "Expired"


def test_without_an_answer_the_clock_is_a_lower_bound_until_there_is_one(timed: Site, name: str):
    with powered(timed, name) as (charger, wire):
        clock_is(wire, "set")
        charger.do("ntp", up=False)
        starts_again(charger, wire)
        clock_is(wire, "lower bound")
        assert refusal(charger, wire, SOON) == "ClockUnknown"
        start_charging(charger, ANNA)  # nothing in her permission asks for a clock
        unplug(charger)
        charger.do("ntp", up=True)
        clock_is(wire, "set")
        assert refusal(charger, wire, SOON) == "NotAtThisTime"


def test_a_clock_that_was_set_stays_set_over_a_restart(timed: Site, name: str):
    with powered(timed, name) as (charger, wire):
        clock_is(wire, "set")
        charger.do("ntp", up=False)
        boots = starts(wire)
        assert wire.command("restart")["ok"] is True
        wait(lambda: starts(wire) > boots, 20, "started again")
        clock_is(wire, "set")
        assert refusal(charger, wire, SOON) == "NotAtThisTime"


def test_a_server_that_turns_the_clock_back_is_refused_and_reported_once(timed: Site, name: str):
    with powered(timed, name) as (charger, wire):
        clock_is(wire, "set")
        charger.do("time", offset_s=2 * DAY_S)
        starts_again(charger, wire)
        clock_is(wire, "set")
        charger.do("time", offset_s=0)
        starts_again(charger, wire)
        fault = wire.wait_for("fault", lambda event: event["fault"] == "clock")
        assert "pool.ntp.org says" in fault["detail"]
        assert refusal(charger, wire, ENDING) == "Expired"  # by what it was told before
        time.sleep(ASKED_AGAIN_S)
        charger.do("time", offset_s=2 * DAY_S)
        wire.wait_for("fault_cleared", lambda event: event["fault"] == "clock")
        clock_is(wire, "set")
        faults = [e for e in wire.events if e["event"] == "fault" and e["fault"] == "clock"]
        assert len(faults) == 1


def test_a_charger_without_a_time_server_goes_on_with_a_lower_bound(timed: Site, name: str):
    with powered(timed, name, host="") as (charger, wire):
        began = time.monotonic()
        clock_is(wire, "lower bound")
        assert refusal(charger, wire, SOON) == "ClockUnknown"
        start_charging(charger, ANNA)
        time.sleep(max(0, TASK_LATE_S - (time.monotonic() - began)))
        assert not [line for line in charger.output if "late" in line]
        assert not [push for push in charger.pushes if "reset" in push or coil(False)(push)]
