"""The list on flash: looked up, replaced whole, never open to whom it does not hold."""

from firmware.allowlist import ref
from firmware.allowlist.errors import ListError, ObjectError
from firmware.allowlist.packs import PACKS
from firmware.allowlist.revision import RESERVE_BYTES, Revision
from firmware.allowlist.store import Store as LookedUp
from firmware.files import Files as RealFiles
from host_tests.pure import place
from host_tests.pure.check import raises
from host_tests.pure.flash_model import Files, Flash, PowerCut
from host_tests.pure.lists import List, digest, people, token, verify

STRANGERS = range(1_000, 1_010)


class Store(LookedUp):
    """With what replaces its list beside it."""

    def load(self):
        self.revision = Revision(self)
        return super().load()


def opened(flash, **more):
    store = Store("list", verify, Files(flash, **more))
    store.load()
    return store


def put_in_force(store, built, version=1, **more):
    """What sync.py does, without a link."""
    body, raw = built.ref(version, **more)
    draft = begun(store, raw, ref.check(body), built.index)
    for _ in store.revision.prepare(draft):
        pass
    for i in range(draft.total):
        if draft.lacks(i):
            draft.put(i, built.shards[i])
    assert not draft.missing
    store.revision.commit(draft)
    store.revision.abandon(draft)


def begun(store, raw, applied, index):
    return store.revision.draft(raw, applied, store.revision.keep_index(applied, index))


def returned(generator):
    """What a generator returns."""
    try:
        while True:
            next(generator)
    except StopIteration as stop:
        return stop.value


def renew(store, pack):
    draft = store.revision.renewal(pack)
    for _ in store.revision.prepare(draft):
        pass
    if not draft.missing:
        store.revision.commit(draft)
    store.revision.abandon(draft)
    return draft


def holds(store, built):
    """Whether look-ups tell exactly what the list says."""
    for each in built.cards:
        if store.lookup(each) != built.cards[each]:
            return False
    return all(store.lookup(token(number)) is None for number in STRANGERS)


def filled(built, **more):
    flash = Flash()
    put_in_force(opened(flash), built, **more)
    return flash


def test_loading_opens_what_a_tap_would_have_to_search_for():
    built = List(people(range(300)), 5)
    flash = filled(built)
    files = Files(flash)
    store = Store("list", verify, files)
    store.load()
    files.opened = 0
    assert holds(store, built)
    assert files.opened == 0


def test_a_pack_that_cannot_be_opened_keeps_no_list_from_being_loaded():
    built = List(people(range(300)), 5)
    flash = filled(built)
    files = Files(flash)
    files.broken = next(path for path in flash.contents if path.endswith("/00"))
    store = Store("list", verify, files)
    assert store.load() is None
    found = [store.lookup(each) == built.cards[each] for each in built.cards]
    assert any(found) and not all(found)


def test_without_a_list_there_is_nobody():
    store = Store("list", verify, Files(Flash()))
    assert store.lookup(token(1)) is None
    assert store.load() is None
    assert store.applied is None
    assert store.lookup(token(1)) is None


def test_an_empty_list_is_nobody():
    flash = filled(List({}, 0))
    store = opened(flash)
    assert store.applied is not None and store.applied.cards == 0
    assert holds(store, List({}, 0))


def test_every_card_is_found_with_what_the_list_says_of_it():
    cards = {token(n): (n, 2 * n, 3 * n, n & 0xFF) for n in range(60)}
    for bits in (0, 1, 3, 4, 5):
        built = List(cards, bits)
        store = opened(filled(built, version=5, max_age_s=9))
        assert holds(store, built), bits
        assert store.applied == (5, built.ref(5)[0]["index"], 60, 9, 1_005)


def test_a_look_up_opens_nothing_and_reads_once_whatever_the_size():
    built = List(people(range(300)), 5)
    files = Files(filled(built))
    store = Store("list", verify, files)
    store.load()
    for each in built.cards:
        store.lookup(each)
    files.opened = 0
    for each in built.cards:
        files.reads = 0
        assert store.lookup(each) is not None
        assert files.reads == 1
    files.reads = 0
    assert holds(store, built)
    assert files.reads <= 310 and files.opened == 0


