"""umqtt.simple as the codec, driven without input or output.

umqtt writes a packet and then waits for the answer on its socket. Here its socket is a wire that
collects what is written and, asked for a byte that has not come, raises: the packet is then
complete and the waiting is done elsewhere, by asyncio. It reads only packets that lie in the inbox
whole and checked. Works with 1.3.4 (PyPI) and 1.8 (frozen into the boards' firmware).

Fenced here: its packet identifiers never wrap (ours do), it counts characters instead of bytes
(everything is encoded first, and each packet's size is checked), 1.3.4 writes a SUBSCRIBE of more
than 127 bytes wrongly and has no UNSUBSCRIBE (both are written here), `setblocking` on every read.
"""

from micropython import const
from umqtt import simple

from firmware.link.framing import Inbox, Outbox

ACK_BYTES = const(4)  # room that must be left in the outbox before a PUBLISH is delivered

_SUBSCRIBE = const(0x82)
_UNSUBSCRIBE = const(0xA2)
_PING_BYTES = const(2)


class CodecError(Exception):
    """umqtt wrote something else than the packet that was asked for."""


class _NothingThere(Exception):
    """umqtt asks for bytes that have not come."""


class _Wire:
    """What umqtt takes for its socket, and for the module `socket` while it connects."""

    def __init__(self, outbox: Outbox):
        self._outbox = outbox
        self._inbox = None

    def lend(self, inbox: Inbox | None) -> None:
        """What there is to read: one packet while it is delivered, else nothing."""
        self._inbox = inbox

    def read(self, count: int) -> bytes | memoryview:
        data = self._inbox.read(count) if self._inbox else None
        if data is None:
            raise _NothingThere
        return data

    def write(self, data, count: int = -1) -> None:
        self._outbox.put(data if count < 0 else memoryview(data)[:count])

    def socket(self):
        return self

    def getaddrinfo(self, *_):
        return ((0, 0, 0, "", None),)

    def _nothing_to_do(self, *_) -> None:
        """Times, modes and the connection itself belong to the stream."""

    setblocking = settimeout = connect = close = _nothing_to_do


class Codec:
    """Packets into `outbox`, and a PUBLISH out of an inbox into `on_publish(topic, payload)`.

    What writes a packet returns False where it does not fit now, and has then written nothing.
    Texts are str or bytes; `on_publish` gets bytes and, so that the largest message needs no memory
    of its own, a memoryview that is good until it returns. `will_topic` None: no last will.
    """

    def __init__(
        self,
        outbox: Outbox,
        on_publish,
        client_id: str,
        user: str | None = None,
        password: str | None = None,
        keepalive_s: int = 0,
        will_topic: str | None = None,
        will_payload: bytes | str = b"",
    ):
        self._outbox = outbox
        self._wire = _Wire(outbox)
        name, secret = coded(user or ""), coded(password or "")
        self._client = client = simple.MQTTClient(
            coded(client_id), "", 1, name or None, secret, keepalive_s
        )
        client.sock = self._wire
        client.set_callback(on_publish)
        size = 10 + 2 + len(coded(client_id))
        if name:
            size += 2 + len(name) + 2 + len(secret)
        if will_topic:
            topic, payload = coded(will_topic), coded(will_payload)
            client.set_last_will(topic, payload, True, 1)
            size += 2 + len(topic) + 2 + len(payload)
        self._connect_bytes = _packet_bytes(size)

    def connect(self) -> bool:
        """CONNECT with a clean session."""
        real = simple.socket  # pyright: ignore[reportAttributeAccessIssue] - not in the stubs
        # `MQTTClient.connect` opens its own socket: the one place where its module is lent ours.
        simple.socket = self._wire  # pyright: ignore[reportAttributeAccessIssue]
        try:
            return self._write(self._connect_bytes, self._client.connect, True)
        finally:
            simple.socket = real  # pyright: ignore[reportAttributeAccessIssue]

    def publish(self, topic, payload, retain: bool, qos: int, packet_id: int) -> bool:
        """PUBLISH; `packet_id` counts for QoS 1 only."""
        topic, payload = coded(topic), coded(payload)
        client = self._client
        client.pid = packet_id - 1  # umqtt takes the next one
        size = _packet_bytes(2 + len(topic) + 2 * qos + len(payload))
        return self._write(size, client.publish, topic, payload, retain, qos)

    def subscribe(self, topic, qos: int, packet_id: int) -> bool:
        """SUBSCRIBE to one topic."""
        return self._subscription(_SUBSCRIBE, topic, packet_id, bytes((qos,)))

    def unsubscribe(self, topic, packet_id: int) -> bool:
        """UNSUBSCRIBE from one topic."""
        return self._subscription(_UNSUBSCRIBE, topic, packet_id, b"")

    def ping(self) -> bool:
        """PINGREQ."""
        return self._write(_PING_BYTES, self._client.ping)

    def disconnect(self) -> bool:
        """DISCONNECT: the broker then drops the last will."""
        return self._write(_PING_BYTES, self._client.disconnect)

    def deliver(self, inbox: Inbox) -> None:
        """Let umqtt read the PUBLISH in `inbox`, call `on_publish` and acknowledge QoS 1."""
        self._wire.lend(inbox)
        try:
            self._client.sock = self._wire
            self._client.wait_msg()
        finally:
            self._wire.lend(None)

    def acknowledge(self, packet_id: int) -> None:
        """PUBACK for what was skipped; `ACK_BYTES` must be free."""
        self._outbox.put(b"\x40\x02" + packet_id.to_bytes(2, "big"))

    def _subscription(self, first: int, topic, packet_id: int, tail: bytes) -> bool:
        """MQTT 3.8 and 3.10 for one topic."""
        topic = coded(topic)
        size = 2 + 2 + len(topic) + len(tail)
        packet = bytearray((first,))
        while size > 0x7F:
            packet.append(size & 0x7F | 0x80)
            size >>= 7
        packet.append(size)
        packet += packet_id.to_bytes(2, "big")
        packet += len(topic).to_bytes(2, "big")
        packet += topic
        packet += tail
        return self._write(len(packet), self._wire.write, packet)

    def _write(self, size: int, write, *arguments) -> bool:
        """One packet of `size` bytes into the outbox: the whole of it or nothing."""
        outbox = self._outbox
        if size + ACK_BYTES > outbox.room:
            return False
        outbox.reserve()
        end = outbox.end
        self._client.sock = self._wire
        written = -1
        try:
            write(*arguments)
            written = outbox.end - end
        except _NothingThere:
            written = outbox.end - end  # the packet is there; umqtt would now wait for its answer
        finally:
            if written != size:
                outbox.rewind(end)
        if written != size:
            raise CodecError(f"a packet of {written} bytes, expected {size}")
        return True


def coded(text) -> bytes:
    """`text` in UTF-8, if it is not bytes already."""
    return text.encode() if isinstance(text, str) else text


def _packet_bytes(size: int) -> int:
    """How long a packet is whose remaining length is `size`."""
    total = 2 + size
    while size > 0x7F:
        size >>= 7
        total += 1
    return total
