"""Who comes to the charger, and the ledger of it: kept at the coil and the meter, knowing nothing
of the journal but by when something is on its flash."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import NamedTuple

from tools.soak.charger import Charger
from tools.soak.site import OWNER, Site
from tools.soak.world import MONDAY, Story, World

GAPS_S = 1_300  # between two drivers, in the mean
_STORED_S = 75  # energy is on the flash by then, or a hundred watt-hours
_STORED_WH = 120
_WRITTEN_S = 1.5  # so is a session's start
_PATIENCE_S = 2.0  # in which the coil has to follow an approved card
_CALM_S = 90  # after a start, a change or a fault: until then a verdict may be the one from before
_RESUMES_S = 20
_KINDS, _OF_EACH = ("steady", "moody", "office", "owner", "unknown"), (50, 15, 15, 5, 15)
_NEAR_S = 120  # of a schedule's edge


class Tap(NamedTuple):
    """From the card's answer, and from its arrival in the field, to the coil."""

    s: float
    ms: float
    placed_ms: float
    us: int  # of this computer, the stand-ins included
    frames: int
    reads: int


@dataclass
class Stay:
    """One session at the hardware; seconds since the beginning."""

    person: str
    began: float
    wh_before: int
    ended: float = 0.0
    wh: int = 0
    lost_wh: int = 0  # that may never have come to the flash
    cuts: int = 0
    sure: bool = True  # that even its start was stored

    def fits(self, row: dict, start: float, end: float) -> bool:
        """Whether that may be this session in the report; `start`, `end`: what it says."""
        then = row["estimated"] or (
            abs(start - self.began) < 5 and (self.cuts > 0 or abs(end - self.ended) < 5)
        )
        enough = self.wh - self.lost_wh - 2 <= row["wh"] <= self.wh + 2
        return row["person"] == self.person and enough and bool(then)


@dataclass
class Told:
    """What came of it all."""

    stays: list[Stay] = field(default_factory=list)
    taps: list[Tap] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    visits: int = 0


