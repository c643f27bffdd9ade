"""What an ESP32 does before and around the user's files: hardware up, file system mounted, heap
measured out, then boot.py and main.py, and after them the REPL's turn."""

import gc
import io
import os
import select
import socket
import sys
import time

import line
import lone_modules
import machine
import micropython
import partition
import vfs
import wire

_PRIVATE = (
    "analog", "claims", "counters", "line", "lone_modules", "partition", "pin", "rom", "spi",
    "timers", "wire",
)  # fmt: skip
_MODULES = (
    "time", "select", "os", "socket", "machine", "esp", "esp32", "neopixel", "network",
)  # fmt: skip
_native_sys, _native_gc = sys, gc
_facts = {}
_heap_packet = bytearray(7)
_ballast = None


def live(namespace, numbers):
    """From reset until the user's files have ended."""
    _power_up(namespace, numbers)
    line.call("board.state", "up")
    _boot(namespace)


def _power_up(namespace, numbers):
    """Everything before boot.py; leaves only the board's modules and files in sight."""
    global _facts
    here = sys.path[0]
    line.start(*numbers[:5])
    _facts = line.call("board.facts")
    partition.power_up(_facts["partitions"], numbers[5] if numbers[5:] else 0)
    native = {"machine": machine, "os": os, "select": select, "socket": socket, "time": time}
    for name, module in native.items():
        sys.modules["_native_" + name] = module
    own_sys = lone_modules.Sys(sys, _facts["kind"])
    own_gc = lone_modules.Gc(gc)
    sys.modules["sys"] = sys.modules["usys"] = own_sys
    sys.modules["gc"] = own_gc
    sys.modules["vfs"] = lone_modules.Vfs(vfs, partition.rom_ioctl, _facts["kind"]["rom"])
    if _facts["repl"]:
        sys.modules["micropython"] = lone_modules.Micropython(
            micropython, lambda on: line.call("board.interrupts", on)
        )
    _load_modules(here + "/modules")
    if _facts["program"]:  # opened while the computer's files are in sight, read when it is run
        _facts["source"] = open(_facts["program"])
    _mount()
    for name in _PRIVATE:
        sys.modules.pop(name, None)
    for name in native:
        del sys.modules["_native_" + name]
    namespace.clear()
    namespace["__name__"] = "__main__"
    line.on_event(wire.HEAP_EVENT, _report_heap)
    _measure_heap(own_gc)


def _load_modules(folder):
    """The stand-ins take the names of the built-in modules, old spellings included."""
    sys.path[:] = [folder] + sys.path
    loaded = {}
    for name in _MODULES:
        sys.modules.pop(name, None)
        loaded[name] = sys.modules[name] = __import__(name)
    for name in ("time", "select", "os", "socket", "machine"):
        sys.modules["u" + name] = loaded[name]
    __import__("ntptime")
    reader = _facts["reader"]
    __import__("spi").wiring.update(reader)
    pin = __import__("pin")
    pin.select_pin = reader["cs"]
    for number in __import__("claims").PINS:  # an ESP32 has their objects in flash, not on the heap
        pin.Pin(number)
    loaded["time"]._set_clock(_facts["rtc_s"])
    loaded["machine"]._cause = _facts["cause"]
    loaded["machine"]._unique_id = loaded["network"]._mac = bytes(_facts["unique_id"])
    loaded["os"]._directory_flash = _facts["flash"]["kind"] == "directory"
    loaded["esp"]._flash_bytes = _facts["kind"]["flash_bytes"]
    loaded["esp"]._user_start = _facts["kind"]["user_start"]
    if _facts["frozen"]:  # what stock firmware carries in its flash: umqtt.simple
        sys.path[:] = [_facts["frozen"]]
        try:
            __import__("umqtt.simple")
        except ImportError:
            print("virtual board: no umqtt.simple in", _facts["frozen"])


def _mount():
    folders = [("/program", _facts["path"])] if _facts["path"] else []
    flash = _facts["flash"]
    vfs.umount("/")
    if flash["kind"] == "directory":
        vfs.mount(vfs.VfsPosix(flash["root"]), "/")
    else:
        bdev = partition.Partition.find(1, label="vfs")[0]
        sys.modules["flashbdev"] = lone_modules.Flashbdev(bdev)
        vfs.mount(bdev, "/")
    _native_sys.path[:] = ["", ".frozen"] + _mount_rom() + ["/lib"]
    for mount_point, folder in folders:
        vfs.mount(vfs.VfsPosix(folder), mount_point, readonly=True)
        _native_sys.path.insert(0, mount_point)
    sys.modules["os"].chdir("/")


def _mount_rom():
    """Where to import from in ROM; a partition without a file system passes in silence."""
    if not _facts["kind"]["rom"] or partition.rom_ioctl(1) == 0:
        return []
    try:
        vfs.mount(vfs.VfsRom(partition.rom_ioctl(2, 0)), "/rom")
    except OSError:
        return []
    return ["/rom", "/rom/lib"]


def _measure_heap(own_gc):
    """Fill what is free beyond the board's own heap."""
    global _ballast
    _native_gc.collect()
    spare = _native_gc.mem_free() - _facts["heap"]
    if spare < 0:
        print("virtual board: the heap is", -spare, "bytes short")
        spare = 0
    _ballast = bytearray(max(0, spare - 96))
    _native_gc.collect()
    own_gc.hardware_bytes = _native_gc.mem_alloc()


def _report_heap(number):
    _native_gc.collect()
    used = _native_gc.mem_alloc() - sys.modules["gc"].hardware_bytes
    used = max(0, used)
    packet = _heap_packet
    packet[0] = 5
    packet[2] = wire.HEAP
    packet[3] = used & 255
    packet[4] = used >> 8 & 255
    packet[5] = used >> 16 & 255
    packet[6] = used >> 24
    line.tell(packet, 7)


# --- the order of things at a start ---------------------------------------------------------


def _boot(namespace):
    """boot.py, then main.py or the program given instead. A board whose program has ended stays
    on: with a console it offers the REPL, without one it idles."""
    if not _run_file("boot.py", namespace):
        _soft_reset()
    if _facts["raw"]:  # soft reset out of a raw REPL: main.py is left out
        line.call("board.state", "repl")
        return
    line.call("board.state", "main")
    if _facts["program"]:
        ended = _run_source(_facts.pop("source").read(), _facts["program"], namespace)
    else:
        ended = _run_file("main.py", namespace)
    if not ended:
        _soft_reset()
    line.call("board.state", "ended")
    if _facts["repl"]:
        return
    while True:
        try:
            time_module().sleep(3600)
        except KeyboardInterrupt:
            continue


def time_module():
    return sys.modules["time"]


def _soft_reset():
    sys.modules["machine"].soft_reset()


def _run_file(name, namespace):
    try:
        sys.modules["os"].stat(name)
    except OSError:
        return True
    namespace["__file__"] = name
    return _guarded(lambda: exec('execfile("%s")' % name, namespace))


def _run_source(source, name, namespace):
    namespace["__file__"] = name
    return _guarded(lambda: exec(compile(source, name, "exec"), namespace))


def _guarded(run):
    """Run it and print what it dies of, as the board does; False: it asked for a soft reset."""
    try:
        run()
    except SystemExit:
        return False
    except BaseException as error:
        text = io.StringIO()
        _native_sys.print_exception(error, text)
        for part in text.getvalue().split("\n"):
            if part and 'File "<string>"' not in part and "/rom.py" not in part:
                print(part)
    return True
