"""The rules of the session, from DESIGN sections 3 and 4 and docs/decisions.md; none is taken from
the table that they judge. Each is a function of one step, `Seen`, and fails where that breaks it.
Runs under MicroPython too.

The first ones are what nobody may break, whatever else the charger does. The others say all that a
step does, each for one thing: the state, sessions, the holder, limits, the light, what is recorded,
asked and answered. What they do not speak of must not happen.
"""

from firmware.access.light import STATES

NOT_BEGUN, RUNNING, OVER = 0, 1, 2  # how far a vehicle's stay is

# Left by time, an order or a card; in every other state the facts say where the charger stands.
MODES = ("preauthorised", "checking", "enrolling", "service", "faulted")
SERVED = ("available", "preauthorised")
UNSERVED = ("unavailable", "faulted")
WAITING = ("awaiting", "finished")
CONNECTED_ONLY = ("awaiting", "authorised", "charging", "finished")
VACANT_ONLY = ("available", "preauthorised", "service")
REASONS = ("card", "group", "owner", "service", "unplugged", "withdrawn", "unavailable", "remote")
GUARD_MS = 1_500
MODE_MS = {"preauthorised": 60_000, "service": 90_000}
FAULT_OVER_MS = 2_000
ENROL_MOST_S = 600
_PERIOD = 1 << 30
_NONE = []
_NOTHING = {}


class Seen:
    """One step: what was, what happened, what came of it; and what the card in it is."""

    def __init__(self, before, event, now_ms, after, effects):
        self.before = before
        self.event = event
        self.name = event[0]
        self.now_ms = now_ms
        self.after = after
        self.effects = effects
        self._told = _by_kind(effects) if effects else _NOTHING
        self.ran = before.progress == RUNNING
        self.runs = after.progress == RUNNING
        self.plugged = self.name == "vehicle" and event[1] and not before.connected
        self.unplugged = self.name == "vehicle" and not event[1] and before.connected
        self.disabled = event == ("available", False) and before.enabled
        self.enabled = event == ("available", True) and not before.enabled
        self.faulted = self.name == "fault" and event[1] not in before.faults
        self.mended = self.name == "fault_cleared" and event[1] in before.faults
        self.time_out = self.name == "tick" and self.over(before.deadline)
        self.guarded = before.settling is not None and not self.over(before.settling[0])
        self.answered = (
            self.name == "answer" and before.asked is not None and before.asked[1] == event[1]
        )
        # An answer is a tap where the charger would stand without its question.
        self.place = before.state
        if self.answered and before.state == "checking":
            self.place = at_rest(before)
        self.card = what_the_card_is(self)
        self.mode = mode_entered(self)
        self.reason = why_it_ends(self)
        self.begins = who_begins(self)

    def __repr__(self):
        before, after = tuple(self.before), tuple(self.after)
        return f"{before} + {self.event} -> {after} {self.effects}"

    def over(self, limit):
        return limit is not None and (self.now_ms - limit) % _PERIOD < _PERIOD // 2

    def in_ms(self, ms):
        return (self.now_ms + ms) % _PERIOD

    def all(self, kind):
        """The words of all effects of that kind."""
        return self._told.get(kind, _NONE)

    def records(self, event):
        """The fields of all records of that event."""
        return self._told.get(("record", event), _NONE)


def check(before, event, now_ms, after, effects):
    """Raises AssertionError where the step breaks a rule."""
    seen = Seen(before, event, now_ms, after, effects)
    for rule in RULES:
        rule(seen)


def _by_kind(effects):
    told = {}
    for effect in effects:
        kind, words = effect[0], effect[1:]
        if kind == "record":
            kind, words = effect[:2], effect[2]
        told.setdefault(kind, []).append(words)
    return told


# What a card is.


def may_end(holder, by_operator, token, role, group, verdict):
    """The right to end a session: the same card unless it is blocked; and of cards in force a
    service card, one of the same group, an owner's. The operator's groups are not the list's."""
    if holder is not None and token is not None and token == holder[0]:
        return "card" if verdict != "Blocked" else None
    if not in_force(role, verdict):
        return None
    if role == "service":
        return "service"
    same_judge = holder is not None and by_operator == (holder[3] == "operator")
    if group and group == (holder[1] if holder is not None and same_judge else 0):
        return "group"
    return "owner" if role == "owner" else None


