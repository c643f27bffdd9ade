"""MQTT packets to and from a stream of bytes, with no input or output of their own.

`Inbox` cuts what comes in into packets and checks each before anything else reads it; it never
takes a byte more than the packet at hand needs, and lets what is too large pass by unheld.
`Outbox` holds what is to go out. Both are made once and bounded; only what is larger than a shard
has the inbox ask for memory, until it was read. MQTT means OASIS MQTT 3.1.1.
"""

from micropython import const

PAYLOAD_LIMIT = const(8_192)  # DESIGN section 7
OBJECT_LIMIT = const(8_204)  # an index of 2^9 digests (DESIGN section 6), the largest object
TOPIC_LIMIT = const(128)  # ours are at most 83 bytes

CONNACK = const(0x20)
PUBLISH = const(0x30)
PUBACK = const(0x40)
SUBACK = const(0x90)
UNSUBACK = const(0xB0)
PINGRESP = const(0xD0)

# What `Inbox.got` answers
NOTHING = const(0)
PACKET = const(1)
OVERSIZED = const(2)

# Room that is always there: for a shard, and for an index of 2^8 digests (50,000 cards).
_KEPT_BYTES = const(4_352)
_QOS_BITS = const(0x06)
_HEADER_MOST = const(5)  # MQTT 2.2: one byte of type and flags, one to four of length
_SUBACK_FAILURE = const(0x80)

# The packets a broker sends us that have one size (MQTT 3.2, 3.4, 3.9 for one topic, 3.11, 3.13).
_SIZES = {CONNACK: 2, PUBACK: 2, SUBACK: 3, UNSUBACK: 2, PINGRESP: 0}

# Where in a packet the inbox is
_LENGTH = const(0)
_WHOLE = const(1)
_TOPIC_SIZE = const(2)
_PACKET_ID = const(3)
_REST = const(4)
_END = const(5)


class FrameError(ValueError):
    """What came in is no MQTT, or nothing that a broker may send us."""


