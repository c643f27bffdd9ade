"""The supply cut in the course of a session: afterwards the same session goes on, or it was ended
once. The true firmware on a littlefs.

Which block write is hit is counted at the chip. Each takes up to twenty seconds: here a few, spread
over a session's life; with TAPGATE_EVERY_CUT=1 in the environment every one, in several ways, and
in so many sessions that what littlefs and the journal do only now and then is hit as well.
"""

import json
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Self

import psutil
import pytest

from host_tests.end_to_end.conftest import ANNA, OWNER, Site, wait
from host_tests.end_to_end.lives import (
    BACK_S,
    LEFT_S,
    MUCH_STORED_S,
    MUCH_WH,
    RESUMED_S,
    SETTLED_S,
    WRITTEN_S,
    Stay,
    config,
    difference,
    sessions,
    wait_until_told,
)
from host_tests.end_to_end.seeing import coil, light, rests, start_charging, tap, unplug
from host_tests.end_to_end.wire import Wire
from tools.virtual.client import Push, VirtualCharger

PARTS = (0, 0.5, 1)  # of the write that is hit, how much still happens
ALL = os.environ.get("TAPGATE_EVERY_CUT") == "1"
BRIEF_ROUNDS = 10
OFF_MS = 400  # time for the vehicle to leave
PULSE_WH = 10
WATCHDOG_S = 15


class SupplyGone(Exception):
    """It has been cut."""


def power_back(push: Push) -> bool:
    return push.get("reset") == "power"


class Powered:
    """A charger with a meter on a littlefs, its list in step, and a wire that it hangs on."""

    def __init__(self, site: Site, name: str):
        site.add(name)
        path = config(site, name, f"meter.pulses_per_kwh={1_000 // PULSE_WH}")
        self.name = name
        self.wire = Wire(
            site.broker, name, bytes.fromhex(json.loads(path.read_text())["charger_key"])
        )
        self.charger = VirtualCharger.start(path, site.home / f"{name}.img")
        site.wait_in_step(name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_) -> None:
        self.charger.stop()
        self.wire.close()

    def energy(self, wh: int) -> None:
        self.charger.do("energy", wh=wh)

    def stored_energy(self) -> int:
        """So much that it is on the flash by the end of this."""
        wh = MUCH_WH + 2 * PULSE_WH
        self.energy(wh)
        time.sleep(MUCH_STORED_S)
        return wh

    def starts_again(self, leaves: bool = False) -> int:
        """The supply goes and comes; where in the pushes that began."""
        since = self.charger.mark()
        self.charger.do("power", off_ms=OFF_MS)
        if leaves:
            self.charger.do("unplug")
        self.charger.wait_for(lambda push: "ready" in push, BACK_S, since)
        return since

    def only_session(self) -> dict:
        """The one that it reports, once it has reported all."""
        wait_until_told(self.wire, 20)
        (found,) = sessions(self.wire.events)
        return found


