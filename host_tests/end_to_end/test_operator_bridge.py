"""An operator's platform, `tapgate serve` between, and a charger with the real firmware."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from host_tests.end_to_end.conftest import ANNA, OWNER, STRANGER, Site, wait
from host_tests.end_to_end.seeing import coil, plug_in, rests, shines, tap, unplug
from host_tests.end_to_end.serving import serving
from tools.portal import signing
from tools.virtual.client import VirtualCharger

NAME = "asked"
SETTLED_S = 1.6
WAIT_S = 3
ROAMING = "0aa1b2c3d4e5f6"  # nobody's here: the platform alone knows it


class Platform:
    """A third party's platform: nothing of the portal's but the file that it wrote for it.

    `decide(question)`: the rest of the answer, or None for none at all.
    """

    def __init__(self, access: dict[str, Any]):
        self.questions: list[dict[str, Any]] = []
        self.decide: Callable[[dict], dict | None] = lambda question: None
        self._access = access
        self._key = bytes.fromhex(access["key"])
        self._ready = threading.Event()
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2)
        self._client.on_message = self._hear
        self._client.on_subscribe = lambda *_: self._ready.set()
        self._client.connect(access["broker"]["host"], access["broker"]["port"])
        self._client.loop_start()
        self._client.subscribe(access["question"], 1)
        assert self._ready.wait(5)

    def _hear(self, _client: object, _data: object, message: mqtt.MQTTMessage) -> None:
        question = signing.verified(self._key, message.topic, bytes(message.payload))
        assert question is not None
        self.questions.append(question)
        rest = self.decide(question)
        if rest is not None:
            self.answer(question, **rest)

    def answer(self, question: dict[str, Any], key: bytes | None = None, **rest: Any) -> None:
        body = {
            "v": time.time_ns() // 1_000_000,
            "t": int(time.time()),
            "charger": question["charger"],
            "n": question["n"],
            **rest,
        }
        topic = self._access["answer"]
        self._client.publish(topic, signing.sign(key or self._key, topic, body), qos=1)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture(scope="module")
def powered(site: Site) -> Iterator[tuple[VirtualCharger, Platform]]:
    site.tapgate("charger", "add", NAME)
    site.tapgate("access", "open", "--charger", NAME)
    file = site.home / "operator.json"
    site.tapgate("operator", "connect", "Charge Oslo", "--wait", str(WAIT_S), "--out", str(file))
    platform = Platform(json.loads(file.read_text()))
    try:
        with serving(site), site.charger(NAME) as charger:
            site.wait_in_step(NAME)
            yield charger, platform
    finally:
        platform.close()


@pytest.fixture
def charger(powered: tuple[VirtualCharger, Platform]) -> VirtualCharger:
    """At rest: no vehicle, and no card that was here a moment ago."""
    unplug(powered[0])
    time.sleep(SETTLED_S)
    return powered[0]


@pytest.fixture
def platform(powered: tuple[VirtualCharger, Platform]) -> Platform:
    """That answers nothing, until told what."""
    powered[1].decide = lambda question: None
    powered[1].questions.clear()
    return powered[1]


def test_the_platform_lets_in_whom_no_list_knows(charger: VirtualCharger, platform: Platform):
    platform.decide = lambda question: {"verdict": "Accepted"}
    plug_in(charger, "yellow")  # also where the charger was open
    charger.wait_for(coil(True), 2, tap(charger, ROAMING))
    [question] = platform.questions
    assert (question["charger"], question["state"]) == (NAME, "awaiting")
    time.sleep(SETTLED_S)
    charger.wait_for(coil(False), 1, tap(charger, ROAMING))  # its own card: nobody is asked
    assert len(platform.questions) == 1


def test_the_platform_refuses_whom_the_list_knows(charger: VirtualCharger, platform: Platform):
    platform.decide = lambda question: {"verdict": "Blocked"}
    plug_in(charger, "yellow")
    since = tap(charger, ANNA)
    shines(charger, "red", 2, since)
    rests(charger, coil(True), 0.3, since)


def test_a_master_pass_ends_anybodys_session(charger: VirtualCharger, platform: Platform):
    platform.decide = lambda question: {
        "verdict": "Accepted",
        "role": "user" if question["state"] == "awaiting" else "service",
    }
    plug_in(charger, "yellow")
    charger.wait_for(coil(True), 2, tap(charger, ROAMING))
    time.sleep(SETTLED_S)
    charger.wait_for(coil(False), 2, tap(charger, STRANGER))


def test_without_an_answer_in_time_nobody_is_let_in(charger: VirtualCharger, platform: Platform):
    plug_in(charger, "yellow")
    since = tap(charger, ANNA)
    wait(lambda: platform.questions, 2, "asked")
    shines(charger, "red", WAIT_S + 2, since)
    platform.answer(platform.questions[0], verdict="Accepted")
    rests(charger, coil(True), 0.5, since)


def test_answers_that_are_not_the_platforms_let_nobody_in(
    charger: VirtualCharger, platform: Platform
):
    def decide(question: dict) -> None:
        platform.answer(question, key=bytes(32), verdict="Accepted")
        platform.answer({**question, "n": question["n"] + 1}, verdict="Accepted")
        platform.answer({**question, "charger": "nowhere"}, verdict="Accepted")
        platform.answer(question, verdict="accepted")
        platform.answer(question, verdict="Accepted", role="root")
        platform.answer(question, verdict="Accepted", v=1)

    platform.decide = decide
    plug_in(charger, "yellow")
    since = tap(charger, STRANGER)
    shines(charger, "red", WAIT_S + 2, since)
    rests(charger, coil(True), 0.3, since)


def test_disconnected_the_list_decides_and_the_charger_is_open_again(
    site: Site, charger: VirtualCharger, platform: Platform
):
    site.tapgate("operator", "connect", "Charge Oslo", "--offline", "list")
    site.wait_in_step(NAME)
    plug_in(charger, "yellow")
    charger.wait_for(coil(True), WAIT_S + 3, tap(charger, OWNER))
    unplug(charger)
    time.sleep(SETTLED_S)
    since = charger.mark()
    site.tapgate("operator", "disconnect")
    site.wait_in_step(NAME, 10)
    wait(lambda: site.status(NAME)["access"] == "open", 10, "open again")
    charger.do("plug")
    charger.wait_for(coil(True), 5, since)
