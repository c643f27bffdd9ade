"""What reaches a charger over a broker that anybody may write to, and what it says of itself."""

import json
import time
from collections.abc import Iterator

import pytest

from firmware import VERSION
from host_tests.end_to_end.conftest import ANNA, Site, wait
from host_tests.end_to_end.seeing import coil, light, plug_in, start_charging, tap, unplug
from host_tests.end_to_end.wire import Wire, nested, signed
from tools.virtual.client import VirtualCharger

NAME = "watched"
KEEPALIVE_S = 3  # the broker tells of the last will after one and a half times that
SETTLED_S = 1.6
TOKEN = "0123456789abcd"


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
    charger.wait_for(coil(False), 5, since)


def test_the_state_says_what_others_hang_their_icons_on(charger: VirtualCharger, wire: Wire):
    wait(lambda: wire.state["clock"] == "set", 10, "told the time")
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
    assert (state["reader"], state["clock"], state["faults"]) == ("ok", "set", [])
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
    charger.wait_for(coil(True), 5, since)
    assert wire.command("stop")["ok"] is True
    charger.wait_for(coil(False), 5, since)
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


def test_a_restart_opens_the_contactor_and_the_session_goes_on_after_it(
    charger: VirtualCharger, wire: Wire
):
    wait(lambda: wire.state["online"], 20, "online")
    before = {event["n"] for event in wire.events}
    start_charging(charger, ANNA)
    started = wire.wait_for("session_started", lambda event: event["n"] not in before)
    since = charger.mark()
    assert wire.command("restart")["ok"] is True
    charger.wait_for(coil(False), 7, since)
    charger.wait_for(lambda push: "reset" in push, 7, since)
    charger.wait_for(coil(True), 20, since)
    resumed = wire.wait_for("session_resumed", lambda event: event["n"] not in before)
    assert resumed["session"] == started["n"]
    wait(lambda: (wire.state["session"] or {}).get("n") == started["n"], 15, "back")
    unplug(charger)
    ended = wire.wait_for("session_ended", lambda event: event["n"] not in before)
    assert (ended["session"], ended["reason"]) == (started["n"], "unplugged")


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
    charger.wait_for(light("white"), 5, since)
