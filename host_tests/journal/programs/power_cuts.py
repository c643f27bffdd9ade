"""Cut the supply at every block write of a charger's life, as its journal sees it.

Prints how many cuts there were, and of which kinds of write: after how many a session ran.
"""

import gc
import sys

import vfs

sys.path.insert(0, "")

from firmware.files import Files
from host_tests.allowlist.programs.on_littlefs import Flash, formatted, report
from host_tests.pure import journal_life
from host_tests.pure.journal_life import Life

BLOCKS = 48
FOLDER = "/flash/journal"


def mounted(flash):
    vfs.mount(vfs.VfsLfs2(flash, readsize=128, lookahead=64, mtime=False), "/flash")
    return flash


def lived(flash, cut_at):
    mounted(flash)
    flash.cut_at = cut_at
    life = Life(FOLDER, Files(), lambda: flash.off)
    life.load()
    for _ in journal_life.steps(life):
        if flash.off:
            break
    vfs.umount("/flash")
    return life


def main():
    image = bytes(formatted(BLOCKS).data)
    cuts = running = 0
    while True:
        flash = Flash(BLOCKS, image)
        before = lived(flash, cuts)
        if not flash.off:
            break
        flash = mounted(Flash(BLOCKS, flash.data))
        after = Life(FOLDER, Files())
        journal_life.check(before, after)
        running += after.found_running
        again = Life(FOLDER, Files())
        assert again.load() is None
        assert again.journal.open is None
        vfs.umount("/flash")
        cuts += 1
        gc.collect()
    report(cuts=cuts, running=running)


main()
