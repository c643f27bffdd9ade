"""The control port: one JSON object per line in, its answer out, and what happens at the hardware
to everyone who listens."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

from tools.virtual import contactor, vehicle
from tools.virtual.console import say
from tools.virtual.flash import FAULTS as FLASH_FAULTS
from tools.virtual.power import Power
from tools.virtual.rc522.chip import FAULTS as READER_FAULTS
from tools.virtual.serial import SerialLine
from tools.virtual.world import CARD_KINDS, PHONE, World

LINE_BYTES = 65_536
_UNREAD_BYTES = 4_000_000  # a client that never reads is let go
_MS_MAX = 86_400_000
_WH_MAX = 1_000_000
_AHEAD_S_MAX = 10 * 366 * 86_400
WRITTEN = ("vfs", "romfs")  # the partitions that a board writes block by block
PULSE_MS = GAP_MS = 8.0  # S0 says 30 ms and more; shortened for everyone's patience


class CommandError(Exception):
    """The command is refused; the text says what was found and what is allowed."""


class Control:
    def __init__(self, world: World, power: Power, loop: asyncio.AbstractEventLoop):
        self._world, self._power, self._loop = world, power, loop
        self._clients: set[_Client] = set()
        self._server: asyncio.AbstractServer | None = None
        self._commands: dict[str, Callable[[_Arguments], Awaitable[dict[str, Any] | None]]] = {
            "plug": self._plug,
            "unplug": self._unplug,
            "draw": self._draw,
            "place": self._place,
            "remove": self._remove,
            "tap": self._tap,
            "reader": self._reader,
            "contactor": self._contactor,
            "pilot": self._pilot,
            "energy": self._energy,
            "link": self._link,
            "dns": self._dns,
            "ntp": self._ntp,
            "time": self._time,
            "power": self._power_cut,
            "flash": self._flash,
            "serial": self._serial,
            "status": self._status,
        }

    async def open(self, port: int) -> int:
        self._server = await self._loop.create_server(
            lambda: _Client(self), "127.0.0.1", port, reuse_address=True
        )
        return self._server.sockets[0].getsockname()[1]

    def close(self) -> None:
        if self._server:
            self._server.close()
        for client in list(self._clients):
            client.close()

    def push(self, event: dict[str, Any]) -> None:
        """From any thread."""
        line = json.dumps(event).encode() + b"\n"
        self._loop.call_soon_threadsafe(self._send_all, line)

    def _send_all(self, line: bytes) -> None:
        for client in list(self._clients):
            client.send(line)

    async def answer(self, line: bytes) -> dict[str, Any]:
        try:
            arguments = _Arguments(line)
            do = arguments.word("do", tuple(self._commands))
            result = await self._commands[do](arguments)
        except CommandError as error:
            return {"ok": False, "error": str(error)}
        return {"ok": True, **(result or {})}

    # commands

    async def _plug(self, given: _Arguments) -> dict[str, Any]:
        asks = given.flag("draw", True)
        bounce = given.flag("bounce", True)
        given.done()
        with self._world.lock:
            t_ms = self._world.schedule.t_ms()
            self._world.vehicle.plug(asks, bounce)
        return {"t_ms": t_ms}

    async def _unplug(self, given: _Arguments) -> dict[str, Any]:
        bounce = given.flag("bounce", True)
        given.done()
        with self._world.lock:
            t_ms = self._world.schedule.t_ms()
            self._world.vehicle.unplug(bounce)
        return {"t_ms": t_ms}

    async def _draw(self, given: _Arguments) -> None:
        on = given.flag("on")
        given.done()
        with self._world.lock:
            if on and not self._world.vehicle.connected:
                raise CommandError("draw: no vehicle is connected")
            self._world.vehicle.draw(on)

    async def _place(self, given: _Arguments) -> dict[str, Any]:
        kind = given.word("kind", CARD_KINDS, "classic1k")
        uid = given.uid(required=kind != PHONE)
        given.done()
        return {"uid": self._put(uid, kind)}

    async def _remove(self, given: _Arguments) -> None:
        uid = given.uid(required=False)
        given.done()
        with self._world.lock:
            present = list(self._world.present)
            if uid is None and len(present) == 1:
                uid = present[0]
            if uid is None or uid not in present:
                there = ", ".join(present) or "no card"
                raise CommandError(f"uid: found {uid}, in the field: {there}")
            self._world.remove(uid)

    async def _tap(self, given: _Arguments) -> dict[str, Any]:
        kind = given.word("kind", CARD_KINDS, "classic1k")
        uid = given.uid(required=kind != PHONE)
        ms = given.number("ms", 300, 0, _MS_MAX)
        given.done()
        name = self._put(uid, kind)
        gone: asyncio.Future[None] = self._loop.create_future()

        def take_away() -> None:
            if name in self._world.present:
                self._world.remove(name)
            self._loop.call_soon_threadsafe(lambda: gone.done() or gone.set_result(None))

        with self._world.lock:
            self._world.schedule.after(ms, take_away)
        await gone
        return {"uid": name}

    def _put(self, uid: str | None, kind: str) -> str:
        with self._world.lock:
            try:
                return self._world.place(uid, kind)
            except ValueError as error:
                raise CommandError(f"uid: {error}") from error

    async def _reader(self, given: _Arguments) -> None:
        fault = given.word("fault", READER_FAULTS)
        level = given.number("level", 0, 0, 255)
        given.done()
        with self._world.lock:
            self._world.chip.dead_level = round(level)
            self._world.chip.fault = fault

    async def _contactor(self, given: _Arguments) -> None:
        fault = given.word("fault", contactor.FAULTS)
        given.done()
        with self._world.lock:
            self._world.contactor.fault = fault

    async def _pilot(self, given: _Arguments) -> None:
        fault = given.word("fault", vehicle.PILOT_FAULTS)
        given.done()
        with self._world.lock:
            self._world.vehicle.pilot_fault = fault

    async def _energy(self, given: _Arguments) -> dict[str, Any]:
        """Answers when the last pulse is over, so that a script does not outrun the meter."""
        wh = given.number("wh", None, 0, _WH_MAX)
        pulse_ms = given.number("pulse_ms", PULSE_MS, 0.1, 1_000)
        gap_ms = given.number("gap_ms", GAP_MS, 0.1, 10_000)
        given.done()
        over: asyncio.Future[None] = self._loop.create_future()

        def done() -> None:
            self._loop.call_soon_threadsafe(lambda: over.done() or over.set_result(None))

        with self._world.lock:
            pulses = self._world.meter.energy(wh, pulse_ms, gap_ms, done)
        await over
        return {"pulses": pulses}

    async def _link(self, given: _Arguments) -> None:
        up = given.flag("up")
        given.done()
        with self._world.lock:
            self._world.wifi.link(up)
        self._world.relays.link(up)

    async def _dns(self, given: _Arguments) -> None:
        answers = given.flag("up")
        given.done()
        self._world.relays.dns_answers = answers

    async def _ntp(self, given: _Arguments) -> None:
        answers = given.flag("up")
        given.done()
        self._world.relays.ntp_answers = answers

    async def _time(self, given: _Arguments) -> None:
        """What the time server says, to whoever asks from now on."""
        ahead_s = given.number("offset_s", None, 0, _AHEAD_S_MAX)
        given.done()
        self._world.relays.time_ahead_s = ahead_s

    async def _power_cut(self, given: _Arguments) -> None:
        off_ms = given.number("off_ms", 500, 0, _MS_MAX)
        at_block_write = given.number("at_block_write", 0, 1, 1_000_000_000)
        part = given.number("part", 0, 0, 1)
        partition = given.word("partition", ("", *WRITTEN), "")
        given.done()
        with self._world.lock:
            if at_block_write:
                labels = (partition,) if partition else ("vfs", "romfs")
                self._blocks("at_block_write", partition or "vfs")
                self._power.cut_at_block_write(int(at_block_write), part, off_ms, labels)
            else:
                self._power.cut(off_ms)

    async def _serial(self, given: _Arguments) -> dict[str, Any]:
        """The cable; put back, it may have got another name."""
        up = given.flag("up")
        given.done()
        console = self._power.console
        if not isinstance(console, SerialLine):
            raise CommandError("serial: there is none, as --serial was not given")
        if not up:
            console.pull()
            return {}
        before = console.name
        if console.plug() != before:
            say(f"serial={console.name}")
        return {"serial": console.name}

    async def _flash(self, given: _Arguments) -> None:
        fault = given.word("fault", FLASH_FAULTS)
        partition = given.word("partition", WRITTEN, WRITTEN[0])
        block = given.number("block", 0, 0, 100_000)
        given.done()
        if fault == "bad_block":
            self._blocks("bad_block", partition)
        with self._world.lock:
            self._world.storage.fault = fault
            self._world.storage.bad = (partition, int(block))

    def _blocks(self, what: str, partition: str) -> None:
        if not self._world.storage.has_blocks(partition):
            why = "the flash is a directory, not an .img file"
            if partition == "romfs":
                why = "the board has no romfs partition"
            raise CommandError(f"{what}: {why}")

    async def _status(self, given: _Arguments) -> dict[str, Any]:
        given.done()
        heap_used = await self._power.heap_used()
        with self._world.lock:
            self._world.schedule.run_due()
            return {
                **self._world.status(),
                "power": self._power.on,
                "resets": self._power.resets,
                "heap_used": heap_used,
                "t_ms": self._world.schedule.t_ms(),
            }


class _Arguments:
    """One command's arguments, each looked at once; `done` refuses what is left over."""

    def __init__(self, line: bytes):
        try:
            given = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise CommandError(f"no JSON: {str(error)[:100]}") from error
        if not isinstance(given, dict):
            raise CommandError(f"no JSON object, but {type(given).__name__}")
        self._given: dict[str, Any] = given

    def word(self, name: str, allowed: tuple[str, ...], default: str | None = None) -> str:
        value = self._take(name, default)
        if not isinstance(value, str) or value not in allowed:
            raise CommandError(f"{name}: found {_shown(value)}, allowed {', '.join(allowed)}")
        return value

    def flag(self, name: str, default: bool | None = None) -> bool:
        value = self._take(name, default)
        if not isinstance(value, bool):
            raise CommandError(f"{name}: found {_shown(value)}, allowed true, false")
        return value

    def number(self, name: str, default: float | None, least: float, most: float) -> float:
        value = self._take(name, default)
        wrong = isinstance(value, bool) or not isinstance(value, int | float)
        if wrong or not (least <= value <= most or value == default):
            raise CommandError(
                f"{name}: found {_shown(value)}, allowed a number of {least:g} to {most:g}"
            )
        return value

    def uid(self, required: bool) -> str | None:
        value = self._take("uid", None if required else "")
        if value == "" and not required:
            return None
        try:
            number = bytes.fromhex(value) if isinstance(value, str) else b""
        except ValueError:
            if not required and isinstance(value, str) and value == PHONE:
                return value
            number = b""
        if len(number) not in (4, 7, 10):
            raise CommandError(f"uid: found {_shown(value)}, allowed 4, 7 or 10 bytes in hex")
        return number.hex()

    def done(self) -> None:
        if self._given:
            raise CommandError(f"unknown: {', '.join(sorted(map(str, self._given)))[:100]}")

    def _take(self, name: str, default: Any) -> Any:
        if name not in self._given:
            if default is None:
                raise CommandError(f"{name}: missing")
            return default
        return self._given.pop(name)


