"""Answers of name and time servers: only an answer to the very question counts, and it says what
its bytes say."""

from datetime import UTC, datetime

import pytest
from hypothesis import assume
from hypothesis import strategies as st

from firmware.link import dns, ntp
from firmware.link.address import DnsError, is_address
from host_tests.fuzz import inputs
from host_tests.fuzz.trying import fuzz

LABELS = st.text("abcXYZ019-_", min_size=1, max_size=9)
HOSTS = st.lists(LABELS, min_size=1, max_size=4).map(".".join).filter(lambda h: not is_address(h))
NUMBERS = st.integers(0, 0xFFFF)
ADDRESSES = st.binary(min_size=4, max_size=4)


def dotted(four: bytes) -> str:
    return ".".join(map(str, four))


# --- DNS ------------------------------------------------------------------------------------------


def labels(host: str) -> bytes:
    return b"".join(bytes([len(each)]) + each.encode() for each in host.split(".")) + b"\0"


def record(name: bytes, kind: int, data: bytes, group: int = 1) -> bytes:
    numbers = kind.to_bytes(2, "big") + group.to_bytes(2, "big") + bytes(4)
    return name + numbers + len(data).to_bytes(2, "big") + data


OTHERS = st.one_of(
    st.builds(
        record,
        st.sampled_from((b"\0", b"\xc0\x0c", b"\x03abc\0", b"\x01a\xc0\x0c")),
        st.sampled_from((5, 28, 1, 255)),
        st.binary(max_size=9).filter(lambda d: len(d) != 4),
        st.sampled_from((1, 0x8001, 3)),
    ),
    st.builds(record, st.just(b"\xc0\x0c"), st.just(1), ADDRESSES, st.just(3)),
)


def reply(
    host: str, number: int, before: list[bytes], address: bytes | None, asked: bool, code: int
) -> bytes:
    answers = [*before]
    if address is not None:
        answers.append(record(b"\xc0\x0c", 1, address))
    header = number.to_bytes(2, "big") + bytes([0x81, 0x80 | code, 0, asked])
    header += len(answers).to_bytes(2, "big") + bytes(4)
    question = labels(host) + b"\0\x01\0\x01" if asked else b""
    return header + question + b"".join(answers)


@fuzz(
    "DNS answers",
    100,
    HOSTS,
    NUMBERS,
    st.lists(OTHERS, max_size=3),
    st.one_of(st.none(), ADDRESSES),
    st.booleans(),
    st.sampled_from((0, 0, 0, 2, 3)),
)
def test_the_first_address_of_an_answer_is_the_answer(
    host: str, number: int, before: list[bytes], address: bytes | None, asked: bool, code: int
) -> None:
    message = reply(host, number, before, address, asked, code)
    if code or address is None:
        with pytest.raises(DnsError, match="no address for"):
            dns.answer(message, host, number)
        return
    found = dns.answer(message, host, number)
    assert found == dotted(address) and is_address(dotted(address))
    assert dns.answer(message, host.swapcase(), number) == found
    # Not to another question, and not what another has asked.
    assert dns.answer(message, host, number ^ 0x100) is None
    assert dns.answer(bytes([*message[:2], message[2] & 0x7F]) + message[3:], host, number) is None
    if asked:
        assert dns.answer(message, host + "x", number) is None
    for end in range(0, len(message), 3):
        assert dns.answer(message[:end], host, number) is None


REPLIES = st.builds(
    reply,
    st.just("a.bc"),
    st.just(7),
    st.lists(OTHERS, max_size=3),
    ADDRESSES,
    st.booleans(),
    st.just(0),
)
CHAINS = st.integers(1, 300).map(
    lambda n: reply("a.bc", 7, [record(b"\x01a" * n + b"\0", 5, b"")] * 3, b"\1\2\3\4", True, 0)
)


@fuzz("DNS answers", 150, st.one_of(inputs.damaged(REPLIES), st.binary(max_size=512), CHAINS))
def test_any_other_bytes_are_an_address_or_none(message: bytes) -> None:
    try:
        found = dns.answer(message, "a.bc", 7)
    except DnsError:
        found = None
        assert message[:2] == b"\0\7" and message[2] & 0x80
    if found is not None:
        assert is_address(found)
        four = bytes(map(int, found.split(".")))
        assert b"\0\4" + four in message
        assert message[:2] == b"\0\7" and message[2] & 0x80 and not message[3] & 15


