"""The link to the broker: one asyncio task that connects, serves, notices that it is dead, and
connects again, and never keeps the other tasks waiting whatever the broker does.

Promised: no call waits for the network; a turn of the loop ends after `_SLICE_MS` or one message
handler; memory is bounded (one packet in, `_OUTBOX_BYTES` out, `WAITING_LIMIT` answers awaited);
every wait for the broker has an end, after which the connection is given up and made anew.

Sessions are clean: each connect starts from nothing, `on_connect` subscribes, and what is retained
comes again. A session kept by the broker would deliver commands and lists of days ago, one by one,
after a newer one. A message of QoS 1 is acknowledged when its handler is done, also where it
raised: what broke it once would break it again, and unacknowledged messages block the broker's
window. What goes out with QoS 1 is the caller's until `on_ack`: it is forgotten here when the link
drops, and to be published again after `on_connect`.
"""

import asyncio
import gc
import random
import socket
import sys
import time

from micropython import const

from firmware.link.address import DnsError, is_address
from firmware.link.backoff import LEAST_MS, MOST_MS, Backoff
from firmware.link.codec import ACK_BYTES, Codec
from firmware.link.framing import (
    CONNACK,
    OVERSIZED,
    PINGRESP,
    PUBACK,
    PUBLISH,
    SUBACK,
    UNSUBACK,
    FrameError,
    Inbox,
    Outbox,
)
from firmware.link.stream import Stream

_SLICE_MS = const(5)
_OUTBOX_BYTES = const(2_048)  # twice what our longest message takes
WAITING_LIMIT = const(32)

_IDLE_MS = const(10)  # between two looks at a connection
_SILENT_MS = const(30)  # the same when nothing was to be heard or said for so long:
_SILENT_AFTER_MS = const(250)
_LOOK_MS = const(100)  # between two looks at the deadlines, and while there is no connection
_PROGRESS_BYTES = const(8_192)  # of a packet, that must come within PACKET_MS
_SUBACK_FAILURE = const(0x80)

# MQTT 3.1.1 table 3.1
_REFUSALS = {
    1: "protocol version",
    2: "client identifier",
    3: "server unavailable",
    4: "user name or password",
    5: "not authorised",
}
_ANSWERS = {PUBACK: "PUBACK", SUBACK: "SUBACK", UNSUBACK: "UNSUBACK"}


class LinkError(Exception):
    """The connection is given up. `kind` is one stable word, see `Mqtt`."""

    def __init__(self, kind: str, detail: str):
        super().__init__(f"{kind}: {detail}")
        self.kind = kind
        self.detail = detail


