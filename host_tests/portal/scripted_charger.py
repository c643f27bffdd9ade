"""A charger that says what a test has written down for it, over a real broker.

It checks every command as a board does (signature, `v`, `exp`) with the board's own code.
"""

import itertools
import json
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from firmware.link import messages
from tools.broker import Broker

Body = dict[str, Any]


def done(why: str | None = None) -> Body:
    """The answer to a command."""
    return {"event": "command_done", "ok": why is None, "why": why}


class ScriptedCharger:
    """`answers`: by a command's name, the events that follow it, or a function of its body that
    gives them. `{"v": …}` of the command and its name are filled in. `commands`: what was taken;
    `errors`: what was not.
    """

    def __init__(self, home: Path, broker: Broker, name: str = "garage", state: Body | None = None):
        with sqlite3.connect(home / "tapgate.db") as connection:
            found = connection.execute("SELECT key FROM charger WHERE name = ?", [name])
            self.key = bytes.fromhex(next(found)[0])
        self.base = f"tapgate/home/{name}/"
        self.answers: dict[str, Iterable[Body] | Callable[[Body], Iterable[Body]]] = {}
        self.commands: list[Body] = []
        self.errors: list[Exception] = []
        self.boot = 3
        self._n = itertools.count(1_000)
        self._v = 0
        self._ready = threading.Event()
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2)
        self._client.on_message = self._hear
        self._client.on_subscribe = lambda *_: self._ready.set()
        self._client.connect(broker.host, broker.port)
        self._client.loop_start()
        self._client.subscribe(self.base + "command", 1)
        assert self._ready.wait(10)
        self.state(state or {"online": True, "state": "awaiting", "vehicle": True})

    def state(self, body: Body) -> None:
        topic = self.base + "state"
        self._client.publish(topic, json.dumps(body), qos=1, retain=True).wait_for_publish(10)

    def event(self, body: Body, key: bytes | None = None) -> None:
        body = {"n": next(self._n), "boot": self.boot, "t": int(time.time()), "up": 9, **body}
        topic = self.base + "event"
        self._client.publish(topic, messages.sign(key or self.key, topic, body), qos=1)

    def _hear(self, _client: object, _data: object, message: mqtt.MQTTMessage) -> None:
        try:
            body = messages.verify(self.key, message.topic, bytes(message.payload))
            assert body["v"] > self._v and body["exp"] >= time.time() - 1, body
            assert not message.retain
        except (messages.MessageError, AssertionError) as error:
            self.errors.append(error)
            return
        self._v = body["v"]
        self.commands.append(body)
        answers = self.answers.get(body["command"], ())
        for each in answers(body) if callable(answers) else answers:
            if each["event"] == "command_done":
                each = {"command": body["command"], **each}
            self.event({"v": body["v"], **each})

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()
