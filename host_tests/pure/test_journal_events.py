"""The journal as the firmware uses it, on files in memory (flash_model.py) and in a directory."""

import json

from firmware.journal.journal import Journal
from host_tests.pure.flash_model import Files, Flash
from host_tests.pure.heap import without_heap
from host_tests.pure.journal_life import TOKEN, T, ended, started
from host_tests.pure.place import directory


class ReadOnly(Files):
    """A flash that takes nothing any more, for as long as `error` says why, or nothing new."""

    error = None
    only_heads = False
    written = 0

    def open(self, path, mode):
        self.written += mode != "rb"
        if self.only_heads and mode != "rb" and path[-2] != "/":
            raise OSError(28, "no room")
        return super().open(path, mode)

    def changes(self):
        if self.error is not None:
            raise OSError(self.error, "not written")
        super().changes()


class Desk:
    """A journal and the time that drives it."""

    def __init__(self, flash=None, files=None):
        self.flash = flash or Flash()
        self.files = files or ReadOnly(self.flash)
        self.now_ms = 0
        self.packet = 0
        self.most_reads = 0  # of the flash, in one `flush`
        self.journal = Journal("journal", self.files)
        self.damage = self.journal.load()

    def settle(self, ms=200):
        for _ in range(0, ms, 50):
            self.now_ms += 50
            before = self.files.reads
            self.journal.flush(self.now_ms)
            self.most_reads = max(self.most_reads, self.files.reads - before)

    def events(self, acknowledged=True):
        """All that can be sent, as it goes out."""
        bodies = []
        while True:
            body = self.journal.unsent()
            if body is None:
                return bodies
            self.packet += 1
            self.journal.sent(body["n"], self.packet)
            if acknowledged:
                self.journal.acknowledged(self.packet)
            bodies.append(body)

    def left(self):
        """The session that runs."""
        left = self.journal.open
        assert left is not None
        return left

    def again(self):
        """The board starts again."""
        return Desk(self.flash)


def names(bodies):
    return [body["event"] for body in bodies]


def test_an_event_says_what_when_and_which():
    desk = Desk()
    n = desk.journal.add("booted", {"cause": "power"}, None, 3)
    desk.settle()
    header = {"n": n, "boot": desk.journal.boot, "t": None, "up": 3}
    assert desk.journal.unsent() == header | {"event": "booted", "cause": "power"}


def test_an_event_is_sent_only_once_it_is_on_the_flash():
    desk = Desk()
    desk.journal.add("session_started", started(), T, 1)
    assert desk.journal.unsent() is None
    desk.settle(50)
    assert desk.journal.unsent()["event"] == "session_started"


def test_the_journal_says_which_events_the_flash_holds():
    desk = Desk()
    n = desk.journal.add("booted", {}, None, 1)
    assert not desk.journal.holds(n)
    desk.files.error = 28
    desk.settle()
    assert not desk.journal.holds(n)
    desk.files.error = None
    desk.settle(6_000)
    assert desk.journal.holds(n) and not desk.journal.holds(n + 1)
    desk.events()
    assert desk.journal.holds(n)


def test_a_time_that_is_certainly_past_goes_along_where_the_clock_is_not_set():
    desk = Desk()
    desk.journal.add("session_started", started(), None, 1, T)
    desk.journal.add("booted", {}, None, 1, T)
    desk.settle()
    for body in desk.again().events():
        assert (body["t"], body["t_min"]) == (None, T)


def test_events_are_kept_until_they_are_acknowledged():
    desk = Desk()
    n = desk.journal.add("a", {}, 1, 1)
    desk.settle()
    desk.journal.sent(n, 11)
    assert desk.journal.unsent() is None
    assert (desk.journal.pending, desk.journal.in_flight) == (1, 1)
    desk.journal.acknowledged(12)
    assert desk.journal.pending == 1
    desk.journal.acknowledged(11)
    assert (desk.journal.pending, desk.journal.in_flight) == (0, 0)


def test_what_was_on_its_way_when_the_link_dropped_goes_again():
    desk = Desk()
    for name in ("a", "b"):
        desk.journal.add(name, {}, 1, 1)
    desk.settle()
    assert names(desk.events(False)) == ["a", "b"]
    desk.journal.link_lost()
    assert names(desk.events(False)) == ["a", "b"]


def test_a_late_acknowledgement_of_the_old_link_forgets_nothing():
    desk = Desk()
    n = desk.journal.add("a", {}, 1, 1)
    desk.settle()
    desk.journal.sent(n, 5)
    desk.journal.link_lost()
    desk.journal.acknowledged(5)
    assert names(desk.events()) == ["a"]