def test_another_list_replaces_it_whole():
    flash = Flash()
    store = opened(flash)
    for version, built in enumerate(
        (
            List(people(range(40)), 2),
            List(people(range(20, 60), group=7), 2),
            List(people(range(30)), 5),
            List({}, 0),
            List(people(range(10)), 1),
        )
    ):
        put_in_force(store, built, version + 1)
        assert holds(store, built)
        assert holds(opened(flash), built)


def test_what_both_lists_hold_is_not_written_again():
    flash = Flash()
    store = opened(flash)
    cards = people(range(100))
    put_in_force(store, List(cards, 4))
    before = flash.used()
    cards[token(3)] = (9, 0, 0, 0)
    built = List(cards, 4)
    put_in_force(store, built, 2)
    changed = built.shards[token(3)[0] >> 4]
    while store.revision.sweep():
        pass
    assert flash.used() - before == len(changed)
    assert holds(store, built)


def test_a_list_of_the_wrong_number_of_cards_does_not_come_into_force():
    old, new = List(people(range(9)), 0), List(people(range(12)), 0)
    store = opened(filled(old))
    lying = new.index[:8] + (13).to_bytes(4, "big") + new.index[12:]
    body, raw = new.ref(2, cards=13, index=digest(lying).hex())
    draft = begun(store, raw, ref.check(body), lying)
    list(store.revision.prepare(draft))
    draft.put(0, new.shards[0])
    error = raises(ListError, store.revision.commit, draft)
    assert str(error) == "list of 12 cards, its ref says 13"
    assert holds(store, old)
    # ... nor when only the ref is wrong about it
    body, raw = new.ref(2, cards=13)
    error = raises(ListError, store.revision.keep_index, ref.check(body), new.index)
    assert str(error) == "index of 12 cards, its ref says 13"
    error = raises(ListError, store.revision.redraft, raw, ref.check(old.ref(2, cards=13)[0]))
    assert str(error) == "index of 9 cards, its ref says 13"


def test_only_the_shard_of_that_name_and_place_counts():
    built = List(people(range(40)), 2)
    store = opened(Flash())
    body, raw = built.ref(1)
    draft = begun(store, raw, ref.check(body), built.index)
    list(store.revision.prepare(draft))
    other = List(people(range(41)), 2)
    for wrong in (built.shards[1], built.shards[0] + b"\x00", b"", bytes(8_192), other.index):
        error = raises(ObjectError, draft.put, 0, wrong)
        assert str(error).startswith("shard 0 is " + digest(wrong).hex() + ", expected ")
    assert draft.missing == 4
    # The right name alone does not do either: this index names a shard in a place not its own.
    turned = built.index[:12] + built.index[28:44] + built.index[12:28] + built.index[44:]
    body, raw = built.ref(1, index=digest(turned).hex())
    draft = begun(store, raw, ref.check(body), turned)
    error = raises(ObjectError, draft.put, 0, built.shards[1])
    assert str(error).startswith("entry 0 belongs in shard 1, found in 0")


def test_a_damaged_record_is_nobody():
    built = List(people(range(12)), 2)
    flash = filled(built)
    size = len(flash.data("list/ref"))
    for at in range(size):
        flash.flip("list/ref", at, at % 8)
        store = Store("list", verify, Files(flash))
        why = store.load()
        if store.applied is None:
            assert why
            assert all(store.lookup(each) is None for each in built.cards)
        else:  # where a shard lies, or ends: found wrong at the look-up, if it matters at all
            for each in built.cards:
                assert store.lookup(each) in (None, built.cards[each])
            assert all(store.lookup(token(number)) is None for number in STRANGERS)
        flash.flip("list/ref", at, at % 8)
    for short in range(0, size, 7):
        cut = Flash()
        cut.contents = dict(flash.contents)
        cut.contents["list/ref"] = [flash.data("list/ref")[:short]]
        assert opened(cut).applied is None


def test_a_record_says_what_is_wrong_with_it():
    built = List(people(range(12)), 1)
    flash = filled(built)
    size = len(flash.data("list/ref"))
    for back, why in ((6, "record of 1"), (2, None)):  # entries, then places
        flash.flip("list/ref", size - back)
        said = Store("list", verify, Files(flash)).load()
        assert said == why or (why and said and said.startswith(why)), said
        flash.flip("list/ref", size - back)
    flash.flip("list/ref", 0)
    said = Store("list", verify, Files(flash)).load()
    assert said == "record begins b'UGR2', expected b'TGR2'"