class Drivers:
    """One after the other. `pause`: nobody new comes. `troubled_s`: until then, nothing is said of
    who should have been let in."""

    def __init__(
        self, world: World, charger: Charger, site: Site, chance: random.Random, pace: float
    ):
        self._pace = pace
        self._world, self._charger, self._site, self._chance = world, charger, site, chance
        self.told = Told()
        self.pause = False
        self.here = False
        self.troubled_s = 0.0
        self._right: str | None = None  # whose card may close the coil at this moment
        self._waits_for_coil = False
        self._tapped_ns = 0
        self.stay: Stay | None = None
        self._booted_s = 0.0
        charger.on_coil = self._coil
        world.tell(self._days(), 60)

    def trouble(self, s: float = 0) -> None:
        """Something is wrong, for so long and a while longer."""
        self.troubled_s = max(self.troubled_s, self._world.s + s + _CALM_S)

    def restarted(self) -> None:
        """The board has gone down, and comes up again."""
        self._booted_s = self._world.s
        self.trouble()
        if self.stay:
            stay = self.stay
            stay.cuts += 1
            if self._world.s - stay.began < _WRITTEN_S:
                stay.sure = False
            stay.lost_wh += self._charger.per_hour * _STORED_S // 3_600 + _STORED_WH

    # Stories.

    def _days(self) -> Story:
        while True:
            yield self._chance.expovariate(self._pace / GAPS_S)
            if not self.pause and not self._charger.reader_dead and self._up():
                self.here = True
                yield from self._visit()
                self.here = False

    def _visit(self) -> Story:
        chance, charger, world = self._chance, self._charger, self._world
        self.told.visits += 1
        world.look_closely(2)
        yield 1
        (kind,) = chance.choices(_KINDS, _OF_EACH)
        person, uid = self._somebody(kind)
        charger.draw(chance.choice((3_700, 7_400, 11_000, 22_000)))
        world.look_closely(8)
        first = chance.random() < 0.15
        if not first:
            charger.plug(True)
        yield chance.uniform(0.5, 3)
        may = self._verdict(uid)
        self._right = person if may is not False else None
        self._waits_for_coil = not first
        self._tapped_ns = world.now_ns
        before = self._trouble_now
        yield charger.tap(uid)
        if first:
            yield chance.uniform(1, 5)
            world.look_closely(3)
            charger.plug(True)
        yield _PATIENCE_S
        self._waits_for_coil = False
        if self.stay is None:
            if may and not before and not self._trouble_now:
                self._wrong(f"{person or uid} was not let in by {uid}")
            self._right = None
            yield chance.uniform(5, 60)
        else:
            yield from self._charges(person)
        world.look_closely(3)
        self._right = None
        charger.plug(False)
        self._over()
        yield 3

    def _charges(self, person: str) -> Story:
        chance, world, charger = self._chance, self._world, self._charger
        s = chance.choice((chance.uniform(20, 300), chance.uniform(300, 5_400)))
        until = world.s + s / self._pace
        while world.s < until and self.stay is not None:
            self._opened()
            yield min(until - world.s, chance.uniform(60, 900) / self._pace)
            if chance.random() < 0.1 and self._up() and not charger.reader_dead:
                world.look_closely(2)  # somebody else's card changes nothing
                yield 1
                charger.tap(self._somebody("unknown")[1])
                yield 1
        if self.stay is None or chance.random() < 0.5 or self._trouble_now or charger.reader_dead:
            return
        how = chance.choice((person, OWNER))
        world.look_closely(4)
        yield 1
        self._right = None  # from here on it may only go off
        stopped = self._charger.coil
        yield charger.tap(self._site.people[how])
        yield 1
        if stopped and charger.coil and not self._trouble_now and self.stay:
            self._wrong(f"{how}'s card has not ended the session of {person}")

    def _somebody(self, kind: str) -> tuple[str, str]:
        site, chance = self._site, self._chance
        if kind == "unknown":
            return "", chance.randbytes(4).hex().replace("08", "18", 1).replace("88", "98", 1)
        who = {"steady": site.steady, "moody": site.moody, "office": site.office, "owner": [OWNER]}
        person = chance.choice(who[kind])
        return person, site.people[person]

    def _verdict(self, uid: str) -> bool | None:
        """Whether it is let in; None: it may be, or not."""
        said = self._site.verdict(uid) == "Accepted"
        office = uid in [self._site.people[each] for each in self._site.office]
        near = (MONDAY + self._world.s + _NEAR_S) % 3_600 < 2 * _NEAR_S
        if not self._site.in_step or self._trouble_now or (office and near):
            return None if uid in self._site.people.values() else False
        return said

    @property
    def _trouble_now(self) -> bool:
        return self._world.s < self.troubled_s

    def _up(self) -> bool:
        return self._world.s - self._booted_s > 10

    # At the coil.

    def _coil(self, on: bool, tap: tuple[int, int, int, int]) -> None:
        world = self._world
        if on:
            if self._right is None or not self._charger.connected:
                self._wrong("the coil is driven, and nobody has the right")
                return
            if self.stay is None:
                self.stay = Stay(self._right, world.s, self._charger.wh)
                self.told.stays.append(self.stay)
            if self._waits_for_coil:
                self._waits_for_coil = False
                found_ns, us, frames, reads = tap
                if found_ns > self._tapped_ns:
                    placed = (world.now_ns - self._charger.placed_ns) / 1e6
                    ms = (world.now_ns - found_ns) / 1e6
                    self.told.taps.append(Tap(world.s, ms, placed, us, frames, reads))
        elif self.stay and self._right is not None and self._charger.connected:
            world.look_closely(1)
            world.later(0.2, self._opened)

    def _opened(self) -> None:
        """The coil has gone off, and its vehicle is still there."""
        stay = self.stay
        if self._charger.coil or self._right is None or stay is None:
            return
        stay.cuts += 1  # its end, if this is it, is not told by the vehicle's
        if self._trouble_now:
            return
        blocked_s = self._site.blocked_s.get(self._site.people[self._right], -_CALM_S)
        if blocked_s < stay.began - _CALM_S:
            self._wrong(f"the coil has gone off while {self._right} charged")
        self._right = None
        self._over()

    def resumes(self) -> Story:
        """After a start: the session goes on by itself, or has ended."""
        stay = self.stay
        yield _RESUMES_S
        if stay is not None and stay is self.stay and not self._charger.coil:
            self._right = None
            self._over()

    def _over(self) -> None:
        stay, self.stay = self.stay, None
        if stay:
            stay.ended = self._world.s
            stay.wh = self._charger.wh - stay.wh_before

    def _wrong(self, what: str) -> None:
        day, s = divmod(int(self._world.s), 86_400)
        clock = f"{s // 3_600:02}:{s // 60 % 60:02}:{s % 60:02}"
        self.told.wrong.append(f"day {day + 1}, {clock}: {what}")
