"""Lists of any size for one charger, published as the portal does but without its database."""

import hashlib
import json
from pathlib import Path

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from host_tests.end_to_end.conftest import wait
from host_tests.end_to_end.wire import Wire
from tools.broker import Broker
from tools.portal import allowlist, topics
from tools.portal.allowlist import AllowList
from tools.portal.token import token

USER, BLOCKED = 1, 4  # flags of an entry


def stranger(number: int, salt: str = "") -> bytes:
    """Some token, always the same for the same number and salt."""
    return hashlib.sha256(f"{salt} {number}".encode()).digest()[:7]


def strangers(count: int, salt: str = "") -> set[bytes]:
    return {stranger(number, salt) for number in range(count)}


def built(tokens: set[bytes], group: int = 0) -> AllowList:
    """The list of users without bounds who have these tokens."""
    rest = group.to_bytes(2, "big") + bytes(6) + bytes([USER])
    return allowlist.encode(token + rest for token in tokens)


class Lists:
    """Publishes lists for the charger of `config`; `wire` has its key and hears what it says."""

    def __init__(self, broker: Broker, wire: Wire, config: Path):
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2)
        self._client.connect(broker.host, broker.port)
        self._client.loop_start()
        self._wire = wire
        self._card_key = bytes.fromhex(json.loads(config.read_text())["card_key"])
        self._retained: set[str] = set()
        self._version = wire.version("allowlist")

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def token(self, uid: str) -> bytes:
        return token(self._card_key, bytes.fromhex(uid))

    def publish(self, what: AllowList) -> int:
        """The objects that the broker lacks, and a ref; its version."""
        fresh = what.objects.keys() - self._retained
        sent = [
            self._client.publish(topics.object_("home", name), what.objects[name], 1, True)
            for name in fresh
        ]
        for each in sent:
            each.wait_for_publish(10)
        self._retained |= fresh
        self._version += 1
        body = {"index": what.digest, "cards": what.cards, "max_age_s": 0}
        self._wire.put("allowlist", self._wire.signed("allowlist", v=self._version, **body))
        return self._version

    def in_force(self) -> int:
        """The version that the charger says it has applied."""
        return self._wire.state.get("allowlist", {}).get("version", 0)

    def wait_in_force(self, version: int, within_s: float) -> dict:
        """The state's section on the list, once that version is in force."""
        wait(lambda: self.in_force() == version, within_s, f"list {version} in force")
        return self._wire.state["allowlist"]
