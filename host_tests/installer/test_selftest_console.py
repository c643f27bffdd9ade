"""The self-test over a cable: what is asked, what is heard, and what is said when nothing is."""

import json
import os
import threading
import time
import tty
from collections.abc import Callable, Iterator

import pytest

from firmware.tested_parts import PARTS
from tools.installer import remedies, selftest
from tools.installer.cable import Dropped, NoPort, PortBusy
from tools.installer.selftest import Declined, EndedEarly, NoAnswer, NotRunning


class Board:
    """Something at the other end of a cable: `hears(line)` gives what it says to each line."""

    def __init__(self, hears: Callable[[str], str | None]):
        self.heard: list[str] = []
        self._hears = hears
        self._outer, self._inner = os.openpty()
        tty.setraw(self._inner)
        self.port = os.ttyname(self._inner)
        self._over = False
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def says(self, text: str) -> None:
        os.write(self._outer, text.replace("\n", "\r\n").encode())

    def _serve(self) -> None:
        line = b""
        os.set_blocking(self._outer, False)
        while not self._over:
            try:
                data = os.read(self._outer, 1)
            except (BlockingIOError, OSError):
                time.sleep(0.005)
                continue
            if data not in b"\r\n":
                line += data
                continue
            if data == b"\n" and not line:
                continue
            self.heard.append(line.decode())
            answer = self._hears(line.decode())
            line = b""
            if answer:
                self.says(answer)

    def close(self) -> None:
        self._over = True
        self._thread.join()
        os.close(self._outer)
        os.close(self._inner)


@pytest.fixture
def board(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Board]]:
    for name, seconds in (("ANSWER_S", 0.5), ("START_S", 1.0), ("AGAIN_S", 0.3), ("LINE_S", 0.5)):
        monkeypatch.setattr(selftest, name, seconds)
    made: list[Board] = []

    def make(hears: Callable[[str], str | None]) -> Board:
        made.append(Board(hears))
        return made[-1]

    yield make
    for each in made:
        each.close()


def line(part: str, ok: bool | None, found: str) -> str:
    return json.dumps({"selftest": part, "ok": ok, "found": found}) + "\n"


GOOD = "".join(line(part, True, "good") for part in PARTS)
OVER = '{"selftest": "over", "ok": true}\n'


def answers(text: str) -> Callable[[str], str | None]:
    return lambda heard: text if heard == "selftest" else None


def refused(board: Board, kind: type[Exception], *words: str) -> str:
    with pytest.raises(kind) as refusal:
        selftest.run(board.port)
    said = str(refusal.value)
    assert "\n" not in said
    for word in words:
        assert word in said, said
    return said


def test_each_part_comes_with_what_is_right_and_what_to_do(board):
    given = line("wifi", False, "-88 dBm") + line("meter", None, "no meter is set up")
    rows = selftest.run(board(answers(given + line("list", True, "version 3") + OVER)).port)
    assert [(row["part"], row["ok"], row["found"]) for row in rows] == [
        ("wifi", False, "-88 dBm"),
        ("meter", None, "no meter is set up"),
        ("list", True, "version 3"),
    ]
    assert rows[0]["right"].startswith("-80 dBm") and "closer" in rows[0]["advice"]
    assert rows[1]["advice"] and not rows[2]["advice"]
    assert not selftest.passed(rows) and selftest.passed(rows[1:])


