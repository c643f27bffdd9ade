"""The self-test of a charger that is there, ordered over the link."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

from tools.portal import busy, commanding
from tools.portal.commanding import Body, Declined, Line
from tools.portal.refusal import Refusal

TEST_S = 100  # the charger itself ends it after 90
_DONE = "selftest_done"


def carried_out(site_home: Path, charger: str, begun: Callable[[], None]) -> Body:
    """The event that tells of it. `begun()` is called once the charger tests itself. Refusal where
    it does not, or tells nothing of it."""

    async def at_once() -> Body:
        async with commanding.reached(site_home, charger) as line:
            try:
                answer, before = await line.carried_out("selftest", {})
            except Declined as declined:
                words = busy.with_selftest(declined.why)
                raise Refusal(f"{declined.charger}: {words}" if words else str(declined)) from None
            begun()
            return await _done(line, answer["v"], before)

    return asyncio.run(at_once())


async def _done(line: Line, v: int, heard: list[Body]) -> Body:
    end = time.monotonic() + TEST_S
    while True:
        for event in heard:
            if event.get("event") == _DONE and event.get("v") == v:
                return event
        event = await line.event(end)
        if event is None:
            raise Refusal(
                f"{line.charger} has begun its self-test and told no result within {TEST_S} s; "
                f"it comes when the link is back: 'tapgate events --charger {line.charger}'"
            )
        heard = [event]
