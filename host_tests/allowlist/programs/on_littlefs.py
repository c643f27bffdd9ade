"""The allow-list on a littlefs in memory, as the board mounts it; counted, and cut on demand.

Run by MicroPython from the repository's root.
"""

import json
import os
import sys

import vfs

sys.path.insert(0, "")

from firmware.allowlist.store import Store
from firmware.allowlist.sync import Sync
from host_tests.pure.lists import verify

BLOCK_BYTES = 4_096
_ERASE = 6  # the block device protocol of MicroPython's `vfs`
_ANSWERS = {5: BLOCK_BYTES}


class Flash:
    """A block device. Write or erasure number `cut_at` is done by half, none after it at all."""

    def __init__(self, blocks, image=None):
        self.data = bytearray(image) if image else bytearray(b"\xff" * (blocks * BLOCK_BYTES))
        self.blocks = blocks
        self.cut_at = None
        self.writes = 0
        self.off = False
        self.count()

    def count(self):
        """Count from zero: pieces read, the blocks they are in, and blocks programmed."""
        self.pieces = 0
        self.read = set()
        self.programmed = set()

    def readblocks(self, block, buffer, offset=0):
        self.pieces += 1
        self.read.add(block)
        at = block * BLOCK_BYTES + offset
        buffer[:] = memoryview(self.data)[at : at + len(buffer)]

    def writeblocks(self, block, buffer, offset=0):
        self.programmed.add(block)
        self._change(block * BLOCK_BYTES + offset, buffer)

    def ioctl(self, what, block):
        if what == _ERASE:
            self._change(block * BLOCK_BYTES, b"\xff" * BLOCK_BYTES)
        return self.blocks if what == 4 else _ANSWERS.get(what, 0)

    def _change(self, at, buffer):
        size = len(buffer)
        if self.writes == self.cut_at:
            self.off = True
            size //= 2
        elif self.off:
            return
        self.writes += 1
        memoryview(self.data)[at : at + size] = memoryview(buffer)[:size]


class Charger:
    """Store and sync on a flash, and a link on which everything comes at once."""

    def __init__(self, flash):
        vfs.mount(vfs.VfsLfs2(flash, readsize=128, lookahead=64, mtime=False), "/flash")
        self.flash = flash
        self.objects = {}
        self.received = 0
        self.rejected = []
        self._asked = []
        self._now_ms = 0
        self.store = Store("/flash/allowlist", verify)
        self.damage = self.store.load()
        self.sync = Sync(self.store, self._fetch, self._applied, self._note)

    def _fetch(self, digest):
        self._asked.append(digest)
        return True

    def _applied(self, version, digest, cards):
        pass

    def _note(self, why, detail):
        self.rejected.append((why, detail))

    def follow(self, body, raw):
        """Offer a ref, and turn until its list is in force, or the supply is gone."""
        self.received += len(raw)
        self.sync.offer(body, raw)
        while self.sync.busy and not (self.flash.off and self.rejected):
            self.turn()

    def turn(self):
        more = self.sync.tick(self._now_ms)
        self._now_ms += 50
        while self._asked:
            digest = self._asked.pop(0)
            self.received += len(self.objects[digest])
            self.sync.object(digest, self.objects[digest])
        return more

    def tidy(self):
        """Turn until nothing is left over."""
        while self.turn():
            pass

    def end(self):
        self.sync._stop()
        self.store.close()
        vfs.umount("/flash")


def formatted(blocks):
    flash = Flash(blocks)
    vfs.VfsLfs2.mkfs(flash)
    return flash


def used_blocks():
    """Blocks in use, as the file system counts them."""
    figures = os.statvfs("/flash")
    return figures[2] - figures[3]


def report(**figures):
    print(json.dumps(figures))
