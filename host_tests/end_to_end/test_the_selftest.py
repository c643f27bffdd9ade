"""The self-test at a charger with the real firmware: over its cable, by card and from afar."""

import json
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from host_tests.end_to_end.conftest import ANNA, OWNER, Site, wait
from host_tests.end_to_end.seeing import coil, light, plug_in, rests, shines, tap, unplug
from host_tests.end_to_end.wire import Wire
from tools.demo import hue_of, tapgate
from tools.installer import selftest
from tools.installer.remedies import RIGHT
from tools.virtual.client import VirtualCharger

TECHNICIAN = "5e4c1ce0"
SETTLED_S = 1.6
GIVEN_BACK = 1_000  # bytes that may stay after a self-test: names, which MicroPython never forgets
LOOKS = 8


@pytest.fixture(scope="module")
def config(site: Site) -> Path:
    site.tapgate("person", "add", "tech@x.org")
    site.tapgate("grant", "tech@x.org", "--role", "service")
    site.tapgate("card", "add", "tech@x.org", "--number", TECHNICIAN, "--as", "hex")
    site.add("tested")
    path = site.home / "tested.json"
    site.tapgate("charger", "config", "tested", "--meter", "s0", "--out", str(path))
    return path


@pytest.fixture(scope="module")
def wire(site: Site, config: Path) -> Iterator[Wire]:
    key = bytes.fromhex(json.loads(config.read_text())["charger_key"])
    with closing(Wire(site.broker, "tested", key)) as wire:
        yield wire


@pytest.fixture(scope="module")
def powered(site: Site, config: Path, wire: Wire) -> Iterator[VirtualCharger]:
    """On a cable, with a meter, its list in step."""
    with VirtualCharger.start(config, site.home / "tested.img", serial=True) as running:
        site.wait_in_step("tested")
        wait(lambda: wire.state["clock"] == "set", 20, "told the time")
        yield running


@pytest.fixture
def charger(powered: VirtualCharger) -> Iterator[VirtualCharger]:
    """At rest, nothing broken, and no card that was here a moment ago."""
    yield powered
    powered.do("reader", fault="none")
    powered.do("contactor", fault="none")
    powered.do("flash", fault="none")
    powered.do("link", up=True)
    unplug(powered)
    shines(powered, "green", 15, 0)
    time.sleep(SETTLED_S)


def over_its_cable(charger: VirtualCharger) -> dict[str, dict]:
    """What each part has come to; a card lies there, so that nobody waits for one."""
    charger.do("place", uid=ANNA)
    try:
        return {row["part"]: row for row in selftest.run(charger.serial)}
    finally:
        charger.do("remove", uid=ANNA)


def refusal(site: Site, *arguments: str) -> str:
    status, out, error = tapgate(["--home", str(site.home), *arguments])
    assert status == 1, f"{out}{error}"
    return error.splitlines()[-1]


def heap_used(charger: VirtualCharger) -> int:
    return min(charger.status()["heap_used"] for _ in range(LOOKS))


def told(wire: Wire) -> list[dict]:
    """The events about self-tests."""
    return [event for event in wire.events if event["event"] == "selftest_done"]


def test_each_part_of_a_good_charger_passes_and_its_memory_comes_back(
    wire: Wire, charger: VirtualCharger
):
    before, resets = heap_used(charger), charger.status()["resets"]
    since = charger.mark()
    rows = over_its_cable(charger)
    assert list(rows) == list(RIGHT)
    assert [part for part, row in rows.items() if row["ok"] is False] == []
    assert [part for part, row in rows.items() if row["ok"] is None] == ["meter"]
    assert "version 2.0 (92), its self-test is right" in rows["reader"]["found"]
    assert rows["card"]["found"].startswith("ends in b2c3, read ")
    on, off = (push for push in charger.pushes[since:] if push.get("pin") == "contactor")
    assert on["on"] and not off["on"]
    assert 950 <= off["t_ms"] - on["t_ms"] <= 2_500
    hues = [hue_of(push["light"]) for push in charger.pushes[since:] if "light" in push]
    for hue in ("red", "green", "blue", "yellow", "white", "magenta"):
        assert hue in hues
    shines(charger, "green", 5, since)
    wait(lambda: heap_used(charger) - before < GIVEN_BACK, 10, "given back")
    assert charger.status()["resets"] == resets
    (event,) = wait(lambda: told(wire), 5, "told")
    assert (event["passed"], event["failed"]) == (True, [])
    assert event["parts"]["reader"] == 0x92 and "b2c3" not in json.dumps(event)


