"""Streams of bytes from a broker, good and bad, and what MQTT 3.1.1 and our limits make of them:
read once more here, from the standard alone."""

from typing import NamedTuple

from hypothesis import strategies as st

from firmware.link.framing import OBJECT_LIMIT, PAYLOAD_LIMIT, TOPIC_LIMIT
from host_tests.fuzz.inputs import damaged

OBJECTS = "tapgate/home/object/"

CONNACK, PUBLISH, PUBACK, SUBACK, UNSUBACK, PINGRESP = 0x20, 0x30, 0x40, 0x90, 0xB0, 0xD0
_SIZES = {CONNACK: 2, PUBACK: 2, SUBACK: 3, UNSUBACK: 2, PINGRESP: 0}


class Found(NamedTuple):
    """One packet. `topic` None: too long to be held."""

    kind: int
    length: int  # of the whole packet
    packet_id: int = 0
    code: int = 0
    topic: str | None = None
    payload: bytes = b""
    qos: int = 0
    oversized: bool = False


def understood(stream: bytes, objects: str = OBJECTS) -> tuple[list[Found], str]:
    """The packets, and how the stream ends: "whole", "broken", or "cut" in the middle of one."""
    found: list[Found] = []
    at = 0
    while at < len(stream):
        one = _one(stream[at:], objects)
        if isinstance(one, str):
            return found, one
        found.append(one)
        at += one.length
    return found, "whole"


def _one(stream: bytes, objects: str) -> Found | str:
    first, size, digits = stream[0], 0, 0
    while True:
        if len(stream) <= 1 + digits:
            return "cut"
        byte = stream[1 + digits]
        size |= (byte & 0x7F) << (7 * digits)
        digits += 1
        if byte < 0x80:
            break
        if digits == 4:
            return "broken"
    qos = first >> 1 & 3
    if first >> 4 == 3:
        if qos > 1 or size < 3 + 2 * qos:
            return "broken"
    elif _SIZES.get(first) != size:
        return "broken"
    length = 1 + digits + size
    body = stream[1 + digits : length]
    if len(body) < size:
        return "cut"
    if first >> 4 == 3:
        return _publish(body, qos, length, objects)
    if first == CONNACK:
        return Found(first, length, code=body[1])
    if first == PINGRESP:
        return Found(first, length)
    code = body[2] if first == SUBACK else 0
    if code not in (0, 1, 2, 0x80):
        return "broken"
    return Found(first, length, int.from_bytes(body[:2], "big"), code)


def _publish(body: bytes, qos: int, length: int, objects: str) -> Found | str:
    end = 2 + int.from_bytes(body[:2], "big")
    topic, rest = body[2:end], body[end:]
    if not topic or len(body) < end + 2 * qos:
        return "broken"
    packet_id = int.from_bytes(rest[: 2 * qos], "big")
    payload = rest[2 * qos :]
    if qos and not packet_id:
        return "broken"
    limit = OBJECT_LIMIT if objects and topic.startswith(objects.encode()) else PAYLOAD_LIMIT
    name = None
    if len(topic) <= TOPIC_LIMIT:
        try:
            name = topic.decode()
        except UnicodeDecodeError:
            return "broken"
    oversized = name is None or len(payload) > limit
    return Found(PUBLISH, length, packet_id, 0, name, payload, qos, oversized)


# --- making them ----------------------------------------------------------------------------------


def length(size: int) -> bytes:
    """MQTT 2.2.3."""
    digits = bytearray()
    while True:
        digits.append(size & 0x7F | (0x80 if size > 0x7F else 0))
        size >>= 7
        if not size:
            return bytes(digits)


def packet(first: int, body: bytes = b"") -> bytes:
    return bytes([first]) + length(len(body)) + body


def publish(topic: bytes, payload: bytes, qos: int, packet_id: int, flags: int) -> bytes:
    body = len(topic).to_bytes(2, "big") + topic
    body += packet_id.to_bytes(2, "big") * qos + payload
    return packet(PUBLISH | flags | qos << 1, body)


_IDS = st.one_of(st.integers(0, 4), st.sampled_from((0xFF, 0x100, 0xFFFF)))
_TOPICS = st.one_of(
    st.sampled_from(
        (b"tapgate/home/left/settings", OBJECTS.encode() + b"00ff", OBJECTS.encode(), b"t")
    ),
    st.text(min_size=1, max_size=8).map(str.encode),
    st.binary(max_size=6),
    st.sampled_from((TOPIC_LIMIT - 1, TOPIC_LIMIT, TOPIC_LIMIT + 1, 300)).map(lambda n: b"t" * n),
    st.sampled_from((OBJECTS.encode() + b"0" * 120, b"u" * 20_000)),
)
_PAYLOADS = st.one_of(
    st.binary(max_size=20),
    st.binary(max_size=20),
    st.sampled_from((100, 127, 128, PAYLOAD_LIMIT, PAYLOAD_LIMIT + 1)).map(bytes),
    st.sampled_from((OBJECT_LIMIT, OBJECT_LIMIT + 1, 16_400)).map(bytes),
)
_PUBLISHED = st.builds(
    publish, _TOPICS, _PAYLOADS, st.sampled_from((1, 0, 1)), _IDS, st.sampled_from((0, 1, 8, 9))
)
_ID_BYTES = _IDS.map(lambda n: n.to_bytes(2, "big"))
_ANSWERS = st.one_of(
    _ID_BYTES.map(lambda body: packet(PUBACK, body)),
    _ID_BYTES.map(lambda body: packet(UNSUBACK, body)),
    st.builds(
        lambda body, code: packet(SUBACK, body + bytes([code])),
        _ID_BYTES,
        st.sampled_from((0, 1, 2, 3, 0x7F, 0x80, 0x80)),
    ),
    st.just(packet(PINGRESP)),
    st.sampled_from((0, 5, 255)).map(lambda code: packet(CONNACK, bytes([0, code]))),
)
_BAD = st.one_of(
    st.binary(max_size=8),
    st.builds(packet, st.integers(0, 255), st.binary(max_size=8)),
    st.builds(
        lambda first, size, body: bytes([first]) + length(size) + body,
        st.sampled_from((0x30, 0x32, 0x20, 0x90)),
        st.sampled_from((0, 1, 127, 128, 8_192, 1 << 21, (1 << 28) - 1)),
        st.binary(max_size=8),
    ),
    st.binary(max_size=2).map(lambda end: b"\x30\xff\xff\xff\xff" + end),
)
_PACKETS = st.one_of(
    _PUBLISHED, _ANSWERS, _PUBLISHED, _ANSWERS, _PUBLISHED, damaged(_PUBLISHED), _BAD
)
STREAMS = st.lists(_PACKETS, min_size=2, max_size=7).map(b"".join)
WELCOMED = STREAMS.map(lambda stream: packet(CONNACK, b"\0\0") + stream)
