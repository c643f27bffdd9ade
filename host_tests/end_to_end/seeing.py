"""What happens at the hardware of a virtual charger, in words for tests."""

import time
from collections.abc import Callable

from tools.demo import hue_of
from tools.virtual.client import VirtualCharger

TAP_MS = 200
_MOMENT_MS = 20


def coil(on: bool) -> Callable[[dict], bool]:
    return lambda push: push.get("pin") == "contactor" and push["on"] is on


def light(hue: str) -> Callable[[dict], bool]:
    return lambda push: "light" in push and hue_of(push["light"]) == hue


def shines(charger: VirtualCharger, hue: str, within_s: float, since: int) -> None:
    """Wait for a light that lasts. The lamp's channels are driven one after the other: on the way
    from dark to yellow it is red for a moment."""
    end = time.monotonic() + within_s
    while True:
        found = charger.wait_for(light(hue), max(0.0, end - time.monotonic()), since)
        since = charger.pushes.index(found, since) + 1
        time.sleep(2 * _MOMENT_MS / 1_000)
        after = [push for push in charger.pushes[since:] if "light" in push]
        if not after or after[0]["t_ms"] - found["t_ms"] > _MOMENT_MS:
            return


def tap(charger: VirtualCharger, uid: str) -> int:
    """Hold a card to the reader for a moment; where in the pushes that began."""
    since = charger.mark()
    charger.do("tap", uid=uid, ms=TAP_MS)
    return since


def ms_from_card_to(charger: VirtualCharger, wanted: Callable[[dict], bool], since: int) -> float:
    placed = charger.wait_for(lambda push: push.get("card") == "placed", 5, since)
    return charger.wait_for(wanted, 5, since)["t_ms"] - placed["t_ms"]


def ms_until(charger: VirtualCharger, do: str, wanted: Callable[[dict], bool]) -> float:
    """How long after a command something is seen, on this computer's clock."""
    since = charger.mark()
    began = time.monotonic()
    charger.do(do)
    charger.wait_for(wanted, 5, since)
    return (time.monotonic() - began) * 1_000


def rests(charger: VirtualCharger, unwanted: Callable[[dict], bool], for_s: float, since: int):
    """Nothing of that kind from `since` on, for so long from now."""
    time.sleep(for_s)
    assert not [push for push in charger.pushes[since:] if unwanted(push)]


def plug_in(charger: VirtualCharger, hue: str) -> None:
    """Connect a vehicle and wait for the light."""
    since = charger.mark()
    charger.do("plug")
    charger.wait_for(light(hue), 5, since)


def unplug(charger: VirtualCharger) -> None:
    """Take the connector out, for longer than its contact bounces."""
    charger.do("unplug")
    time.sleep(0.2)


def start_charging(charger: VirtualCharger, uid: str) -> None:
    """Plug in and tap an approved card."""
    plug_in(charger, "yellow")
    charger.wait_for(coil(True), 2, tap(charger, uid))