def in_force(role, verdict):
    return verdict == "Accepted" or (role == "service" and verdict == "Invalid")


def what_the_card_is(seen):
    """By what right it may end a session or preauthorisation: "card", "group", "owner", "service".
    Without that: "approved", "refused", "to be judged", "one too many" beside another's question,
    "shown" or "random" while enrolling. None for a card that counts for nothing now: it lies there
    still, comes too soon after a tap that did something, or nobody asked about it."""
    before, name = seen.before, seen.name
    if name not in ("tap", "ask", "answer", "shown"):
        return None
    token = seen.event[1]
    if name == "answer":
        if not seen.answered:
            return None
    elif (name != "shown" and before.asked is not None and before.asked[1] == token) or (
        seen.guarded and before.settling[1] == token
    ):
        return None
    elif name == "shown":
        return "shown" if before.state == "enrolling" else None
    elif before.state == "checking":
        return "one too many"
    elif before.state == "enrolling" and seen.event[4] == "RandomNumber":
        return "random"
    role, group, verdict = seen.event[2:5]
    right = may_end(before.holder, name == "answer", token, role, group, verdict)
    if right is not None:
        return None if seen.ran and seen.guarded else right
    if name == "ask":
        return "to be judged" if before.asked is None else "one too many"
    return "approved" if in_force(role, verdict) else "refused"


def greeted(seen):
    """An approved card at a charger that is open and charges nobody's session."""
    free = seen.ran and seen.before.holder is None and seen.before.open
    return seen.card == "approved" and free and not seen.before.faults and seen.place != "faulted"


# Where the facts lead, and what leads elsewhere.


def at_rest(session):
    """The state that the facts make by themselves."""
    if session.faults:
        return "faulted"
    if not session.enabled:
        return "unavailable"
    if not session.connected:
        return "available"
    if session.progress == OVER:
        return "finished"
    if session.progress == RUNNING or session.open:
        return "charging" if session.asks else "authorised"
    return "awaiting"


def mode_entered(seen):
    """By whom the charger is led away from where the facts would have it; or None."""
    place, card, before = seen.place, seen.card, seen.before
    if place in SERVED and (seen.name == "authorise" or card in ("owner", "group", "approved")):
        return "preauthorised"
    if not before.connected and place in SERVED + UNSERVED:
        # An owner's card is approved for a vehicle to come wherever one is served.
        by_owner = card == "owner" and place in UNSERVED
        if by_owner or card == "service" or seen.event == ("selftest", True):
            return "service"
    if seen.name == "enrol" and place in ("available", "awaiting", "enrolling"):
        return "enrolling"
    if card == "to be judged" and place in ("available", "awaiting", "finished"):
        return "checking"
    return None


def mode_left(seen):
    """Whether what led the charger there is over."""
    place, card, name = seen.place, seen.card, seen.name
    if seen.time_out:
        return True
    if seen.faulted:
        return place != "service"  # what a self-test finds is what it is for
    if place == "preauthorised":
        taken_back = card == "card" or name in ("stop", "withdrawn")
        return taken_back or seen.plugged or seen.disabled
    if place == "service":
        by_order = seen.name == "stop" or seen.event == ("selftest", False)
        return card in ("owner", "service") or seen.plugged or by_order
    if place == "enrolling":
        return card in ("shown", "random") or name == "cancel_enrol" or seen.disabled
    if place == "checking":
        opened = seen.after.open and (seen.plugged or not seen.before.open)
        return given_up(seen) or seen.unplugged or opened or seen.disabled
    return False  # a fault is over some time after it has cleared


def given_up(seen):
    """Whether no answer is to come any more. One limit a tick: the charger's own comes first."""
    if seen.before.asked is None:
        return False
    late = seen.name == "tick" and seen.over(seen.before.asked[0]) and not seen.time_out
    return late or seen.name == "unanswered"


# Sessions.


