"""Every state that can be reached, with every event: the rules of the design hold in all of them.

Tokens stand for what they are to a session (own, same group, owner's, service, other, unknown), and
times for before and after each limit, which makes the table finite.
"""

from firmware.access import light
from firmware.access.session import NOT_BEGUN, RUNNING, START, Session, may_close, step

NOW = (1 << 30) - 1_000  # so that every limit lies beyond the end of the ticks
SETTLED = (NOW + 1_500) % (1 << 30)
MUCH_LATER = (NOW + 700_000) % (1 << 30)

TAPS = {
    "own": ("tap", "own", "user", 7, "Accepted"),
    "own, blocked": ("tap", "own", "user", 7, "Blocked"),
    "own, expired": ("tap", "own", "user", 7, "Expired"),
    "same group": ("tap", "mate", "user", 7, "Accepted"),
    "other": ("tap", "other", "user", 0, "Accepted"),
    "owner": ("tap", "owner", "owner", 0, "Accepted"),
    "service": ("tap", "service", "service", 0, "Invalid"),
    "service that may start": ("tap", "service", "service", 0, "Accepted"),
    "unknown": ("tap", "unknown", None, 0, "Unknown"),
    "random": ("tap", None, None, 0, "RandomNumber"),
}
EVENTS = list(TAPS.values())
EVENTS.extend(
    (
        ("vehicle", False, False),
        ("vehicle", True, False),
        ("vehicle", True, True),
        ("access", "open"),
        ("access", "restricted"),
        ("available", False),
        ("available", True),
        ("fault", "a"),
        ("fault_cleared", "a"),
        ("withdrawn",),
        ("authorise", "own", "user", 7),
        ("stop", None),
        ("enrol", 60),
        ("cancel_enrol",),
        ("selftest", True),
        ("selftest", False),
        ("unreadable",),
        ("tick",),
    )
)

# Which of the cards above may end a session of "own", of "other" and of nobody. An own card may
# whatever the list says of it now, unless it is blocked.
STOPS = {
    "own": ("own", "own, expired", "same group", "owner", "service", "service that may start"),
    "mate": ("own", "same group", "owner", "service", "service that may start"),
    "other": ("other", "owner", "service", "service that may start"),
    "owner": ("owner", "service", "service that may start"),
    "service": ("owner", "service", "service that may start"),
    None: ("owner", "service", "service that may start"),
}
WITHOUT_VEHICLE = ("available", "preauthorised", "enrolling", "service", "unavailable", "faulted")
RECOVERY = (
    ("vehicle", False, False),
    ("fault_cleared", "a"),
    ("available", True),
)


def _times(before, event):
    """When an event may come: at once; the time-outs and a plug also when each limit is over."""
    times = [NOW]
    if event[0] == "tick" or event == ("vehicle", True, True):
        if before.settling is not None:
            times.append(SETTLED)
        if before.deadline is not None:
            times.append(MUCH_LATER)
    return times


def _at_now(after):
    """The same session with its limits counted from NOW, so that there are finitely many."""
    fields = list(after)
    if after.deadline is not None:
        fields[fields.index(after.deadline)] = (NOW + 60_000) % (1 << 30)
    if after.settling is not None:
        fields[fields.index(after.settling)] = (SETTLED, after.settling[1])
    return Session(*fields)


def _walk():
    """Every (session before, event, time, session after, effects) that can be reached."""
    known = {START}
    to_do = [START]
    while to_do:
        before = to_do.pop()
        for event in EVENTS:
            for now_ms in _times(before, event):
                after, effects = step(before, event, now_ms)
                yield before, event, now_ms, after, effects
                after = _at_now(after)
                if after not in known:
                    known.add(after)
                    to_do.append(after)


def _records(effects):
    return [effect[1] for effect in effects if effect[0] == "record"]


def _check_contactor(before, after, effects):
    """Closed in `charging` and nowhere else; and what `charging` needs is there."""
    if after.state == "charging":
        assert after.connected and after.asks and after.enabled and not after.faults
        assert after.progress == RUNNING
        assert after.holder is not None or after.open or before.progress == RUNNING
    assert may_close(after) == (after.state == "charging")
    orders = [effect[1] for effect in effects if effect[0] == "contactor"]
    if False in orders:
        assert effects[0] == ("contactor", False)
    closed = orders[-1] if orders else before.state == "charging"
    assert closed == (after.state == "charging")
    offers = [effect[1] for effect in effects if effect[0] == "offer"]
    offered = offers[-1] if offers else before.state in ("authorised", "charging")
    assert offered == (after.state in ("authorised", "charging"))


