"""A charger that is given another version of its firmware: the true start files and loader, and
versions made by changing the sources before they are compiled.

Where a version must not prove itself it has six seconds for it and not three minutes: by the same
constant in the loader, whose value is for pure/test_loader.py. The image is put into its slot with
the board switched off; what an installer does to a running one is for the installer's own tests.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from mpremote.transport_serial import SerialTransport

from host_tests.end_to_end.conftest import ANNA, Site, wait
from host_tests.end_to_end.seeing import coil, plug_in, rests, tap, unplug
from host_tests.end_to_end.wire import Wire
from tools import mpy
from tools.installer import slots
from tools.romfs import PARTITION_BYTES
from tools.virtual.board_files import install
from tools.virtual.client import VirtualCharger
from tools.virtual.flash import Rom, open_flash

NEW = "99.0.0"
OLD = mpy.version()
TRIAL_S = 6
EVERY = 1 if os.environ.get("TAPGATE_EVERY_CUT") == "1" else 2


def changed(sources: dict[str, str], name: str, before: str, after: str) -> dict[str, str]:
    assert sources[name].count(before) == 1, f"{name}: {before}"
    return {**sources, name: sources[name].replace(before, after)}


def new_version(*change: str) -> dict[str, str]:
    """The sources under another version, with one change if any: file, text before, text after."""
    sources = changed(mpy.sources(), "firmware/__init__.py", f'"{OLD}"', f'"{NEW}"')
    return changed(sources, *change) if change else sources


FIRST_LINE = "firmware/app.py", "import asyncio\n"
BROKEN = (*FIRST_LINE, "raise ValueError('broken')\nimport asyncio\n")
ENDLESS = (*FIRST_LINE, "while True:\n    pass\nimport asyncio\n")
CRASH = (
    "firmware/app.py",
    "    async def _housekeeping(self):\n        while True:\n",
    "    async def _housekeeping(self):\n        begun = ticks_ms()\n        while True:\n"
    "            if ticks_diff(ticks_ms(), begun) > 1_000:\n"
    "                raise ValueError('crashed')\n",
)
NEVER_LINKED = "firmware/link/wifi.py", "            self.up = up\n", "            up = False\n"


class Updated:
    """A charger's flash and ROM with the project's own version at work in slot a."""

    def __init__(self, site: Site, name: str, flash: str = "flash"):
        self.site, self.name = site, name
        site.add(name)
        self.config = site.config(name)
        key = json.loads(self.config.read_text())["charger_key"]
        self.wire = Wire(site.broker, name, bytes.fromhex(key))
        self.flash = site.home / f"{name}-{flash}"
        with self._chips() as (chips, rom):
            install(self.config.read_bytes(), chips, rom)

    def hurry(self) -> None:
        """Give the board a loader with whom a trial is over after six seconds."""
        source = (mpy.ROOT / mpy.LOADER).read_text()
        assert source.count("const(180_000)") == 1
        source = source.replace("const(180_000)", f"const({TRIAL_S}_000)")
        with self._chips() as (chips, _):
            chips.install({"loader.mpy": mpy.compiled("loader", source)})

    @contextmanager
    def _chips(self):
        chips = open_flash(self.flash)
        rom = Rom(self.flash.with_name(self.flash.name + ".rom"), PARTITION_BYTES)
        try:
            yield chips, rom
        finally:
            rom.close()
            chips.close()

    def update(
        self, sources: dict[str, str], *, damaged: bool = False, choose: bool = True
    ) -> bytes:
        """Put another version into the free slot; what firmware.json is to say then, and says if
        `choose`."""
        image = mpy.image(sources)
        with self._chips() as (chips, rom):
            runs = json.loads(chips.read(mpy.CHOICE) or b"")
            plan = slots.plan(slots.Wanted(image, NEW), runs, {"a"})
            assert plan.slot and not plan.first
            choice = slots.text(plan.after)
            rom.install(image[:-1] + b"\0" if damaged else image, plan.slot)
            if choose:
                chips.install({mpy.CHOICE: choice})
        return choice

    @property
    def choice(self) -> dict:
        """What firmware.json says; on a board whose flash is a directory."""
        return json.loads((self.flash / mpy.CHOICE).read_bytes())

    def start(self, **options) -> VirtualCharger:
        return VirtualCharger.start(None, self.flash, timeout_s=40, **options)

    def states(self) -> list[dict]:
        said = self.wire.said.get(self.wire.base + "state", [])
        return [state for state in map(json.loads, said) if state["online"]]

    def booted(self) -> list[str]:
        return [each["firmware"] for each in self.wire.events if each["event"] == "booted"]

    def wait_given_up(self, why: str) -> None:
        """The version before runs, says so, and lets Anna charge."""
        failed = wait(
            lambda: [each for each in self.wire.events if each["event"] == "update_failed"],
            30, "told that the update has failed",
        )  # fmt: skip
        assert [(each["firmware"], each["why"]) for each in failed] == [(NEW, why)]
        assert self.booted()[-1] == OLD
        wait(lambda: self.states()[-1:] and self.states()[-1]["firmware"] == OLD, 10, "linked")
        assert self.states()[-1]["proven"] is True


@pytest.fixture
def updated(site: Site, name: str) -> Iterator[Updated]:
    made = Updated(site, name)
    yield made
    made.wire.close()


def test_a_version_that_works_stays(updated: Updated):
    updated.update(new_version())
    with updated.start() as charger:
        state = wait(lambda: updated.states()[-1:], 15, "linked")[0]
        assert (state["firmware"], state["proven"]) == (NEW, False)
        wait(lambda: updated.states()[-1]["proven"], 20, "proven")
        choice = wait(lambda: updated.choice["proven"] and updated.choice, 2, "on the flash")
        assert (choice["run"], choice["version"], choice["before"]["version"]) == ("b", NEW, OLD)
        since = charger.mark()
        charger.do("power", off_ms=100)
        charger.wait_for(lambda push: "ready" in push, 15, since)
        wait(lambda: len(updated.booted()) == 2, 15, "started again")
        assert updated.booted() == [NEW, NEW]
        assert updated.choice == choice


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (BROKEN, "3 crashes"),
        (CRASH, "3 crashes"),
        (NEVER_LINKED, f"not healthy within {TRIAL_S} s"),
        (ENDLESS, f"not healthy within {TRIAL_S} s"),
    ],
    ids=["cannot be imported", "crashes", "never links", "hangs"],
)
def test_a_version_that_does_not_work_gives_way(updated: Updated, change, why: str):
    updated.hurry()
    updated.update(new_version(*change))
    with updated.start() as charger:
        updated.wait_given_up(why)
        crashes = len([push for push in charger.pushes if "reset" in push])
        assert crashes <= 3
        wait(lambda: updated.choice["gave_up"] is None, 5, "noted that it was told")
        choice = updated.choice
        assert (choice["run"], choice["version"], choice["proven"]) == ("a", OLD, True)
        updated.site.wait_in_step(updated.name)
        plug_in(charger, "yellow")
        charger.wait_for(coil(True), 5, tap(charger, ANNA))
        unplug(charger)


def test_a_version_that_arrived_damaged_is_never_started(updated: Updated):
    updated.update(new_version(), damaged=True)
    with updated.start():
        updated.wait_given_up("damaged")
    assert updated.booted() == [OLD]


def test_where_the_start_of_an_update_cannot_be_counted_the_version_before_runs(
    site: Site, name: str
):
    made = Updated(site, name, "flash.img")
    made.update(new_version())
    with made.start(first=[{"do": "flash", "fault": "readonly"}]) as charger:
        made.wait_given_up("flash not written")
        plug_in(charger, "yellow")
        charger.do("flash", fault="none")
        since = charger.mark()
        charger.do("power", off_ms=0)
        charger.wait_for(lambda push: "ready" in push, 15, since)
        wait(lambda: made.booted()[-1] == NEW, 15, "updated after all")
    made.wire.close()


def test_at_the_console_a_trial_is_over_and_the_board_is_left_alone(updated: Updated):
    updated.hurry()
    updated.update(new_version(*NEVER_LINKED))
    with updated.start(serial=True) as charger:
        since = charger.mark()
        cable = SerialTransport(charger.serial)
        cable.enter_raw_repl(soft_reset=False)
        assert updated.choice["starts"] == 0
        rests(charger, lambda push: "reset" in push, TRIAL_S + 1, since)
        assert cable.exec("print('here')").strip() == b"here"
        cable.exec_raw_no_follow("import machine; machine.reset()")
        cable.close()
        charger.wait_for(lambda push: "ready" in push, 15, since)
        wait(lambda: updated.choice["starts"] == 1, 5, "counted as the first start")


@pytest.mark.parametrize(
    ("board", "without", "said"),
    [
        ((), mpy.CHOICE, "firmware.json is missing"),
        ((), "loader.mpy", "no module named 'loader'"),
        (("rom=no",), None, "there is no ROM file system (partition romfs)"),
        (("romfs_kb=0",), None, "there is no ROM file system (partition romfs)"),
    ],
)
def test_an_incomplete_board_says_so_and_its_contactor_stays_open(
    updated: Updated, board, without, said: str
):
    if without:
        (updated.flash / without).unlink()
    if "romfs_kb=0" in board:
        updated.flash.with_name(updated.flash.name + ".rom").unlink()
    with updated.start(board=board, until="stopped") as charger:
        line = charger.wait_for_output("tapgate is incomplete: ", 5)
        assert said in line and line.endswith("; run `tapgate provision` again")
        if without != "loader.mpy":
            wait(lambda: charger.status()["light"] == [255, 0, 0], 2, "red")
        charger.do("plug")
        tap(charger, ANNA)
        status = charger.status()
        assert status["contactor"] is False and status["resets"] == 0


# In its first life the board is told what runs from now on, as an installer would, and starts it.
TAKE_OVER = """
import esp32, os
marks = esp32.NVS("test")
try:
    marks.get_i32("begun")
