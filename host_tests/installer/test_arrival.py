"""What a board says while it starts, made into why it is not there yet and what to do."""

import json
from collections.abc import Callable, Iterator

import pytest

from host_tests.portal.conftest import Observer
from tools.installer.arrival import Console, Wish, wait

CRASH = ("Traceback (most recent call last):", 'File "main.py", line 9, in run', "OSError: 19")


@pytest.fixture
def console() -> Console:
    return Console("garage", "broker.example.org:8883")


def about(wifi: int) -> str:
    return json.dumps({"about": {"wifi": wifi}})


def test_wrong_password_wrong_name_and_joined_are_told_apart(console):
    console.hear(about(202))
    assert console.doing == "Wi-Fi 'garage' is not joined: its password is wrong"
    console.hear(about(201))
    assert console.doing.endswith("no Wi-Fi of that name is in reach")
    assert "--wifi-ssid" in console.advice
    console.hear(about(1010))
    assert console.doing == (
        "it has joined Wi-Fi 'garage', and is connecting to broker.example.org:8883"
    )
    assert console.over is None


def test_a_broker_that_cannot_be_reached_is_told_in_the_charger_s_words(console):
    console.hear("link connect: [Errno 111] ECONNREFUSED")
    console.hear(about(1010))
    assert "its link to broker.example.org:8883 fails (connect: [Errno 111]" in console.doing
    assert "--broker" in console.advice


@pytest.mark.parametrize(
    "line",
    [
        "tapgate cannot start: pins.cs: found 6, allowed …",
        "tapgate is incomplete: firmware.json is missing; run `tapgate provision` again",
        "tapgate 0.2.0 gives way to the version before: 3 crashes",
    ],
)
def test_what_has_no_better_end_is_not_waited_for(console, line):
    console.hear(line)
    assert console.over == line and console.advice


def test_the_same_crash_over_and_over_is_an_end_but_not_on_trial(console):
    for _ in range(2):
        for line in CRASH:
            console.hear(line)
    assert console.over is None and console.doing == "it has crashed: OSError: 19"
    for line in CRASH:
        console.hear(line)
    assert console.over == "it crashes at each start: OSError: 19"
    trial = Console("garage", "broker")
    trial.on_trial = True
    for line in CRASH * 4:
        trial.hear(line)
    assert trial.over is None


def test_noise_is_no_answer_and_moves_no_cursor(console):
    for line in ("{", '{"about": 5}', '{"selftest": "reader"}', "\x1b[2J\x07"):
        console.hear(line)
    assert console.doing == "it is starting"
    assert "\x1b" not in "".join(console.lines)


@pytest.fixture
def said(workshop) -> Iterator[Callable[..., None]]:
    """said(name, …): that charger's state message, retained."""
    observer = Observer(workshop.broker)

    def say(name: str, **fields) -> None:
        body = {"online": True, "state": "available", "firmware": "0.2.0", **fields}
        observer.say(f"tapgate/home/{name}/state", body)

    yield say
    observer.close()


def waited(workshop, name: str, console: Console, restart=None, on_trial=False):
    wish = Wish("0.2.0", on_trial, restart)
    return wait(workshop.home, name, None, console, wish, 2, lambda *_: None)


def test_what_lay_at_the_broker_before_the_restart_does_not_count(workshop, console, said):
    name = workshop.charger()
    said(name, uptime_s=1)
    assert waited(workshop, name, console).state  # it was not restarted: that is its state
    still = waited(workshop, name, console, restart=lambda: None)
    assert still.state is None and still.why == "for 2 s: it is starting"
    late = waited(workshop, name, console, restart=lambda: said(name, uptime_s=900))
    assert late.state is None  # sent before, come after
    fresh = waited(workshop, name, console, restart=lambda: said(name, uptime_s=2))
    assert fresh.state and fresh.state["uptime_s"] == 2


def test_another_version_or_one_on_trial_is_not_what_was_waited_for(workshop, console, said):
    name = workshop.charger()
    said(name, firmware="0.1.0")
    other = waited(workshop, name, console)
    assert "runs firmware 0.1.0 instead of 0.2.0" in other.why and other.runs == "0.1.0"
    said(name, proven=False)
    assert "on trial" in waited(workshop, name, console, on_trial=True).why
    said(name, proven=True)
    assert waited(workshop, name, console, on_trial=True).state
