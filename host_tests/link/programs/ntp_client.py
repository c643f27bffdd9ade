"""The time kept under MicroPython. Options of `keep` on standard input, and what happens on output:
`time` with `refused` and the clock's time, `problem` with its detail; after `asks` of them the end,
`facts`, with the longest time for which another task had no turn, and that between two `beat`s.
"""

import asyncio
import json
import sys
import time

sys.path.insert(0, "")

from firmware.clock import Clock
from firmware.link.timekeeper import keep
from host_tests.link.programs.client import Heartbeat, tell


class Network:
    up = True
    dns = "127.0.0.1"


class Rtc:
    def datetime(self, *_):
        return (2000, 1, 1, 0, 0, 0, 0, 0)


async def main(asks=1, known=0, **options):
    clock = Clock(Rtc())
    clock.lower_bound(known)
    done = 0

    def count(what, **facts):
        nonlocal done
        done += 1
        tell(what, **facts)

    def on_time(refused):
        count("time", refused=refused, now=clock.now(), set=clock.is_set)

    def on_problem(kind, detail):
        count("problem", kind=kind, detail=detail)

    last_beat = time.ticks_ms()
    longest_ms = 0

    def beat():
        nonlocal last_beat, longest_ms
        now = time.ticks_ms()
        longest_ms = max(longest_ms, time.ticks_diff(now, last_beat))
        last_beat = now

    heartbeat = Heartbeat()
    beating = asyncio.create_task(heartbeat.run())
    await asyncio.sleep_ms(20)
    heartbeat.clear()
    keeping = asyncio.create_task(
        keep(clock, Network(), on_time=on_time, on_problem=on_problem, beat=beat, **options)
    )
    while done < asks:
        await asyncio.sleep_ms(20)
    await asyncio.sleep_ms(20)
    keeping.cancel()
    beating.cancel()
    facts = heartbeat.facts()
    beat()
    facts["beat_ms"] = longest_ms
    tell("facts", **facts)


asyncio.run(main(**json.loads(sys.stdin.readline())))
