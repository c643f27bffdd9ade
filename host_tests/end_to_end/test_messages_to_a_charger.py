"""What reaches a charger over a broker that anybody may write to, and what it says of itself."""

import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from firmware import VERSION
from host_tests.end_to_end.conftest import ANNA, Site, wait
from host_tests.end_to_end.seeing import coil, light, plug_in, start_charging, tap, unplug
from tools.broker import Broker
from tools.portal import signing
from tools.virtual.client import VirtualCharger

NAME = "watched"
KEEPALIVE_S = 3  # the broker tells of the last will after one and a half times that
SETTLED_S = 1.6
TOKEN = "0123456789abcd"


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
        self._client.publish(self.base + word, payload, qos=1, retain=retain).wait_for_publish(5)

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


@pytest.fixture(scope="module")
def powered(site: Site) -> Iterator[tuple[VirtualCharger, Wire]]:
    """One charger for all tests of this file, and the wire it hangs on."""
    site.tapgate("charger", "add", NAME)
    path = site.config(NAME)
    config = json.loads(path.read_text())
    config["keepalive_s"] = KEEPALIVE_S
    path.write_text(json.dumps(config))
    wire = Wire(site.broker, NAME, bytes.fromhex(config["charger_key"]))
    try:
        site.tapgate("publish")
        with VirtualCharger.start(path, site.home / NAME) as charger:
            site.wait_in_step(NAME)
            yield charger, wire
    finally:
        wire.close()


@pytest.fixture
def charger(powered: tuple[VirtualCharger, Wire]) -> VirtualCharger:
    """At rest: no vehicle, and no card that was here a moment ago."""
    unplug(powered[0])
    time.sleep(SETTLED_S)
    return powered[0]


@pytest.fixture
def wire(powered: tuple[VirtualCharger, Wire]) -> Wire:
    return powered[1]


def a_session(charger: VirtualCharger) -> None:
    start_charging(charger, ANNA)
    since = charger.mark()
    unplug(charger)
    charger.wait_for(coil(False), 1, since)


def signed(key: bytes, topic: str, text: bytes) -> bytes:
    """Any text, signed as DESIGN section 7 says, whoever has the key."""
    over = topic.encode() + b"\n" + text
    return hmac.new(key, over, hashlib.sha256).hexdigest().encode() + b" " + text


def nested(levels: int) -> list:
    inner: list = []
    for _ in range(levels):
        inner = [inner]
    return inner


def test_the_state_says_what_others_hang_their_icons_on(charger: VirtualCharger, wire: Wire):
    start_charging(charger, ANNA)
    state = wait(lambda: wire.state["state"] == "charging" and wire.state, 5, "charging")
    assert state["online"] is True
    assert state["light"] == {"colour": "blue", "pattern": "steady"}
    assert (state["access"], state["authorisation_required"]) == ("restricted", True)
    assert (state["vehicle"], state["contactor"]) == (True, True)
    assert state["session"]["role"] == "user"
    assert ANNA not in json.dumps(state)
    assert state["allowlist"]["version"] == wire.version("allowlist")
    assert state["allowlist"]["cards"] == 2
    assert len(state["allowlist"]["digest"]) == 32
    assert 0 <= state["allowlist"]["age_s"] < 3_600
    assert (state["reader"], state["clock"], state["faults"]) == ("ok", "lower bound", [])
    assert state["firmware"] == VERSION
    assert state["errors"] == 0
    assert all(type(state[name]) is int for name in ("uptime_s", "heap_free", "rssi"))
    unplug(charger)
    state = wait(lambda: wire.state["state"] == "available" and wire.state, 5, "available")
    assert (state["session"], state["vehicle"], state["contactor"]) == (None, False, False)


def test_a_session_is_reported_without_its_cards_number(charger: VirtualCharger, wire: Wire):
    before = len(wire.events)
    a_session(charger)

    def both() -> list[dict]:
        new = [e for e in wire.events[before:] if e["event"].startswith("session_")]
        return new if len(new) == 2 else []

    started, ended = wait(both, 5, "reported")
    assert (started["event"], ended["event"]) == ("session_started", "session_ended")
    assert started["token"] == ended["token"]
    assert len(started["token"]) == 14
    assert ended["reason"] == "unplugged"
    assert ended["n"] > started["n"]
    assert ANNA not in json.dumps([started, ended])


def test_commands_are_answered_by_their_version(charger: VirtualCharger, wire: Wire):
    assert wire.command("available", on=False)["ok"] is True
    wait(lambda: wire.state["state"] == "unavailable", 3, "switched off")
    assert wire.command("available", on=True)["ok"] is True
    wait(lambda: wire.state["state"] == "available", 3, "switched on")
    assert "not while available" in wire.command("stop")["why"]
    plug_in(charger, "yellow")
    since = charger.mark()
    assert wire.command("authorise", token=TOKEN, role="user", group=0)["ok"] is True
    charger.wait_for(coil(True), 2, since)
    assert wire.command("stop")["ok"] is True
    charger.wait_for(coil(False), 2, since)
    assert wire.wait_for("session_ended", lambda e: e["token"] == TOKEN)["reason"] == "remote"
    assert "role" in wire.command("authorise", token=TOKEN, role="king")["why"]
    assert wire.command("explode")["ok"] is False


