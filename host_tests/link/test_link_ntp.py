"""The time kept under MicroPython by a server that answers, errs, lies, is late or silent."""

import socket
import struct
import time

from host_tests.link.running import LONGEST_GAP_MS, Program
from host_tests.link.udp_server import UdpServer

T = 1_790_000_000
SINCE_1900 = 2_208_988_800
BEAT_MS = 1_000  # a watchdog waits longer, and an answer is waited for longer


def reply(
    question: bytes, t: float = T, first: int = 0x24, stratum: int = 2, name=b"LOCL"
) -> bytes:
    seconds = int(t)
    sent = struct.pack("!II", seconds + SINCE_1900, int((t - seconds) * (1 << 32)))
    head = bytes((first, stratum, 6, 0xEC)) + bytes(8) + name
    return head + sent + question[40:48] + sent + sent


def kept(micropython: str, server: UdpServer, **options) -> list[dict]:
    """What came of it, oldest first; nothing was held up by it meanwhile."""
    options = {"host": "127.0.0.1", "waits_ms": [50, 200, 60_000]} | options
    with server, Program(micropython, "ntp_client", port=server.port, **options) as program:
        facts = program.wait("facts")
        assert facts["gap_ms"] < LONGEST_GAP_MS, facts
        assert facts["beat_ms"] < BEAT_MS, facts
        return [line for line in program.seen if line["what"] in ("time", "problem")]


def problems(lines: list[dict]) -> list[str]:
    return [line["detail"] for line in lines if line["what"] == "problem"]


def test_the_clock_is_set_to_what_the_server_says(micropython: str) -> None:
    server = UdpServer(lambda question: [(0, reply(question))])
    (line,) = kept(micropython, server)
    assert (line["what"], line["refused"], line["set"]) == ("time", "", True)
    assert line["now"] in (T, T + 1)  # a second may end in between
    (question,) = server.questions
    assert len(question) == 48 and question[0] == 0x23


def test_each_question_has_a_stamp_of_its_own(micropython: str) -> None:
    server = UdpServer(lambda question: [(0, reply(question, stratum=16))])
    kept(micropython, server, asks=4)
    stamps = {question[40:48] for question in server.questions}
    assert len(stamps) == len(server.questions) >= 4


def test_half_of_the_way_there_and_back_is_added(micropython: str) -> None:
    server = UdpServer(lambda question: [(1.2, reply(question, T + 0.6))])
    (line,) = kept(micropython, server)
    # 0.6 s were over when it was sent, and it took 0.6 s more; a second may end in between.
    assert line["now"] in (T + 1, T + 2)


def test_an_answer_that_comes_too_late_does_not_count(micropython: str) -> None:
    server = UdpServer(lambda question: [(1.9, reply(question))])
    assert problems(kept(micropython, server)) == ["no answer from 127.0.0.1"]


def test_a_silent_server_holds_nothing_up(micropython: str) -> None:
    server = UdpServer(lambda question: [])
    assert problems(kept(micropython, server)) == ["no answer from 127.0.0.1"]


def test_nobody_there_is_told(micropython: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    with Program(micropython, "ntp_client", host="127.0.0.1", port=port) as program:
        problem = program.wait("problem")
    assert (problem["kind"], problem["detail"]) == ("ntp", "no answer from 127.0.0.1")


def test_an_answer_from_somebody_else_does_not_count(micropython: str) -> None:
    server = UdpServer(lambda question: [(0, reply(question))], elsewhere=True)
    assert problems(kept(micropython, server)) == ["no answer from 127.0.0.1"]


def test_what_is_no_answer_to_this_question_is_passed_over(micropython: str) -> None:
    def answer(question: bytes) -> list[tuple[float, bytes]]:
        guessed = question[:40] + bytes(8)
        lies = [
            b"",
            b"\xff" * 47,
            question,
            reply(guessed, T + 86_400),
            reply(question, T + 86_400, first=0x25),  # a broadcast
            reply(question, T + 86_400)[:47],
            reply(guessed, stratum=0, name=b"DENY"),
        ]
        return [(0.0, datagram) for datagram in (*lies, reply(question))]

    (line,) = kept(micropython, UdpServer(answer))
    assert (line["set"], line["now"] - T <= 1) == (True, True)


def test_a_server_that_does_not_know_the_time_sets_nothing(micropython: str) -> None:
    answers = iter(((T, 0xE4, 2), (T, 0x24, 16), (-SINCE_1900, 0x24, 2), (T, 0x24, 2)))
    server = UdpServer(lambda question: [(0, reply(question, *next(answers)))])
    lines = kept(micropython, server, asks=4)
    assert problems(lines) == ["the server does not know the time"] * 3
    assert lines[-1]["set"] is True


def test_a_server_that_asks_for_peace_gets_the_longest_pause(micropython: str) -> None:
    came = []

    def answer(question: bytes) -> list[tuple[float, bytes]]:
        came.append(time.monotonic())
        return [(0, reply(question, stratum=0, name=b"RATE"))]

    lines = kept(micropython, UdpServer(answer), asks=2, waits_ms=[10, 1_000, 60_000])
    assert all("RATE" in detail for detail in problems(lines))
    assert came[1] - came[0] >= 0.9


def test_a_time_before_what_is_certain_is_refused(micropython: str) -> None:
    server = UdpServer(lambda question: [(0, reply(question))])
    (line,) = kept(micropython, server, known=T + 5_000)
    assert line["refused"].startswith(f"127.0.0.1 says {T}, certain is {T + 5_000}")
    assert line["set"] is False
    assert line["now"] >= T + 5_000


def test_a_name_that_leads_nowhere_is_told(micropython: str) -> None:
    server = UdpServer(lambda question: [])
    (line,) = kept(micropython, server, host="a..b")
    assert "no name" in line["detail"]