def test_acknowledgements_may_come_out_of_order():
    desk = Desk()
    for i in range(30):
        desk.journal.add("session_started", started(group=i), T, 1)
        desk.settle()
    batch = []
    for packet in range(4):
        batch.append(desk.journal.unsent()["n"])
        desk.journal.sent(batch[-1], packet)
    for packet in (3, 1, 2):
        desk.journal.acknowledged(packet)
    assert desk.again().events()[0]["n"] == batch[0]
    desk.journal.link_lost()
    groups = [body["group"] for body in desk.events()]
    assert groups == sorted(groups) and groups[0] == 0 and groups[-1] == 29
    assert desk.journal.pending == 0


def test_events_outlive_a_restart_in_their_order():
    desk = Desk()
    for i in range(60):
        desk.journal.add("session_started" if i % 3 else "card_refused", started(group=i), T, i)
        desk.settle()
    first = desk.journal.boot
    again = desk.again()
    assert again.journal.pending == 60
    again.journal.add("booted", {}, T, 0)
    again.settle()
    bodies = again.events()
    assert [body["group"] for body in bodies[:-1]] == list(range(60))
    assert [body["boot"] for body in bodies] == [first] * 60 + [first + 1]


def test_numbers_never_repeat_and_grow_over_restarts():
    desk = Desk()
    last = 0
    for _ in range(20):
        for _ in range(10):
            n = desk.journal.header(None, 0)["n"]
            assert n > last
            last = n
        n = desk.journal.add("booted", {}, None, 0)
        assert n > last
        last = n
        boot = desk.journal.boot
        desk = desk.again()
        assert desk.journal.boot == boot + 1


def test_an_erased_flash_begins_elsewhere():
    numbers = [Desk().journal for _ in range(4)]
    assert len({journal.boot for journal in numbers}) > 1
    assert len({journal.header(None, 0)["n"] for journal in numbers}) > 1
    for journal in numbers:
        assert 0 < journal.boot <= 1 << 28


def test_an_unusual_session_is_kept_as_it_is():
    desk = Desk()
    odd = started(role="guest", by="pigeon", hint="7f")
    n = desk.journal.add("session_started", odd, T, 1)
    end = ended(n, 5, None, reason="eaten", last_boot=3, last_up=4)
    desk.journal.add("session_ended", end, T + 5, 2)
    desk.settle()
    first, second = desk.again().events()
    for body, fields in ((first, odd), (second, end)):
        for name in fields:
            assert body[name] == fields[name]


def test_a_session_ended_by_a_power_cut_says_when_the_last_reading_was():
    for t, start, end in ((T + 9, T, T + 5), (None, T, T + 5), (None, None, None), (T, None, None)):
        desk = Desk()
        n = desk.journal.add("session_started", started(token=None), start, 1)
        fields = ended(n, 5, end, token=None, start=start, reason="power_loss")
        fields.update({"last_boot": 77, "last_up": 88})
        desk.journal.add("session_ended", fields, t, 2)
        desk.settle()
        body = desk.events()[1]
        for name in fields:
            assert body[name] == fields[name], (name, body)


def test_a_text_too_long_is_cut_and_the_event_kept():
    desk = Desk()
    desk.journal.add(
        "fault", {"fault": "x", "detail": "ü" * 96, "more": "ü" * 96, "l": [1] * 99}, 1, 1
    )
    desk.journal.add("fault", {f"field{i}": i for i in range(99)}, 1, 1)
    desk.settle()
    first, second = desk.again().events()
    assert first["fault"] == "x" and first["detail"].startswith("üü")
    assert second["event"] == "fault"


# The session that runs.


def test_the_session_that_runs_outlives_a_restart_with_its_last_reading():
    desk = Desk()
    n = desk.journal.add("session_started", started(), T, 7)
    desk.settle()
    desk.journal.reading(1_234_567, T + 60, 67)
    desk.settle(50)
    boot = desk.journal.boot
    left = desk.again().left()
    assert (left.n, left.boot, left.up, left.t) == (n, boot, 7, T)
    assert (left.token, left.role, left.group, left.by) == (bytes.fromhex(TOKEN), "user", 7, "card")
    assert (left.mwh, left.last_boot, left.last_up, left.last_t) == (1_234_567, boot, 67, T + 60)


def test_it_goes_on_after_a_restart_under_its_number():
    desk = Desk()
    n = desk.journal.add("session_started", started(), None, 7)
    desk.settle()
    again = desk.again()
    again.journal.reading(5_000, None, 3)
    again.settle()
    left = again.again().left()
    assert (left.n, left.boot, left.up) == (n, desk.journal.boot, 7)
    assert (left.mwh, left.last_boot, left.last_up) == (5_000, again.journal.boot, 3)


