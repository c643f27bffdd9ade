"""umqtt.simple driven without input or output, byte by byte. Prints a line per check.

The first line on standard input is a JSON object; `like`: "1.3.4" takes umqtt as it is installed,
"1.8" lets it use its socket as the version in the boards' firmware does.
"""

import json
import sys
import time

sys.path.insert(0, "")

from umqtt import simple

from firmware.link import codec as codec_module
from firmware.link import mqtt
from firmware.link.codec import Codec, CodecError
from firmware.link.framing import PACKET, PUBACK, Inbox, Outbox


class LaterClient(simple.MQTTClient):
    """How 1.8 treats its socket: the old one is closed, the new one gets a time-out."""

    def connect(self, clean_session=True, timeout=None):
        if self.sock:
            self.sock.close()
        sock = simple.socket.socket()
        sock.settimeout(timeout)
        return super().connect(clean_session)

    def wait_msg(self):
        super().wait_msg()
        return 0x30


def made(limit=1000, **options):
    """A codec, its outbox, and what it delivers."""
    outbox, delivered = Outbox(limit), []
    codec = Codec(
        outbox, lambda topic, payload: delivered.append((topic, payload)), "c1", **options
    )
    return codec, outbox, delivered


def written(outbox):
    data = bytes(outbox.pending(100_000))
    outbox.clear()
    return data


def check_connect_with_everything():
    codec, outbox, _ = made(
        user="ü", password="pä", keepalive_s=300, will_topic="a/ß", will_payload="{}"
    )
    assert codec.connect()
    assert written(outbox) == (
        b"\x10\x21\x00\x04MQTT\x04\xee\x01\x2c\x00\x02c1"
        b"\x00\x04a/\xc3\x9f\x00\x02{}\x00\x02\xc3\xbc\x00\x03p\xc3\xa4"
    )


def check_connect_with_nothing():
    codec, outbox, _ = made()
    assert codec.connect()
    assert codec.connect(), "a second time, for the next connection"
    one = b"\x10\x0e\x00\x04MQTT\x04\x02\x00\x00\x00\x02c1"
    assert written(outbox) == one * 2


def check_the_module_socket_is_lent_only_while_connecting():
    before = simple.socket
    codec, _, _ = made()
    codec.connect()
    assert simple.socket is before
    codec, _, _ = made(limit=10)
    assert not codec.connect()
    assert simple.socket is before


def check_publish():
    codec, outbox, _ = made()
    assert codec.publish("t", "x", False, 0, 1)
    assert codec.publish("t", b"\x00\xff", True, 0, 1)
    assert codec.publish("t", "x", True, 1, 1)
    assert codec.publish("t", "x", False, 1, 0xFFFF)
    assert codec.publish("t", "x", False, 1, 1)
    assert written(outbox) == (
        b"\x30\x04\x00\x01tx"
        b"\x31\x05\x00\x01t\x00\xff"
        b"\x33\x06\x00\x01t\x00\x01x"
        b"\x32\x06\x00\x01t\xff\xffx"
        b"\x32\x06\x00\x01t\x00\x01x"
    )


def check_lengths_count_bytes():
    codec, outbox, _ = made()
    assert codec.publish("ü" * 30, "€" * 40, False, 0, 1)
    assert written(outbox) == (b"\x30\xb6\x01\x00\x3c" + ("ü" * 30).encode() + ("€" * 40).encode())


def check_lengths_of_every_size():
    codec, outbox, _ = made(limit=20_000)
    for size in (0, 122, 123, 124, 125, 16_379, 16_380, 16_381):
        assert codec.publish("t", b"x" * size, False, 0, 1)
        inbox, data, position = Inbox(payload_limit=20_000), written(outbox), 0
        while True:
            want = inbox.want()
            want[:] = data[position : position + len(want)]
            position += len(want)
            if inbox.got(len(want)):
                break
        assert position == len(data) and inbox.payload_size == size


def check_what_does_not_fit_leaves_nothing_behind():
    codec, outbox, _ = made(limit=100)
    assert codec.publish("t", b"x" * 50, False, 0, 1)
    before = len(outbox)
    assert not codec.publish("t", b"x" * 50, False, 0, 1)
    assert not codec.publish("t", b"x" * 50, False, 1, 1)
    assert not codec.subscribe("t" * 60, 0, 1)
    assert len(outbox) == before
    assert codec.publish("t", b"x" * (100 - before - 5 - 4), False, 0, 1), "all but a PUBACK's room"
    assert not codec.ping()
    codec.acknowledge(0x1234)
    assert outbox.room == 0 and written(outbox)[-4:] == b"\x40\x02\x12\x34"


def check_subscribe_and_unsubscribe():
    codec, outbox, _ = made()
    assert codec.subscribe("a/b", 1, 0x0102)
    assert codec.unsubscribe("a/b", 0x0103)
    assert written(outbox) == (b"\x82\x08\x01\x02\x00\x03a/b\x01\xa2\x07\x01\x03\x00\x03a/b")
    assert codec.subscribe("ü" * 100, 0, 7)
    assert codec.unsubscribe("t" * 124, 8)
    assert written(outbox) == (
        b"\x82\xcd\x01\x00\x07\x00\xc8" + ("ü" * 100).encode() + b"\x00"
        b"\xa2\x80\x01\x00\x08\x00\x7c" + b"t" * 124
    )


