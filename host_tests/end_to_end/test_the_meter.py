"""Energy from the meter's pulses to the state and the events: the true firmware, a pilot, a meter
whose pulses the chip counts.
"""

import json
import time
from collections.abc import Iterator

import pytest

from host_tests.end_to_end.conftest import ANNA, Site, wait
from host_tests.end_to_end.seeing import coil, light, rests, tap, unplug
from host_tests.end_to_end.wire import Wire
from tools.broker import Broker
from tools.virtual.client import VirtualCharger

STALL_S = 6
PULSES_PER_KWH = 800


class Metered:
    def __init__(self, site: Site, broker: Broker, name: str):
        site.add(name)
        path = site.config(name)
        config = json.loads(path.read_text())
        config["vehicle"] = {"kind": "pilot"}
        config["meter"] = {"kind": "s0", "pulses_per_kwh": PULSES_PER_KWH, "stall_s": STALL_S}
        path.write_text(json.dumps(config))
        self.wire = Wire(broker, name, bytes.fromhex(config["charger_key"]))
        self.charger = VirtualCharger.start(path, site.home / f"{name}-flash")
        site.wait_in_step(name)

    def charging(self) -> None:
        since = self.charger.mark()
        self.charger.do("plug")
        self.charger.wait_for(light("yellow"), 5, since)
        self.charger.wait_for(coil(True), 5, tap(self.charger, ANNA))

    def faults(self) -> list[str]:
        return self.wire.state["faults"]


@pytest.fixture
def metered(site: Site, broker: Broker, name: str) -> Iterator[Metered]:
    made = Metered(site, broker, name)
    try:
        yield made
    finally:
        made.charger.stop()
        made.wire.close()


def test_the_chip_counts_and_the_session_ends_with_its_energy(metered: Metered):
    charger, wire = metered.charger, metered.wire
    charger.do("energy", wh=50)  # of somebody else
    metered.charging()
    charger.do("energy", wh=125)
    unplug(charger)
    ended = wire.wait_for("session_ended")
    assert (ended["wh"], ended["by"], ended["reason"]) == (125, "card", "unplugged")
    assert ended["session"] == wire.wait_for("session_started")["n"]
    assert not any("interrupt" in line for line in charger.output)


def test_energy_shows_in_the_state_while_it_flows(metered: Metered):
    metered.charging()
    metered.charger.do("energy", wh=25)
    wait(lambda: (metered.wire.state["session"] or {}).get("wh") == 25, 60, "told")
    unplug(metered.charger)


def test_a_meter_that_stands_still_while_the_car_draws_is_reported_and_stops_nothing(
    metered: Metered,
):
    charger, wire = metered.charger, metered.wire
    metered.charging()
    since = charger.mark()
    assert wait(lambda: metered.faults(), STALL_S + 10, "a fault") == ["meter"]
    assert wire.wait_for("fault")["fault"] == "meter"
    rests(charger, coil(False), 0.5, since)
    charger.do("energy", wh=2.5)
    wait(lambda: not metered.faults(), 5, "over")
    wire.wait_for("fault_cleared", lambda event: event["fault"] == "meter")
    charger.do("draw", on=False)  # full: then a meter may stand still
    charger.wait_for(coil(False), 5, since)
    time.sleep(STALL_S + 2)
    assert metered.faults() == []
    unplug(charger)


def test_a_session_goes_on_with_the_energy_it_had_when_the_power_went(metered: Metered):
    charger, wire = metered.charger, metered.wire
    metered.charging()
    started = wire.wait_for("session_started")
    charger.do("energy", wh=10)
    time.sleep(1)
    since = charger.mark()
    assert wire.command("restart")["ok"] is True  # stores a reading; else one a minute is stored
    charger.wait_for(coil(False), 7, since)
    charger.wait_for(coil(True), 20, since)
    assert wire.wait_for("session_resumed")["wh"] == 10
    charger.do("energy", wh=5)
    unplug(charger)
    ended = wire.wait_for("session_ended")
    assert (ended["wh"], ended["session"]) == (15, started["n"])
    wait(lambda: wire.state["online"] and wire.state["session"] is None, 15, "told")
