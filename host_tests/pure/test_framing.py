"""MQTT packets cut out of a stream, whatever its pieces; and everything that is none."""

from firmware.link import framing
from firmware.link.framing import (
    NOTHING,
    OBJECT_LIMIT,
    OVERSIZED,
    PACKET,
    PAYLOAD_LIMIT,
    TOPIC_LIMIT,
    FrameError,
    Inbox,
    Outbox,
)
from host_tests.pure.check import raises


def length(n):
    out = bytearray()
    while True:
        out.append(n & 0x7F | (0x80 if n > 0x7F else 0))
        n >>= 7
        if not n:
            return bytes(out)


def packet(first, body=b""):
    return bytes([first]) + length(len(body)) + body


def publish(topic, payload, packet_id=None, flags=0):
    body = len(topic).to_bytes(2, "big") + topic
    if packet_id is not None:
        flags |= 2
        body += packet_id.to_bytes(2, "big")
    return packet(0x30 | flags, body + payload)


def feed(inbox, stream, at_once=1 << 30):
    """What the inbox makes of `stream`, taken at most `at_once` bytes at a time."""
    found = []
    position = 0
    while position < len(stream):
        want = inbox.want()
        count = min(len(want), at_once, len(stream) - position)
        assert count > 0
        want[:count] = stream[position : position + count]
        position += count
        outcome = inbox.got(count)
        if outcome == PACKET:
            start = position - inbox.taken
            assert inbox.read(inbox.taken) == stream[start:position]
            assert inbox.read(1) is None
            name = inbox.topic() if inbox.kind == 0x30 else None
            found.append((inbox.kind, name, inbox.packet_id, inbox.code, inbox.payload_size))
            inbox.next()
        elif outcome == OVERSIZED:
            found.append(("oversized", inbox.topic(), inbox.packet_id, inbox.payload_size))
            inbox.next()
    return found


def refused(stream):
    return str(raises(FrameError, feed, Inbox(), stream))


STREAM = (
    packet(0x20, b"\x00\x05")
    + packet(0xD0)
    + publish("état".encode(), b"")
    + packet(0x40, b"\x01\x02")
    + publish(b"a", b"x" * PAYLOAD_LIMIT, 0xABCD)
    + packet(0x90, b"\x00\x07\x80")
    + publish(b"t" * TOPIC_LIMIT, b"y" * (PAYLOAD_LIMIT + 1), 3)
    + packet(0xB0, b"\x00\x08")
    + publish(b"b" * (TOPIC_LIMIT + 1), b"z", 9)
    + publish(b"b" * 20_000, b"z" * 7, 10)
    + publish(b"c" * 20_000, b"")
    + publish(b"e", b"z" * 9_000, 12, 0x09)
    + publish(b"d", b"end", 11, 0x09)
)
FOUND = [
    (0x20, None, 0, 5, 0),
    (0xD0, None, 0, 0, 0),
    (0x30, "état", 0, 0, 0),
    (0x40, None, 0x0102, 0, 0),
    (0x30, "a", 0xABCD, 0, PAYLOAD_LIMIT),
    (0x90, None, 7, 0x80, 0),
    ("oversized", "t" * TOPIC_LIMIT, 3, PAYLOAD_LIMIT + 1),
    (0xB0, None, 8, 0, 0),
    ("oversized", None, 9, 1),
    ("oversized", None, 10, 7),
    ("oversized", None, 0, 0),
    ("oversized", "e", 12, 9_000),
    (0x30, "d", 11, 0, 3),
]


def test_packets_are_found_whatever_the_pieces():
    for at_once in (1, 2, 3, 7, 100, 4096, 1 << 30):
        assert feed(Inbox(), STREAM, at_once) == FOUND, at_once


