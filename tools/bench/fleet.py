"""One broker, one `tapgate serve` and 200 light clients that do what a charger does with its list:
how long until all of them hold a change."""

from __future__ import annotations

import asyncio
import csv
import hashlib
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import aiomqtt
from sqlalchemy import select

from tools.bench.running import BenchError
from tools.broker import Broker
from tools.demo import tapgate
from tools.portal import chargers, database, signing, topics
from tools.portal.schema import Charger
from tools.virtual.client import PROJECT

CHARGERS = 200
CARDS = 1_000
CHANGES = 3
_SITE = "bench"
_AT_ONCE = 20  # connections that are being made
_PATIENCE_S = 120.0
_INDEX_HEAD, _DIGEST_BYTES = 12, 16


class Times(NamedTuple):
    """Seconds. `first`: from all connected to all with the whole list. `change`: from the order to
    the last one that holds it; `served`: to all in step for the portal as well."""

    first: float
    change: float
    served: float


def measured(folder: Path) -> Times:
    home = folder / "home"
    with Broker() as broker:
        _run(home, "init", "--installation", _SITE, "--broker", broker.url, "--owner", "o@x.org")
        cards = _cards(folder / "cards.csv")
        _run(home, "import", str(folder / "cards.csv"))
        with database.changing(home) as session:
            for number in range(CHARGERS):
                chargers.add(session, f"c{number}")
        with database.reading(home) as session:
            keys = {each.name: each.key for each in session.scalars(select(Charger))}
        with _serving(home):
            return asyncio.run(_times(home, broker, keys, cards))


async def _times(home: Path, broker: Broker, keys: dict[str, str], cards: list[str]) -> Times:
    async with AsyncExitStack() as stack:
        news = asyncio.Condition()
        clients = [_Client(name, bytes.fromhex(key), news) for name, key in keys.items()]
        began = time.monotonic()
        for at in range(0, len(clients), _AT_ONCE):
            some = clients[at : at + _AT_ONCE]
            await asyncio.gather(*(stack.enter_async_context(each.link(broker)) for each in some))
            for each in some:
                task = asyncio.create_task(each.run())
                stack.callback(task.cancel)
        await _all_hold(news, clients, lambda each: each.version > 0)
        first = time.monotonic() - began
        held, served = [], []
        for card in cards[:CHANGES]:
            before = {each: each.version for each in clients}
            began = time.monotonic()
            await asyncio.to_thread(_run, home, "card", "block", card)
            await _all_hold(news, clients, lambda each, b=before: each.version > b[each])
            held.append(time.monotonic() - began)
            while not await asyncio.to_thread(_in_step, home):
                if time.monotonic() - began > _PATIENCE_S:
                    raise BenchError("not all of the fleet in step")
            served.append(time.monotonic() - began)
        return Times(first, statistics.median(held), statistics.median(served))


async def _all_hold(news: asyncio.Condition, clients: list[_Client], holds: Any) -> None:
    try:
        async with asyncio.timeout(_PATIENCE_S), news:
            await news.wait_for(lambda: all(holds(each) for each in clients))
    except TimeoutError:
        lacking = sum(not holds(each) for each in clients)
        raise BenchError(f"{lacking} of {len(clients)} chargers do not hold the list") from None


class _Client:
    """Follows its ref as a charger does: objects that it lacks, checked against their names."""

    def __init__(self, name: str, key: bytes, news: asyncio.Condition):
        self._name, self._key, self._news = name, key, news
        self._objects: dict[str, bytes] = {}
        self._ref: dict[str, Any] | None = None
        self._asked: set[str] = set()
        self.version = 0

    def link(self, broker: Broker) -> aiomqtt.Client:
        self._link = aiomqtt.Client(broker.host, broker.port, identifier=self._name)
        return self._link

    async def run(self) -> None:
        topic = topics.allowlist(_SITE, self._name)
        await self._link.subscribe(topic, 1)
        async for message in self._link.messages:
            payload = bytes(message.payload)  # type: ignore[arg-type]
            if message.topic.value == topic:
                self._ref = signing.verified(self._key, topic, payload)
                self._asked.clear()
            else:
                name = message.topic.value.rpartition("/")[2]
                if hashlib.sha256(payload).digest()[:_DIGEST_BYTES].hex() == name:
                    self._objects[name] = payload
                await self._link.unsubscribe(message.topic.value)
            await self._go_on()

    async def _go_on(self) -> None:
        if self._ref is None:
            return
        index = self._objects.get(self._ref["index"])
        wanted = {self._ref["index"]}
        if index is not None:
            digests = index[_INDEX_HEAD:].hex()
            size = 2 * _DIGEST_BYTES
            wanted |= {digests[at : at + size] for at in range(0, len(digests), size)}
        missing = wanted - self._objects.keys()
        for name in missing - self._asked:
            self._asked.add(name)
            await self._link.subscribe(topics.object_(_SITE, name), 1)
        if missing or index is None:
            return
        for name in self._objects.keys() - wanted:
            del self._objects[name]
        version, ref, self._ref = self._ref["v"], self._ref, None
        applied = {"version": version, "digest": ref["index"], "cards": ref["cards"]}
        state = {"online": True, "state": "available", "access": "restricted"}
        text = json.dumps(state | {"allowlist": applied})
        await self._link.publish(topics.state(_SITE, self._name), text, 1, True)
        async with self._news:
            self.version = version
            self._news.notify_all()


def _cards(path: Path) -> list[str]:
    """People with a card each, as a file to import; the cards' numbers."""
    numbers = [f"{0x10000000 + 7919 * number:08x}" for number in range(CARDS)]
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["email", "name", "role", "charger", "number", "as"])
        for at, number in enumerate(numbers):
            rows.writerow([f"p{at}@x.org", f"P {at}", "user", "", number, "hex"])
    return numbers


def _run(home: Path, *arguments: str) -> Any:
    status, out, error = tapgate(["--home", str(home), *arguments, "--json"])
    if status:
        raise BenchError(f"tapgate {' '.join(arguments)}: {error.strip()}")
    return json.loads(out)


def _in_step(home: Path) -> bool:
    """As far as the allow-list goes: the light clients know nothing of settings."""
    return all(
        row["allowlist"]["version"] == row["expected"]["version"] for row in _run(home, "status")
    )


@contextmanager
def _serving(home: Path) -> Iterator[None]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tools.cli", "--home", str(home), "serve"],
        cwd=PROJECT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert process.stdout
        said = []
        for line in process.stdout:
            said.append(line.strip())
            if line.startswith("ready"):
                break
        else:
            raise BenchError("tapgate serve: " + " / ".join(said[-3:]))
        yield
    finally:
        process.terminate()
        try:
            process.communicate(timeout=15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
