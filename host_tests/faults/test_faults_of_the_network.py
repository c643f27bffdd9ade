"""A name server that never answers, a Wi-Fi that flaps, a broker that lies or is another: cards are
judged as fast as ever meanwhile, and afterwards all is in step.
"""

import datetime
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from host_tests.end_to_end.conftest import ANNA, Site, wait
from host_tests.end_to_end.seeing import coil, light, plug_in, tap
from host_tests.faults.conftest import TAP_LIMIT_MS, Watched, powered, prepared
from host_tests.link.test_link_tls import Authority
from tools.broker import Broker
from tools.fault_proxy import FaultProxy
from tools.virtual.client import VirtualCharger

NAME = "networked"
TOPIC = f"tapgate/home/{NAME}/settings".encode()
AGAIN_S = 0.4  # between two lies
FLAPS_S = 0.5  # down, and up again
BACK_S = 70  # the longest wait between two attempts is 60 s


@pytest.fixture(scope="module")
def between(site: Site) -> Iterator[FaultProxy]:
    with FaultProxy(site.broker.port) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def made(site: Site, between: FaultProxy) -> Iterator[Watched]:
    path = prepared(site, NAME, broker={"host": "localhost", "port": between.port})
    with powered(site, NAME, path, site.home / f"{NAME}-flash") as running:
        yield running


@contextmanager
def all_the_while(do: Callable[[], object], every_s: float) -> Iterator[list[Exception]]:
    """In another thread; what it raises is in the list."""
    over, failures = threading.Event(), []

    def run() -> None:
        while not over.is_set():
            try:
                do()
            except OSError:
                pass  # the charger has hung up
            except Exception as error:
                failures.append(error)
            over.wait(every_s)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield failures
    finally:
        over.set()
        thread.join()


def a_session(made: Watched) -> None:
    took_ms = made.charging_ms()
    made.leave()
    assert took_ms < TAP_LIMIT_MS


def is_well(made: Watched, heard: int, sessions: int) -> None:
    """Online, in step with what has just changed, and has told of every session once."""
    wait(lambda: made.site.status(NAME)["online"], BACK_S, "online")
    made.site.tapgate("publish", "--all")
    made.site.wait_in_step(NAME)

    def ended() -> set[int]:
        return {e["n"] for e in made.wire.events[heard:] if e["event"] == "session_ended"}

    wait(lambda: len(ended()) >= sessions, BACK_S, "all told")
    assert len(ended()) == sessions
    assert made.wire.state["errors"] == 0


def publish(size: int) -> bytes:
    """PUBLISH with QoS 0."""
    left = 2 + len(TOPIC) + size
    length = b""
    while left > 0x7F:
        length += bytes([left & 0x7F | 0x80])
        left >>= 7
    head = b"\x30" + length + bytes([left]) + len(TOPIC).to_bytes(2, "big") + TOPIC
    return head + b"x" * size


def other_acknowledgements(data: bytes) -> bytes:
    return b"\x40\x02\x30\x39" if data[:1] == b"\x40" else data


LIES = {
    "wrong acknowledgements": lambda between: setattr(between, "rewrite", other_acknowledgements),
    "oversized": lambda between: between.inject(publish(20_000)),
    "a flood": lambda between: between.inject(publish(40) * 3_000),
    "garbage": lambda between: between.inject(b"HTTP/1.1 400 Bad Request\r\n\r\n"),
    "half a connection": lambda between: between.half_close(),
}


def connects_anew(made: Watched) -> None:
    """Soon: a Wi-Fi that was away is no reason to wait for the broker."""
    made.charger.do("link", up=False)
    time.sleep(0.5)
    said = len(made.wire.said[made.wire.base + "state"])
    made.charger.do("link", up=True)
    wait(lambda: len(made.wire.said[made.wire.base + "state"]) > said, 20, "connected")


def test_taps_are_as_fast_as_ever_while_the_broker_lies(made: Watched, between: FaultProxy):
    heard = len(made.wire.events)
    for name, lie in LIES.items():
        with all_the_while(lambda lie=lie: lie(between), AGAIN_S) as failures:
            a_session(made)
        assert not failures, name
        between.heal()
        connects_anew(made)
    is_well(made, heard, len(LIES))
    said = "\n".join(made.charger.output)
    for word in ("protocol: PUBACK for 12345", "protocol: packet 48", "closed: by the broker"):
        assert f"link {word}" in said, said
    assert "Traceback" not in said, said


def test_taps_are_as_fast_as_ever_while_wifi_flaps(made: Watched):
    heard, up = len(made.wire.events), True

    def flap() -> None:
        nonlocal up
        up = not up
        made.charger.do("link", up=up)

    with all_the_while(flap, FLAPS_S) as failures:
        for _ in range(3):
            a_session(made)
    assert not failures
    made.charger.do("link", up=True)
    is_well(made, heard, 3)


def test_without_a_name_server_cards_are_judged_and_the_console_says_why_there_is_no_link(
    made: Watched,
):
    charger, heard, since = made.charger, len(made.wire.events), made.charger.mark()
    charger.do("dns", up=False)
    charger.do("power", off_ms=0)
    charger.wait_for(lambda push: "ready" in push, 20, since)
    time.sleep(0.3)  # for the reader
    a_session(made)
    charger.wait_for(light("white"), 8, since)  # works from the list
    charger.wait_for_output("link name: no answer from", 20)
    charger.do("dns", up=True)
    is_well(made, heard, 1)
    resets = [push["reset"] for push in charger.pushes if "reset" in push]
    assert resets == ["power"]  # ours, and none in any of these tests


LONG_AGO = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
EXPIRED = {"not_before": LONG_AGO, "not_after": LONG_AGO + datetime.timedelta(days=90)}


@pytest.fixture(scope="module")
def listed(site: Site) -> tuple[Path, Path]:
    """config.json and flash of a charger that has its list."""
    path, flash = prepared(site, "trusting"), site.home / "trusting-flash"
    with powered(site, "trusting", path, flash):
        pass
    return path, flash


@pytest.mark.parametrize(
    ("name", "own", "validity", "said"),
    [
        ("127.0.0.1", False, {}, "not correctly signed by the trusted CA"),
        ("other.test", True, {}, "does not match with the expected CN"),
        ("127.0.0.1", True, EXPIRED, "validity has expired"),
    ],
    ids=["another authority", "another name", "expired"],
)
def test_a_broker_that_is_not_to_be_trusted_gets_nothing_and_the_console_says_why(
    site: Site,
    listed: tuple[Path, Path],
    tmp_path: Path,
    name: str,
    own: bool,
    validity: dict,
    said: str,
):
    path, flash = listed
    authority = Authority(tmp_path)
    issued = (authority if own else Authority(tmp_path)).issue(name, **validity)
    config = json.loads(path.read_text())
    with Broker(certificate=issued) as broker:
        ca = authority.file.read_text()
        config["broker"].update(host="127.0.0.1", port=broker.port, tls=True, ca=ca)
        path.write_text(json.dumps(config))
        with VirtualCharger.start(path, flash) as charger:
            line = charger.wait_for_output("link tls: ", 20)
            assert said in line
            plug_in(charger, "yellow")
            charger.wait_for(coil(True), 2, tap(charger, ANNA))
            charger.do("unplug")
            charger.wait_for(light("white"), 8)  # no link, and the list counts
            assert site.status("trusting")["online"] is False