def who_begins(seen):
    """The holder of the session that begins by a card, the app or a tap before; or None."""
    event, before = seen.event, seen.before
    if seen.place in WAITING:
        if seen.name == "authorise":
            return (event[1], event[3], event[2], "remote")
        if seen.card in ("owner", "approved") or (
            seen.card == "service" and event[4] == "Accepted"
        ):
            return (event[1], event[3], event[2], "operator" if seen.answered else "card")
    if before.state == "preauthorised" and seen.plugged and not seen.over(before.deadline):
        return before.holder
    return None


def why_it_ends(seen):
    """The reason for which the session that runs ends now; or None."""
    if not seen.ran:
        return None
    if seen.card in ("card", "group", "owner", "service"):
        return seen.card
    if seen.unplugged:
        return "unplugged"
    if seen.name == "stop":
        return seen.event[1] or "remote"
    if seen.name == "withdrawn" and seen.before.holder is not None:
        return "withdrawn"
    return "unavailable" if seen.disabled else None


def resumes(seen):
    """What the board's own stop cut short goes on where nothing has begun since; and nobody's
    session only while access is open."""
    before = seen.before
    if seen.name != "resume" or before.connected or not before.enabled:
        return False
    allowed = seen.event[4] != "open" or before.open
    return allowed and before.state in ("available", "faulted")


def begins_in_open(seen):
    return not seen.ran and seen.runs and seen.begins is None and not resumes(seen)


# The rules nobody may break.


def the_coil_is_on_only_for_a_vehicle_that_asks_without_fault_and_with_leave(seen):
    after = seen.after
    on = [order[0] for order in seen.all("contactor")] or [seen.before.state == "charging"]
    assert on[-1] == (after.state == "charging"), "closed in `charging` and nowhere else"
    if on[-1]:
        assert after.connected and after.asks, "for a vehicle that asks for energy"
        assert not after.faults and after.enabled
        assert after.progress == RUNNING
        ran = seen.ran or resumes(seen)
        assert ran or after.open or after.holder is not None, "open, or an accepted card"


def the_contactor_opens_first_and_everything_else_follows(seen):
    orders = [effect for effect in seen.effects if effect[0] in ("contactor", "selftest", "offer")]
    if ("contactor", False) in orders:
        assert seen.effects[0] == ("contactor", False)
    if ("contactor", True) in orders:
        assert orders[-1] == ("contactor", True), "energy is offered before it flows"


def unplugged_the_charger_is_available_and_nobodys(seen):
    if not seen.unplugged:
        return
    assert seen.after.progress == NOT_BEGUN and seen.after.holder is None
    assert seen.before.state != "charging" or seen.effects[0] == ("contactor", False)
    if seen.before.state in CONNECTED_ONLY:
        assert seen.after.state == "available"
    else:
        assert seen.after.state in (seen.before.state, "available")
        assert seen.after.state not in CONNECTED_ONLY


def what_runs_is_begun_once_and_ends_once(seen):
    begun = len(seen.records("session_started")) + len(seen.records("session_resumed"))
    ended = len(seen.records("session_ended"))
    assert begun + ended <= 1
    assert seen.ran + begun - ended == seen.runs
    assert not (seen.ran and begun), "never two at a time"


def an_accepted_card_is_not_left_in_yellow(seen):
    if seen.card in ("owner", "approved") and seen.place in WAITING:
        assert seen.after.state in ("authorised", "charging")


def any_other_card_changes_nothing(seen):
    if seen.ran and seen.card in ("approved", "refused", "one too many"):
        kept = (seen.after.state, seen.after.holder, seen.after.progress)
        assert kept == (seen.before.state, seen.before.holder, RUNNING)
        told = [fields["verdict"] for fields in seen.records("card_refused")]
        assert told == ([] if greeted(seen) else ["ConcurrentTx"])


def an_approved_tap_is_no_stop_within_a_second_and_a_half(seen):
    if seen.name in ("tap", "ask", "answer") and seen.ran and seen.guarded:
        assert seen.runs


def a_card_left_lying_is_one_tap(seen):
    settling = seen.before.settling
    if seen.name in ("tap", "ask", "shown") and seen.guarded and settling[1] == seen.event[1]:
        assert seen.after == seen.before and seen.effects == ()


