"""The polling reader: tells the application of each card once, and keeps its chip alive.

`Presentation` decides what a series of looks into the field means; it is pure. `Reader` looks every
25 ms, more often while a card is awaited, supervises the chip and recovers it: re-initialisation,
then a hard reset, then it is reported as a fault and tried again later, ever more rarely. No step
of that waits for anything.
"""

import asyncio
from time import ticks_add, ticks_diff, ticks_ms

from micropython import const

from firmware.cards.iso14443a import DEAD, NOBODY, NUMBER, SEVERAL, Selection, is_random
from firmware.cards.mfrc522 import FIELD_GUARD_MS, WAKE_MS

_POLL_MS = const(25)
# While somebody is expected to hold a card there at any moment.
AWAITED_MS = const(6)
# After HLTA nothing is sent for a millisecond (ISO 14443-3, HLTA); and whoever was read has had an
# answer: there is no hurry.
_HALTED_MS = const(10)
# A card that was read and lies there is looked at this often, until it is missed once.
PRESENT_MS = const(100)

# A card is gone after so many clean silences in a row, spanning so long since it was last there.
_GONE_MISSES = const(3)
GONE_MS = const(150)
# After several at once, the one that stays must have been alone for so long.
ALONE_MS = const(1000)
# So many looks at a card without reading it, for so long, and the driver is told to hold it still.
_UNREADABLE_LOOKS = const(4)
_UNREADABLE_MS = const(75)

# The chip's registers are compared so often, in the same SPI frame as a poll's answer.
_AUDIT_MS = const(1000)
# A receiver that went deaf looks like an empty field: without a card for so long, reset the chip.
_REFRESH_MS = const(60000)
# Good for so long after a recovery, and the next trouble starts at the first rung again.
_STEADY_MS = const(10000)
_RETRY_MS = const(1000)
_RETRY_MAX_MS = const(60000)
_WAKE_STEP_MS = const(5)

_RUN = const(0)
_RESET = const(1)
_WAKE = const(2)
_GUARD = const(3)


