"""Every state that can be reached, with every event: the rules of the design hold in all of them.

Tokens stand for what they are to a session (own, same group, owner's, service, other, unknown), and
times for before and after each limit, which makes the table finite.
"""

import gc

from firmware.access import light
from firmware.access.session import NOT_BEGUN, RUNNING, START, Session, may_close, step

# MicroPython: collected often, what is kept does not lie scattered all over the heap.
getattr(gc, "threshold", lambda count: None)(400_000)

NOW = (1 << 30) - 1_000  # so that every limit lies beyond the end of the ticks
SETTLED = (NOW + 1_500) % (1 << 30)
MUCH_LATER = (NOW + 700_000) % (1 << 30)

FAULTS = ("a", "b")
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
# Cards that the operator judges, and what it says of them.
ASKS = {
    "own": ("ask", "own", None, 0, None, 10),
    "other": ("ask", "other", None, 0, None, 10),
}
ANSWERS = {
    "own": ("answer", "own", "user", 7, "Accepted"),
    "own, blocked": ("answer", "own", None, 0, "Blocked"),
    "other": ("answer", "other", "user", 0, "Accepted"),
    "an owner's": ("answer", "other", "owner", 0, "Accepted"),
    "for service": ("answer", "other", "service", 0, "Invalid"),
    "nobody asked": ("answer", "unknown", "owner", 7, "Accepted"),
}
EVENTS = list(TAPS.values()) + list(ASKS.values()) + list(ANSWERS.values())
EVENTS.extend(
    (
        ("unanswered",),
        ("shown", "own", True),
        ("shown", "own", False),
        ("vehicle", False, False),
        ("vehicle", True, False),
        ("vehicle", True, True),
        ("resume", "own", "user", 7, "card", True),
        ("resume", "own", "user", 7, "operator", False),
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
        ("authorise", "own", "user", 7),
        ("stop", None),
        ("enrol", 60),
        ("cancel_enrol",),
        ("selftest", True),
        ("selftest", False),
        ("unreadable", "several"),
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
WITHOUT_VEHICLE = (
    "available",
    "preauthorised",
    "checking",
    "enrolling",
    "service",
    "unavailable",
    "faulted",
)
RECOVERY = (
    ("vehicle", False, False),
    ("fault_cleared", FAULTS[0]),
    ("fault_cleared", FAULTS[1]),
    ("available", True),
)


def _times(before, event):
    """When an event may come: at once; the time-outs and a plug also when each limit is over."""
    times = [NOW]
    if event[0] == "tick" or event == ("vehicle", True, True):
        if before.settling is not None:
            times.append(SETTLED)
        if before.deadline is not None or before.asked is not None:
            times.append(MUCH_LATER)
    return times


def _at_now(after):
    """The same session with its limits counted from NOW, so that there are finitely many; and
    fewer without what does not matter: whether a card or the app began it, and which faults.
    """
    *fields, faults, progress, holder, deadline, settling, asked = after
    if holder is not None and holder[3] == "remote":
        holder = (holder[0], holder[1], holder[2], "card")
    if deadline is not None:
        deadline = (NOW + 60_000) % (1 << 30)
    if settling is not None:
        settling = (SETTLED, settling[1])
    if asked is not None:
        asked = ((NOW + 10_000) % (1 << 30), asked[1])
    fields.extend((FAULTS[: len(faults)], progress, holder, deadline, settling, asked))
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
    waits = after.state == "awaiting" or (after.state == "checking" and after.connected)
    if waits and after.progress == NOT_BEGUN:
        assert not after.open, "an open charger keeps nobody waiting"
    assert after.state != "checking" or after.asked is not None, "left again, whatever happens"
    if after.state in ("available", "awaiting", "finished"):
        assert after.asked is None, "while another card is judged the light says so"
    if after.state in ("preauthorised", "enrolling", "service"):
        assert after.deadline is not None, "left again, whatever happens"


def _check_authorisation(before, event, now_ms, after, effects):
    """A session begins by an accepted card, by the app or by an open charger, and ends once."""
    began, resumed, ended = (
        _records(effects).count("session_started"),
        _records(effects).count("session_resumed"),
        _records(effects).count("session_ended"),
    )
    assert began + resumed + ended <= 1
    assert (before.progress == RUNNING) + began + resumed - ended == (after.progress == RUNNING)
    if event[0] == "resume":
        _check_resumed(before, event, after, effects, resumed)
        return
    assert not resumed, "what was cut short resumes by its own event alone"
    if after.holder is not None and after.holder != before.holder:
        if event[0] in ("tap", "answer"):
            assert event[4] == "Accepted" and after.holder[0] == event[1]
            assert after.holder[3] == {"tap": "card", "answer": "operator"}[event[0]]
        else:
            assert event[0] == "authorise" and after.holder[3] == "remote"
        assert before.progress != RUNNING, "nobody takes a running session over"
    if began and after.holder is None:
        assert after.open
    if began and before.holder is not None and after.holder == before.holder:
        assert before.state == "preauthorised" and now_ms != MUCH_LATER


def _check_resumed(before, event, after, effects, resumed):
    """Once, at a charger that has done nothing yet; and nobody's session only while it is open."""
    if not resumed:
        assert after is before and effects == ()
        assert before.state not in ("available", "faulted") or (
            before.connected or not before.enabled or (event[4] == "open" and not before.open)
        )
        return
    assert before.state in ("available", "faulted") and before.enabled
    assert not before.connected and after.connected
    if event[4] == "open":
        assert after.open and after.holder is None
    else:
        assert after.holder == (event[1], event[3], event[2], event[4])
    if before.state == "faulted":
        assert after.state == "faulted"
    else:
        assert after.state == ("charging" if event[5] else "authorised")


def _check_unplugged(before, event, after, effects):
    if event == ("vehicle", False, False) and before.connected:
        assert before.state != "charging" or effects[0] == ("contactor", False)
        assert after.progress == NOT_BEGUN
        if before.progress == RUNNING:
            reasons = [e[2]["reason"] for e in effects if e[:2] == ("record", "session_ended")]
            assert reasons == ["unplugged"]
        if before.state in ("awaiting", "authorised", "charging", "finished"):
            assert after.state == "available"


def _check_operator(before, event, after, effects):
    """One question at a time; only its answer is one; whoever waits for it is told."""
    asks = [effect[1:] for effect in effects if effect[0] == "ask"]
    given_up = [effect[1] for effect in effects if effect[0] == "unanswered"]
    if after.asked is not None and before.asked is None:
        assert event[0] == "ask" and asks == [(event[1], before.state)]
    else:
        assert not asks
    if before.asked is not None and after.asked is not None:
        assert after.asked == before.asked
    if event[0] == "answer":
        if before.asked is None or before.asked[1] != event[1]:
            assert after is before and effects == (), "nobody asked"
        else:
            assert after.asked is None
            if before.progress == RUNNING:
                same = before.holder is not None and (
                    before.holder[0] == event[1]
                    or (before.holder[3] == "operator" and before.holder[1] == event[3] != 0)
                )
                may = event[2] in ("owner", "service") or (same and event[4] == "Accepted")
                assert after.progress == RUNNING or may
                assert after.progress != RUNNING or not may or before.settling is not None
    if "session_ended" in _records(effects):
        told = [e[2]["token"] for e in effects if e[:2] == ("record", "card_refused")]
        waited = before.asked is not None and event[:2] != ("answer", before.asked[1])
        assert after.asked is None and told == ([before.asked[1]] if waited else [])
    assert not given_up or (given_up == [before.asked[1]] and after.asked is None)
    if before.state == "checking" and after.state != "checking":
        answered = event[0] == "answer" and before.asked[1] == event[1]
        assert answered or given_up or event[0] in ("vehicle", "access", "available", "fault")
        assert after.asked is None or after.state in ("unavailable", "faulted")
        if after.state in ("authorised", "charging", "preauthorised"):
            assert after.open or (answered and event[4] == "Accepted")
    if event[0] == "ask" and before.progress == RUNNING:
        own = before.holder is not None and before.holder[0] == event[1]
        assert own or (after.state, after.progress) == (before.state, RUNNING)
        if own and before.settling is None and before.asked is None:
            assert after.progress != RUNNING


def _check_access(before, event, after):
    if event[0] == "access":
        assert after.open == (event[1] == "open")
        if before.progress == RUNNING:
            assert (after.state, after.holder) == (before.state, before.holder)


def _check_tap(before, event, after, effects):
    if event[0] != "tap":
        return
    overlays = [effect[1] for effect in effects if effect[0] == "overlay"]
    in_question = before.asked is not None and before.asked[1] == event[1]
    if in_question:
        assert after == before and effects == (), "the answer counts"
        return
    if before.state == "checking":
        early = before.settling is not None and before.settling[1] == event[1]
        assert after == before and overlays == ([] if early else ["refused"])
        return
    name = next(name for name, tap in TAPS.items() if tap == event)
    settled = before.settling is None
    if before.progress == RUNNING:
        stranger = name == "same group" and before.holder and before.holder[3] == "operator"
        if name in STOPS[before.holder and before.holder[0]] and settled and not stranger:
            assert after.progress != RUNNING
            assert overlays[-1] == "accepted"
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
        assert overlays or stops, "a tap is answered"
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
    for _ in range(2):
        session, _ = step(session, ("tick",), MUCH_LATER)
    assert session.state == "available"
    assert not session.faults and session.holder is None and session.progress == NOT_BEGUN
    assert session.asked is None


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
        _check_operator(before, event, after, effects)
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
    assert states == set(light.STATES)
    assert len(pairs) == len(states) * len(EVENTS)
