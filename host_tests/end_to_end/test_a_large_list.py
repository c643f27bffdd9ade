"""50,000 cards on a flash of 2 MB: fetched over a bad link, looked up, changed; and too many."""

import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from littlefs import LittleFS

from host_tests.end_to_end.conftest import STRANGER, Site, wait
from host_tests.end_to_end.listing import BLOCKED, USER, Lists, built, strangers
from host_tests.end_to_end.seeing import coil, light, ms_from_card_to, plug_in, tap, unplug
from host_tests.end_to_end.wire import Wire
from tools.fault_proxy import FaultProxy
from tools.portal import allowlist
from tools.portal.allowlist import AllowList
from tools.virtual.client import VirtualCharger
from tools.virtual.flash import BLOCK_BYTES

CARDS = 50_000
LISTED = [f"{0x10000000 + 7919 * number:08x}" for number in range(20)]
IN_FLIGHT = 4  # objects asked for at a time
TOGETHER = 4  # objects that reach the flash together
FETCH_S = 60  # takes about 6 s on a computer that has nothing else to do
TAP_LIMIT_MS = 200  # as in test_when_the_link_is_bad.py

_OBJECT = re.compile(rb"tapgate/home/object/([0-9a-f]{32})")


class Station:
    """A charger with a littlefs of 2 MB, all of whose messages pass through `proxy`."""

    def __init__(self, site: Site, name: str, proxy: FaultProxy):
        site.add(name)
        self.config = site.config(name, port=proxy.port)
        self.image = self.config.with_name(f"{name}.img")
        key = bytes.fromhex(json.loads(self.config.read_text())["charger_key"])
        self.wire = Wire(site.broker, name, key)
        self.lists = Lists(site.broker, self.wire, self.config)
        self.received = bytearray()  # all that the broker has sent to it
        self._proxy = proxy
        self.heal()

    def close(self) -> None:
        self.lists.close()
        self.wire.close()

    def heal(self) -> None:
        self._proxy.heal()
        self._proxy.rewrite = self._note

    def _note(self, data: bytes) -> bytes:
        self.received += data
        return data

    def arrived(self) -> list[str]:
        """The names of the objects that were sent to it, in order."""
        return [name.decode() for name in _OBJECT.findall(self.received)]

    @contextmanager
    def powered(self) -> Iterator[VirtualCharger]:
        with VirtualCharger.start(self.config, self.image) as charger:
            yield charger

    def blocks(self) -> list[bytes]:
        content = self.image.read_bytes()
        return [content[at : at + BLOCK_BYTES] for at in range(0, len(content), BLOCK_BYTES)]

    def leave_free(self, blocks: int) -> None:
        """While it has no power, fill its flash with something else but for so many blocks."""
        with self._mounted() as files:
            size = BLOCK_BYTES * (len(self.blocks()) - files.used_block_count - blocks)
            with files.open("else", "wb") as file:
                file.write(bytes(size))

    def clear(self) -> None:
        """Take away what `leave_free` has put there."""
        with self._mounted() as files:
            files.remove("else")

    @contextmanager
    def _mounted(self) -> Iterator[LittleFS]:
        files = LittleFS(block_size=BLOCK_BYTES, block_count=len(self.blocks()), mount=False)
        files.context.buffer[:] = self.image.read_bytes()
        files.mount()
        yield files
        files.unmount()
        self.image.write_bytes(files.context.buffer)


