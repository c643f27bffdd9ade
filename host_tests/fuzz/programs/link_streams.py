"""The charger's link under MicroPython, on streams instead of a network.

Each line on standard input is {"stream": hex, "sizes": how many bytes come at once}; each line of
its output says what the link reported, how it ended, and what it sent after its greetings.
"""

import asyncio
import binascii
import gc
import json
import sys

sys.path.insert(0, "")

from firmware.link.mqtt import Mqtt


class Network:
    up = True
    dns = ""


class Stream:
    """A connection that brings `data`, and is closed by the broker when all of it was read."""

    held_back = True  # there is always more to do: no pause

    def __init__(self, data, sizes):
        self.data = data
        self.sizes = sizes
        self.at = self.reads = 0
        self.sent = bytearray()
        self.ended = False

    def turn(self):
        pass

    def read(self, view):
        if self.at == len(self.data):
            if self.ended:
                return 0
            self.ended = True  # once more, so that what waits is sent
            return None
        count = min(self.sizes[self.reads % len(self.sizes)], len(view), len(self.data) - self.at)
        self.reads += 1
        view[:count] = self.data[self.at : self.at + count]
        self.at += count
        return count

    def write(self, data):
        self.sent.extend(data)
        return len(data)

    def close(self):
        pass


class Link(Mqtt):
    """Told to end at the first problem that ends a connection."""

    async def _open(self):
        return self.stream

    def _drop(self, stream):
        super()._drop(stream)
        self.close()


def followed(line):
    data = binascii.unhexlify(line["stream"])
    said = []
    greeted = []

    def greet():
        link.subscribe("a", 1)
        link.publish("b", b"x", qos=1)
        link.unsubscribe("c")
        greeted.append(True)

    link = Link(
        Network(),
        "127.0.0.1",
        1883,
        "c1",
        on_connect=greet,
        on_message=lambda topic, payload: said.append(
            ["message", topic, binascii.hexlify(payload).decode()]
        ),
        on_ack=lambda packet_id: said.append(["acknowledged", packet_id]),
        on_skipped=lambda topic, size: said.append(["skipped", topic, size]),
        on_problem=lambda kind, detail: said.append(["problem", kind]),
        objects="tapgate/home/object/",
    )
    link.stream = Stream(data, line["sizes"])
    asyncio.run(link.run())
    asyncio.new_event_loop()
    end = said.pop()[1]
    # CONNECT; then SUBSCRIBE, PUBLISH and UNSUBSCRIBE of one letter each.
    sent = link.stream.sent[16:]
    if greeted:
        assert not sent or sent[:1] == b"\x82", sent
        sent = sent[8 + 8 + 7 :]
    return {"said": said, "end": end, "sent": binascii.hexlify(sent).decode()}


for line in sys.stdin:
    print(json.dumps(followed(json.loads(line))))
    gc.collect()