class Mqtt:
    """`network`: has `up` and `dns` (see `Wifi`). `ca`: PEM text, needed where `tls` is true.

    Called from `run`, none of them may wait:
    on_connect(); on_disconnect();
    on_message(topic: str, payload: memoryview): the payload is gone when it returns;
    on_ack(packet_id): a message of QoS 1 has arrived at the broker;
    on_skipped(topic: str | None, size: int): not taken, `size` bytes of payload, for its size or
    because not even the memory to read it was there;
    on_problem(kind: str, detail: str): kind is name, connect, tls, refused, timeout, closed,
    protocol, subscribe, handler, memory or internal; beat(): several times a second.

    `objects`: topics that begin so may bring more than others (framing.py).
    `rng()` gives numbers from 0 up to 1. `connected`: the broker has accepted us. Raises ValueError
    for a `ca` that is none.
    """

    OPEN_MS = 20_000  # TCP, TLS and CONNACK together
    ANSWER_MS = 10_000  # PINGRESP, PUBACK, SUBACK, UNSUBACK
    PACKET_MS = 15_000  # the rest of a packet that has begun
    WRITE_MS = 10_000  # until the network takes some of what waits
    LASTED_MS = 30_000  # a link that stood so long has earned a short wait
    FLUSH_MS = 1_000  # what `close` leaves for what waits
    BACKOFF_MS = (LEAST_MS, MOST_MS)

    def __init__(
        self,
        network,
        host: str,
        port: int,
        client_id: str,
        user: str = "",
        password: str = "",
        tls: bool = False,
        ca: str = "",
        keepalive_s: int = 30,
        will_topic: str | None = None,
        will_payload: bytes | str = b"",
        on_connect=lambda: None,
        on_disconnect=lambda: None,
        on_message=lambda topic, payload: None,
        on_ack=lambda packet_id: None,
        on_skipped=lambda topic, size: None,
        on_problem=lambda kind, detail: None,
        beat=lambda: None,
        rng=random.random,
        objects: str = "",
    ):
        self._network = network
        self._host = host
        self._port = port
        self._tls = _trusting(ca) if tls else None
        self._on_connect = on_connect
        self._on_disconnect = on_disconnect
        self._on_message = on_message
        self._on_ack = on_ack
        self._on_skipped = on_skipped
        self._on_problem = on_problem
        self._beat = beat
        self._rng = rng
        self._ping_ms = keepalive_s * 500  # half of it, so that one lost ping is no lost link
        self._inbox = Inbox(objects=objects)
        self._outbox = Outbox(_OUTBOX_BYTES)
        self._codec = Codec(
            self._outbox,
            self._published,
            client_id,
            user,
            password,
            keepalive_s,
            will_topic,
            will_payload,
        )
        self._backoff = Backoff(rng, *self.BACKOFF_MS)
        self._waiting = {}  # packet identifier -> (kind of the answer, topic, ticks asked)
        self._last_id = 0
        self._address = ""  # where the name last led
        self._topic = ""  # of the message that umqtt is reading
        self._closing = False
        self.connected = False

    async def run(self) -> None:
        """Until `close`."""
        while not self._closing:
            if not self._network.up:
                self._backoff.reset()  # another cause than the broker
                self._beat()
                await asyncio.sleep_ms(_LOOK_MS)
                continue
            stream = None
            try:
                stream = await self._open()
                await self._serve(stream)
            except Exception as error:
                self._report(error)
            finally:
                self._drop(stream)
            if not self._closing:
                await self._pause(self._backoff.wait_ms())

    def publish(
        self, topic: str, payload: bytes | str, retain: bool = False, qos: int = 0
    ) -> int | None:
        """None: not taken (no link, or no room now). QoS 0: 0. QoS 1: the number for `on_ack`."""
        if not self.connected:
            return None
        if not qos:
            return 0 if self._codec.publish(topic, payload, retain, 0, 1) else None
        packet_id = self._free_id()
        if not packet_id or not self._codec.publish(topic, payload, retain, 1, packet_id):
            return None
        self._waiting[packet_id] = (PUBACK, topic, time.ticks_ms())
        return packet_id

    def subscribe(self, topic: str, qos: int = 1) -> bool:
        """Whether the request was taken. To be made anew at each `on_connect`."""
        packet_id = self._free_id() if self.connected else 0
        if not packet_id or not self._codec.subscribe(topic, qos, packet_id):
            return False
        self._waiting[packet_id] = (SUBACK, topic, time.ticks_ms())
        return True

    def unsubscribe(self, topic: str) -> bool:
        """Whether the request was taken."""
        packet_id = self._free_id() if self.connected else 0
        if not packet_id or not self._codec.unsubscribe(topic, packet_id):
            return False
        self._waiting[packet_id] = (UNSUBACK, topic, time.ticks_ms())
        return True

    def close(self) -> None:
        """End `run` soon: what waits is sent if that goes quickly, and the last will withdrawn."""
        self._closing = True

    # Connecting

    async def _open(self) -> Stream:
        address = await self._find()
        opened = time.ticks_ms()
        stream = Stream(
            socket.getaddrinfo(address, self._port, 0, socket.SOCK_STREAM)[0][-1],
            self._tls,
            self._host,
        )
        try:
            while not stream.connected():
                if time.ticks_diff(time.ticks_ms(), opened) > self.OPEN_MS:
                    raise LinkError("timeout", f"no connection to {address}")
                if self._closing or not self._network.up:
                    raise LinkError("closed", "before it stood")
                self._beat()
                await asyncio.sleep_ms(_IDLE_MS)
        except BaseException:
            stream.close()
            raise
        return stream

    async def _find(self) -> str:
        if is_address(self._host):
            return self._host
        from firmware.link import dns  # loaded where a name needs it: memory is short

        try:
            self._address = await dns.resolve(self._host, self._network.dns, self._rng, self._beat)
        except DnsError:
            if not self._address:
                raise
        return self._address

    async def _pause(self, wait_ms: int) -> None:
        began = time.ticks_ms()
        while time.ticks_diff(time.ticks_ms(), began) < wait_ms:
            if self._closing or not self._network.up:
                return
            self._beat()
            await asyncio.sleep_ms(min(_LOOK_MS, wait_ms))

    def _drop(self, stream: Stream | None) -> None:
        if stream:
            try:
                stream.close()
            except OSError as error:
                self._report(error)
        self._inbox.next()
        self._outbox.clear()
        self._waiting.clear()
        if self.connected:
            self.connected = False
            self._call(self._on_disconnect)

    # Serving one connection

    async def _serve(self, stream: Stream) -> None:
        now = time.ticks_ms()
        self._began = self._heard = self._pinged = self._moved = self._looked = now
        self._packet_began = self._skipped = self._spoke = now
        self._asked_ping = self._lasted = self._parting = self._strayed = False
        self._codec.connect()
        while not (self._parting and not len(self._outbox)):
            self._beat()
            stream.turn()
            busy = self._send(stream)
            busy = self._receive(stream) or busy
            if time.ticks_diff(time.ticks_ms(), self._looked) >= _LOOK_MS:
                self._look()
            await asyncio.sleep_ms(0 if busy or stream.held_back else self._pause_ms())

    def _pause_ms(self) -> int:
        """Each look costs about a millisecond, which a tap may have to wait for."""
        last = _later(self._spoke, self._heard)
        silent = time.ticks_diff(time.ticks_ms(), last) >= _SILENT_AFTER_MS
        return _SILENT_MS if silent else _IDLE_MS

    def _send(self, stream: Stream) -> bool:
        """One piece of what waits. True: there is more, and the network takes it."""
        outbox = self._outbox
        if not len(outbox):
            self._moved = time.ticks_ms()
            return False
        count = stream.write(outbox.pending(_OUTBOX_BYTES))
        if not count:
            return False
        self._moved = self._spoke = time.ticks_ms()
        outbox.sent(count)
        return len(outbox) > 0

    def _receive(self, stream: Stream) -> bool:
        """Packets, for as long as a slice lasts. True: there may be more at once."""
        inbox, outbox = self._inbox, self._outbox
        began = time.ticks_ms()
        while outbox.room >= ACK_BYTES:  # else first let the broker read
            count = stream.read(inbox.want())
            if count is None:
                return False
            if count == 0:
                raise LinkError("closed", "by the broker")
            if inbox.taken % _PROGRESS_BYTES + count >= _PROGRESS_BYTES or not inbox.taken:
                self._packet_began = time.ticks_ms()
            outcome = inbox.got(count)
            if outcome:
                self._packet(outcome)
                inbox.next()
            if time.ticks_diff(time.ticks_ms(), began) >= _SLICE_MS:
                return True
        return False

    def _packet(self, outcome: int) -> None:
        inbox = self._inbox
        kind = inbox.kind
        self._heard = time.ticks_ms()
        if not self.connected:
            if kind != CONNACK:
                raise FrameError(f"packet {inbox.first:02x} before CONNACK")
            self._welcome(inbox.code)
        elif kind == PUBLISH:
            self._topic = inbox.topic()
            if outcome == OVERSIZED:
                self._skipped = self._heard
                self._skip()
            else:
                self._deliver()
        elif kind == PINGRESP:
            self._asked_ping = False
        elif kind in _ANSWERS:
            self._answered(kind)
        else:
            raise FrameError(f"packet {inbox.first:02x} after CONNACK")

    def _deliver(self) -> None:
        try:
            self._codec.deliver(self._inbox)
        except MemoryError as error:  # a new connection would only bring it again
            self._report(error)
            self._skip()

    def _skip(self) -> None:
        inbox = self._inbox
        self._call(self._on_skipped, self._topic, inbox.payload_size)
        if inbox.qos:
            self._codec.acknowledge(inbox.packet_id)

    def _welcome(self, code: int) -> None:
        if code:
            raise LinkError("refused", _REFUSALS.get(code) or f"code {code}")
        self.connected = True
        self._began = self._pinged = time.ticks_ms()
        self._call(self._on_connect)

    def _answered(self, kind: int) -> None:
        packet_id = self._inbox.packet_id
        asked, topic, _ = self._waiting.get(packet_id) or (0, "", 0)
        if asked != kind:
            # Nobody asked. It may be late or wrong; what it stands for is still waited for.
            if not self._strayed:
                self._strayed = True  # told once per connection: there may be thousands
                self._problem("protocol", f"{_ANSWERS[kind]} for {packet_id}, which nobody awaits")
            return
        del self._waiting[packet_id]
        if kind == PUBACK:
            self._call(self._on_ack, packet_id)
        elif kind == SUBACK and self._inbox.code == _SUBACK_FAILURE:
            self._problem("subscribe", topic)

    def _published(self, _, payload: memoryview) -> None:
        """umqtt has read a message; it acknowledges when this returns."""
        self._call(self._on_message, self._topic, payload)

    def _look(self) -> None:
        """Is any wait over? Is it time to ask whether the broker still lives?"""
        now = time.ticks_ms()
        self._looked = now
        if not self._network.up:
            raise LinkError("closed", "the network is down")
        if self._inbox.taken and time.ticks_diff(now, self._packet_began) > self.PACKET_MS:
            raise LinkError("timeout", f"a packet that stopped after {self._inbox.taken} bytes")
        since = time.ticks_diff(now, self._began)
        if not self.connected:
            if since > self.OPEN_MS:
                raise LinkError("timeout", "no CONNACK")
            if self._closing:
                raise LinkError("closed", "before it stood")
            return
        if len(self._outbox) and time.ticks_diff(now, self._moved) > self.WRITE_MS:
            raise LinkError("timeout", f"{len(self._outbox)} bytes that nobody takes")
        if not self._lasted and since > self.LASTED_MS:
            self._lasted = True
            self._backoff.reset()
        if not self._inbox.taken:  # else answers can only follow this packet, which has its own end
            self._look_at_answers(now)
            self._look_at_ping(now)
        self._look_at_end(now)

    def _look_at_answers(self, now) -> None:
        if not self._waiting:
            self._skipped = now  # keeps it far from the wrap of the ticks
        for packet_id, (kind, topic, asked) in self._waiting.items():
            if time.ticks_diff(now, _later(asked, self._skipped)) > self.ANSWER_MS:
                raise LinkError("timeout", f"no {_ANSWERS[kind]} {packet_id} for {topic}")

    def _look_at_ping(self, now) -> None:
        if self._asked_ping:
            if time.ticks_diff(now, _later(self._pinged, self._heard)) > self.ANSWER_MS:
                raise LinkError("timeout", "no answer to a ping")
        elif time.ticks_diff(now, self._pinged) >= self._ping_ms:
            self._asked_ping = self._codec.ping()
            self._pinged = now

    def _look_at_end(self, now) -> None:
        if self._closing and not self._parting:
            self._parting = self._codec.disconnect() or not self.connected
            self._began = now
        elif self._parting and time.ticks_diff(now, self._began) > self.FLUSH_MS:
            raise LinkError("closed", "not everything was sent")

    # Common

    def _free_id(self) -> int:
        """An identifier that no answer is awaited for; 0 where too many are."""
        if len(self._waiting) >= WAITING_LIMIT:
            return 0
        while True:
            self._last_id = self._last_id % 0xFFFF + 1
            if self._last_id not in self._waiting:
                return self._last_id

    def _call(self, function, *arguments) -> None:
        """A caller's function; what it raises is its problem, not the link's."""
        try:
            function(*arguments)
        except Exception as error:
            if isinstance(error, MemoryError):
                gc.collect()
            self._problem("handler", repr(error))

    def _report(self, error: Exception) -> None:
        if isinstance(error, MemoryError):
            gc.collect()
            self._problem("memory", str(error))
        elif isinstance(error, LinkError):
            self._problem(error.kind, error.detail)
        elif isinstance(error, FrameError):
            self._problem("protocol", str(error))
        elif isinstance(error, DnsError):
            self._problem("name", str(error))
        elif self._tls and not self.connected and _of_tls(error):
            self._problem("tls", str(error).strip())
        elif isinstance(error, OSError):
            self._problem("connect", str(error))
        else:
            sys.print_exception(error)
            self._problem("internal", repr(error))

    def _problem(self, kind: str, detail: str) -> None:
        try:
            self._on_problem(kind, detail)
        except Exception as error:
            sys.print_exception(error)


def _of_tls(error: Exception) -> bool:
    """A certificate that is not right is a ValueError; what else TLS raises has negative codes."""
    code = error.args[0] if error.args else None
    return isinstance(error, ValueError) or (isinstance(code, int) and code < 0)


def _later(one, other):
    """The later of two moments."""
    return one if time.ticks_diff(one, other) > 0 else other


def _trusting(ca: str):
    from firmware.link.secure import tls_context

    return tls_context(ca)