class Fetched:
    """What came of a first fetch whose link was lost after a third, and its supply after two."""

    def __init__(self, place: Station, charger: VirtualCharger, proxy: FaultProxy):
        self.place = place
        self.charger = charger
        self.tokens = strangers(CARDS - len(LISTED)) | {place.lists.token(uid) for uid in LISTED}
        self.list = built(self.tokens)
        place.received.clear()
        whole = sum(map(len, self.list.objects.values()))
        version = place.lists.publish(self.list)
        wait(lambda: len(place.received) > whole // 3, FETCH_S, "a third")
        proxy.mute = True
        proxy.drop()
        time.sleep(0.5)
        self.at_link_lost = len(place.arrived())
        place.heal()
        proxy.drop()
        wait(lambda: len(place.received) > 2 * whole // 3, FETCH_S, "two thirds")
        charger.do("power", off_ms=0)
        self.at_power_cut = len(place.arrived())
        self.state = place.lists.wait_in_force(version, FETCH_S)


@pytest.fixture(scope="module")
def fetched(site: Site) -> Iterator[Fetched]:
    with FaultProxy(site.broker.port) as proxy:
        place = Station(site, "large", proxy)
        with place.powered() as charger:
            site.wait_in_step("large")
            yield Fetched(place, charger, proxy)
        place.close()


@pytest.fixture
def station(site: Site, name: str) -> Iterator[Station]:
    """One of the test's own, without power."""
    with FaultProxy(site.broker.port) as proxy:
        place = Station(site, name, proxy)
        yield place
        place.close()


def test_50_000_cards_are_fetched_although_link_and_supply_fail(fetched: Fetched):
    assert fetched.state["cards"] == CARDS
    assert fetched.state["digest"] == fetched.list.digest
    assert fetched.state["problem"] is None
    assert fetched.place.wire.causes() == []


def test_only_what_was_missing_is_asked_for_again(fetched: Fetched):
    arrived = fetched.place.arrived()
    assert 0 < fetched.at_link_lost < fetched.at_power_cut < len(arrived)
    assert set(arrived) == set(fetched.list.objects)
    # What was on its way when the link, and then the supply, went; and what that took with it.
    assert len(arrived) <= len(fetched.list.objects) + 2 * IN_FLIGHT + TOGETHER


def test_a_card_among_50_000_is_found_as_soon_as_ever(fetched: Fetched):
    charger = fetched.charger
    plug_in(charger, "yellow")
    since = tap(charger, STRANGER)
    charger.wait_for(light("red"), 5, since)
    charger.wait_for(light("yellow"), 4, since)
    assert ms_from_card_to(charger, coil(True), tap(charger, LISTED[0])) < TAP_LIMIT_MS
    unplug(charger)


def test_one_card_changed_among_50_000_costs_9_kb_and_6_blocks(fetched: Fetched):
    place = fetched.place
    one = place.lists.token(LISTED[0])
    entries = [content for content in _entries(fetched.list) if content[:7] != one]
    changed = allowlist.encode([*entries, one + bytes(8) + bytes([USER | BLOCKED])])
    time.sleep(1)  # for what the last update has left to be swept
    before, place.received[:] = place.blocks(), b""
    place.lists.wait_in_force(place.lists.publish(changed), FETCH_S)
    after = place.blocks()
    assert len(place.arrived()) == 2
    assert len(place.received) <= 9 * 1024
    assert sum(old != new for old, new in zip(before, after, strict=True)) <= 6


def test_a_card_key_that_crowds_256_cards_into_a_shard_is_no_hindrance(station: Station):
    crowd = {bytes([7]) + token[1:] for token in strangers(256)}
    unlucky = built(crowd | {station.lists.token(LISTED[0])})
    assert len(unlucky.objects[unlucky.digest]) == allowlist.OBJECT_LIMIT_BYTES
    with station.powered() as charger:
        station.lists.wait_in_force(station.lists.publish(unlucky), 20)
        plug_in(charger, "yellow")
        charger.wait_for(coil(True), 2, tap(charger, LISTED[0]))
    assert station.wire.causes() == []


def test_a_full_flash_keeps_the_old_list_and_says_so(station: Station):
    old = built(strangers(5_000) | {station.lists.token(LISTED[0])})
    new = built(strangers(5_000, "others") | {station.lists.token(LISTED[1])})
    with station.powered():
        kept = station.lists.publish(old)
        station.lists.wait_in_force(kept, FETCH_S)
    station.leave_free(30)  # the other list would take 20 and leave 16
    with station.powered() as charger:
        wait(lambda: station.lists.in_force() == kept, 20, "back")
        wanted = station.lists.publish(new)
        wait(lambda: station.wire.state["allowlist"]["problem"] == "flash_full", 20, "told")
        assert ("allowlist", "flash_full") in station.wire.causes()
        assert station.lists.in_force() == kept
        plug_in(charger, "yellow")
        since = tap(charger, LISTED[1])
        charger.wait_for(light("red"), 5, since)
        charger.wait_for(light("yellow"), 4, since)
        charger.wait_for(coil(True), 2, tap(charger, LISTED[0]))
    station.clear()
    with station.powered():
        assert station.lists.wait_in_force(wanted, FETCH_S)["problem"] is None


def _entries(what: AllowList) -> list[bytes]:
    shards = (content for content in what.objects.values() if content[:4] == b"TGS1")
    return [each[at : at + 16] for each in shards for at in range(8, len(each), 16)]
