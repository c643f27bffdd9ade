"""The board on a cable, worked on with the stock mpremote."""

import subprocess
import sys
from pathlib import Path

import pytest

MPREMOTE = Path(sys.executable).with_name("mpremote")


@pytest.fixture
def board(start, tmp_path):
    (tmp_path / "flash").mkdir()
    (tmp_path / "flash" / "boot.py").write_text("print('boot')\n")
    return start("import time\nprint('main')\nwhile True: time.sleep_ms(100)\n", serial=True)


@pytest.fixture
def mpremote(board, tmp_path):
    def run(*arguments: str) -> str:
        done = subprocess.run(
            [str(MPREMOTE), "connect", board.serial, *arguments],
            capture_output=True,
            text=True,
            timeout=20,
            cwd=tmp_path,
        )
        assert done.returncode == 0, done
        return done.stdout

    return run


def test_files_are_copied_listed_and_left_alone_when_equal(mpremote, tmp_path):
    (tmp_path / "notes.bin").write_bytes(bytes(range(256)) * 40)
    mpremote("fs", "cp", "notes.bin", ":notes.bin")
    assert (tmp_path / "flash" / "notes.bin").read_bytes() == bytes(range(256)) * 40
    again = mpremote("resume", "fs", "cp", "notes.bin", ":notes.bin", "+", "fs", "ls")
    assert "Up to date: notes.bin" in again
    assert "10240 notes.bin" in again and "boot.py" in again


def test_a_running_program_gives_way_and_state_lasts_until_the_next_soft_reset(mpremote):
    assert mpremote("exec", "kept = 6 * 7; print(kept)") == "42\n"
    assert mpremote("resume", "eval", "kept") == "42\n"
    assert mpremote("soft-reset", "eval", "'kept' in globals()") == "False\n"


def test_a_folder_of_the_computer_is_mounted(mpremote, tmp_path):
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "data").write_bytes(b"\x03\n\r\n\x04\x18\x01")
    (tmp_path / "here" / "borrowed.py").write_text("VALUE = 5\n")
    code = (
        "import borrowed; print(borrowed.VALUE, open('data', 'rb').read())\n"
        "file = open('back', 'wb'); file.write(b'\\n\\x03\\r\\n' * 50); file.close()"
    )
    assert mpremote("mount", "here", "exec", code).endswith("5 b'\\x03\\n\\r\\n\\x04\\x18\\x01'\n")
    assert (tmp_path / "here" / "back").read_bytes() == b"\n\x03\r\n" * 50


def test_a_script_runs_and_what_it_dies_of_comes_back(mpremote, board, tmp_path):
    (tmp_path / "script.py").write_text("import machine\nprint(machine.Pin(34))\n")
    assert mpremote("run", "script.py") == "Pin(34)\n"
    since = board.mark()
    mpremote("reset")
    board.wait_for(lambda push: "ready" in push, 15, since)  # what comes before that is not heard
    assert mpremote("exec", "import os; print(sorted(os.listdir()))").startswith("['boot.py'")
