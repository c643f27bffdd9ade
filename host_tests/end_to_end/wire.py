"""A client of the broker for tests: hears all that a charger says, and may say anything itself."""

import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from host_tests.end_to_end.conftest import wait
from tools.broker import Broker
from tools.portal import signing


class Wire:
    """A client of the broker that hears all and may say anything; it has one charger's key.

    `events`: what the charger reported, each with its signature checked.
    """

    def __init__(self, broker: Broker, name: str, key: bytes):
        self.base = f"tapgate/home/{name}/"
        self.key = key
        self.said: dict[str, list[bytes]] = {}
        self.events: list[dict[str, Any]] = []
        self._ready = threading.Event()
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2)
        self._client.on_message = self._hear
        self._client.on_subscribe = lambda *_: self._ready.set()
        self._client.connect(broker.host, broker.port)
        self._client.loop_start()
        self._client.subscribe(self.base + "+", 1)
        assert self._ready.wait(5)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _hear(self, _client: object, _data: object, message: mqtt.MQTTMessage) -> None:
        payload = bytes(message.payload)
        if message.topic == self.base + "event":
            body = signing.verified(self.key, message.topic, payload)
            self.events.append(body or {"event": "not signed"})
        self.said.setdefault(message.topic, []).append(payload)

    def last(self, word: str) -> bytes:
        """The last payload on one of the charger's topics."""
        return wait(lambda: self.said.get(self.base + word), 10, f"on {word}")[-1]

    @property
    def state(self) -> dict[str, Any]:
        return json.loads(self.last("state"))

    def put(self, word: str, payload: bytes, retain: bool = True) -> None:
        self.put_all([(word, payload)], retain)

    def put_all(self, messages: Iterable[tuple[str, bytes]], retain: bool) -> None:
        """One after the other, (the topic's last word, payload), until the broker has them all."""
        sent = [
            self._client.publish(self.base + word, payload, qos=1, retain=retain)
            for word, payload in messages
        ]
        for each in sent:
            each.wait_for_publish(20)

    def signed(self, word: str, **body: Any) -> bytes:
        """As the portal would sign it: for a message that is wrong in another way."""
        body.setdefault("t", int(time.time()))
        return signing.sign(self.key, self.base + word, body)

    def version(self, word: str) -> int:
        """Of the message that the portal last put there."""
        body = signing.verified(self.key, self.base + word, self.last(word))
        assert body
        return body["v"]

    def command(self, name: str, **body: Any) -> dict[str, Any]:
        """Give an order; the event that answers it."""
        v = time.time_ns() // 1_000_000
        exp = int(time.time()) + 60
        self.put("command", self.signed("command", v=v, exp=exp, command=name, **body), False)
        return self.wait_for("command_done", lambda event: event["v"] == v)

    def wait_for(
        self, name: str, wanted: Callable[[dict], bool] = lambda event: True
    ) -> dict[str, Any]:
        """The first such event."""

        def found() -> dict[str, Any] | None:
            for event in self.events:
                if event["event"] == name and wanted(event):
                    return event
            return None

        return wait(found, 10, f"reported: {name}")

    def causes(self) -> list[tuple[str, str]]:
        """(topic, why) of each refusal that was reported."""
        return [(e["topic"], e["why"]) for e in self.events if e["event"] == "message_rejected"]


def signed(key: bytes, topic: str, text: bytes) -> bytes:
    """Any text, signed as DESIGN section 7 says, whoever has the key."""
    over = topic.encode() + b"\n" + text
    return hmac.new(key, over, hashlib.sha256).hexdigest().encode() + b" " + text


def nested(levels: int) -> list:
    inner: list = []
    for _ in range(levels):
        inner = [inner]
    return inner
