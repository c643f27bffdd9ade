"""Whatever lies where the journal should be: it starts, and says what is damaged."""

import os
import random

from firmware.journal import records
from firmware.journal.head import STOPS_MOST
from firmware.journal.journal import Journal
from host_tests.pure.flash_model import Files, Flash
from host_tests.pure.journal_life import TOKEN, T, ended, started
from host_tests.pure.place import directory


def settle(journal, now_ms=0):
    for _ in range(6):
        now_ms += 50
        journal.flush(now_ms)
    return now_ms


def read_all(journal):
    """Everything that is there, as it goes out; acknowledged."""
    bodies = []
    tries = now_ms = 0
    while journal.pending and tries < 1_000:
        body = journal.unsent()
        if body is None:
            tries += 1
            now_ms = settle(journal, now_ms)
            continue
        bodies.append(body)
        journal.sent(body["n"], 1)
        journal.acknowledged(1)
    assert journal.pending == 0
    return bodies


def lived(flash, sessions=40):
    """A journal with heads and segments of both kinds; the numbers it has used."""
    journal = Journal("journal", Files(flash))
    assert journal.load() is None
    used = []
    for i in range(sessions):
        used.append(journal.add("session_started", started(group=i), T, i))
        used.append(journal.add("card_refused", {"token": TOKEN, "i": i}, T, i))
        if i < sessions - 1:
            used.append(journal.add("session_ended", ended(used[-2], i, T), T, i))
        settle(journal, 1_000 * i)
    assert sorted({path[8] for path in flash.contents}) == ["a", "b", "r", "s"]
    return used


def of_kind(flash, letter):
    return next(path for path in flash.contents if path[8] == letter)


def newer_head(flash):
    seqs = {flash.contents[path][0][6:10]: path for path in ("journal/a", "journal/b")}
    return seqs[max(seqs)]


def again(flash):
    journal = Journal("journal", Files(flash))
    return journal, journal.load()


def test_a_damaged_head_falls_back_to_the_other_and_repeats_no_number():
    flash = Flash()
    used = lived(flash)
    path = newer_head(flash)
    flash.flip(path, 30)
    journal, damage = again(flash)
    assert damage == "head " + path[-1]
    assert journal.add("booted", {}, T, 0) > max(used)
    settle(journal)
    there = [body["n"] for body in read_all(journal)]
    assert len(set(used) - set(there)) <= 4  # what only that head held


def test_a_session_of_which_the_end_may_be_in_a_damaged_head_goes_on_at_no_later_start():
    flash = Flash()
    journal, _ = again(flash)
    n = journal.add("session_started", started(), T, 1)
    now_ms = settle(journal)
    journal.add("session_ended", ended(n, 1, T), T, 2)
    settle(journal, now_ms)
    flash.flip(newer_head(flash), 30)
    journal, damage = again(flash)
    assert damage
    assert journal.open is not None and journal.open.n == n and journal.open.stops == STOPS_MOST
    journal, damage = again(flash)
    assert damage is None
    assert journal.open is not None and journal.open.stops >= STOPS_MOST
    journal.add("session_ended", ended(n, 1, T), T, 3)
    settle(journal)
    assert again(flash)[0].open is None


def marred(flash, path, size):
    """Cut a file down to so many bytes; -1: it is gone."""
    data = flash.contents.pop(path)[0]
    if size >= 0:
        flash.contents[path] = [data[:size]]


def test_nor_where_a_head_is_short_or_empty_or_gone():
    for slot in "ab":
        for size in (-1, 0, 1, 9, 60, 110):
            flash = Flash()
            journal, _ = again(flash)
            n = journal.add("session_started", started(), T, 1)
            now_ms = settle(journal)
            journal.add("session_ended", ended(n, 1, T), T, 2)
            settle(journal, now_ms)
            if newer_head(flash)[-1] != slot:  # an older one
                n = journal.add("session_started", started(), T, 3)
                settle(journal, now_ms + 1_000)
                assert newer_head(flash)[-1] == slot
            marred(flash, "journal/" + slot, size)
            journal, damage = again(flash)
            assert damage == "head " + slot, (size, damage)
            assert journal.open is None or journal.open.stops == STOPS_MOST
            assert journal.add("booted", {}, T, 0) > n + 1


