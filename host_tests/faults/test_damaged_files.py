"""Every file that a charger keeps is damaged in every way while it has no power: it starts, keeps
the contactor open, lets nobody in, says so, and is as before once the portal has been heard again.

config.json says that access is open, the portal that it is restricted: what is lost must not open.
"""

import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from host_tests.end_to_end.conftest import ANNA, STRANGER, Site, wait
from host_tests.end_to_end.seeing import coil, light, plug_in, rests, tap
from host_tests.faults.conftest import Watched, powered, prepared, refused
from tools.virtual.client import VirtualCharger

NAME = "marred"
KEPT = ("state", "allowlist", "journal")
HUGE_BYTES = 300_000  # more than fits into the board's memory


def _zeroed(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def _truncated(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def _flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[30] ^= 1
    path.write_bytes(content)


def _garbage(path: Path) -> None:
    path.write_bytes(os.urandom(max(64, path.stat().st_size)))


def _huge(path: Path) -> None:
    path.write_bytes(b"9" * HUGE_BYTES)


def _directory(path: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "something").write_bytes(b"in it")


DAMAGES = {
    "zeroed": _zeroed,
    "truncated": _truncated,
    "garbage": _garbage,
    "huge": _huge,
    "a directory": _directory,
}
damages = pytest.mark.parametrize("damage", DAMAGES.values(), ids=list(DAMAGES))


@pytest.fixture(scope="module")
def config(site: Site) -> Path:
    return prepared(site, NAME, access="open")


@pytest.fixture(scope="module")
def good(site: Site, config: Path) -> Path:
    """A flash with what a charger keeps; segments of the journal: pure/test_journal_damage.py."""
    flash = site.home / "good-flash"
    with powered(site, NAME, config, flash) as made:
        wire = made.wire
        wait(lambda: wire.state["clock"] == "set", 10, "told the time")
        for on in (False, True):
            assert wire.command("available", on=on)["ok"] is True
        made.charger.do("link", up=False)
        made.charging_ms()
        made.charger.do("unplug")
        time.sleep(1)  # for what is recorded of it
    names = {path.name for folder in KEPT for path in (flash / folder).iterdir()}
    assert {"settings", "versions", "clock", "available", "ref", "a", "b"} <= names
    return flash


@pytest.fixture
def flash(good: Path, tmp_path: Path) -> Iterator[Path]:
    yield Path(shutil.copytree(good, tmp_path / "flash"))


def lets_nobody_in(made: Watched) -> None:
    charger, since = made.charger, made.charger.mark()
    plug_in(charger, "yellow")
    time.sleep(0.2)  # the reader comes up
    for uid in (STRANGER, ANNA):
        refused(charger, uid)
    rests(charger, coil(True), 0, since)
    charger.do("unplug")


def is_as_before(made: Watched) -> None:
    made.site.tapgate("publish", "--all")
    made.site.wait_in_step(NAME)
    made.wait_for_state(access="restricted")
    plug_in(made.charger, "yellow")
    refused(made.charger, STRANGER)
    made.charger.wait_for(coil(True), 2, tap(made.charger, ANNA))


@pytest.mark.parametrize("damage", [_flipped, _truncated, _directory, Path.unlink])
def test_a_session_whose_end_was_in_a_damaged_head_does_not_go_on(
    site: Site, config: Path, flash: Path, damage: Callable[[Path], None]
):
    heads = {path.read_bytes()[6:10]: path for path in (flash / "journal").glob("[ab]")}
    damage(heads[max(heads)])
    with powered(site, NAME, config, flash, first=[{"do": "plug"}]) as made:
        made.wire.wait_for("fault", lambda event: event["fault"] == "journal_damaged")
        ended = made.wire.wait_for("session_ended", lambda each: each["reason"] == "power_loss")
        assert ended["wh"] == 0
        wait(lambda: made.wire.state["state"] == "awaiting", 10, "a card is needed")
        rests(made.charger, coil(True), 1, 0)


@damages
def test_all_that_a_charger_keeps(
    site: Site, config: Path, flash: Path, damage: Callable[[Path], None]
):
    for folder in KEPT:
        for path in list((flash / folder).iterdir()):
            if path.name != "available":
                damage(path)
    down = {"do": "link", "up": False}
    with powered(site, NAME, config, flash, in_step=False, first=[down]) as made:
        lets_nobody_in(made)
        made.charger.do("link", up=True)
        faults = ["settings_damaged", "allowlist_damaged", "versions_damaged"]
        for fault in faults:
            made.reported("fault", 0, lambda found, fault=fault: found["fault"] == fault)
        is_as_before(made)
        assert not [push for push in made.charger.pushes if "reset" in push]


@pytest.mark.parametrize("damage", [_truncated, Path.unlink])
def test_a_pack_of_cards_is_told_once_and_fetched_again(
    site: Site, config: Path, flash: Path, damage: Callable[[Path], None]
):
    for path in (flash / "allowlist").glob("?[01]"):
        if path.name[0] != "i":
            damage(path)
    down = {"do": "link", "up": False}
    with powered(site, NAME, config, flash, in_step=False, first=[down]) as made:
        plug_in(made.charger, "yellow")
        time.sleep(0.2)  # the reader comes up
        for _ in range(2):
            refused(made.charger, ANNA)
        heard = len(made.wire.events)
        made.charger.do("link", up=True)
        made.reported("fault", heard, lambda found: found["fault"] == "allowlist_damaged")
        is_as_before(made)
        told = [event.get("fault") for event in made.wire.events[heard:]]
        assert told.count("allowlist_damaged") == 1, told


def test_whether_it_is_switched_off(site: Site, config: Path, flash: Path):
    _garbage(flash / "state" / "available")
    with powered(site, NAME, config, flash) as made:
        made.reported("fault", 0, lambda found: found["fault"] == "available_damaged")
        made.wait_for_state(state="unavailable")
        since = made.charger.mark()
        made.charger.do("plug")
        tap(made.charger, ANNA)
        rests(made.charger, coil(True), 0.3, since)
        assert made.wire.command("available", on=True)["ok"] is True
        made.charger.wait_for(light("yellow"), 3, since)
    assert (flash / "state" / "available").read_bytes() == b"on"


def test_what_has_been_put_right_is_told_no_more(site: Site, config: Path, flash: Path):
    for name in ("state/settings", "state/versions", "allowlist/ref", "journal/a"):
        _garbage(flash / name)
    with powered(site, NAME, config, flash) as made:
        is_as_before(made)
        heard = len(made.wire.events)
        made.charger.do("power", off_ms=0)
        made.reported("session_resumed", heard)
        told = [event.get("fault", "") for event in made.wire.events[heard:]]
        assert not [fault for fault in told if fault.endswith("_damaged")], told


@damages
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("config.json", "tapgate cannot start: config.json: "),
        ("firmware.json", "tapgate is incomplete: firmware.json "),
    ],
)
def test_without_a_good_one_nothing_runs_and_red_says_so(
    good: Path, flash: Path, damage: Callable[[Path], None], name: str, said: str
):
    shutil.copy(good.with_name(good.name + ".rom"), flash.with_name(flash.name + ".rom"))
    damage(flash / name)
    with VirtualCharger.start(flash=flash, until="stopped") as charger:
        line = charger.wait_for_output(said, 5)
        assert "Traceback" not in "".join(charger.output), line
        charger.do("plug", bounce=False)
        charger.do("tap", uid=ANNA, ms=50)
        status = charger.status()
        assert status["contactor"] is False
        assert status["light"][0] > 0 and status["light"][1:] == [0, 0]
        assert status["resets"] == 0
