"""Several chargers, many random changes, the broker restarted and links cut in between: at the end
every charger holds what the portal expects.

TAPGATE_FLEET=20x200 makes it twenty chargers and two hundred changes.
"""

import json
import os
import random
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from host_tests.end_to_end.conftest import Site, wait
from host_tests.portal.served import ServeProcess
from tools.broker import Broker
from tools.demo import tapgate
from tools.virtual.client import VirtualCharger

KEEPALIVE_S = 4
PEOPLE = 6
CARDS = 12


def size() -> tuple[int, int]:
    chargers, changes = os.environ.get("TAPGATE_FLEET", "3x30").split("x")
    return int(chargers), int(changes)


class Fleet:
    """A site whose owner cannot make up their mind. `chance` decides everything."""

    def __init__(self, site: Site, names: list[str], chance: random.Random):
        self.site, self.names, self.chance = site, names, chance
        self.made: Counter[str] = Counter()
        self.chargers: dict[str, VirtualCharger] = {}
        for i in range(PEOPLE):
            site.tapgate("person", "add", f"p{i}@x.org")

    def change(self) -> None:
        """One command; some are refused, as there is nothing to take away, and change nothing."""
        chance = self.chance
        person = f"p{chance.randrange(PEOPLE)}@x.org"
        card = f"0badca{chance.randrange(CARDS):02x}"
        at = ["--charger", chance.choice(self.names)]
        where = chance.choice([[], at])
        command = chance.choice(
            [
                ["grant", person, "--role", chance.choice(["user", "owner", "service"]), *where],
                ["grant", person, "--role", "user", "--until", "2040-01-01", *where],
                ["revoke", person, *where],
                ["card", "add", person, "--number", card, "--as", "hex"],
                ["card", "remove", card],
                ["card", chance.choice(["block", "unblock"]), card],
                ["access", chance.choice(["open", "restricted"]), *where],
                ["access", "inherit", *at],
            ]
        )
        status, _, error = tapgate(["--home", str(self.site.home), *command])
        assert status in (0, 1), f"{command}: {error}"
        self.made["changed" if status == 0 else "refused"] += 1

    def trouble(self) -> None:
        """Something goes wrong, and may go right again."""
        charger = self.chargers[self.chance.choice(self.names)]
        kind = self.chance.choice(["link cut", "link back", "link back", "power"])
        if kind == "power":
            charger.do("power", off_ms=100)
        else:
            charger.do("link", up=kind == "link back")
        self.made[kind] += 1

    def settle(self, within_s: float) -> list[dict]:
        for charger in self.chargers.values():
            charger.do("link", up=True)

        def all_in_step() -> list[dict] | None:
            rows = self.site.tapgate("status")
            return rows if all(row["in_step"] and row["online"] for row in rows) else None

        try:
            return wait(all_in_step, within_s, "all in step")
        except AssertionError:
            raise AssertionError(json.dumps(self.site.tapgate("status"), indent=1)) from None


@pytest.fixture
def fleet(micropython: str, tmp_path: Path) -> Iterator[Fleet]:
    names = [f"c{i}" for i in range(size()[0])]
    with Broker() as broker, ExitStack() as all_of_it:
        site = Site(tmp_path, broker)
        for name in names:
            site.tapgate("charger", "add", name)
        made = Fleet(site, names, random.Random(int(os.environ.get("TAPGATE_SEED", "7"))))
        for name in names:
            path = site.config(name)
            path.write_text(json.dumps(json.loads(path.read_text()) | {"keepalive_s": KEEPALIVE_S}))
            started = VirtualCharger.start(path, site.home / f"{name}-flash")
            made.chargers[name] = all_of_it.enter_context(started)
        yield made


def test_at_the_end_every_charger_holds_what_the_portal_expects(fleet: Fleet):
    chargers, changes = size()
    patience_s = 60 + 5 * chargers
    serve = ServeProcess(fleet.site.home)
    try:
        serve.says("ready", patience_s)
        fleet.settle(patience_s)
        for turn in range(1, changes + 1):
            fleet.change()
            if turn % 4 == 0:
                fleet.trouble()
            if turn % (changes // 2) == 0:
                fleet.site.broker.stop()
                time.sleep(0.3)
                fleet.site.broker.start()
            if turn % (changes // 3) == 0:
                serve.kill()
                serve = ServeProcess(fleet.site.home)
        rows = fleet.settle(patience_s)
    finally:
        serve.kill()
    assert len(rows) == chargers
    for row in rows:
        assert row["allowlist"] == {key: row["expected"][key] for key in row["allowlist"]}
        assert row["access"] == row["expected"]["access"]
        assert row["published"] and row["behind_since"] is None
    assert fleet.made["changed"] > changes // 3, fleet.made
