"""One charger for so many days: what it was at the end of each, and what is wrong with that."""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from tools.soak.charger import COARSE_MS, Charger
from tools.soak.drivers import Drivers, Stay, Tap
from tools.soak.faults import Faults
from tools.soak.network import Network
from tools.soak.site import Site
from tools.soak.world import MONDAY, Story, World

# What may be more at the end than after the first day.
HEAP_BYTES = 2_048  # of this 64-bit MicroPython
LARGEST_BYTES = 16_384  # less in one piece
BLOCKS = 12  # littlefs: the journal's segments come and go, and so do packs of the list
FILES = 4
P50_MS, P99_MS = 5.0, 10.0  # a look comes every 6 ms, and a card needs up to 5 to wake
TAPS = 8  # of a day, from which on its times say something
_EASE_S, _STILL_S = 5_400, 600  # before a day ends: no new faults, nobody comes
_REST_S = 300
_WRAP_S = 6 * 3_600  # of each life, in which its milliseconds wrap


class Plan(NamedTuple):
    """`resets`: its supply goes, its watchdog bites; without, its one life lasts all the time."""

    name: str
    cards: int
    resets: bool
    seed: int
    day_s: float = 86_400
    days: int = 7
    pace: float = 1.0  # so much more often does everything happen, and so much shorter is it


@dataclass
class Day:
    """At its end. `us`: of this computer from the card's answer to the coil, the lower quartile."""

    heap_bytes: int
    largest_bytes: int
    blocks: int
    files: int
    taps: int = 0
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    us: int = 0
    visits: int = 0
    sessions: int = 0
    connections: int = 0
    changes: int = 0
    events: int = 0
    resets: int = 0


@dataclass
class Found:
    """`wrong`: each in one line; none: the week is passed."""

    plan: Plan
    days: list[Day] = field(default_factory=list)
    faults: dict[str, int] = field(default_factory=dict)
    sessions: int = 0
    wh: int = 0
    lives: int = 0
    wraps: int = 0  # lives in which the board's milliseconds have wrapped
    coil_p99_ms: float = 0.0
    simulated_s: float = 0.0
    took_s: float = 0.0
    wrong: list[str] = field(default_factory=list)

    def flat(self) -> dict[str, Any]:
        return {**asdict(self), "plan": self.plan._asdict(), "coarse_ms": COARSE_MS}


def lived(plan: Plan, say: Callable[[str], None] = lambda text: None) -> Found:
    """In this process, whose `time.time` is the board's meanwhile. `say`: told of each day."""
    real = time.time
    try:
        with tempfile.TemporaryDirectory(prefix="tapgate-soak-") as folder:
            return _Week(plan, Path(folder), say).run()
    finally:
        time.time = real


