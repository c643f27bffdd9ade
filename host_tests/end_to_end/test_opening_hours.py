"""Cards with a weekly schedule, by the local clock, at a charger with the real firmware."""

import json
from datetime import UTC, datetime, timedelta

from host_tests.end_to_end.conftest import Site, wait
from host_tests.end_to_end.seeing import coil, plug_in, rests, start_charging, tap, unplug
from host_tests.end_to_end.wire import Wire
from tools.virtual.client import VirtualCharger

DAYS = ("mo", "tu", "we", "th", "fr", "sa", "su")
HOURLY, DAILY = "50010003", "da110003"


def test_a_schedule_needs_a_clock_and_then_counts_by_it(site: Site):
    # Both weeks are far from their ends now, whatever the site's time zone.
    today = datetime.now(UTC)
    near = [DAYS[(today + timedelta(days=days)).weekday()] for days in (-1, 0, 1)]
    far = [day for day in DAYS if day not in near]
    for name, days, uid in (("near", near, HOURLY), ("far", far, DAILY)):
        site.tapgate("schedule", "add", name, "--week", ", ".join(days))
        site.tapgate("person", "add", f"{name}@x.org")
        site.tapgate("grant", f"{name}@x.org", "--role", "user", "--schedule", name)
        site.tapgate("card", "add", f"{name}@x.org", "--number", uid, "--as", "hex")
    site.add("hours")
    path = site.config("hours")
    wire = Wire(site.broker, "hours", bytes.fromhex(json.loads(path.read_text())["charger_key"]))
    try:
        with VirtualCharger.start(path, site.home / "hours") as charger:
            wire.wait_for("booted")
            charger.do("ntp", up=False)
            charger.do("power", off_ms=200)  # whatever it was told meanwhile is gone
            wait(lambda: [e for e in wire.events if e["event"] == "booted"][1:], 30, "restarted")
            site.wait_in_step("hours")
            refused(charger, wire, HOURLY, "ClockUnknown")
            charger.do("ntp", up=True)
            wait(lambda: wire.state["clock"] == "set", 90, "told the time")
            refused(charger, wire, DAILY, "NotAtThisTime")
            start_charging(charger, HOURLY)
            since = charger.mark()
            # Other hours that would not have let it start take the session away.
            site.change("schedule", "set", "near", "--week", ", ".join(far))
            charger.wait_for(coil(False), 5, since)
            ended = wire.wait_for("session_ended")
            assert ended["reason"] == "withdrawn"
    finally:
        wire.close()


def refused(charger: VirtualCharger, wire: Wire, uid: str, verdict: str) -> None:
    plug_in(charger, "yellow")
    since = tap(charger, uid)
    wire.wait_for("card_refused", lambda event: event["verdict"] == verdict)
    rests(charger, coil(True), 0.2, since)
    unplug(charger)