def test_a_damaged_index_is_nobody():
    built = List(people(range(12)), 2)
    flash = filled(built)
    index = flash.data("list/i0")
    assert index == built.index[12:]
    for damaged in (index[:-1], index[:16], b"", None, b"\x00" + index[1:], index[:-1] + b"\x00"):
        flash.contents["list/i0"] = [damaged]
        if damaged is None:
            del flash.contents["list/i0"]
        store = Store("list", verify, Files(flash))
        assert store.load()
        assert store.applied is None
        assert all(store.lookup(each) is None for each in built.cards)
        flash.contents["list/i0"] = [index]
    assert holds(opened(flash), built)


def test_the_index_of_a_list_to_be_fetched_outlives_a_power_cut():
    old, new = List(people(range(12)), 2), List(people(range(40)), 3)
    flash = filled(old)
    applied = ref.check(new.ref(2)[0])
    store = opened(flash)
    assert returned(store.revision.kept_index(applied)) is None
    assert store.revision.keep_index(applied, new.index) == (1, 3)
    store = opened(flash)
    assert returned(store.revision.kept_index(applied)) == (1, 3)
    assert returned(store.revision.kept_index(ref.check(new.ref(2, cards=41)[0]))) is None
    assert returned(store.revision.kept_index(ref.check(old.ref(3)[0]))) is None
    assert holds(store, old)
    flash.contents["list/i1"][0] += b"\x00"
    assert returned(store.revision.kept_index(applied)) is None


def test_a_list_that_is_not_signed_is_nobody():
    built = List(people(range(12)), 2)
    flash = filled(built)

    def never(raw):
        raise ValueError("signature: not made with this charger's key")

    store = Store("list", never, Files(flash))
    assert store.load() == "signature: not made with this charger's key"
    assert store.applied is None
    assert store.lookup(token(1)) is None


def test_a_flipped_bit_in_a_shard_lets_nobody_in():
    built = List({token(n): (n, 0, 0, 1) for n in range(3)}, 0)
    flash = filled(built)
    for at in range(len(flash.data("list/00"))):
        for bit in range(8):
            flash.flip("list/00", at, bit)
            store = opened(flash)
            assert store.lookup(token(1)) is None
            assert store.damaged == 0
            store.close()
            flash.flip("list/00", at, bit)
    assert holds(opened(flash), built)


def test_a_withdrawn_card_does_not_come_back_by_a_flipped_bit_in_its_place():
    # The old shard still lies in the pack, whole; a wrong place would point at it.
    flash = Flash()
    store = opened(flash)
    put_in_force(store, List(people(range(3)), 0), 1)
    new = List(people(range(2)), 0)
    put_in_force(store, new, 2)
    record = bytearray(flash.data("list/ref"))
    assert record[-2:] == b"\x00\x07"  # 8 + 3 x 16 bytes, in units of 8
    record[-2:] = b"\x00\x00"
    flash.contents["list/ref"] = [bytes(record)]
    store = opened(flash)
    assert store.lookup(token(2)) is None
    assert store.lookup(token(1)) is None
    assert store.damaged == 0


def test_a_missing_or_short_pack_is_nobody_and_the_others_still_count():
    built = List(people(range(64)), 2)
    flash = filled(built)
    flash.contents["list/00"] = [flash.data("list/00")[:-1]]
    del flash.contents["list/10"]
    store = opened(flash)
    for each in built.cards:
        expected = None if each[0] >> 6 < 2 else built.cards[each]
        assert store.lookup(each) == expected


def test_what_was_read_once_does_not_stand_in_for_what_is_gone():
    built = List(people(range(5)), 0)
    flash = filled(built)
    store = opened(flash)
    assert holds(store, built)
    flash.contents["list/00"][0] = flash.data("list/00")[:-16]
    assert store.lookup(token(1)) is None
    flash.contents["list/00"][0] = b""
    assert store.lookup(token(1)) is None


def test_what_came_behind_a_block_that_was_filled_up_is_found_again():
    """An update that a power cut ended: shards of one pack, each in a block of its own."""
    cards = {}
    for number in range(9_500):  # as many as 64 shards have, but of these only the first three
        if token(number)[0] >> 2 < 3:
            cards[token(number)] = (0, 0, 0, 1)
    built = List(cards, 6)
    body, raw = built.ref(1)
    flash = Flash()
    store = opened(flash)
    draft = begun(store, raw, ref.check(body), built.index)
    list(store.revision.prepare(draft))
    for i in range(3):
        assert 2_048 < len(built.shards[i]) < 4_096
        draft.put(i, built.shards[i])
        store.revision._writer.finish()
    assert flash.data("list/00")[4_096 : 4_096 + 4] == b"TGS1"
    again = opened(flash)
    draft = again.revision.draft(
        raw, ref.check(body), returned(again.revision.kept_index(ref.check(body)))
    )
    list(again.revision.prepare(draft))
    assert draft.missing == 0