class Inbox:
    """Fill `want()`, tell `got(n)`; at PACKET or OVERSIZED look at it, then `next()`. OVERSIZED is
    also what there is no memory for.

    first: type and flags; kind: type alone; size: bytes after the fixed header. For PUBLISH also
    qos, packet_id (0 for QoS 0), payload_size. CONNACK, PUBACK, SUBACK, UNSUBACK: `packet_id`
    and `code` where they have one.

    `objects`: topics that begin so may bring up to `OBJECT_LIMIT` bytes. "": none may.
    """

    def __init__(
        self,
        payload_limit: int = PAYLOAD_LIMIT,
        topic_limit: int = TOPIC_LIMIT,
        objects: str = "",
    ):
        self._payload_limit = payload_limit
        self._topic_limit = topic_limit
        self._objects = objects.encode()
        self._held = 2 + topic_limit + 2 + (OBJECT_LIMIT if objects else payload_limit)
        self._kept = memoryview(bytearray(min(_HEADER_MOST + self._held, _KEPT_BYTES)))
        self._first_two = self._kept[:2]  # no allocation while nothing comes in
        self.next()

    def next(self) -> None:
        """Forget the packet at hand."""
        self._view = self._kept
        self._have = 0  # bytes in the buffer that belong to this packet
        self._goal = 2  # how many of them the next decision needs
        self._skip = 0  # bytes to let pass before it
        self._step = _LENGTH
        self._body = 0
        self._read = 0
        self.taken = 0  # bytes of this packet so far, held or not
        self.first = self.kind = self.size = 0
        self.qos = self.packet_id = self.code = self.payload_size = 0
        self._topic_size = 0

    def want(self) -> memoryview:
        """Where the next bytes go: at least one, and none that belongs to another packet."""
        if self._skip:
            room = len(self._view) - self._have
            return self._view[self._have : self._have + min(self._skip, room)]
        if self._have == 0:
            return self._first_two
        return self._view[self._have : self._goal]

    def got(self, count: int) -> int:
        """`count` bytes were put into `want()`: NOTHING, PACKET or OVERSIZED. FrameError."""
        self.taken += count
        if self._skip:
            self._skip -= count
        else:
            self._have += count
        while not self._skip and self._have >= self._goal:
            outcome = self._advance()
            if outcome:
                return outcome
        return NOTHING

    def topic(self) -> str | None:
        """The topic of a PUBLISH; None where it was too long to be held. FrameError."""
        if self._topic_size > self._topic_limit:
            return None
        start = self._body + 2
        try:
            return str(self._view[start : start + self._topic_size], "utf-8")
        except UnicodeError:
            raise FrameError("a topic that is no UTF-8") from None

    def read(self, count: int) -> bytes | memoryview | None:
        """The next `count` bytes of the packet as it came, from its first on; None past its end.

        What comes last, a payload, is not copied: it is there until `next`.
        """
        start = self._read
        self._read = end = start + count
        left = self._body + self.size - end
        if left < 0:
            self._read = start
            return None
        piece = self._view[start:end]
        return piece if not left else bytes(piece)

    def _advance(self) -> int:
        step = self._step
        if step == _LENGTH:
            return self._take_length()
        if step == _WHOLE:
            return self._check()
        if step == _TOPIC_SIZE:
            self._take_topic_size()
            self._step = _PACKET_ID
            if self._topic_size <= self._topic_limit:
                self._goal += self._topic_size
            else:
                self._skip = self._topic_size
        elif step == _PACKET_ID:
            self._step = _REST
            if self.qos:
                self._goal = self._have + 2
        elif step == _REST:
            self._step = _END
            self._take_packet_id()
            self._skip = self.payload_size
        else:
            return OVERSIZED
        return NOTHING

    def _take_length(self) -> int:
        buffer, have = self._view, self._have
        if buffer[have - 1] & 0x80:
            if have == _HEADER_MOST:
                raise FrameError("a length of more than four bytes")
            self._goal += 1
            return NOTHING
        self.first = first = buffer[0]
        self._body = have
        size = 0
        for i in range(have - 1, 0, -1):
            size = size << 7 | buffer[i] & 0x7F
        self.size = size
        if first & 0xF0 == PUBLISH:
            self.kind = PUBLISH
            self.qos = (first & _QOS_BITS) >> 1
            if self.qos > 1:
                raise FrameError(f"PUBLISH with QoS {self.qos}")
            if size < 3 + 2 * self.qos:
                raise FrameError(f"PUBLISH of {size} bytes")
        else:
            self.kind = first
            if _SIZES.get(first) != size:
                raise FrameError(f"packet {first:02x} of {size} bytes")
        if size <= self._held and self._has_room(have + size):
            self._step = _WHOLE
            self._goal = have + size
        else:
            self._step = _TOPIC_SIZE
            self._goal = have + 2
        return NOTHING

    def _has_room(self, size: int) -> bool:
        """Whether there is, or can be, room for a packet of `size` bytes in all."""
        if size > len(self._view):
            try:
                larger = bytearray(size)
                larger[: self._have] = self._view[: self._have]
                self._view = memoryview(larger)
            except MemoryError:
                return False
        return True

    def _check(self) -> int:
        buffer, body = self._view, self._body
        if self.kind == PUBLISH:
            self._take_topic_size()
            self._have = body + 2 + self._topic_size + 2 * self.qos
            self._take_packet_id()
            if self._topic_size > self._topic_limit or self.payload_size > self._limit():
                return OVERSIZED
        elif self.kind == CONNACK:
            self.code = buffer[body + 1]
        elif self.kind != PINGRESP:
            self.packet_id = buffer[body] << 8 | buffer[body + 1]
            if self.kind == SUBACK:
                self.code = buffer[body + 2]
                if self.code > 2 and self.code != _SUBACK_FAILURE:
                    raise FrameError(f"SUBACK with code {self.code}")
        return PACKET

    def _limit(self) -> int:
        """How large a payload its topic may bring."""
        objects, start = self._objects, self._body + 2
        if objects and self._view[start : start + len(objects)] == objects:
            return OBJECT_LIMIT
        return self._payload_limit

    def _take_topic_size(self) -> None:
        body = self._body
        size = self._view[body] << 8 | self._view[body + 1]
        payload_size = self.size - 2 - size - 2 * self.qos
        if size == 0 or payload_size < 0:
            raise FrameError(f"a topic of {size} bytes in a PUBLISH of {self.size}")
        self._topic_size = size
        self.payload_size = payload_size

    def _take_packet_id(self) -> None:
        if self.qos:
            end = self._have
            self.packet_id = self._view[end - 2] << 8 | self._view[end - 1]
            if not self.packet_id:
                raise FrameError("PUBLISH with packet identifier 0")


class Outbox:
    """Bytes that wait to be sent, in order. `end`: where the next ones go, for `rewind`."""

    def __init__(self, limit: int):
        self._buffer = bytearray(limit)
        self._view = memoryview(self._buffer)
        self.clear()

    def clear(self) -> None:
        self._start = self.end = 0

    def __len__(self) -> int:
        return self.end - self._start

    @property
    def room(self) -> int:
        """How many bytes still fit."""
        return len(self._buffer) - len(self)

    def reserve(self) -> None:
        """Bring all room together at the end: a packet put there in pieces can be rewound."""
        if self._start:
            count = len(self)
            self._buffer[:count] = bytes(self._view[self._start : self.end])
            self._start, self.end = 0, count

    def put(self, data: bytes | bytearray | memoryview | str) -> None:
        """Add `data`. ValueError where there is no room for it."""
        if isinstance(data, str):
            data = data.encode()
        if len(data) > self.room:
            raise ValueError(f"{len(data)} bytes for an outbox with room for {self.room}")
        if self.end + len(data) > len(self._buffer):
            self.reserve()
        end = self.end + len(data)
        self._buffer[self.end : end] = data
        self.end = end

    def rewind(self, end: int) -> None:
        """Take back what was put after `end`, which was read after `reserve`."""
        self.end = end

    def pending(self, most: int) -> memoryview:
        """The first bytes to be sent, at most `most`."""
        return self._view[self._start : min(self.end, self._start + most)]

    def sent(self, count: int) -> None:
        """`count` bytes of `pending` are gone."""
        self._start += count
        if self._start == self.end:
            self.clear()
