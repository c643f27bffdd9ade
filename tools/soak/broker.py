"""A broker that answers at once, on the board's clock: what of MQTT 3.1.1 a charger needs of one.

Where messages wait for nobody there is nothing to wait for in a week that passes in minutes. Real
brokers, and what they do to a link, are the matter of other tests.
"""

from __future__ import annotations

from collections.abc import Callable

CONNECT, PUBLISH, PUBACK, SUBSCRIBE, UNSUBSCRIBE, PINGREQ, DISCONNECT = 1, 3, 4, 8, 10, 12, 14


class Broker:
    """`retained`: by topic. `on_publish(topic, payload)`: something has come from a charger."""

    def __init__(self, on_publish: Callable[[str, bytes], None]):
        self.retained: dict[str, bytes] = {}
        self.on_publish = on_publish
        self.session: Session | None = None

    def publish(self, topic: str, payload: bytes, retain: bool = True) -> None:
        if retain and payload:
            self.retained[topic] = payload
        elif retain:
            self.retained.pop(topic, None)
        if self.session and topic in self.session.topics and payload:
            self.session.send(topic, payload, False)


class Session:
    """One connection. `out`: what it has to tell the charger."""

    def __init__(self, broker: Broker):
        self._broker = broker
        broker.session = self
        self.topics: dict[str, int] = {}
        self.out = bytearray()
        self._in = bytearray()
        self._last_id = 0
        self.pings_only = True  # in what came last

    def take(self, data: bytes) -> None:
        self._in += data
        self.pings_only = True
        while (packet := self._packet()) is not None:
            self.pings_only = self.pings_only and packet[0] >> 4 == PINGREQ
            self._answer(*packet)

    def send(self, topic: str, payload: bytes, retained: bool) -> None:
        qos = self.topics[topic]
        body = _text(topic)
        if qos:
            self._last_id = self._last_id % 0xFFFF + 1
            body += self._last_id.to_bytes(2, "big")
        self._put(PUBLISH << 4 | qos << 1 | retained, body + payload)

    def _packet(self) -> tuple[int, bytes] | None:
        size = place = 0
        for place in range(1, 5):
            if place >= len(self._in):
                return None
            size |= (self._in[place] & 0x7F) << 7 * (place - 1)
            if not self._in[place] & 0x80:
                break
        end = place + 1 + size
        if len(self._in) < end:
            return None
        found = self._in[0], bytes(self._in[place + 1 : end])
        del self._in[:end]
        return found

    def _answer(self, first: int, body: bytes) -> None:
        kind = first >> 4
        if kind == CONNECT:
            self._put(0x20, b"\0\0")
        elif kind == PUBLISH:
            size = int.from_bytes(body[:2], "big")
            topic, rest = body[2 : 2 + size].decode(), body[2 + size :]
            if first >> 1 & 3:
                self._put(0x40, rest[:2])
                rest = rest[2:]
            if first & 1:
                self._broker.retained[topic] = rest
            self._broker.on_publish(topic, rest)
        elif kind == SUBSCRIBE:
            topics = _topics(body[2:], 1)
            self._put(0x90, body[:2] + bytes(min(qos, 1) for _, qos in topics))
            for topic, qos in topics:
                self.topics[topic] = min(qos, 1)
                if topic in self._broker.retained:
                    self.send(topic, self._broker.retained[topic], True)
        elif kind == UNSUBSCRIBE:
            for topic, _ in _topics(body[2:], 0):
                self.topics.pop(topic, None)
            self._put(0xB0, body[:2])
        elif kind == PINGREQ:
            self._put(0xD0, b"")
        elif kind not in (PUBACK, DISCONNECT):
            raise ValueError(f"the charger has sent a packet {first:02x}")

    def _put(self, first: int, body: bytes) -> None:
        size, length = len(body), bytearray()
        while True:
            length.append(size & 0x7F | (0x80 if size > 0x7F else 0))
            size >>= 7
            if not size:
                break
        self.out += bytes([first]) + length + body


def _text(text: str) -> bytes:
    return len(text.encode()).to_bytes(2, "big") + text.encode()


def _topics(body: bytes, extra: int) -> list[tuple[str, int]]:
    found = []
    while body:
        size = int.from_bytes(body[:2], "big")
        topic = body[2 : 2 + size].decode()
        if set("+#") & set(topic):
            raise ValueError(f"{topic}: this broker knows no wildcards")
        found.append((topic, body[2 + size] if extra else 0))
        body = body[2 + size + extra :]
    return found
