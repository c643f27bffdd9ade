"""A charger's life from one reset to the next: boot.py and main.py as they lie on the flash."""

import sys

import clockwork
import codes
import flash_chip
import line
import vfs
import wiring


def prepare(job):
    """Opened while the computer's files are in sight."""
    import time

    line.open_line(job["ask"], job["hear"])
    time.offset_ms = job["ticks_ms"] - job["start_ns"] // 1_000_000


def _let_tasks_wait():
    """asyncio's queue is in C and knows the computer's ticks alone: it is given those of the board
    before they wrap, which are always ahead of them."""
    import asyncio.core as core

    native = sys.modules["_native_time"]
    core.ticks = _unwrapped
    core.ticks_add, core.ticks_diff = native.ticks_add, native.ticks_diff


def _unwrapped():
    clockwork.enter()
    ms = clockwork.now_ns // 1_000_000
    clockwork.leave()
    return ms


class Flash(flash_chip.Flash):
    """On which the supply may go in the middle of a write."""

    left = 0
    part = 0

    def cut_at(self, number, percent):
        """At that write from now on, of which only so much still happens. 0: no more."""
        self.left, self.part = number, percent

    def writeblocks(self, block, buf, offset=None):
        if self.left:
            self.left -= 1
            if not self.left:
                done = len(buf) * self.part // 100
                flash_chip.Flash.writeblocks(self, block, memoryview(buf)[:done], offset)
                line.ask(codes.CUT)
        flash_chip.Flash.writeblocks(self, block, buf, offset)


class _Vfs:
    """`vfs` with the partition that the firmware lies in."""

    def __init__(self, image):
        self._image = image
        for name in ("mount", "umount", "VfsRom", "VfsLfs2"):
            setattr(self, name, getattr(vfs, name))

    def rom_ioctl(self, what, number=0):
        return self._image if what == 2 else 1


def rom(image):
    sys.modules["vfs"] = _Vfs(image)


def run(job, chip, _):
    wiring.flash = chip
    _let_tasks_wait()
    for name, content in job["files"].items():
        with open(name, "wb") as file:
            file.write(bytes.fromhex(content))
    wiring.begin(job)
    content = None
    job.clear()  # its memory is the firmware's
    for name in ("boot.py", "main.py"):
        with open(name) as file:
            program = file.read()
        exec(program, {"__name__": "__main__"})
    raise SystemExit("main.py has ended")
