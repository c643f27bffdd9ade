"""From the card to the coil: the whole firmware on the modelled board, tap after tap."""

from __future__ import annotations

import random
import shutil
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from tools.bench import frames, growth, lists
from tools.bench.running import BenchError, blank, board
from tools.broker import Broker
from tools.fault_proxy import FaultProxy
from tools.portal import topics
from tools.virtual.wiring import DEFAULTS

PARTS = ("SPI frames", "SPI bits", "air", "flash", "interpreter", "idle")
_OF_EACH_SIZE = 32  # cards with 4 and with 7 bytes that are held to the reader
_QUEUE = 60
_FAULT_S = (0.02, 0.12)  # the modelled board goes through some seconds of its time meanwhile
_FLOOD_BYTES = 4_000


class Tap(NamedTuple):
    """Milliseconds of board time, by PARTS: until the card answered, and from then to the coil."""

    uid: str
    ms: float
    waited: list[float]
    after: list[float]
    counts: list[int]  # from the card's answer on: frames, bytes, blocks, pieces of flash, erasures


class Run(NamedTuple):
    """`taps`: those that the computer has not disturbed. `lost`: that led to nothing."""

    taps: list[Tap]
    disturbed: int
    lost: int
    pystones: float  # per second, in a loop
    in_place: float  # the same between the firmware's own work, by which its time is counted
    busy: float  # the share of its time in which the board had something to do
    connections: int = 0

    def ms(self, share: float) -> float:
        """The time that so large a share of the taps did not exceed."""
        return percentile([tap.ms for tap in self.taps], share)

    def parts(self, taps: list[Tap], which: str) -> list[float]:
        """The mean of the parts of these taps."""
        return [statistics.fmean(getattr(tap, which)[at] for tap in taps) for at in range(6)]

    def around(self, share: float) -> list[Tap]:
        """The taps next to that share of all, in order of their length."""
        in_order = sorted(self.taps, key=lambda tap: tap.ms)
        at = min(len(in_order) - 1, int(len(in_order) * share))
        reach = max(2, len(in_order) // 50)
        return in_order[max(0, at - reach) : at + reach + 1]


def percentile(values: list[float], share: float) -> float:
    in_order = sorted(values)
    return in_order[min(len(in_order) - 1, int(len(in_order) * share))]


class Charger:
    """A charger whose flash has a list of 50,000 cards, made once."""

    def __init__(self, folder: Path, cards: int = lists.LARGE):
        self._folder = folder
        self.uids = lists.uids(_OF_EACH_SIZE, 4) + lists.uids(_OF_EACH_SIZE, 7)
        self.list = lists.of(cards, self.uids)
        self._cards = folder / "cards"
        self._cards.write_bytes(b"".join(frames.record(uid) for uid in self.uids))
        self.image = blank(folder / "charger.img")
        (built,) = growth.run(
            folder,
            self.image,
            self.list,
            ["build"],
            big=True,
            files={"config.json": lists.config({})},
            format=True,
        )["build"]
        if not built["whole"]:
            raise BenchError(f"{cards} cards: {built['why']}")

    def taps(self, wanted: int, seed: int, faults: bool = False, in_loop: bool = False) -> Run:
        """So many taps at random phases of everything; `faults`: with a link that goes wrong;
        `in_loop`: the interpreter's time counted by pystone in a loop."""
        with Broker() as broker, FaultProxy(broker.port) as proxy:
            if not faults:
                lines = self._run(proxy.port, wanted, seed, in_loop=in_loop)
            else:
                with _trouble(broker, proxy, seed):
                    lines = self._run(proxy.port, wanted, seed)
            connections = proxy.connections
        *found, last = lines
        ended = [tap for tap in found if tap["ms"] is not None]
        # Where the computer disturbs them all they are better than nothing.
        quiet = [tap for tap in ended if tap["quiet"]] or ended
        if not quiet:
            raise BenchError("no tap has led to the coil")
        return Run(
            [
                Tap(self.uids[each["card"]], *(each[name] for name in Tap._fields[1:]))
                for each in quiet
            ],
            len(ended) - len(quiet),
            len(found) - len(ended),
            last["pystones"],
            last["in_place"],
            last["busy"],
            connections,
        )

    def per_second(self) -> float:
        """Cards that are held there one after the other, each until it is judged."""
        with Broker() as broker:
            return self._run(broker.port, _QUEUE, 1, queue=True)[0]["taps_per_second"]

    def _run(
        self, port: int, wanted: int, seed: int, queue: bool = False, in_loop: bool = False
    ) -> list[dict[str, Any]]:
        flash = self._folder / "taps.img"
        shutil.copy(self.image, flash)
        job = {
            "pins": {name: DEFAULTS["pins"][name] for name in ("contactor", "contact", "feedback")},
            "silence": frames.look(None).answers[0][1].hex(),
            "cards": str(self._cards),
            "count": len(self.uids),
            "broker": {"port": port},
            "taps": wanted,
            "most": wanted if queue else 2 * wanted,
            "seed": seed,
            "queue": queue,
            "in_loop": in_loop,
        }
        with board(self._folder, "taps", flash, job) as lines:
            return list(lines)


@contextmanager
def _trouble(broker: Broker, proxy: FaultProxy, seed: int) -> Iterator[None]:
    """One fault of the link after the other: stalled, split, dropped, half closed, flooded."""
    rng = random.Random(seed)
    over = threading.Event()
    flood = mqtt.Client(CallbackAPIVersion.VERSION2)
    flood.connect(broker.host, broker.port)
    flood.loop_start()
    topic = topics.command(lists.INSTALLATION, lists.CHARGER)

    def pour() -> None:
        for _ in range(40):
            flood.publish(topic, bytes(rng.choice((_FLOOD_BYTES, 20))))

    def stall() -> None:
        proxy.down = "stall"

    def split() -> None:
        proxy.down = proxy.up = "split"
        pour()

    def cut_short() -> None:
        proxy.down_limit = rng.randrange(200)
        pour()

    def deafen() -> None:
        proxy.deaf = True

    def run() -> None:
        faults = [stall, split, cut_short, deafen, pour, pour, proxy.drop, proxy.half_close]
        while not over.is_set():
            try:
                rng.choice(faults)()
            except (OSError, RuntimeError):
                pass  # there was no connection to do that to
            time.sleep(rng.uniform(*_FAULT_S))
            proxy.heal()
            time.sleep(rng.uniform(*_FAULT_S))

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        flood.disconnect()
        flood.loop_stop()
