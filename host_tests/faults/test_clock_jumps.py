"""The clock jumps while a vehicle charges, and what knew the time is lost: the session goes on with
its true length, and a card that has expired stays so. Jumps back: end_to_end/test_the_time.py.
"""

import time
from datetime import UTC, datetime, timedelta

from host_tests.end_to_end.conftest import Site, wait
from host_tests.end_to_end.seeing import coil, plug_in, rests, start_charging
from host_tests.faults.conftest import SETTLED_S, powered, prepared, refused

DAY_S = 86_400
ENDING = "e0d10001"  # valid until tomorrow
AHEAD_S = 2 * DAY_S


def test_a_jump_of_two_days_ends_no_session_and_the_card_is_expired_from_then_on(
    site: Site, name: str
):
    site.tapgate("person", "add", "ending@x.org")
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    site.tapgate("grant", "ending@x.org", "--role", "user", "--until", tomorrow)
    site.tapgate("card", "add", "ending@x.org", "--number", ENDING, "--as", "hex")
    with powered(site, name, prepared(site, name), site.home / f"{name}-flash") as made:
        charger, wire = made.charger, made.wire
        wait(lambda: wire.state["clock"] == "set", 15, "told the time")
        start_charging(charger, ENDING)
        began = time.time()
        heard, since = len(wire.events), charger.mark()

        # A signed message from the day after tomorrow, and a time server that says the same.
        charger.do("time", offset_s=AHEAD_S)
        ahead = int(time.time()) + AHEAD_S
        order = {"v": time.time_ns() // 1_000_000, "t": ahead, "exp": ahead + 60}
        wire.put("command", wire.signed("command", command="identify", **order), retain=False)
        done = made.reported("command_done", heard)
        assert done["ok"] is True
        wait(lambda: wire.state["clock"] == "set", 15, "told the time again")
        site.change("settings", "--service-may-start", "on")  # upon which every right is looked at
        made.reported("settings_applied", heard)
        rests(charger, coil(False), 0.5, since)
        charger.do("unplug")
        ended = made.reported("session_ended", heard)
        # Two clocks in whole seconds, each set anew meanwhile.
        assert 0 <= ended["end"] - ended["start"] <= time.time() - began + 2
        assert abs(ended["end"] - time.time() - AHEAD_S) < 10
        time.sleep(SETTLED_S)
        plug_in(charger, "yellow")
        refused(charger, ENDING)
        assert made.reported("card_refused", heard)["verdict"] == "Expired"

        # The supply takes the clock with it, and nobody says the time: it is not earlier.
        heard, since = len(wire.events), charger.mark()
        charger.do("unplug")
        charger.do("ntp", up=False)
        charger.do("power", off_ms=100)
        charger.wait_for(lambda push: "ready" in push, 20, since)
        made.reported("booted", heard)
        plug_in(charger, "yellow")
        refused(charger, ENDING)
        assert made.reported("card_refused", heard)["verdict"] == "Expired"
        assert wire.state["clock"] == "lower bound"
