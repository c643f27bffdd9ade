"""`sys`, `gc`, `micropython` and `flashbdev` as on an ESP32. They are built in, or made at start: a
file of their name would not be found, and objects stand in."""

from collections import namedtuple

_MPY = 6 | 3 << 8 | 10 << 10  # .mpy version 6.3 for xtensawin
_Implementation = namedtuple(
    "implementation", ("name", "version", "_machine", "_mpy", "_build", "_thread")
)
MACHINE = "Generic ESP32 module with ESP32"


class Sys:
    """The interpreter's own `sys` with the board's name on it."""

    def __init__(self, native):
        for name in dir(native):
            if name not in ("atexit", "executable", "ps1", "ps2", "__class__", "__dict__"):
                setattr(self, name, getattr(native, name))
        self.platform = "esp32"
        self.implementation = _Implementation(
            "micropython", native.implementation.version, MACHINE, _MPY, "ESP32_GENERIC", "GIL"
        )
        self.argv = []


class Vfs:
    """The interpreter's own `vfs`, with the ROM of the board."""

    def __init__(self, native, rom_ioctl):
        for name in dir(native):
            if name not in ("VfsPosix", "__class__", "__dict__"):
                setattr(self, name, getattr(native, name))
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
