"""HMAC-SHA256 against the vectors of RFC 4231."""

from binascii import hexlify, unhexlify

from firmware.hmac_sha256 import HmacSha256, same

# RFC 4231 sections 4.2 to 4.8: key, data, HMAC-SHA-256 (4.6, test case 5, is cut to 128 bits).
VECTORS = (
    (
        b"\x0b" * 20,
        b"Hi There",
        b"b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
    ),
    (
        b"Jefe",
        b"what do ya want for nothing?",
        b"5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
    ),
    (
        b"\xaa" * 20,
        b"\xdd" * 50,
        b"773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe",
    ),
    (
        bytes(range(1, 26)),
        b"\xcd" * 50,
        b"82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b",
    ),
    (
        b"\x0c" * 20,
        b"Test With Truncation",
        b"a3b6167473100ee06e0c796c2955552b",
    ),
    (
        b"\xaa" * 131,
        b"Test Using Larger Than Block-Size Key - Hash Key First",
        b"60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
    ),
    (
        b"\xaa" * 131,
        b"This is a test using a larger than block-size key and a larger than block-size data. "
        b"The key needs to be hashed before being used by the HMAC algorithm.",
        b"9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
    ),
)


def test_the_vectors_of_rfc_4231():
    for key, data, expected in VECTORS:
        assert hexlify(HmacSha256(key).digest(data)).startswith(expected), key


def test_a_prepared_key_serves_many_messages():
    hmac = HmacSha256(b"Jefe")
    first = hmac.digest(b"one")
    assert hmac.digest(b"two") != first
    assert hmac.digest(b"one") == first


def test_parts_count_as_one_message():
    hmac = HmacSha256(b"Jefe")
    whole = hmac.digest(b"topic\nbody")
    assert hmac.digest(b"topic", b"\n", b"body") == whole
    assert hmac.digest(bytearray(b"topic\n"), memoryview(b"body")) == whole
    assert hmac.digest() == hmac.digest(b"")


def test_a_key_of_exactly_one_block_is_used_as_it_is():
    # RFC 2104 section 2: zeros appended to a shorter key change nothing.
    assert HmacSha256(b"k" + bytes(63)).digest(b"m") == HmacSha256(b"k").digest(b"m")
    assert HmacSha256(b"k" + bytes(64)).digest(b"m") != HmacSha256(b"k").digest(b"m")


def test_same_compares_every_byte_and_the_length():
    known = unhexlify("00112233445566778899aabbccddeeff")
    assert same(known, bytearray(known))
    assert same(b"", b"")
    assert not same(known, known[:-1])
    assert not same(known[:-1], known)
    for i in range(len(known)):
        changed = bytearray(known)
        changed[i] ^= 0x80
        assert not same(known, changed), i