def nobody_takes_a_running_session_over(seen):
    if seen.ran and seen.runs:
        assert seen.after.holder == seen.before.holder


def a_change_of_the_mode_leaves_a_running_session_alone(seen):
    if seen.name == "access" and seen.ran:
        assert seen.after.state == seen.before.state and seen.effects == ()


def an_open_charger_keeps_no_vehicle_waiting(seen):
    after = seen.after
    if after.open and after.progress == NOT_BEGUN:
        assert after.state != "awaiting"
        assert after.state != "checking" or not after.connected


def what_is_shown_is_so(seen):
    """The light tells of vehicle, owner and faults what is the case."""
    after = seen.after
    assert after.state in STATES
    assert after.connected or after.state not in CONNECTED_ONLY
    assert not after.connected or after.state not in VACANT_ONLY
    assert not after.faults or after.state in ("faulted", "service")
    assert after.enabled or after.state in ("unavailable", "faulted", "service")
    if after.state not in MODES:
        assert after.state == at_rest(after)
    assert after.connected or after.progress == NOT_BEGUN
    assert after.connected or not after.asks


def nothing_is_without_its_end(seen):
    """Where time is what leads out again, there is a time."""
    after = seen.after
    if after.state in ("preauthorised", "enrolling", "service"):
        assert after.deadline is not None
    if after.state == "faulted" and not after.faults:
        assert after.deadline is not None
    if after.state == "checking":
        assert after.asked is not None
    if after.state in ("available", "awaiting", "finished"):
        assert after.asked is None, "while a card is in question the light says so"


# All that a step does.


def facts_are_taken_down_whatever_the_state_makes_of_them(seen):
    before, event = seen.before, seen.event
    connected, asks, is_open, enabled = before[1:5]
    faults = before.faults
    if seen.name == "vehicle":
        connected, asks = event[1], event[1] and event[2]
    elif resumes(seen):
        connected, asks = True, event[5]
    elif seen.name == "access":
        is_open = event[1] == "open"
    elif seen.name == "available":
        enabled = event[1]
    elif seen.faulted:
        faults += (event[1],)
    elif seen.mended:
        faults = tuple([fault for fault in faults if fault != event[1]])
    assert tuple(seen.after[1:6]) == (connected, asks, is_open, enabled, faults)


def what_is_told_again_is_no_news(seen):
    """The very same session: a new one would be told to the portal."""
    told = seen.name in ("vehicle", "access", "available", "fault", "fault_cleared")
    if told or (seen.name == "tick" and not _limits_over(seen, seen.before)):
        same = tuple(seen.after[1:6]) == tuple(seen.before[1:6])
        assert (seen.after is seen.before) == same


def the_state_is_a_mode_entered_or_kept_or_what_the_facts_make_it(seen):
    after = seen.after
    state = seen.mode
    if state is None and seen.place in MODES and not mode_left(seen):
        state = seen.place
    if state is None:
        state = at_rest(after)
        if after.asked is not None and state in ("available", "awaiting", "finished"):
            state = "checking"  # what the question ran beside is over, the question is not
    assert after.state == state


def a_session_begins_by_leave_and_ends_by_right(seen):
    before, after = seen.before, seen.after
    if seen.reason is not None:
        assert after.progress == (OVER if after.connected else NOT_BEGUN)
    elif seen.begins is not None or resumes(seen) or seen.ran:
        assert after.progress == RUNNING
    elif begins_in_open(seen):
        assert after.open and after.connected and after.holder is None
        assert before.progress == NOT_BEGUN or seen.enabled, "over until unplugged"
        assert after.state in ("authorised", "charging") and not after.faults and after.enabled
    else:
        anew = seen.enabled or not after.connected
        assert after.progress == (NOT_BEGUN if anew else before.progress)


def a_session_or_preauthorisation_is_whose_card_it_was(seen):
    event, before, after = seen.event, seen.before, seen.after
    holder = None
    if seen.begins is not None:
        holder = seen.begins
    elif resumes(seen):
        holder = None if event[4] == "open" else (event[1], event[3], event[2], event[4])
    elif seen.mode == "preauthorised":
        by = "remote" if seen.name == "authorise" else "operator" if seen.answered else "card"
        holder = (event[1], event[3], event[2], by)
    elif after.state == "preauthorised" or (seen.ran and seen.runs):
        holder = before.holder
    assert after.holder == holder