def test_objects_may_be_as_large_as_an_index_of_512_digests_and_nothing_else_may():
    objects = "tapgate/home/object/"
    for topic, size, fits in (
        (b"tapgate/home/object/00ff", OBJECT_LIMIT, True),
        (b"tapgate/home/object/00ff", OBJECT_LIMIT + 1, False),
        (b"tapgate/home/c1/allowlist", PAYLOAD_LIMIT, True),
        (b"tapgate/home/c1/allowlist", PAYLOAD_LIMIT + 1, False),
        (b"tapgate/home/objec", OBJECT_LIMIT, False),
        (b"o" * (TOPIC_LIMIT + 1), 9, False),
    ):
        for packet_id in (None, 7):
            stream = publish(topic, b"x" * size, packet_id) + packet(0xD0)
            for at_once in (100, 1 << 30):
                found = feed(Inbox(objects=objects), stream, at_once)
                assert (found[0][0] == 0x30) is fits, (topic, size)
                assert found[0][-1] == size and found[1][0] == 0xD0
    assert OBJECT_LIMIT == 12 + 16 * 512


def test_what_there_is_no_memory_for_passes_by_and_the_next_packet_is_read():
    def none(size):
        raise MemoryError(size)

    inbox = Inbox()
    large = publish(b"a", b"x" * PAYLOAD_LIMIT)
    framing.bytearray = none
    try:
        found = feed(inbox, large + publish(b"b", b"small"), 1_000)
        assert [each[-1] for each in found] == [PAYLOAD_LIMIT, 5]
        assert found[0][0] != 0x30 and found[1][0] == 0x30
    finally:
        del framing.bytearray
    assert feed(inbox, large, 1_000)[0][0] == 0x30
    assert len(inbox._view) < 5_000  # given back


def test_a_payload_is_not_copied():
    inbox = Inbox()
    stream = publish(b"a", b"xyz", 5)
    want = inbox.want()
    want[:] = stream[:2]
    assert inbox.got(2) == NOTHING
    want = inbox.want()
    want[:] = stream[2:]
    assert inbox.got(len(want)) == PACKET
    assert inbox.read(len(stream) - 3) == stream[:-3]
    payload = inbox.read(3)
    assert payload == b"xyz" and inbox.read(1) is None
    inbox._view[len(stream) - 1] = 0x21
    assert payload == b"xy!"


def test_no_byte_of_the_next_packet_is_taken():
    inbox = Inbox()
    for piece in (b"\x40\x02", b"\x00\x01"):
        want = inbox.want()
        assert len(want) == 2
        want[:] = piece
        outcome = inbox.got(2)
    assert outcome == PACKET


def test_a_packet_of_256_megabytes_passes_by_unheld():
    inbox = Inbox()
    size = 0x0FFFFFFF
    header = bytes([0x32]) + length(size) + b"\x00\x01a\x00\x05"
    for byte in header:
        inbox.want()[0] = byte
        assert inbox.got(1) == NOTHING
    left = size - 5
    while True:
        want = inbox.want()
        assert 0 < len(want) <= PAYLOAD_LIMIT + TOPIC_LIMIT + 16
        left -= len(want)
        outcome = inbox.got(len(want))
        if outcome:
            break
        if left > 100_000_000:  # the middle looks all the same
            inbox._skip -= 100_000_000
            left -= 100_000_000
    assert outcome == OVERSIZED and left == 0
    assert (inbox.topic(), inbox.packet_id, inbox.payload_size) == ("a", 5, size - 5)


def test_what_no_broker_may_send_is_refused():
    assert refused(b"HTTP/1.1 400 Bad Request") == "packet 48 of 84 bytes"
    assert refused(packet(0x00)) == "packet 00 of 0 bytes"
    assert refused(packet(0x10, b"\x00\x04MQTT\x04\x02\x00\x3c\x00\x01a")).startswith("packet 10")
    assert refused(packet(0x82, b"\x00\x01\x00\x01a\x00")).startswith("packet 82")
    assert refused(packet(0x21, b"\x00\x00")) == "packet 21 of 2 bytes"
    assert refused(packet(0xE0)) == "packet e0 of 0 bytes"
    assert refused(packet(0x62, b"\x00\x01")) == "packet 62 of 2 bytes"
    assert refused(publish(b"a", b"x", 1, 0x04)) == "PUBLISH with QoS 3"
    assert refused(packet(0x34, b"\x00\x01a\x00\x01x")) == "PUBLISH with QoS 2"