def _check_facts(after):
    """The state says of vehicle, owner and faults what is so."""
    assert after.state in light.STATES
    assert after.connected or not after.asks
    assert after.connected or after.state in WITHOUT_VEHICLE
    assert not after.connected or after.state not in ("available", "preauthorised", "service")
    assert not after.faults or after.state in ("faulted", "service")
    assert after.enabled or after.state in ("unavailable", "faulted", "service")
    assert not after.enabled or after.state != "unavailable"
    assert after.state != "faulted" or after.faults or after.deadline is not None
    assert after.progress == NOT_BEGUN or after.connected
    assert (after.progress == RUNNING) or after.state not in ("authorised", "charging")
    assert (after.progress != RUNNING) or after.state in ("authorised", "charging", "faulted")
    assert after.holder is None or after.progress == RUNNING or after.state == "preauthorised"
    assert after.state != "awaiting" or not after.open, "an open charger keeps nobody waiting"
    if after.state in ("preauthorised", "enrolling", "service"):
        assert after.deadline is not None, "left again, whatever happens"


def _check_authorisation(before, event, now_ms, after, effects):
    """A session begins by an accepted card, by the app or by an open charger, and ends once."""
    began, ended = (
        _records(effects).count("session_started"),
        _records(effects).count("session_ended"),
    )
    assert began <= 1 and ended <= 1 and not (began and ended)
    assert (before.progress == RUNNING) + began - ended == (after.progress == RUNNING)
    if after.holder is not None and after.holder != before.holder:
        if event[0] == "tap":
            assert event[4] == "Accepted" and after.holder[0] == event[1]
            assert after.holder[3] == "card"
        else:
            assert event[0] == "authorise" and after.holder[3] == "remote"
        assert before.progress != RUNNING, "nobody takes a running session over"
    if began and after.holder is None:
        assert after.open
    if began and before.holder is not None and after.holder == before.holder:
        assert before.state == "preauthorised" and now_ms != MUCH_LATER


def _check_unplugged(before, event, after, effects):
    if event == ("vehicle", False, False) and before.connected:
        assert before.state != "charging" or effects[0] == ("contactor", False)
        assert after.progress == NOT_BEGUN
        if before.progress == RUNNING:
            reasons = [e[2]["reason"] for e in effects if e[:2] == ("record", "session_ended")]
            assert reasons == ["unplugged"]
        if before.state in ("awaiting", "authorised", "charging", "finished"):
            assert after.state == "available"


def _check_access(before, event, after):
    if event[0] == "access":
        assert after.open == (event[1] == "open")
        if before.progress == RUNNING:
            assert (after.state, after.holder) == (before.state, before.holder)


def _check_tap(before, event, after, effects):
    if event[0] != "tap":
        return
    overlays = [effect[1] for effect in effects if effect[0] == "overlay"]
    name = next(name for name, tap in TAPS.items() if tap == event)
    settled = before.settling is None
    if before.progress == RUNNING:
        if name in STOPS[before.holder and before.holder[0]] and settled:
            assert after.progress != RUNNING
            assert overlays == ["accepted"]
        else:
            assert (after.state, after.holder) == (before.state, before.holder)
            assert after.progress == RUNNING, "a tap of somebody else ended the session"
            refused = [e[2]["verdict"] for e in effects if e[:2] == ("record", "card_refused")]
            assert refused == ["ConcurrentTx"] or overlays == ["accepted"] or not settled
            if event[4] != "Accepted" and settled:
                assert refused == ["ConcurrentTx"]
            if overlays == ["accepted"]:
                assert before.open and before.holder is None
    if settled or before.settling[1] != event[1]:
        stops = before.progress == RUNNING and not settled
        assert len(overlays) == 1 or stops, "a tap is answered"
    else:
        assert effects == (), "a card that wobbles does nothing"
    if overlays in (["refused"], ["expired"]):
        assert "card_refused" in _records(effects)
    assert after.state != "enrolling" or before.state == "enrolling"
    if event[4] == "Accepted" and before.state == "awaiting" and settled:
        assert after.state in ("authorised", "charging"), "an accepted card waits in yellow"


def _check_recovery(session):
    """From everywhere back to the beginning: no trap."""
    for event in RECOVERY:
        session, _ = step(session, event, NOW)
    session, _ = step(session, ("tick",), MUCH_LATER)
    assert session.state == "available"
    assert not session.faults and session.holder is None and session.progress == NOT_BEGUN


def test_the_rules_hold_in_every_state_that_can_be_reached_with_every_event():
    states = set()
    sessions = set()
    pairs = set()
    transitions = 0
    for before, event, now_ms, after, effects in _walk():
        _check_contactor(before, after, effects)
        _check_facts(after)
        _check_authorisation(before, event, now_ms, after, effects)
        _check_unplugged(before, event, after, effects)
        _check_access(before, event, after)
        _check_tap(before, event, after, effects)
        if before not in sessions:
            sessions.add(before)
            _check_recovery(before)
        states.add(before.state)
        pairs.add((before.state, event))
        transitions += 1
    print(
        len(states),
        "states,",
        len(sessions),
        "sessions,",
        len(pairs),
        "pairs,",
        transitions,
        "steps",
    )
    assert states == set(light.STATES) - {"checking"}
    assert len(pairs) == len(states) * len(EVENTS)
