"""Signed messages: what is followed, and every way of not being followed."""

import binascii
import hashlib
import os

from firmware.link.messages import NESTING_LIMIT, SIZE_LIMIT, MessageError, Versions, sign, verify
from host_tests.pure.check import raises

KEY = bytes(range(32))
TOPIC = "tapgate/home/c1/settings"
GOOD = b'{"v":5,"t":1700000000,"access":"open"}'
FILE = "versions-under-test.json"


def hmac_by_hand(key, text):
    """RFC 2104, written out, so that the tests do not lean on the code they test."""
    key = key + bytes(64 - len(key))
    inner = hashlib.sha256(bytes([b ^ 0x36 for b in key]) + text).digest()
    return hashlib.sha256(bytes([b ^ 0x5C for b in key]) + inner).digest()


def signed(body, topic=TOPIC, key=KEY):
    return binascii.hexlify(hmac_by_hand(key, topic.encode() + b"\n" + body)) + b" " + body


def why(raw, topic=TOPIC, key=KEY):
    return raises(MessageError, verify, key, topic, raw).why


def without_file(test):
    for name in (FILE, FILE + ".new"):
        try:
            os.remove(name)
        except OSError:
            pass  # it was not there
    test()


def test_a_signed_message_is_read():
    assert verify(KEY, TOPIC, signed(GOOD)) == {"v": 5, "t": 1700000000, "access": "open"}
    assert verify(KEY, TOPIC, bytearray(signed(GOOD)))["v"] == 5


def test_a_known_vector():
    # Computed once with OpenSSL: printf 'a\n{"v":1,"t":0}' | openssl dgst -sha256 -mac HMAC
    # -macopt hexkey:000102..1f
    raw = b'a7b59db903fd10e1f0c4cb5baa3e2e4cd5986ead41b2e23c40374ef3554faf95 {"v":1,"t":0}'
    assert verify(KEY, "a", raw) == {"v": 1, "t": 0}


def test_what_sign_writes_verify_reads():
    body = {"v": 7, "t": 12, "name": 'Zoë "quoted" \\', "list": [1, [2, {"three": None}]]}
    raw = sign(KEY, TOPIC, body)
    assert raw[64:66] == b" {"
    assert verify(KEY, TOPIC, raw) == body
    assert raw == signed(raw[65:])


def test_one_changed_bit_anywhere_is_refused():
    good = signed(GOOD)
    for i in range(len(good)):
        bad = bytearray(good)
        bad[i] ^= 1
        assert why(bytes(bad)) in ("signature", "form"), i


def test_another_key_another_topic_are_refused():
    assert why(signed(GOOD, key=bytes(32))) == "signature"
    assert why(signed(GOOD, topic="tapgate/home/c2/settings")) == "signature"
    assert why(signed(GOOD), topic="tapgate/home/c1/command") == "signature"


def test_sizes_are_bounded_before_anything_is_parsed():
    fits = b'{"v":1,"t":1,"x":"' + b"a" * (SIZE_LIMIT - 65 - 20) + b'"}'
    raw = signed(fits)
    assert len(raw) == SIZE_LIMIT
    assert verify(KEY, TOPIC, raw)["v"] == 1
    assert why(raw + b" ") == "size"
    assert why(b"") == "size"
    assert why(signed(b"{")) == "size"


def test_other_forms_are_refused():
    good = signed(GOOD)
    assert why(good[:64] + b"\t" + good[65:]) == "form"
    assert why(good[:64].upper() + good[64:]) == "form"
    assert why(b"0x" + good[2:]) == "form"
    assert why(GOOD * 3) == "form"
    assert why(b"\xff" * 100) == "form"


def test_nesting_is_bounded_and_brackets_in_strings_do_not_count():
    def nested(levels):
        inner = levels - 1
        return signed(b'{"v":1,"t":1,"x":' + b"[" * inner + b"]" * inner + b"}")

    assert verify(KEY, TOPIC, nested(NESTING_LIMIT))["v"] == 1
    assert why(nested(NESTING_LIMIT + 1)) == "nesting"
    assert why(nested(200)) == "nesting"
    assert why(nested(4000)) == "nesting"
    flat = signed(b'{"v":1,"t":1,"x":[[],[],[],[],[],[],[],[],[],{}]}')
    assert len(verify(KEY, TOPIC, flat)["x"]) == 10
    text = signed(b'{"v":1,"t":1,"x":"[[[[[[[[[[\\"[[[[\\\\"}')
    assert verify(KEY, TOPIC, text)["x"] == '[[[[[[[[[["[[[[\\'
    assert why(signed(b'{"v":1,"t":1,"x":"\\\\",' + b"[" * 12)) == "nesting"