def beginnings_and_ends_are_recorded(seen):
    began = []
    if seen.begins is not None or begins_in_open(seen):
        token, group, role, by = seen.after.holder or (None, 0, None, "open")
        began = [{"token": token, "role": role, "group": group, "by": by}]
    assert seen.records("session_started") == began
    assert seen.records("session_resumed") == ([{}] if resumes(seen) else [])
    ended = []
    if seen.reason is not None:
        token, _, role, by = seen.before.holder or (None, 0, None, "open")
        ended = [{"token": token, "role": role, "by": by, "reason": seen.reason}]
        assert seen.reason in REASONS or seen.event == ("stop", seen.reason)
    assert seen.records("session_ended") == ended


def energy_is_offered_while_authorised_or_charging(seen):
    """And the self-test runs in `service`. That also closes the contactor, and a fault opens it
    whatever it was."""
    old, new = seen.before.state, seen.after.state
    tried = old == "service" and (new != old or seen.faulted or seen.mended)
    opens = tried or (new != old and (old == "charging" or new == "faulted"))
    closes = new != old and new == "charging"
    assert seen.all("contactor") == [(False,)] * opens + [(True,)] * closes
    offered = new in ("authorised", "charging")
    changes = offered != (old in ("authorised", "charging"))
    assert seen.all("offer") == [(offered,)] * changes
    tests = new == "service"
    assert seen.all("selftest") == [(tests,)] * (tests != (old == "service"))


def refusal(seen):
    """The verdict that a card is refused with; None for one that is not."""
    card, place = seen.card, seen.place
    if card in (None, "shown", "to be judged") or seen.reason is not None:
        return None
    if card == "random":
        return "RandomNumber"
    if card == "one too many":
        return "ConcurrentTx"
    if seen.ran:
        return None if greeted(seen) else "ConcurrentTx"
    judged = seen.event[4]
    if card == "refused":
        return judged
    if card == "service" and place in WAITING:
        return None if judged == "Accepted" else judged
    served = place in SERVED + WAITING
    let_out = place == "service" and card in ("owner", "service")
    return None if served or let_out or seen.mode == "service" else "NotAtThisTime"


def overlay_of(verdict):
    return "expired" if verdict in ("Expired", "ListTooOld") else "refused"


def waits_in_vain(seen):
    """A session ends while a card is in question for it: that tap was about this session."""
    return seen.reason is not None and seen.before.asked is not None and not seen.answered


def a_card_is_answered_by_the_light(seen):
    """Last for the one that is there."""
    shown = [("refused",)] if waits_in_vain(seen) else []
    verdict = refusal(seen)
    if verdict is not None:
        shown.append((overlay_of(verdict),))
    elif seen.card == "shown":
        shown.append(("refused" if seen.event[2] else "enrolled",))
    elif seen.card not in (None, "to be judged") or (
        seen.name == "authorise" and seen.place in SERVED + WAITING
    ):
        shown.append(("accepted",))
    elif seen.name == "unreadable":
        shown.append(("unreadable",))
    assert seen.all("overlay") == shown


def a_refusal_is_recorded_with_what_the_card_would_have_been(seen):
    told = []
    state = seen.place
    if waits_in_vain(seen):
        token = seen.before.asked[1]
        told.append({"token": token, "role": None, "verdict": "ConcurrentTx", "state": state})
    verdict = refusal(seen)
    if verdict is not None:
        _, token, role, _, judged = seen.event[:5]
        fields = {"token": token, "role": role, "verdict": verdict, "state": state}
        if judged not in (None, verdict):
            fields["judged"] = judged
        if seen.name == "tap" and len(seen.event) > 5:
            fields["why"] = seen.event[5]
        told.append(fields)
    assert seen.records("card_refused") == told