except OSError:
    marks.set_i32("begun", 1)
    marks.commit()
    with open("firmware.json.new", "wb") as file:
        file.write(%r)
    os.rename("firmware.json.new", "firmware.json")
exec(open("main.py").read())
"""
WRITES = 14  # that it takes to be told, and to count the first start


def test_a_cut_at_any_block_write_of_an_update_leaves_the_one_version_or_the_other(
    site: Site, name: str, tmp_path: Path
):
    made = Updated(site, name, "flash.img")
    program = tmp_path / "main.py"
    program.write_text(TAKE_OVER % made.update(new_version(), choose=False))
    kept = made.flash.read_bytes()
    ran = set()
    for number, write in enumerate(range(1, WRITES + 1, EVERY)):
        made.flash.write_bytes(kept)
        made.flash.with_name(made.flash.name + ".nvs").unlink(missing_ok=True)
        cut = {"do": "power", "at_block_write": write, "part": (0, 0.5, 1)[number % 3], "off_ms": 0}
        before = len(made.booted())
        with made.start(main=program, first=[cut]) as charger:
            # It may have happened before there was anybody to see the push.
            wait(lambda: charger.status()["resets"], 20, f"cut at write {write}")
            wait(lambda: len(made.booted()) > before, 20, f"started after write {write}")  # noqa: B023
            ran.add(made.booted()[-1])
            assert "incomplete" not in "".join(charger.output), f"write {write}"
    made.wire.close()
    assert ran == {OLD, NEW}
