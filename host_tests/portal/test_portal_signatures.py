"""Tokens and signatures against HMAC-SHA256 written out here (RFC 2104 section 2)."""

import hashlib
import json

from tools.portal import signing
from tools.portal.token import hint, token


def hmac_sha256(key: bytes, message: bytes) -> bytes:
    padded = key.ljust(64, b"\0")
    inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in padded) + message).digest()
    return hashlib.sha256(bytes(byte ^ 0x5C for byte in padded) + inner).digest()


KEY = bytes(range(32))


def test_a_token_is_the_first_seven_bytes_over_length_and_number():
    number = bytes.fromhex("04a1b2c3")
    assert token(KEY, number) == hmac_sha256(KEY, b"\x04\x04\xa1\xb2\xc3")[:7]
    assert hint(number) == "b2c3"


def test_numbers_of_different_lengths_never_share_what_is_hashed():
    seven = bytes.fromhex("04a1b2c3000000")
    assert token(KEY, seven) == hmac_sha256(KEY, b"\x07" + seven)[:7]
    assert token(KEY, seven) != token(KEY, seven[:4])


def test_a_message_is_signed_over_its_topic_and_its_json():
    topic = "tapgate/home/garage/settings"
    raw = signing.sign(KEY, topic, {"v": 7, "t": 1_800_000_000, "access": "open"})
    text = b'{"v":7,"t":1800000000,"access":"open"}'
    expected = hmac_sha256(KEY, b"tapgate/home/garage/settings\n" + text).hex().encode()
    assert raw == expected + b" " + text


def test_a_message_counts_only_with_its_key_and_its_topic():
    raw = signing.sign(KEY, "tapgate/home/garage/settings", {"v": 7})
    assert signing.verified(KEY, "tapgate/home/garage/settings", raw) == {"v": 7}
    assert signing.verified(KEY, "tapgate/home/gate/settings", raw) is None
    assert signing.verified(KEY[::-1], "tapgate/home/garage/settings", raw) is None
    assert signing.verified(KEY, "tapgate/home/garage/settings", raw[:-1]) is None
    assert signing.verified(KEY, "tapgate/home/garage/settings", b"") is None


def test_signed_text_that_is_no_json_object_says_nothing():
    topic = "tapgate/home/garage/settings"
    for text in (b"[1]", b"{", b"7"):
        signature = hmac_sha256(KEY, topic.encode() + b"\n" + text).hex().encode()
        assert signing.verified(KEY, topic, signature + b" " + text) is None


def test_every_letter_survives_the_way():
    raw = signing.sign(KEY, "t", {"name": "Åse \u2028"})
    assert json.loads(raw[65:]) == {"name": "Åse \u2028"}
