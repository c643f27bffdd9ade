"""Shards: what counts as one, and how an entry is found in it (DESIGN section 6)."""

from firmware.allowlist.errors import ObjectError
from firmware.allowlist.shard import SHARD_BYTES, check, find, length, shard_of
from host_tests.pure.check import raises
from host_tests.pure.lists import entry, shard

A, B, C = b"\x20aaaaaa", b"\x20bbbbbb", b"\x3fcccccc"  # all begin with the bits 001


def group(data, token):
    found = find(data, token)
    return found[0] if found else None


def refused(data, place=1, bits=3):
    return str(raises(ObjectError, check, data, place, bits))


def test_a_well_formed_shard_counts():
    assert check(shard(entry(A), entry(B), entry(C)), 1, 3) == 3
    assert check(shard(), 5, 3) == 0
    assert check(memoryview(shard(entry(A))), 0, 0) == 1


def test_the_layout_byte_by_byte():
    data = bytes.fromhex("54475331000100002061616161616101020304050607081d")
    assert data == shard(entry(A, 0x0102, 0x030405, 0x060708, 0x1D))
    assert find(data, A) == (0x0102, 0x030405, 0x060708, 0x1D)


def test_the_largest_shard_has_255_entries():
    tokens = [bytes([0x20, i]) + b"aaaaa" for i in range(255)]
    data = shard(*[entry(token, group=i) for i, token in enumerate(tokens)])
    assert len(data) == SHARD_BYTES - 8
    assert check(data, 1, 3) == 255
    for i, token in enumerate(tokens):
        assert group(data, token) == i


def test_every_entry_is_found_and_nothing_else():
    data = shard(entry(A, group=1), entry(B, group=2), entry(C, group=3))
    assert [group(data, each) for each in (A, B, C)] == [1, 2, 3]
    for other in (b"\x20aaaaab", b"\x20aaaaa`", b"\x20bbbbba", b"\x00" * 7, b"\xff" * 7):
        assert find(data, other) is None
    assert find(shard(), A) is None


def test_tokens_that_differ_only_in_their_last_bytes_are_told_apart():
    tokens = [b"\x20aa" + bytes([i]) + b"zz" + bytes([j]) for i in (0, 128) for j in range(20)]
    data = shard(*[entry(token, group=i) for i, token in enumerate(tokens)])
    check(data, 1, 3)
    for i, token in enumerate(tokens):
        assert group(data, token) == i
    assert find(data, b"\x20aa\x80zz\x14") is None
    assert find(data, b"\x20aa\x40zz\x00") is None


def test_a_wrong_beginning_is_refused():
    assert refused(b"TGI1" + bytes(4)) == "shard begins b'TGI1', expected b'TGS1'"
    assert refused(b"") == "shard of 0 bytes, expected 8 to 4096"
    assert refused(b"TGS1\x00\x00\x00") == "shard of 7 bytes, expected 8 to 4096"
    assert refused(b"TGS1\x00\x00\x00\x01") == "shard's reserved bytes 0001, expected 0000"
    assert refused(b"TGS1\x00\x00\x80\x00") == "shard's reserved bytes 8000, expected 0000"


def test_a_size_that_is_not_that_of_its_count_is_refused():
    whole = shard(entry(A), entry(B))
    assert refused(whole[:-1]) == "shard of 39 bytes, 2 entries take 40"
    assert refused(whole + b"\x00") == "shard of 41 bytes, 2 entries take 40"
    assert refused(b"TGS1\x00\x03\x00\x00" + whole[8:]) == "shard of 40 bytes, 3 entries take 56"
    assert refused(bytes(4097)) == "shard of 4097 bytes, expected 8 to 4096"


def test_more_entries_than_fit_are_refused():
    error = raises(ObjectError, length, b"TGS1\x01\x00\x00\x00")
    assert str(error) == "shard of 256 entries, expected at most 255"


def test_entries_out_of_order_or_twice_are_refused():
    assert refused(shard(entry(B), entry(A))) == "shard out of order: entry 1 is not above entry 0"
    assert refused(shard(entry(A), entry(B), entry(B))).startswith("shard out of order: entry 2")


def test_a_token_of_another_shard_is_refused():
    outside = shard(entry(A), entry(b"\x40zzzzzz"))
    assert refused(outside) == "entry 1 belongs in shard 2, found in 1 (3 bits)"
    assert refused(shard(entry(b"\x1fzzzzzz"), entry(A))).startswith("entry 0 belongs in shard 0")


def test_the_place_of_a_token_is_its_top_bits():
    token = b"\xa5\x5a12345"
    assert shard_of(token, 0) == 0
    assert shard_of(token, 1) == 1
    assert shard_of(token, 4) == 0xA
    assert shard_of(token, 8) == 0xA5
    assert shard_of(token, 9) == 0xA5 << 1
    assert shard_of(token, 16) == 0xA55A
