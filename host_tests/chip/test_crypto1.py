"""CRYPTO1 and the nonce generator against published vectors."""

from hypothesis import given
from hypothesis import strategies as st

from tools.virtual.rc522.air import parity, take_apart
from tools.virtual.rc522.crypto1 import Crypto1, nonce_after, successor

KEY = bytes.fromhex("974c262b9278")
NUMBER = bytes.fromhex("65535d33")
NONCE = bytes.fromhex("be2b7b5d")
READER_NONCE = bytes.fromhex("0b4271ba")


def with_nonce(key: bytes = KEY) -> Crypto1:
    cipher = Crypto1(key)
    for number, nonce in zip(NUMBER, NONCE, strict=True):
        cipher.stream(number ^ nonce)
    return cipher


def test_the_published_authentication():
    cipher = with_nonce()
    assert take_apart(cipher.encrypt(READER_NONCE, feed=True)).data.hex() == "b1e1b891"
    assert take_apart(cipher.encrypt(successor(NONCE, 64))).data.hex() == "2cf7a248"
    assert take_apart(cipher.encrypt(successor(NONCE, 96))).data.hex() == "36081500"


def test_the_published_successor():
    assert successor(bytes.fromhex("2c198be4"), 64).hex() == "cc14c013"


def test_the_nonce_generator_repeats_after_65535_steps():
    first = nonce_after(0xACE1, 0)
    assert nonce_after(0xACE1, 65535) == first
    assert len({nonce_after(0xACE1, step) for step in range(0, 65535, 331)}) == 198


@given(st.integers(1, 0xFFFF), st.integers(0, 2_000))
def test_a_jump_equals_so_many_steps(seed, steps):
    assert nonce_after(seed, steps) == successor(nonce_after(seed, 0), steps)


@given(st.binary(min_size=6, max_size=6), st.binary(min_size=1, max_size=18))
def test_the_other_side_reads_what_was_hidden(key, data):
    assert with_nonce(key).decrypt(with_nonce(key).encrypt(data)) == (data, True)


@given(st.binary(min_size=4, max_size=4), st.binary(min_size=4, max_size=4))
def test_a_fed_nonce_keeps_both_sides_in_step(nonce, proof):
    ours, theirs = with_nonce(), with_nonce()
    assert theirs.decrypt(ours.encrypt(nonce, feed=True), feed=True) == (nonce, True)
    assert theirs.decrypt(ours.encrypt(proof)) == (proof, True)
    assert ours.state == theirs.state


def test_parity_is_hidden_under_the_next_bit_of_the_stream():
    hidden = with_nonce().encrypt(b"\x00\x00\x00\x00")
    cipher = with_nonce()
    for n in range(4):
        assert hidden.bits >> 9 * n & 0xFF == cipher.stream()
        assert hidden.bits >> 9 * n + 8 & 1 == parity(0) ^ cipher.peek()
