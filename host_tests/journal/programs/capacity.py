"""Nobody to send to: `capacity.py OBJECTS CARDS SESSIONS`, counted and printed as JSON.

The journal fills up beside firmware and a list (at_size.py); then the link comes back.
"""

import os
import sys
from time import ticks_diff, ticks_ms

sys.path.insert(0, "")

from firmware.journal.journal import Journal
from host_tests.allowlist.programs import at_size
from host_tests.allowlist.programs.on_littlefs import Charger, formatted, report, used_blocks
from host_tests.pure.journal_life import T, ended, started
from host_tests.pure.lists import digest, name

FOLDER = "/flash/journal"
AT_ONCE = 5
at_size.FIRMWARE_FILES = 84  # modules, directories, settings, versions: a block or two each


class Beside:
    """A list that is in force, and one card of it that changes now and then."""

    def __init__(self, path, cards, flash):
        self.index, *self.shards = at_size.objects(path)
        self.cards = cards
        self.version = 1
        self.charger = Charger(flash)
        self.charger.objects = {name(each): each for each in self.shards}
        self.charger.objects[name(self.index)] = self.index
        self.follow()

    def follow(self):
        self.charger.follow(*at_size.ref(self.index, self.version, self.cards))
        self.charger.tidy()
        assert self.charger.store.applied.version == self.version
        assert not self.charger.rejected, self.charger.rejected
        self.charger.objects = {}

    def change(self, place):
        shard = bytearray(self.shards[place])
        shard[8 + 15] ^= 4
        shard = self.shards[place] = bytes(shard)
        index = self.index
        self.index = index[: 12 + 16 * place] + digest(shard) + index[28 + 16 * place :]
        self.charger.objects = {name(shard): shard, name(self.index): self.index}
        self.version += 1
        self.follow()


class Run:
    def __init__(self):
        self.journal = Journal(FOLDER)
        self.now_ms = 0

    def flush(self, times=1):
        for _ in range(times):
            self.now_ms += 50
            self.journal.flush(self.now_ms)


def fill(run, begin, end):
    """Sessions of these numbers, each with a card that was refused before it. Some at a time, which
    is quicker than a board has them, and the same for the segments."""
    add = run.journal.add
    for i in range(begin, end):
        run.now_ms += 3_600_000
        add("card_refused", {"token": "0123456789abcd", "verdict": "Unknown", "i": i}, T + i, i)
        n = add("session_started", started(group=i & 0xFFFF), T + i, i)
        add("session_ended", ended(n, i, T + i + 1), T + i + 1, i)
        if i % AT_ONCE == AT_ONCE - 1:
            run.flush(3)


def read_all(run, sessions):
    """Everything out, in order and complete, acknowledged as it goes; how many events."""
    journal = run.journal
    last = packet = begun = finished = 0
    open_n = None
    while journal.pending:
        body = journal.unsent()
        if body is None:
            run.flush()
            continue
        n = body["n"]
        assert n > last, (n, last)
        last = n
        if body["event"] == "session_started":
            assert body["group"] == begun & 0xFFFF
            open_n = n
            begun += 1
        elif body["event"] == "session_ended":
            assert body["session"] == open_n and body["wh"] == finished, (
                body,
                open_n,
                finished,
                packet,
            )
            finished += 1
        packet += 1
        journal.sent(n, packet)
        journal.acknowledged(packet)
        if packet % 8 == 0:
            run.flush()
    assert (begun, finished) == (sessions, sessions), (begun, finished)
    return packet


def main(path, cards, sessions):
    flash = formatted(at_size.BLOCKS)
    beside = Beside(path, cards, flash)
    at_size.firmware()
    before = used_blocks()
    run = Run()
    assert run.journal.load() is None
    full = []
    for quarter in range(4):
        fill(run, quarter * sessions // 4, (quarter + 1) * sessions // 4)
        full.append(run.journal.full)
        beside.change(len(full))
    blocks = used_blocks() - before
    free = at_size.BLOCKS - used_blocks()
    lost = run.journal.lost_sessions, run.journal.lost_routine
    for place in range(40):  # enough for a pack to be copied
        beside.change(place)
    beside.charger.end()

    beside.charger = Charger(flash)
    run = Run()
    flash.count()
    began = ticks_ms()
    assert run.journal.load() is None
    load_ms = ticks_diff(ticks_ms(), began)
    load_blocks, load_pieces = len(flash.read), flash.pieces
    pending = run.journal.pending
    flash.count()
    began = ticks_ms()
    events = 0
    while events < 100 and run.journal.unsent():
        run.journal.sent(run.journal.unsent()["n"], events)
        events += 1
    pieces_per_event = flash.pieces / events
    run.journal.link_lost()
    events = read_all(run, sessions)
    sent_ms = ticks_diff(ticks_ms(), began)
    for _ in range(40):
        run.flush()
    run.now_ms += 70_000
    run.flush(4)
    report(
        blocks=blocks,
        blocks_free=free,
        full=full,
        lost_sessions=lost[0],
        routine_kept=sessions - lost[1],
        pending=pending,
        events=events,
        load_ms=load_ms,
        load_blocks=load_blocks,
        load_pieces=load_pieces,
        pieces_per_event=pieces_per_event,
        sent_ms=sent_ms,
        stored=run.journal.stored,
        files_left=sorted(os.listdir(FOLDER)),
    )


main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
