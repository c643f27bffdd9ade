"""The world's network: a Wi-Fi that can be lost, and relays between the board and the real hosts.

Each address that the board asks for becomes a port on 127.0.0.1 from which bytes are carried to the
real host. While the link is down nothing is carried and nothing is closed: connections are half
open, as they are on the air. When the board loses power its peers are not told either.

Names and the time are answered here: whatever address is asked on UDP port 53 is a name server, on
123 a time server with this computer's time, or later. The time server's name leads to
`TIME_ADDRESS`, without a question to anybody.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import time
from collections.abc import Callable
from typing import cast

from tools.virtual.schedule import Schedule

STAT_IDLE, STAT_CONNECTING, STAT_GOT_IP = 1000, 1001, 1010
STAT_NO_AP_FOUND, STAT_WRONG_PASSWORD = 201, 202
JOIN_MS = 120  # association and DHCP; seconds on the air, shortened for everyone's patience
RSSI_DBM = -58
IFCONFIG = ("192.168.4.20", "255.255.255.0", "192.168.4.1", "192.168.4.1")
TIME_ADDRESS = "192.0.2.123"  # RFC 5737: an address that nobody has
_CHUNK = 16_384
_HUNG_AT_MOST = 64  # peers of lives gone by that are kept hanging
_NTP_EPOCH = 2_208_988_800  # 1900 to 1970, seconds


class Wifi:
    """One access point and the board's station. An empty `ssid` lets every station in."""

    def __init__(self, schedule: Schedule, ssid: str, password: str):
        self._schedule = schedule
        self._ssid, self._password = ssid, password
        self._joined_at_ns: int | None = None
        self._reason = STAT_IDLE
        self.active = False
        self.up = True

    def reset(self) -> None:
        self.active = False
        self.leave()

    def join(self, ssid: str, password: str | None) -> None:
        self._reason = STAT_CONNECTING
        if self._ssid and ssid != self._ssid:
            self._reason = STAT_NO_AP_FOUND
        elif self._ssid and (password or "") != self._password:
            self._reason = STAT_WRONG_PASSWORD
        else:
            self._begin()

    def leave(self) -> None:
        self._joined_at_ns = None
        self._reason = STAT_IDLE

    def link(self, up: bool) -> None:
        if up and not self.up:
            self._begin()
        self.up = up

    def _begin(self) -> None:
        self._joined_at_ns = self._schedule.now_ns() + JOIN_MS * 1_000_000

    @property
    def status(self) -> int:
        if not self.active or self._reason != STAT_CONNECTING:
            return self._reason if self.active else STAT_IDLE
        if not self.up:
            return STAT_CONNECTING  # the driver keeps looking for the access point
        joined = self._joined_at_ns is not None and self._schedule.now_ns() >= self._joined_at_ns
        return STAT_GOT_IP if joined else STAT_CONNECTING

    def state(self) -> dict:
        return {"status": self.status, "rssi": RSSI_DBM, "ifconfig": IFCONFIG}

    def scan(self) -> list[dict]:
        return [{"ssid": self._ssid or "virtual", "rssi": RSSI_DBM}] if self.up else []


