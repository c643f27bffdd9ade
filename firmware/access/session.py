"""The session: a table of what happens in which state, and `step`, which looks up one line of it.

    session, effects = step(session, event, now_ms)

Pure: the session is a value, time is handed in (`time.ticks_ms` values, safe when they wrap), and
effects are tuples for the caller to carry out in their order.

Events
    ("vehicle", connected, asks)        asks: the vehicle wants energy now
    ("resume", token, role, group, by, asks)    the vehicle is there, and was when the board stopped
                                        in the middle of this session, which may go on; nothing
                                        where it has been overtaken by events
    ("tap", token, role, group, verdict)    verdict: of `judge`, or "RandomNumber" with token None
    ("tap", ..., why)                   the same, with more words on a verdict that refuses
    ("ask", token, None, 0, None, wait_s)   a card that the operator is to judge, in that time
    ("answer", token, role, group, verdict) what the operator said; nothing if that card is not
                                        in question
    ("unanswered",)                     no answer is to come, though it may not be time yet
    ("shown", token, known)             a card while enrolling; known: the list holds it already
    ("unreadable", "unreadable" | "several")    a card that cannot be read, or more than one
    ("access", "open" | "restricted")   the access mode
    ("available", bool)                 switched on or off by the owner
    ("fault", name) ("fault_cleared", name)
    ("withdrawn",)                      the holder's permission is gone
    ("authorise", person_token, role, group)   a start from the app
    ("stop", reason)                    an end from elsewhere; None is "remote"
    ("enrol", seconds) ("cancel_enrol",)
    ("selftest", bool)                  begin or leave the self-test
    ("tick",)                           every second at least, for what has its time

Effects
    ("contactor", bool)                 opening is always the first effect
    ("offer", bool)                     energy is offered to the vehicle (the pilot's PWM)
    ("selftest", bool)                  carry it out, or stop carrying it out
    ("overlay", name)                   of `light.OVERLAYS`
    ("record", event_name, fields)      session_started {"token", "role", "group", "by"}
                                        session_resumed {}
                                        session_ended {"token", "role", "by", "reason"}
                                        card_refused {"token", "role", "verdict", "state"}
                                        fault, fault_cleared {"fault"}
    ("ask", token, state)               put this card to the operator; it was tapped in that state
    ("unanswered", token)               the operator has not judged it: somebody else is to
    ("enrolled", token, known)          a card was held to the reader while enrolling
    ("enrol_failed", why)               "time_out", "cancelled", "replaced", "RandomNumber",
                                        "fault", "unavailable"
    ("enrol_retry", why)                "unreadable", "several": enrolling goes on
    ("declined", event_name, state)     an order that this state does not allow

`by` is "card", "operator", "remote" or "open". `reason` is "card" (the one that started it),
"group", "owner", "service", "unplugged", "withdrawn", "unavailable", "remote" or what `stop` gave.
That a session was cut short and does not resume is no event here: it is over already.
Where the state made another verdict of the card's own, `card_refused` also has the card's own, as
"judged".

The contactor, the offer and the self-test follow the state alone (`_outputs`): no line of the table
can close the contactor anywhere but in `charging`. A self-test closes it by itself, for a moment
(`may_close`).
"""

import sys
from collections import namedtuple

from micropython import const

from firmware.access.light import overlay_for
from firmware.access.table import LINES, PLACES
from firmware.access.verdict import in_force, may_stop
from firmware.access.words import (
    ACCEPTED,
    AUTHORISED,
    AVAILABLE,
    AWAITING,
    CHARGING,
    CHECKING,
    CONCURRENT_TX,
    ENROLLING,
    FAULTED,
    FINISHED,
    OPEN,
    PREAUTHORISED,
    RANDOM_NUMBER,
    SERVICE,
    UNAVAILABLE,
)

SETTLE_MS = const(1_500)  # a tap that did something is followed by none that undoes it
LIMIT_MS = {
    "plug_in": 60_000,  # tap first, plug in later
    "selftest": 90_000,  # a self-test that nobody ends
    "fault_over": 2_000,  # a fault that flickers must not make the contactor chatter
}
_ENROL_MAX_S = const(600)

# Where a line of the table does not name its next state.
_STAY = const("(stay)")  # the same state
_GO = const("(go)")  # `charging` if the vehicle asks for energy, else `authorised`
_REST = const("(rest)")  # where the facts lead by themselves, see `_rest`