def check_ping_and_disconnect():
    codec, outbox, _ = made()
    assert codec.ping() and codec.disconnect()
    assert written(outbox) == b"\xc0\x00\xe0\x00"


def filled(data):
    inbox, position = Inbox(), 0
    while True:
        want = inbox.want()
        want[:] = data[position : position + len(want)]
        position += len(want)
        if inbox.got(len(want)) == PACKET:
            return inbox


def check_deliveries():
    codec, outbox, delivered = made()
    codec.deliver(filled(b"\x31\x07\x00\x03a/bxy"))
    assert written(outbox) == b""
    codec.deliver(filled(b"\x32\x07\x00\x01a\x12\x34yz"))
    codec.deliver(filled(b"\x3a\x05\x00\x01a\x12\x35"))
    assert written(outbox) == b"\x40\x02\x12\x34\x40\x02\x12\x35"
    assert delivered == [(b"a/b", b"xy"), (b"a", b"yz"), (b"a", b"")]


def check_a_delivery_that_fails_is_not_acknowledged_and_leaves_no_trace():
    def fails(topic, payload):
        raise RuntimeError("no")

    outbox = Outbox(100)
    codec = Codec(outbox, fails, "c1")
    try:
        codec.deliver(filled(b"\x32\x07\x00\x01a\x12\x34yz"))
        raise AssertionError("it did not fail")
    except RuntimeError:
        pass  # as it should
    assert written(outbox) == b""
    assert codec.publish("t", "x", False, 1, 5)
    assert written(outbox) == b"\x32\x06\x00\x01t\x00\x05x"


def check_publishing_inside_a_delivery():
    outbox, codec = Outbox(100), None
    codec = Codec(outbox, lambda topic, payload: codec.publish("t", "x", False, 1, 9), "c1")
    codec.deliver(filled(b"\x32\x07\x00\x01a\x12\x34yz"))
    assert written(outbox) == b"\x32\x06\x00\x01t\x00\x09x\x40\x02\x12\x34"


def check_a_codec_that_miscounts_is_found_out():
    codec, outbox, _ = made()
    client = codec._client
    client.ping = lambda: client.sock.write(b"\xc0\x00\x00")
    try:
        codec.ping()
        raise AssertionError("it was not found out")
    except CodecError as error:
        assert str(error) == "a packet of 3 bytes, expected 2"
    assert written(outbox) == b""


def check_identifiers_wrap_and_skip_what_is_awaited():
    link = mqtt.Mqtt(None, "", 0, "c1")
    link._last_id = 0xFFFD
    link._waiting = {0xFFFF: (0, "", 0), 1: (0, "", 0), 2: (0, "", 0)}
    assert [link._free_id() for _ in range(3)] == [0xFFFE, 3, 4]
    link._waiting = dict.fromkeys(range(1, mqtt.WAITING_LIMIT + 1), (0, "", 0))
    assert link._free_id() == 0


def check_an_answer_is_missed_however_long_ago_a_message_was_skipped():
    link = mqtt.Mqtt(None, "", 0, "c1")
    link._skipped = now = 0
    period = time.ticks_add(0, -1) + 1  # of the ticks: twelve days on a board
    for _ in range(10):
        now = time.ticks_add(now, period // 16)
        link._look_at_answers(now)
    link._waiting[1] = (PUBACK, "t", now)
    link._look_at_answers(time.ticks_add(now, link.ANSWER_MS))
    try:
        link._look_at_answers(time.ticks_add(now, link.ANSWER_MS + 1))
        raise AssertionError("it was not missed")
    except mqtt.LinkError as error:
        assert str(error) == "timeout: no PUBACK 1 for t"


def check_a_link_on_which_nothing_is_said_is_looked_at_less_often():
    stream = Quiet()
    link = mqtt.Mqtt(stream, "", 0, "c1")
    pauses, now = [], [0]

    def turns(count):
        del pauses[:]
        while len(pauses) < count:
            serving.send(None)
        return pauses

    class Asyncio:
        async def sleep_ms(ms):
            pauses.append(ms)
            now[0] += ms
            await Once()

    class Clock:
        ticks_diff = time.ticks_diff

        def ticks_ms():
            return now[0]

    kept = mqtt.asyncio, mqtt.time
    mqtt.asyncio, mqtt.time = Asyncio, Clock
    try:
        serving = link._serve(stream)
        assert turns(25) == [10] * 25
        assert stream.taken and turns(3) == [30] * 3
        link.connected = True
        assert link.publish("t", b"something to say", qos=0) == 0
        assert turns(26) == [10] * 25 + [30]
        link._heard = now[0]
        assert turns(3)[1:] == [10, 10]
    finally:
        mqtt.asyncio, mqtt.time = kept


class Quiet:
    """A network and a stream that takes everything, and out of which nothing comes."""

    up = True
    held_back = False
    taken = 0

    def turn(self):
        pass

    def read(self, view):
        return None

    def write(self, view):
        self.taken += len(view)
        return len(view)


class Once:
    def __iter__(self):
        yield

    __await__ = __iter__


def main(like):
    if like == "1.8":
        codec_module.simple.MQTTClient = LaterClient
    for name, check in sorted(globals().items()):
        if name.startswith("check_"):
            check()
            print(json.dumps({"what": "passed", "name": name}))
    print(json.dumps({"what": "finished"}))


main(**json.loads(sys.stdin.readline()))
