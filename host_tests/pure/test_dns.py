"""DNS messages (RFC 1035) without a network."""

from firmware.link.dns import DnsError, answer, is_address, is_local, query
from host_tests.pure.check import raises

QUESTION = (
    b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x06broker\x07example\x00\x00\x01\x00\x01"
)
ADDRESS = b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x0e\x10\x00\x04\x0a\x01\x02\x03"
ALIAS = b"\xc0\x0c\x00\x05\x00\x01\x00\x00\x0e\x10\x00\x07\x04name\xc0\x13"
LONG_ADDRESS = b"\x04name\x07example\x00\x00\x01\x00\x01\x00\x00\x0e\x10\x00\x04\x0a\x01\x02\x04"


def reply(records, flags=b"\x81\x80", question=QUESTION[12:]):
    header = b"\x12\x34" + flags + bytes((0, 1 if question else 0, 0, len(records), 0, 0, 0, 0))
    return header + question + b"".join(records)


def test_a_question_is_spelled_as_the_standard_has_it():
    assert query("broker.example", 0x1234) == QUESTION
    assert query("broker.example.", 0x1234) == QUESTION


def test_names_that_are_none_are_refused():
    for host in ("", ".", "a..b", "x" * 64 + ".de", "größe.de", "a." * 127 + "de"):
        raises(DnsError, query, host, 1)
    assert query("x" * 63 + ".de", 1)


def test_the_first_address_counts_also_behind_an_alias():
    assert answer(reply([ADDRESS]), "broker.example", 0x1234) == "10.1.2.3"
    assert answer(reply([ALIAS, LONG_ADDRESS]), "broker.example", 0x1234) == "10.1.2.4"
    assert answer(reply([ADDRESS, LONG_ADDRESS]), "Broker.Example", 0x1234) == "10.1.2.3"


def test_a_multicast_answer_may_lack_the_question_and_carry_the_flush_bit():
    name = b"\x07printer\x05local\x00"
    record = name + b"\x00\x01\x80\x01\x00\x00\x00\x78\x00\x04\xc0\xa8\x00\x07"
    assert answer(reply([record], b"\x84\x00", b""), "printer.local", 0x1234) == "192.168.0.7"


def test_other_messages_are_no_answer():
    assert answer(QUESTION, "broker.example", 0x1234) is None
    assert answer(reply([ADDRESS]), "broker.example", 0x1235) is None
    assert answer(reply([ADDRESS]), "breaker.example", 0x1234) is None
    for cut in range(len(reply([ADDRESS]))):
        assert answer(reply([ADDRESS])[:cut], "broker.example", 0x1234) is None, cut


def test_an_answer_without_an_address_is_an_error():
    assert "code 3" in str(
        raises(DnsError, answer, reply([], b"\x81\x83"), "broker.example", 0x1234)
    )
    raises(DnsError, answer, reply([]), "broker.example", 0x1234)
    raises(DnsError, answer, reply([ALIAS]), "broker.example", 0x1234)


def test_addresses_and_local_names_are_told_apart():
    for host in ("1.2.3.4", "0.0.0.0", "255.255.255.255", "127.000.0.1"):
        assert is_address(host), host
    for host in ("", "1.2.3", "1.2.3.4.5", "256.1.1.1", "a.b.c.d", "1.2.3.x", "1.2..3", "1.2.3.-4"):
        assert not is_address(host), host
    assert is_local("broker.local") and is_local("Broker.LOCAL.")
    assert not is_local("local") and not is_local("broker.local.example")
