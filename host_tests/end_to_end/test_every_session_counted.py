"""Chargers live through many sessions with the broker away, cuts of the supply and kills, and then
meet `tapgate serve`: the report is what was done at the hardware, whichever way the events came.

TAPGATE_SESSIONS=1000 makes it a thousand; TAPGATE_SEED repeats a run.
"""

import json
import os
import random
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from copy import copy
from dataclasses import dataclass
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from host_tests.end_to_end.conftest import ANNA, OWNER, Site, wait
from host_tests.end_to_end.lives import Life, differences, heard, report, wait_until_told
from host_tests.end_to_end.wire import Wire
from host_tests.portal.served import ServeProcess
from tools.broker import Broker

SESSIONS = int(os.environ.get("TAPGATE_SESSIONS", "25"))
SEED = int(os.environ.get("TAPGATE_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 31)
PATIENCE_S = 60 + SESSIONS / 10
CARDS = {
    ANNA: "anna@x.org",
    "04a1b2c4": "anna@x.org",
    "07b0b0b0": "bob@x.org",
    "04b0b0b0b0b0b1": "bob@x.org",
    OWNER: "o@x.org",
    "04d4e5f6a7b8ca": "o@x.org",
}
# Wh of a pulse of their meters; every third is open to all, and its flash a directory.
CHARGERS = {"left": 1, "right": 10, "yard": 5, "front": 2, "back": 10, "street": 1}
OPEN = ("yard", "street")
AWAY_AT_MOST = 1_000  # events that the broker keeps for a `serve` that is away


Sent = list[tuple[str, bytes]]  # (topic, payload) of events, as chargers published them


@dataclass
class Lived:
    """What came of it: the portal's data from before, and all that the chargers then sent."""

    site: Site
    lives: list[Life]
    before: Path
    sent: Sent
    events: set[tuple[str, int]]  # (charger, number)


@pytest.fixture(scope="module")
def lived(micropython: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lived]:
    home = tmp_path_factory.mktemp("lives")
    with Broker() as broker, ExitStack() as all_of_it:
        site = installed(home / "portal", broker)
        lives = []
        for place, name in enumerate(CHARGERS):
            cards = {} if name in OPEN else CARDS
            flash = home / (name if name in OPEN else f"{name}.img")
            chance = random.Random(SEED + place)
            lives.append(Life(site, name, flash, chance, cards, CHARGERS[name]))
            all_of_it.callback(lives[-1].stop)
        for life in lives:
            site.wait_in_step(life.name)
            life.link(False)
        shutil.copytree(site.home, home / "before")
        broker.stop()
        all_live(lives)
        sent = arrived(site, lives)
        events = {(topic.split("/")[2], number(payload)) for topic, payload in sent}
        with ServeProcess(site.home) as serve:
            serve.says("ready")
            wait(lambda: events <= heard(site), PATIENCE_S, "every event stored")
        yield Lived(site, lives, home / "before", sent, events)


def installed(home: Path, broker: Broker) -> Site:
    home.mkdir()
    site = Site(home, broker)
    site.tapgate("person", "add", "bob@x.org", "--name", "Bob")
    site.tapgate("grant", "bob@x.org", "--role", "user")
    for card, person in CARDS.items():
        if card not in (ANNA, OWNER):
            site.tapgate("card", "add", person, "--number", card, "--as", "hex")
    for name in CHARGERS:
        site.tapgate("charger", "add", name)
    for name in OPEN:
        site.tapgate("access", "open", "--charger", name)
    site.tapgate("publish")
    return site


def all_live(lives: list[Life]) -> None:
    """Side by side; what goes wrong with one ends it for all."""
    wrong: list[str] = []

    def live(life: Life, sessions: int) -> None:
        try:
            life.live(sessions, lambda: bool(wrong))
        except Exception as error:
            last = "\n".join(map(str, life.stays[-3:]))
            wrong.append(f"TAPGATE_SEED={SEED}, {life.name}: {error}\n{last}")
            raise

    with ThreadPoolExecutor(len(lives)) as pool:
        shares = [len(range(SESSIONS)[place :: len(lives)]) for place in range(len(lives))]
        done = [pool.submit(live, life, share) for life, share in zip(lives, shares, strict=True)]
    assert not wrong, wrong[0]
    for each in done:
        each.result()


def arrived(site: Site, lives: list[Life]) -> Sent:
    """The broker comes, then `serve`, then the link. All that the chargers send, in its order."""
    for life in lives:
        life.link(False)
    site.broker.start()
    wires = [Wire(site.broker, life.name, life.key) for life in lives]
    with ServeProcess(site.home) as serve:
        serve.says("ready")
        for life in lives:
            life.link(True)
        for wire in wires:
            wait_until_told(wire, PATIENCE_S)
        for life in lives:
            life.stop()
    for wire in wires:
        wire.close()
    topics = [wire.base + "event" for wire in wires]
    return [(topic, each) for topic, w in zip(topics, wires, strict=True) for each in w.said[topic]]


def number(payload: bytes) -> int:
    return json.loads(payload.partition(b" ")[2])["n"]


def test_the_report_is_what_was_done_at_the_hardware(lived: Lived):
    wrong = differences(lived.lives, report(lived.site))
    assert not wrong, f"TAPGATE_SEED={SEED}\n{wrong}"


def test_no_number_is_given_to_two_events(lived: Lived):
    by_number: dict[tuple[str, int], dict] = {}
    for topic, payload in lived.sent:
        event = json.loads(payload.partition(b" ")[2])
        for told_later in ("t", "t_min"):
            event.pop(told_later, None)
        before = by_number.setdefault((topic, event["n"]), event)
        assert before == event, f"TAPGATE_SEED={SEED}"


def shuffled(sent: Sent) -> Sent:
    """Every one twice, in no order at all."""
    return random.Random(SEED).sample(2 * sent, 2 * len(sent))


def backwards(sent: Sent) -> Sent:
    return sent[::-1]


def boot_by_boot(sent: Sent) -> Sent:
    """The last boot first; what came first in each, once more at the end."""

    def boot(each: tuple[str, bytes]) -> int:
        return json.loads(each[1].partition(b" ")[2])["boot"]

    return sorted(sent, key=boot, reverse=True) + sent[: len(sent) // 3]


@pytest.mark.parametrize("order", [shuffled, backwards, boot_by_boot])
def test_events_twice_late_and_in_any_order_make_the_same_report(
    lived: Lived, tmp_path: Path, order: Callable[[Sent], Sent]
):
    """Published by a script for a portal with the same data, whose `serve` is killed twice."""
    other = copy(lived.site)
    other.home = tmp_path / "portal"
    shutil.copytree(lived.before, other.home)
    events = order(lived.sent)
    third = len(events) // 3
    with sender(lived.site.broker) as send:
        serve = ServeProcess(other.home)
        serve.says("ready")
        send(events[:third])
        serve.kill()
        send(events[third : third + AWAY_AT_MOST])
        with ServeProcess(other.home) as serve:
            serve.says("ready")
            send(events[third + AWAY_AT_MOST :])
            serve.kill()
        with ServeProcess(other.home) as serve:
            serve.says("ready")
            wait(lambda: lived.events <= heard(other), PATIENCE_S, "every event stored")
    assert report(other) == report(lived.site), f"TAPGATE_SEED={SEED}"


@contextmanager
def sender(broker: Broker) -> Iterator[Callable[[Sent], None]]:
    client = mqtt.Client(CallbackAPIVersion.VERSION2)
    client.connect(broker.host, broker.port)
    client.loop_start()

    def send(events: Sent) -> None:
        """Until the broker has them all."""
        for each in [client.publish(topic, payload, qos=1) for topic, payload in events]:
            each.wait_for_publish(PATIENCE_S)

    try:
        yield send
    finally:
        client.disconnect()
        client.loop_stop()
