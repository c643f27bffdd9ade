"""Chargers that live through sessions, cuts and kills, and the ledger of what was done to them.

The ledger is kept at the hardware: who was let in, what the meter counted, when the supply went. It
knows nothing of the journal but what a charger promises: by when something is on its flash.
"""

import json
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from host_tests.end_to_end.conftest import OWNER, STRANGER, Site, wait
from host_tests.end_to_end.seeing import coil, light, plug_in, tap, unplug
from host_tests.end_to_end.wire import Wire
from tools.virtual.client import PROJECT, ControlClient, VirtualCharger

WRITTEN_S = 1.0  # a session's start and end are on the flash by then
MUCH_WH, MUCH_STORED_S = 100, 12  # so much energy since the last reading is stored soon,
STORED_S = 65  # and any within a minute
SETTLED_S = 1.6  # an approved tap cannot be turned into a stop within 1.5 s
RESUMED_S = 10
RIGHT_S = 2.0  # whole seconds, rounded on their way
QUIET_S = 3
LEFT_S = 3  # a board that starts has seen by then that its vehicle is gone
BACK_S = 20  # from a cut to a board that runs


@dataclass
class Stay:
    """One session as it was at the hardware. Times are this computer's."""

    charger: str
    person: str | None  # None: access was open
    began: float
    uid: str | None = None
    ended: float = 0.0
    wh: int = 0  # that the meter counted
    stored_wh: int = 0  # of these, on the flash whenever the supply went
    fresh_wh: int = 0  # of these, since the last cut or since what is stored
    cuts: int = 0  # while it ran, or before its end was on the flash
    sure: bool = True  # False: the supply went before even its start had to be on the flash
    reasons: set[str] = field(default_factory=set)  # for its end: any of these
    story: list[str] = field(default_factory=list)

    def fits(self, row: dict[str, Any]) -> bool:
        """Whether that may be this session in the report."""
        return (
            row["person"] == self.person
            and row["reason"] in self.reasons
            and self.stored_wh + self.fresh_wh <= row["wh"] <= self.wh
            and (row["estimated"] or self._then(row))
        )

    def _then(self, row: dict[str, Any]) -> bool:
        """Whether the times are its own; that of its end is known if nothing came between."""
        return abs(moment(row["start"]) - self.began) < RIGHT_S and (
            self.cuts > 0 or abs(moment(row["end"]) - self.ended) < RIGHT_S
        )

    def counted(self, wh: int) -> None:
        self.wh += wh
        self.fresh_wh += wh
        self.story.append(f"{self.wh} Wh")

    def stored(self) -> None:
        self.stored_wh += self.fresh_wh
        self.fresh_wh = 0
        self.story.append(f"at least {self.stored_wh} Wh stored")


