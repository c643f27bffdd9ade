"""The installation, by the portal's own code in this process: permissions, lists, settings, events,
report. Its broker is the one of this package."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tools.demo import tapgate
from tools.portal import database, intake, publishing, topics
from tools.soak.broker import Broker

INSTALLATION = "soak"
OWNER, OFFICE = "owner@example.org", "office"
_OWNER_CARD = "04d4e5f6a7b8c9"
_GRACE_S = 3_600


class SiteError(Exception):
    """The portal has refused something; its own line."""


class _Link:
    """To a broker that takes everything (tools/portal/broker.py has the real one)."""

    shown = "the soak's broker"

    def __init__(self, broker: Broker):
        self._broker = broker
        self.seen = broker.retained
        self.watched: set[str] = set()

    async def watch(self, wanted: Sequence[str]) -> None:
        self.watched.update(wanted)

    async def put(self, messages: Mapping[str, bytes]) -> None:
        for topic, payload in messages.items():
            self._broker.publish(topic, payload)

    async def came_back(self, messages: Mapping[str, bytes]) -> bool:
        return all(self.seen.get(topic) == payload for topic, payload in messages.items())

    async def turn_away(self, wanted: Sequence[str]) -> None:
        self.watched.difference_update(wanted)


class Site:
    """One charger's installation. `people`: e-mail -> the number of the card; `crowd`: so many more
    are on the list and never come."""

    def __init__(self, home: Path, charger: str, crowd: int, chance: random.Random):
        self.home, self.charger = home, charger
        self.broker = Broker(self._hear)
        self.state: dict[str, Any] = {}
        self.events = 0
        self.changes = 0
        self.published = True
        self.away = False  # the broker: nothing can be published
        self.blocked_s: dict[str, float] = {}  # cards, and when that was last done to them
        self._unstored: list[tuple[str, str, bytes]] = []
        self.people = {f"user{n}@example.org": _number(chance, 4 + 3 * (n % 2)) for n in range(24)}
        self.steady = list(self.people)[:16]
        self.moody = list(self.people)[16:21]  # whose cards are blocked and let in again
        self.office = list(self.people)[21:]
        self.people[OWNER] = _OWNER_CARD
        self._install(crowd, chance)

    def tapgate(self, *arguments: str) -> Any:
        status, out, error = tapgate(["--home", str(self.home), *arguments, "--json"])
        if status:
            raise SiteError(f"tapgate {' '.join(arguments)}: {error.strip()}")
        return json.loads(out)

    def change(self, *arguments: str) -> None:
        """Something, and out to the charger, as soon as there is a broker."""
        self.tapgate(*arguments)
        self.changes += 1
        self.publish()

    def publish(self) -> None:
        self.published = not self.away
        if self.published:
            asyncio.run(self._publish())

    def verdict(self, uid: str) -> str:
        """What a charger that is in step says to that card at this moment."""
        return self.tapgate("check", self.charger, "--card", uid, "--as", "hex")["verdict"]

    @property
    def in_step(self) -> bool:
        """Whether the charger has said that it holds what it should."""
        if not self.published or not self.state.get("online"):
            return False
        topic = topics.allowlist(INSTALLATION, self.charger)
        body = json.loads(self.broker.retained[topic].partition(b" ")[2])
        return self.state["allowlist"]["version"] == body["v"]

    def take_in(self, now: int) -> None:
        """What the charger has said, as `tapgate serve` does it."""
        said, self._unstored = self._unstored, []
        if said:
            with database.changing(self.home) as session:
                _, refused = intake.store(session, said, now)
            if refused:
                raise SiteError(f"refused: {refused[0]}")

    def sweep(self) -> None:
        if not self.away:
            asyncio.run(self._sweep())

    def report(self, first_s: float, last_s: float) -> dict[str, Any]:
        days = [str(datetime.fromtimestamp(s, UTC).date()) for s in (first_s, last_s)]
        return self.tapgate("report", "--from", days[0], "--to", days[1], "--format", "json")

    def _hear(self, topic: str, payload: bytes) -> None:
        if topic == topics.state(INSTALLATION, self.charger):
            self.state = json.loads(payload)
        elif topic == topics.event(INSTALLATION, self.charger):
            self.events += 1
            self._unstored.append((self.charger, topic, payload))

    async def _publish(self) -> None:
        await publishing.bring_up_to_date(_Link(self.broker), self.home)  # pyright: ignore

    async def _sweep(self) -> None:
        await publishing.sweep(_Link(self.broker), self.home, _GRACE_S)  # pyright: ignore

    def _install(self, crowd: int, chance: random.Random) -> None:
        self.tapgate(
            "init", "--installation", INSTALLATION, "--broker", "mqtt://broker.example:1883",
            "--owner", OWNER, "--timezone", "UTC",
        )  # fmt: skip
        self.tapgate("charger", "add", self.charger)
        self.tapgate("schedule", "add", OFFICE, "--week", "mo-fr 08:00-18:00, sa 09:00-12:00")
        rows = [f"{email},,user,,{uid},hex" for email, uid in self.people.items() if email != OWNER]
        rows += [f"p{n}@example.org,,user,,{_number(chance, 7)},hex" for n in range(crowd)]
        table = self.home / "people.csv"
        table.write_text("\n".join(["email,name,role,charger,number,as", *rows]) + "\n")
        self.tapgate("import", str(table))
        self.tapgate("card", "add", OWNER, "--number", _OWNER_CARD, "--as", "hex")
        for email in self.office:
            self.tapgate("grant", email, "--role", "user", "--schedule", OFFICE)
        self.publish()

    def config(self, name: Path) -> bytes:
        self.tapgate(
            "charger", "config", self.charger, "--out", str(name),
            "--set", "meter.kind=s0", "--set", "meter.pulses_per_kwh=1000",
        )  # fmt: skip
        return name.read_bytes()


def _number(chance: random.Random, size: int) -> str:
    while True:
        number = chance.randbytes(size)
        if number[0] not in (0x08, 0x88):
            return number.hex()
