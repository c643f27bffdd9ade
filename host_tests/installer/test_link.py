"""The cable to a board: files over it, and each way in which a board cannot be reached."""

import os
import random
import threading
import time
import tty
from collections.abc import Callable, Iterator

import pytest

from tools.installer import cable
from tools.installer import link as links
from tools.installer.cable import Dropped, NoPermission, NoPort, PortBusy
from tools.installer.link import (
    BoardError,
    CrashLoop,
    Link,
    NotMicroPython,
    Restarted,
    Silent,
    carried,
)
from tools.virtual.client import VirtualCharger

IDLE = "import time\nwhile True: time.sleep_ms(100)\n"
CRASHES = "import machine, time\nprint('boom')\ntime.sleep_ms(400)\nmachine.reset()\n"
STUBBORN = """
import machine, time
try:
    time.sleep_ms(200)
    1 / 0
except BaseException:
    print("again")
    machine.reset()
"""


@pytest.fixture(scope="module")
def board(tmp_path_factory) -> Iterator[VirtualCharger]:
    folder = tmp_path_factory.mktemp("board")
    (folder / "idle.py").write_text(IDLE)
    with VirtualCharger.start(
        main=folder / "idle.py", flash=folder / "f.img", serial=True, until="either"
    ) as running:
        yield running


@pytest.fixture
def running(tmp_path) -> Iterator[Callable[[str], VirtualCharger]]:
    """A board that runs this program."""
    started = []

    def start(program: str) -> VirtualCharger:
        (tmp_path / "program.py").write_text(program)
        started.append(
            VirtualCharger.start(
                main=tmp_path / "program.py", flash=tmp_path / "f.img", serial=True, until="either"
            )
        )
        return started[-1]

    yield start
    for each in started:
        each.stop()


@pytest.fixture
def other() -> Iterator[Callable[[Callable[[bytes], bytes]], str]]:
    """A port with something else on it, that answers what it reads in its own way."""
    ends: list[int] = []

    def port(answer: Callable[[bytes], bytes]) -> str:
        near, far = os.openpty()
        tty.setraw(far)
        ends.extend((near, far))

        def talk() -> None:
            try:
                while data := os.read(near, 100):
                    os.write(near, answer(data))
            except OSError:
                pass  # the test is over

        threading.Thread(target=talk, daemon=True).start()
        return os.ttyname(far)

    yield port
    for each in reversed(ends):
        os.close(each)


@pytest.fixture
def impatient(monkeypatch) -> None:
    monkeypatch.setattr(links, "FIRST_S", 0.3)
    monkeypatch.setattr(links, "ENTER_S", 1.5)


def test_what_is_written_is_there_and_what_is_not_is_none(board):
    data = random.Random(5).randbytes(9_001) + bytes(range(256)) * 20 + b"\r\n\\'\x03\x04" * 9
    told = []
    with Link(board.serial) as link:
        link.write("/x", data, lambda *done: told.append(done))
        assert link.read("/x") == data
        assert link.exists("/x") and not link.exists("/y")
        assert link.read("/y") is None and link.sha256("/y") is None
        link.remove("/x")
        link.remove("/x")
        assert not link.exists("/x") and not link.exists("/x.new")
    assert told[-1] == (len(data), len(data)) and len(told) == 4


def test_little_goes_over_the_wire_for_what_repeats_itself(board):
    with Link(board.serial) as link:
        link.helped("pass")
        before = link.traffic[0]
        link.write("/x", b"one and the same line\n" * 400)
        assert link.traffic[0] - before < 1_000
        link.remove("/x")


def test_bytes_of_every_kind_are_carried_as_they_are(board):
    every = random.Random(1)
    with Link(board.serial) as link:
        for size in (0, 1, 255, 256, 257, 3_000):
            data = every.randbytes(size)
            sent = b"import binascii\nprint(repr(binascii.hexlify(" + carried(data) + b")))"
            assert bytes.fromhex(link.helped(sent).decode()) == data


def test_folders_go_with_all_that_is_in_them(board):
    with Link(board.serial) as link:
        link.run("import os\nos.mkdir('/d')\nos.mkdir('/d/e')\nopen('/d/e/f', 'w').close()")
        link.remove("/d")
        assert "d" not in link.ask("__import__('os').listdir('/')")


def test_what_fails_on_the_board_says_its_last_line_and_number(board):
    with Link(board.serial) as link:
        with pytest.raises(BoardError, match="ZeroDivisionError") as failure:
            link.run("1 / 0")
        assert failure.value.errno is None
        with pytest.raises(BoardError) as failure:
            link.run("open('/no/such/folder', 'w')")
        assert failure.value.errno == 2
        assert link.ask("6 * 7") == 42


