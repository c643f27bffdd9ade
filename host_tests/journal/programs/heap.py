"""Heap that the journal takes, its code and an idle one once loaded: of a 64-bit interpreter."""

import gc
import sys

import vfs

sys.path.insert(0, "")

from host_tests.allowlist.programs.on_littlefs import formatted, report


def allocated():
    gc.collect()
    return gc.mem_alloc()


def main():
    import firmware.files  # noqa: F401 (the allow-list has it already)

    vfs.mount(vfs.VfsLfs2(formatted(32), readsize=128, lookahead=64, mtime=False), "/flash")
    before = allocated()
    from firmware.journal.journal import Journal

    code = allocated()
    journal = Journal("/flash/journal")
    journal.load()
    report(code_bytes=code - before, idle_bytes=allocated() - code)


main()
