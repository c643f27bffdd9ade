"""What a broker sends, cut anywhere: framing finds exactly the packets that are in it.

Held against a second reading of the standard (mqtt_streams.py). The whole link, with umqtt as its
codec, is given streams under MicroPython: it follows what is right, and drops the connection at the
first byte that is not.
"""

import json
import subprocess
from itertools import cycle

from hypothesis import strategies as st

from firmware.link.framing import (
    NOTHING,
    OBJECT_LIMIT,
    OVERSIZED,
    PACKET,
    PUBLISH,
    TOPIC_LIMIT,
    FrameError,
    Inbox,
)
from host_tests.fuzz.inputs import PIECES
from host_tests.fuzz.mqtt_streams import (
    CONNACK,
    OBJECTS,
    PINGRESP,
    PUBACK,
    STREAMS,
    SUBACK,
    UNSUBACK,
    WELCOMED,
    Found,
    packet,
    understood,
)
from host_tests.fuzz.trying import TIMES, corpus, fuzz, tried
from host_tests.link.running import ROOT, environment

# The largest packet that is held: header, topic, identifier and payload with their lengths.
HELD_BYTES = 5 + 2 + TOPIC_LIMIT + 2 + OBJECT_LIMIT
AT_ONCE = 40


def seen(inbox: Inbox, stream: bytes, sizes: list[int]) -> tuple[list[Found], str]:
    """What the inbox makes of the stream, in the words of `understood`."""
    found: list[Found] = []
    position = taken = 0
    least = len(stream) // 1_000  # a long one need not come byte by byte
    for size in cycle(max(size, least) for size in sizes):
        if position == len(stream):
            return found, "cut" if taken else "whole"
        want = inbox.want()
        assert isinstance(want.obj, bytearray) and len(want.obj) <= HELD_BYTES
        count = min(len(want), size, len(stream) - position)
        assert count > 0
        want[:count] = stream[position : position + count]
        position += count
        taken += count
        try:
            outcome = inbox.got(count)
            assert inbox.taken == taken
            if outcome == NOTHING:
                continue
            # Not a byte more than the packet: the next one is still all in the stream.
            found.append(one(inbox, outcome, stream[position - taken : position]))
        except FrameError:
            return found, "broken"
        inbox.next()
        taken = 0
    raise AssertionError


def one(inbox: Inbox, outcome: int, raw: bytes) -> Found:
    assert outcome in (PACKET, OVERSIZED)
    topic, payload = None, b""
    if inbox.kind == PUBLISH:
        topic = inbox.topic()
        payload = raw[len(raw) - inbox.payload_size :] if inbox.payload_size else b""
    if outcome == PACKET:
        assert inbox.read(len(raw)) == raw
        assert inbox.read(1) is None
    return Found(
        inbox.kind,
        len(raw),
        inbox.packet_id,
        inbox.code,
        topic,
        payload,
        inbox.qos,
        outcome == OVERSIZED,
    )


@fuzz("MQTT framing", 250, STREAMS, PIECES, st.sampled_from((OBJECTS, "")))
def test_a_stream_is_its_packets_however_it_is_cut(
    stream: bytes, sizes: list[int], objects: str
) -> None:
    expected, end = understood(stream, objects)
    inbox = Inbox(objects=objects)
    found, found_end = seen(inbox, stream, sizes)
    assert found == expected
    # A packet that is not all there may have shown already that it is none; never in one way of
    # cutting and not in another.
    assert found_end == end or (end == "cut" and found_end == "broken")
    assert seen(Inbox(objects=objects), stream, [1 << 20])[1] == found_end
    # The link drops the connection; the next one starts from nothing.
    inbox.next()
    good = packet(CONNACK, b"\0\0") + packet(PINGRESP)
    assert seen(inbox, good, sizes) == understood(good, objects)


# --- the whole link -------------------------------------------------------------------------------


def expected_of(stream: bytes) -> tuple[list, set[str], bytes]:
    """What the link is to report, how it may end, and what it acknowledges. It has subscribed
    (1), published (2) and unsubscribed (3) when it was welcomed."""
    packets, end = understood(stream)
    awaited = {1: SUBACK, 2: PUBACK, 3: UNSUBACK}
    said: list = []
    acknowledged = b""
    connected = strayed = False
    for each in packets:
        if not connected:
            if each.kind != CONNACK:
                return said, {"protocol"}, acknowledged
            if each.code:
                return said, {"refused"}, acknowledged
            connected = True
        elif each.kind == CONNACK:
            return said, {"protocol"}, acknowledged
        elif each.kind == PUBLISH:
            if each.oversized:
                said.append(["skipped", each.topic, len(each.payload)])
            else:
                said.append(["message", each.topic, each.payload.hex()])
            if each.qos:
                acknowledged += packet(PUBACK, each.packet_id.to_bytes(2, "big"))
        elif each.kind != PINGRESP:
            if awaited.get(each.packet_id) != each.kind:
                said += [] if strayed else [["problem", "protocol"]]
                strayed = True
                continue
            del awaited[each.packet_id]
            if each.kind == PUBACK:
                said.append(["acknowledged", each.packet_id])
            elif each.kind == SUBACK and each.code == 0x80:
                said.append(["problem", "subscribe"])
    ends = {"whole": {"closed"}, "broken": {"protocol"}, "cut": {"closed", "protocol"}}
    return said, ends[end], acknowledged


def test_the_link_follows_what_is_right_and_drops_what_is_not(micropython: str) -> None:
    inputs = corpus(AT_ONCE * 2, st.tuples(st.one_of(WELCOMED, WELCOMED, STREAMS), PIECES))
    lines = "".join(
        json.dumps(
            {"stream": stream.hex(), "sizes": [max(each, len(stream) // 500) for each in sizes]}
        )
        + "\n"
        for stream, sizes in inputs
    )
    run = subprocess.run(
        [micropython, "-X", "heapsize=4m", "host_tests/fuzz/programs/link_streams.py"],
        cwd=ROOT,
        env=environment(),
        input=lines,
        capture_output=True,
        text=True,
        timeout=60 * TIMES,
    )
    answers = run.stdout.splitlines()
    assert run.returncode == 0 and len(answers) == len(inputs), run.stdout[-2_000:] + run.stderr
    for (stream, _), answer in zip(inputs, answers, strict=True):
        tried["MQTT link"] += 1
        found = json.loads(answer)
        said, ends, acknowledged = expected_of(stream)
        assert found["end"] in ends, (stream.hex(), found)
        assert found["said"] == said, (stream.hex(), found)
        if found["end"] == "closed":
            assert bytes.fromhex(found["sent"]) == acknowledged, stream.hex()
        else:
            assert acknowledged.startswith(bytes.fromhex(found["sent"])), stream.hex()
