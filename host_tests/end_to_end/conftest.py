"""A whole site for a test: broker, portal, and virtual chargers that run the real firmware."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tools.broker import Broker
from tools.virtual.client import VirtualCharger

TAPGATE = Path(sys.executable).parent / "tapgate"
ANNA = "04a1b2c3"
OWNER = "04d4e5f6a7b8c9"
STRANGER = "deadbeef"


class Site:
    """One installation: `tapgate(...)` runs the command as a user would and gives its JSON."""

    def __init__(self, home: Path, broker: Broker):
        self.home = home
        self.broker = broker

    def run(self, *arguments: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            [str(TAPGATE), "--home", str(self.home), *arguments],
            capture_output=True,
            text=True,
            timeout=60,
        )

    def tapgate(self, *arguments: str):
        done = self.run(*arguments, "--json")
        assert done.returncode == 0, f"{arguments}: {done.stderr}{done.stdout}"
        return json.loads(done.stdout)

    def install(self, *chargers: str) -> None:
        """An owner with a card, Anna with a card, and chargers; published."""
        self.tapgate(
            "init", "--installation", "home", "--broker", self.broker.url, "--owner", "o@x.org",
            *(("--ca", str(self.broker.ca)) if self.broker.ca else ()),
        )  # fmt: skip
        for name in chargers:
            self.tapgate("charger", "add", name)
        self.tapgate("person", "add", "anna@x.org", "--name", "Anna")
        self.tapgate("grant", "anna@x.org", "--role", "user")
        self.tapgate("card", "add", "anna@x.org", "--number", ANNA, "--as", "hex")
        self.tapgate("card", "add", "o@x.org", "--number", OWNER, "--as", "hex")
        self.tapgate("publish")

    def config(self, name: str) -> Path:
        path = self.home / f"{name}.json"
        self.tapgate("charger", "config", name, "--out", str(path))
        return path

    def charger(self, name: str, flash: str = "", **options) -> VirtualCharger:
        flash_path = self.home / (flash or f"{name}-flash")
        return VirtualCharger.start(self.config(name), flash_path, **options)

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


@pytest.fixture
def site(tmp_path: Path, micropython: str) -> Iterator[Site]:
    with Broker() as broker:
        yield Site(tmp_path, broker)
