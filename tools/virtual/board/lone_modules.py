"""`sys`, `gc`, `micropython` and `flashbdev` as on an ESP32. They are built in, or made at start: a
file of their name would not be found, and objects stand in."""

from collections import namedtuple

_Implementation = namedtuple(
    "implementation", ("name", "version", "_machine", "_mpy", "_build", "_thread")
)


class Sys:
    """The interpreter's own `sys` with the board's name on it."""

    def __init__(self, native, kind):
        for name in dir(native):
            if name not in ("atexit", "executable", "ps1", "ps2", "__class__", "__dict__"):
                setattr(self, name, getattr(native, name))
        self.platform = kind["platform"]
        version = native.implementation.version
        if kind["version"]:
            version = tuple([int(part) for part in kind["version"].split(".")]) + ("",)
            words = native.version.split(" ")  # "3.4.0; MicroPython v1.29.0 on 2026-07-01"
            words[2] = "v" + kind["version"]
            self.version = " ".join(words)
        self.implementation = _Implementation(
            "micropython", version, kind["machine"], kind["mpy"], kind["build"], "GIL"
        )
        self.argv = []


class Vfs:
    """The interpreter's own `vfs`, with the ROM of the board, if its MicroPython knows such."""

    def __init__(self, native, rom_ioctl, rom):
        for name in dir(native):
            if name not in ("VfsPosix", "VfsRom", "rom_ioctl", "__class__", "__dict__"):
                setattr(self, name, getattr(native, name))
        if rom:
            self.VfsRom = native.VfsRom
            self.rom_ioctl = rom_ioctl


class Flashbdev:
    """What a board mounts at its start, for programs that mount it in their own way."""

    def __init__(self, bdev):
        self.bdev = bdev


class Gc:
    """The interpreter's own `gc`, less what the virtual hardware itself takes."""

    def __init__(self, native):
        for name in ("collect", "disable", "enable", "isenabled", "mem_free", "threshold"):
            setattr(self, name, getattr(native, name))
        self._native = native
        self.hardware_bytes = 0

    def mem_alloc(self):
        return self._native.mem_alloc() - self.hardware_bytes


class Micropython:
    """The interpreter's own `micropython`; the key that interrupts is the world's to know."""

    def __init__(self, native, interrupts):
        for name in dir(native):
            if name not in ("__class__", "__dict__", "kbd_intr"):
                setattr(self, name, getattr(native, name))
        self._interrupts = interrupts

    def kbd_intr(self, character):
        self._interrupts(character >= 0)
