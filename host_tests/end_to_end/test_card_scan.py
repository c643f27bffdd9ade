"""Registering cards by holding them to a charger: what the portal says and what the light shows."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from host_tests.end_to_end.conftest import ANNA, Site
from host_tests.end_to_end.seeing import (
    coil,
    light,
    plug_in,
    rests,
    shines,
    start_charging,
    tap,
    unplug,
)
from tools.virtual.client import PROJECT, VirtualCharger

NEW = "04c1c2c3c4c5c6"
SETTLED_S = 1.6
SCAN = "scanner"


@pytest.fixture(scope="module")
def powered(site: Site) -> Iterator[VirtualCharger]:
    site.add(SCAN)
    with site.charger(SCAN) as running:
        site.wait_in_step(SCAN)
        yield running


@pytest.fixture
def charger(powered: VirtualCharger) -> VirtualCharger:
    """At rest: no vehicle, and no card that was here a moment ago."""
    for card in powered.status()["cards"]:
        powered.do("remove", uid=card)
    unplug(powered)
    time.sleep(SETTLED_S)
    return powered


class Scan:
    """`tapgate card scan`, running."""

    def __init__(self, site: Site, email: str, *options: str):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tools.cli", "--home", str(site.home), "--json",
             "card", "scan", email, "--charger", SCAN, *options],
            cwd=PROJECT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )  # fmt: skip

    def waits(self) -> None:
        """Until it asks for the card."""
        assert self.process.stderr
        line = self.process.stderr.readline()
        assert line.startswith(f"hold the card to {SCAN}"), line

    def end(self) -> tuple[int, str, str]:
        out, error = self.process.communicate(timeout=30)
        return self.process.returncode, out, error


@pytest.fixture
def scan(site: Site) -> Iterator:
    started = []

    def start(email: str, *options: str) -> Scan:
        started.append(Scan(site, email, *options))
        return started[-1]

    yield start
    for each in started:
        if each.process.poll() is None:
            each.process.kill()
        each.process.communicate()


def refused(scan: Scan, *words: str) -> None:
    status, out, error = scan.end()
    assert status == 1 and out == "", error
    for word in words:
        assert word in error


def test_a_scanned_card_opens_this_charger_and_all_others(
    site: Site, charger: VirtualCharger, scan
):
    site.add("next-door")
    with site.charger("next-door") as other:
        site.wait_in_step("next-door")
        since = charger.mark()
        running = scan("anna@x.org", "--label", "fob")
        running.waits()
        charger.wait_for(light("white"), 5, since)
        since = tap(charger, NEW)
        status, out, error = running.end()
        assert status == 0, error
        answer = json.loads(out)
        assert (answer["hint"], answer["person"], answer["label"]) == ("c5c6", "anna@x.org", "fob")
        assert NEW not in out + error
        [card] = [
            each
            for each in site.tapgate("card", "list", "--person", "anna@x.org")
            if each["token"] == answer["token"]
        ]
        assert card["hint"] == "c5c6"
        time.sleep(SETTLED_S)  # what has just been registered is not judged by the way
        for each in (charger, other):
            site.wait_in_step(SCAN if each is charger else "next-door")
            plug_in(each, "yellow")
            each.wait_for(coil(True), 2, tap(each, NEW))
            unplug(each)


def test_a_card_that_is_somebodys_is_shown_red_and_stays_theirs(
    site: Site, charger: VirtualCharger, scan
):
    for email, words in (("o@x.org", "anna@x.org already"), ("anna@x.org", "this person already")):
        running = scan(email)
        running.waits()
        since = tap(charger, ANNA)
        shines(charger, "red", 2, since)
        refused(running, words)
        time.sleep(SETTLED_S)
    assert charger.status()["contactor"] is False


def test_a_phone_cannot_be_registered(charger: VirtualCharger, scan):
    running = scan("anna@x.org")
    running.waits()
    since = charger.mark()
    charger.do("place", kind="phone")
    shines(charger, "red", 2, since)
    refused(running, "makes up a new number at each tap")


def test_two_cards_at_once_are_told_apart_from_none(charger: VirtualCharger, scan):
    running = scan("anna@x.org", "--timeout", "4")
    running.waits()
    charger.do("reader", fault="deaf")  # or it might read the first before the second is there
    for uid in ("04aaaaaa", "04bbbbbb"):
        charger.do("place", uid=uid)
    charger.do("reader", fault="none")
    refused(running, "two cards at once", "no card was held")


def test_no_card_in_time_registers_none_and_the_charger_is_free_again(
    charger: VirtualCharger, scan
):
    running = scan("anna@x.org", "--timeout", "1")
    running.waits()
    refused(running, "no card was held", "within 1 s")
    plug_in(charger, "yellow")
    charger.wait_for(coil(True), 2, tap(charger, ANNA))


def test_a_charger_with_a_session_registers_no_card(charger: VirtualCharger, scan):
    start_charging(charger, ANNA)
    since = charger.mark()
    refused(scan("anna@x.org"), "a session runs there")
    rests(charger, coil(False), 0.2, since)


def test_the_second_of_two_registrations_gets_the_card(charger: VirtualCharger, scan):
    first = scan("anna@x.org")
    first.waits()
    second = scan("anna@x.org")
    second.waits()
    refused(first, "another registration has begun")
    tap(charger, "04d1d2d3")
    assert second.end()[0] == 0


def test_ctrl_c_frees_the_charger(charger: VirtualCharger, scan):
    running = scan("anna@x.org")
    running.waits()
    running.process.send_signal(2)
    refused(running, "interrupted", "waits for none any more")
    plug_in(charger, "yellow")
    charger.wait_for(coil(True), 2, tap(charger, ANNA))
