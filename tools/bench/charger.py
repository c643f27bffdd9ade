"""The virtual charger with the whole firmware and 50,000 cards: its memory, and what a change of
one card costs with all that MQTT adds."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from tools import mpy
from tools.bench import lists
from tools.bench.running import BenchError
from tools.bench.taps import Charger
from tools.broker import Broker
from tools.fault_proxy import FaultProxy
from tools.portal import topics
from tools.portal.token import token
from tools.virtual.client import VirtualCharger

_LOOKS = 8
_CHANGES = 6
_WAIT_S = 60
_BLOCK_BYTES = 4096
_VERSION = 1_000  # of the list on the image (growth.py)


class Cost(NamedTuple):
    """Of changes of one card each."""

    received: list[int]  # bytes, all that the broker has sent meanwhile
    blocks: list[int]  # whose content is another


def heap_bytes(folder: Path, made: Charger) -> int:
    """In use once all is in step over TLS, on this 64-bit MicroPython."""
    with Broker(tls=True) as broker, _Listener(broker) as listener:
        assert broker.ca
        config = {"port": broker.port, "tls": True, "ca": broker.ca.read_text()}
        with _powered(folder, made, config) as charger:
            listener.wait_online()
            # Each look follows a collection; what comes and goes may be there once, not always.
            looks = [charger.status()["heap_used"] for _ in range(_LOOKS)]
    found = [look for look in looks if look is not None]
    if not found:
        raise BenchError("the virtual board did not say what memory it uses")
    return min(found)


def one_card(folder: Path, made: Charger) -> Cost:
    """Changes of one card among all, each until the charger says that it is in force."""
    received: list[int] = [0]

    def note(data: bytes) -> bytes:
        received[0] += len(data)
        return data

    cost = Cost([], [])
    with Broker() as broker, _Listener(broker) as listener, FaultProxy(broker.port) as proxy:
        proxy.rewrite = note
        with _powered(folder, made, {"port": proxy.port}) as charger:
            listener.wait_online()
            before = made.list
            for number in range(_CHANGES):
                time.sleep(1)  # what the last one has left is put in order
                card = token(lists.CARD_KEY, bytes.fromhex(made.uids[number]))
                after = before.changed(card, lists.USER | lists.BLOCKED)
                image, received[0] = _blocks(folder), 0
                version = _VERSION + 1 + number
                listener.publish(before, after, version)
                listener.wait(lambda state, v=version: state["allowlist"]["version"] == v)
                cost.received.append(received[0])
                there = zip(image, _blocks(folder), strict=True)
                cost.blocks.append(sum(old != new for old, new in there))
                before = after
            charger.status()
    return cost


def compiled_bytes() -> tuple[int, int]:
    """All of `firmware/` as .mpy, and the image of the ROM that it lies in."""
    texts = mpy.sources()
    files = {name: mpy.compiled(mpy.module(name), text) for name, text in texts.items()}
    return sum(map(len, files.values())), len(mpy.image())


def _powered(folder: Path, made: Charger, broker: dict[str, Any]) -> VirtualCharger:
    shutil.copy(made.image, folder / "virtual.img")
    config = folder / "virtual.json"
    config.write_text(lists.config(broker))
    return VirtualCharger.start(config, folder / "virtual.img")


def _blocks(folder: Path) -> list[bytes]:
    content = (folder / "virtual.img").read_bytes()
    return [content[at : at + _BLOCK_BYTES] for at in range(0, len(content), _BLOCK_BYTES)]


class _Listener:
    """Hears what the charger says of itself, and publishes for it as the portal would."""

    def __init__(self, broker: Broker):
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2)
        if broker.ca:
            self._client.tls_set(str(broker.ca))
        self._news = threading.Condition()
        self._state: dict[str, Any] = {}
        self._topic = topics.state(lists.INSTALLATION, lists.CHARGER)
        self._client.on_message = self._hear
        self._client.connect(broker.host, broker.port)
        self._client.loop_start()
        self._client.subscribe(self._topic, 1)

    def __enter__(self) -> _Listener:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _hear(self, _client: object, _data: object, message: mqtt.MQTTMessage) -> None:
        with self._news:
            self._state = json.loads(message.payload)
            self._news.notify_all()

    def wait(self, wanted: Callable[[dict[str, Any]], bool]) -> None:
        end = time.monotonic() + _WAIT_S
        with self._news:
            while not (self._state.get("online") and wanted(self._state)):
                if time.monotonic() > end:
                    raise BenchError(f"the virtual charger's state is {self._state}")
                self._news.wait(0.1)

    def wait_online(self) -> None:
        self.wait(lambda state: state["allowlist"]["cards"] == lists.LARGE)

    def publish(self, before: lists.List, after: lists.List, version: int) -> None:
        for name in after.names - before.names:
            topic = topics.object_(lists.INSTALLATION, name)
            self._client.publish(topic, after.made.objects[name], 1, True)
        _, raw = after.ref(version)
        self._client.publish(lists.TOPIC, raw, 1, True)
