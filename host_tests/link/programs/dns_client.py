"""One name looked up under MicroPython. Options on standard input, what was found on output."""

import asyncio
import json
import random
import sys

sys.path.insert(0, "")

from firmware.link.dns import DnsError, resolve
from host_tests.link.programs.client import Heartbeat, tell


async def main(host, **options):
    heartbeat = Heartbeat()
    beating = asyncio.create_task(heartbeat.run())
    await asyncio.sleep_ms(20)
    heartbeat.clear()
    try:
        address, error = await resolve(host, rng=random.random, **options), None
    except DnsError as caught:
        address, error = None, str(caught)
    await asyncio.sleep_ms(20)
    beating.cancel()
    tell("resolved", address=address, error=error, **heartbeat.facts())


asyncio.run(main(**json.loads(sys.stdin.readline())))
