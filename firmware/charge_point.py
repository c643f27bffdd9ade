"""One charge point: taps, the vehicle and orders go in; contactor, light and records come out.

`firmware.access` decides; this carries out its effects, in their order. Nothing here waits: `tap`
goes from the reader's poll to the coil's pin in one go, and `control` is called every 10 ms.
"""

from time import ticks_diff, ticks_ms

from micropython import const

from firmware.access import session as rules
from firmware.access import verdict
from firmware.access.words import (
    ACCEPTED,
    CHARGING,
    ENROLLING,
    FAULTED,
    INVALID,
    OPEN,
    RANDOM_NUMBER,
    SERVICE,
    UNKNOWN,
)
from firmware.ledger import Ledger, hex_of, minutes, start_of

_TICK_MS = const(100)
_HOLD_MS = const(5_000)  # an owner's card that stays there for so long begins the self-test
_SEEN_WITHIN_MS = const(2_000)  # by its contact or pilot, a vehicle that was there all along
# What makes the board stop whenever it charges must not work the contactor for ever.
_STOPS_MOST = const(10)
_TICK = const(("tick",))
_BY_CARD = const(("tap", "ask"))
_WITHDRAWN = const(("withdrawn",))
_UNANSWERED = const(("unanswered",))


class ChargePoint:
    """Holds the session and moves what follows from it.

    `tokens`, `allowlist`: from a card's number to its entry (DESIGN sections 5 and 6). `settings`:
    values by name. `uplink`: see uplink.py; it takes records, readings, questions, and that the
    state message would read differently now. `failed(error)` is told of an exception after which
    everything else went on.

    `meter_stalled`: the vehicle draws, and the meter has not counted for a long time.
    `tester`: the self-test that runs (selftest.py), or None. `tested`: all that it is to look at;
    None: nothing, there is no self-test.
    """

    tested = None

    def __init__(self, board, tokens, allowlist, settings, clock, uplink, failed):
        self._tokens = tokens
        self._allowlist = allowlist
        self._settings = settings
        self._clock = clock
        self.contactor = board.contactor
        self.vehicle = board.vehicle
        self.light = board.light
        self.meter = board.meter
        self._uplink = uplink
        self._failed = failed
        self._to_review = True
        self._seen = (False, False)
        self._faults = {}  # where: the fault that there is, or None
        self._ticked_ms = ticks_ms()
        self._books = Ledger(board.meter, clock, uplink)
        self.left = None  # the session that the board's stop has cut short, until that is seen to
        self._left_ms = None
        self._pulses = self.meter.pulses
        self._pulse_up_s = 0  # of the last pulse, or when the vehicle began to draw
        self.meter_stalled = False
        self._question = None  # the number of the question that waits for its answer
        self._enrolment = None  # `v` of the order that cards are enrolled by
        self._retried = ()  # what has gone wrong meanwhile, as far as told
        # Of the card that was read last, for as long as it lies there: (token, the last two bytes
        # of its number, since when), or None.
        self.lying = None
        self.tester = None
        self.session = rules.START
        self.outcome = None  # of the last order: why it was declined, or None
        self._effects = {
            "offer": self.vehicle.offer,
            "selftest": self._selftest,
            "overlay": self._overlay,
            "ask": self._ask,
            "unanswered": self._unanswered,
            "enrolled": self._enrolled,
            "enrol_failed": self._enrol_failed,
            "enrol_retry": self._enrol_retry,
            "declined": self._declined,
        }
        self.contactor.interlock = self.may_close
        self.light.state(self.session.state)

    def may_close(self) -> bool:
        """The contactor's interlock: what the rules say at this very moment."""
        tester = self.tester
        return rules.may_close(self.session, tester is not None and tester.tries)

    # What happens.

    def tap(self, number: bytes) -> None:
        """A card's number was read, checked and complete: 4, 7 or 10 bytes. Never raises."""
        try:
            token = self._tokens.of(number)
            self.lying = (token, number[-2:], ticks_ms())
            if self.tester is not None and self.tester.read(number[-2:]):
                return
            if self.session.state == ENROLLING:
                known = self._allowlist.lookup(token) is not None
                self.happened(("shown", token, known))
            elif self._asks_operator and self._uplink.linked:
                self.happened(("ask", token, None, 0, None, self._settings["operator_wait_s"]))
            else:
                self._by_list(token)
        except Exception as error:
            self._not_judged(error)

    def problem(self, kind: str) -> None:
        """A card without a number to judge: "unreadable", "several", "random". Never raises."""
        random = kind == "random"
        try:
            if self.tester is not None and self.tester.problem(kind):
                return
            self.happened(("tap", None, None, 0, RANDOM_NUMBER) if random else ("unreadable", kind))
        except Exception as error:
            self._not_judged(error)

    def gone(self) -> None:
        """The card that `tap` told of is taken away."""
        self.lying = None

    def answer(self, n: int, token: bytes, role: str | None, group: int, word: str) -> bool:
        """The operator's verdict on question `n`. False: that card is not in question, or no more;
        nothing has changed."""
        asked = self.session.asked
        if asked is None or token != asked[1] or self._question is None or n != self._question:
            return False
        self._question = None
        if word != ACCEPTED:
            role, group = None, 0  # no right follows from a refusal
        elif role == SERVICE and not self._settings["service_may_start"]:
            word = INVALID
        self.happened(("answer", token, role, group, word))
        return True

    def enrol(self, seconds: int, version: int) -> str | None:
        """Register the next card by the order `version`. Returns why not, or None."""
        declined = self.happened(("enrol", seconds))
        if declined is None:
            self._enrolment = version
            self._retried = ()
        return declined

    def happened(self, event: tuple) -> str | None:
        """One event of `firmware.access.session`. Returns why it was declined, or None.

        An effect that fails keeps none of the others from being carried out. Should it ever be the
        contactor's, its own `check` opens it at the next `control`.
        """
        before = self.session
        self.outcome = None
        left = self.left
        if left is not None and before.state == FAULTED and event[0] in _BY_CARD:
            if self._ends_left(left, event):
                return None
        self.session, effects = rules.step(before, event, ticks_ms())  # pyright: ignore[reportArgumentType]
        for effect in effects:
            try:
                # What matters most is handed over without any memory.
                if effect[0] == "record":
                    self._record(effect[1], effect[2])
                elif effect[0] == "contactor":
                    self._switch(effect[1])
                else:
                    self._effects[effect[0]](*effect[1:])
            except Exception as error:
                self._failed(error)
        if self.session is not before:
            if self.session.asked is None:
                self._question = self._uplink.question = None  # nobody waits for its answer
            self.light.state(self.session.state)
            self._uplink.changed()
        return self.outcome

    def review(self) -> None:
        """Settings or allow-list may be others now: the next `control` does what follows."""
        self._to_review = True

    def left_running(self, left) -> None:
        """`left`: the session that ran when the board stopped (`journal.Open`). It resumes or has
        ended: `control` sees to that as soon as the vehicle is seen, or is not.
        """
        self.left = left

    def end_left(self, reason: str) -> None:
        """End the session that waits to resume, if there is one: its last reading was its end."""
        left = self.left
        if left is not None:
            self._books.cut_short(left, start_of(left), reason)
            self.left = None
            self._uplink.changed()

    def store_reading(self) -> None:
        """Store what the session that runs has taken so far."""
        self._books.store()

    def control(self, now_ms: int) -> None:
        """Look at the vehicle, the contacts and the time; bring the light up to date. What it
        raises is to end the start of the board.
        """
        if self._books.torn:
            raise MemoryError("a session is not on record")
        if self._to_review:
            self.happened(("access", self._settings["access"]))
            if self._holder_withdrawn():
                self.happened(_WITHDRAWN)
            self._to_review = False
            self._uplink.changed()  # the state message names some of them
        if self.session.asked and (
            self._question is None or not (self._asks_operator and self._uplink.linked)
        ):
            self.happened(_UNANSWERED)  # nor will it be
        self.meter.look(now_ms)
        seen = self.vehicle.sample(now_ms)
        if self.left is not None:
            self._see_to_left(self.left, seen, now_ms)
        if seen != self._seen:
            self.happened(("vehicle", seen[0], seen[1]))
            if seen[0] != self._seen[0]:
                self.light.uncover()  # who plugs in looks for yellow, whatever was said before
            self._seen = seen
        self._watch(self.contactor.check(now_ms), "contactor")
        self._watch(self.vehicle.fault, "pilot")
        if ticks_diff(now_ms, self._ticked_ms) >= _TICK_MS:
            self._ticked_ms = now_ms
            self.happened(_TICK)
            session, lying = self.session, self.lying
            if session.state == rules.PREAUTHORISED and lying is not None:
                held = session.holder[0] == lying[0] and session.holder[2] == verdict.OWNER
                if held and ticks_diff(now_ms, lying[2]) >= _HOLD_MS:
                    self.happened(("selftest", True))
            elif session.state == SERVICE and self.tester is None and self.tested is not None:
                self.happened(("selftest", False))  # there was no memory for it
            self._books.settle()
            try:
                self._watch_meter()
                self._books.follow()
            except MemoryError:
                pass  # the next tick does it
        self.light.render(now_ms)

    # What others show and report.

    @property
    def authorisation_required(self) -> bool:
        return not self.session.open

    def session_shown(self) -> dict | None:
        """The session that runs, for the state message; None when there is none."""
        return self._books.shown(self.session.holder or rules.NOBODY)

    # Effects.

    def _switch(self, on):
        if on:
            self.contactor.close()
        else:
            self.contactor.open()

    def _overlay(self, name):
        self.light.overlay(name, ticks_ms())

    def _record(self, event, fields):
        if event.startswith("session_"):
            self._books.record(event, fields)
            return
        if "token" in fields:
            fields["token"] = hex_of(fields["token"])
        self._uplink.record(event, fields)

    def _ask(self, token, state):
        self._question = None
        self._question = self._uplink.ask(hex_of(token), state)

    def _unanswered(self, token):
        try:
            self._by_list(token)
        except Exception as error:
            self._not_judged(error)

    def _by_list(self, token):
        """The list judges this card; or nobody does, where the operator wants it so."""
        if self._asks_operator and self._settings["offline"] != "list":
            tap = ("tap", token, None, 0, UNKNOWN, "operator did not answer")
        else:
            entry = self._allowlist.lookup(token)
            group = entry[0] if entry is not None else 0
            tap = ("tap", token, verdict.role_of(entry), group, self._judge(entry))
        self.happened(tap)

    def _enrolled(self, token, known):
        hint = self.lying[1]  # pyright: ignore[reportOptionalSubscript] (`tap` has just set it)
        fields = {"v": self._enrolment, "token": hex_of(token), "hint": hex_of(hint)}
        fields["known"] = known
        self._uplink.record("card_enrolled", fields)

    def _enrol_failed(self, why):
        self._uplink.record("enrol_failed", {"v": self._enrolment, "why": why})

    def _enrol_retry(self, why):
        if why not in self._retried:
            self._retried += (why,)
            self._uplink.record("enrol_retry", {"v": self._enrolment, "why": why})

    def _declined(self, event, state):
        self.outcome = f"{event}: not while {state}"

    def _selftest(self, on):
        if on:
            if self.tested is not None:
                self.outcome = "no memory for it"  # unless it comes to its end
                from firmware.selftest import SelfTest

                self.tester = SelfTest(self.tested)
                self.outcome = None
        elif self.tester is not None:
            tester, self.tester = self.tester, None
            tester.over()

    # A session that was cut short.

    def _see_to_left(self, left, seen, now_ms):
        connected, asks = seen
        if not connected:
            if self._left_ms is None or self.vehicle.fault is not None:
                self._left_ms = now_ms  # no vehicle is seen through a pilot that is at fault
            if ticks_diff(now_ms, self._left_ms) < _SEEN_WITHIN_MS:
                return
        start = start_of(left)
        if connected and self._may_resume(left, start) and self._resumed(left, start, asks):
            self.left = None
            self._uplink.changed()
        else:
            self.end_left("power_loss")

    def _ends_left(self, left, event):
        """A card, while a fault hides the vehicle: whether it has ended the session that waits."""
        _, token, role, group, word = event[:5]
        if left.by == "operator":
            group = 0  # of the list, which numbers others
        right = verdict.may_stop((left.token, left.group), token, role, group, word)
        if right is None:
            return False
        self.end_left(right)
        self._overlay("accepted")
        return True

    def _may_resume(self, left, start):
        if left.stops > _STOPS_MOST:
            return False
        now = self._clock.now()
        began = left.t_min if start is None else start
        if began is None or now is None:
            if left.by != OPEN:
                return False  # who knows how long ago that was
        elif now - began > self._settings["resume_within_s"]:
            return False
        holder = (left.token, left.group, left.role, left.by)
        return not self._is_withdrawn(holder, minutes(start), start is not None)

    def _resumed(self, left, start, asks):
        """Whether it goes on. Then the vehicle has been told with it."""
        self._books.resume(left, start)
        self.happened(("resume", left.token, left.role, left.group, left.by, asks))
        if self.session.progress != rules.RUNNING:
            return False
        self._seen = (True, asks)
        return True

    # Facts.

    @property
    def _asks_operator(self):
        return self._settings["authority"] == "operator"

    def _not_judged(self, error):
        """Nothing has changed. The driver sees that the card is to be held there once more."""
        self._failed(error)
        self._overlay("unreadable")

    def _holder_withdrawn(self):
        holder = self.session.holder
        if holder is None:
            return False
        clock = self._clock
        began = self._books.began or (clock.minutes(), clock.is_set)
        return self._is_withdrawn(holder, *began)

    def _is_withdrawn(self, holder, began_min, was_set):
        """Whether the allow-list does not let the holder charge here any more. Whom the portal has
        started may have no card: it ends that session itself."""
        if holder[3] != "card" or not self._settings["stop_on_withdrawal"]:
            return False
        return verdict.is_withdrawn(
            self._allowlist.lookup(holder[0]), began_min, was_set, self._settings.in_schedule
        )

    def _judge(self, entry):
        clock = self._clock
        return verdict.judge(
            entry,
            clock.minutes(),
            clock.is_set,
            self._list_too_old(),
            self._settings["service_may_start"],
            self._settings.in_schedule,
        )

    def _list_too_old(self):
        applied = self._allowlist.applied
        now = self._clock.now()
        if applied is None or not applied.max_age_s or now is None:
            return False  # without a list everybody is Unknown; with one its `t` is a time known
        return now - applied.t > applied.max_age_s

    def _watch(self, fault, place):
        known = self._faults.get(place)
        if fault == known:
            return
        if fault is not None:
            self.happened(("fault", fault))
        if known is not None:
            self.happened(("fault_cleared", known))
        self._faults[place] = fault

    def _watch_meter(self):
        """That it counts at all while the vehicle draws."""
        meter = self.meter
        up_s = self._clock.up_s()
        if meter.pulses != self._pulses:
            if self.meter_stalled:
                self._stall(False, {"fault": "meter"})
            self._pulses = meter.pulses
            self._pulse_up_s = up_s
        elif not (
            self.vehicle.tells_draw and self.session.state == CHARGING and self.contactor.closed
        ):
            self._pulse_up_s = up_s
        elif meter.stall_s and not self.meter_stalled:
            still_s = up_s - self._pulse_up_s
            if still_s >= meter.stall_s:
                detail = "no pulse in {} s of charging".format(still_s)
                self._stall(True, {"fault": "meter", "detail": detail})

    def _stall(self, stalled, fields):
        self._uplink.record("fault" if stalled else "fault_cleared", fields)
        self.meter_stalled = stalled
        self._uplink.changed()