def a_tap_that_did_something_is_followed_by_none_that_undoes_it(seen):
    acted = seen.name != "authorise" and ("accepted",) in seen.all("overlay")
    if acted or seen.card == "shown":
        expected = (seen.in_ms(GUARD_MS), seen.event[1])
    elif seen.guarded and not seen.unplugged:
        expected = seen.before.settling
    else:
        expected = None
    found = seen.after.settling
    if found is not None and seen.over(found[0]):
        found = None
    assert found == expected


def one_card_is_in_question_at_a_time_and_until_its_end(seen):
    before, after = seen.before, seen.after
    asked = before.asked
    if seen.card == "to be judged":
        asked = (seen.in_ms(1_000 * seen.event[5]), seen.event[1])
    elif seen.answered or given_up(seen) or seen.reason is not None:
        asked = None
    elif seen.unplugged and not seen.ran:
        asked = None  # whoever leaves has not waited
    elif before.state == "checking" and after.state not in ("checking", "faulted", "unavailable"):
        asked = None  # nobody waits for that answer any more
    assert after.asked == asked
    put = [(seen.event[1], before.state)] if seen.card == "to be judged" else []
    assert seen.all("ask") == put
    assert seen.all("unanswered") == ([(before.asked[1],)] if given_up(seen) else [])


def every_limit_is_the_designed_one(seen):
    before, after = seen.before, seen.after
    if seen.mode == "enrolling":
        expected = seen.in_ms(1_000 * min(seen.event[1], ENROL_MOST_S))
    elif seen.mode in MODE_MS:
        expected = seen.in_ms(MODE_MS[seen.mode])
    elif seen.mended and not after.faults and after.state == "faulted":
        expected = seen.in_ms(FAULT_OVER_MS)
    elif after.state != before.state or seen.time_out:
        expected = None
    else:
        expected = before.deadline
    assert after.deadline == expected


def a_limit_that_is_over_is_forgotten(seen):
    """Or it would lie ahead again when the ticks have gone round. One a tick."""
    if seen.name == "tick":
        due = _limits_over(seen, seen.before)
        assert _limits_over(seen, seen.after) <= max(0, due - 1)


def _limits_over(seen, session):
    limits = [session.deadline]
    limits.extend([limit and limit[0] for limit in (session.settling, session.asked)])
    return len([limit for limit in limits if seen.over(limit)])


def a_card_is_registered_or_it_is_said_why_not(seen):
    shown, why = [], []
    if seen.card == "shown":
        shown = [(seen.event[1], seen.event[2])]
    elif seen.before.state == "enrolling":
        if seen.name == "enrol":
            why = [("replaced",)]
        elif seen.card == "random":
            why = [("RandomNumber",)]
        elif seen.time_out:
            why = [("time_out",)]
        elif seen.name == "cancel_enrol":
            why = [("cancelled",)]
        elif seen.disabled:
            why = [("unavailable",)]
        elif seen.faulted:
            why = [("fault",)]
    assert seen.all("enrolled") == shown
    assert seen.all("enrol_failed") == why
    again = seen.name == "unreadable" and seen.before.state == "enrolling"
    assert seen.all("enrol_retry") == ([seen.event[1:]] if again else [])


def an_order_that_cannot_be_carried_out_is_declined(seen):
    name, place = seen.name, seen.place
    if name == "authorise":
        possible = place in SERVED + WAITING
    elif name == "stop":
        possible = seen.ran or place in ("preauthorised", "service")
    elif name == "cancel_enrol":
        possible = place == "enrolling"
    elif name == "enrol" or seen.event == ("selftest", True):
        possible = seen.mode is not None
    else:
        possible = True
    assert seen.all("declined") == ([] if possible else [(name, seen.before.state)])


def faults_are_recorded_as_they_come_and_go(seen):
    for name, is_so in (("fault", seen.faulted), ("fault_cleared", seen.mended)):
        assert seen.records(name) == ([{"fault": seen.event[1]}] if is_so else [])


def check_the_beginning(start):
    """A charger begins vacant and restricted, and in service."""
    facts = ("available", False, False, False, True, (), NOT_BEGUN, None, None, None, None)
    assert tuple(start) == facts


