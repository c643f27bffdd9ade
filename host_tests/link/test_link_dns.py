"""Names looked up under MicroPython from a DNS server that answers, errs, lies or is silent."""

import socket
from collections.abc import Callable

import pytest

from host_tests.link.running import LONGEST_GAP_MS, Program
from host_tests.link.udp_server import UdpServer

Answer = Callable[[bytes], list[bytes]]


def record(address: str) -> bytes:
    return b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04" + socket.inet_aton(address)


def reply(question: bytes, *records: bytes, code: int = 0) -> bytes:
    flags = bytes([0x81, 0x80 | code])
    return question[:2] + flags + b"\x00\x01" + bytes([0, len(records)]) + bytes(4) + question[
        12:
    ] + b"".join(records)  # fmt: skip


def looked_up(micropython: str, answer: Answer, host: str = "broker.example") -> dict:
    with UdpServer(lambda question: [(0, each) for each in answer(question)]) as server:
        options = {"host": host, "server": "127.0.0.1", "port": server.port, "attempt_ms": 400}
        with Program(micropython, "dns_client", **options) as program:
            found = program.wait("resolved")
        assert found["gap_ms"] < LONGEST_GAP_MS
        return found | {"questions": len(server.questions)}


def test_an_address_is_found(micropython: str) -> None:
    found = looked_up(micropython, lambda question: [reply(question, record("10.1.2.3"))])
    assert (found["address"], found["questions"]) == ("10.1.2.3", 1)


def test_a_lost_answer_is_asked_for_again(micropython: str) -> None:
    answers = iter(([], [record("10.1.2.3")]))
    found = looked_up(
        micropython,
        lambda question: [reply(question, *records)] if (records := next(answers)) else [],
    )
    assert (found["address"], found["questions"]) == ("10.1.2.3", 2)


def test_a_server_that_never_answers_is_given_up(micropython: str) -> None:
    found = looked_up(micropython, lambda question: [])
    assert found["error"] == "no answer from 127.0.0.1 for broker.example"
    assert found["questions"] == 3


def test_nobody_there_is_given_up(micropython: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    options = {"host": "a.example", "server": "127.0.0.1", "port": port, "attempt_ms": 200}
    with Program(micropython, "dns_client", **options) as program:
        assert program.wait("resolved")["error"] == "no answer from 127.0.0.1 for a.example"


def test_a_name_without_an_address_is_told_at_once(micropython: str) -> None:
    found = looked_up(micropython, lambda question: [reply(question, code=3)])
    assert found["error"] == "no address for broker.example: DNS code 3"
    assert found["questions"] == 1


def test_answers_to_other_questions_do_not_count(micropython: str) -> None:
    def answer(question: bytes) -> list[bytes]:
        other_number = bytes([question[0] ^ 1]) + question[1:]
        other_name = question.replace(b"broker", b"braker")
        return [
            b"",
            b"\xff" * 40,
            reply(other_number, record("6.6.6.6")),
            reply(other_name, record("6.6.6.6")),
            question,
            reply(question, record("10.1.2.3"))[:-3],
            reply(question, record("10.1.2.3")),
        ]

    assert looked_up(micropython, answer)["address"] == "10.1.2.3"


@pytest.mark.parametrize("host", ["10.9.8.7", "255.255.255.255"])
def test_an_address_needs_no_question(micropython: str, host: str) -> None:
    found = looked_up(micropython, lambda question: [], host)
    assert (found["address"], found["questions"]) == (host, 0)


def test_no_server_to_ask_is_told(micropython: str) -> None:
    options = {"host": "a.example", "server": "", "port": 53}
    with Program(micropython, "dns_client", **options) as program:
        assert program.wait("resolved")["error"] == "no DNS server to ask for a.example"