def test_nobodys_session_has_no_token():
    desk = Desk()
    desk.journal.add("session_started", started(token=None, role=None, by="open", group=0), T, 7)
    desk.settle()
    left = desk.again().left()
    assert (left.token, left.role, left.by) == (None, None, "open")


def test_a_session_that_has_ended_runs_no_more_after_a_restart():
    desk = Desk()
    n = desk.journal.add("session_started", started(), T, 7)
    desk.settle()
    desk.journal.reading(5_000, T, 8)
    desk.journal.add("session_ended", ended(n, 5, T), T, 9)
    assert desk.journal.open is None
    desk.settle(50)
    assert desk.again().journal.open is None


def test_a_reading_of_the_last_session_is_none_of_the_next():
    desk = Desk()
    n = desk.journal.add("session_started", started(), T, 7)
    desk.settle()
    desk.journal.reading(5_000, T, 8)
    desk.journal.add("session_ended", ended(n, 5, T), T, 9)
    desk.journal.add("session_started", started(), T, 10)
    desk.settle()
    assert desk.again().left().mwh == 0


def test_without_a_session_there_is_nothing_to_read():
    desk = Desk()
    desk.journal.reading(5, None, 1)
    before = desk.files.operations
    desk.settle(100)
    assert desk.files.operations == before


# What the flash bears.


def test_a_flush_with_nothing_due_costs_nothing():
    desk = Desk()
    desk.journal.add("booted", {}, None, 0)
    desk.settle()
    desk.events()
    before = desk.files.operations, desk.files.opened, desk.files.reads
    without_heap(desk.journal.flush, desk.now_ms + 50)
    assert without_heap(lambda _: desk.journal.unsent(), None) is None
    assert (desk.files.operations, desk.files.opened, desk.files.reads) == before


def test_acknowledgements_alone_are_written_late():
    desk = Desk()
    desk.journal.add("booted", {}, None, 0)
    desk.settle()
    desk.events()
    before = desk.files.operations
    desk.settle(59_000)
    assert desk.files.operations == before
    desk.settle(2_000)
    assert desk.files.operations > before
    assert desk.again().events() == []


def test_a_board_that_stops_stores_which_events_were_acknowledged():
    desk = Desk()
    desk.journal.add("booted", {}, None, 0)
    desk.settle()
    desk.events()
    assert len(desk.again().events()) == 1
    desk.journal.flush(desk.now_ms, True)
    assert desk.again().events() == []
    before = desk.files.operations
    desk.journal.flush(desk.now_ms, True)
    assert desk.files.operations == before


def test_a_link_that_takes_all_leaves_no_segment():
    desk = Desk()
    for i in range(50):
        n = desk.journal.add("session_started", started(), T, i)
        desk.settle()
        desk.events()
        desk.journal.add("session_ended", ended(n, i, T), T, i)
        desk.settle()
        desk.events()
        assert sorted(desk.flash.contents) == ["journal/a", "journal/b"]


def test_a_flood_of_routine_events_is_written_once_a_second():
    desk = Desk()
    before = desk.files.written
    for i in range(20 * 120):
        desk.journal.add("message_rejected", {"i": i}, None, i)
        desk.settle(50)
        desk.events()
    assert desk.files.written - before < 2 * (60 + 120) + 10
    desk.journal.add("session_started", started(), T, 1)
    desk.settle()
    assert names(desk.events())[-1] == "session_started"
    assert desk.journal.lost_sessions == 0


def test_the_head_stays_small_enough_for_its_directory():
    desk = Desk()
    for i in range(40):
        desk.journal.add("session_started", started(group=i), T, i)
        desk.journal.add("fault", {"fault": "f" * (3 * i)}, T, i)
        desk.settle()
        for slot in "ab":
            assert len(desk.flash.contents.get("journal/" + slot, [b""])[0]) <= 512


# Full.


def filled(desk, sessions):
    for i in range(sessions):
        n = desk.journal.add("session_started", started(group=i & 0xFFFF), T, i)
        desk.journal.add("session_ended", ended(n, i, T), T, i)
        if i % 10 == 9:
            desk.settle(150)