Session = namedtuple(
    "Session",
    (
        "state",
        "connected",
        "asks",
        "open",  # access mode
        "enabled",  # not switched off by the owner
        "faults",  # names
        "progress",  # of the vehicle's stay: NOT_BEGUN, RUNNING, OVER
        "holder",  # (token, group, role, by) of the session or preauthorisation; None in open mode
        "deadline",  # ticks, or None
        "settling",  # (ticks, token) of the last tap that did something, or None
        "asked",  # (ticks, token) of the card that the operator is to judge by then, or None
    ),
)
NOBODY = const((None, 0, None, "open"))  # the holder of a session that open access began
_STATE = const(0)
_CONNECTED = const(1)
_ASKS = const(2)
_OPEN = const(3)
_ENABLED = const(4)
_FAULTS = const(5)
_PROGRESS = const(6)
_HOLDER = const(7)
_DEADLINE = const(8)
_SETTLING = const(9)
_ASKED = const(10)

NOT_BEGUN = const(0)
RUNNING = const(1)
OVER = const(2)

START = Session(AVAILABLE, False, False, False, True, (), NOT_BEGUN, None, None, None, None)

_TICKS_MASK = const((1 << 30) - 1)
_TICKS_HALF = const(1 << 29)


def step(session, event: tuple, now_ms: int) -> tuple:
    """The session after the event, and the effects to be carried out in their order."""
    kind = event[0]
    if kind in _KIND:
        kind = _KIND[kind](session, event, now_ms)
        if kind is None:
            return session, ()
    new = list(session)
    _note(new, event, now_ms)
    out = []
    if event[0] == "answer" and session.state == CHECKING:
        new[_STATE] = _rest(new, out)
    for line in _lines(new[_STATE], kind):
        if _CONDITIONS[line[0]](new, event, now_ms):
            break
    else:
        raise ValueError("no line for {} in {}".format(kind, new[_STATE]))
    _, next_state, effects = line
    if next_state not in (_STAY, session.state):
        new[_DEADLINE] = None
    if effects != "-":
        for effect in effects.split(","):
            name, _, argument = effect.partition(":")
            _EFFECTS[name](new, event, now_ms, out, argument)
    _enter(new, next_state, out)
    return Session(*new), _outputs(session.state, new[_STATE]) + tuple(out)


def may_close(session, tried: bool = False) -> bool:
    """Whether the contactor may be closed now, from the facts: the interlock of the hardware.
    `tried`: the self-test is at the contactor, which it may close only with no vehicle there."""
    if tried and session.state == SERVICE:
        return not session.connected and not session.faults
    return (
        session.state == CHARGING
        and session.connected
        and session.asks
        and not session.faults
        and session.progress == RUNNING
    )


# What happened, in the words of the table's second column; None where nothing did.


def _vehicle(session, event, now_ms):
    _, connected, asks = event
    if connected != session.connected:
        return "plugged" if connected else "unplugged"
    if connected and asks != session.asks:
        return "asks" if asks else "rests"
    return None


def _resume(session, event, now_ms):
    """Only where nothing has begun since; and nobody's session only while access is open."""
    if session.state not in (AVAILABLE, FAULTED) or session.connected or not session.enabled:
        return None
    return None if event[4] == OPEN and not session.open else "resume"


def _card(session, event, now_ms):
    name, token, role, group, verdict = event[:5]
    asked = session.asked
    in_question = asked is not None and token == asked[1]
    if name == "answer":
        if not in_question:
            return None
    elif in_question or _wobbles(session, token, now_ms):
        return "early_card"
    elif session.state == CHECKING:
        return "busy_card"
    elif session.state == ENROLLING and verdict == RANDOM_NUMBER:
        return "random_card"
    holder = session.holder
    if holder is not None and (name == "answer") != (holder[3] == "operator"):
        group = 0  # the operator numbers its groups, and the owner's list its own
    right = may_stop(holder, token, role, group, verdict)
    if right is not None:
        if session.progress == RUNNING and _settling(session, now_ms):
            return "early_card"
        return "own_card" if right == "card" else right + "_card"
    if name == "ask":
        return "unjudged_card" if asked is None else "busy_card"
    return "other_card" if in_force(role, verdict) else "refused_card"


def _shown(session, event, now_ms):
    _, token, known = event
    if session.state != ENROLLING:
        return None
    if _wobbles(session, token, now_ms):
        return "early_card"
    return "known_card" if known else "new_card"


def _unanswered(session, event, now_ms):
    return None if session.asked is None else "unanswered"


def _access(session, event, now_ms):
    is_open = event[1] == OPEN
    if is_open == session.open:
        return None
    return "opened" if is_open else "restricted"


def _available(session, event, now_ms):
    if event[1] == session.enabled:
        return None
    return "enabled" if event[1] else "disabled"


def _fault(session, event, now_ms):
    return None if event[1] in session.faults else "fault"


def _fault_cleared(session, event, now_ms):
    if event[1] not in session.faults:
        return None
    return "fewer_faults" if len(session.faults) > 1 else "cleared"


def _selftest(session, event, now_ms):
    return "selftest_on" if event[1] else "selftest_off"