def test_nesting_is_found_whatever_strings_are_in_between():
    inside = b"[" * 12
    for text, deep in (
        (b'"' + inside + b'"', False),
        (b'"\\"' + inside + b'"', False),
        (b'"\\\\"' + inside, True),
        (b'"\\\\\\"' + inside + b'"', False),
        (b'"\\\\\\\\"' + inside, True),
        (b'"\\"\\\\"' + inside, True),
        (b'"\\"\\"' + inside + b'"', False),
        (b'""' + inside, True),
        (b'"a\\b"' + inside, True),
        (b'"' + inside, False),
        (b'"' + inside + b"\\", False),
        (b'"\xff\\u0022"' + inside, True),
    ):
        expected = "nesting" if deep else "json"
        assert why(signed(b'{"v":1,"t":1,"x":' + text + b"}x")) == expected, text


def test_what_is_no_json_is_refused():
    for body in (b'{"v":1,"t":1', b'{"v":1,"t":1}}', b"{v:1,t:1}", b'{"v":1,"t":1}x'):
        assert why(signed(body)) == "json", body
    assert why(signed(b'{"v":1,"t":1,"x":"\xff\xfe"}')) == "json"


def test_wrong_types_are_refused():
    for body in (
        b"[]",
        b'"text"',
        b"null",
        b"17",
        b"{}",
        b'{"v":1}',
        b'{"t":1}',
        b'{"v":"1","t":1}',
        b'{"v":true,"t":1}',
        b'{"v":1.0,"t":1}',
        b'{"v":0,"t":1}',
        b'{"v":-1,"t":1}',
        b'{"v":null,"t":1}',
        b'{"v":1,"t":-1}',
        b'{"v":1,"t":[1]}',
        b'{"v":99999999999999999999,"t":1}',
    ):
        padded = body + b" " * (2 - min(2, len(body)))
        assert why(signed(padded)) == "type", body


def test_the_error_says_what_was_found():
    error = raises(MessageError, verify, KEY, TOPIC, signed(b'{"v":"1","t":1}'))
    assert str(error) == "type: v: found '1', allowed a whole number from 1"
    assert isinstance(error, ValueError)


def test_versions_grow_strictly():
    def test():
        versions = Versions(FILE)
        assert versions.last("command") == 0 and not versions.damaged
        assert versions.check("command", 1)
        versions.store("command", 7)
        assert versions.check("command", 8)
        assert str(raises(MessageError, versions.check, "command", 7)) == "version: 7 <= 7"
        assert str(raises(MessageError, versions.check, "command", 5)) == "version: 5 <= 7"
        assert versions.check("settings", 1)

    without_file(test)


def test_a_retained_message_that_comes_again_is_not_a_replay():
    def test():
        versions = Versions(FILE)
        versions.store("settings", 7)
        assert versions.check("settings", 7, True) is False
        assert raises(MessageError, versions.check, "settings", 6, True).why == "version"

    without_file(test)


def test_versions_outlive_a_restart():
    def test():
        versions = Versions(FILE)
        versions.store("command", 7)
        versions.store("settings", 3)
        versions.store("command", 6)
        later = Versions(FILE)
        assert (later.last("command"), later.last("settings")) == (7, 3)
        os.remove(FILE)

    without_file(test)


def test_a_damaged_file_is_told_and_a_floor_can_be_given():
    def test():
        for content in (b"", b"{", b"[1]", b'{"a":-1}', b'{"a":"7"}', b"\xff", b"1" * 300):
            with open(FILE, "wb") as file:
                file.write(content)
            versions = Versions(FILE)
            assert versions.last("a") == 0
            assert versions.damaged
        versions.floor("settings", 9)
        assert raises(MessageError, versions.check, "settings", 8).why == "version"
        versions.mend()
        later = Versions(FILE)
        assert not later.damaged
        assert later.last("settings") == 9
        os.remove(FILE)

    without_file(test)


def test_what_could_not_be_stored_is_not_remembered():
    versions = Versions("no-such-folder/versions.json")
    raises(OSError, versions.store, "command", 3)
    assert versions.last("command") == 0
