"""A board as the loader finds it (firmware/loader.py), with stands in the place of its modules."""

import json
import sys
from binascii import hexlify
from hashlib import sha256

from host_tests.pure.flash_model import Files, Flash

_PATH = __file__[: -len("host_tests/pure/loading.py")] + "firmware/loader.py"

if not hasattr(sys, "print_exception"):  # CPython
    sys.print_exception = lambda error: None

SLOT = 8_192
CHOICE = "firmware.json"
A, B = b"image a" * 100, b"image b" * 50


class Stand:
    def __init__(self, **members):
        for name in members:
            setattr(self, name, members[name])


def entry(slot: str, image: bytes, version: str) -> dict:
    digest = hexlify(sha256(image).digest()).decode()
    return {"run": slot, "sha256": digest, "bytes": len(image), "version": version}


def proven(**changes) -> dict:
    """firmware.json of a board on which 0.1.0 lies in slot a and works."""
    return changed(entry("a", A, "0.1.0"), True, None, changes)


def on_trial(**changes) -> dict:
    """firmware.json right after an update to 0.2.0, in slot b."""
    return changed(entry("b", B, "0.2.0"), False, entry("a", A, "0.1.0"), changes)


def changed(chosen: dict, is_proven: bool, before, changes: dict) -> dict:
    chosen.update({"proven": is_proven, "starts": 0, "before": before, "gave_up": None})
    chosen.update(changes)
    return chosen


class Board:
    """`choice`: what firmware.json holds, as bytes or to be written as JSON; None: no such file.
    `fault`: the number of the OSError that every write ends in. `done`: what happened, in order."""

    POWER, HARD, WATCHDOG, SLEEP, SOFT = 1, 2, 3, 4, 5

    def __init__(self, choice, a=A, b=B, cause=POWER, fault=0, files=None, config=None):
        self.files = files or Files(Flash())
        if choice is not None:
            self._put(CHOICE, choice if isinstance(choice, bytes) else json.dumps(choice).encode())
        if config is not None:
            self._put("config.json", config)
        self.rom = bytearray(b"\xff" * (2 * SLOT + 100))
        self.rom[: len(a)] = a
        self.rom[SLOT : SLOT + len(b)] = b
        self.cause = cause
        self.fault = fault
        self.done = []
        self.said = []
        self.lamp = {}
        self.mounted = "slot a"
        self.timer = None
        self.vfs = Stand(
            rom_ioctl=lambda op, number: self.rom,
            VfsRom=bytes,
            umount=self._umount,
            mount=self._mount,
        )

    def _put(self, path, content):
        self.files.flash.contents[path] = [content]

    def loader(self):
        """loader.py as a stand of its names, on this board."""
        with open(_PATH) as file:
            source = file.read()
        names = {
            "print": lambda *words: self.said.append(" ".join(map(str, words))),
            "open": self._open,
            "__name__": "loader",
        }
        modules = {
            "machine": self._machine(),
            "os": Stand(stat=self.files.size, rename=self.files.rename),
            "sys": self.sys,
            "vfs": self.vfs,
            "neopixel": Stand(NeoPixel=self._pixels),
        }
        self._as_modules(modules, lambda: exec(compile(source, "loader.py", "exec"), names))
        self.names = names
        return Stand(
            load=lambda: self._as_modules(modules, names["load"]),
            alarm=lambda: self._as_modules(modules, names["alarm"]),
            Incomplete=names["Incomplete"],
            Trial=names["Trial"],
        )

    path = ("", ".frozen", "/lib")

    @property
    def sys(self):
        if not hasattr(self, "_sys"):
            self._sys = Stand(path=list(self.path), modules=sys.modules)
        return self._sys

    def _as_modules(self, modules, do):
        before = {}
        for name in modules:
            before[name] = sys.modules.get(name)
            if modules[name] is not None:
                sys.modules[name] = modules[name]
        try:
            return do()
        finally:
            for name in before:
                sys.modules.pop(name, None)
                if before[name] is not None:
                    sys.modules[name] = before[name]

    def runs(self):
        """Start it: what firmware.json says of what runs; what is mounted is in `mounted`."""
        return self.loader().load()

    def fails(self):
        """Start it where it cannot: what it says is missing."""
        loader = self.loader()
        try:
            loader.load()
        except loader.Incomplete as error:
            return str(error)
        raise AssertionError("it started")

    @property
    def choice(self):
        return json.loads(self.files.flash.data(CHOICE))

    def _open(self, path, mode):
        if self.fault and mode == "wb":
            raise OSError(self.fault, "not written")
        return self.files.open(path, mode)

    def _umount(self, path):
        assert path == "/rom"
        if self.mounted is None:
            raise OSError(22, "not mounted")
        self.mounted = None

    def _mount(self, image, path):
        assert path == "/rom" and self.mounted is None
        self.mounted = image

    def _machine(self):
        board = self

        class Timer:
            def __init__(self, number):
                self.number = number

            def init(self, period, callback):
                board.timer = (self.number, period)
                self.elapse = lambda: callback(self)
                board.elapse = self.elapse

            def deinit(self):
                board.timer = None

        class Pin:
            OUT = "out"

            def __init__(self, number, mode=None, value=None):
                self.number = number
                if mode:
                    board.lamp[number] = value

        return Stand(
            PWRON_RESET=1,
            SOFT_RESET=5,
            reset_cause=lambda: board.cause,
            reset=lambda: board.done.append("reset"),
            Timer=Timer,
            Pin=Pin,
        )

    def _pixels(self, pin, count):
        def fill(colour):
            self.lamp[pin.number] = (count, colour)

        return Stand(fill=fill, write=lambda: None)
