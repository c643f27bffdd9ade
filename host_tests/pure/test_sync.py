"""Getting in step with a published list, whatever the link, the flash and the supply do."""

import sys
from time import ticks_add  # pyright: ignore[reportAttributeAccessIssue]

from firmware.allowlist import sync as sync_module
from firmware.allowlist.following import ANSWER_MS, OBJECTS_AT_ONCE, PASSES
from firmware.allowlist.revision import RESERVE_BYTES
from firmware.allowlist.store import Store
from firmware.allowlist.sync import RETRY_MS, Sync
from host_tests.pure.flash_model import Files, Flash, PowerCut
from host_tests.pure.lists import List, digest, entry, name, people, shard, token, verify

STRANGERS = range(1_000, 1_010)
STEP_MS = 50
SOON_MS = 60_000
UPDATING = ("following", "revision", "draft")


class Charger:
    """A store and a sync on `flash`, and the link: what is asked for comes at each `turn`."""

    def __init__(self, flash, **more):
        self.files = Files(flash, **more)
        self.store = Store("list", verify, self.files)
        self.sync = Sync(self.store, self.ask, self.note_applied, self.note_rejected, self.release)
        self.now_ms = ticks_add(0, -7_000)  # wraps in the middle of things
        self.waiting = []
        self.asked = []
        self.most = 0
        self.applied = []
        self.rejected = []
        self.up = True
        self.objects = {}
        self.store.load()

    def ask(self, digest):
        if not self.up:
            return None
        self.waiting.append(digest)
        self.asked.append(digest)
        self.most = max(self.most, len(self.waiting))
        return 1

    def release(self, digest):
        if digest in self.waiting:
            self.waiting.remove(digest)

    def note_applied(self, *what):
        self.applied.append(what)

    def note_rejected(self, why, detail):
        self.rejected.append((why, detail))

    def offer(self, built, version, **more):
        self.objects.update(built.objects)
        self.sync.offer(*built.ref(version, **more))

    def turn(self):
        """One tick, then one of the objects that were asked for."""
        more = self.sync.tick(self.now_ms)
        self.now_ms = ticks_add(self.now_ms, STEP_MS)
        for each in self.waiting:
            if each in self.objects:
                self.waiting.remove(each)
                self.sync.object(each, self.objects[each])
                return True
        return more

    def settle(self, turns=2_000):
        """Turn until nothing is on its way any more, or for so many turns."""
        while turns and (self.turn() or self.sync.busy):
            turns -= 1
        return self

    def come(self):
        """How many of the objects asked for have come."""
        return len(self.asked) - len(self.waiting)

    def until_come(self, objects):
        while self.come() < objects:
            self.turn()

    def run_ms(self, ms):
        for _ in range(ms // STEP_MS):
            self.turn()

    def version(self):
        return self.store.applied.version if self.store.applied else 0

    def holds(self, built):
        for each in built.cards:
            if self.store.lookup(each) != built.cards[each]:
                return False
        return all(self.store.lookup(token(number)) is None for number in STRANGERS)


def with_list(built, version=1, **more):
    charger = Charger(Flash(), **more)
    charger.offer(built, version)
    charger.settle()
    assert charger.holds(built)
    charger.asked.clear()
    charger.applied.clear()
    return charger


def changed(cards, *numbers):
    """The same cards, but these in another group."""
    cards = dict(cards)
    for number in numbers:
        cards[token(number)] = (77, 0, 0, 1)
    return cards


def test_a_first_list_is_fetched_and_reported():
    built = List(people(range(60)), 4)
    charger = Charger(Flash())
    charger.offer(built, 3)
    assert charger.sync.busy
    charger.settle()
    assert not charger.sync.busy
    assert charger.applied == [(3, name(built.index), 60)]
    assert charger.holds(built)
    assert not charger.rejected
    assert Charger(charger.files.flash).holds(built)


def test_every_object_is_asked_for_once_and_at_most_four_at_a_time():
    built = List(people(range(200)), 5)
    charger = Charger(Flash())
    charger.offer(built, 1)
    charger.settle()
    assert sorted(charger.asked) == sorted(built.objects)
    assert charger.asked[0] == name(built.index)
    assert charger.most == OBJECTS_AT_ONCE


def test_one_card_changed_asks_for_the_index_and_one_shard():
    cards = people(range(200))
    charger = with_list(List(cards, 5))
    after = List(changed(cards, 9), 5)
    charger.offer(after, 2)
    charger.settle()
    assert charger.asked == [name(after.index), name(after.shards[token(9)[0] >> 3])]
    assert charger.holds(after)


def test_a_shard_of_nobody_is_not_asked_for():
    charger = with_list(List(people(range(5)), 0))
    empty = List({}, 0)
    charger.offer(empty, 2)
    charger.settle()
    assert charger.asked == [name(empty.index)]
    assert charger.applied == [(2, name(empty.index), 0)]
    assert charger.holds(empty) and charger.store.lookup(token(1)) is None


def test_the_same_index_under_a_new_ref_asks_for_nothing():
    built = List(people(range(60)), 4)
    charger = with_list(built)
    charger.offer(built, 9, max_age_s=60)
    charger.settle()
    assert charger.asked == []
    assert charger.applied == [(9, name(built.index), 60)]
    again = Charger(charger.files.flash)
    assert again.store.applied == (9, name(built.index), 60, 60, 1_009)
    assert again.holds(built)


def test_the_old_list_counts_until_the_new_one_is_whole():
    old, new = List(people(range(60)), 4), List(people(range(30, 90)), 4)
    charger = with_list(old)
    charger.offer(new, 2)
    while charger.sync.busy:
        assert charger.holds(old)
        charger.turn()
    assert charger.holds(new)


def test_a_newer_ref_takes_over_and_what_has_come_is_kept():
    cards = people(range(200))
    first, second = List(cards, 5), List(changed(cards, 9), 5)
    charger = Charger(Flash())
    charger.offer(first, 1)
    charger.until_come(20)
    charger.offer(second, 2)
    assert charger.waiting == []
    charger.settle()
    assert charger.applied == [(2, name(second.index), 200)]
    assert charger.holds(second)
    twice = [each for each in charger.asked if charger.asked.count(each) > 1]
    assert len(set(twice)) <= OBJECTS_AT_ONCE  # those that were on their way at that moment


def test_a_newer_ref_to_the_same_index_takes_over_as_well():
    built = List(people(range(200)), 5)
    charger = Charger(Flash())
    charger.offer(built, 1)
    charger.until_come(20)
    charger.offer(built, 2)
    charger.settle()
    assert charger.applied == [(2, name(built.index), 200)]
    assert charger.asked.count(name(built.index)) == 1


def test_an_older_ref_or_another_of_the_same_version_is_rejected():
    built = List(people(range(9)), 0)
    charger = with_list(built, version=5)
    charger.offer(List({}, 0), 4)
    charger.offer(List({}, 0), 5)
    charger.settle()
    assert charger.rejected == [("version", "4 <= 5"), ("version", "5 <= 5")]
    charger.offer(List(people(range(8)), 0), 7)
    charger.offer(List({}, 0), 6)
    assert charger.rejected[2:] == [("version", "6 <= 7")]
    charger.settle()
    assert charger.version() == 7


def test_the_same_ref_once_more_is_nothing_new():
    built = List(people(range(9)), 0)
    charger = with_list(built)
    charger.offer(built, 1)
    charger.settle()
    assert charger.asked == charger.applied == charger.rejected == []


def test_a_ref_of_the_wrong_form_is_rejected():
    built = List(people(range(9)), 0)
    charger = with_list(built)
    charger.offer(built, 2, cards="9")
    charger.offer(built, 2, index=None)
    assert [why for why, _ in charger.rejected] == ["ref", "ref"]
    assert charger.holds(built) and not charger.sync.busy


def test_an_object_that_was_not_asked_for_is_left_alone():
    built = List(people(range(60)), 4)
    charger = with_list(built)
    operations = charger.files.operations
    charger.sync.object(name(built.shards[3]), built.shards[3])
    charger.sync.object("0" * 32, b"anything")
    assert charger.files.operations == operations and not charger.rejected


def test_a_wrong_object_is_rejected_does_not_hold_up_the_rest_and_is_asked_for_again():
    built = List(people(range(60)), 4)
    for wrong in (b"", b"TGS1", built.shards[2], built.index, bytes(8_192)):
        charger = Charger(Flash())
        charger.offer(built, 1)
        forged = name(built.shards[5])
        charger.objects[forged] = wrong
        charger.run_ms(3_000)
        why, detail = charger.rejected[0]
        assert why == "object" and detail.startswith(forged + ": shard 5 is ")
        assert set(charger.asked) == set(built.objects)  # all the others came
        assert not charger.applied
        charger.objects[forged] = built.shards[5]
        charger.run_ms(20_000)
        assert charger.applied and charger.holds(built)


def test_an_object_of_the_right_name_and_the_wrong_form_is_rejected():
    built = List(people(range(9)), 0)
    backwards = shard(*[entry(each) for each in sorted(built.cards, reverse=True)])
    index = built.index[:12] + digest(backwards)
    charger = Charger(Flash())
    charger.objects[name(index)] = index
    charger.objects[name(backwards)] = backwards
    charger.sync.offer(*built.ref(1, index=name(index)))
    charger.run_ms(2_000)
    assert charger.rejected == [
        ("object", name(backwards) + ": shard out of order: entry 1 is not above entry 0")
    ]
    assert charger.store.applied is None
    assert all(charger.store.lookup(each) is None for each in built.cards)


def test_an_object_that_the_link_could_not_take_is_reported_and_asked_for_again():
    built = List(people(range(9)), 0)
    charger = Charger(Flash())
    charger.offer(built, 1)
    charger.objects.clear()
    charger.run_ms(500)
    charger.sync.lost(name(built.index), "9000 bytes")
    assert charger.rejected == [("object", name(built.index) + ": 9000 bytes")]
    charger.objects.update(built.objects)
    charger.run_ms(10_000)
    assert charger.holds(built)


def test_what_does_not_come_is_asked_for_a_bounded_number_of_times():
    built = List(people(range(60)), 4)
    charger = Charger(Flash())
    charger.offer(built, 1)
    absent = name(built.shards[5])
    del charger.objects[absent]
    charger.run_ms(PASSES * (ANSWER_MS + 1_000) + 62_000 + 5_000)
    assert charger.asked.count(absent) == PASSES
    assert charger.rejected == [("missing", f"1 shards, asked {PASSES} times")]
    charger.run_ms(RETRY_MS // 2)
    assert charger.asked.count(absent) == PASSES
    charger.run_ms(RETRY_MS // 2)
    assert charger.asked.count(absent) == PASSES + 1
    charger.objects[absent] = built.shards[5]
    charger.run_ms(ANSWER_MS * 2)
    assert charger.holds(built)
    assert sorted(set(charger.asked)) == sorted(built.objects)


def test_a_wrong_index_is_rejected():
    built = List(people(range(9)), 1)
    charger = Charger(Flash())
    charger.offer(built, 1)
    charger.objects[name(built.index)] = List({}, 1).index
    charger.run_ms(500)
    assert charger.rejected[0][0] == "object"
    assert charger.asked == [name(built.index)]
    charger.objects.update(built.objects)
    charger.run_ms(5_000)
    assert charger.holds(built)


def test_an_index_that_its_ref_does_not_mean_is_rejected():
    old = List(people(range(9)), 1)
    charger = with_list(old)
    new = List(people(range(8)), 1)
    charger.objects.update(new.objects)
    charger.sync.offer(*new.ref(2, cards=9))
    charger.run_ms(2_000)
    assert charger.rejected == [("list", "index of 8 cards, its ref says 9")]
    assert charger.holds(old)
    malformed = new.index[:5] + b"\x01" + new.index[6:]
    charger.objects[name(malformed)] = malformed
    charger.sync.offer(*new.ref(3, index=name(malformed)))
    charger.run_ms(2_000)
    assert charger.rejected[1][0] == "object"
    assert charger.holds(old)
    charger.offer(new, 4)
    charger.settle()
    assert charger.holds(new)


def test_after_a_lost_link_only_what_is_missing_is_asked_for():
    built = List(people(range(200)), 5)
    charger = Charger(Flash())
    charger.offer(built, 1)
    charger.until_come(20)
    come = charger.come()
    charger.waiting.clear()  # what was on its way is lost
    charger.up = False
    charger.run_ms(60 * ANSWER_MS)
    assert not charger.rejected  # it is no object's fault
    charger.asked.clear()
    charger.up = True
    charger.sync.resume()
    charger.offer(built, 1)
    charger.settle()
    assert charger.holds(built)
    assert len(charger.asked) == len(built.objects) - come
    assert len(set(charger.asked)) == len(charger.asked)


def test_a_link_that_comes_back_is_asked_again_at_once():
    built = List(people(range(200)), 5)
    charger = Charger(Flash())
    charger.offer(built, 1)
    charger.until_come(20)
    charger.sync.tick(charger.now_ms)
    lost = list(charger.waiting)
    assert len(lost) == OBJECTS_AT_ONCE
    charger.waiting.clear()
    charger.sync.resume()
    charger.run_ms(200)
    assert all(charger.asked.count(each) == 2 for each in lost)


def test_a_link_that_comes_back_cuts_pauses_short():
    built = List(people(range(60)), 4)
    charger = Charger(Flash())
    charger.offer(built, 1)
    absent = name(built.shards[5])
    del charger.objects[absent]
    charger.run_ms(RETRY_MS // 2)
    charger.objects.update(built.objects)
    charger.sync.resume()
    charger.run_ms(1_000)
    assert charger.holds(built)


def test_after_a_power_cut_only_what_is_missing_is_asked_for():
    built = List(people(range(200)), 5)
    for torn in (False, True):
        charger = Charger(Flash(torn))
        charger.offer(built, 1)
        charger.until_come(20)
        charger = Charger(charger.files.flash)
        assert charger.store.applied is None
        charger.run_ms(1_000)  # nothing is swept before the ref has come again
        charger.offer(built, 1)
        charger.settle()
        lost = len(charger.asked) + 20 - len(built.objects)
        assert 0 <= lost < 4  # what is written together is lost together
        assert charger.holds(built)
        charger.settle()
        assert len(charger.files.flash.contents) == 18  # packs, record and one index


def test_an_update_that_a_power_cut_broke_off_is_finished_with_what_there_is():
    cards = people(range(200))
    charger = with_list(List(cards, 5))
    new = List(changed(cards, *range(20)), 5)
    charger.offer(new, 2)
    charger.until_come(9)
    again = Charger(charger.files.flash)
    assert again.holds(List(cards, 5))
    again.run_ms(1_000)
    again.offer(new, 2)
    again.settle()
    assert again.holds(new)
    new_objects = set(new.objects) - set(List(cards, 5).objects)
    assert set(charger.asked) | set(again.asked) == new_objects
    assert len(again.asked) <= len(new_objects) - 8 + 1  # the index once more at most


def test_what_an_update_left_behind_does_not_get_into_another():
    cards = people(range(200))
    charger = with_list(List(cards, 5))
    charger.offer(List(changed(cards, *range(20)), 5), 2)
    charger.until_come(9)
    others = (
        List(people(range(10, 200)), 5),
        List(cards | people(range(20), group=5), 5),
        List(people(range(5)), 0),
    )
    for other in others:
        again = Charger(charger.files.flash)
        again.offer(other, 3)
        again.settle()
        assert not again.rejected
        assert again.holds(other) and Charger(charger.files.flash).holds(other)
        charger = with_list(List(cards, 5))
        charger.offer(List(changed(cards, *range(20)), 5), 2)
        charger.until_come(9)


def test_a_full_flash_keeps_the_old_list_and_is_reported():
    old = List(people(range(60)), 4)
    charger = with_list(old)
    flash = charger.files.flash
    new = List(people(range(90)), 4)
    flash.capacity = flash.used() + RESERVE_BYTES
    charger.offer(new, 2)
    charger.run_ms(2_000)
    assert [why for why, _ in charger.rejected] == ["flash_full"]
    assert charger.asked == [name(new.index)]  # nothing is fetched that has no room
    assert charger.holds(old)
    assert charger.sync.problem == "flash_full"
    flash.capacity += 100_000
    charger.run_ms(RETRY_MS + 2_000)
    assert charger.holds(new)
    assert charger.asked.count(name(new.index)) == 1
    assert charger.sync.problem is None


def test_a_list_that_memory_could_not_even_be_begun_for_is_followed_later():
    def fails():
        del charger.sync._begin
        raise MemoryError("no room")

    for again in ("the link is back", "time has passed"):
        charger = with_list(List(people(range(20)), 2))
        other = List(people(range(30)), 2)
        charger.sync._begin = fails
        charger.offer(other, 2)
        charger.turn()
        assert charger.rejected == [("memory", "no room")]
        assert charger.sync.problem == "memory" and charger.sync.busy
        charger.run_ms(SOON_MS // 2)
        assert charger.version() == 1 and not charger.asked
        if again == "the link is back":
            charger.sync.resume()
        else:
            charger.run_ms(SOON_MS)
        charger.settle()
        assert charger.holds(other)
        assert charger.sync.problem is None


def test_what_updates_a_list_is_in_memory_only_meanwhile():
    def loaded():
        return [name for name in UPDATING if "firmware.allowlist." + name in sys.modules]

    charger = with_list(List(people(range(20)), 2))
    charger.run_ms(1_000)
    assert loaded() == []
    charger.offer(List(people(range(30)), 2), 2)
    charger.turn()
    assert loaded() == list(UPDATING)
    charger.settle().run_ms(1_000)
    assert charger.version() == 2
    assert loaded() == []
    # Nor where it cannot be put in force for now.
    charger.files.flash.capacity = charger.files.flash.used() + 10
    charger.offer(List(people(range(100, 130)), 2), 3)
    charger.run_ms(5_000)
    assert charger.sync.problem == "flash_full"
    assert loaded() == []


def just_updated():
    """A charger whose packs have all been written, at the moment its list is in force; the list."""
    charger = with_list(List(people(range(60)), 2))
    charger.run_ms(1_000)
    other = List(changed(people(range(60)), *range(60)), 2)
    charger.offer(other, 2)
    while charger.sync.busy:
        charger.turn()
    return charger, other


def test_what_an_update_leaves_is_made_anew_once_its_garbage_is_gone():
    class Collector:
        def collect(self):
            happened.append("collect")

    happened = []
    charger, other = just_updated()
    rows, written = charger.store.rows, charger.store.packs.files[:4]
    files = charger.files
    assert charger.store.packs.written == 0b1111
    collector, sync_module.gc = sync_module.gc, Collector()
    opened = files.open
    files.open = lambda path, mode: happened.append((path, mode)) or opened(path, mode)
    counts = []
    for _ in range(20):
        charger.turn()
        counts.append(len(happened))
    sync_module.gc = collector
    assert happened == ["collect"] + [(f"list/{pack}0", "rb") for pack in range(4)]
    assert all(counts[i + 1] - counts[i] <= 1 for i in range(len(counts) - 1))
    assert charger.store.packs.written == 0
    assert not any(charger.store.packs.files[pack] is written[pack] for pack in range(4))
    assert charger.store.rows is not rows
    assert charger.holds(other)


def test_where_there_is_no_memory_to_make_it_anew_look_ups_go_on():
    charger, other = just_updated()
    opened = charger.files.open

    def none_left(path, mode):
        raise MemoryError

    charger.files.open = none_left
    charger.run_ms(1_000)
    charger.files.open = opened
    assert charger.holds(other)
    assert charger.rejected == [] and charger.sync.problem is None


def test_a_flash_that_fills_up_in_the_middle_keeps_the_old_list():
    old = List(people(range(60)), 4)
    charger = with_list(old)
    flash = charger.files.flash
    new = List(people(range(100, 160)), 4)
    charger.offer(new, 2)
    charger.until_come(9)
    flash.capacity = flash.used() + 10  # something else took it all
    charger.run_ms(2_000)
    assert [why for why, _ in charger.rejected] == ["flash_full"]
    assert charger.holds(old) and Charger(flash).holds(old)
    flash.capacity += 1_000_000
    charger.run_ms(RETRY_MS)
    assert charger.holds(new)
    assert charger.asked.count(charger.asked[3]) == 1  # what had come by then was kept


def test_a_list_on_its_way_gives_its_room_to_who_needs_it_more_and_comes_later():
    old, new = List(people(range(60)), 4), List(people(range(30, 400)), 4)
    for charger in (Charger(Flash()), with_list(old)):
        before = charger.files.free("list")
        charger.offer(new, 2)
        charger.until_come(12)
        assert charger.files.free("list") < before
        charger.sync.drop()
        assert charger.waiting == []
        left = charger.files.free("list")
        if charger.version():
            assert charger.holds(old)
        else:
            assert left == before
        assert charger.sync.problem == "flash_full"
        charger.run_ms(RETRY_MS - 1_000)
        assert charger.files.free("list") == left
        charger.settle()
        assert charger.holds(new) and charger.sync.problem is None


def test_where_no_list_is_on_its_way_there_is_no_room_to_give():
    charger = with_list(List(people(range(60)), 4))
    charger.sync.drop()
    assert charger.sync.problem is None
    assert charger.holds(List(people(range(60)), 4))


def test_what_is_kept_for_others_is_left_to_them():
    built = List(people(range(1_000)), 5)
    charger = Charger(Flash(capacity=200_000))
    charger.offer(built, 1)
    charger.until_come(9)
    flash = charger.files.flash
    flash.capacity = flash.used() + RESERVE_BYTES + 16_384 + 8_000  # others took the rest
    charger.run_ms(3_000)
    assert [why for why, _ in charger.rejected] == ["flash_full"]
    assert flash.capacity - flash.used() > RESERVE_BYTES
    flash.capacity += 100_000
    charger.run_ms(RETRY_MS + 5_000)
    assert charger.holds(built)
    assert sorted(set(charger.asked)) == sorted(built.objects)


def test_what_had_come_into_a_pack_that_is_copied_to_make_room_is_fetched_again():
    cards = people(range(400))
    charger = with_list(List(cards, 1))
    flash = charger.files.flash
    in_first = [n for n in range(400) if token(n)[0] < 0x80]
    in_second = [n for n in range(400) if token(n)[0] >= 0x80]
    for version in range(2, 5):
        cards = changed(cards, in_first[version])
        charger.offer(List(cards, 1), version)
        charger.settle()
    once = List(changed(cards, in_first[9], in_second[9]), 1)
    charger.offer(once, 5)
    charger.until_come(len(charger.asked) + 2)  # the index and the first shard
    flash.capacity = flash.used() + RESERVE_BYTES + 20_000
    twice = List(changed(once.cards, in_second[10]), 1)
    charger.offer(twice, 6)
    charger.settle(500)
    assert not charger.rejected
    assert charger.holds(twice) and Charger(flash).holds(twice)


def test_room_is_made_where_a_pack_holds_much_that_is_out_of_date():
    cards = people(range(200))
    charger = with_list(List(cards, 0))
    flash = charger.files.flash
    for version in range(2, 5):
        cards = changed(cards, version)
        charger.offer(List(cards, 0), version)
        charger.settle()
    flash.capacity = flash.used() + RESERVE_BYTES + 16_384
    new = List(changed(cards, 9), 0)
    charger.offer(new, 5)
    charger.settle(400)
    assert not charger.rejected
    assert charger.holds(new) and Charger(flash).holds(new)


def test_a_first_list_that_never_came_to_its_end_makes_room_for_another():
    first, other = List(people(range(1_000)), 3), List(people(range(2_000, 3_000)), 3)
    charger = Charger(Flash())
    charger.offer(first, 1)
    charger.until_come(8)
    flash = charger.files.flash
    flash.capacity = flash.used() + RESERVE_BYTES + 40_000
    charger = Charger(flash)
    charger.offer(other, 2)
    charger.settle()
    assert not charger.rejected
    assert charger.holds(other) and Charger(flash).holds(other)


def test_what_is_out_of_date_is_cleared_away_in_time():
    cards = people(range(240))
    charger = with_list(List(cards, 0))
    largest = 0
    for version in range(2, 30):
        cards = changed(cards, version)
        charger.offer(List(cards, 0), version)
        charger.settle()
        assert charger.holds(List(cards, 0))
        largest = max(largest, charger.files.flash.used())
    assert largest < 12 * 4_096
    assert len(charger.applied) == 28
    assert sorted(charger.files.flash.contents) in (
        ["list/00", "list/i0", "list/ref"],
        ["list/00", "list/i1", "list/ref"],
        ["list/01", "list/i0", "list/ref"],
        ["list/01", "list/i1", "list/ref"],
    )


def test_what_a_large_list_has_left_is_cleared_away_after_one_of_nobody():
    cards = people(range(450))
    charger = with_list(List(cards, 1))
    for version in range(2, 9):
        cards = changed(cards, *range(50 * version, 50 * version + 40))
        charger.offer(List(cards, 1), version)
        while charger.sync.busy:
            charger.turn()
    charger.offer(List({}, 0), 9)
    while charger.sync.busy:
        charger.turn()
    operations = charger.files.operations
    charger.settle()
    assert charger.files.operations - operations < 40  # a pack that is not needed is not copied
    assert charger.version() == 9 and not charger.rejected
    assert charger.files.flash.used() < 1_000
    assert len(charger.files.flash.contents) <= 3  # record, index, and a pack of nothing
    assert charger.holds(List({}, 0)) and Charger(charger.files.flash).holds(List({}, 0))


def test_a_damaged_shard_is_fetched_again():
    built = List(people(range(200)), 5)
    charger = with_list(built)
    flash = charger.files.flash
    flash.flip("list/30", 20)
    charger = Charger(flash)
    charger.objects.update(built.objects)
    lost = [each for each in built.cards if charger.store.lookup(each) is None]
    assert len(lost) == built.shards[6][5]
    charger.run_ms(2_000)
    assert charger.asked == [name(built.shards[6])]
    assert charger.holds(built) and Charger(flash).holds(built)
    assert charger.applied == []  # it is the same list as ever


def test_a_damaged_record_is_fetched_again_and_the_shards_are_not():
    built = List(people(range(200)), 5)
    flash = with_list(built).files.flash
    flash.flip("list/ref", 40)
    charger = Charger(flash)
    assert charger.store.applied is None
    charger.offer(built, 1)
    charger.settle()
    assert charger.asked == []  # the index is a file of its own
    assert charger.holds(built)


def test_a_damaged_index_is_fetched_again_and_the_shards_are_not():
    built = List(people(range(200)), 5)
    flash = with_list(built).files.flash
    flash.flip("list/i0", 40)
    charger = Charger(flash)
    assert charger.store.applied is None
    charger.offer(built, 1)
    charger.settle()
    assert charger.asked == [name(built.index)]
    assert charger.holds(built)


def test_a_damaged_record_costs_no_shard_either_when_packs_have_been_copied():
    cards = people(range(240))
    charger = with_list(List(cards, 0))
    for version in range(2, 7):
        cards = changed(cards, version)
        charger.offer(List(cards, 0), version)
        charger.settle()
    flash = charger.files.flash
    assert sorted(flash.contents) == ["list/01", "list/i1", "list/ref"]
    flash.flip("list/ref", 40)
    charger = Charger(flash)
    charger.offer(List(cards, 0), 6)
    charger.settle()
    assert charger.asked == []
    assert charger.holds(List(cards, 0))


def test_a_newer_ref_comes_before_the_clearing_up():
    cards = people(range(240))
    charger = with_list(List(cards, 0))
    for version in range(2, 7):
        cards = changed(cards, version)
        charger.offer(List(cards, 0), version)
        while charger.sync.busy:
            charger.turn()
    turns = 9
    while turns and charger.store.packs.files[16] is None:  # until a pack is being copied
        charger.turn()
        turns -= 1
    assert turns
    new = List(changed(cards, 100), 0)
    charger.offer(new, 7)
    charger.settle()
    assert charger.holds(new)
    assert sorted(charger.files.flash.contents) == ["list/01", "list/i0", "list/ref"]
    assert Charger(charger.files.flash).holds(new)


def test_each_call_does_little():
    cards = people(range(600))
    charger = with_list(List(cards, 5))
    charger = Charger(charger.files.flash)
    charger.offer(List(changed(cards, *range(50)), 5), 2)
    files = charger.files
    while charger.sync.busy:
        reads, operations = files.reads, files.operations
        charger.sync.tick(charger.now_ms)
        assert files.reads - reads <= OBJECTS_AT_ONCE  # the names of as many shards
        assert files.operations - operations <= 4 or not charger.sync.busy  # but for the record
        while charger.waiting:
            each = charger.waiting.pop(0)
            operations = files.operations
            charger.sync.object(each, charger.objects[each])
            assert files.operations - operations <= 3


def test_a_cut_at_any_operation_leaves_one_of_the_lists_and_the_update_is_finished():
    cards = people(range(70))
    old = List(cards, 5)
    for new in (List(changed(cards, 3, 30), 5), List(people(range(30, 80)), 2), List({}, 0)):
        for torn in (False, True):
            flash = Flash(torn)
            first = Charger(flash)
            first.offer(old, 1)
            first.settle()
            kept = {path: content[0] for path, content in flash.contents.items()}
            cut_at = 0
            seen = set()
            while True:
                flash.contents = {path: [data] for path, data in kept.items()}
                charger = Charger(flash, cut_at=cut_at)
                charger.offer(new, 2)
                try:
                    charger.settle()
                    charger.run_ms(500)
                    break
                except PowerCut:
                    pass
                charger = Charger(flash)
                after = charger.version() == 2
                seen.add(after)
                assert charger.holds(new if after else old), cut_at
                charger.run_ms(200)
                charger.offer(new, 2)
                charger.settle()
                charger.run_ms(500)
                assert charger.holds(new), cut_at
                assert Charger(flash).holds(new), cut_at
                cut_at += 1
            assert charger.holds(new)
            assert False in seen


def test_a_cut_at_any_operation_of_a_first_fetch_is_nobody_or_the_list():
    built = List(people(range(60)), 4)
    for torn in (False, True):
        cut_at = 0
        while True:
            charger = Charger(Flash(torn), cut_at=cut_at)
            charger.offer(built, 1)
            try:
                charger.settle()
                break
            except PowerCut:
                pass
            charger = Charger(charger.files.flash)
            if charger.store.applied is None:
                assert all(charger.store.lookup(each) is None for each in built.cards)
            else:
                assert charger.holds(built)
            charger.offer(built, 1)
            charger.settle()
            assert charger.holds(built), cut_at
            cut_at += 1
        assert cut_at > 32
