"""The charger's link alone, under MicroPython, told what to do on standard input.

The first line is a JSON object of options, those of `Mqtt` and some more (`port` is needed); each
further line is an order (`do`: publish, subscribe, unsubscribe, shout, starve, names, network,
facts, close). It prints one JSON object per line: what the link reported, and to `facts` the
longest time for which a task that wants to run every 5 ms did not run since the last `facts`.
"""

import asyncio
import gc
import json
import select
import sys
import time

sys.path.insert(0, "")

from firmware.link import dns
from firmware.link import mqtt as link
from firmware.link.address import DnsError
from firmware.link.mqtt import Mqtt

HEARTBEAT_MS = 5


_SOL_SOCKET, _SO_SNDBUF = 1, 7  # Linux; MicroPython does not name the second
_BOARD_SEND_BYTES = 5_744  # lwIP on an ESP32: four segments


class BoardStream(link.Stream):
    """A connection that takes as little at once as the board's does, and not megabytes.

    slices: turns that left work of a TLS handshake for the next.
    """

    slices = 0

    def turn(self):
        BoardStream.slices += self.held_back
        super().turn()

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self._socket.setsockopt(_SOL_SOCKET, _SO_SNDBUF, _BOARD_SEND_BYTES)


link.Stream = BoardStream


class Network:
    """Wi-Fi that is there, or not."""

    up = True
    dns = ""


class Heartbeat:
    """A task of the charger: it wants its turn every 5 ms, and measures when it gets it."""

    def __init__(self):
        self.gaps_us = []
        self.clear()

    def clear(self):
        self.longest_us = self.turns = self.late = 0

    async def run(self):
        last = time.ticks_us()
        while True:
            await asyncio.sleep_ms(HEARTBEAT_MS)
            now = time.ticks_us()
            gap = time.ticks_diff(now, last)
            last = now
            self.turns += 1
            self.late += gap > 25_000
            self.longest_us = max(self.longest_us, gap)

    def facts(self):
        return {"gap_ms": self.longest_us / 1000, "turns": self.turns, "late": self.late}


def names_lead_to(addresses):
    """A stand-in for the look-up of names: these, and no other."""

    async def resolve(host, server, rng, beat):
        await asyncio.sleep_ms(1)
        if host not in addresses:
            raise DnsError(f"no address for {host}")
        return addresses[host]

    dns.resolve = resolve


def tell(what, **facts):
    facts["what"] = what
    print(json.dumps(facts))


def text(payload):
    """A payload that a test can compare: short ones as they are, long ones by size and ends."""
    if len(payload) <= 200:
        return payload.decode()
    return f"{len(payload)}:{payload[:4].decode()}..{payload[-4:].decode()}"


class Client:
    def __init__(self, options):
        for name in ("OPEN_MS", "ANSWER_MS", "PACKET_MS", "WRITE_MS", "LASTED_MS", "BACKOFF_MS"):
            if name in options:
                setattr(Mqtt, name, options.pop(name))
        self.topics = options.pop("topics", [])
        self.fail_on = options.pop("fail_on", None)
        self.answer_on = options.pop("answer_on", None)
        self.quiet = options.pop("quiet", False)
        self.received = self.beats = self.connects = 0
        self.shouting = 0
        self.settling = False
        self.network = Network()
        self.network.dns = options.pop("dns", "")
        if "chance" in options:
            chance = options.pop("chance")
            options["rng"] = lambda: chance
        if "names" in options:
            names_lead_to(options.pop("names"))
        ca = options.pop("ca_file", None)
        if ca:
            with open(ca) as file:
                options["ca"] = file.read()
        self.heartbeat = Heartbeat()
        self.mqtt = Mqtt(
            self.network,
            options.pop("host", "127.0.0.1"),
            options.pop("port"),
            options.pop("client_id", "charger-test-c1"),
            on_connect=self.on_connect,
            on_disconnect=lambda: tell("disconnected"),
            on_message=self.on_message,
            on_ack=lambda packet_id: tell("ack", id=packet_id),
            on_skipped=lambda topic, size: tell("oversized", topic=topic, size=size),
            on_problem=lambda kind, detail: tell("problem", kind=kind, detail=detail),
            beat=self.beat,
            **options,
        )

    def beat(self):
        self.beats += 1

    def on_connect(self):
        self.connects += 1
        for topic in self.topics:
            self.mqtt.subscribe(topic)
        self.settling = True
        tell("connected")

    def on_message(self, topic, payload):
        payload = bytes(payload)
        self.received += 1
        if topic == self.fail_on:
            raise RuntimeError("the handler failed")
        if topic == self.answer_on:
            taken = self.mqtt.publish("tapgate/home/c1/event", "answer " + text(payload), qos=1)
            tell("published", taken=taken)
            self.mqtt.subscribe("tapgate/home/object/" + text(payload))
        if not self.quiet or payload == b"end":
            tell("message", topic=topic, payload=text(payload))

    def do(self, order):
        what = order.pop("do")
        if what == "publish":
            payload = order.get("payload", "x" * order.get("size", 0))
            taken = self.mqtt.publish(
                order["topic"], payload, order.get("retain", False), order.get("qos", 0)
            )
            tell("published", taken=taken)
        elif what == "subscribe":
            tell("subscribed", taken=self.mqtt.subscribe(order["topic"]))
        elif what == "unsubscribe":
            tell("unsubscribed", taken=self.mqtt.unsubscribe(order["topic"]))
        elif what == "shout":
            self.shouting = order["size"]
        elif what == "starve":
            self.starve()
        elif what == "names":
            names_lead_to(order["addresses"])
        elif what == "network":
            self.network.up = order["up"]
        elif what == "facts":
            gc.collect()
            tell(
                "facts",
                connected=self.mqtt.connected,
                received=self.received,
                connects=self.connects,
                beats=self.beats,
                heap=gc.mem_alloc(),
                slices=BoardStream.slices,
                **self.heartbeat.facts(),
            )
            self.heartbeat.clear()
            self.beats = 0
        elif what == "close":
            self.mqtt.close()

    def starve(self):
        """The next message finds no memory."""
        inbox = self.mqtt._inbox

        def read(count):
            inbox.read = reading
            raise MemoryError("no memory for it")

        reading = inbox.read
        inbox.read = read

    async def obey(self):
        poll = select.poll()
        poll.register(sys.stdin, select.POLLIN)
        while True:
            while poll.poll(0):
                line = sys.stdin.readline()
                if not line:
                    return
                self.do(json.loads(line))
            await asyncio.sleep_ms(20)

    async def run(self):
        beating = asyncio.create_task(self.heartbeat.run())
        obeying = asyncio.create_task(self.obey())
        link = asyncio.create_task(self.mqtt.run())
        while not (obeying.done() or link.done()):
            if self.settling and not self.mqtt._waiting:
                self.settling = False
                tell("ready")  # every subscription is acknowledged
            while self.shouting and self.mqtt.publish("shout", "x" * self.shouting) is not None:
                pass  # until the link takes no more
            await asyncio.sleep_ms(20 if not self.shouting else 1)
        beating.cancel()
        tell("ended", by_link=link.done())


if __name__ == "__main__":
    asyncio.run(Client(json.loads(sys.stdin.readline())).run())
