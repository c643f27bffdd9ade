"""What goes wrong in such a week, one thing after the other; what the portal changes meanwhile."""

from __future__ import annotations

import collections
import random
from collections.abc import Callable

from tools.soak.charger import Charger
from tools.soak.drivers import Drivers
from tools.soak.network import Network
from tools.soak.site import Site
from tools.soak.world import Story, World

FAULTS_EVERY_S = 5_400
CHANGES_EVERY_S = 1_100  # some three in an hour
_HOUR = 3_600
_LEFT_FREE = 6  # blocks of a flash that is full
_RIGHTS = ("block", "unblock")


class Faults:
    """`resets`: also those that end a life of the board."""

    def __init__(
        self,
        world: World,
        charger: Charger,
        network: Network,
        site: Site,
        drivers: Drivers,
        chance: random.Random,
        resets: bool,
        pace: float = 1.0,
    ):
        self._world, self._charger, self._network = world, charger, network
        self._site, self._drivers, self._chance = site, drivers, chance
        self.done: collections.Counter = collections.Counter()
        self.now: str | None = None
        self.pause = False
        self._blocked: set[str] = set()
        self._pace = pace
        self._all: dict[str, Callable[[], Story]] = {
            "broker away": self._broker_away,
            "no way to the broker": self._no_route,
            "Wi-Fi flaps": self._flaps,
            "name server dead": self._no_names,
            "broker stalls": self._stalls,
            "broker talks nonsense": self._nonsense,
            "time server away": self._no_time,
            "time server says the past": self._past,
            "reader unplugged": self._reader_unplugged,
            "feedback lost": self._feedback_lost,
            "flash full": self._flash_full,
        }
        if resets:
            self._all |= {
                "power cut": self._power_cut,
                "power cut at a block write": self._cut_at_write,
                "watchdog reset": self._watchdog,
                "power away": self._power_away,
            }
        charger.on_life = self._life
        world.tell(self._go_wrong(), 600)
        world.tell(self._changes(), 300)
        world.tell(self._keep_house(), 600)

    def _life(self, cause: str) -> None:
        self._drivers.restarted()
        self._world.tell(self._drivers.resumes())

    def _go_wrong(self) -> Story:
        """Each kind as often as the others, in any order."""
        while True:
            for name in self._chance.sample(list(self._all), len(self._all)):
                yield self._chance.expovariate(self._pace / FAULTS_EVERY_S)
                while self.pause:
                    yield 30
                self.now = name
                self.done[name] += 1
                yield from self._all[name]()
                self.now = None

    def _so_long(self, least_s: float, most_s: float) -> float:
        return self._chance.uniform(least_s, most_s) / self._pace

    # The link.

    def _broker_away(self) -> Story:
        self._network.wrong.add("broker")
        self._network.break_link()
        self._site.away = True
        yield self._so_long(360, 3 * _HOUR)
        self._network.wrong.discard("broker")
        self._back()

    def _no_route(self) -> Story:
        self._network.wrong.add("no route")
        self._network.lose_link()
        yield self._so_long(60, 1_800)
        self._network.wrong.discard("no route")

    def _flaps(self) -> Story:
        for _ in range(self._chance.randrange(3, 9)):
            self._charger.radio(False)
            yield self._chance.uniform(1, 40)
            self._charger.radio(True)
            yield self._chance.uniform(1, 40)

    def _no_names(self) -> Story:
        self._network.wrong.add("names")
        self._network.break_link()
        yield self._so_long(60, 3_600)
        self._network.wrong.discard("names")

    def _stalls(self) -> Story:
        self._network.wrong.add("stalled")
        yield self._so_long(5, 600)
        self._network.wrong.discard("stalled")

    def _nonsense(self) -> Story:
        for _ in range(4):
            self._network.spoil()
            self._world.look_closely(1)
            yield self._chance.uniform(5, 60)

    def _no_time(self) -> Story:
        yield from self._of_time("time")

    def _past(self) -> Story:
        yield from self._of_time("past")

    def _of_time(self, what: str) -> Story:
        """The board asks every few hours."""
        self._network.wrong.add(what)
        yield self._so_long(_HOUR, 4 * _HOUR)
        self._network.wrong.discard(what)

    def _back(self) -> None:
        self._site.away = False
        if not self._site.published:
            self._site.publish()

    # The hardware.

    def _reader_unplugged(self) -> Story:
        self._charger.reader(True)
        self._drivers.trouble()
        yield self._so_long(10, 1_200)
        self._charger.reader(False)
        self._drivers.trouble(60)  # the next attempt may be so far away

    def _feedback_lost(self) -> Story:
        s = self._so_long(5, 90)
        self._drivers.trouble(s + 600)  # it closes again ever later
        self._charger.feedback(True)
        self._world.look_closely(2)
        yield s
        self._charger.feedback(False)

    def _flash_full(self) -> Story:
        self._charger.fill_flash(_LEFT_FREE)
        yield self._so_long(300, 3_600)
        self._charger.fill_flash(0)
        yield 1

    # The supply.

    def _power_cut(self) -> Story:
        yield from self._in_a_session()
        self._charger.cut()
        yield 60

    def _power_away(self) -> Story:
        self._charger.cut(self._chance.uniform(1, 600))
        yield 60

    def _cut_at_write(self) -> Story:
        self._charger.cut_at_write(self._chance.randrange(1, 60), self._chance.randrange(101))
        yield self._so_long(_HOUR, _HOUR)
        self._charger.cut_at_write(0, 0)

    def _watchdog(self) -> Story:
        yield from self._in_a_session()
        self._charger.hang()
        yield 60

    def _in_a_session(self) -> Story:
        """Every other time, if there is one soon."""
        if self._chance.random() < 0.5:
            for _ in range(200):
                if self._charger.coil:
                    return
                yield self._chance.uniform(5, 40)

    # The portal.

    def _changes(self) -> Story:
        while True:
            yield self._chance.expovariate(self._pace / CHANGES_EVERY_S)
            if self.pause:
                continue
            site, chance = self._site, self._chance
            if chance.random() < 0.15:
                site.change("settings", *self._setting())
            else:
                person = chance.choice(site.moody)
                uid = site.people[person]
                blocked = uid in self._blocked
                (self._blocked.discard if blocked else self._blocked.add)(uid)
                if not blocked:
                    site.blocked_s[uid] = self._world.s
                site.change("card", _RIGHTS[blocked], uid)
            self._world.look_closely(2)

    def _setting(self) -> list[str]:
        if self._chance.random() < 0.5:
            return ["--service-may-start", self._chance.choice(("on", "off"))]
        return ["--resume-within", str(self._chance.choice((3, 4)))]

    def _keep_house(self) -> Story:
        """What `tapgate serve` does beside."""
        while True:
            yield 600
            self._site.take_in(int(self._world.unix()))
            if int(self._world.s) % _HOUR < 600:
                self._site.sweep()