def _tick(session, event, now_ms):
    if session.deadline is not None and _passed(session.deadline, now_ms):
        return "time_out"
    if session.asked is not None and _passed(session.asked[0], now_ms):
        return "unanswered"
    if session.settling is not None and _passed(session.settling[0], now_ms):
        return "settled"
    return None


# An event that is not here is its own kind.
_KIND = {
    "vehicle": _vehicle,
    "resume": _resume,
    "tap": _card,
    "ask": _card,
    "answer": _card,
    "unanswered": _unanswered,
    "shown": _shown,
    "access": _access,
    "available": _available,
    "fault": _fault,
    "fault_cleared": _fault_cleared,
    "selftest": _selftest,
    "tick": _tick,
}


def _note(new, event, now_ms):
    """Takes down the facts, which hold whatever the table makes of them."""
    name = event[0]
    if name == "vehicle":
        new[_CONNECTED] = event[1]
        new[_ASKS] = event[1] and event[2]
        if not event[1]:
            new[_SETTLING] = None  # what that tap did is over: the next one begins anew
            if new[_PROGRESS] != RUNNING:
                new[_ASKED] = None  # whoever leaves has not waited
    elif name == "resume":
        new[_CONNECTED] = True
        new[_ASKS] = event[5]
    elif name == "access":
        new[_OPEN] = event[1] == OPEN
    elif name == "available":
        new[_ENABLED] = event[1]
    elif name == "fault":
        new[_FAULTS] += (event[1],)
    elif name == "fault_cleared":
        new[_FAULTS] = tuple(fault for fault in new[_FAULTS] if fault != event[1])
    elif name == "answer":
        new[_ASKED] = None
    settling = new[_SETTLING]
    if settling is not None and _passed(settling[0], now_ms):
        new[_SETTLING] = None


def _enter(new, next_state, out):
    """Puts the next state in, and forgets what it has no use for."""
    if next_state == _STAY:
        next_state = new[_STATE]
    else:
        if next_state == _GO:
            next_state = CHARGING if new[_ASKS] else AUTHORISED
        elif next_state == _REST:
            next_state = _rest(new, out)
        if new[_STATE] == CHECKING and next_state not in (FAULTED, UNAVAILABLE):
            new[_ASKED] = None  # nobody waits for that answer any more
        elif new[_ASKED] is not None and next_state in (AVAILABLE, AWAITING, FINISHED):
            next_state = CHECKING  # what the question ran beside is over, the question is not
    new[_STATE] = next_state
    if new[_PROGRESS] != RUNNING and next_state != PREAUTHORISED:
        new[_HOLDER] = None
    if new[_PROGRESS] == OVER and not new[_CONNECTED]:
        new[_PROGRESS] = NOT_BEGUN


def _rest(new, out):
    """Where the facts lead by themselves; in open mode that may be a new session."""
    if new[_FAULTS]:
        return FAULTED
    if not new[_ENABLED]:
        return UNAVAILABLE
    if not new[_CONNECTED]:
        return AVAILABLE
    if new[_PROGRESS] == OVER:
        return FINISHED
    if new[_PROGRESS] == NOT_BEGUN:
        if not new[_OPEN]:
            return AWAITING
        new[_HOLDER] = None  # a preauthorisation that came too late
        _start(new, None, 0, out, None)
    return CHARGING if new[_ASKS] else AUTHORISED


def _outputs(old, new):
    """What follows from the states alone. Opening the contactor comes first."""
    if old == new:
        return ()
    out = ()
    if old in (CHARGING, SERVICE) or new == FAULTED:  # a self-test also closes it
        out += (("contactor", False),)
    if old == SERVICE or new == SERVICE:
        out += (("selftest", new == SERVICE),)
    if (old in (AUTHORISED, CHARGING)) != (new in (AUTHORISED, CHARGING)):
        out += (("offer", new in (AUTHORISED, CHARGING)),)
    if new == CHARGING:
        out += (("contactor", True),)
    return out


# The conditions of the table's third column.

_CONDITIONS = {
    "-": lambda new, event, now_ms: True,
    "in_time": lambda new, event, now_ms: not _passed(new[_DEADLINE], now_ms),
    "open": lambda new, event, now_ms: new[_OPEN],
    "running": lambda new, event, now_ms: new[_PROGRESS] == RUNNING,
    "held": lambda new, event, now_ms: new[_HOLDER] is not None,
    "anonymous": lambda new, event, now_ms: new[_OPEN] and new[_HOLDER] is None,
    "vacant": lambda new, event, now_ms: not new[_CONNECTED],
    "may_start": lambda new, event, now_ms: event[4] == ACCEPTED,
}

# The effects of its last column.

_BY = {"tap": "card", "answer": "operator", "authorise": "remote"}


def _take(new, event, now_ms, out, argument):
    new[_HOLDER] = (event[1], event[3], event[2], _BY[event[0]])