def test_wrong_lengths_are_refused():
    assert refused(b"\x30\xff\xff\xff\xff\x7f") == "a length of more than four bytes"
    assert refused(packet(0x40, b"\x01")) == "packet 40 of 1 bytes"
    assert refused(packet(0x40, b"\x00\x01\x02")) == "packet 40 of 3 bytes"
    assert refused(packet(0x90, b"\x00\x01\x00\x00")) == "packet 90 of 4 bytes"
    assert refused(packet(0xD0, b"\x00")) == "packet d0 of 1 bytes"
    assert refused(packet(0x20, b"")) == "packet 20 of 0 bytes"
    assert refused(packet(0x30, b"\x00\x00")) == "PUBLISH of 2 bytes"
    assert refused(packet(0x32, b"\x00\x01a\x00")) == "PUBLISH of 4 bytes"
    assert refused(packet(0x30, b"\x00\x05abc")) == "a topic of 5 bytes in a PUBLISH of 5"
    assert refused(packet(0x30, b"\x00\x00abc")) == "a topic of 0 bytes in a PUBLISH of 5"
    assert refused(packet(0x32, b"\x00\x02ab\x00")).startswith("a topic of 2 bytes")
    assert refused(packet(0x30, b"\xff\xff" + b"a" * 9_000)).startswith("a topic of 65535")


def test_wrong_identifiers_codes_and_topics_are_refused():
    assert refused(publish(b"a", b"x", 0)) == "PUBLISH with packet identifier 0"
    assert refused(publish(b"a", b"x" * 9_000, 0)) == "PUBLISH with packet identifier 0"
    assert refused(packet(0x90, b"\x00\x01\x03")) == "SUBACK with code 3"
    assert refused(publish(b"a\xff", b"x")) == "a topic that is no UTF-8"


def test_every_single_byte_changed_is_a_packet_or_an_error_and_never_anything_else():
    for i in range(40):
        for change in (0x01, 0x06, 0x40, 0x80, 0xFF):
            stream = bytearray(STREAM[:40] + b"\x00" * 300)
            stream[i] ^= change
            try:
                feed(Inbox(), bytes(stream))
            except FrameError:
                pass  # one of the two


def test_an_outbox_gives_back_what_was_put_in_order():
    outbox = Outbox(10)
    outbox.put(b"abcd")
    outbox.put("ef")
    assert len(outbox) == 6 and outbox.room == 4
    assert bytes(outbox.pending(100)) == b"abcdef"
    assert bytes(outbox.pending(4)) == b"abcd"
    outbox.sent(3)
    assert bytes(outbox.pending(100)) == b"def" and outbox.room == 7
    outbox.reserve()
    outbox.put(b"1234567")
    assert bytes(outbox.pending(100)) == b"def1234567" and outbox.room == 0
    outbox.sent(10)
    assert len(outbox) == 0 and outbox.room == 10 and outbox.end == 0
    outbox.put(b"1234567890")
    outbox.sent(4)
    outbox.put(b"abcd")
    assert bytes(outbox.pending(100)) == b"567890abcd" and outbox.room == 0


def test_an_outbox_takes_no_more_than_fits_and_can_take_back():
    outbox = Outbox(4)
    outbox.put(b"ab")
    end = outbox.end
    outbox.put(b"c")
    raises(ValueError, outbox.put, b"de")
    outbox.rewind(end)
    assert bytes(outbox.pending(4)) == b"ab"
