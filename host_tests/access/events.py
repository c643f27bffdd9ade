"""All that can happen to a charger. Cards stand for what they are to the session: its own, of the
same group, an owner's, a service card, another approved one, one that is not.

Runs under MicroPython too.
"""

FAULTS = ("a", "b")
GROUP = 1  # next to 0, which is none

# name: (token, role, group, verdict)
CARDS = {
    "own": ("own", "user", GROUP, "Accepted"),
    "own, blocked": ("own", "user", GROUP, "Blocked"),
    "own, expired": ("own", "user", GROUP, "Expired"),
    "same group": ("mate", "user", GROUP, "Accepted"),
    "same group, expired": ("mate", "user", GROUP, "Expired"),
    "other": ("other", "user", 0, "Accepted"),
    "owner": ("owner", "owner", 0, "Accepted"),
    "owner of the same group": ("boss", "owner", GROUP, "Accepted"),
    "owner, blocked": ("owner", "owner", 0, "Blocked"),
    "service": ("service", "service", 0, "Invalid"),
    "service of the same group": ("service", "service", GROUP, "Invalid"),
    "service that may start": ("service", "service", 0, "Accepted"),
    "unknown": ("unknown", None, 0, "Unknown"),
    "random": (None, None, 0, "RandomNumber"),
}
# What the operator says of the two cards that it is asked about.
ANSWERS = {
    "own": ("own", "user", GROUP, "Accepted"),
    "own, refused": ("own", None, 0, "Blocked"),
    "other": ("other", "user", 0, "Accepted"),
    "other, same group": ("other", "user", GROUP, "Accepted"),
    "other, an owner's": ("other", "owner", 0, "Accepted"),
    "other, for service": ("other", "service", 0, "Invalid"),
    "other, expired": ("other", None, 0, "Expired"),
    "not asked about": ("unknown", "owner", GROUP, "Accepted"),
}


def _with(name, cards) -> list[tuple]:
    return [(name, token, role, group, verdict) for token, role, group, verdict in cards]


EVENTS = _with("tap", CARDS.values()) + _with("answer", ANSWERS.values())
EVENTS.extend(
    (
        ("tap", "own", None, 0, "Unknown", "the operator did not answer"),
        ("ask", "own", None, 0, None, 10),
        ("ask", "other", None, 0, None, 10),
        ("unanswered",),
        ("shown", "own", True),
        ("shown", "own", False),
        ("vehicle", False, False),
        ("vehicle", False, True),
        ("vehicle", True, False),
        ("vehicle", True, True),
        ("resume", "own", "user", GROUP, "card", True),
        ("resume", "own", "user", GROUP, "operator", False),
        ("resume", None, None, 0, "open", True),
        ("access", "open"),
        ("access", "restricted"),
        ("available", False),
        ("available", True),
        ("fault", FAULTS[0]),
        ("fault_cleared", FAULTS[0]),
        ("fault", FAULTS[1]),
        ("fault_cleared", FAULTS[1]),
        ("withdrawn",),
        ("authorise", "own", "user", GROUP),
        ("stop", None),
        ("stop", "operator"),
        ("enrol", 60),
        ("enrol", 10_000),
        ("cancel_enrol",),
        ("selftest", True),
        ("selftest", False),
        ("unreadable", "unreadable"),
        ("unreadable", "several"),
        ("tick",),
    )
)

# What a board can walk through in seconds: one card and one order of each kind.
_CARDS_LEFT_OUT = (
    "own, expired",
    "same group, expired",
    "owner of the same group",
    "owner, blocked",
    "service of the same group",
)
_LEFT_OUT = _with("tap", [CARDS[name] for name in _CARDS_LEFT_OUT])
_LEFT_OUT += [("fault", FAULTS[1]), ("fault_cleared", FAULTS[1]), ("stop", "operator")]
FEWER = [
    event
    for event in EVENTS
    if event not in _LEFT_OUT and event[:2] not in (("ask", "other"), ("answer", "other"))
]