def test_lines_of_the_firmware_in_between_are_none_of_it(board):
    text = "link closed: by the broker\n" + GOOD[: len(GOOD) // 2] + GOOD[len(GOOD) // 2 :]
    text = text.replace("\n", '\n{"about": {}}\nlate: wifi\n') + OVER
    rows = selftest.run(board(answers(text)).port)
    assert [row["part"] for row in rows] == list(PARTS)


def test_nothing_is_lost_of_much_that_comes_at_once(board):
    long = "".join(line(part, True, "good" * 50) for part in PARTS)
    assert [row["part"] for row in selftest.run(board(answers(long + OVER)).port)] == list(PARTS)


def test_who_stands_there_is_told_when_to_hold_a_card(board):
    said: list[str] = []
    selftest.run(board(answers(GOOD + OVER)).port, said.append)
    assert "hold any card to the reader now" in said[0]


def test_nothing_is_interrupted(board):
    it = board(answers(GOOD + OVER))
    selftest.run(it.port)
    assert [each for each in it.heard if each] == ["selftest"]


def test_what_it_says_is_made_fit_for_a_terminal(board):
    text = line("wifi\x1b[2J", False, "\x1b]0;x\x07 no") + OVER
    (row,) = selftest.run(board(answers(text)).port)
    assert row["part"].isprintable() and row["found"].isprintable()


def test_one_that_declines_says_why(board):
    text = '{"selftest": "declined", "why": "selftest: not while charging"}\n'
    refused(board(answers(text)), Declined, "a session runs; unplug the vehicle first")
    text = '{"selftest": "declined", "why": "selftest: not while service"}\n'
    refused(board(answers(text)), Declined, "runs already")


def test_one_that_ends_early_says_why_and_what_it_has(board):
    text = line("reader", True, "good") + '{"selftest":"over","ok":false,"why":"it was ended"}\n'
    with pytest.raises(EndedEarly, match="it was ended") as early:
        selftest.run(board(answers(text)).port)
    assert [row["part"] for row in early.value.rows] == ["reader"]


def test_one_that_falls_silent_in_its_midst_is_over(board):
    with pytest.raises(EndedEarly, match="says no more"):
        selftest.run(board(answers(line("reader", True, "good"))).port)
    with pytest.raises(EndedEarly, match="has stopped"):
        selftest.run(board(answers(line("reader", True, "good") + "rst:0x8 (TG1WDT)\n")).port)


def test_a_board_that_is_still_starting_is_asked_again(board):
    asked: list[float] = []

    def hears(heard: str) -> str | None:
        if heard != "selftest":
            return None
        asked.append(time.monotonic())
        return "rst:0x1 (POWERON_RESET)\n" if len(asked) == 1 else GOOD + OVER

    assert len(selftest.run(board(hears).port)) == len(PARTS)
    assert len(asked) == 2


def test_one_that_was_slow_and_asked_twice_is_not_taken_to_decline(board):
    asked: list[str] = []

    def hears(heard: str) -> str | None:
        if heard != "selftest":
            return None
        asked.append(heard)
        if len(asked) == 1:
            return "booting\n"
        return '{"selftest": "declined", "why": "selftest: not while service"}\n' + GOOD + OVER

    assert len(selftest.run(board(hears).port)) == len(PARTS)


def test_a_port_at_which_nothing_answers(board):
    refused(board(lambda heard: None), NoAnswer, "nothing answers", "another port?")


def test_something_else_that_talks(board):
    refused(board(lambda heard: "$GPGGA,123519\n"), NoAnswer, "does not answer", "$GPGGA")


def test_a_crash_loop_says_what_it_dies_of(board):
    text = 'Traceback (most recent call last):\n  File "main.py"\nOSError: [Errno 5] EIO\n'
    refused(board(answers(text)), NotRunning, "crashes at each start: OSError: [Errno 5] EIO")


def test_a_firmware_that_says_why_it_does_not_start(board):
    for said in (
        "tapgate cannot start: pins.cs: found 99",
        "tapgate is incomplete: no firmware.json",
    ):
        refused(board(answers(said + "\n")), NotRunning, said, "tapgate provision")


def test_a_board_that_waits_for_a_download(board):
    refused(board(answers("waiting for download\n")), NotRunning, "BOOT button")


def prompt(files: str) -> Callable[[str], str | None]:
    """MicroPython's own, with these files."""

    def hears(heard: str) -> str:
        if heard.startswith("import os"):
            return f"{heard}\nfiles: {files}\n>>> "
        if heard == "selftest":
            return f"{heard}\nTraceback (most recent call last):\nNameError: selftest\n>>> "
        return "\n>>> "

    return hears


def test_at_the_prompt_its_files_say_what_is_missing(board):
    refused(board(prompt("['boot.py']")), NotRunning, "Tapgate is not on it", "tapgate provision")
    refused(board(prompt("['boot.py', 'main.py']")), NotRunning, "incomplete")
    refused(
        board(prompt("['boot.py', 'config.json', 'firmware.json', 'main.py']")),
        NotRunning,
        "Ctrl-C has stopped the firmware",
        "reset' starts it again, and 'tapgate provision --port",
        "says why if it does not run then",
    )


def test_a_raw_prompt_is_found_too(board):
    raw = [True]

    def hears(heard: str) -> str | None:
        if heard.startswith("\x02"):
            raw[0] = False
            return "MicroPython v1.29\n>>> "
        return None if raw[0] else prompt("['boot.py']")(heard)

    refused(board(hears), NotRunning, "waits at MicroPython's prompt")


def test_a_port_that_is_none_or_taken(board, tmp_path):
    with pytest.raises(NoPort, match="there is no port"):
        selftest.run(str(tmp_path / "none"))
    it = board(lambda heard: None)
    from tools.installer.cable import Cable

    held = Cable(it.port)
    try:
        refused(it, PortBusy, "in use by another program")
    finally:
        held.close()


def test_a_cable_that_is_pulled(board, monkeypatch: pytest.MonkeyPatch):
    it = board(answers(line("reader", True, "good")))
    rest = selftest.Cable.rest

    def pulled(cable: selftest.Cable) -> bytes:
        found = rest(cable)
        if found:
            monkeypatch.setattr(cable, "port", "/nowhere")
        return found

    monkeypatch.setattr(selftest.Cable, "rest", pulled)
    refused(it, Dropped, "the cable was pulled")


def test_ctrl_c_ends_the_self_test_too(board):
    it = board(answers(line("reader", True, "good")))

    def interrupted(text: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        selftest.run(it.port, interrupted)
    end = time.monotonic() + 5
    while "stop" not in it.heard and time.monotonic() < end:
        time.sleep(0.01)
    assert "stop" in it.heard


# What stands beside it.


def test_every_part_of_the_firmware_has_what_is_right_and_what_to_do():
    assert list(remedies.RIGHT) == list(PARTS)
    for part in PARTS:
        assert remedies.row(part, False, "something")["advice"], part


@pytest.mark.parametrize(
    ("part", "ok", "found", "word"),
    [
        ("reader", False, "no chip answers: VersionReg 00, expected 91", "MISO"),
        ("reader", False, "x; it has just failed: TxControlReg 80, expected 83", "100 nF"),
        ("card", None, "no card within 10 s", "deaf"),
        ("card", False, "a card is there and is never read whole", "metal"),
        ("contactor", False, "coil off, feedback says closed; not tried", "electrician"),
        ("contactor", False, "coil on for 130 ms, feedback still says open", "K2"),
        ("flash", False, "no file can be written: it is full", "remove files"),
        ("broker", False, "not connected; link name: not found", "DNS"),
        ("list", False, "version 3, 2 cards, 900 h old, too old", "tapgate publish"),
    ],
)
def test_what_to_do_goes_by_what_was_found(part, ok, found, word):
    assert word in remedies.row(part, ok, found)["advice"]


def test_an_event_says_the_same_in_short():
    event = {
        "passed": False,
        "failed": ["contactor", "clock"],
        "parts": {"reader": 0x92, "wifi": -61, "vehicle": "open", "contactor": 0, "new": [1]},
    }
    rows = {row["part"]: row for row in remedies.rows_of(event)}
    assert list(rows) == [*PARTS, "new"]
    assert (rows["reader"]["ok"], rows["reader"]["found"]) == (True, "version 92")
    assert (rows["contactor"]["ok"], rows["clock"]["ok"]) == (False, False)
    assert rows["wifi"]["found"] == "-61 dBm"
    assert (rows["card"]["ok"], rows["card"]["found"]) == (None, "not tested")


@pytest.mark.parametrize(
    "event", [{}, {"failed": 5, "parts": 7}, {"failed": [[]], "parts": {"reader": "x", "wifi": {}}}]
)
def test_an_event_that_is_odd_is_no_traceback(event):
    assert len(remedies.rows_of(event)) >= len(PARTS)
