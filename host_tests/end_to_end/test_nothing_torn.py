"""The supply cut in the middle of updates of list and settings: the true firmware on a littlefs.

Which block write is hit is counted at the chip. Each takes more than a second: here a few, spread
over an update; with TAPGATE_EVERY_CUT=1 in the environment every one. The files alone are cut at
every write by allowlist/test_list_on_littlefs.py.
"""

import json
import os
import time
from collections.abc import Iterator

import pytest

from host_tests.end_to_end.conftest import ANNA, STRANGER, Site, wait
from host_tests.end_to_end.listing import Lists, built, strangers
from host_tests.end_to_end.seeing import coil, light, plug_in, tap, unplug
from host_tests.end_to_end.wire import Wire
from tools.virtual.client import VirtualCharger

CARDS = 600
PARTS = (0, 0.5, 1)  # of the write that is hit, how much still happens
WRITES = 36  # that an update takes at least
EVERY = 1 if os.environ.get("TAPGATE_EVERY_CUT") == "1" else 5


class Torn:
    """A charger whose list and settings change together, back and forth between two of each."""

    def __init__(self, site: Site, name: str, charger: VirtualCharger, wire: Wire):
        self.charger = charger
        self.wire = wire
        self.lists = Lists(site.broker, wire, site.home / f"{name}.json")
        anna = {self.lists.token(ANNA)}
        self.both = built(strangers(CARDS) | anna, 1), built(strangers(CARDS, "other") | anna, 2)
        self._turn = 0
        self._settings = int(time.time())
        self.now = (self.lists.in_force(), "", "restricted")

    def change(self) -> tuple[int, str, str]:
        """Publish the other list and the other settings: version, digest and access to be."""
        self._turn ^= 1
        self._settings += 1
        access, other = ("restricted", "open")[self._turn], self.both[self._turn]
        self.wire.put("settings", self.wire.signed("settings", v=self._settings, access=access))
        return self.lists.publish(other), other.digest, access

    def states(self) -> list[tuple[int, str, str]]:
        """What the charger has said so far: version and digest in force, and access."""
        said = [json.loads(each) for each in self.wire.said[self.wire.base + "state"]]
        return [
            (each["allowlist"]["version"], each["allowlist"]["digest"], each["access"])
            for each in said
            if each["online"]
        ]

    def wait_for(self, wanted: tuple[int, str, str]) -> None:
        wait(lambda: self.states()[-1] == wanted, 40, f"{wanted} in force")
        self.now = wanted


@pytest.fixture
def torn(site: Site, name: str) -> Iterator[Torn]:
    site.add(name)
    config = site.config(name)
    wire = Wire(site.broker, name, bytes.fromhex(json.loads(config.read_text())["charger_key"]))
    with VirtualCharger.start(config, site.home / f"{name}.img") as charger:
        site.wait_in_step(name)
        made = Torn(site, name, charger, wire)
        yield made
        made.lists.close()
    wire.close()


def test_after_a_cut_at_a_block_write_all_is_old_or_new_and_the_update_is_finished(torn: Torn):
    charger = torn.charger
    torn.wait_for(torn.change())
    torn.wait_for(torn.change())
    for number, write in enumerate(range(1, WRITES + 1, EVERY)):
        old, known, since = torn.now, len(torn.states()), charger.mark()
        part = PARTS[number % len(PARTS)]
        charger.do("power", at_block_write=write, part=part, off_ms=0)
        new = torn.change()
        charger.wait_for(lambda push: push.get("reset") == "power", 20, since)
        torn.wait_for(new)
        for version, digest, access in torn.states()[known:]:
            assert (version, digest) in (old[:2], new[:2]), f"write {write}"
            assert access in (old[2], new[2]), f"write {write}"
    if torn.now[2] == "open":
        torn.wait_for(torn.change())
    by_number = {}
    for event in torn.wire.events:
        assert by_number.setdefault(event["n"], event) == event, "a number was given twice"
        assert not event.get("fault", "").endswith("_damaged"), event
    plug_in(charger, "yellow")
    since = tap(charger, STRANGER)
    charger.wait_for(light("red"), 5, since)
    charger.wait_for(light("yellow"), 4, since)
    charger.wait_for(coil(True), 2, tap(charger, ANNA))
    unplug(charger)
