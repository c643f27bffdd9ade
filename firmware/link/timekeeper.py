"""When to ask for the time: at once while the clock is not set, and then every few hours."""

import asyncio
import random
import time

from micropython import const

from firmware.link.backoff import LEAST_MS, Backoff
from firmware.loaded import forget

MOST_MS = const(1_024_000)
AGAIN_MS = const(14_400_000)  # a quartz has lost or won less than a second by then

_LOOK_MS = const(250)
_PORT = const(123)


async def keep(
    clock,
    network,
    host: str,
    on_time,
    on_problem,
    beat,
    port: int = _PORT,
    waits_ms: tuple = (LEAST_MS, MOST_MS, AGAIN_MS),
) -> None:
    """Set `clock` whenever it is time to, while `network` (see `Wifi`) is up. Never ends.

    on_time(refused: str): a server has said the time, and the clock has taken it (""), or not, and
    why; on_problem(kind: str, detail: str): there was no answer to take, or it is to be said once
    more; beat(): several times a second. `waits_ms`: after a failure at least and at most, and
    after a success at most.
    """
    backoff = Backoff(random.random, waits_ms[0], waits_ms[1])
    left_ms = 0  # counted down: the ticks may wrap while there is no network
    looked = time.ticks_ms()
    kept = False  # the clock was set by the last answer
    while True:
        beat()
        now = time.ticks_ms()
        left_ms -= time.ticks_diff(now, looked)
        looked = now
        if not network.up:
            if not clock.is_set:
                left_ms = 0
                backoff.reset()  # another cause than the server
        elif left_ms <= 0 or (kept and not clock.is_set):
            left_ms = 0
            kept = False
            try:
                from firmware.link import ntp  # for this one question: memory is short

                t = await ntp.ask(host, port, network.dns, random.random, beat) // 1_000
                kept = clock.set_exactly(t)
                why = "" if kept else f"{host} says {t}, certain is {clock.now()}"
                if clock.said_once is None:
                    on_time(why)
                else:
                    on_problem("ntp", why)
                    if clock.is_set:  # no hurry: by then a pool has another server to ask
                        left_ms = waits_ms[1]
            except Exception as error:
                if getattr(error, "kiss", False):
                    left_ms = waits_ms[1]
                on_problem("ntp", str(error) or type(error).__name__)
            ntp = None
            # Of these `dns` would stay for ever where the broker has a name.
            forget("firmware.link", "ntp dns")
            if kept:
                backoff.reset()
                left_ms = waits_ms[2] - int(random.random() * (waits_ms[2] // 4))
            elif not left_ms:
                left_ms = backoff.wait_ms()
            looked = time.ticks_ms()
        await asyncio.sleep_ms(_LOOK_MS)