def test_nor_where_no_head_is_left_beside_a_segment_or_one_that_is_empty():
    flash = Flash()
    lived(flash)
    for slot in "ab":
        marred(flash, "journal/" + slot, -1)
    journal, damage = again(flash)
    assert damage == "head a and b"
    assert journal.open is None or journal.open.stops == STOPS_MOST
    flash = Flash()
    again(flash)
    again(flash)
    for slot in "ab":
        marred(flash, "journal/" + slot, 0)
    assert again(flash)[1] == "head a and b"


def test_what_the_first_writes_leave_when_the_supply_goes_is_no_damage():
    for contents in ({}, {"journal/b": [b""]}):
        flash = Flash()
        flash.contents = contents
        _, damage = again(flash)
        assert damage is None and sorted(flash.contents) == ["journal/b"]
        for size in (-1, 0):
            flash.contents["journal/a"] = [b""]
            marred(flash, "journal/a", size)
            b = flash.data("journal/b")
            assert again(flash)[1] is None
            flash.contents["journal/b"] = [b]


def test_nor_where_many_numbers_were_used_since_the_other():
    flash = Flash()
    journal, _ = again(flash)
    n = 0
    for _ in range(50):
        n = journal.header(None, 0)["n"]
    settle(journal)
    for _ in range(500):
        n = journal.header(None, 0)["n"]
    flash.flip(newer_head(flash), 30)
    assert again(flash)[0].header(None, 0)["n"] > n


def test_a_segment_that_cannot_be_read_or_written_is_left_for_a_new_one():
    flash = Flash()
    lived(flash)
    files = Files(flash)
    files.broken = of_kind(flash, "s")
    journal = Journal("journal", files)
    assert journal.load() == files.broken[8:]
    sent = []
    for i in range(40):
        sent.append(journal.add("session_started", started(group=i), T, i))
        settle(journal, 1_000 * i)
    assert journal.stored
    assert [body["n"] for body in read_all(journal)][-40:] == sent


def test_both_heads_damaged_repeat_no_number_and_keep_the_segments():
    flash = Flash()
    used = lived(flash)
    old, _ = again(flash)
    for slot in "ab":
        flash.flip("journal/" + slot, 9)
    journal, damage = again(flash)
    assert damage == "head a and b"
    assert journal.boot > old.boot - 1
    assert journal.add("booted", {}, T, 0) > max(used)
    settle(journal)
    there = [body["n"] for body in read_all(journal)]
    assert len(set(there) & set(used)) >= len(used) - 12
    assert again(flash)[1] is None


def test_a_record_damaged_in_the_middle_costs_itself_alone():
    random.seed(1)
    for letter in "rs" * 20:
        flash = Flash()
        used = lived(flash)
        path = of_kind(flash, letter)
        flash.flip(path, random.randint(19, len(flash.data(path)) - 200), random.randint(0, 7))
        journal, damage = again(flash)
        assert damage == path[8:], damage
        missing = set(used) - {body["n"] for body in read_all(journal)}
        assert len(missing) == 1, missing
        lost = journal.lost_sessions if letter == "s" else journal.lost_routine
        assert lost == 1


def test_a_segment_cut_short_anywhere_keeps_what_comes_before():
    flash = Flash()
    used = lived(flash)
    saved = {path: bytes(each[0]) for path, each in flash.contents.items()}
    for letter in "rs":
        path = next(path for path in saved if path[8] == letter)
        for size in range(0, len(saved[path]), 7):
            flash.contents = {name: [data] for name, data in saved.items()}
            flash.contents[path] = [saved[path][:size]]
            journal, damage = again(flash)
            assert damage is None  # a write that was torn looks the same
            n = journal.add("session_started" if letter == "s" else "booted", started(), T, 0)
            assert n > max(used)
            for i in range(6):  # into a new segment
                journal.add("card_refused", {"token": TOKEN, "why": "x" * 90}, T, 0)
                settle(journal, 1_000 * i)
            numbers = [body["n"] for body in read_all(journal)]
            assert n in numbers and numbers == sorted(set(numbers))


