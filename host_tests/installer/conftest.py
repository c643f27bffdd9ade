"""A workshop: an installation with a broker, and virtual boards on cables, bare ones too."""

import itertools
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tools import mpy
from tools.broker import Broker
from tools.demo import tapgate
from tools.installer import selftest
from tools.virtual.client import VirtualCharger

_numbers = itertools.count(1)


class Answer(NamedTuple):
    status: int
    found: dict[str, Any]
    err: str

    def part(self, name: str) -> dict[str, Any]:
        return next(each for each in self.found["parts"] if each["part"] == name)


class Workshop:
    """`tapgate(...)` runs a command and gives its JSON; `board(name)` lays a board on the table."""

    def __init__(self, folder: Path, broker: Broker):
        self.folder, self.home, self.broker = folder, folder / "home", broker
        self.running: list[VirtualCharger] = []
        self.tapgate("init", "--installation", "home", "--broker", broker.url, "--owner", "o@x.org")
        self.tapgate("person", "add", "anna@x.org")
        self.tapgate("grant", "anna@x.org", "--role", "user")
        self.tapgate("card", "add", "anna@x.org", "--number", "04a1b2c3", "--as", "hex")

    def tapgate(self, *arguments: str) -> Any:
        status, out, error = tapgate(["--home", str(self.home), *arguments, "--json"])
        assert status == 0, f"{arguments}: {error}{out}"
        return json.loads(out)

    def charger(self) -> str:
        """A new one, known to the portal."""
        name = f"c{next(_numbers)}"
        self.tapgate("charger", "add", name)
        return name

    def config(self, name: str) -> Path:
        """Its config.json, as it is to be on its board."""
        path = self.folder / f"{name}.json"
        self.tapgate("charger", "config", name, "--out", str(path))
        return path

    def board(self, name: str, **options: Any) -> VirtualCharger:
        """A board with its flash in NAME.img, bare if that is new."""
        options.setdefault("flash", self.folder / f"{name}.img")
        options.setdefault("until", "either")
        self.running.append(VirtualCharger.start(serial=True, **options))
        return self.running[-1]

    def installed(self, name: str, **options: Any) -> VirtualCharger:
        """A board that is that charger already, its firmware proven, and reports itself."""
        config = self.config(name)
        self.tapgate("publish")
        board = self.board(name, config=config, **options)
        until(lambda: self.tapgate("status", name)[0]["online"], 20, "online")
        return board

    def provision(self, board: VirtualCharger, name: str, *options: str) -> Answer:
        """The command, as nobody answers questions."""
        call = ["--home", str(self.home), "provision", "--port", board.serial, "--charger", name]
        status, out, err = tapgate([*call, *options, "--json"])
        assert "Traceback" not in err
        return Answer(status, json.loads(out) if out else {}, err)


@pytest.fixture(scope="module")
def broker(micropython: str) -> Iterator[Broker]:
    with Broker() as running:
        yield running


@pytest.fixture(scope="module")
def _workshop(broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return Workshop(tmp_path_factory.mktemp("workshop"), broker)


@pytest.fixture
def workshop(_workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workshop]:
    monkeypatch.delenv("TAPGATE_WIFI_PASSWORD", raising=False)
    monkeypatch.setattr("sys.stdin", open("/dev/null"))  # noqa: SIM115
    # It takes twenty seconds, and has tests of its own.
    monkeypatch.setattr(selftest, "run", lambda port, say: [])
    yield _workshop
    for each in _workshop.running:
        each.stop()
    _workshop.running.clear()


Release = Callable[..., None]


@pytest.fixture
def release(monkeypatch: pytest.MonkeyPatch) -> Release:
    """release("0.2.0", {"firmware/app.py": (old, new)}): from now on the firmware is that one."""

    def make(version: str, changes: dict[str, tuple[str, str]] | None = None) -> None:
        texts = mpy.sources()
        changed = {
            "firmware/__init__.py": (texts["firmware/__init__.py"], f'VERSION = "{version}"\n')
        }
        for name, (old, new) in {**changed, **(changes or {})}.items():
            assert old in texts[name]
            texts[name] = texts[name].replace(old, new, 1)
        image = mpy.image(texts)
        monkeypatch.setattr(mpy, "image", lambda: image)
        monkeypatch.setattr(mpy, "version", lambda: version)

    return make


def until(condition: Callable[[], Any], within_s: float, what: str) -> Any:
    """The first true value of `condition()`."""
    end = time.monotonic() + within_s
    while not (value := condition()):
        assert time.monotonic() < end, f"not {what} within {within_s} s"
        time.sleep(0.05)
    return value