def check_the_limits(step, start):
    """A limit lies ahead for ten minutes, and is over from its very millisecond on for six days of
    the ticks."""
    session, _ = step(start, ("tap", "own", "user", 0, "Accepted"), 0)
    kind = type(start)
    for now_ms in (0, 1_000, _PERIOD - 1):
        for ahead_ms in (1, 60_000, 600_000):
            limit = (now_ms + ahead_ms) % _PERIOD
            waiting = kind(*session[:8], limit, None, None)
            assert step(waiting, ("tick",), now_ms)[0] is waiting
        for late_ms in (0, 1, 60_000, _PERIOD // 4, _PERIOD // 2 - 1):
            limit = (now_ms - late_ms) % _PERIOD
            waiting = kind(*session[:8], limit, None, None)
            assert step(waiting, ("tick",), now_ms)[0].state == "available"


def check_the_interlock(may_close, start):
    """With all facts there are, whether or not the rules let them come together: the hardware asks
    once more before it closes. `may_close(session, tried)`; `tried`: by the self-test."""
    kind = type(start)
    for state in STATES:
        for bits in range(1 << 7):
            connected, asks, is_open, enabled, at_fault, held, tried = [
                bool(bits >> bit & 1) for bit in range(7)
            ]
            faults = ("a",) if at_fault else ()
            holder = ("own", 7, "user", "card") if held else None
            for progress in (NOT_BEGUN, RUNNING, OVER):
                facts = (state, connected, asks, is_open, enabled, faults, progress, holder)
                session = kind(*facts, None, None, None)
                drawn = connected and asks and progress == RUNNING
                closed = state == "charging" and drawn and not faults
                on_trial = tried and state == "service" and not connected and not faults
                assert bool(may_close(session, tried)) == (closed or on_trial), facts
                assert bool(may_close(session)) == closed, facts


_EFFECTS = {  # and how many words go with them
    "contactor": 1,
    "offer": 1,
    "selftest": 1,
    "overlay": 1,
    "record": 2,
    "ask": 2,
    "unanswered": 1,
    "enrolled": 2,
    "enrol_failed": 1,
    "enrol_retry": 1,
    "declined": 2,
}
_RECORDS = (
    "session_started",
    "session_resumed",
    "session_ended",
    "card_refused",
    "fault",
    "fault_cleared",
)


def every_effect_is_a_known_one(seen):
    for effect in seen.effects:
        assert len(effect) == 1 + _EFFECTS[effect[0]]
        assert effect[0] != "record" or effect[1] in _RECORDS


RULES = (
    the_coil_is_on_only_for_a_vehicle_that_asks_without_fault_and_with_leave,
    the_contactor_opens_first_and_everything_else_follows,
    unplugged_the_charger_is_available_and_nobodys,
    what_runs_is_begun_once_and_ends_once,
    an_accepted_card_is_not_left_in_yellow,
    any_other_card_changes_nothing,
    an_approved_tap_is_no_stop_within_a_second_and_a_half,
    a_card_left_lying_is_one_tap,
    nobody_takes_a_running_session_over,
    a_change_of_the_mode_leaves_a_running_session_alone,
    an_open_charger_keeps_no_vehicle_waiting,
    what_is_shown_is_so,
    nothing_is_without_its_end,
    facts_are_taken_down_whatever_the_state_makes_of_them,
    what_is_told_again_is_no_news,
    the_state_is_a_mode_entered_or_kept_or_what_the_facts_make_it,
    a_session_begins_by_leave_and_ends_by_right,
    a_session_or_preauthorisation_is_whose_card_it_was,
    beginnings_and_ends_are_recorded,
    energy_is_offered_while_authorised_or_charging,
    a_card_is_answered_by_the_light,
    a_refusal_is_recorded_with_what_the_card_would_have_been,
    a_tap_that_did_something_is_followed_by_none_that_undoes_it,
    one_card_is_in_question_at_a_time_and_until_its_end,
    every_limit_is_the_designed_one,
    a_limit_that_is_over_is_forgotten,
    a_card_is_registered_or_it_is_said_why_not,
    an_order_that_cannot_be_carried_out_is_declined,
    faults_are_recorded_as_they_come_and_go,
    every_effect_is_a_known_one,
)
