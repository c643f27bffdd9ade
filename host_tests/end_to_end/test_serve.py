"""`tapgate serve` with a virtual charger: changes arrive by themselves, whatever is killed."""

import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from host_tests.end_to_end.conftest import ANNA, STRANGER, Site, wait
from host_tests.end_to_end.seeing import coil, light, plug_in, rests, start_charging, tap, unplug
from host_tests.portal.served import ServeProcess
from tools.broker import Broker
from tools.virtual.client import VirtualCharger

SOON_S = 5.0


@pytest.fixture
def site(micropython: str, tmp_path: Path) -> Iterator[Site]:
    with Broker() as broker:
        yield Site(tmp_path, broker)


@pytest.fixture
def serve(site: Site) -> Iterator[ServeProcess]:
    site.tapgate("charger", "add", "garage")
    with ServeProcess(site.home) as running:
        running.says("ready")
        yield running


@pytest.fixture
def charger(site: Site, serve: ServeProcess) -> Iterator[VirtualCharger]:
    with site.charger("garage") as running:
        site.wait_in_step("garage")
        yield running


def test_a_permission_is_at_the_charger_soon_after_the_command(
    site: Site, serve: ServeProcess, charger: VirtualCharger
):
    plug_in(charger, "yellow")
    charger.wait_for(light("red"), 2, tap(charger, STRANGER))
    site.tapgate("card", "add", "anna@x.org", "--number", STRANGER, "--as", "hex")
    site.wait_in_step("garage", SOON_S)
    time.sleep(1.6)  # the refused card has been gone for long enough
    charger.wait_for(coil(True), 2, tap(charger, STRANGER))
    since = charger.mark()
    site.tapgate("revoke", "anna@x.org")
    charger.wait_for(coil(False), SOON_S, since)
    serve.says("garage: holds its list")
    wait(
        lambda: (
            {"session_started", "session_ended", "list_applied"}
            <= {each["event"] for each in site.tapgate("events", "--charger", "garage")}
        ),
        SOON_S,
        "stored",
    )


def test_a_vehicle_that_waits_starts_when_the_charger_is_opened(
    site: Site, serve: ServeProcess, charger: VirtualCharger
):
    plug_in(charger, "yellow")
    since = charger.mark()
    site.tapgate("access", "open")
    charger.wait_for(coil(True), SOON_S, since)


def test_killed_and_started_at_any_time_and_a_broker_that_forgets(
    site: Site, serve: ServeProcess, charger: VirtualCharger
):
    """At the end the charger holds what the data say, and never let anybody else in."""
    chance = random.Random(3)
    start_charging(charger, ANNA)
    unplug(charger)
    running = serve
    for turn in range(4):
        running.kill()
        site.tapgate("card", "add", "anna@x.org", "--number", f"0bad{turn:04x}", "--as", "hex")
        if turn == 2:
            site.broker.stop()
            site.broker.start()
        running = ServeProcess(site.home)
        time.sleep(chance.uniform(0, 1.5))
        site.tapgate("access", "open" if turn % 2 else "restricted", "--charger", "garage")
        time.sleep(chance.uniform(0, 0.5))
    site.tapgate("access", "restricted", "--charger", "garage")
    with running:
        status = site.wait_in_step("garage", 40)
        assert status["expected"]["cards"] == 6
        plug_in(charger, "yellow")
        since = tap(charger, STRANGER)
        charger.wait_for(light("red"), 5, since)
        rests(charger, coil(True), 0.5, since)
