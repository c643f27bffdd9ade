"""The self-test: each part of the charger in turn, with no vehicle there. Loaded for as long as it
runs, and given back afterwards.

It is a task of its own that pauses after every few milliseconds of work, while the session is in
the state `service`. Whatever ends that state (a vehicle, a card, the time, an order) ends the test.
What it finds goes to the console, one line of JSON for each part, and into `selftest_done`.
"""

import asyncio
import json
from time import ticks_add, ticks_diff, ticks_ms

from micropython import const

from firmware.tested_parts import PARTS, Parts, forget

_STEP_MS = const(20)  # no pause is longer in one piece, so that the end is noticed


class Over(Exception):
    """The session has left the self-test."""


class SelfTest:
    """`app`: has what is tested, see `Parts`, and `uplink` for the event.

    `v`: of the order that it was begun by, or None. `card`: the last two bytes of the card that was
    read: one that lay there when it began, or the first that came since; b"" for a phone; None.
    `trouble`: what came instead of a card ("unreadable", "several"), or None. `tries`:
    its part that closes the contactor runs (`ChargePoint.may_close`).
    """

    def __init__(self, app):
        self._app = app
        self._point = point = app.point
        self._failed = []
        self._short = {}
        self._done = 0  # parts
        self.v = None
        self.card = None if point.lying is None else point.lying[1]
        self._waits = self.card is None  # from now on: whoever is told to may be early
        self.trouble = None
        self.tries = False
        self._task = asyncio.create_task(self._run())

    # What happens meanwhile.

    def read(self, hint: bytes) -> bool:
        """A card was read. Whether it is the one that was asked for: it is not judged then."""
        if not self._waits:
            return False
        self._waits = False
        self.card = hint
        return True

    def problem(self, kind: str) -> bool:
        """A card that has no number to judge. Whether that is enough for what was asked for."""
        if not self._waits:
            return False
        self.trouble = kind
        return kind == "random" and self.read(b"")

    def over(self) -> None:
        """The session has left the self-test; the contactor is open already."""
        point = self._point
        point.vehicle.offer(False)
        complete = self._done == len(PARTS)
        passed = complete and not self._failed
        fields = {"passed": passed, "failed": self._failed, "parts": self._short}
        line = '{"selftest": "over", "ok": %s' % json.dumps(passed)
        if self.v is not None:
            fields["v"] = self.v
        if complete:
            point.light.overlay("accepted" if passed else "refused", ticks_ms())
        else:
            vehicle = point.session.connected
            why = fields["why"] = "a vehicle was plugged in" if vehicle else "it was ended"
            line += ', "why": ' + json.dumps(why)
        print(line + "}")
        self._app.uplink.record("selftest_done", fields)

    # The task.

    async def pause(self, ms: int) -> None:
        """Let the others have their turn; raises `Over` where one of them has ended the test."""
        until_ms = ticks_add(ticks_ms(), ms)
        while ms > 0:
            await asyncio.sleep_ms(min(ms, _STEP_MS))
            if self._point.tester is not self:
                raise Over
            ms = ticks_diff(until_ms, ticks_ms())

    def try_contactor(self, on: bool) -> None:
        """Close the contactor with no vehicle there, or open it. It opens by itself as soon as that
        is so no more, and when the test is over."""
        self.tries = on
        if self._point.tester is not self:
            return  # it is somebody else's by now, who may charge
        if on:
            self._point.contactor.close()
        else:
            self._point.contactor.open()

    async def card_comes(self, ms: int) -> None:
        """Wait for a card to be read, if none was yet, and no longer than that."""
        until_ms = ticks_add(ticks_ms(), ms)
        while self._waits and ticks_diff(until_ms, ticks_ms()) > 0:
            await self.pause(_STEP_MS)
        self._waits = False

    async def _run(self):
        try:
            parts = Parts(self._app, self)
            for name in PARTS:
                parts.short = None
                try:
                    passed, found = await getattr(parts, name)()
                except Over:
                    raise
                except Exception as error:  # what a part dies of is what is wrong with it
                    passed, found = False, repr(error)
                print(
                    '{"selftest": "%s", "ok": %s, "found": %s}'
                    % (name, json.dumps(passed), json.dumps(found))
                )
                if passed is False:
                    self._failed.append(name)
                if passed is not None and parts.short is not None:
                    self._short[name] = parts.short
                self._done += 1
            self._point.happened(("selftest", False))
        except Over:
            pass
        finally:
            forget("firmware.selftest")
            forget("firmware.tested_parts")
