"""What a session costs the flash: `wear.py online|offline SESSIONS`, counted at the block device.

A session of an hour with a reading stored every minute; online each event is acknowledged at once.
"""

import sys

import vfs

sys.path.insert(0, "")

from firmware.journal.journal import Journal
from host_tests.allowlist.programs.on_littlefs import Flash, report
from host_tests.pure.journal_life import T, ended, started

FOLDER = "/flash/journal"
BLOCKS = 512
MINUTES = 60
_ERASE = 6


class Counted(Flash):
    """`erased`: how often, by block. `bytes`: programmed."""

    def __init__(self, blocks):
        super().__init__(blocks)
        self.erased = {}
        self.bytes = 0

    def ioctl(self, what, block):
        if what == _ERASE:
            self.erased[block] = self.erased.get(block, 0) + 1
        return super().ioctl(what, block)

    def writeblocks(self, block, buffer, offset=0):
        self.bytes += len(buffer)
        super().writeblocks(block, buffer, offset)


class Board:
    def __init__(self, online):
        self.online = online
        self.journal = Journal(FOLDER)
        self.journal.load()
        self.now_ms = 0
        self.packet = 0

    def wait(self, seconds):
        for _ in range(4):
            self._round()
        self.now_ms += 1_000 * seconds - 400
        for _ in range(4):
            self._round()

    def _round(self):
        journal = self.journal
        self.now_ms += 50
        journal.flush(self.now_ms)
        body = journal.unsent() if self.online else None
        if body is not None:
            self.packet += 1
            journal.sent(body["n"], self.packet)
            journal.acknowledged(self.packet)

    def session(self, number):
        t = T + 8_640 * number
        n = self.journal.add("session_started", started(), t, 0)
        for minute in range(MINUTES):
            self.journal.reading(minute * 183_000, t + 60 * minute, 60 * minute)
            self.wait(60)
        self.journal.add("session_ended", ended(n, 11_000, t + 3_600), t + 3_600, 3_600)
        self.wait(120)


def main(online, sessions):
    flash = Counted(BLOCKS)
    vfs.VfsLfs2.mkfs(flash)
    vfs.mount(vfs.VfsLfs2(flash, readsize=128, lookahead=64, mtime=False), "/flash")
    board = Board(online)
    board.session(0)
    flash.erased = {}
    flash.bytes = 0
    for number in range(sessions):
        board.session(number + 1)
    assert board.journal.stored
    assert board.journal.pending == (0 if online else 2 * (sessions + 1))
    report(
        erased=sum(flash.erased.values()) / sessions,
        programmed=flash.bytes / sessions,
        most_erased=max(flash.erased.values()),
        blocks=len(flash.erased),
        full=board.journal.full,
    )


main(sys.argv[1] == "online", int(sys.argv[2]))
