"""Numbers become tokens (DESIGN section 5)."""

from binascii import unhexlify

from firmware.allowlist.token import Tokens
from host_tests.pure.check import raises

KEY = bytes(range(32))

# Number, and 7 bytes of HMAC-SHA256(KEY, length + number) as another program works them out.
VECTORS = (
    ("04a1b2c3", "734a8e5bb46a51"),
    ("04112233445566", "ace26413f59df0"),
    ("04a1b2c3d4e5f6a7b8c9", "7adc3d6fa7028a"),
    ("04112233", "1fdf0e0f477f47"),
)


def test_the_token_of_numbers_of_4_7_and_10_bytes():
    tokens = Tokens(KEY)
    for number, expected in VECTORS:
        assert tokens.of(unhexlify(number)) == unhexlify(expected), number


def test_a_number_may_come_in_any_buffer():
    buffer = bytearray(unhexlify("0004a1b2c300"))
    assert Tokens(KEY).of(memoryview(buffer)[1:5]) == unhexlify("734a8e5bb46a51")


def test_another_key_makes_another_token():
    number = unhexlify("04a1b2c3")
    assert Tokens(KEY).of(number) != Tokens(bytes(32)).of(number)


def test_a_number_of_any_other_length_is_refused_and_never_cut_or_padded():
    tokens = Tokens(KEY)
    for length in (0, 1, 3, 5, 6, 8, 9, 11):
        error = raises(ValueError, tokens.of, bytes(length))
        assert str(error) == f"number of {length} bytes, expected 4, 7 or 10"


def test_a_key_that_is_not_32_bytes_is_refused():
    assert str(raises(ValueError, Tokens, b"short")) == "card key of 5 bytes, expected 32"