def test_routine_events_that_nobody_takes_go_the_oldest_first():
    desk = Desk()
    n = desk.journal.add("session_started", started(), T, 0)
    desk.settle()
    for i in range(500):
        desk.journal.add("card_refused", {"i": i, "token": TOKEN, "verdict": "Unknown"}, T, i)
        desk.now_ms += 10_000
        desk.settle()
    assert desk.journal.lost_routine > 0 and desk.journal.lost_sessions == 0
    bodies = desk.events()
    assert bodies[0]["n"] == n
    kept = [body["i"] for body in bodies[1:]]
    assert kept == list(range(desk.journal.lost_routine, 500))
    assert sum(len(each[0]) for each in desk.flash.contents.values()) < 40_000
    assert desk.again().journal.lost_routine == desk.journal.lost_routine


def test_sessions_go_last_and_are_counted():
    desk = Desk(Flash(capacity=1 << 22))
    filled(desk, 5_000)
    assert 40 < desk.journal.full < 60 and desk.journal.lost_sessions == 0
    filled(desk, 6_000)
    journal = desk.journal
    assert journal.full > 90 and journal.stored
    assert 0 < journal.lost_sessions < 2_000
    assert journal.pending + journal.lost_sessions == 22_000
    assert journal.pending >= 20_000
    assert desk.most_reads <= 4, "a vehicle may be unplugged meanwhile"


def test_a_full_flash_gives_up_a_draft_then_routine_events_and_then_the_oldest_sessions():
    desk = Desk(Flash(capacity=120_000))
    journal = desk.journal
    desk.flash.contents["draft"] = [bytes(40_000)]
    journal.make_room = lambda: desk.flash.contents.pop("draft", None)
    for i in range(30):
        journal.add("card_refused", {"i": i, "token": TOKEN}, T, i)
        desk.settle()
    before = 0
    while "draft" in desk.flash.contents:
        filled(desk, 10)
        assert journal.lost_routine == journal.lost_sessions == 0
    while not journal.lost_routine:
        filled(desk, 10)
        assert journal.lost_sessions == 0
    while not journal.lost_sessions:
        filled(desk, 10)
        before += 1
        assert before < 1_000
    assert journal.full > 75 and journal.stored
    filled(desk, 100)
    desk.settle()
    assert desk.again().journal.pending == journal.pending > 1_000


# Broken.


def test_events_go_out_although_the_flash_takes_none():
    for error in (28, 30, 5):
        desk = Desk()
        desk.files.error = error
        desk.journal.add("session_started", started(), T, 1)
        desk.settle()
        assert desk.journal.stored is False
        assert names(desk.events()) == ["session_started"]
        assert desk.journal.pending == 0


def test_in_memory_routine_events_give_way_before_sessions():
    desk = Desk()
    desk.files.error = 30
    desk.settle()
    for i in range(20):
        desk.journal.add("card_refused", {"i": i}, T, i)
        desk.journal.add("session_started", started(group=i), T, i)
    desk.settle()
    desk.journal.add("card_refused", {"i": 99}, T, 1)
    bodies = desk.events()
    assert [body["group"] for body in bodies if "group" in body] == list(range(20))
    assert [body["i"] for body in bodies if "i" in body] == [17, 18, 19, 99]
    assert (desk.journal.lost_routine, desk.journal.lost_sessions) == (17, 0)


def test_when_only_sessions_are_left_the_oldest_goes_and_never_for_a_routine_event():
    desk = Desk()
    desk.files.error = 30
    desk.settle()
    for i in range(30):
        desk.journal.add("session_started", started(group=i), T, i)
    desk.journal.add("card_refused", {}, T, 1)
    desk.settle()
    assert [body["group"] for body in desk.events()] == list(range(6, 30))
    assert (desk.journal.lost_routine, desk.journal.lost_sessions) == (1, 6)


def test_what_was_kept_in_memory_is_stored_once_the_flash_takes_it():
    desk = Desk()
    desk.files.error = 30
    n = desk.journal.add("session_started", started(), T, 1)
    desk.settle()
    desk.files.error = None
    desk.settle(4_000)
    assert desk.journal.stored is False  # not tried all the time
    desk.settle(2_000)
    assert desk.journal.stored is True
    assert desk.again().left().n == n


def test_a_flash_that_fails_in_mid_life_keeps_the_most_important_in_the_head():
    desk = Desk()
    desk.files.only_heads = True
    for i in range(9):
        desk.journal.add("card_refused", {"i": i, "token": TOKEN}, T, i)
        desk.journal.add("session_started", started(group=i), T, i)
        desk.settle()
    desk.settle(6_000)
    assert desk.journal.stored is False and desk.journal.full == 100
    kept = [body.get("group") for body in desk.again().events()]
    assert [group for group in kept if group is not None] == list(range(9))