class _Week:
    def __init__(self, plan: Plan, folder: Path, say: Callable[[str], None]):
        self._plan, self._say = plan, say
        chance = random.Random(f"{plan.seed} {plan.name}")
        self._world = world = World()
        world.rule_time()
        self._site = Site(folder, plan.name, plan.cards, chance)
        self._site.config(folder / "config.json")
        self._network = Network(self._site.broker, world.unix, chance)
        self._charger = Charger(
            folder, folder / "config.json", world, self._network, chance, _WRAP_S / plan.pace
        )
        self._drivers = Drivers(world, self._charger, self._site, chance, plan.pace)
        self._faults = Faults(
            world, self._charger, self._network, self._site, self._drivers, chance,
            plan.resets, plan.pace,
        )  # fmt: skip
        self._found = Found(plan)
        self._before = (0, 0, 0, 0, 0, 0, 0)
        self._charger.on_measured = self._measured
        world.tell(self._days())

    def run(self) -> Found:
        began = time.monotonic()
        found, charger = self._found, self._charger
        charger.run()
        self._site.take_in(int(self._world.unix()))
        found.simulated_s, found.took_s = self._world.s, time.monotonic() - began
        found.faults = dict(self._faults.done)
        found.lives, found.wraps = charger.lives, charger.wraps
        found.sessions = len(self._drivers.told.stays)
        found.wh = sum(stay.wh for stay in self._drivers.told.stays)
        found.coil_p99_ms = _share([tap.ms for tap in self._drivers.told.taps], 0.99)
        found.wrong += self._drivers.told.wrong + charger.unasked + drift(found.days)
        found.wrong += self._untold()
        return found

    def _days(self) -> Story:
        plan, faults, drivers = self._plan, self._faults, self._drivers
        for number in range(1, plan.days + 1):
            ease_s = min(_EASE_S, plan.day_s / 4)
            yield max(0, number * plan.day_s - ease_s - self._world.s)
            faults.pause = True
            yield max(0, ease_s - min(_STILL_S, plan.day_s / 16))
            drivers.pause = True
            patience = 2_000
            while not self._still():
                yield 10
                patience -= 1
                if not patience:
                    self._found.wrong.append(f"day {number}: no rest; {self._site.state}")
                    break
            yield _REST_S
            self._charger.measure()
            yield 5
            faults.pause = drivers.pause = False
        self._charger.stop()

    def _still(self) -> bool:
        """Nobody is there, nothing is wrong, everything is told."""
        state, drivers = self._site.state, self._drivers
        return (
            not drivers.here
            and not self._faults.now
            and self._site.in_step
            and state["journal"]["pending"] == 0
            and state["state"] == "available"
            and state["reader"] == "ok"
            and not state["faults"]
        )

    def _measured(self, figures: Sequence[int]) -> None:
        used, _, largest, blocks, files = figures
        told, site = self._drivers.told, self._site
        counts = (
            len(told.taps), told.visits, len(told.stays), self._network.connections,
            site.changes, site.events, self._charger.lives,
        )  # fmt: skip
        new = [now - then for now, then in zip(counts, self._before, strict=True)]
        taps = told.taps[self._before[0] :]
        self._before = counts
        self._found.days.append(Day(used, largest, blocks, files, *_latency(taps), *new[1:]))
        self._say(f"{self._plan.name}: day {len(self._found.days)} of {self._plan.days}")

    def _untold(self) -> list[str]:
        """What the report says otherwise than the ledger, and what was lost on the way."""
        state = self._site.state
        wrong = []
        if state["journal"]["pending"] or state["events_lost"]:
            wrong.append(f"events: {state['journal']}, lost {state['events_lost']}")
        if state["errors"]:
            wrong.append(f"the firmware has caught {state['errors']} errors: {self._console()}")
        rows = self._site.report(MONDAY - 86_400, self._world.unix() + 86_400)
        if rows["running"] or rows["lost"]:
            wrong.append(f"the report has running {rows['running']}, lost {rows['lost']}")
        return wrong + differences(self._drivers.told.stays, rows["sessions"])

    def _console(self) -> str:
        return " / ".join(list(self._charger.said)[-20:])


def differences(stays: Sequence[Stay], rows: Sequence[dict[str, Any]]) -> list[str]:
    """Between the ledger and the report, in their order. A session whose start the supply's end
    has overtaken need not be there; then every way of pairing is followed."""
    heads = {0}
    for stay in stays:
        after = {at + 1 for at in heads if at < len(rows) and _fits(stay, rows[at])}
        if not stay.sure:
            after |= heads
        if not after:
            at = max(heads)
            row = rows[at] if at < len(rows) else None
            return [f"the report differs from session {at + 1} on: it was {stay}, it says {row}"]
        heads = after
    if len(rows) not in heads:
        return [f"the report has sessions that never were: {rows[max(heads)]}"]
    return []


def _fits(stay: Stay, row: dict[str, Any]) -> bool:
    start, end = (datetime.fromisoformat(row[key]).timestamp() - MONDAY for key in ("start", "end"))
    return stay.fits(row, start, end)


def drift(days: Sequence[Day]) -> list[str]:
    """What is worse on the last day than on the first, by more than it may be."""
    if len(days) < 2:
        return []
    first, last = days[0], days[-1]
    tapped = min(first.taps, last.taps) >= TAPS
    wrong = []
    for what, grown, most in (
        ("heap", last.heap_bytes - first.heap_bytes, HEAP_BYTES),
        ("largest piece of memory that is free: less by", first.largest_bytes - last.largest_bytes,
         LARGEST_BYTES),
        ("blocks of the flash", last.blocks - first.blocks, BLOCKS),
        ("files", last.files - first.files, FILES),
        ("card to coil, p50 in ms", last.p50_ms - first.p50_ms if tapped else 0, P50_MS),
        ("card to coil, p99 in ms", last.p99_ms - first.p99_ms if tapped else 0, P99_MS),
    ):  # fmt: skip
        if grown > most:
            wrong.append(f"{what}: {grown:g} from the first day to the last, at most {most:g}")
    return wrong


def _latency(taps: Sequence[Tap]) -> tuple[int, float, float, int]:
    """How many, p50 and p99 from the card in the field to the coil, and this computer's time."""
    times = [tap.placed_ms for tap in taps]
    quick = sorted(tap.us for tap in taps)
    us = quick[len(quick) // 4] if quick else 0
    return len(taps), _share(times, 0.5), _share(times, 0.99), us


def _share(values: Sequence[float], share: float) -> float:
    in_order = sorted(values)
    return in_order[min(len(in_order) - 1, int(len(in_order) * share))] if in_order else 0.0