class Reader:
    """One reader with its chip (`MFRC522`).

    on_card(number)        a card, once per presentation: it lies there until it was really gone
    on_problem(kind)       "unreadable", "several" or "random", each once per presentation
    on_gone()              a presentation that any of these was told of is over
    on_health(health, detail)  on each change of `health`: "ok", "recovering", "fault"
    beat()                 each turn of `run`, for the watchdog
    awaited()              whether a card is expected at any moment: then looks are more frequent
    between()              after a look that leaves nothing to be found out: what takes some ms, and
                           would keep a card waiting at any other time, is best done now

    `chip`. `presentation`: what the looks have brought. `failures`: that the chip has had of late;
    0 once all was well for ten seconds.

    Callbacks are called from within `poll`, as soon as the matter is known.
    """

    def __init__(
        self,
        chip,
        on_card,
        on_problem=lambda kind: None,
        on_gone=lambda: None,
        on_health=lambda health, detail: None,
        beat=lambda: None,
        poll_ms: int = _POLL_MS,
        awaited=lambda: False,
        between=lambda: None,
    ) -> None:
        self.chip = chip
        self._selection = Selection(chip)
        self.presentation = Presentation(on_card, on_problem, on_gone)
        self._on_health = on_health
        self.beat = beat
        self._poll_ms = poll_ms
        self._awaited = awaited
        self._between = between
        self.health = "recovering"
        self.detail = "not started"
        now_ms = ticks_ms()
        self._stage = _RESET
        self._hard = True
        self._due_ms = now_ms
        self._wake_until_ms = now_ms
        self._on_trial = False
        self.failures = 0
        self._retry_ms = _RETRY_MS
        self._good_ms = now_ms
        self._audited_ms = now_ms
        self._fresh_ms = now_ms

    async def run(self) -> None:
        """Polls for ever."""
        while True:
            started_ms = ticks_ms()
            self.beat()
            outcome = self.poll()
            presentation = self.presentation
            if presentation.settled or not presentation.present:
                self._between()
            period_ms = self._poll_ms
            if presentation.settled and self._stage == _RUN:
                period_ms = PRESENT_MS
            elif period_ms > AWAITED_MS and self._awaited():
                period_ms = AWAITED_MS
            pause_ms = period_ms - ticks_diff(ticks_ms(), started_ms)
            await asyncio.sleep_ms(max(pause_ms, _HALTED_MS if outcome == NUMBER else 1))

    def poll(self) -> int:
        """One look, or one step of a recovery: a few ms at most. Returns what it ended with (see
        `iso14443a`), DEAD while there is no working chip."""
        now_ms = ticks_ms()
        audit = False
        fault = None
        try:
            if self._stage != _RUN and not self._recover(now_ms):
                return DEAD
            # A silence that may end a presentation counts only from a chip that is as it should be.
            audit = (
                ticks_diff(now_ms, self._audited_ms) >= _AUDIT_MS or self.presentation.misses > 0
            )
            outcome = self._selection.look(audit)
            fault = self._selection.fault
            if audit:
                self._audited_ms = now_ms
            if outcome == DEAD:
                fault = self.chip.check() or "no answer, no time-out: " + self._selection.why
        except OSError as error:
            outcome = DEAD
            fault = "SPI: {}".format(error)
        if fault:
            self._trouble(fault, now_ms)
        else:
            self._keep_fit(outcome, audit, now_ms)
        presentation = self.presentation
        if outcome == NOBODY:
            if not fault:
                presentation.nobody(now_ms)
        elif outcome == NUMBER:
            presentation.number(self._selection.number, now_ms)
            # Only now: by what its number led to the coil may have been driven.
            try:
                self._selection.halt()
            except OSError as error:
                self._trouble("SPI: {}".format(error), now_ms)
        elif outcome == SEVERAL:
            presentation.several(now_ms)
        elif outcome != DEAD:
            presentation.unreadable(self._selection.sure, now_ms)
        return outcome

    def lend(self, ms: int) -> None:
        """Leave the chip to somebody else for so long; it is then reset and used as before. 0: now.
        A card that lies there through it is no new tap."""
        self._stage = _RESET
        self._hard = True
        self._due_ms = ticks_add(ticks_ms(), ms)

    def _keep_fit(self, outcome: int, audited: bool, now_ms) -> None:
        if self._on_trial:
            self._on_trial = False
            self._good_ms = now_ms
            self._set_health("ok", self.detail)
        elif audited and self.failures and ticks_diff(now_ms, self._good_ms) >= _STEADY_MS:
            self.failures = 0
            self._retry_ms = _RETRY_MS
        if outcome != NOBODY:
            self._fresh_ms = now_ms
        elif ticks_diff(now_ms, self._fresh_ms) >= _REFRESH_MS and not self.failures:
            self._stage = _RESET
            self._hard = True
            self._due_ms = now_ms

    def _trouble(self, detail: str, now_ms) -> None:
        """One rung further up."""
        self._on_trial = False
        self.failures += 1
        self._stage = _RESET
        self._hard = self.failures > 1
        self._due_ms = now_ms
        if self.failures <= 2:
            if self.health == "ok":
                self._set_health("recovering", detail)
        else:
            self._due_ms = ticks_add(now_ms, self._retry_ms)
            self._retry_ms = min(2 * self._retry_ms, _RETRY_MAX_MS)
            self._set_health("fault", detail)

    def _set_health(self, health: str, detail: str) -> None:
        self.detail = detail
        if health != self.health:
            self.health = health
            self._on_health(health, detail)

    def _recover(self, now_ms) -> bool:
        """The next step of a recovery, if it is due; True when the field may be looked into."""
        if ticks_diff(now_ms, self._due_ms) < 0:
            return False
        chip = self.chip
        if self._stage == _RESET:
            if self._hard:
                chip.reset()
            else:
                chip.soft_reset()
            self._stage = _WAKE
            self._due_ms = ticks_add(now_ms, _WAKE_STEP_MS)
            self._wake_until_ms = ticks_add(now_ms, WAKE_MS)
            return False
        if self._stage == _WAKE:
            if not chip.awake() and ticks_diff(now_ms, self._wake_until_ms) < 0:
                self._due_ms = ticks_add(now_ms, _WAKE_STEP_MS)
                return False
            fault = chip.configure()
            if fault:
                self._trouble(fault, now_ms)
                return False
            if self.detail == "not started":
                self.detail = "VersionReg {:02x}".format(chip.version)
            self._stage = _GUARD
            self._due_ms = ticks_add(now_ms, FIELD_GUARD_MS + 1)
            return False
        self._stage = _RUN
        self._on_trial = True
        self._audited_ms = now_ms
        self._fresh_ms = now_ms
        return True