class Cuts(Powered):
    """Lives through one session after the other, the supply cut at a block write in each."""

    def __init__(self, site: Site, name: str, leaves: bool, link: bool):
        super().__init__(site, name)
        self.leaves = leaves
        self.link = link  # without it, it does not know the time either after a cut
        self.heard = 0  # of its events, before it has the link again
        self.charger.do("link", up=link)
        self.stays: list[Stay] = []
        self._since = 0

    def live(self, number: int) -> None:
        """Cut at one write after the other, until a session is over before it comes to that."""
        if not ALL:
            self._round(1 + number % 3, 3, number, brief=False)
            return
        for turn in range(len(PARTS)):
            self._round(1, 1, turn, brief=False)
        for turn in range(BRIEF_ROUNDS):
            self._round(1, 1, turn, brief=True)

    def _round(self, first: int, step: int, turn: int, brief: bool) -> None:
        write = first
        while self._life(write, PARTS[(write + turn) % len(PARTS)], brief):
            write += step

    def _life(self, write: int, part: float, brief: bool) -> bool:
        """One session, in which the supply goes at that write; whether it came to that."""
        charger = self.charger
        before = len(self.stays)
        self._since = charger.mark()
        charger.do("power", at_block_write=write, part=part, off_ms=OFF_MS)
        try:
            self._session(brief)
        except SupplyGone:
            if self.leaves:
                charger.do("unplug", bounce=False)
            back = charger.wait_for(power_back, BACK_S, self._since)
            charger.wait_for(lambda push: "ready" in push, BACK_S, charger.pushes.index(back))
            if len(self.stays) > before:
                self.stays[-1].story.append(f"cut at write {write}")
                self._after(self.stays[-1], back)
            else:
                rests(charger, coil(True), 1, self._since)
            unplug(charger)
            time.sleep(LEFT_S)
            return True
        since = charger.mark()
        charger.do("power", off_ms=0)  # a cut that has not come does not come any more
        charger.wait_for(lambda push: "ready" in push, BACK_S, since)
        return False

    def _session(self, brief: bool) -> None:
        """Plug, tap, charge, stop by card, unplug; unless it is brief, a reading is stored."""
        charger = self.charger
        charger.do("plug")
        self._until(light("yellow"))
        began = self._until(coil(True), tap(charger, ANNA))
        stay = Stay(self.name, None, began["t_ms"] / 1_000)
        self.stays.append(stay)
        self._flows(stay, MUCH_WH + 2 * PULSE_WH)
        if brief:
            self._pause(SETTLED_S)
        else:
            self._pause(MUCH_STORED_S)
            stay.stored()
        self._flows(stay, 3 * PULSE_WH)
        since = tap(charger, ANNA)
        stay.reasons = {"card"}
        stay.ended = self._until(coil(False), since)["t_ms"] / 1_000
        self._pause(WRITTEN_S)
        charger.do("unplug")
        self._pause(WRITTEN_S)

    def _after(self, stay: Stay, back: Push) -> None:
        """What may have become of a session that the cut has hit."""
        charger = self.charger
        gone = (back["t_ms"] - OFF_MS) / 1_000
        stay.sure = gone - stay.began > WRITTEN_S
        over = stay.ended > 0 and gone - stay.ended > WRITTEN_S
        if not over:
            stay.fresh_wh = 0
        if self.leaves or not charger.status()["vehicle"]:
            stay.reasons |= set() if over else {"power_loss"}
            return
        must = stay.sure and not stay.reasons and self.link
        since = charger.pushes.index(back)
        charger.wait_for(
            lambda push: coil(True)(push) or (not must and light("yellow")(push)), RESUMED_S, since
        )
        time.sleep(1)
        if any(coil(True)(push) for push in charger.pushes[since:]):
            assert not over, stay
            self.energy(2 * PULSE_WH)
            stay.counted(2 * PULSE_WH)
            stay.reasons = {"unplugged"}
            stay.story.append("went on")
        elif self.link:  # either its end is on record, or nothing: else it would have gone on
            stay.sure = bool(stay.reasons)
        else:
            stay.reasons |= {"power_loss"}

    def _flows(self, stay: Stay, wh: int) -> None:
        stay.counted(wh)
        self.energy(wh)
        self._look()

    def _until(self, wanted: Callable[[Push], bool], since: int | None = None) -> Push:
        since = self._since if since is None else since
        found = self.charger.wait_for(
            lambda push: wanted(push) or power_back(push), RESUMED_S, since
        )
        if power_back(found):
            raise SupplyGone
        return found

    def _pause(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self._look()
            time.sleep(0.05)

    def _look(self) -> None:
        pushes = self.charger.pushes[self._since :]
        if not self.charger.status()["power"] or any(map(power_back, pushes)):
            raise SupplyGone


@pytest.fixture
def powered(site: Site, name: str) -> Iterator[Powered]:
    with Powered(site, name) as made:
        yield made


def test_after_a_cut_at_a_block_write_the_session_goes_on_or_was_ended_once(site: Site):
    with ExitStack() as all_of_it:
        cuts = [
            all_of_it.enter_context(Cuts(site, f"cut{number}", number > 1, number % 2 == 1))
            for number in range(4)
        ]
        with ThreadPoolExecutor(len(cuts)) as pool:
            list(pool.map(Cuts.live, cuts, range(len(cuts))))
        for each in cuts:
            if not each.link:
                each.heard = len(each.wire.events)
                each.charger.do("link", up=True)
        for each in cuts:
            wait_until_told(each.wire, 60, each.heard)
            wrong = difference(each.stays, sessions(each.wire.events))
            assert not wrong, f"{each.name}: {wrong}"
            assert len(each.stays) > 1


def test_a_session_goes_on_under_its_card_after_a_cut(powered: Powered):
    charger = powered.charger
    start_charging(charger, ANNA)
    stored = powered.stored_energy()
    powered.energy(PULSE_WH)  # too little and too late to be stored
    for _ in range(2):
        charger.wait_for(coil(True), RESUMED_S, powered.starts_again())
    powered.energy(3 * PULSE_WH)
    time.sleep(SETTLED_S)
    charger.wait_for(coil(False), 2, tap(charger, ANNA))
    found = powered.only_session()
    assert found["reason"] == "card" and found["resumed"]
    assert 0 <= found["wh"] - stored - 3 * PULSE_WH <= PULSE_WH


def test_a_session_begun_without_the_time_goes_on_after_a_cut(powered: Powered):
    charger = powered.charger
    charger.do("link", up=False)
    powered.starts_again()  # the real-time clock has lost the time, and nobody tells it
    start_charging(charger, ANNA)
    powered.energy(PULSE_WH)
    time.sleep(WRITTEN_S)
    charger.wait_for(coil(True), RESUMED_S, powered.starts_again())
    unplug(charger)
    before = len(powered.wire.events)
    charger.do("link", up=True)
    wait_until_told(powered.wire, 40, before)
    (found,) = sessions(powered.wire.events)
    assert found["reason"] == "unplugged"


def test_a_vehicle_that_left_while_the_supply_was_off_ended_its_session(powered: Powered):
    charger = powered.charger
    start_charging(charger, ANNA)
    stored = powered.stored_energy()
    powered.energy(PULSE_WH)
    powered.starts_again(leaves=True)
    found = powered.only_session()
    assert found["reason"] == "power_loss"
    assert 0 <= found["wh"] - stored <= PULSE_WH
    (start,) = [event for event in powered.wire.events if event["n"] == found["session"]]
    assert found["last_boot"] == start["boot"] and found["last_up"] > start["up"]


def test_a_session_too_old_is_ended_and_the_vehicle_waits_for_a_card(powered: Powered):
    charger, wire = powered.charger, powered.wire
    version = int(time.time())
    wire.put("settings", wire.signed("settings", v=version, resume_within_s=3))
    wire.wait_for("settings_applied", lambda event: event["v"] == version)
    start_charging(charger, ANNA)
    stored = powered.stored_energy()
    since = powered.starts_again()
    charger.wait_for(light("yellow"), 5, since)
    rests(charger, coil(True), 1, since)
    found = powered.only_session()
    assert found["reason"] == "power_loss" and found["wh"] == stored
    charger.wait_for(coil(True), 2, tap(charger, OWNER))  # a session of its own
    unplug(charger)
    wait(lambda: len(sessions(wire.events)) == 2, 10, "reported")
    assert sessions(wire.events)[1]["wh"] == 0


def test_a_session_that_was_ended_does_not_go_on_after_a_cut(powered: Powered):
    charger = powered.charger
    start_charging(charger, ANNA)
    powered.energy(PULSE_WH)
    time.sleep(SETTLED_S)
    charger.wait_for(coil(False), 2, tap(charger, ANNA))
    time.sleep(WRITTEN_S)
    since = powered.starts_again()
    charger.wait_for(light("yellow"), 5, since)
    rests(charger, coil(True), 1, since)
    found = powered.only_session()
    assert found["reason"] == "card" and found["wh"] == PULSE_WH


def restart(powered: Powered) -> None:
    assert powered.wire.command("restart")["ok"] is True


def hang(powered: Powered) -> None:
    (board,) = psutil.Process(powered.charger.process.pid).children()
    board.suspend()


@pytest.mark.parametrize(("how", "kind"), [(restart, "soft"), (hang, "watchdog")])
def test_a_session_goes_on_after_a_restart(
    powered: Powered, how: Callable[[Powered], None], kind: str
):
    charger = powered.charger
    start_charging(charger, ANNA)
    powered.energy(PULSE_WH)
    time.sleep(WRITTEN_S)
    since = charger.mark()
    how(powered)
    charger.wait_for(lambda push: push.get("reset") == kind, WATCHDOG_S, since)
    charger.wait_for(coil(True), RESUMED_S, since)
    powered.energy(2 * PULSE_WH)
    unplug(charger)
    found = powered.only_session()
    assert found["reason"] == "unplugged"
    assert 2 * PULSE_WH <= found["wh"] <= 3 * PULSE_WH