def test_the_board_is_restarted_however_the_work_ends(board):
    for error in (None, KeyboardInterrupt, ValueError):
        since = board.mark()
        try:
            with Link(board.serial) as link:
                link.ask("1")
                if error:
                    raise error
        except (KeyboardInterrupt, ValueError):
            pass
        board.wait_for(lambda push: push.get("reset") == "soft", 10, since)


def test_a_board_whose_computer_has_gone_comes_back_by_itself(board, monkeypatch):
    monkeypatch.setattr(links, "LEAVE_MS", 700)
    link = Link(board.serial)
    link.stop()
    since = board.mark()
    link._cable.close()  # as a computer does that is switched off
    board.wait_for(lambda push: push.get("reset") == "soft", 10, since)


def test_its_console_is_heard_without_stopping_anything(running):
    board = running("import time\nfor n in range(99): print('line', n); time.sleep_ms(50)\n")
    link = Link(board.serial)
    end = time.monotonic() + 5
    lines: list[str] = []
    while len(lines) < 5 and time.monotonic() < end:
        lines += link.heard()
        time.sleep(0.05)
    link.close()
    assert len(lines) >= 5 and all(each.startswith("line") for each in lines)
    assert not [push for push in board.pushes if "reset" in push]


def test_a_board_that_crashes_at_each_start_lets_itself_be_stopped(running):
    board = running(CRASHES)
    with Link(board.serial) as link:
        assert link.ask("6 * 7") == 42
        time.sleep(1)  # it really is stopped
        assert link.ask("6 * 7") == 42


def test_one_that_cannot_be_stopped_is_said_to_be_in_a_loop(running, impatient, monkeypatch):
    monkeypatch.setattr(links, "ENTER_S", 4.0)
    with pytest.raises(CrashLoop, match="restarts over and over"), Link(running(STUBBORN).serial):
        pass


def test_there_is_no_such_port():
    with pytest.raises(NoPort, match="there is no port /dev/ttyNEVER; "):
        Link("/dev/ttyNEVER")


@pytest.mark.parametrize("name", ["/etc/hostname", "/dev/null"])
def test_what_is_no_port_is_said_to_be_none(name):
    with pytest.raises(NoPort, match="is no serial port"):
        Link(name)


def test_a_port_that_somebody_has_open(board):
    with Link(board.serial), pytest.raises(PortBusy, match="in use by another program"):
        Link(board.serial)


def test_a_port_without_the_right_to_it(monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("serial.serial_for_url", refuse)
    with pytest.raises(NoPermission, match=r"you may not use /dev/tty; 'sudo usermod -aG "):
        Link("/dev/tty")


def test_nothing_answers(other, impatient):
    with pytest.raises(Silent, match="nothing answers at"), Link(other(lambda data: b"")):
        pass


@pytest.mark.parametrize(
    "answer, says",
    [
        (lambda data: b"\xe7\x9c\xff\x81\x00" * 4, "is no text"),
        (lambda data: b"ets Jul 29 2019\r\ninvalid header: 0xffffffff\r\n", "nothing to start"),
        (lambda data: b"login: ", r"is not MicroPython, .* says '.*login: login"),
        (lambda data: data, "nothing answers"),
    ],
    ids=["another speed", "an empty ESP32", "a terminal", "an echo"],
)
def test_what_answers_is_not_micropython(other, impatient, answer, says):
    with (
        pytest.raises((NotMicroPython, Silent), match=says),
        Link(other(answer)),
    ):
        pass


def test_a_board_that_drops_off_in_the_middle(running):
    board = running(IDLE)
    with (
        pytest.raises(Dropped, match="has gone from") as gone,
        Link(board.serial) as link,
    ):
        link.helped("pass")
        board.do("serial", up=False)
        link.write("/x", bytes(10_000))
    assert "\n" not in str(gone.value)
    board.do("serial", up=True)
    with Link(board.serial) as link:
        assert link.read("/x") is None


def test_a_board_that_restarts_in_the_middle_is_said_to_and_nothing_else_is(
    running, capfd, monkeypatch
):
    monkeypatch.setattr(cable, "ANSWER_S", 2.0)
    board = running("print(1)\n")
    with pytest.raises(Restarted, match="has restarted in the middle"), Link(board.serial) as link:
        link.helped("pass")
        board.do("power", off_ms=10)
        time.sleep(1)
        link.run("pass", within_s=1)
    assert "MicroPython" not in "".join(capfd.readouterr())
