"""A virtual charger in the foreground: puts world, power, console and control port together."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from tools import linking, mpy, romfs
from tools.virtual.board_files import install, runs_in_place
from tools.virtual.console import StandardOutput, say
from tools.virtual.control import Control
from tools.virtual.flash import Chip, Flash, FlashError, Nvs, Rom, open_flash
from tools.virtual.kind import BLOCK_BYTES, Kind, KindError, kind
from tools.virtual.power import HEAP_BYTES, Power, PowerError, Program, find_micropython
from tools.virtual.serial import SerialLine
from tools.virtual.wiring import ConfigFileError, read_config, wiring
from tools.virtual.world import World

_SWITCH_S = 0.0002  # the thread that serves the board never waits longer for its turn
_HEAP_KB = range(16, 65_537)


class SimulateError(Exception):
    """The simulator cannot start; one line."""


_ERRORS = (
    SimulateError,
    FlashError,
    KindError,
    ConfigFileError,
    PowerError,
    mpy.CompileError,
    linking.LinkError,
    romfs.ImageError,
)


def run(
    config: str | os.PathLike[str] | None = None,
    flash: str | os.PathLike[str] | None = None,
    control: int = 0,
    serial: bool = False,
    main: str | os.PathLike[str] | None = None,
    path: str | os.PathLike[str] | None = None,
    heap: int | None = None,
    stdin: bool = False,
    first: Sequence[str] = (),
    board: Sequence[str] = (),
) -> int:
    """Run until told to end; returns the exit status.

    config: the board's config.json; without it the one that lies in the flash, or the default
    pins. flash: directory or .img file; without it one that is thrown away at the end. control: the
    port on 127.0.0.1, 0 for any. main, path: another program and the first folder of its import
    path. heap: KB free for the program, on this 64-bit MicroPython. stdin: end when it ends. first:
    commands of the control port, carried out before the supply is switched on. board: KEY=VALUE
    each, as tools.virtual.kind has them.
    """
    before = os.umask(0o077)  # a board's flash holds its keys, and it is a file here
    try:
        return asyncio.run(
            _simulate(config, flash, control, serial, main, path, heap, stdin, first, board)
        )
    except _ERRORS as error:
        print(f"tapgate simulate: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0
    finally:
        os.umask(before)


async def _simulate(
    config: str | os.PathLike[str] | None,
    flash: str | os.PathLike[str] | None,
    control_port: int,
    serial: bool,
    main: str | os.PathLike[str] | None,
    path: str | os.PathLike[str] | None,
    heap: int | None,
    stdin: bool,
    first: Sequence[str],
    board: Sequence[str],
) -> int:
    sys.setswitchinterval(_SWITCH_S)
    loop = asyncio.get_running_loop()
    over = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, over.set)
    made = kind(board)
    program = _program(main, path, heap)
    given = read_config(Path(config)) if config else None
    micropython = find_micropython()
    in_place = "MICROPYTHON" not in os.environ or runs_in_place(micropython)
    if flash is None and main is None:
        raise SimulateError("--flash is missing: a directory or an .img file")
    async with contextlib.AsyncExitStack() as stack:
        chips = stack.enter_context(_flash(flash, made))
        rom = stack.enter_context(_rom(flash, made))
        nvs = _nvs(flash)
        storage = Chip(made, chips, rom, nvs)
        if given is not None:
            install(given, chips, rom if in_place and made.rom else None)
        wired = wiring(given if given is not None else chips.read("config.json"))
        world = World(wired, chips, storage, nvs, loop, lambda event: control.push(event))
        console = SerialLine(loop) if serial else StandardOutput(loop)
        stack.callback(console.close)

        def ready() -> None:
            if not announced:
                announced.append(port)
                say(f"ready control=127.0.0.1:{port}")

        def stopped() -> None:
            console.catch_up()
            say(f"stopped control=127.0.0.1:{port}")

        def hopeless(why: str) -> None:
            failures.append(why)
            over.set()

        announced: list[int] = []
        failures: list[str] = []
        power = Power(world, loop, console, micropython, program, ready, stopped, hopeless)
        control = Control(world, power, loop)
        try:
            port = await control.open(control_port)
        except (OSError, OverflowError) as error:
            code = getattr(error, "errno", None)
            reason = os.strerror(code) if code else error
            raise SimulateError(f"control port {control_port}: {reason}") from error
        stack.callback(control.close)
        stack.push_async_callback(world.relays.close)
        if isinstance(console, SerialLine):
            say(f"serial={console.name}")
        if stdin:
            _end_with_stdin(loop, over)
        stack.callback(power.switch_off)
        await stack.enter_async_context(_time_passes(world, loop))
        for command in first:
            answer = await control.answer(command.encode())
            if not answer["ok"]:
                raise SimulateError(f"first: {answer['error']}")
        power.switch_on()
        await over.wait()
    if failures:
        raise SimulateError(failures[0])
    return 0


def _program(
    main: str | os.PathLike[str] | None, path: str | os.PathLike[str] | None, heap: int | None
) -> Program:
    program = folder = None
    if main is not None:
        program = Path(main).resolve()
        try:
            program.read_text()
        except (OSError, ValueError) as error:
            raise SimulateError(f"{main}: {getattr(error, 'strerror', None) or error}") from error
        folder = program.parent
    if path is not None:
        folder = Path(path).resolve()
        if not folder.is_dir():
            raise SimulateError(f"{path}: no directory")
    if heap is not None and heap not in _HEAP_KB:
        raise SimulateError(f"heap: found {heap}, allowed {_HEAP_KB.start} to {_HEAP_KB[-1]} KB")
    return Program(program, folder, HEAP_BYTES if heap is None else heap * 1024)


@contextlib.contextmanager
def _flash(given: str | os.PathLike[str] | None, made: Kind):
    with contextlib.ExitStack() as stack:
        if given is None:
            given = stack.enter_context(tempfile.TemporaryDirectory(prefix="tapgate-flash-"))
        chips: Flash = open_flash(Path(given), made.vfs_bytes // BLOCK_BYTES)
        stack.callback(chips.close)
        yield chips


@contextlib.contextmanager
def _rom(flash: str | os.PathLike[str] | None, made: Kind):
    if not made.romfs_kb:
        yield None
        return
    with contextlib.ExitStack() as stack:
        if flash is None:
            flash = Path(
                stack.enter_context(tempfile.TemporaryDirectory(prefix="tapgate-rom-")), "x"
            )
        rom = Rom(_beside(flash, ".rom"), made.romfs_kb * 1024)
        stack.callback(rom.close)
        yield rom


def _nvs(flash: str | os.PathLike[str] | None) -> Nvs:
    if flash is None:
        return Nvs(None)
    return Nvs(_beside(flash, ".nvs"))


def _beside(flash: str | os.PathLike[str], suffix: str) -> Path:
    place = Path(flash)
    return place.with_name(place.name + suffix)


@contextlib.asynccontextmanager
async def _time_passes(world: World, loop: asyncio.AbstractEventLoop) -> AsyncIterator[None]:
    """Lets what is due in the world happen in its time."""
    earlier = asyncio.Event()

    def wake() -> None:
        loop.call_soon_threadsafe(earlier.set)

    world.schedule.on_earlier = wake

    async def pass_time() -> None:
        while True:
            earlier.clear()
            with world.lock:
                world.schedule.run_due()
                due_ns = world.schedule.next_due_ns()
            wait_s = None if due_ns is None else (due_ns - world.schedule.now_ns()) / 1e9
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(earlier.wait(), wait_s)

    task = loop.create_task(pass_time())
    try:
        yield
    finally:
        task.cancel()


def _end_with_stdin(loop: asyncio.AbstractEventLoop, over: asyncio.Event) -> None:
    def readable() -> None:
        if not os.read(0, 4096):
            loop.remove_reader(0)
            over.set()

    try:
        loop.add_reader(0, readable)
    except (PermissionError, OSError):  # a file or /dev/null: at its end already
        over.set()
