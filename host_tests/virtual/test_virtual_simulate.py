"""Starting and ending: the ways it may go wrong, each in one line, and what is left behind."""

import os
import signal
import socket
import subprocess
import sys
import time

import pytest

from tools.virtual.client import PROJECT
from tools.virtual.simulate import run


@pytest.fixture
def refused(capfd):
    """Runs what must not start; returns its one line of explanation."""

    def start(stdin: bool = True, **options) -> str:
        assert run(stdin=stdin, **options) == 1  # stdin: ends at once should it start after all
        out, error = capfd.readouterr()
        assert out == "" and error.count("\n") == 1, (out, error)
        return error.removeprefix("tapgate simulate: ").rstrip("\n")

    return start


def test_a_missing_config_is_one_line(refused, tmp_path):
    config = tmp_path / "none.json"
    assert refused(config=config, flash=tmp_path / "f") == f"{config}: No such file or directory"


@pytest.mark.parametrize(("text", "why"), [("{", "no JSON: "), ("[]", "no JSON object, but list")])
def test_a_config_that_is_no_json_object_is_one_line(refused, tmp_path, text, why):
    config = tmp_path / "config.json"
    config.write_text(text)
    assert refused(config=config, flash=tmp_path / "f").startswith(f"{config}: {why}")


def test_a_flash_that_cannot_be_made_is_one_line(refused, tmp_path):
    (tmp_path / "file").write_text("")
    assert "Not a directory" in refused(flash=tmp_path / "file" / "flash")


def test_an_image_that_is_none_is_one_line(refused, tmp_path):
    image = tmp_path / "flash.img"
    image.write_bytes(b"123")
    assert refused(flash=image) == f"{image}: 3 bytes is no whole number of 4096-byte blocks"
    image.write_bytes(b"no file system here " * 1024 * 4)
    assert "no littlefs in it" in refused(flash=image)


def test_a_control_port_in_use_is_one_line(refused, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        why = refused(flash=tmp_path / "f", control=port)
        assert why == f"control port {port}: Address already in use"


def test_a_missing_program_or_path_is_one_line(refused, tmp_path):
    assert refused(main=tmp_path / "no.py").endswith("no.py: No such file or directory")
    (tmp_path / "p.py").write_text("")
    assert refused(main=tmp_path / "p.py", path=tmp_path / "no").endswith("no: no directory")


def test_a_first_command_that_is_refused_is_one_line(refused, tmp_path):
    why = refused(flash=tmp_path / "f", first=['{"do": "plug", "far": true}'])
    assert why == "first: unknown: far"


@pytest.mark.parametrize("flash", ["board.img", "board"])
def test_whatever_of_a_board_lies_on_the_disk_is_for_its_user_alone(start, tmp_path, flash):
    """It holds keys."""
    folder = tmp_path / "boards"
    folder.mkdir(mode=0o755)
    program = "import esp32\nopen('key', 'w').close()\nesp32.NVS('a').commit()\nprint('written')\n"
    start(program, flash=folder / flash).wait_for_output("written", 10)
    made = list(folder.rglob("*"))
    assert {path.suffix for path in made if path.parent == folder} == {
        *(".rom", ".nvs", (folder / flash).suffix)
    }
    for path in made:
        assert not path.stat().st_mode & 0o077, path


def test_a_missing_micropython_is_one_line(refused, tmp_path, monkeypatch):
    monkeypatch.setenv("MICROPYTHON", "no-such-interpreter")
    assert refused(flash=tmp_path / "f") == "MICROPYTHON=no-such-interpreter: no such program"


def test_an_interpreter_that_is_no_micropython_is_one_line(refused, tmp_path, monkeypatch):
    monkeypatch.setenv("MICROPYTHON", "/bin/false")
    why = refused(stdin=False, flash=tmp_path / "f")
    assert why == "/bin/false cannot run the board, status 1"


def test_the_first_commands_are_carried_out_before_the_board_starts(start):
    charger = start(
        "from machine import Pin\nprint('contact', Pin(32, Pin.IN, Pin.PULL_UP)())\n",
        first=[{"do": "link", "up": False}, {"do": "plug", "bounce": False}],
    )
    charger.wait_for_output("contact 0", 5)
    assert charger.status()["link"] is False


def test_two_simulators_on_one_flash_are_one_too_many(start, refused, tmp_path):
    start("", flash=tmp_path / "flash")
    assert refused(flash=tmp_path / "flash") == f"{tmp_path}/flash is in use by another simulator"


def test_a_program_that_ends_or_raises_leaves_the_board_on(start, tmp_path):
    charger = start(
        "from machine import PWM, Pin\nPWM(Pin(25), freq=1000, duty_u16=65535)\nraise OSError(5)\n"
    )
    charger.wait_for_output("OSError: [Errno 5] EIO", 5)
    assert charger.wait_for_output("stopped", 5) == f"stopped control=127.0.0.1:{charger.port}"
    assert not any("rom.py" in line for line in charger.output)
    time.sleep(0.1)
    assert charger.status()["light"] == [255, 0, 0]


def test_boot_py_runs_first_and_the_program_sees_only_the_boards_files(start, tmp_path):
    (tmp_path / "flash").mkdir()
    (tmp_path / "flash" / "boot.py").write_text("print('boot', __name__)\nbooted = 1\n")
    (tmp_path / "library").mkdir()
    (tmp_path / "library" / "helper.py").write_text("NAME = 'helper'\n")
    charger = start(
        "import helper, os, sys\n"
        "print(__name__, booted, helper.NAME, sys.platform, os.uname()[0])\n"
        "print(sorted(os.listdir('/')), 'etc' in os.listdir('/'))\nimport umqtt.simple, ntptime\n"
        "print('umachine' in sys.modules, sys.path)\n",
        path=tmp_path / "library",
    )
    charger.wait_for_output("stopped", 5)
    printed = [line for line in charger.output if "control=" not in line]
    assert printed == [
        "boot __main__",
        "__main__ 1 helper esp32 esp32",
        "['boot.py', 'program'] False",
        "True ['/program', '', '.frozen', '/lib']",
    ]


def test_half_a_line_is_not_lost_when_the_power_goes(start):
    charger = start("import time\nprint('half', end='')\ntime.sleep(60)\n")
    time.sleep(0.2)
    charger.do("power", off_ms=10_000)
    charger.wait_for_output("half", 2)


def test_the_end_of_standard_input_ends_it(start):
    charger = start("while True: pass\n")
    assert charger.stop() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_a_signal_ends_it_without_a_trace(number, tmp_path):
    (tmp_path / "p.py").write_text("while True: pass\n")
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-m", "tools.virtual", "--main", str(tmp_path / "p.py")],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "TMPDIR": str(temporary), "PYTHONPATH": str(PROJECT)},
    )
    assert process.stdout and process.stdout.readline().startswith(b"ready control=")
    assert list(temporary.iterdir())
    process.send_signal(number)
    assert process.communicate(timeout=5)[0] == b""
    assert process.returncode == 0
    assert list(temporary.iterdir()) == []
