"""A board out of an interpreter: its modules, its file system, its ROM; then the job's program."""

import gc
import json
import select
import sys
import time

import clockwork
import flash_chip
import vfs


def run(path, firmware):
    with open(path) as file:
        job = json.load(file)
    program, chip, speed = _become(job, firmware)
    program.run(job, chip, speed)


def _become(job, firmware):
    native_time, native_select = time, select
    if "call_ns" in job:
        speed = clockwork.count_calls(job["start_ns"], job["call_ns"])
    else:
        clockwork.open_schedstat()
        speed = clockwork.calibrate(_pystone(job["pystone"]))
    sys.path.insert(0, job["frozen"])
    import umqtt.simple  # noqa: F401

    sys.path[0] = "/stand-ins/modules"
    sys.modules["_native_time"] = native_time
    sys.modules["_native_select"] = native_select
    for name in ["time", "select", "machine", "network"] + job.get("modules", []):
        sys.modules.pop(name, None)
        sys.modules[name] = sys.modules["u" + name] = __import__(name)
    program = __import__(job["program"])
    program.prepare(job)
    make = getattr(program, "Flash", flash_chip.Flash)
    chip = make(open(job["flash"], "r+b", buffering=0), job["blocks"])
    vfs.umount("/")
    if job.get("format"):
        vfs.VfsLfs2.mkfs(chip)
    # As main.py mounts it.
    vfs.mount(vfs.VfsLfs2(chip, readsize=128, lookahead=64, mtime=False), "/")
    sys.path[:] = ["", ".frozen"]
    if hasattr(program, "rom"):
        program.rom(firmware)
    else:
        vfs.mount(vfs.VfsRom(firmware), "/rom")
        sys.path.append("/rom")
    sys.modules["gc"] = collector = _Collector()
    collector.collect()
    collector.threshold(job["gc_threshold"])
    return program, chip, speed


class _Collector:
    """`gc`, for which memory is what it is on 32 bit: pointers take half of what they take here."""

    def __init__(self):
        for name in ("collect", "disable", "enable", "isenabled", "mem_alloc", "mem_free"):
            setattr(self, name, getattr(gc, name))

    def threshold(self, size=None):
        if size is None:
            return gc.threshold() // 2
        return gc.threshold(2 * size if size > 0 else size)


def _pystone(folder):
    """A function that runs so many and gives the microseconds for all."""
    sys.path.insert(0, folder)
    import pystone

    del sys.path[0], sys.modules["pystone"]
    pystone.clock = time.ticks_us
    return lambda count: pystone.Proc0(count)[0]
