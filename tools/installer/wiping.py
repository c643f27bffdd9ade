"""Everything that was told to a board, or that it has written down, is taken from its flash: keys,
passwords, the list, the journal.

A file that littlefs has deleted or replaced leaves its bytes where they were. So every block of the
partition is erased and looked at, and a new file system made, with boot.py as the first file: a
board without it leaves the contactor to the pull-down of its driver. After that the key-value store
(NVS): MicroPython keeps no Wi-Fi password there (esp_wifi_set_storage(WIFI_STORAGE_RAM) in its
ports/esp32/network_wlan.c), but what ran on the board before it may have.

The first blocks go first: MicroPython makes a new file system by itself at a start that finds them
blank (ports/esp32/modules/inisetup.py), and would stop at one that is half there.
"""

import json
from collections.abc import Callable

from tools.installer.link import Link
from tools.portal.refusal import Refusal

Progress = Callable[[str, int, int], None]

ANSWER_S = 10.0
_AT_ONCE = 16  # blocks; one takes some 50 ms to erase
_WHAT = "erasing the flash"

_COUNT = """
import esp32
_found = esp32.Partition.find(esp32.Partition.TYPE_DATA, label="%s")
print(_found[0].ioctl(4, 0) if _found else 0)
"""
# The collector first: a block's buffer is 4 KB in one piece.
_BEGIN = """
import esp32, gc
_part = esp32.Partition.find(esp32.Partition.TYPE_DATA, label="%s")[0]
_block = None
gc.collect()
_block = bytearray(4096)
_blank = b"\\xff" * 64
def _erase(first, end):
    view = memoryview(_block)
    for at in range(first, end):
        try:
            _part.ioctl(6, at)
            _part.readblocks(at, _block)
        except OSError:
            print(at)
            return
        for i in range(0, 4096, 64):
            if view[i : i + 64] != _blank:
                print(at)
                return
    print(-1)
"""
_UMOUNT = """
import vfs
try:
    vfs.umount("/")
except OSError:
    pass
"""
_MAKE = """
import vfs
vfs.VfsLfs2.mkfs(_part)
vfs.mount(vfs.VfsLfs2(_part), "/")
"""
# Where the flash is no partition, as on a board that is only thought of.
_DELETE = """
import os
def _drop(path):
    for name in os.listdir(path or "/"):
        inner = path + "/" + name
        if inner == "/rom":
            continue
        if os.stat(inner)[0] & 0x4000:
            _drop(inner)
            os.rmdir(inner)
        elif inner != "/boot.py":
            os.remove(inner)
_drop("")
"""
# Nothing is written: this asks a board that may not be wiped after all.
_UNDELIVERED = """
import gc, json
gc.collect()
_said = None
try:
    import firmware
except ImportError:
    pass
else:
    try:
        try:
            from firmware.app import Files, Journal
        except ImportError:  # sources in the flash, or an older version
            from firmware.files import Files
            from firmware.journal.journal import Journal
        class _ReadOnly(Files):
            def open(self, path, mode):
                if mode != "rb":
                    raise OSError(30)
                return Files.open(self, path, mode)
            def rename(self, old, new):
                raise OSError(30)
            def remove(self, path):
                raise OSError(30)
            def make(self, path):
                pass
        _journal = Journal("/journal", _ReadOnly())
        _journal.load()
        _said = [_journal.pending, _journal.open is not None]
        del _journal
    except Exception as error:  # no memory for it, another version, a damaged journal
        _said = repr(error)
print(json.dumps(_said))
gc.collect()
"""


class NotTold(Exception):
    """There may be events in the journal, and the firmware on the board did not get to say it; what
    it said instead."""


def undelivered(link: Link) -> tuple[int, bool] | None:
    """How many events are in the board's journal, and whether a session runs; None where there is
    no firmware on it."""
    found = json.loads(link.run(_UNDELIVERED))
    if isinstance(found, str):
        raise NotTold(found)
    return None if found is None else (int(found[0]), bool(found[1]))


def wipe(link: Link, boot: bytes, progress: Progress) -> int:
    """`boot`: what boot.py is to be. Returns how many blocks of the file system's partition were
    erased; 0 where there is none, and the files were only deleted. Interrupted and begun again it
    does all of it again. Refusal where a block does not erase: the flash is worn out, or protected.
    """
    blocks = int(link.run(_COUNT % "vfs"))
    if blocks:
        link.run(_UMOUNT)
        _erase(link, "vfs", blocks, progress)
        link.run(_MAKE, ANSWER_S)
    else:
        link.run(_DELETE)
    link.write("boot.py", boot)
    return blocks


def wipe_store(link: Link) -> None:
    """The key-value store. What the board has read of it before it knows until it is restarted."""
    _erase(link, "nvs", int(link.run(_COUNT % "nvs")))


def _erase(
    link: Link, label: str, blocks: int, progress: Progress = lambda what, done, total: None
) -> None:
    if not blocks:
        return
    link.run(_BEGIN % label)
    for first in range(0, blocks, _AT_ONCE):
        end = min(first + _AT_ONCE, blocks)
        # By `helped`, which puts off that the board leaves by itself: old flash erases slowly.
        bad = link.helped(f"_erase({first}, {end})", ANSWER_S)
        if bad >= 0:
            raise Refusal(
                f"block {bad} of the board's flash ({label}) does not erase, so secrets may be "
                "left there: run it again, and if that does not help destroy the module"
            )
        progress(_WHAT, end, blocks)
