"""What helps where a charger has declined: it names the state that it is in."""

import re

_NOT_WHILE = re.compile(r"not while (\w+)")
_RUNS = "a session runs there; wait for its end, or run 'tapgate stop {0}'"
_FOR_ORDERS = {
    "authorised": _RUNS,
    "charging": _RUNS,
    "checking": "a card is being judged there; try again in a moment",
    "enrolling": "a card is being registered there; try again in a moment",
    "faulted": "it has a fault; see 'tapgate status {0}'",
    "finished": "a vehicle whose session is over is still connected; unplug it first",
    "preauthorised": "somebody has just been approved there; try again in a minute",
    "service": "its self-test runs already; try again when that is over",
    "unavailable": "it is switched off; run 'tapgate available {0} on'",
}
# The self-test is declined only where a vehicle is connected, or something else goes on.
_VEHICLE = "a vehicle is connected; unplug it first"
_FOR_SELFTEST = {
    **_FOR_ORDERS,
    "authorised": "a session runs; unplug the vehicle first",
    "charging": "a session runs; unplug the vehicle first",
    "awaiting": _VEHICLE,
    "faulted": f"it has a fault, and {_VEHICLE}",
    "finished": _VEHICLE,
    "unavailable": _VEHICLE,
}


def state(why: str) -> str | None:
    """The one that it is busy in."""
    found = _NOT_WHILE.search(why)
    return found[1] if found else None


def with_order(why: str, charger: str) -> str | None:
    """In words; None where it is not its state that stands against it."""
    words = _FOR_ORDERS.get(state(why) or "")
    return words and words.format(charger)


def with_selftest(why: str) -> str | None:
    """The same, of an order to test itself."""
    return _FOR_SELFTEST.get(state(why) or "")
