"""One charge point: taps, the vehicle and orders go in; contactor, light and records come out.

`firmware.access` decides; this carries out its effects, in their order. Nothing here waits: `tap`
goes from the reader's poll to the coil's pin in one go, and `control` is called every 10 ms.
"""

import binascii
from time import ticks_diff, ticks_ms

from micropython import const

from firmware.access import session as rules
from firmware.access import verdict
from firmware.access.words import RANDOM_NUMBER

TICK_MS = const(100)
_UNREADABLE = ("unreadable",)
_TICK = ("tick",)
_NO_START = (None, 0, None)  # time, mWh, minutes since 2024
_NOBODY = (None, 0, None, None)  # a session's holder: token, group, role, by


class ChargePoint:
    """Holds the session and moves what follows from it.

    `tokens`, `allowlist`: from a card's number to its entry (DESIGN sections 5 and 6). `settings`:
    values by name. `record(event, fields)` takes what the operator is to know; `changed()` says
    that the state message would read differently now.
    """

    def __init__(self, board, tokens, allowlist, settings, clock, record, changed):
        self._tokens = tokens
        self._allowlist = allowlist
        self._settings = settings
        self._clock = clock
        self._contactor = board.contactor
        self._vehicle = board.vehicle
        self._light = board.light
        self._meter = board.meter
        self._record = record
        self._changed = changed
        self._seen = (False, False)
        self._faults = {}  # where: the fault that there is, or None
        self._ticked_ms = ticks_ms()
        self._started = None  # (time or None, mWh, minutes) when the session that runs began
        self.session = rules.START
        self.outcome = None  # of the last order: why it was declined, or None
        self._effects = {
            "contactor": self._switch,
            "offer": self._vehicle.offer,
            "selftest": self._selftest,
            "overlay": self._overlay,
            "record": self._session_record,
            "enrolled": self._enrolled,
            "enrol_failed": self._enrol_failed,
            "declined": self._declined,
        }
        self._contactor.interlock = self.may_close
        self._light.state(self.session.state)

    def may_close(self) -> bool:
        """The contactor's interlock: what the rules say at this very moment."""
        return rules.may_close(self.session)

    # What happens.

    def tap(self, number: bytes) -> None:
        """A card's number was read, checked and complete: 4, 7 or 10 bytes."""
        token = self._tokens.of(number)
        entry = self._allowlist.lookup(token)
        group = entry[0] if entry is not None else 0
        self.happened(("tap", token, verdict.role_of(entry), group, self._judge(entry)))

    def problem(self, kind: str) -> None:
        """A card that gives no number to judge: "unreadable", "several" or "random"."""
        if kind == "random":
            self.happened(("tap", None, None, 0, RANDOM_NUMBER))
        else:
            self.happened(_UNREADABLE)

    def happened(self, event: tuple) -> str | None:
        """One event of `firmware.access.session`. Returns why it was declined, or None."""
        before = self.session
        self.outcome = None
        self.session, effects = rules.step(before, event, ticks_ms())  # pyright: ignore[reportArgumentType]
        for effect in effects:
            self._effects[effect[0]](*effect[1:])
        if self.session is not before:
            self._light.state(self.session.state)
            self._changed()
        return self.outcome

    def settings_changed(self) -> None:
        """The settings in force may be others now."""
        self.happened(("access", self._settings["access"]))

    def list_changed(self) -> None:
        """The allow-list is another one: does it still hold who charges here?"""
        holder = self.session.holder
        if holder is None or holder[3] != "card" or not self._settings["stop_on_withdrawal"]:
            return
        began_min = self._started[2] if self._started is not None else self._clock.minutes()
        entry = self._allowlist.lookup(holder[0])
        if verdict.is_withdrawn(entry, began_min, self._clock.is_set):
            self.happened(("withdrawn",))

    def control(self, now_ms: int) -> None:
        """Look at the vehicle, the contacts and the time; bring the light up to date."""
        seen = self._vehicle.sample(now_ms)
        if seen != self._seen:
            self._seen = seen
            self.happened(("vehicle", seen[0], seen[1]))
        self._watch(self._contactor.check(now_ms), "contactor")
        self._watch(self._vehicle.fault, "pilot")
        if ticks_diff(now_ms, self._ticked_ms) >= TICK_MS:
            self._ticked_ms = now_ms
            self.happened(_TICK)
        self._light.render(now_ms)

    # What others show and report.

    @property
    def authorisation_required(self) -> bool:
        return not self.session.open

    def session_shown(self) -> dict | None:
        """The session that runs, for the state message; None when there is none."""
        if self._started is None:
            return None
        start, mwh, _ = self._started
        token, _, role, _ = self.session.holder or _NOBODY
        return {
            "token": _hex(token),
            "role": role,
            "start": start,
            "wh": (self._meter.mwh - mwh) // 1_000,
        }

    # Effects.

    def _switch(self, on):
        if on:
            self._contactor.close()
        else:
            self._contactor.open()

    def _overlay(self, name):
        self._light.overlay(name, ticks_ms())

    def _session_record(self, event, fields):
        if "token" in fields:
            fields["token"] = _hex(fields["token"])
        if event == "session_started":
            self._started = (self._clock.exact(), self._meter.mwh, self._clock.minutes())
        elif event == "session_ended":
            start, mwh, _ = self._started or _NO_START
            fields["start"], fields["end"] = start, self._clock.exact()
            fields["wh"] = (self._meter.mwh - mwh) // 1_000
            self._started = None
        self._record(event, fields)

    def _enrolled(self, token):
        self._record("card_enrolled", {"token": _hex(token)})

    def _enrol_failed(self, why):
        self._record("enrol_failed", {"why": why})

    def _declined(self, event, state):
        self.outcome = f"{event}: not while {state}"

    def _selftest(self, on):
        """The light says `service`; what is tested then is the installer's part."""

    # Facts.

    def _judge(self, entry):
        clock = self._clock
        return verdict.judge(
            entry,
            clock.minutes(),
            clock.is_set,
            self._list_too_old(),
            self._settings["service_may_start"],
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
        self._faults[place] = fault
        if known is not None:
            self.happened(("fault_cleared", known))
        if fault is not None:
            self.happened(("fault", fault))


def _hex(token):
    return None if token is None else binascii.hexlify(token).decode()
