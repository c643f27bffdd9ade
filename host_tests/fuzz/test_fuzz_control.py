"""The virtual charger's control port: every line gets one answer, in its turn, and a command that
is refused has done nothing. One simulator serves all of it."""

import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import strategies as st

from host_tests.fuzz import inputs
from host_tests.fuzz.inputs import PIECES
from host_tests.fuzz.trying import fuzz, tried
from tools.virtual.client import VirtualCharger
from tools.virtual.control import LINE_BYTES


# Commands that take their time would be waited for: only short ones are given. The supply stays.
def _is_long(found: Any) -> bool:
    """A day, or a megawatt hour."""
    return type(found) in (int, float) and 5 < found < 10**12


NUMBERS = st.one_of(
    st.sampled_from((0, 1, 5, -1, -0.5, 1e18, 10**30, True)), st.floats(), inputs.SCALARS
).filter(lambda found: not _is_long(found))
UIDS = st.one_of(
    st.sampled_from(("04a1b2c3", "04A1B2C3D4E5F6", "01" * 10, "phone", "04 a1 b2 c3")),
    st.text("0123456789abcdef ", max_size=22),
    inputs.VALUES,
)
FLAGS = st.one_of(st.booleans(), inputs.VALUES)


def command(do: str, **arguments: st.SearchStrategy) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {"do": st.just(do)},
        optional={**arguments, "more": st.one_of(inputs.SCALARS)} if arguments else arguments,
    )


KINDS = st.one_of(st.sampled_from(("classic1k", "classic4k", "phone")), inputs.VALUES)
COMMANDS = st.one_of(
    command("plug", draw=FLAGS, bounce=FLAGS),
    command("unplug", bounce=FLAGS),
    command("draw", on=FLAGS),
    command("place", uid=UIDS, kind=KINDS),
    command("remove", uid=UIDS),
    st.fixed_dictionaries(
        {"do": st.just("tap"), "uid": UIDS, "ms": NUMBERS}, optional={"kind": KINDS}
    ),
    command(
        "reader",
        fault=st.one_of(st.sampled_from(("none", "deaf", "noise")), inputs.VALUES),
        level=NUMBERS,
    ),
    command("contactor", fault=st.one_of(st.sampled_from(("none", "welded")), inputs.VALUES)),
    command("energy", wh=NUMBERS, pulse_ms=NUMBERS, gap_ms=NUMBERS),
    command("link", up=FLAGS),
    command("dns", up=FLAGS),
    command("ntp", up=FLAGS),
    command("time", offset_s=NUMBERS),
    # Never a right one: the board would be away for a while.
    st.fixed_dictionaries(
        {"do": st.just("power"), "off_ms": st.sampled_from((-1, True, "1", 1e300))}
    ),
    st.fixed_dictionaries(
        {"do": st.just("power"), "at_block_write": inputs.SCALARS, "part": st.just(2)}
    ),
    command("status"),
    st.fixed_dictionaries({"do": inputs.VALUES}),
    inputs.objects("do", "uid", "on").map(lambda text: text),
)


def coded(given: Any) -> bytes:
    return inputs.coded(given if isinstance(given, str) else json.dumps(given))


LINES = st.one_of(
    COMMANDS.map(coded),
    COMMANDS.map(coded),
    COMMANDS.map(coded),
    inputs.damaged(command("place", uid=UIDS).map(coded)),
    inputs.JSON_BYTES,
    st.sampled_from((LINE_BYTES - 1, LINE_BYTES, LINE_BYTES + 1, 3 * LINE_BYTES)).map(
        lambda n: b"x" * n
    ),
    st.sampled_from(
        (b"", b" ", b"\r", b"\xff\xfe", b'{"do":"\x80"}', b"\x80", b'\xef\xbb\xbf{"do":"status"}')
    ),
).map(lambda line: line.replace(b"\n", b" "))


@pytest.fixture(scope="module")
def charger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VirtualCharger]:
    folder = tmp_path_factory.mktemp("control")
    (folder / "program.py").write_text("")
    with VirtualCharger.start(main=folder / "program.py", until="either") as running:
        yield running


class Connection:
    """One that stays, with its answers."""

    current: "Connection | None" = None

    def __init__(self, port: int):
        self._socket = socket.create_connection(("127.0.0.1", port), 5)
        self._socket.settimeout(10)
        self._file = self._socket.makefile("rb")

    @classmethod
    def to(cls, charger: VirtualCharger) -> "Connection":
        if cls.current is None:
            cls.current = cls(charger.port)
        return cls.current

    def say(self, data: bytes, sizes: list[int]) -> None:
        for piece in inputs.cut_up(data, [max(each, len(data) // 50) for each in sizes]):
            self._socket.sendall(piece)

    def answer(self) -> dict[str, Any]:
        while True:
            line = self._file.readline()
            if not line:
                Connection.current = None
                raise AssertionError("the connection was closed")
            found = json.loads(line)
            if "ok" in found:
                return found

    def status(self) -> dict[str, Any]:
        self.say(b'{"do":"status"}\n', [1 << 20])
        found = self.answer()
        assert found.pop("ok") is True
        return {
            name: found[name]
            for name in ("contactor", "vehicle", "asks", "cards", "power", "resets")
        }


def ask(charger: VirtualCharger, lines: list[bytes], sizes: list[int]) -> list[dict[str, Any]]:
    connection = Connection.to(charger)
    connection.say(b"".join(line + b"\n" for line in lines), sizes)
    return [connection.answer() for line in lines if line.strip() or len(line) > LINE_BYTES]


def check(answer: dict[str, Any]) -> None:
    assert type(answer["ok"]) is bool
    if not answer["ok"]:
        assert set(answer) == {"ok", "error"}
        assert type(answer["error"]) is str and 0 < len(answer["error"]) < 400


@fuzz("control channel", 45, st.lists(LINES, min_size=1, max_size=6), PIECES, counts=False)
def test_every_line_has_its_answer(
    charger: VirtualCharger, lines: list[bytes], sizes: list[int]
) -> None:
    tried["control channel"] += len(lines)
    for answer in ask(charger, lines, sizes):
        check(answer)
    Connection.to(charger).status()


@fuzz("control channel", 30, LINES)
def test_a_command_that_is_refused_has_done_nothing(charger: VirtualCharger, line: bytes) -> None:
    connection = Connection.to(charger)
    before = connection.status()
    answers = ask(charger, [line], [1 << 20])
    after = connection.status()
    if not answers or not answers[0]["ok"]:
        assert after == before
    assert after["resets"] == before["resets"] and after["power"] is True
    assert all(len(bytes.fromhex(uid)) in (4, 7, 10) for uid in after["cards"] if uid != "phone")


def test_a_line_as_deep_as_a_parser_goes_has_its_answer(charger: VirtualCharger) -> None:
    ends = [inputs.nested(depth).encode() + b"}" for depth in range(940, 1_000, 3)]
    lines = [start + end for end in ends for start in (b'{"do":', b'{"do":"place","uid":')]
    tried["control channel"] += len(lines)
    assert [each["ok"] for each in ask(charger, lines, [1 << 20])] == [False] * len(lines)


def test_a_card_that_is_there_already_is_refused(charger: VirtualCharger) -> None:
    place, remove = (b'{"do":"%b","uid":"0badcafe"}' % do for do in (b"place", b"remove"))
    lines = [place, place, remove, remove]
    tried["control channel"] += len(lines)
    answers = ask(charger, lines, [1 << 20])
    assert [each["ok"] for each in answers] == [True, False, True, False]
