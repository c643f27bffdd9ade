"""Sessions of a charger that does not know the time: the report has it once the charger has, and it
never runs backwards."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from host_tests.end_to_end.conftest import Site, wait
from host_tests.end_to_end.lives import BACK_S, RIGHT_S, backwards, config, moment, report
from host_tests.end_to_end.seeing import coil, unplug
from host_tests.end_to_end.wire import Wire
from host_tests.portal.served import ServeProcess
from tools.broker import Broker
from tools.virtual.client import VirtualCharger

LASTS_S = 1.5

Times = tuple[float, float]  # of a session's start and end


@pytest.fixture
def site(micropython: str, tmp_path: Path) -> Iterator[Site]:
    with Broker() as broker:
        made = Site(tmp_path, broker)
        made.tapgate("charger", "add", "yard")
        made.change("access", "open")
        with ServeProcess(made.home) as serve:
            serve.says("ready")
            yield made


@contextmanager
def powered(site: Site, *first: dict) -> Iterator[VirtualCharger]:
    """Open to all from its first moment on, also if it never hears of anybody."""
    path = config(site, "yard")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"access": "open"}))
    with VirtualCharger.start(path, site.home / "yard.img", first=first) as charger:
        yield charger


def session(charger: VirtualCharger) -> Times:
    """Plug in and out; when that was."""
    since = charger.mark()
    charger.do("plug")
    charger.wait_for(coil(True), 5, since)
    began = time.time()
    charger.do("energy", wh=5)
    time.sleep(LASTS_S)
    unplug(charger)
    charger.wait_for(coil(False), 5, since)
    return began, time.time() - 0.2  # for which `unplug` waits


def starts_again(charger: VirtualCharger) -> None:
    """The supply goes, and with it what the real-time clock knew."""
    time.sleep(1)
    since = charger.mark()
    charger.do("power", off_ms=1_000)
    charger.wait_for(lambda push: "ready" in push, BACK_S, since)


def reported(site: Site, count: int) -> list[Times]:
    """The times of so many sessions, which are all, in the report's order."""
    rows = wait(lambda: len(r := report(site)["sessions"]) == count and r, 30, "reported")
    assert not backwards(rows)
    return [(moment(row["start"]), moment(row["end"])) for row in rows]


def right(said: Times, done: Times) -> bool:
    return all(abs(a - b) <= RIGHT_S for a, b in zip(said, done, strict=True))


def plausible(said: Times, done: Times, not_before: float, not_after: float) -> bool:
    """As long as it was, and somewhere in that time."""
    lasted = abs((said[1] - said[0]) - (done[1] - done[0])) <= RIGHT_S
    return lasted and not_before - RIGHT_S <= said[0] and said[1] <= not_after + RIGHT_S


def test_boots_that_never_knew_the_time_come_before_the_one_that_was_told_it(site: Site):
    made = time.time()  # the configuration says when: the charger knows no more than that
    with powered(site, {"do": "link", "up": False}) as charger:
        done = [session(charger)]
        for _ in range(2):
            starts_again(charger)
            done.append(session(charger))
        charger.do("link", up=True)
        said = reported(site, 3)
        done.append(session(charger))
        said = reported(site, 4)
    assert right(said[2], done[2]) and right(said[3], done[3])
    for number in (0, 1):
        assert plausible(said[number], done[number], made, done[2][0]), number


def test_a_boot_without_the_time_lies_between_those_that_knew_it(site: Site):
    with powered(site) as charger:
        site.wait_in_step("yard")
        done = [session(charger)]
        reported(site, 1)
        charger.do("link", up=False)
        for _ in range(2):
            starts_again(charger)
            done += [session(charger), session(charger)]
        charger.do("link", up=True)
        said = reported(site, 5)
    for number in (0, 3, 4):
        assert right(said[number], done[number]), number
    for number in (1, 2):
        assert plausible(said[number], done[number], done[0][1], done[3][0]), number


def test_what_was_sent_without_the_time_gets_it_from_what_is_sent_with_it(site: Site):
    with powered(site, {"do": "ntp", "up": False}) as charger:
        site.wait_in_step("yard")
        done = [session(charger)]
        reported(site, 1)
        charger.do("ntp", up=True)
        wire = Wire(site.broker, "yard", b"")
        wait(lambda: wire.state.get("clock") == "set", 40, "clock set")
        wire.close()
        done.append(session(charger))
        said = reported(site, 2)
    assert right(said[0], done[0]) and right(said[1], done[1])