def _shown(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."


class _Client(asyncio.Protocol):
    """One connection: its commands are carried out one after the other."""

    def __init__(self, control: Control):
        self._control = control
        self._transport: asyncio.Transport | None = None
        self._partial = b""
        self._skipping = False
        self._lines: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._control._clients.add(self)
        self._task = asyncio.ensure_future(self._serve())

    def connection_lost(self, exc: Exception | None) -> None:
        self._control._clients.discard(self)
        self._lines.put_nowait(None)

    def data_received(self, data: bytes) -> None:
        *lines, self._partial = (self._partial + data).split(b"\n")
        for line in lines:
            if self._skipping:
                self._skipping = False
            else:
                self._lines.put_nowait(line)
        if len(self._partial) > LINE_BYTES:
            self._partial = b""
            if not self._skipping:
                self._skipping = True
                self._lines.put_nowait(b"x" * (LINE_BYTES + 1))

    def eof_received(self) -> bool:
        """Nothing more will be asked: what was asked is still answered."""
        self._lines.put_nowait(None)
        return True

    def send(self, line: bytes) -> None:
        if not self._transport or self._transport.is_closing():
            return
        if self._transport.get_write_buffer_size() > _UNREAD_BYTES:
            self._transport.abort()
        else:
            self._transport.write(line)

    def close(self) -> None:
        if self._task:
            self._task.cancel()
        if self._transport:
            self._transport.close()

    async def _serve(self) -> None:
        while (line := await self._lines.get()) is not None:
            if len(line) > LINE_BYTES:
                answer = {"ok": False, "error": f"line longer than {LINE_BYTES} bytes"}
            elif not line.strip():
                continue
            else:
                answer = await self._control.answer(line)
            self.send(json.dumps(answer).encode() + b"\n")
        if self._transport:
            self._transport.close()
