"""The charger: a process of the modelled board for each of its lives, what is wired to it, and its
questions answered until the time is up."""

from __future__ import annotations

import collections
import contextlib
import random
import struct
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tools import mpy
from tools.bench import frames
from tools.bench.running import BLOCK_BYTES, BenchError, blank, board
from tools.installer import slots
from tools.soak.board import codes
from tools.soak.line import Gone, Line, Order, Question
from tools.soak.network import Network
from tools.soak.world import S, World
from tools.virtual.wiring import DEFAULTS

BOARD = Path(__file__).with_name("board")
CALL_NS = 20_000  # board time of each call of a stand-in: the interpreter's own is not measured
COARSE_MS = 1_000
WRAP_MS = 1 << 30
_MODULES = ("socket", "esp32")
_TAP_MS = 400
_UNASKED_MOST = 20
_AFTER_SEND_MS, _AFTER_PING_MS = 300, 20
_POWER, _HARD, _WATCHDOG = 1, 2, 3
_RTC_RESET = 946_684_800  # 2000-01-01


class Charger:
    """`on_coil(on, tap)`, `on_measured(figures)`, `on_life(cause)`: called as it happens; `tap` is
    (found_ns, us, frames, reads) of the card that was found last. `wh`: of the meter, ever."""

    def __init__(
        self,
        folder: Path,
        config: Path,
        world: World,
        network: Network,
        chance: random.Random,
        wraps_within_s: float = 6 * 3_600,
    ):
        self._wraps_within_ms = int(wraps_within_s * 1_000)
        self._wraps_ns = 0
        self.wraps = 0  # of the board's milliseconds
        self._folder, self._world, self._network, self._chance = folder, world, network, chance
        self._image = blank(folder / "flash.img")
        image = mpy.image()
        slot = -(-len(image) // BLOCK_BYTES) * BLOCK_BYTES
        self._rom = image + bytes(2 * slot - len(image))  # two slots, as loader.py divides it
        self._files = {
            **mpy.starters(),
            "config.json": config.read_bytes(),
            mpy.CHOICE: slots.alone(slots.Wanted(image, mpy.version())),
        }
        self.connected = self.coil = False
        self.reader_dead = self.feedback_lost = False
        self.per_hour = 0
        self._wh_before = self._wh_now = 0
        self._rtc = (_RTC_RESET, world.now_ns, b"")
        self._cause = _POWER
        self._ends: tuple[int, int] | None = None  # the cause of the next start, and when
        self._orders: list[Order] = []
        self._records: dict[str, bytes] = {}
        self._silence = frames.look(None).answers[0][1].hex()
        self.lives = 0
        self.said: collections.deque[str] = collections.deque(maxlen=60)
        self.unasked: list[str] = []  # resets that nobody has caused
        self.restart_asked = self._stopped = False
        self.on_coil: Callable[[bool, tuple[int, int, int, int]], None] = lambda on, tap: None
        self.on_measured: Callable[[tuple[int, ...]], None] = lambda figures: None
        self.on_life: Callable[[str], None] = lambda cause: None

    @property
    def wh(self) -> int:
        return self._wh_before + self._wh_now

    # What people and the world do.

    def plug(self, on: bool) -> None:
        self.connected = on
        self._order(codes.VEHICLE, on)

    def draw(self, watts: int) -> None:
        self.per_hour = watts
        self._order(codes.POWER, 0, struct.pack("<i", watts))

    def tap(self, uid: str) -> float:
        """Hold a card there; the seconds from now until it can answer."""
        if uid not in self._records:
            self._records[uid] = frames.record(uid)
        there_ns = self._world.now_ns + int(self._chance.uniform(0, 0.1) * S)
        gone_ns = there_ns + _TAP_MS * S // 1_000
        self._order(codes.CARD, 0, struct.pack("<qq", there_ns, gone_ns) + self._records[uid])
        self.placed_ns = there_ns
        self._world.look_closely(3)
        return (there_ns - self._world.now_ns) / S

    def reader(self, dead: bool) -> None:
        self.reader_dead = dead
        self._order(codes.READER, dead)

    def feedback(self, lost: bool) -> None:
        self.feedback_lost = lost
        self._order(codes.FEEDBACK, lost)

    def radio(self, up: bool) -> None:
        (self._network.wrong.discard if up else self._network.wrong.add)("radio")
        if not up:
            self._network.lose_link()
        self._order(codes.RADIO, up)

    def fill_flash(self, leave: int) -> None:
        """Up to so many blocks; 0: what has filled it is taken away."""
        self._order(codes.BALLAST, leave)

    def measure(self) -> None:
        self._order(codes.MEASURE)

    def cut(self, off_s: float = 0) -> None:
        """The supply goes at this instant."""
        self._ends = (_POWER, self._world.now_ns + int(off_s * S))

    def cut_at_write(self, number: int, percent: int) -> None:
        self._order(codes.CUT_AT, 0, struct.pack("<HB", number, percent))

    def hang(self) -> None:
        """Nothing happens on the board any more, until its watchdog bites."""
        self._ends = (_WATCHDOG, self._world.now_ns + 8 * S)

    def _order(self, what: int, argument: int = 0, data: bytes = b"") -> None:
        self._orders.append((what, int(argument), data))

    # Lives.

    def run(self) -> None:
        """Until somebody stops it."""
        while not self._stopped:
            self._live()
            if len(self.unasked) > _UNASKED_MOST:
                raise BenchError("it starts over and over: " + self.unasked[0])

    def stop(self) -> None:
        """As it is, once the world has acted."""
        self._stopped = True

    def _live(self) -> None:
        self.lives += 1
        pipes = Line(self._folder)
        self._orders.clear()  # what they have changed stands in the job
        self._wh_before, self._wh_now = self.wh, 0
        self._network.lose_link()
        with (
            contextlib.closing(pipes),
            board(
                self._folder,
                "soak",
                self._image,
                self._job(pipes),
                over=BOARD,
                image=self._rom,
                said=self.said,
            ) as lines,
        ):
            ended = threading.Event()
            reading = threading.Thread(target=self._listen, args=(lines, ended), daemon=True)
            reading.start()
            try:
                self._serve(pipes, ended)
            except Gone:
                raise BenchError("the board has ended: " + " / ".join(self.said)) from None
        reading.join()
        self._files = {}

    def _listen(self, lines, ended: threading.Event) -> None:
        with contextlib.suppress(BenchError, ValueError, OSError):
            for _ in lines:
                pass
        ended.set()

    def _job(self, pipes: Line) -> dict[str, Any]:
        world = self._world
        began_s, began_ns, memory = self._rtc
        if self._cause == _POWER:
            began_s, began_ns, memory = _RTC_RESET, world.now_ns, b""
        job = {
            "ask": str(pipes.ask),
            "hear": str(pipes.hear),
            "modules": _MODULES,
            "call_ns": CALL_NS,
            "start_ns": world.now_ns,
            "ticks_ms": WRAP_MS - self._left_ms(),
            "coarse_ms": COARSE_MS,
            "format": bool(self._files),
            "files": {name: content.hex() for name, content in self._files.items()},
            "pins": {name: DEFAULTS["pins"][name] for name in ("contactor", "contact", "feedback")},
            "silence": self._silence,
            "cause": self._cause,
            "connected": self.connected,
            "radio": "radio" not in self._network.wrong,
            "reader_dead": self.reader_dead,
            "feedback_lost": self.feedback_lost,
            "per_hour": self.per_hour,
            "rtc_s": began_s + (world.now_ns - began_ns) // S,
            "rtc_memory": memory.hex(),
        }
        self._cause = _HARD
        return job

    def _left_ms(self) -> int:
        """Until the milliseconds wrap in this life: on a board that takes twelve days."""
        left_ms = self._chance.randrange(30_000, self._wraps_within_ms)
        self._wraps_ns = self._world.now_ns + left_ms * S // 1_000
        return left_ms

    def _serve(self, pipes: Line, ended: threading.Event) -> None:
        world, network = self._world, self._network
        world.look_closely(10)
        while True:
            question = pipes.question(lambda: not ended.is_set())
            world.now_ns = max(world.now_ns, question.now_ns)
            self._wh_now = question.pulses
            number, data = self._answered(question)
            world.act()
            if self._ends is not None or self._stopped:
                self._end()
                return
            orders, self._orders = self._orders, []
            pipes.answer(number, network.flags(), world.due_ns, world.closely_ms, data, orders)
            world.closely_ms = 0

    def _end(self) -> None:
        """This life is over, and the next one begins at its time."""
        world = self._world
        self.wraps += world.now_ns > self._wraps_ns
        if self._ends is None:
            return
        self._cause, begins_ns = self._ends
        self._ends = None
        if self.coil:
            self.coil = False
            self.on_coil(False, (0, 0, 0, 0))
        world.now_ns = max(world.now_ns, begins_ns)
        self.on_life({_POWER: "power", _HARD: "restart", _WATCHDOG: "watchdog"}[self._cause])

    def _answered(self, question: Question) -> tuple[int, bytes]:
        world, network = self._world, self._network
        match question.what:
            case codes.COIL:
                self.coil = bool(question.argument)
                self.on_coil(self.coil, struct.unpack("<qiii", question.data))
            case codes.CONNECT:
                network.connect()
                world.look_closely(0.3)
            case codes.SEND:
                matters = network.send(question.data)
                world.look_closely((_AFTER_SEND_MS if matters else _AFTER_PING_MS) / 1_000)
                return len(question.data), b""
            case codes.RECEIVE:
                found = network.receive(question.argument)
                return len(found), found
            case codes.CLOSE:
                network.close()
            case codes.UDP:
                number, port = divmod(question.argument, 1 << 16)
                found = network.datagram(port, question.data)
                if found:
                    self._order(codes.DATAGRAM, number, found)
                world.look_closely(0.1)
            case codes.RTC:
                (s,) = struct.unpack_from("<q", question.data)
                self._rtc = (s, question.now_ns, question.data[8:])
            case codes.MEASURED:
                self.on_measured(struct.unpack("<iiiii", question.data))
            case codes.RESET:
                if not self.restart_asked:
                    self.unasked.append("restart: " + " / ".join(list(self.said)[-8:]))
                self.restart_asked = False
                self._ends = (_HARD, world.now_ns)
            case codes.BITE:
                self.unasked.append("the watchdog has bitten")
                self._ends = (_WATCHDOG, world.now_ns)
            case codes.CUT:
                self._ends = (_POWER, world.now_ns + S)
        return 0, b""
