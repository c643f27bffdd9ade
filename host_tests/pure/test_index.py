"""Indexes and refs: what counts as one (DESIGN section 6)."""

from binascii import unhexlify

from firmware.allowlist import index, ref
from firmware.allowlist.errors import ListError, ObjectError
from host_tests.pure.check import raises
from host_tests.pure.lists import List, name, people


def refused(data):
    return str(raises(ObjectError, index.check, data))


def test_a_well_formed_index_gives_bits_and_cards():
    built = List(people(range(20)), 2)
    assert index.check(built.index) == (2, 20)
    assert index.check(List({}, 0).index) == (0, 0)


def test_the_layout_byte_by_byte():
    data = unhexlify("544749310100000000000102" + "11" * 16 + "22" * 16)
    assert index.check(data) == (1, 0x102)
    assert index.header(1, 0x102) == data[:12]


def test_an_objects_name_is_the_first_half_of_its_sha_256():
    # FIPS 180-4's example: SHA-256("abc") = ba7816bf 8f01cfea 414140de 5dae2223 ...
    assert index.name_of(b"abc") == "ba7816bf8f01cfea414140de5dae2223"
    assert index.digest_of(b"abc") == unhexlify("ba7816bf8f01cfea414140de5dae2223")


def test_the_bits_of_an_index_follow_from_the_size_of_its_digests():
    assert [index.bits_of(16 << bits) for bits in range(10)] == list(range(10))
    assert all(index.bits_of(size) is None for size in (0, 15, 17, 48, 16 << 10))


def test_512_shards_are_the_most():
    assert index.check(index.header(9, 100_000) + bytes(16 << 9)) == (9, 100_000)
    assert refused(index.header(10, 5) + bytes(16 << 10)) == "index of 10 bits, expected at most 9"


def test_a_wrong_beginning_is_refused():
    assert refused(b"") == "index of 0 bytes, expected at least 12"
    assert refused(b"TGS1" + bytes(24)) == "index begins b'TGS1', expected b'TGI1'"
    for at in (5, 6, 7):
        data = bytearray(index.header(0, 0) + bytes(16))
        data[at] = 1
        assert refused(data) == "index with reserved bytes set, expected 000000"


def test_a_size_that_is_not_that_of_its_bits_is_refused():
    assert refused(index.header(1, 0) + bytes(31)) == "index of 43 bytes, 1 bits take 44"
    assert refused(index.header(1, 0) + bytes(33)) == "index of 45 bytes, 1 bits take 44"


def test_more_cards_than_its_shards_can_hold_are_refused():
    assert index.check(index.header(1, 510) + bytes(32)) == (1, 510)
    assert refused(index.header(1, 511) + bytes(32)) == "index of 511 cards, 2 shards hold 510"


def test_a_ref_says_version_index_cards_age_and_time():
    built = List(people(range(3)), 0)
    body = built.ref(7, max_age_s=60)[0]
    applied = ref.check(body)
    assert applied == (7, name(built.index), 3, 60, 1_007)
    assert (applied.version, applied.index, applied.cards) == (7, name(built.index), 3)
    assert (applied.max_age_s, applied.t) == (60, 1_007)


def test_a_ref_with_anything_missing_or_of_another_type_is_refused():
    good = List({}, 0).ref(1)[0]
    for key in good:
        for found in (None, "5", 1.5, True, -1, [], {}):
            bad = dict(good)
            bad[key] = found
            text = str(raises(ListError, ref.check, bad))
            assert text.startswith(f"ref's {key}: found {found!r}, expected "), text
        without = dict(good)
        del without[key]
        raises(ListError, ref.check, without)


def test_an_index_name_that_is_not_32_lower_case_hex_digits_is_refused():
    for found in ("", "a" * 31, "a" * 33, "A" * 32, "g" * 32, "../" + "a" * 29):
        raises(ListError, ref.check, List({}, 0).ref(1, index=found)[0])
