"""SNTP messages (RFC 4330) without a network."""

from firmware.link.ntp import NtpError, answer, query
from host_tests.pure.check import raises

STAMP = b"\x13\x57\x9b\xdf\x02\x46\x8a\xce"
T = 1_790_000_000
_1900 = 2_208_988_800
HALF = 1 << 31


def reply(seconds=T + _1900, fraction=0, first=0x24, stratum=2, stamp=STAMP, name=b"LOCL", size=48):
    """As a server with version 4 sends it: no warning, mode 4."""
    head = bytes((first, stratum, 6, 0xEC)) + bytes(8) + name
    sent = (seconds & 0xFFFF_FFFF).to_bytes(4, "big") + fraction.to_bytes(4, "big")
    received = bytes(8)  # nobody looks at it
    return (head + bytes(8) + stamp + received + sent)[:size]


def test_the_question_carries_the_stamp_and_nothing_of_the_charger():
    message = query(STAMP)
    assert len(message) == 48
    assert message[0] == 0x23  # no warning, version 4, client
    assert message[40:] == STAMP
    assert not any(message[1:40])


def test_the_time_is_told_to_the_millisecond():
    assert answer(reply(), STAMP) == T * 1_000
    assert answer(reply(fraction=HALF), STAMP) == T * 1_000 + 500
    assert answer(reply(fraction=0xFFFF_FFFF), STAMP) == T * 1_000 + 999


def test_versions_and_strata_that_a_server_may_have_are_taken():
    for first in (0x1C, 0x24, 0x64, 0xA4):  # version 3; 4; a leap second is near
        assert answer(reply(first=first), STAMP) == T * 1_000, first
    for stratum in (1, 15):
        assert answer(reply(stratum=stratum), STAMP) == T * 1_000, stratum


def test_what_follows_the_message_is_not_looked_at():
    assert answer(reply() + b"\x00\x00\x00\x01" + b"m" * 16, STAMP) == T * 1_000


def test_the_seconds_go_on_past_the_end_of_their_era():
    # RFC 4330 section 3: 2036-02-07 06:28:16 UTC is second 0 of the next one.
    end = 2_085_978_496
    assert answer(reply(seconds=end - 1 + _1900), STAMP) == (end - 1) * 1_000
    assert answer(reply(seconds=0, fraction=HALF), STAMP) == end * 1_000 + 500
    assert answer(reply(seconds=86_400), STAMP) == (end + 86_400) * 1_000
    assert answer(reply(seconds=HALF - 1), STAMP) == (end + HALF - 1) * 1_000


def test_another_questions_answer_is_none():
    for i in range(8):
        other = bytearray(STAMP)
        other[i] ^= 1
        assert answer(reply(stamp=bytes(other)), STAMP) is None, i
    assert answer(reply(stamp=bytes(8)), STAMP) is None


def test_what_no_server_sends_is_no_answer():
    for mode in (0, 1, 2, 3, 5, 6, 7):
        assert answer(reply(first=0x20 | mode), STAMP) is None, mode
    assert answer(query(STAMP), STAMP) is None


def test_what_is_cut_off_is_no_answer():
    for size in range(48):
        assert answer(reply(size=size), STAMP) is None, size


def test_a_server_that_does_not_know_the_time_is_not_believed():
    for wrong in (
        reply(first=0xE4),  # the clock was never set
        reply(stratum=16),
        reply(stratum=255),
        reply(seconds=0, fraction=0),
    ):
        error = raises(NtpError, answer, wrong, STAMP)
        assert "does not know" in str(error)
        assert not error.kiss


def test_a_kiss_of_death_is_told_apart_and_says_why():
    error = raises(NtpError, answer, reply(stratum=0, name=b"RATE"), STAMP)
    assert error.kiss
    assert "RATE" in str(error)
    raises(NtpError, answer, reply(stratum=0, name=b"\xff\x00\n\x80"), STAMP)


def test_a_kiss_of_death_from_somebody_who_has_not_seen_the_question_is_none():
    assert answer(reply(stratum=0, stamp=bytes(8), name=b"DENY"), STAMP) is None