class Life:
    """One charger with a meter, and somebody who plugs, taps and pulls plugs there.

    `cards`: the people by their cards' numbers, two cards each at least; none: access is open.
    """

    def __init__(
        self,
        site: Site,
        name: str,
        flash: Path,
        chance: random.Random,
        cards: dict[str, str],
        wh_per_pulse: int,
    ):
        self.site, self.name, self.flash, self.chance, self.cards = site, name, flash, chance, cards
        self.wh_per_pulse = wh_per_pulse
        self.stays: list[Stay] = []
        self.online = True
        self._config = config(site, name, f"meter.pulses_per_kwh={1_000 // wh_per_pulse}")
        self.charger = VirtualCharger.start(self._config, flash)

    @property
    def key(self) -> bytes:
        return bytes.fromhex(json.loads(self._config.read_text())["charger_key"])

    def link(self, up: bool) -> None:
        self.online = up
        self.charger.do("link", up=up)

    def stop(self) -> None:
        self.charger.stop()

    def live(self, sessions: int, over: Callable[[], bool]) -> None:
        """So many of them, as chance wills, unless it is over before."""
        for _ in range(sessions):
            if over():
                return
            if self.chance.random() < 0.15:
                self.link(not self.online)  # the time is there, or it is not
            if self.chance.random() < 0.1:
                self._nothing()
            self._one()

    # one session

    def _one(self) -> None:
        chance = self.chance
        stay = self._begin()
        self._energy(stay)
        fate = chance.choices(
            ("none", "stays", "leaves", "killed", "in mid-energy"), (10, 3, 3, 2, 1)
        )[0]
        if fate == "none":
            self._end(stay)
            return
        if chance.random() < 0.2:
            self._wait_until_stored(stay)
        else:
            time.sleep(chance.choice((0, chance.uniform(0, 1), WRITTEN_S)))
        if not self.cards:  # a vehicle that stays would begin another session, if not the same
            time.sleep(max(0.0, self._started + WRITTEN_S - time.monotonic()))
        if fate == "killed":
            self._kill(stay)
        elif self._cut(stay, leaves=fate == "leaves", flowing=fate == "in mid-energy"):
            if chance.random() < 0.3 and self._cut(stay):
                self._energy(stay)
            if not stay.ended:
                self._energy(stay)
                self._end(stay)

    def _begin(self) -> Stay:
        charger = self.charger
        since = charger.mark()
        uid, person = None, None
        if self.cards:
            uid, person = self.chance.choice(list(self.cards.items()))
            first = self.chance.random() < 0.2
            if first:
                charger.wait_for(light("green"), 5, tap(charger, uid))
                charger.do("plug")
            else:
                plug_in(charger, "yellow")
                tap(charger, uid)
        else:
            charger.do("plug")
        charger.wait_for(coil(True), 5, since)
        stay = Stay(self.name, person, time.time(), uid)
        self._started = time.monotonic()
        self.stays.append(stay)
        return stay

    def _energy(self, stay: Stay, pulses: int | None = None) -> None:
        pulses = self.chance.randrange(30) if pulses is None else pulses
        self.charger.do("energy", wh=pulses * self.wh_per_pulse)
        stay.counted(pulses * self.wh_per_pulse)

    def _wait_until_stored(self, stay: Stay) -> None:
        """Energy enough for a reading, the time that it may take, and some more energy."""
        self._energy(stay, -(-MUCH_WH // self.wh_per_pulse))
        time.sleep(MUCH_STORED_S)
        stay.stored()
        self._energy(stay)

    def _end(self, stay: Stay) -> None:
        """By card or by unplugging; now and then the supply goes right after, or a little later."""
        chance, charger = self.chance, self.charger
        own = [uid for uid, person in self.cards.items() if person == stay.person]
        how = chance.choice(("unplugged", "card", "group", "owner")) if own else "unplugged"
        reasons = {how}
        since = charger.mark()
        if how != "unplugged":
            time.sleep(max(0.0, self._started + SETTLED_S - time.monotonic()))
            other = next(uid for uid in own if uid != stay.uid)
            uid = {"card": stay.uid, "group": other, "owner": OWNER}[how]
            if uid == stay.uid:
                reasons = {"card"}
            elif OWNER in own:
                reasons = {"group", "owner"}
            charger.wait_for(coil(False), 5, tap(charger, uid))
        unplug(charger)
        charger.wait_for(coil(False), 5, since)
        self._over(stay, reasons)
        if chance.random() < 0.2:
            time.sleep(chance.uniform(0, 0.3))
            self._hit(stay, "over and cut")
            stay.reasons.add("power_loss")
            self._off(charger, chance.choice((0, 300)))
            time.sleep(LEFT_S)
        elif chance.random() < 0.2:
            time.sleep(WRITTEN_S)
            self._off(charger, 0)

    def _over(self, stay: Stay, reasons: set[str]) -> None:
        stay.ended = time.time()
        stay.reasons = reasons
        stay.story.append(f"over: {reasons}")

    # what goes wrong

    def _hit(self, stay: Stay, how: str) -> None:
        stay.cuts += 1
        stay.fresh_wh = 0
        if stay.cuts == 1:
            stay.sure = time.monotonic() - self._started >= WRITTEN_S
        stay.story.append(f"{how} after {time.monotonic() - self._started:.2f} s")

    def _cut(self, stay: Stay, leaves: bool = False, flowing: bool = False) -> bool:
        """The supply goes; whether the session goes on afterwards."""
        charger = self.charger
        if flowing:
            stay.wh += 30 * self.wh_per_pulse
            flow = threading.Thread(
                target=charger.do, args=("energy",), kwargs={"wh": 30 * self.wh_per_pulse}
            )
            flow.start()
            time.sleep(self.chance.uniform(0, 0.4))
            self._hit(stay, "cut in mid-energy")
            beside = ControlClient(charger.port)
            since = self._off(beside, 0)
            beside.close()
            flow.join()
        else:
            self._hit(stay, "cut")
            since = self._off(charger, 300 if leaves else self.chance.choice((0, 200)), leaves)
        if not leaves and self._resumes(since):
            stay.sure = True
            stay.story.append("resumed")
            return True
        if leaves:
            time.sleep(LEFT_S)
        else:
            unplug(charger)
        self._over(stay, {"power_loss"})
        return False

    def _resumes(self, since: int) -> bool:
        """Whether the coil closes again by itself; else the light says that a card is needed."""
        found = self.charger.wait_for(
            lambda push: coil(True)(push) or light("yellow")(push), RESUMED_S, since
        )
        if coil(True)(found):
            self._started = time.monotonic()
            return True
        time.sleep(1)
        return any(coil(True)(push) for push in self.charger.pushes[since:])

    def _off(self, client: ControlClient, off_ms: float, leaves: bool = False) -> int:
        """The supply goes, and the board starts again; where in the pushes that began."""
        since = self.charger.mark()
        client.do("power", off_ms=off_ms)
        if leaves:
            client.do("unplug")
        self.charger.wait_for(lambda push: "ready" in push, BACK_S, since)
        return since

    def _kill(self, stay: Stay) -> None:
        """The whole simulator; its vehicle, where it is started again, stayed or is gone."""
        self._hit(stay, "killed")
        stays = self.chance.random() < 0.5
        first = [{"do": "link", "up": self.online}, *([{"do": "plug"}] if stays else [])]
        self.charger.process.kill()
        self.charger.stop()
        self.charger = VirtualCharger.start(self._config, self.flash, first=first)
        if stays and self._resumes(0):
            stay.sure = True
            stay.story.append("resumed")
            self._energy(stay)
            self._end(stay)
            return
        if stays:
            unplug(self.charger)
        else:
            time.sleep(LEFT_S)
        self._over(stay, {"power_loss"})

    def _nothing(self) -> None:
        """A stranger's card, a card without a vehicle, a vehicle without a card: no session."""
        charger = self.charger
        if not self.cards:
            return
        plug_in(charger, "yellow")
        charger.wait_for(light("red"), 5, tap(charger, STRANGER))
        unplug(charger)


def config(site: Site, name: str, *choices: str) -> Path:
    """The config.json of a charger with a meter; `choices`: what else is set in it."""
    path = site.home / f"{name}.json"
    given = [part for choice in choices for part in ("--set", choice)]
    site.tapgate("charger", "config", name, "--meter", "s0", *given, "--out", str(path))
    return path


def wait_until_told(wire: Wire, within_s: float, since: int = 0) -> None:
    """Until the charger has reported something, from that place in its events on, and then nothing
    more for a while."""
    heard, quiet_since = since, time.monotonic()

    def quiet() -> bool:
        nonlocal heard, quiet_since
        if len(wire.events) > heard:
            heard, quiet_since = len(wire.events), time.monotonic()
        return heard > since and time.monotonic() - quiet_since > QUIET_S

    wait(quiet, within_s, f"told by {wire.base}")


def sessions(events: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The ends of one charger's sessions, in the order in which they began, each with "resumed";
    fails if they contradict each other."""
    by_number: dict[int, dict[str, Any]] = {}
    for event in events:
        told = {key: value for key, value in event.items() if key not in ("t", "t_min")}
        assert by_number.setdefault(event["n"], told) == told, "a number was given twice"
    began, found, resumed = {}, {}, set()
    for n, event in sorted(by_number.items()):
        if event["event"] == "session_started":
            began[n] = event
        elif event["event"] == "session_ended":
            start = began.get(event["session"])
            assert start, f"ended, and never begun: {event}"
            assert event["session"] not in found, f"ended twice: {event}"
            assert all(event[key] == start[key] for key in ("token", "role", "by"))
            row = {"person": None, "estimated": True, "resumed": event["session"] in resumed}
            found[event["session"]] = {**event, **row}
        elif event["event"] == "session_resumed":
            assert event["session"] in began.keys() - found.keys(), f"over, and goes on: {event}"
            resumed.add(event["session"])
    assert found.keys() == began.keys(), f"never ended: {began.keys() - found.keys()}"
    return [found[n] for n in began]


def heard(site: Site) -> set[tuple[str, int]]:
    """(charger, number) of every event that the portal has."""
    return {(event["charger"], event["n"]) for event in site.tapgate("events")}


def report(site: Site) -> dict[str, Any]:
    """Of yesterday, today and tomorrow, as its users get it."""
    first, last = (str(date.today() + timedelta(days=days)) for days in (-1, 1))
    command = [sys.executable, "-m", "tools.cli", "--home", str(site.home), "report"]
    options = ["--from", first, "--to", last, "--format", "json"]
    done = subprocess.run([*command, *options], cwd=PROJECT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def moment(text: str) -> float:
    """Of a time in the report, as Unix seconds."""
    return datetime.fromisoformat(text).timestamp()


def backwards(rows: Sequence[dict[str, Any]]) -> str:
    """Where the times of one charger's sessions run backwards; "" if nowhere."""
    before = 0.0
    for row in rows:
        for key in ("start", "end"):
            if moment(row[key]) < before:
                return f"{key} of {row} is before {before}"
            before = moment(row[key])
    return ""


def difference(stays: Sequence[Stay], rows: Sequence[dict[str, Any]]) -> str:
    """Between one charger's ledger and its sessions in the report, in their order; "" if none.

    Those that need not be there make it a question of which is which: every way is followed.
    """
    at = 0
    heads = {0}  # how many rows are explained by the ledger up to there, one for each way
    for stay in stays:
        after = {j + 1 for j in heads if j < len(rows) and stay.fits(rows[j])}
        if not stay.sure:
            after |= heads
        if not after:
            break
        at, heads = at + 1, after
    if at == len(stays) and len(rows) in heads:
        return ""
    done = "".join(f"\n  done: {each}" for each in stays[max(0, at - 2) : at + 3])
    said = "".join(f"\n  said: {row}" for row in rows[max(0, max(heads) - 2) : max(heads) + 3])
    return f"{len(stays)} done, {len(rows)} reported, the same for the first {at}{done}{said}"


def differences(lives: Iterable[Life], found: dict[str, Any]) -> str:
    """All that a report says otherwise than the ledgers of all chargers; "" if nothing."""
    lives = list(lives)
    rows = found["sessions"]
    said = []
    for life in lives:
        own = [row for row in rows if row["charger"] == life.name]
        wrong = difference(life.stays, own) or backwards(own)
        said += [f"{life.name}: {wrong}"] if wrong else []
    if found["running"]:
        said.append(f"said to run still: {found['running']}")
    others = {row["charger"] for row in rows} - {life.name for life in lives}
    if others:
        said.append(f"chargers that there are not: {others}")
    sums = [sum(total[what] for total in found["totals"]) for what in ("sessions", "wh")]
    if sums != [len(rows), sum(row["wh"] for row in rows)]:
        said.append(f"totals do not agree: {found['totals']}")
    return "\n".join(said)
