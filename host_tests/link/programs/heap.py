"""What the link keeps on the heap, measured where it stands. Options as `client.py` takes them."""

import gc
import json
import sys

sys.path.insert(0, "")


def used():
    gc.collect()
    return gc.mem_alloc()


import asyncio  # noqa: E402 - it is there with or without the link

options = json.loads(sys.stdin.readline())
before = used()
from firmware.link import codec, dns, messages, mqtt, topics, wifi  # noqa: E402, F401

imported = used()


class Network:
    up = True
    dns = ""


async def main():
    ca_file = options.pop("ca_file", None)
    if ca_file:
        with open(ca_file) as file:
            options["ca"] = file.read()
    received = []

    def on_connect():
        for topic in ("settings", "allowlist", "command", "verdict"):
            link.subscribe("tapgate/home/c1/" + topic)
        link.publish("tapgate/home/c1/state", "x" * 1000, True, 1)

    def on_message(topic, payload):
        received.append(len(payload))

    link = mqtt.Mqtt(
        Network(), "127.0.0.1", client_id="charger-home-c1", on_connect=on_connect,
        on_message=on_message, **options,
    )  # fmt: skip
    options.clear()
    made = used()
    running = asyncio.create_task(link.run())
    for _ in range(500):
        if link.connected and not link._waiting and received:
            break
        await asyncio.sleep_ms(10)
    print(
        json.dumps(
            {
                "what": "heap",
                "connected": link.connected,
                "received": received,
                "modules": imported - before,
                "objects": made - imported,
                "linked": used() - made,
                "all": used() - before,
            }
        )
    )
    running.cancel()


asyncio.run(main())
