"""Drivers at a charger, one after the other: from a card in the field to the coil, in board time.

The whole firmware runs, with its link. Prints one JSON line for each tap.
"""

import gc
import json
import math
import random
import sys

import clockwork
import wiring

_MS = 1_000_000
_FIRST_MS = 8000  # after the start of the board
_AWAITS_MS = (600, 2600)  # between plugging in and the card
_LIES_MS = 300
_CHARGES_MS = (400, 900)
_RESTS_MS = (1200, 2000)  # between two drivers
_LIMIT_MS = 4000  # a tap that has led to nothing
_START_UP_MS = (0.3, 0.4, 5.0)  # of a card: least, spread, most, as the chip model has it
# Turns, while no card is near. Pystone takes memory out of the same heap, which no board has to
# collect: at every eighth turn it left more garbage than the firmware itself.
_SPEED_EVERY = 64
_RECORD_BYTES = 6 * 24  # of a card (reader_chip.py)

_cards = None


def prepare(job):
    """Opened while the computer's files are in sight."""
    global _cards
    _cards = open(job["cards"], "rb", buffering=0)


class Driver:
    """Plugs in, waits a while, holds a card to the reader, unplugs.

    `count` cards; `wanted` taps that nothing has disturbed, of at most `most`.
    """

    def __init__(self, count, wanted, most, seed, adjust):
        random.seed(seed)
        self._adjust = adjust
        self._count = count
        self._wanted = wanted
        self._most = most
        self._taps = self._turns = 0
        self._found = [0] * len(clockwork.PARTS)
        self._later(_FIRST_MS, self._plug)
        wiring.on_coil = self._coil

    def turn(self, now_ns):
        if now_ns >= self._due_ns:
            self._next()
        elif self._next != self._taken:
            self._turns += 1
            if self._turns % _SPEED_EVERY == 0:
                self._adjust()

    def _later(self, ms, what):
        self._due_ns = clockwork.now_ns + int(ms * _MS)
        self._next = what

    def _plug(self):
        if self._wanted <= 0 or self._taps >= self._most:
            raise wiring.Over()
        self._taps += 1
        wiring.connected = True
        self._later(random.uniform(*_AWAITS_MS), self._place)

    def _place(self):
        bus = wiring.bus
        self._number = random.randrange(self._count)
        _take(self._number)
        self._placed_ns = clockwork.now_ns + random.randrange(100 * _MS)
        bus.there_ns = self._placed_ns + _start_up_ns()
        bus.gone_ns = self._placed_ns + _LIES_MS * _MS
        bus.on_found = self._is_found
        self._coil_ns = None
        clockwork.watch(self._placed_ns)
        clockwork.seen()
        self._later(_LIMIT_MS, self._taken)

    def _is_found(self):
        """The card answers: what has passed until now was waiting for that."""
        wiring.bus.on_found = None
        for part in range(len(self._found)):
            self._found[part] = clockwork.parts[part]
        self._before = _counts()

    def _coil(self):
        if self._next == self._taken and self._coil_ns is None:
            self._coil_ns = clockwork.now_ns
            self._quiet = clockwork.quiet()
            self._parts = list(clockwork.parts)
            self._counts = [b - a for a, b in zip(self._before, _counts())]
            self._due_ns = clockwork.now_ns + _LIES_MS * _MS

    def _taken(self):
        line = {"card": self._number, "ms": None}
        if self._coil_ns is not None:
            line["ms"] = (self._coil_ns - self._placed_ns) / _MS
            line["waited"] = [ns / _MS for ns in self._found]
            line["after"] = [(b - a) / _MS for a, b in zip(self._found, self._parts)]
            line["counts"] = self._counts
            line["quiet"] = self._quiet
            self._wanted -= self._quiet
        clockwork.watch(None)
        print(json.dumps(line))
        self._later(random.uniform(*_CHARGES_MS), self._unplug)

    def _unplug(self):
        wiring.connected = False
        self._later(random.uniform(*_RESTS_MS), self._plug)


class Queue:
    """Card after card, each taken away and the next one put there as soon as it was judged."""

    def __init__(self, count, wanted, most, seed, adjust):
        from firmware.app import ChargePoint

        self._adjust = adjust
        self._count = count
        self._most = most
        self._taps = -1
        self._began_ns = None
        self._due_ns = clockwork.now_ns + _FIRST_MS * _MS
        judge = ChargePoint.tap

        def tap(point, number):
            judge(point, number)
            self._judged()

        ChargePoint.tap = tap

    def turn(self, now_ns):
        if now_ns >= self._due_ns:
            self._due_ns = now_ns + 1_000_000 * _MS
            self._began_ns = now_ns
            self._judged()
        else:
            self._adjust()

    def _judged(self):
        self._taps += 1
        bus = wiring.bus
        _take(self._taps % self._count)
        bus.there_ns = clockwork.now_ns + _start_up_ns()
        bus.gone_ns = bus.there_ns + 1_000_000 * _MS
        if self._taps == self._most:
            s = (clockwork.now_ns - self._began_ns) / _MS / 1_000
            print(json.dumps({"taps_per_second": self._taps / s}))
            raise wiring.Over()


def _take(number):
    """Another card's answers."""
    _cards.seek(number * _RECORD_BYTES)
    _cards.readinto(wiring.bus.card)


def _start_up_ns():
    least, spread, most = _START_UP_MS
    return int(min(least - spread * math.log(1 - random.random()), most) * _MS)


def _counts():
    bus, flash = wiring.bus, wiring.flash
    return bus.frames, bus.bytes, flash.reads, flash.pieces, flash.erasures


def run(job, chip, speed):
    wiring.pins = job["pins"]
    wiring.flash = chip
    wiring.silence = bytes.fromhex(job["silence"])
    adjust = clockwork.adjust if job["in_loop"] else clockwork.adjust_in_place
    people = Queue if job["queue"] else Driver
    script = people(job["count"], job["taps"], job["most"], job["seed"], adjust)
    app = _app(job)
    began_ns = clockwork.now_ns
    wiring.script = script
    try:
        app.run()
    except wiring.Over as over:
        if over.args:
            print(json.dumps({"over": over.args[0]}))
    gc.collect()
    board_ns = clockwork.now_ns - began_ns
    found = {
        "pystones": speed,
        "in_place": 1_000_000 / (clockwork.in_place_us or 1),
        "busy": 1 - clockwork.total[clockwork.IDLE] / board_ns,
    }
    print(json.dumps(found))


def _app(job):
    """As main.py does it."""
    import machine
    import network

    from firmware import config
    from firmware.app import App
    from firmware.hardware.board import Board

    settings = config.load("config.json")
    settings["broker"].update(job["broker"])
    app = App(settings, Board(settings, machine), machine, network)
    for package, module in (("firmware", "config"), ("firmware.hardware", "board")):
        delattr(sys.modules[package], module)
        del sys.modules[package + "." + module]
    settings.clear()
    return app