def test_numbers_used_while_nothing_could_be_written_do_not_come_again():
    flash = Flash()
    Desk(flash)
    desk = Desk(flash)
    desk.files.error = 30
    used = set()
    for i in range(300):
        used.add(desk.journal.add("card_refused", {}, T, i))
        desk.settle(100)
    again = Desk(flash)
    for i in range(300):
        assert again.journal.add("card_refused", {}, T, i) not in used
        again.settle(100)


def test_a_start_that_cannot_write_takes_numbers_of_its_own():
    flash = Flash()
    Desk(flash)
    seen = set()
    for _ in range(5):
        files = ReadOnly(flash)
        files.error = 30
        desk = Desk(flash, files)
        assert desk.journal.stored is False
        n = desk.journal.add("booted", {}, None, 0)
        assert not {n, desk.journal.boot} & seen
        seen |= {n, desk.journal.boot}
        assert names(desk.events()) == ["booted"]
        assert n - Desk(flash).journal.header(None, 0)["n"] > 1 << 21, "soon used by a later start"


def test_it_is_kept_in_a_directory_too():
    path = directory() + "journal"
    journal = Journal(path)
    assert journal.load() is None
    sent = []
    for i in range(40):
        sent.append(journal.add("session_started", started(group=i), T, i))
        for round in range(4):
            journal.flush(1_000 * i + 50 * round)
    journal = Journal(path)
    assert journal.load() is None
    found = []
    while journal.pending:
        body = journal.unsent()
        found.append(body["n"])
        json.dumps(body)
        journal.sent(body["n"], 1)
        journal.acknowledged(1)
    assert found == sent


def test_a_stop_of_the_board_counts_in_its_session_before_anything_can_make_it_stop_again():
    desk = Desk()
    desk.journal.add("session_started", started(), T, 1)
    desk.settle()
    assert desk.left().stops == 0
    for stops in (1, 2, 3):
        desk = desk.again()
        assert desk.left().stops == stops
    desk.journal.reading(5_000, T, 2)
    desk.settle()
    assert desk.left().stops == 3
    assert desk.again().left().stops == 4


class ShortOfMemory(ReadOnly):
    """No memory is left in the middle of writing to a segment."""

    writes = 1 << 30

    def open(self, path, mode):
        file = super().open(path, mode)
        if mode != "rb" and path[-2] != "/":
            write = file.write

            def limited(data):
                self.writes -= 1
                if self.writes < 0:
                    raise MemoryError
                write(data)

            file.write = limited
        return file


def test_a_segment_that_was_half_written_for_want_of_memory_is_written_to_no_more():
    for begins in (True, False):
        flash = Flash()
        desk = Desk(flash, ShortOfMemory(flash))
        for i in range(0 if begins else 20):
            desk.journal.add("session_started", started(group=i), T, i)
            desk.settle()
        segments = set(flash.contents) - {"journal/a", "journal/b"}
        assert len(segments) == (0 if begins else 1)
        desk.files.writes = 3
        for i in range(16):
            desk.journal.add("session_started", started(group=100 + i), T, i)
        desk.settle()
        assert desk.journal.stored is False
        assert set(flash.contents) - {"journal/a", "journal/b"} == segments
        sent = [body["n"] for body in desk.events()]
        desk.files.writes = 1 << 30
        desk.now_ms += 10_000
        desk.settle()
        again = Desk(flash)
        assert again.damage is None and again.journal.lost_sessions == 0
        assert not {body["n"] for body in again.events()} & set(sent)


class NoMemory(list):
    def append(self, what):
        raise MemoryError


def test_a_session_event_that_finds_no_memory_is_refused_and_changes_nothing():
    desk = Desk()
    desk.journal.add("session_started", started(), T, 1)
    before = desk.left()
    kept, desk.journal._recent = desk.journal._recent, NoMemory(desk.journal._recent)
    desk.journal.add("booted", {}, None, 2)
    assert desk.journal.lost_routine == 1
    try:
        desk.journal.add("session_ended", ended(before.n, 10, T), T, 2)
        raise AssertionError("taken")
    except MemoryError:
        pass
    assert desk.left() == before and desk.journal.lost_sessions == 0
    desk.journal._recent = kept
    desk.settle()
    assert names(desk.events()) == ["session_started"]


def test_a_session_begun_without_the_time_keeps_what_was_certain():
    desk = Desk()
    desk.journal.add("session_started", started(), None, 1, T)
    desk.journal.reading(5_000, None, 2)
    desk.settle()
    left = desk.again().left()
    assert (left.t, left.t_min) == (None, T)