@fuzz(
    "DNS answers",
    75,
    st.one_of(HOSTS, st.text(max_size=70), st.text("ab.", max_size=300)),
    NUMBERS,
)
def test_a_question_is_its_name_or_refused(host: str, number: int) -> None:
    try:
        message = dns.query(host, number)
    except DnsError:
        parts = host.rstrip(".").split(".")
        assert (
            any(not 0 < len(each) < 64 or not each.isascii() for each in parts) or len(host) > 253
        )
        return
    assert message == (
        number.to_bytes(2, "big") + b"\1\0\0\1" + bytes(6) + labels(host.rstrip(".")) + b"\0\1\0\1"
    )
    assert len(message) <= 12 + 255 + 4


@fuzz(
    "DNS answers",
    75,
    st.one_of(st.text("0123456789.", max_size=16), st.text(max_size=9), ADDRESSES.map(dotted)),
)
def test_an_address_is_four_numbers(host: str) -> None:
    parts = host.split(".")
    assert is_address(host) == (
        len(parts) == 4
        and all(
            each.isascii() and each.isdigit() and len(each) < 4 and int(each) < 256
            for each in parts
        )
    )


# --- NTP ------------------------------------------------------------------------------------------

STAMPS = st.binary(min_size=8, max_size=8)
ERA_0 = int(datetime(1968, 1, 20, 3, 14, 8, tzinfo=UTC).timestamp()) * 1_000
ERA_1 = int(datetime(2036, 2, 7, 6, 28, 16, tzinfo=UTC).timestamp()) * 1_000


def said(stamp: bytes, ms: int, stratum: int, first: int = 0x24) -> bytes:
    """A server's packet, RFC 5905 figure 8."""
    seconds = (ms // 1_000 + 2_208_988_800) & 0xFFFF_FFFF
    fraction = (ms % 1_000 << 32) // 1_000 + 1
    packet = bytearray(48)
    packet[0], packet[1] = first, stratum
    packet[24:32] = stamp
    packet[40:44], packet[44:48] = seconds.to_bytes(4, "big"), fraction.to_bytes(4, "big")
    return bytes(packet)


@fuzz(
    "NTP answers",
    100,
    STAMPS,
    st.one_of(
        st.integers(ERA_0, ERA_0 + (1 << 32) * 1_000 - 1),
        st.sampled_from((ERA_1 - 1, ERA_1, 0, -1)),
    ),
    st.integers(1, 15),
    st.binary(max_size=9),
)
def test_the_time_that_was_said_is_the_time(
    stamp: bytes, ms: int, stratum: int, more: bytes
) -> None:
    assert ntp.answer(said(stamp, ms, stratum) + more, stamp) == ms


@fuzz(
    "NTP answers",
    150,
    STAMPS,
    STAMPS,
    st.one_of(
        st.binary(max_size=60),
        st.builds(
            said, STAMPS, st.integers(ERA_0, ERA_1), st.integers(0, 255), st.integers(0, 255)
        ),
    ),
    st.booleans(),
)
def test_only_an_answer_to_this_question_gives_a_time(
    stamp: bytes, other: bytes, message: bytes, mine: bool
) -> None:
    assume(stamp != other)
    packet = message[:24] + (stamp if mine else other) + message[32:]
    fits = len(packet) >= 48 and mine and packet[0] & 7 == 4
    try:
        found = ntp.answer(packet, stamp)
    except ntp.NtpError as error:
        assert fits
        assert error.kiss is (packet[1] == 0)
        assert packet[0] >> 6 == 3 or not 1 <= packet[1] <= 15 or packet[40:48] == bytes(8)
        return
    assert (found is not None) == fits
    if found is not None:
        assert ERA_0 <= found < ERA_0 + (1 << 32) * 1_000


@fuzz("NTP answers", 25, STAMPS)
def test_a_question_carries_its_stamp(stamp: bytes) -> None:
    message = ntp.query(stamp)
    assert len(message) == 48 and message[40:] == stamp
    assert ntp.answer(message, stamp) is None  # nobody's echo is a time