def test_a_segment_of_zeros_is_gone_through_in_pieces():
    flash = Flash()
    used = lived(flash)
    path = of_kind(flash, "s")
    good = flash.data(path)
    flash.contents[path] = [good[:400] + bytes(8_000) + good[400:]]
    files = Files(flash)
    journal = Journal("journal", files)
    turns = []
    assert journal.load(lambda: turns.append(files.reads)) == path[8:]
    assert len(turns) >= 16, "the watchdog is fed by nobody else"
    calls = missing = 0
    bodies = []
    while journal.pending and calls < 1_000:
        calls += 1
        body = journal.unsent()
        if body is None:
            missing += 1
            continue
        bodies.append(body["n"])
        journal.sent(body["n"], 1)
        journal.acknowledged(1)
    assert missing >= 50, "a tap may have to wait for it"
    assert len(set(used) - set(bodies)) <= 2


def test_any_bytes_at_all_are_survived():
    flash = Flash()
    used = lived(flash)
    saved = {path: bytes(each[0]) for path, each in flash.contents.items()}
    paths = sorted(saved)
    random.seed(4)
    for _ in range(150):
        flash.contents = {name: [data] for name, data in saved.items()}
        for _ in range(random.randint(1, 4)):
            path = paths[random.randint(0, len(paths) - 1)]
            data = bytearray(flash.data(path))
            kind = random.randint(0, 4)
            if kind == 0:
                data = data[: random.randint(0, len(data))]
            elif kind == 1:
                for _ in range(random.randint(1, 20)):
                    if data:
                        data[random.randint(0, len(data) - 1)] = random.randint(0, 255)
            elif kind == 2:
                data = bytearray([random.randint(0, 255) for _ in range(random.randint(0, 700))])
            elif kind == 3:
                data += bytes([random.randint(0, 255) for _ in range(random.randint(1, 90))])
            else:
                path = "journal/" + ("s%08x", "r%08x")[random.randint(0, 1)] % random.randint(
                    0, 0xFFFF
                )
                path = path if random.randint(0, 1) else "journal/sffffffff"
            flash.contents[path] = [bytes(data)]
        journal, _ = again(flash)
        n = journal.add("session_started", started(), T, 0)
        settle(journal)
        numbers = [body["n"] for body in read_all(journal)]
        assert numbers == sorted(set(numbers)) and n in numbers
        assert journal.stored and journal.open and journal.open.n == n
        assert len(numbers) <= len(used) + 1
        journal, damage = again(flash)
        assert damage is None or journal.stored


def test_things_of_the_wrong_kind_are_put_aside():
    for wrong in (("a",), ("b",), ("a", "b"), ("a", "b", "s00000007", "r00000009")):
        path = directory() + "journal"
        os.mkdir(path)
        for name in wrong:
            os.mkdir(path + "/" + name)
        journal = Journal(path)
        assert journal.load() is not None
        n = journal.add("session_started", started(), T, 0)
        settle(journal)
        settle(journal, 10_000)
        assert journal.stored
        n = journal.add("session_ended", ended(n), T, 0)
        settle(journal, 20_000)
        journal = Journal(path)
        journal.load()
        assert [body["event"] for body in read_all(journal)] == ["session_started", "session_ended"]


def test_a_file_where_the_folder_should_be_makes_way():
    path = directory() + "journal"
    with open(path, "w") as file:
        file.write("x")
    journal = Journal(path)
    assert journal.load() is not None
    journal.add("session_started", started(), T, 0)
    settle(journal)
    assert journal.stored
    assert Journal(path).load() is None


def test_a_folder_that_cannot_be_made_is_said_and_events_go_out():
    journal = Journal(directory() + "no/such/journal")
    assert journal.load() is not None
    journal.add("booted", {}, None, 0)
    settle(journal)
    assert journal.stored is False
    assert [body["event"] for body in read_all(journal)] == ["booted"]


def test_a_record_whose_bytes_mean_nothing_is_passed_over():
    flash = Flash()
    journal, _ = again(flash)
    strange = records.encode(journal.add("a", {}, T, 0), 1, "b", {}, T, 0)
    strange = strange[:17] + b"[" + strange[18:-4]
    import binascii

    journal._recent = [strange + binascii.crc32(strange).to_bytes(4, "big")]
    n = journal.add("session_started", started(), T, 0)
    settle(journal)
    assert [body["n"] for body in read_all(journal)] == [n]
    assert journal.lost_routine == 1
