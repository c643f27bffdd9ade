"""The portal as its users meet it: a command line, a home directory, a broker."""

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from tools.broker import AMQTT, MOSQUITTO, Broker, mosquitto
from tools.cli import main

OWNER = "ola@example.org"


@dataclass
class Answer:
    """What one command said."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        assert self.status == 0, self.err
        return json.loads(self.out)


Tapgate = Callable[..., Answer]


@pytest.fixture(scope="session")
def _place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same for all tests: what SQLAlchemy has compiled for a database it need not again."""
    return tmp_path_factory.mktemp("site") / "home"


@pytest.fixture
def home(_place: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home directory that nobody has set up yet."""
    chosen = _place
    monkeypatch.setenv("TAPGATE_HOME", str(chosen))
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.delenv("TAPGATE_DEBUG", raising=False)
    monkeypatch.delenv("TAPGATE_WIFI_PASSWORD", raising=False)
    yield chosen
    shutil.rmtree(chosen, ignore_errors=True)


@pytest.fixture
def tapgate(home: Path, capsys: pytest.CaptureFixture[str]) -> Tapgate:
    """Run a command in this process."""

    def run(*arguments: str) -> Answer:
        capsys.readouterr()
        status = main(arguments)
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        return Answer(status, said.out, said.err)

    return run


@pytest.fixture(scope="session")
def _set_up(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("set-up") / "home"
    init = ["init", "--installation", "home", "--broker", "mqtt://127.0.0.1:9", "--owner", OWNER]
    assert main([*init, "--timezone", "Europe/Oslo", "--home", str(made)]) == 0
    assert main(["charger", "add", "garage", "--home", str(made)]) == 0
    return made


@pytest.fixture
def site(tapgate: Tapgate, home: Path, _set_up: Path) -> Tapgate:
    """An installation "home" in Oslo with the owner OWNER and a charger "garage"; no broker."""
    shutil.copytree(_set_up, home)
    return tapgate


@pytest.fixture
def anna(site: Tapgate) -> str:
    """A person without permissions or cards."""
    assert site("person", "add", "anna@example.org").status == 0
    return "anna@example.org"


@pytest.fixture
def listed(home: Path) -> Callable[..., dict[str, bytes]]:
    """The entries of a charger's list as it ought to be, by token."""

    def read(charger: str = "garage") -> dict[str, bytes]:
        from tools.portal import database, installation, lists

        with database.reading(home) as session:
            found = {
                each.charger.name: each.built
                for each in lists.wanted(session, installation.current(session))
            }[charger]
        shards = [each for each in found.objects.values() if each.startswith(b"TGS1")]
        entries = [shard[at : at + 16] for shard in shards for at in range(8, len(shard), 16)]
        return {each[:7].hex(): each for each in entries}

    return read


@pytest.fixture(params=[MOSQUITTO, AMQTT])
def any_broker(request: pytest.FixtureRequest) -> Iterator[Broker]:
    """Each of the brokers in turn."""
    if request.param == MOSQUITTO and not mosquitto():
        pytest.skip("mosquitto is not installed on this machine")
    with Broker(request.param) as broker:
        yield broker


@pytest.fixture
def broker() -> Iterator[Broker]:
    with Broker() as running:
        yield running


def process(*arguments: str, **settings: Any) -> subprocess.Popen[str]:
    """A command in a process of its own. Each costs a second of start-up: most tests need none."""
    return subprocess.Popen(
        [sys.executable, "-m", "tools.cli", *arguments],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONUNBUFFERED": ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **settings,
    )


class Observer:
    """Another client of the broker: sees everything in order, and can say anything."""

    def __init__(self, broker: Broker):
        self.messages: list[mqtt.MQTTMessage] = []
        self._ready = threading.Event()
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2)
        self._client.on_message = lambda _client, _data, message: self.messages.append(message)
        self._client.on_subscribe = lambda *_: self._ready.set()
        if broker.user:
            self._client.username_pw_set(broker.user, broker.password)
        if broker.ca:
            self._client.tls_set(str(broker.ca))
        self._client.connect(broker.host, broker.port)
        self._client.loop_start()
        self._client.subscribe("tapgate/#", 1)
        assert self._ready.wait(10)

    def say(self, topic: str, payload: bytes | str | dict) -> None:
        """Publish retained, as a charger or an attacker would."""
        text = json.dumps(payload) if isinstance(payload, dict) else payload
        self._client.publish(topic, text, qos=1, retain=True).wait_for_publish(10)

    def tell(self, topic: str, payload: bytes, qos: int = 1) -> None:
        """Publish for whoever is there, as events are."""
        self._client.publish(topic, payload, qos=qos).wait_for_publish(10)

    def until(self, condition: Callable[[], Any]) -> None:
        end = time.monotonic() + 10
        while not condition():
            assert time.monotonic() < end, [each.topic for each in self.messages]
            time.sleep(0.01)

    def newest(self) -> dict[str, bytes]:
        return {each.topic: bytes(each.payload) for each in self.messages}

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture
def observe() -> Iterator[Callable[[Broker], Observer]]:
    """Make observers, closed at the end."""
    made: list[Observer] = []

    def observer(broker: Broker) -> Observer:
        made.append(Observer(broker))
        return made[-1]

    yield observer
    for each in made:
        each.close()


@pytest.fixture
def live(site: Tapgate, broker: Broker) -> Tapgate:
    """The installation with a broker that runs."""
    assert site("broker", broker.url).status == 0
    return site