class Relays:
    """Runs in the event loop; `address` may be called from any thread. `time_host`: the name under
    which the board knows its time server.

    `time_ahead_s`: how far the time server is ahead of this computer. `dns_answers`, `ntp_answers`:
    whether there is an answer at all.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, time_host: str = ""):
        self._loop = loop
        self._time_host = time_host.rstrip(".").lower()
        self._ports: dict[tuple[str, int, bool], int] = {}
        self._listeners: list[asyncio.AbstractServer | asyncio.DatagramTransport] = []
        self._flows: set[_Flow] = set()
        self._hung: list[asyncio.StreamWriter] = []
        self._tasks: set[asyncio.Task] = set()
        self.carrying = asyncio.Event()
        self.carrying.set()
        self.dns_answers = self.ntp_answers = True
        self.time_ahead_s = 0.0

    def address(self, host: str, port: int, datagrams: bool) -> int:
        """The local port that stands for host:port."""
        key = (host, port, datagrams)
        if key not in self._ports:
            kind = socket.SOCK_DGRAM if datagrams else socket.SOCK_STREAM
            sock = socket.socket(socket.AF_INET, kind)
            sock.bind(("127.0.0.1", 0))
            sock.setblocking(False)
            if not datagrams:
                sock.listen(16)
            self._ports[key] = sock.getsockname()[1]
            begin = self._serve_datagrams if datagrams else self._serve_stream
            self._loop.call_soon_threadsafe(self._spawn, begin, sock, host, port)
        return self._ports[key]

    def resolves(self, host: str) -> bool:
        """Whether the board's own blocking look-up would find that name now. Takes its time."""
        if not (self.carrying.is_set() and self.dns_answers):
            return False
        if self._tells_time(host):
            return True
        try:
            return bool(socket.getaddrinfo(host, None, socket.AF_INET))
        except OSError:
            return False

    def _tells_time(self, name: str) -> bool:
        return bool(self._time_host) and name.rstrip(".").lower() == self._time_host

    def link(self, up: bool) -> None:
        if up:
            self.carrying.set()
        else:
            self.carrying.clear()

    def board_lost(self) -> None:
        """The board is gone without a word: keep its peers hanging."""
        for flow in list(self._flows):
            if flow.upstream:
                self._hung.append(flow.upstream)
            flow.orphaned = True
        while len(self._hung) > _HUNG_AT_MOST:
            self._hung.pop(0).transport.abort()

    async def close(self) -> None:
        for listener in self._listeners:
            listener.close()
        for task in list(self._tasks):
            task.cancel()
        for writer in self._hung:
            writer.transport.abort()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _spawn(self, function: Callable, *arguments: object) -> None:
        task = self._loop.create_task(function(*arguments))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve_stream(self, sock: socket.socket, host: str, port: int) -> None:
        def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self._spawn(self._carry, _Flow(reader, writer), host, port)

        self._listeners.append(await asyncio.start_server(accepted, sock=sock, limit=_CHUNK))

    async def _carry(self, flow: _Flow, host: str, port: int) -> None:
        self._flows.add(flow)
        try:
            await self.carrying.wait()
            reader, flow.upstream = await asyncio.open_connection(host, port, limit=_CHUNK)
            await asyncio.gather(
                self._pump(flow, flow.reader, flow.upstream),
                self._pump(flow, reader, flow.downstream),
            )
        except OSError:  # refused, unreachable or reset: the board sees a reset
            if not flow.orphaned:
                flow.abort()
        finally:
            self._flows.discard(flow)
            if not flow.orphaned:
                flow.close()
            else:
                flow.downstream.transport.abort()

    async def _pump(
        self, flow: _Flow, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while data := await reader.read(_CHUNK):
            if flow.orphaned:
                continue
            await self.carrying.wait()
            writer.write(data)
            await writer.drain()
        await self.carrying.wait()
        if not flow.orphaned and writer.can_write_eof():
            writer.write_eof()

    async def _serve_datagrams(self, sock: socket.socket, host: str, port: int) -> None:
        if port in (53, 5353):
            answer = self._dns
        elif port == 123:
            answer = self._ntp
        else:
            target = (host, port)

            async def answer(query: bytes) -> bytes | None:
                return await self._elsewhere(query, target)

        transport, _ = await self._loop.create_datagram_endpoint(
            lambda: _Datagrams(self, answer), sock=sock
        )
        self._listeners.append(transport)

    async def _dns(self, query: bytes) -> bytes | None:
        return await answer_dns(query, self._look_up) if self.dns_answers else None

    async def _look_up(self, name: str) -> str | None:
        if self._tells_time(name):
            return TIME_ADDRESS
        try:
            found = await self._loop.getaddrinfo(name, None, family=socket.AF_INET)
        except OSError:
            return None
        return str(found[0][4][0])

    async def _ntp(self, query: bytes) -> bytes | None:
        return answer_ntp(query, time.time() + self.time_ahead_s) if self.ntp_answers else None

    async def _elsewhere(self, query: bytes, target: tuple[str, int]) -> bytes | None:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.setblocking(False)
        try:
            sock.connect(target)
            await self._loop.sock_sendall(sock, query)
            return await asyncio.wait_for(self._loop.sock_recv(sock, 65_535), 5)
        except OSError:  # includes the time-out: datagrams may get lost
            return None
        finally:
            sock.close()


class _Flow:
    """One connection of the board, and its other half towards the real host."""

    def __init__(self, reader: asyncio.StreamReader, downstream: asyncio.StreamWriter):
        self.reader = reader
        self.downstream = downstream
        self.upstream: asyncio.StreamWriter | None = None
        self.orphaned = False

    def close(self) -> None:
        for writer in (self.downstream, self.upstream):
            if writer:
                writer.close()

    def abort(self) -> None:
        sock = self.downstream.get_extra_info("socket")
        with contextlib.suppress(OSError):  # the board has closed it already
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        for writer in (self.downstream, self.upstream):
            if writer:
                writer.transport.abort()


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, relays: Relays, answer: Callable):
        self._relays, self._answer = relays, answer
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple) -> None:
        if self._relays.carrying.is_set():
            self._relays._spawn(self._reply, data, addr)

    async def _reply(self, data: bytes, addr: tuple) -> None:
        reply = await self._answer(data)
        if reply is not None and self._transport and self._relays.carrying.is_set():
            self._transport.sendto(reply, addr)


async def answer_dns(query: bytes, look_up: Callable) -> bytes | None:
    """One question of type A (RFC 1035 4.1), answered as a resolver would; else None."""
    if len(query) < 17 or query[2] & 0x80 or query[4:6] != b"\0\1":
        return None
    labels, at = [], 12
    while at < len(query) and query[at]:
        labels.append(query[at + 1 : at + 1 + query[at]].decode("ascii", "replace"))
        at += 1 + query[at]
    question = query[12 : at + 5]
    if len(question) < at + 5 - 12:
        return None
    kind = int.from_bytes(query[at + 1 : at + 3], "big")
    address = await look_up(".".join(labels))
    answers = b""
    if address and kind == 1:
        answers = struct.pack("!HHHIH", 0xC00C, 1, 1, 60, 4) + socket.inet_aton(address)
    code = 0 if address else 3
    flags = 0x8180 | code
    head = query[:2] + struct.pack("!HHHHH", flags, 1, 1 if answers else 0, 0, 0)
    return head + question + answers


def answer_ntp(query: bytes, unix_s: float) -> bytes | None:
    """RFC 5905 figure 8: a server's answer to a client's 48 bytes."""
    if len(query) < 48 or query[0] & 7 != 3:
        return None
    seconds = int(unix_s)
    since_1900 = (seconds + _NTP_EPOCH) % (1 << 32)  # counts anew in 2036
    stamp = struct.pack("!II", since_1900, int((unix_s - seconds) * (1 << 32)))
    head = bytes(((query[0] & 0x38) | 4, 2, 6, 0xEC)) + bytes(8) + b"LOCL"
    return head + stamp + query[40:48] + stamp + stamp
