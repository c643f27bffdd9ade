"""What the light shows, as data: each state, each short message over it, each standing remark.

A pattern is `(period_ms, steps)`; a step is `(duration_ms, from_percent, to_percent)`, brightness
going evenly from the one to the other. Steps fill the period, and the period repeats. No pattern
flashes more than three times a second, the bound of WCAG 2.3.1 for photosensitive people.

On a board the tables are lines of text in the ROM, as tools/mpy.py makes them: `entry` finds what
they have under a name. That takes a moment: not for every frame.
"""

import json

COLOURS = {
    "green": (0, 255, 0),
    "yellow": (255, 180, 0),
    "blue": (0, 0, 255),
    "red": (255, 0, 0),
    "white": (255, 255, 255),
    "magenta": (255, 0, 255),
}

PATTERNS = {
    "steady": (1_000, ((1_000, 100, 100),)),
    "steady and bright": (1_000, ((1_000, 100, 100),)),
    "steady and dim": (1_000, ((1_000, 15, 15),)),
    # Never dark: its colour can be told at every moment.
    "slow pulse": (2_000, ((1_000, 100, 20), (1_000, 20, 100))),
    "fast blink": (400, ((200, 100, 100), (200, 0, 0))),
    "wink every 5 s": (5_000, ((150, 100, 100), (4_850, 0, 0))),
    # As often as OVERLAY_MS holds the period.
    "1 flash": (2_000, ((400, 100, 100), (1_600, 0, 0))),
    "2 short flashes": (2_000, ((200, 100, 100), (200, 0, 0), (200, 100, 100), (1_400, 0, 0))),
    "2 long flashes": (1_000, ((700, 100, 100), (300, 0, 0))),
    "4 short flashes": (500, ((200, 100, 100), (300, 0, 0))),
}

# state: (colour, pattern)
STATES = {
    "available": ("green", "steady and dim"),
    "preauthorised": ("green", "slow pulse"),
    "awaiting": ("yellow", "slow pulse"),
    "checking": ("yellow", "fast blink"),
    "authorised": ("blue", "slow pulse"),
    "charging": ("blue", "steady"),
    "finished": ("green", "steady and bright"),
    "enrolling": ("white", "slow pulse"),
    "service": ("magenta", "steady"),
    "unavailable": ("red", "wink every 5 s"),
    "faulted": ("red", "fast blink"),
}

# In place of the state for OVERLAY_MS: (colour, pattern)
OVERLAY_MS = 2_000
OVERLAYS = {
    "accepted": ("green", "2 short flashes"),
    "refused": ("red", "2 long flashes"),
    "expired": ("red", "4 short flashes"),
    "unreadable": ("yellow", "1 flash"),
    "enrolled": ("white", "2 short flashes"),
}

# For as long as it lasts: name: (states it is shown in, period_ms, steps). A step is (duration_ms,
# colour), full brightness; where the colour is None the state or the overlay shows. A session that
# runs goes on without the reader, and its light with it.
STANDING = {
    "offline": (
        tuple(STATES),
        5_000,
        # Half a period after the wink of `unavailable`, so that both can be seen.
        ((2_500, None), (150, "white"), (2_350, None)),
    ),
    "reader": (
        ("available", "preauthorised", "awaiting", "finished", "enrolling"),
        1_000,
        ((500, "red"), (500, "yellow")),
    ),
}


def overlay_for(verdict: str) -> str:
    """The overlay's name for a verdict: of a refusal, what time has made of a card or another."""
    if verdict == "Accepted":
        return "accepted"
    return "expired" if verdict in ("Expired", "ListTooOld") else "refused"


def entry(table: dict | bytes, name: str):
    """What one of these tables has under a name. KeyError where it has none."""
    if isinstance(table, dict):
        return table[name]
    begin = table.find(b"\n" + name.encode() + b"\t")
    if begin < 0:
        raise KeyError(name)
    begin += len(name) + 2
    return json.loads(table[begin : table.find(b"\n", begin)])


def brightness(pattern: tuple, at_ms: int) -> int:
    """Percent, `at_ms` after an entry of PATTERNS began."""
    period_ms, steps = pattern
    at_ms %= period_ms
    for duration_ms, first, last in steps:
        if at_ms < duration_ms:
            return first + (last - first) * at_ms // duration_ms
        at_ms -= duration_ms
    raise ValueError("steps shorter than the period of {} ms".format(period_ms))


def standing_colour(remark: tuple, at_ms: int) -> str | None:
    """What colour an entry of STANDING shows at `at_ms`, None where it lets the rest through."""
    _, period_ms, steps = remark
    at_ms %= period_ms
    for duration_ms, colour in steps:
        if at_ms < duration_ms:
            return colour
        at_ms -= duration_ms
    raise ValueError("steps shorter than the period of {} ms".format(period_ms))
