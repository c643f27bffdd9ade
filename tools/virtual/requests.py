"""The board's requests, served on a thread of their own for as long as one life of the board lasts.

Protocol: tools/virtual/board/wire.py. The thread shares a processor with the board's process, which
makes a round trip a switch between two tasks instead of a wake-up of another core.
"""

from __future__ import annotations

import json
import os
import struct
import threading
from collections.abc import Callable
from typing import Any

from tools.virtual.board import wire
from tools.virtual.counter import Counter
from tools.virtual.flash import Chip, ChipError, DirectoryFlash
from tools.virtual.pins import FALLING, RISING
from tools.virtual.world import World

_READ_BYTES = 65_536
_IDLE_UV = 0
_NVS_NOT_FOUND = -0x1102


class BoardError(Exception):
    """Raised on the board: the exception's name there, and its argument."""

    def __init__(self, kind: str, argument: Any):
        super().__init__(argument)
        self.kind, self.argument = kind, argument


class Requests:
    """`life` is what the requests may do to the board's life: power.Life."""

    def __init__(self, world: World, life: Any, requests: int, replies: int):
        self._world, self._life = world, life
        self._requests, self._replies = requests, replies
        self._calls: dict[str, Callable[..., Any]] = {
            "board.facts": life.facts,
            "board.state": life.state,
            "board.reset": life.reset,
            "board.interrupts": life.interrupts,
            "wdt.start": life.watchdog,
            "pin.irq": self._irq,
            "rtc.set": world.rtc.set,
            "rtc.memory": self._rtc_memory,
            "timer.start": self._timer_start,
            "timer.stop": self._timer_stop,
            "timer.value": self._timer_value,
            "counter.init": self._counter_init,
            "counter.value": lambda number: self._counter(number).value,
            "counter.clear": self._counter_clear,
            "counter.run": lambda number, on: self._counter(number).run(on),
            "counter.irq": lambda number, trigger: self._counter(number).irq(trigger),
            "counter.flags": self._counter_flags,
            "counter.stop": self._counter_stop,
            "nvs.get": self._nvs_get,
            "nvs.set": world.nvs.set,
            "nvs.erase": self._nvs_erase,
            "nvs.commit": world.nvs.commit,
            "wlan.active": self._wlan_active,
            "wlan.connect": world.wifi.join,
            "wlan.disconnect": world.wifi.leave,
            "wlan.state": world.wifi.state,
            "wlan.scan": world.wifi.scan,
            "net.address": self._address,
            "flash.rename": self._rename,
            "flash.statvfs": self._statvfs,
        }
        self.on_end: Callable[[], None] = lambda: None
        self.thread = threading.Thread(target=self._run, name="requests", daemon=True)

    def _run(self) -> None:
        try:
            self._serve()
        finally:
            self.on_end()

    def _serve(self) -> None:
        self._life.share_processor()
        pending = b""
        while True:
            try:
                data = os.read(self._requests, _READ_BYTES)
            except OSError:
                return
            if not data:
                return
            if pending:
                data = pending + data
            at, end = 0, len(data)
            while end - at >= 2:
                stop = at + 2 + data[at] + (data[at + 1] << 8)
                if stop > end:
                    break
                self._packet(data, at + 2, stop)
                at = stop
            pending = data[at:]

    def _packet(self, data: bytes, at: int, end: int) -> None:
        world = self._world
        pins = world.pins
        with world.lock:
            world.schedule.run_due()
            if not self._life.alive:
                return
            while at < end:
                op = data[at]
                if op == wire.DRIVE:
                    pins.drive(data[at + 1], data[at + 2])
                    at += 3
                elif op == wire.SPI:
                    stop = at + 3 + data[at + 1] + (data[at + 2] << 8)
                    self._reply(world.chip.exchange(data[at + 3 : stop]))
                    at = stop
                elif op == wire.READ:
                    self._reply(bytes((pins.read(data[at + 1]),)))
                    at += 2
                elif op == wire.CALL:
                    break
                else:
                    self._rare(op, data[at + 1 : end])
                    return
        if at < end:
            self._call(data[at + 5 : end])

    def _rare(self, op: int, body: bytes) -> None:
        """Operations that always come alone in their packet."""
        world = self._world
        pins = world.pins
        if op == wire.PWM:
            pin, duty, freq = struct.unpack("<BHI", body)
            pins.pwm(pin, duty, freq)
        elif op == wire.ADC:
            microvolts = pins.microvolts.get(body[0])
            self._reply(struct.pack("<I", microvolts() if microvolts else _IDLE_UV))
        elif op == wire.FEED:
            self._life.fed()
        elif op == wire.MODE:
            pins.mode(body[0], body[1], body[2])
        elif op == wire.BITSTREAM:
            lamp = world.bitstreams.get(body[0])
            if lamp:
                lamp(body[3:])
        elif op == wire.HEAP:
            self._life.heap_reported(int.from_bytes(body, "little"))
        elif op == wire.SYNC:
            self._reply(body)
        else:
            self._block(world.storage, op, body)

    def _block(self, storage: Chip, op: int, body: bytes) -> None:
        if op == wire.BLOCK_READ:
            block, offset, count = struct.unpack("<III", body)
            self._reply(storage.read(block, offset, count))
            return
        outcome = wire.BLOCK_DONE
        try:
            if op == wire.BLOCK_PROGRAM:
                block, offset, _ = struct.unpack_from("<IIH", body)
                storage.program(block, offset, body[10:])
            elif op == wire.BLOCK_ERASE:
                storage.erase(int.from_bytes(body, "little"))
        except ChipError as error:
            outcome = error.outcome
        if self._life.alive:
            self._reply(bytes((outcome,)))

    def _reply(self, data: bytes) -> None:
        try:
            os.write(self._replies, data)
        except OSError:  # the board died while it waited
            self._life.alive = False

    def _call(self, body: bytes) -> None:
        name, *arguments = json.loads(body)
        try:
            if name == "net.address":  # a name look-up takes its time, and the world goes on
                answer = [True, self._calls[name](*arguments)]
            else:
                with self._world.lock:
                    answer = [True, self._calls[name](*arguments)]
        except BoardError as error:
            answer = [False, error.kind, error.argument]
        except OSError as error:
            answer = [False, "OSError", error.errno]
        except ValueError as error:
            answer = [False, "ValueError", str(error)]
        text = json.dumps(answer).encode()
        if self._life.alive:
            self._reply(len(text).to_bytes(4, "little") + text)

    # interrupts, timers, counters

    def _irq(self, pin: int, trigger: int) -> None:
        if trigger & ~(RISING | FALLING):
            raise BoardError("ValueError", "level triggers only wake a board from sleep")
        self._world.pins.watch(pin, trigger)

    def _timer_start(self, number: int, period_ms: float, again: bool) -> None:
        world = self._world
        self._timer_stop(number)

        def elapsed() -> None:
            if again:
                world.timers[number] = world.schedule.after(period_ms, elapsed)
            else:
                world.timers.pop(number, None)
            world.interrupt(wire.TIMER_EVENT, number)

        world.timers[number] = world.schedule.after(period_ms, elapsed)

    def _timer_stop(self, number: int) -> None:
        timer = self._world.timers.pop(number, None)
        if timer:
            timer.cancel()

    def _timer_value(self, number: int) -> int:
        timer = self._world.timers.get(number)
        return (timer.at_ns - self._world.schedule.now_ns()) // 1_000_000 if timer else 0

    def _counter(self, number: int) -> Counter:
        counter = self._world.counters.get(number)
        if counter is None:
            raise BoardError("RuntimeError", "PCNT is not initialised")
        return counter

    def _counter_init(self, number: int, settings: dict) -> None:
        world = self._world
        if number not in world.counters:
            world.counters[number] = Counter(
                world.pins,
                lambda: world.interrupt(wire.COUNTER_EVENT, number),
                world.schedule.now_ns,
            )
        world.counters[number].init(settings)

    def _counter_clear(self, number: int) -> None:
        self._counter(number).value = 0

    def _counter_flags(self, number: int) -> int:
        counter = self._counter(number)
        flags, counter.flags = counter.flags, 0
        return flags

    def _counter_stop(self, number: int) -> None:
        counter = self._world.counters.pop(number, None)
        if counter:
            counter.stop()

    # what is kept

    def _rtc_memory(self, data: str | None = None) -> str | None:
        if data is None:
            return self._world.rtc.memory.hex()
        self._world.rtc.memory = bytes.fromhex(data)
        return None

    def _nvs_get(self, space: str, key: str, kind: str) -> int | str:
        try:
            return self._world.nvs.get(space, key, kind)
        except KeyError:
            raise BoardError("OSError", [_NVS_NOT_FOUND, "ESP_ERR_NVS_NOT_FOUND"]) from None

    def _nvs_erase(self, space: str, key: str) -> None:
        try:
            self._world.nvs.erase(space, key)
        except KeyError:
            raise BoardError("OSError", [_NVS_NOT_FOUND, "ESP_ERR_NVS_NOT_FOUND"]) from None

    def _rename(self, old: str, new: str) -> None:
        assert isinstance(self._world.flash, DirectoryFlash)
        self._world.flash.rename(old, new)

    def _statvfs(self) -> list[int]:
        assert isinstance(self._world.flash, DirectoryFlash)
        return self._world.flash.statvfs()

    # the network

    def _wlan_active(self, active: bool) -> None:
        self._world.wifi.active = active

    def _address(self, host: str, port: int, datagrams: bool) -> int:
        if not _numeric(host) and not self._world.relays.resolves(host):
            raise BoardError("OSError", -202)
        return self._world.relays.address(host, port, datagrams)


def _numeric(host: str) -> bool:
    parts = host.split(".")
    return len(parts) == 4 and all(part.isdigit() and int(part) < 256 for part in parts)
