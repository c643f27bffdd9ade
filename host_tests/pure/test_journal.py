import os

from firmware.journal.numbering import BLOCK, Numbering
from firmware.journal.pending import Pending
from host_tests.pure.place import directory


class Counting:
    boot = 7

    def __init__(self):
        self.n = 0

    def next(self):
        self.n += 1
        return self.n


def pending(limit=4):
    return Pending(Counting(), limit)


def names(queue):
    said = []
    packet_id = 1
    while True:
        body = queue.unsent()
        if body is None:
            return said
        said.append(body["event"])
        queue.sent(body["n"], packet_id)
        packet_id += 1


def test_event_numbers_go_on_where_the_last_start_may_have_been():
    path = directory() + "numbers"
    first = Numbering(path)
    used = [first.next() for _ in range(BLOCK + 3)]
    second = Numbering(path)
    again = second.next()
    assert used == sorted(set(used))
    assert again > used[-1]
    assert second.boot == first.boot + 1


def test_a_start_without_an_event_of_its_own_counts_once_it_has_one():
    path = directory() + "numbers"
    Numbering(path).next()
    assert Numbering(path).boot == 2


def test_an_event_costs_one_write_in_a_block():
    path = directory() + "numbers"
    numbering = Numbering(path)
    numbering.next()
    with open(path, "rb") as file:
        stored = file.read()
    for _ in range(BLOCK - 1):
        numbering.next()
    with open(path, "rb") as file:
        assert file.read() == stored


def test_a_damaged_file_of_numbers_goes_on_from_the_time():
    path = directory() + "numbers"
    with open(path, "w") as file:
        file.write('["seven",')
    assert Numbering(path, 1_800_000_000).next() == 1_800_000_000


def test_numbers_are_given_although_the_flash_takes_none():
    numbering = Numbering("build/pure/no/such/directory")
    assert numbering.next() < numbering.next()
    assert numbering.stored is False


def test_numbers_are_reserved_once_the_flash_takes_them():
    path = directory() + "late"
    numbering = Numbering(path + "/numbers")
    used = numbering.next()
    os.mkdir(path)
    numbering.next()
    assert numbering.stored is True
    assert Numbering(path + "/numbers").next() > used + 1


def test_an_event_that_finds_no_memory_is_counted_as_lost():
    queue = pending()

    def no_memory():
        raise MemoryError

    queue._numbering.next = no_memory
    queue.add("a", {}, 1, 1)
    assert (len(queue), queue.lost) == (0, 1)


def test_an_event_says_what_when_and_which():
    queue = pending()
    queue.add("booted", {"cause": "power"}, None, 3)
    assert queue.unsent() == {
        "n": 1,
        "boot": 7,
        "t": None,
        "up": 3,
        "event": "booted",
        "cause": "power",
    }


def test_events_are_kept_until_they_are_acknowledged():
    queue = pending()
    queue.add("a", {}, 1, 1)
    queue.sent(1, 11)
    assert queue.unsent() is None
    assert len(queue) == 1
    queue.acknowledged(12)
    assert len(queue) == 1
    queue.acknowledged(11)
    assert len(queue) == 0


def test_what_was_on_its_way_when_the_link_dropped_goes_again():
    queue = pending()
    for name in ("a", "b"):
        queue.add(name, {}, 1, 1)
    assert names(queue) == ["a", "b"]
    queue.link_lost()
    assert names(queue) == ["a", "b"]


def test_a_late_acknowledgement_of_the_old_link_forgets_nothing():
    queue = pending()
    queue.add("a", {}, 1, 1)
    queue.sent(1, 5)
    queue.link_lost()
    queue.acknowledged(5)
    assert names(queue) == ["a"]


def test_routine_events_give_way_before_sessions():
    queue = pending(3)
    for name in ("session_started", "card_refused", "session_ended", "booted", "session_started"):
        queue.add(name, {}, 1, 1)
    assert names(queue) == ["session_started", "session_ended", "session_started"]
    assert queue.lost == 2


def test_when_only_sessions_are_left_the_oldest_goes():
    queue = pending(2)
    for _ in range(3):
        queue.add("session_ended", {}, 1, 1)
    assert [body["n"] for body in queue._waiting] == [2, 3]