def test_a_pack_that_cannot_be_opened_is_nobody_and_is_not_begun_anew():
    old, new = List(people(range(64)), 2), List(people(range(65)), 2)
    flash = filled(old)
    files = Files(flash)
    files.broken = "list/" + "0123"[token(64)[0] >> 6] + "0"
    store = Store("list", verify, files)
    store.load()
    assert store.lookup(token(64)) is None
    error = raises(OSError, put_in_force, store, new, 2)
    assert error.errno == 5
    assert holds(opened(flash), old)


def test_the_files_that_no_list_needs_are_swept_one_at_a_time():
    flash = Flash()
    store = opened(flash)
    put_in_force(store, List(people(range(100)), 4), 1)
    assert len(flash.contents) == PACKS + 2
    new = List(people(range(20)), 1)
    put_in_force(store, new, 2)
    flash.contents["list/ref.new"] = [b"left over"]
    swept = 0
    while store.revision.sweep():
        swept += 1
        assert len(flash.contents) == PACKS + 4 - swept
    assert swept == PACKS - 2 + 2
    assert sorted(flash.contents) == ["list/00", "list/10", "list/i1", "list/ref"]
    assert holds(store, new) and holds(opened(flash), new)
    assert not store.revision.sweep()
    # The files that went can come again, from their beginning.
    again = List(people(range(100)), 4)
    put_in_force(store, again, 3)
    assert holds(store, again)
    assert flash.data("list/50") == again.shards[5]


def test_a_pack_that_was_swept_away_begins_anew_also_after_a_power_cut():
    large, small = List(people(range(400)), 4), List(people(range(20)), 1)
    flash = Flash()
    store = opened(flash)
    put_in_force(store, large, 1)
    put_in_force(store, small, 2)
    while store.revision.sweep():
        pass
    put_in_force(opened(flash), large, 3)
    assert flash.data("list/50") == large.shards[5]
    assert holds(opened(flash), large)


def test_a_pack_of_which_much_is_out_of_date_is_copied_to_its_other_file():
    flash = Flash()
    store = opened(flash)
    built = List(people(range(220)), 0)
    for version in range(1, 7):
        assert store.revision.to_renew() == -1
        built = List(built.cards | people([0], group=version), 0)
        put_in_force(store, built, version)
    assert store.revision.to_renew() == 0  # five times 3.5 KB, in a block each
    before = flash.used()
    assert renew(store, 0).missing == 0
    assert store.revision.to_renew() == -1
    assert holds(store, built)
    assert holds(opened(flash), built)
    assert opened(flash).revision.to_renew() == -1
    while store.revision.sweep():
        pass
    assert sorted(flash.contents) == ["list/01", "list/i1", "list/ref"]
    assert flash.used() < before - 16_384
    # ... and back again to the first one
    assert renew(store, 0).missing == 0
    while store.revision.sweep():
        pass
    assert sorted(flash.contents) == ["list/00", "list/i1", "list/ref"]
    assert holds(store, built) and holds(opened(flash), built)


def test_a_renewal_that_is_given_up_leaves_no_trace():
    built = List(people(range(50)), 2)
    flash = filled(built)
    before = sorted(flash.contents)
    store = opened(flash)
    draft = store.revision.renewal(2)
    next(store.revision.prepare(draft))
    store.revision.abandon(draft)
    assert sorted(flash.contents) == before
    assert holds(store, built)


def test_a_renewal_copies_nothing_that_is_damaged():
    built = List(people(range(200)), 5)
    flash = filled(built)
    flash.flip("list/30", 20)
    flash.contents["list/30"][0] += built.shards[6]  # a whole one, left over behind the others
    store = opened(flash)
    assert [store.lookup(each) for each in built.cards].count(None) == built.shards[6][5]
    assert store.damaged == 6
    assert store.revision.to_renew() == 3
    draft = store.revision.renewal(3)
    list(store.revision.prepare(draft))
    assert draft.missing == 1 and draft.lacks(6)
    draft.put(6, built.shards[6])
    store.revision.commit(draft)
    assert store.damaged is None
    assert holds(store, built) and holds(opened(flash), built)