def test_each_fault_of_the_bench_is_the_line_that_says_so(charger: VirtualCharger):
    charger.do("reader", fault="dead")
    charger.do("contactor", fault="open_coil")
    charger.do("flash", fault="readonly")
    charger.do("link", up=False)
    time.sleep(1)
    rows = over_its_cable(charger)
    failed = {part: row for part, row in rows.items() if row["ok"] is False}
    assert {"reader", "contactor", "flash", "wifi"} <= set(failed) <= {
        "reader", "contactor", "flash", "wifi", "broker"
    }  # fmt: skip
    assert "no chip" in failed["reader"]["found"]
    assert "feedback still says open" in failed["contactor"]["found"]
    assert "no file can be written" in failed["flash"]["found"]
    assert failed["wifi"]["found"].startswith("not joined")
    assert all(row["advice"] for row in failed.values())
    assert rows["card"]["ok"] is None and "the reader does not work" in rows["card"]["found"]


def test_a_contactor_that_has_welded_is_not_closed_and_noise_is_seen_at_the_card(
    charger: VirtualCharger,
):
    since = charger.mark()
    charger.do("contactor", fault="welded")
    shines(charger, "red", 5, since)
    charger.do("reader", fault="noise")
    rows = over_its_cable(charger)
    assert rows["card"]["ok"] is False
    assert rows["contactor"]["ok"] is False and "not tried" in rows["contactor"]["found"]
    assert not [push for push in charger.pushes[since:] if coil(True)(push)]


def test_a_deaf_reader_is_an_empty_field_and_the_table_says_so(charger: VirtualCharger):
    charger.do("reader", fault="deaf")

    def stop_after_the_card(line: str) -> None:
        if "light" in line:
            with open(charger.serial, "wb", buffering=0) as console:
                console.write(b"stop\r\n")

    charger.do("place", uid=ANNA)
    try:
        with pytest.raises(selftest.EndedEarly) as early:
            selftest.run(charger.serial, stop_after_the_card)
    finally:
        charger.do("remove", uid=ANNA)
    reader, card = early.value.rows[:2]
    assert "its self-test is right" in reader["found"]
    assert (card["ok"], card["found"]) == (None, "no card within 10 s")
    assert "the reader is deaf" in card["advice"]


@pytest.mark.parametrize("fault", ["stuck", "brownout"])
def test_a_reader_that_has_just_been_mended_fails(charger: VirtualCharger, fault: str):
    charger.do("reader", fault=fault)
    time.sleep(0.5)

    def stop(line: str) -> None:
        """Another line for the console, once the reader is through."""
        with open(charger.serial, "wb", buffering=0) as console:
            console.write(b"stop\r\n")

    with pytest.raises(selftest.EndedEarly, match="it was ended") as early:
        selftest.run(charger.serial, stop)
    (row,) = early.value.rows
    assert row["ok"] is False and "it has just failed" in row["found"]


def test_a_service_card_begins_it_and_a_vehicle_ends_it_with_the_contactor_open(
    wire: Wire, charger: VirtualCharger
):
    before = len(told(wire))
    since = tap(charger, TECHNICIAN)
    charger.wait_for(light("magenta"), 5, since)
    charger.wait_for(coil(True), 20, since)
    begun = charger.mark()
    plugged_ms = charger.do("plug")["t_ms"]
    off = charger.wait_for(coil(False), 2, begun)
    assert off["t_ms"] - plugged_ms < 300
    shines(charger, "yellow", 2, begun)
    rests(charger, coil(True), 1, begun)
    event = wait(lambda: told(wire)[before:], 5, "told")[0]
    assert (event["passed"], event["why"]) == (False, "a vehicle was plugged in")


def test_an_owner_holds_the_card_there(charger: VirtualCharger):
    since = charger.mark()
    charger.do("place", uid=OWNER)
    try:
        charger.wait_for(light("magenta"), 12, since)
    finally:
        charger.do("remove", uid=OWNER)
    time.sleep(0.5)
    shines(charger, "green", 5, tap(charger, OWNER))
    rests(charger, coil(True), 0.5, since)


def test_with_a_vehicle_connected_it_is_declined(site: Site, charger: VirtualCharger):
    plug_in(charger, "yellow")
    since = charger.mark()
    with pytest.raises(selftest.Declined, match="a vehicle is connected; unplug it first"):
        selftest.run(charger.serial)
    assert "unplug it first" in refusal(site, "selftest", "tested")
    rests(charger, coil(True), 0.5, since)


def test_from_afar_it_tells_its_result(site: Site, charger: VirtualCharger):
    charger.do("place", uid=ANNA)
    charger.do("contactor", fault="open_coil")
    status, out, error = tapgate(["--home", str(site.home), "selftest", "tested", "--json"])
    charger.do("remove", uid=ANNA)
    assert status == 1
    assert "failed: contactor" in error
    found = json.loads(out)
    rows = {row["part"]: row for row in found["parts"]}
    assert found["passed"] is False
    assert [part for part, row in rows.items() if row["ok"] is False] == ["contactor"]
    assert rows["wifi"]["found"] == "-58 dBm"
