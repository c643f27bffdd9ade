"""A flash that is read-only, has a bad block, or is full, while everything wants to write: taps and
events go on, what cannot be kept does not count and is said, and all is made up for afterwards.
"""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from littlefs import LittleFS

from host_tests.end_to_end.conftest import ANNA, STRANGER, Site, wait
from host_tests.end_to_end.seeing import coil, plug_in, tap
from host_tests.faults.conftest import TAP_LIMIT_MS, Watched, powered, prepared, refused
from tools.virtual.client import VirtualCharger
from tools.virtual.flash import BLOCK_BYTES

NAME = "worn"
NEW, NEWER = "0badcafe", "0badcaff"
AGAIN_S = 12  # the journal tries again after 5 s


@pytest.fixture(scope="module")
def worn(site: Site) -> Iterator[Watched]:
    path = prepared(site, NAME)
    with powered(site, NAME, path, site.home / f"{NAME}.img") as made:
        wait(lambda: made.wire.state["clock"] == "set", 10, "told the time")
        yield made


def journals_block(worn: Watched) -> int:
    """One that the journal writes."""
    image = worn.site.home / f"{NAME}.img"
    before, heard = image.read_bytes(), len(worn.wire.events)
    tap(worn.charger, STRANGER)
    worn.reported("card_refused", heard)
    after = image.read_bytes()
    for at in range(0, len(after), BLOCK_BYTES):
        if before[at : at + BLOCK_BYTES] != after[at : at + BLOCK_BYTES]:
            return at // BLOCK_BYTES
    raise AssertionError("nothing was written")


def resets(worn: Watched) -> list[dict]:
    return [push for push in worn.charger.pushes if "reset" in push]


def test_a_bad_block_is_left_alone_and_nobody_notices(worn: Watched):
    charger, wire = worn.charger, worn.wire
    bad = journals_block(worn)
    heard = len(wire.events)
    charger.do("flash", fault="bad_block", block=bad)
    assert worn.charging_ms() < TAP_LIMIT_MS
    worn.site.change("settings", "--service-may-start", "on")
    worn.reported("settings_applied", heard)
    worn.site.change("card", "add", "o@x.org", "--number", NEW, "--as", "hex")
    worn.reported("list_applied", heard)
    assert wire.command("identify")["ok"] is True
    worn.leave()
    worn.reported("session_ended", heard)
    state = wire.state
    assert (state["faults"], state["journal"]["stored"], state["errors"]) == ([], True, 0)
    charger.do("flash", fault="none")
    assert not resets(worn)


def test_read_only_lets_in_whom_it_knows_and_says_what_it_could_not_keep(worn: Watched):
    charger, wire, site = worn.charger, worn.wire, worn.site
    heard, rejected = len(wire.events), len(wire.causes())
    charger.do("flash", fault="readonly")
    assert worn.charging_ms() < TAP_LIMIT_MS
    assert worn.reported("fault", heard)["detail"] == "flash not written"
    site.change("access", "open", "--charger", NAME)
    site.change("card", "add", "o@x.org", "--number", NEWER, "--as", "hex")
    v, exp = time.time_ns() // 1_000_000, int(time.time()) + 60
    start = {"command": "authorise", "token": "01" * 7, "role": "user"}
    wire.put("command", wire.signed("command", v=v, exp=exp, **start), retain=False)
    causes = [(topic, "flash") for topic in ("allowlist", "command", "settings")]
    wait(lambda: sorted(wire.causes()[rejected:]) == causes, 10, "told")
    state = worn.wait_for_state(faults=["journal"], access="restricted", state="charging")
    assert state["journal"]["stored"] is False
    wait(lambda: wire.state["allowlist"]["problem"] == "flash", 10, "told of the list")

    # What opens the contactor is carried out, and once.
    since = charger.mark()
    stop = wire.signed("command", v=v + 1, exp=exp, command="stop")
    for _ in range(2):
        wire.put("command", stop, retain=False)
    charger.wait_for(coil(False), 5, since)
    assert worn.reported("session_ended", heard)["reason"] == "remote"
    wait(lambda: ("command", "version") in wire.causes()[rejected:], 10, "once")
    assert wire.command("available", on=False)["why"].startswith("OSError")
    worn.wait_for_state(state="unavailable")
    charger.do("unplug")
    assert not resets(worn)

    # It starts like that, too.
    heard, since = len(wire.events), charger.mark()
    charger.do("power", off_ms=0)
    charger.wait_for(lambda push: "ready" in push, 20, since)
    worn.reported("booted", heard)
    plug_in(charger, "yellow")
    refused(charger, STRANGER)
    charger.wait_for(coil(True), 5, tap(charger, ANNA))
    worn.leave()
    worn.reported("session_ended", heard)

    # All is made up for.
    charger.do("flash", fault="none")
    worn.reported("fault_cleared", heard, lambda found: found["fault"] == "journal", AGAIN_S)
    charger.do("link", up=False)
    time.sleep(0.5)
    charger.do("link", up=True)
    worn.wait_for_state(access="open")
    site.wait_in_step(NAME)
    assert len(resets(worn)) == 1
    site.change("access", "restricted", "--charger", NAME)
    worn.wait_for_state(access="restricted")


def test_without_a_free_block_what_is_small_still_finds_room(site: Site, worn: Watched):
    worn.charger.stop()
    image = site.home / f"{NAME}.img"
    fill(image)
    heard, wire = len(worn.wire.events), worn.wire
    with VirtualCharger.start(flash=image) as charger:
        full = Watched(site, NAME, charger, wire)
        full.reported("booted", heard)
        assert full.charging_ms() < TAP_LIMIT_MS
        site.change("settings", "--service-may-start", "off")
        full.reported("settings_applied", heard)
        full.leave()
        full.reported("session_ended", heard)
        site.change("card", "block", ANNA)
        site.wait_in_step(NAME)
        plug_in(charger, "yellow")
        refused(charger, ANNA)
        state = wire.state
        assert (state["faults"], state["events_lost"], state["errors"]) == ([], 0, 0)
        assert not resets(full)


def fill(image: Path) -> None:
    """With something else, to the last block."""
    blocks = image.stat().st_size // BLOCK_BYTES
    files = LittleFS(block_size=BLOCK_BYTES, block_count=blocks, mount=False)
    files.context.buffer[:] = image.read_bytes()
    files.mount()
    with files.open("else", "wb") as file:
        file.write(bytes(BLOCK_BYTES * (blocks - files.used_block_count - 1)))
    assert files.used_block_count == blocks
    files.unmount()
    image.write_bytes(files.context.buffer)