def test_a_shard_left_over_counts_only_where_it_belongs():
    # 1 bit: tokens that begin 10 are in shard and pack 1; 2 bits: the same shard is in pack 2.
    cards = {bytes([top]) + token(n)[1:]: (n, 0, 0, 1) for n, top in enumerate((5, 9, 0x85, 0x89))}
    flash = Flash()
    store = opened(flash)
    first = List(cards, 1)
    body, raw = first.ref(1)
    draft = begun(store, raw, ref.check(body), first.index)
    list(store.revision.prepare(draft))
    draft.put(1, first.shards[1])
    second = List(cards, 2)
    assert second.shards[2] == first.shards[1]
    store = opened(flash)
    put_in_force(store, second, 2)
    assert holds(store, second) and holds(opened(flash), second)


def test_a_full_flash_leaves_the_old_list():
    old = List(people(range(50)), 1)
    flash = filled(old)
    flash.capacity = flash.used() + 500
    store = opened(flash)
    new = List(people(range(90)), 1)
    error = raises(OSError, put_in_force, store, new, 2)
    assert error.errno == 28
    assert holds(store, old) and holds(opened(flash), old)
    flash.capacity += 100_000
    put_in_force(store, new, 2)
    assert holds(store, new) and holds(opened(flash), new)


def test_room_is_kept_for_others():
    flash = Flash()
    store = opened(flash)
    built = List(people(range(100)), 0)
    body, raw = built.ref(1)
    draft = begun(store, raw, ref.check(body), built.index)
    flash.capacity = flash.used() + RESERVE_BYTES + 16_384 + len(built.shards[0])
    assert store.revision.room(draft) == 0


def test_a_cut_at_any_operation_leaves_the_old_list_or_the_new_one():
    cards = people(range(70))
    old = List(cards, 5)
    cards.update(people((3, 30, 60, 75), group=4))
    del cards[token(5)]
    new = List(cards, 5)
    other = List(people(range(40, 90)), 1)
    for torn in (False, True):
        for before, after in ((None, old), (old, new), (old, other), (old, List({}, 0))):
            flash = Flash(torn)
            if before:
                put_in_force(opened(flash), before, 1)
            kept = {path: content[0] for path, content in flash.contents.items()}
            seen = set()
            cut_at = 0
            while True:
                flash.contents = {path: [data] for path, data in kept.items()}
                store = opened(flash, cut_at=cut_at)
                try:
                    put_in_force(store, after, 2)
                    while store.revision.sweep():
                        pass
                    break
                except PowerCut:
                    pass
                store = opened(flash)
                if store.applied is not None and store.applied.version == 2:
                    assert holds(store, after), cut_at
                    seen.add("new")
                elif before:
                    assert holds(store, before), cut_at
                    seen.add("old")
                else:
                    assert store.applied is None
                    seen.add("old")
                put_in_force(store, after, 3)
                assert holds(opened(flash), after), cut_at
                cut_at += 1
            assert "old" in seen and (after is not other or "new" in seen)


def test_a_cut_at_any_operation_of_a_renewal_changes_nothing():
    built = List(people(range(80)), 5)
    for torn in (False, True):
        cut_at = 0
        while True:
            flash = Flash(torn)
            put_in_force(opened(flash), built)
            store = opened(flash, cut_at=cut_at)
            try:
                assert renew(store, 1).missing == 0
                while store.revision.sweep():
                    pass
                break
            except PowerCut:
                pass
            store = opened(flash)
            assert holds(store, built), cut_at
            while store.revision.sweep():
                pass
            assert len(flash.contents) == PACKS + 2
            assert holds(opened(flash), built), cut_at
            cut_at += 1
        assert cut_at > 8


def test_it_works_on_a_real_directory():
    path = place.directory() + "list"
    store = Store(path, verify, RealFiles())
    assert store.load() is None
    built = List(people(range(300)), 5)
    put_in_force(store, List(people(range(290)), 5), 1)
    put_in_force(store, built, 2)
    assert holds(store, built)
    renew(store, 4)
    store.close()
    assert store.lookup(token(1)) is None
    assert store.load() is None
    assert holds(store, built)
    while store.revision.sweep():
        pass
    store.close()
    store = Store(path, verify)
    assert store.load() is None
    assert holds(store, built)
    store.close()