def _start(new, event, now_ms, out, argument):
    new[_PROGRESS] = RUNNING
    token, group, role, by = new[_HOLDER] or NOBODY
    fields = {"token": token, "role": role, "group": group, "by": by}
    out.append(("record", "session_started", fields))


def _go_on(new, event, now_ms, out, argument):
    _, token, role, group, by, _ = event
    new[_PROGRESS] = RUNNING
    new[_HOLDER] = None if by == OPEN else (token, group, role, by)
    out.append(("record", "session_resumed", {}))


def _end(new, event, now_ms, out, reason):
    new[_PROGRESS] = OVER
    token, _, role, by = new[_HOLDER] or NOBODY
    fields = {"token": token, "role": role, "by": by, "reason": reason or event[1] or "remote"}
    out.append(("record", "session_ended", fields))
    if new[_ASKED] is not None:  # that tap was about this session
        _refuse(new, ("ask", new[_ASKED][1], None, 0, None), now_ms, out, CONCURRENT_TX)
        new[_ASKED] = None


def _anew(new, event, now_ms, out, argument):
    new[_PROGRESS] = NOT_BEGUN


def _accepted(new, event, now_ms, out, argument):
    if event[0] != "authorise":
        new[_SETTLING] = ((now_ms + SETTLE_MS) & _TICKS_MASK, event[1])
    out.append(("overlay", "accepted"))


def _refuse(new, event, now_ms, out, verdict):
    name, token, role, _, judged = event[:5]
    verdict = verdict or judged
    fields = {"token": token, "role": role, "verdict": verdict, "state": new[_STATE]}
    if judged is not None and judged != verdict:
        fields["judged"] = judged
    if name == "tap" and len(event) > 5:
        fields["why"] = event[5]
    out.append(("overlay", overlay_for(verdict)))
    out.append(("record", "card_refused", fields))


def _unreadable(new, event, now_ms, out, argument):
    out.append(("overlay", "unreadable"))


def _limit(new, event, now_ms, out, name):
    ms = min(event[1], _ENROL_MAX_S) * 1_000 if name == "enrol" else LIMIT_MS[name]
    new[_DEADLINE] = (now_ms + ms) & _TICKS_MASK


def _ask(new, event, now_ms, out, argument):
    new[_ASKED] = ((now_ms + 1_000 * event[5]) & _TICKS_MASK, event[1])
    out.append(("ask", event[1], new[_STATE]))


def _give_up(new, event, now_ms, out, argument):
    out.append(("unanswered", new[_ASKED][1]))
    new[_ASKED] = None


def _enrolled(new, event, now_ms, out, overlay):
    new[_SETTLING] = ((now_ms + SETTLE_MS) & _TICKS_MASK, event[1])
    out.append(("overlay", overlay))
    out.append(("enrolled", event[1], event[2]))


def _retry(new, event, now_ms, out, argument):
    out.append(("enrol_retry", event[1]))


def _enrol_failed(new, event, now_ms, out, why):
    out.append(("enrol_failed", why))


def _record_fault(new, event, now_ms, out, argument):
    if new[_STATE] == SERVICE:
        out.append(("contactor", False))  # the self-test may have it closed
    out.append(("record", event[0], {"fault": event[1]}))


def _declined(new, event, now_ms, out, argument):
    out.append(("declined", event[0], new[_STATE]))


_EFFECTS = {
    "take": _take,
    "start": _start,
    "resume": _go_on,
    "end": _end,
    "anew": _anew,
    "accepted": _accepted,
    "refuse": _refuse,
    "unreadable": _unreadable,
    "limit": _limit,
    "ask": _ask,
    "unanswered": _give_up,
    "enrolled": _enrolled,
    "failed": _enrol_failed,
    "enrol_retry": _retry,
    "fault": _record_fault,
    "fault_cleared": _record_fault,
    "declined": _declined,
}


def _settling(session, now_ms):
    settling = session.settling
    return settling is not None and not _passed(settling[0], now_ms)


def _wobbles(session, token, now_ms):
    return _settling(session, now_ms) and token == session.settling[1]


def _passed(ticks, now_ms):
    return ((now_ms - ticks) & _TICKS_MASK) < _TICKS_HALF


def _lines(state, event):
    """The lines of the state itself, then those of every state, in words."""
    sought = ("\n" + event + " ").encode()
    for name in (state, "*"):
        place = PLACES[name]
        end = place >> 15
        place = LINES.find(sought, place & 0x7FFF, end)
        while place >= 0:
            place += len(sought)
            yield LINES[place : LINES.find(b"\n", place)].decode().split()
            place = LINES.find(sought, place, end)


# Where the text for people came with it, that has done its work: 7 KB a board can do without.
if sys.modules.pop("firmware.access.table", None):
    delattr(sys.modules["firmware.access"], "table")