class Presentation:
    """From looks to events: a card is told of once, until it was really gone.

    Gone means: `_GONE_MISSES` clean silences in a row over `GONE_MS`. Another card that is read
    alone just as often and as long is proof too that the first is gone. A garbled look means that
    somebody is there. A phone that makes up number after number is one presentation.
    """

    def __init__(self, on_card, on_problem, on_gone) -> None:
        self._on_card = on_card
        self._on_problem = on_problem
        self._on_gone = on_gone
        self._seen_ms = 0
        self._other_ms = 0
        self._garbled_ms = 0
        self._clear()

    def _clear(self) -> None:
        self.present = False
        # Told of, and just the same at the last look: nothing new is to be expected soon.
        self.settled = False
        self.misses = 0
        self._card = None
        self._told = ()
        self._contested = False
        self._garbled = 0
        self._sure = False
        self._other = None
        self._other_looks = 0

    def nobody(self, now_ms) -> None:
        if not self.present:
            return
        self.settled = False
        self._other_looks = 0
        self.misses += 1
        if self.misses >= _GONE_MISSES and ticks_diff(now_ms, self._seen_ms) >= GONE_MS:
            self._end()

    def number(self, number: bytes, now_ms) -> None:
        self._seen(now_ms)
        random = is_random(number)
        card = number[:1] if random else number
        if card == self._card:
            self.settled = True
            self._other_looks = 0
            return
        if self._card is not None or self._contested:
            if not self._alone(card, now_ms):
                return
            self._end()
            self._seen(now_ms)
        self._card = card
        if random:
            self._tell("random")
        else:
            self._told += ("card",)
            self._on_card(number)

    def several(self, now_ms) -> None:
        self._seen(now_ms)
        self.settled = self._contested
        self._contested = True
        self._other_looks = 0
        self._tell("several")

    def unreadable(self, sure: bool, now_ms) -> None:
        self._seen(now_ms)
        self.settled = False
        self._sure = self._sure or sure
        if not self._garbled:
            self._garbled_ms = now_ms
        self._garbled += 1
        if self._told or self._garbled < _UNREADABLE_LOOKS:
            return
        if ticks_diff(now_ms, self._garbled_ms) >= _UNREADABLE_MS:
            self._tell("unreadable")

    def _seen(self, now_ms) -> None:
        self.present = True
        self.misses = 0
        self._seen_ms = now_ms

    def _alone(self, card, now_ms) -> bool:
        """True once this card, not the one that was told of, has been the only one long enough."""
        self.settled = False
        if card != self._other or not self._other_looks:
            self._other = card
            self._other_looks = 0
            self._other_ms = now_ms
        self._other_looks += 1
        needed_ms = ALONE_MS if self._contested else GONE_MS
        return self._other_looks >= _GONE_MISSES and ticks_diff(now_ms, self._other_ms) >= needed_ms

    def _tell(self, kind: str) -> None:
        if kind not in self._told:
            self._told += (kind,)
            self._on_problem(kind)

    def _end(self) -> None:
        # Drawn past too quickly to be read: that, too, wants holding still.
        if not self._told and (self._sure or self._garbled > 1):
            self._tell("unreadable")
        told = self._told
        self._clear()
        if told:
            self._on_gone()