def test_whatever_is_wrong_with_a_message_is_reported_once_and_followed_by_nothing(
    site: Site, charger: VirtualCharger, wire: Wire
):
    now = int(time.time())
    site.change("access", "open", "--charger", NAME)
    old_settings = wire.last("settings")
    old_list = wire.last("allowlist")
    site.change("access", "restricted", "--charger", NAME)
    site.change("card", "add", "o@x.org", "--number", "0badcafe", "--as", "hex")
    site.wait_in_step(NAME)
    v_settings, v_list = wire.version("settings"), wire.version("allowlist")
    good = {word: wire.last(word) for word in ("settings", "allowlist")}
    want = json.dumps({"v": v_settings + 9, "t": now, "access": "open"}).encode()
    ref = {"index": "0" * 32, "cards": 0, "max_age_s": 0}
    do = {"command": "authorise", "token": TOKEN, "role": "owner", "v": 1 << 45}
    wrong = [
        # unsigned, signed by somebody, meant for another charger
        ("settings", want + b" " * 64, ("settings", "form")),
        ("settings", b"0" * 64 + b" " + want, ("settings", "signature")),
        ("settings", signed(b"\x00" * 32, wire.base + "settings", want), None),
        (
            "allowlist",
            signed(wire.key, "tapgate/home/right/allowlist", want),
            ("allowlist", "signature"),
        ),
        # replayed, rolled back
        ("settings", old_settings, ("settings", "version")),
        ("allowlist", old_list, ("allowlist", "version")),
        # of a size or form that is none
        ("settings", b"x" * 20_000, ("settings", "size")),
        ("allowlist", b"", ("allowlist", "size")),
        (
            "command",
            wire.signed("command", exp=now + 60, x=nested(200), **do),
            ("command", "nesting"),
        ),
        ("command", signed(wire.key, wire.base + "command", b'{"v":'), ("command", "json")),
        # of values that are none
        ("settings", wire.signed("settings", v="7"), ("settings", "type")),
        ("settings", wire.signed("settings", v=v_settings + 9, access="ajar"), None),
        ("settings", wire.signed("settings", v=v_settings + 9, access=[1]), ("settings", "value")),
        (
            "allowlist",
            wire.signed("allowlist", v=v_list + 9, **ref | {"index": 5}),
            ("allowlist", "ref"),
        ),
        ("command", wire.signed("command", exp="soon", **do), ("command", "type")),
        ("command", wire.signed("command", exp=now - 3_600, **do), ("command", "expired")),
    ]
    try:
        charger.do("plug")
        before = wire.state["rejected"]
        for word, payload, _ in wrong + wrong:
            wire.put(word, payload)
        expected = sorted(cause for _, _, cause in wrong if cause)
        wait(lambda: len(wire.causes()) >= len(expected), 10, "reported")
        wire.command("stop")  # nothing that was sent before it can still be on its way
        assert sorted(wire.causes()) == expected
        assert "not signed" not in {e["event"] for e in wire.events}
        assert max(map(len, wire.said[wire.base + "event"])) < 1_000
        state = wait(lambda: (s := site.status(NAME))["state"] == "awaiting" and s, 5, "awaiting")
        assert state["access"] == "restricted"
        assert state["allowlist"] == {k: state["expected"][k] for k in state["allowlist"]}
        unplug(charger)
        a_session(charger)
        wait(lambda: wire.state["rejected"] > before, 70, "counted")
        # Nothing but rubbish lies on the broker, and the power goes.
        since = charger.mark()
        charger.do("power", off_ms=2 * KEEPALIVE_S * 1_000)
        wait(lambda: wire.state == {"online": False}, 2 * KEEPALIVE_S + 5, "the last will")
        charger.wait_for(lambda push: "ready" in push, 20, since)
        a_session(charger)
    finally:
        for word, payload in good.items():
            wire.put(word, payload)
    wait(lambda: wire.state["online"], 20, "online again")
    site.wait_in_step(NAME)


def test_a_restart_ends_the_session_on_record_and_the_charger_comes_back(
    charger: VirtualCharger, wire: Wire
):
    wait(lambda: wire.state["online"], 20, "online")
    start_charging(charger, ANNA)
    since = charger.mark()
    assert wire.command("restart")["ok"] is True
    charger.wait_for(coil(False), 2, since)
    wire.wait_for("session_ended", lambda event: event["reason"] == "restart")
    charger.wait_for(lambda push: "reset" in push, 7, since)
    charger.wait_for(light("yellow"), 20, since)
    wait(lambda: wire.state.get("state") == "awaiting", 15, "back")


def test_switched_off_outlives_a_power_cut(charger: VirtualCharger, wire: Wire):
    wait(lambda: wire.state["online"], 20, "online")
    assert wire.command("available", on=False)["ok"] is True
    try:
        since = charger.mark()
        charger.do("power", off_ms=200)
        charger.wait_for(lambda push: "ready" in push, 20, since)
        plugged = charger.mark()
        charger.do("plug")
        tap(charger, ANNA)
        time.sleep(0.3)
        assert not [push for push in charger.pushes[plugged:] if coil(True)(push)]
        wait(lambda: wire.state["online"], 20, "online")
        assert wire.state["state"] == "unavailable"
    finally:
        assert wire.command("available", on=True)["ok"] is True
    plug_in(charger, "yellow")


def test_identify_blinks(charger: VirtualCharger, wire: Wire):
    since = charger.mark()
    assert wire.command("identify")["ok"] is True
    charger.wait_for(light("white"), 2, since)
