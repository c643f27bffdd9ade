"""A whole site for a test: broker, portal, and virtual chargers that run the real firmware."""

import itertools
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tools.broker import Broker
from tools.demo import tapgate
from tools.virtual.client import VirtualCharger

ANNA = "04a1b2c3"
OWNER = "04d4e5f6a7b8c9"
STRANGER = "deadbeef"

_numbers = itertools.count(1)


class Site:
    """One installation: `tapgate(...)` runs a command and gives its JSON.

    The owner and Anna have a card each, the stranger's is on no list.
    """

    def __init__(self, home: Path, broker: Broker):
        self.home = home
        self.broker = broker
        self.tapgate(
            "init", "--installation", "home", "--broker", broker.url, "--owner", "o@x.org",
            *(("--ca", str(broker.ca)) if broker.ca else ()),
        )  # fmt: skip
        self.tapgate("person", "add", "anna@x.org", "--name", "Anna")
        self.tapgate("grant", "anna@x.org", "--role", "user")
        self.tapgate("card", "add", "anna@x.org", "--number", ANNA, "--as", "hex")
        self.tapgate("card", "add", "o@x.org", "--number", OWNER, "--as", "hex")

    def tapgate(self, *arguments: str):
        status, out, error = tapgate(["--home", str(self.home), *arguments, "--json"])
        assert status == 0, f"{arguments}: {error}{out}"
        return json.loads(out)

    def change(self, *arguments: str) -> None:
        """A command that changes something, and out to the chargers."""
        self.tapgate(*arguments)
        self.tapgate("publish")

    def add(self, name: str) -> None:
        self.change("charger", "add", name)

    def config(self, name: str, **changes) -> Path:
        """The charger's config.json; `changes` are put into its section `broker`."""
        path = self.home / f"{name}.json"
        self.tapgate("charger", "config", name, "--out", str(path))
        config = json.loads(path.read_text())
        config["broker"].update(changes)
        path.write_text(json.dumps(config))
        return path

    def charger(self, name: str, **changes) -> VirtualCharger:
        """Power it up; its flash is where it was left."""
        return VirtualCharger.start(self.config(name, **changes), self.home / f"{name}-flash")

    def status(self, name: str) -> dict:
        (entry,) = self.tapgate("status", name)
        return entry

    def wait_in_step(self, name: str, within_s: float = 20) -> dict:
        return wait(lambda: (s := self.status(name))["in_step"] and s, within_s, "in step")


def wait(condition: Callable, within_s: float, what: str):
    """The first true value of `condition()`; fails when there was none in time."""
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.05)
    raise AssertionError(f"not {what} within {within_s} s")


@pytest.fixture(scope="module")
def broker(micropython: str) -> Iterator[Broker]:
    with Broker() as running:
        yield running


@pytest.fixture(scope="module")
def site(broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """One installation for all tests of a file; each adds chargers of its own."""
    return Site(tmp_path_factory.mktemp("site"), broker)


@pytest.fixture
def name() -> str:
    """The name of the test's own charger."""
    return f"c{next(_numbers)}"


@pytest.fixture
def charger(site: Site, name: str) -> Iterator[VirtualCharger]:
    """A charger of the test's own, restricted, its list in step."""
    site.add(name)
    with site.charger(name) as running:
        site.wait_in_step(name)
        yield running
