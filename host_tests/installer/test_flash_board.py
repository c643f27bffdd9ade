"""The real esptool against a board in download mode, end to end: what lies in the flash afterwards
is compared byte for byte."""

import errno
import io
import json
import subprocess
import sys
import types
from contextlib import contextmanager

import pytest
import serial
from littlefs import LittleFS

from host_tests.installer import images, rom_loader
from host_tests.installer.rom_loader import RomLoader
from tools import cli
from tools.installer import flashing, micropython_image, partitions
from tools.portal.refusal import Refusal

FAST_AND_SLOW = pytest.mark.parametrize("slow", [False, True], ids=["fast", "slow"])
ANOTHER_LAYOUT = (
    partitions.Partition("nvs", partitions.DATA, 2, 0x9000, 0x4000),
    partitions.Partition("otadata", partitions.DATA, 0, 0xD000, 0x2000),
    partitions.Partition("ota_0", partitions.APP, 0x10, 0x10000, 0x180000),
    partitions.Partition("ota_1", partitions.APP, 0x11, 0x190000, 0x180000),
    partitions.Partition("vfs", partitions.DATA, 0x81, 0x310000, 0xF0000),
)
VFS = slice(partitions.VFS.at, partitions.VFS.at + partitions.VFS.size)
NVS = slice(partitions.NVS.at, partitions.NVS.at + partitions.NVS.size)
ROMFS = slice(partitions.ROMFS.at, partitions.ROMFS.at + partitions.ROMFS.size)
BLOCK = partitions.BLOCK_BYTES


@pytest.fixture(autouse=True)
def short_waits(monkeypatch):
    """What a board that does not answer costs: a fifth of a second each time, not three."""
    monkeypatch.setattr("esptool.cmds.DEFAULT_TIMEOUT", 0.2)
    monkeypatch.setattr("esptool.cmds.DEFAULT_CONNECT_ATTEMPTS", 1)
    monkeypatch.setattr(flashing, "CONNECT_ATTEMPTS", 1)


@pytest.fixture
def file(tmp_path):
    file = tmp_path / "firmware.bin"
    file.write_bytes(images.image())
    return file


@pytest.fixture
def said():
    return []


def littlefs(blocks: int = 512) -> bytes:
    made = LittleFS(block_size=BLOCK, block_count=blocks, disk_version=0x00020000)
    with made.open("config.json", "w") as config:
        config.write("{}")
    return bytes(made.context.buffer)


def refusal(board: RomLoader | str, file, **options) -> str:
    port = board if isinstance(board, str) else board.port
    with pytest.raises(Refusal) as why:
        flashing.write(port, file, lambda line: None, **options)
    text = str(why.value)
    assert "\n" not in text
    return text


def holds(board: RomLoader, file) -> bool:
    pieces = micropython_image.read(file).pieces
    return all(board.flash[at : at + len(data)] == data for _, at, data in pieces)


# What lies in the flash afterwards


@FAST_AND_SLOW
def test_a_bare_board_gets_micropython_and_the_table_and_nothing_else(file, said, slow):
    with RomLoader() as board:
        answer = flashing.write(board.port, file, said.append, slow=slow)
    expected = bytearray(b"\xff" * len(board.flash))
    for _, at, data in micropython_image.read(file).pieces:
        expected[at : at + len(data)] = data
    assert board.flash == expected
    assert board.flasher is not slow
    assert answer == {
        "port": board.port,
        "chip": "ESP32-D0WD-V3 (revision v3.1)",
        "mac": "24:6f:28:a1:b2:c3",
        "flash_mb": 4,
        "micropython": "v1.29.0",
        "wrote": ["boot loader", "partition table", "MicroPython"],
        "files": "none",
    }
    assert f"{board.port}: ESP32-D0WD-V3 (revision v3.1), 4 MB flash" in said[0]


def test_an_image_from_the_flashs_beginning_lands_in_the_same_place(file):
    file.write_bytes(b"\xff" * 0x1000 + file.read_bytes())
    with RomLoader() as board:
        flashing.write(board.port, file, print)
    assert holds(board, file)


@FAST_AND_SLOW
def test_a_newer_micropython_leaves_files_slots_and_nvs_alone(file, said, slow):
    with RomLoader() as board:
        board.flash[0x8000 : 0x8000 + partitions.TABLE_BYTES] = partitions.table(images.STOCK)
        board.flash[0x10000:0x60000] = bytes(range(256)) * 0x500
        board.flash[NVS] = b"n" * partitions.NVS.size
        board.flash[ROMFS] = b"r" * partitions.ROMFS.size
        board.flash[VFS] = littlefs()
        answer = flashing.write(board.port, file, said.append, slow=slow)
    assert holds(board, file)
    assert board.flash[NVS] == b"n" * partitions.NVS.size
    assert board.flash[ROMFS] == b"r" * partitions.ROMFS.size
    assert board.flash[VFS] == littlefs()
    assert answer["files"] == "kept" and "the files on it stay" in said[1]


@FAST_AND_SLOW
def test_erase_leaves_nothing_of_a_chargers_files_and_says_so_before(file, said, slow):
    lost = []

    def sure() -> bool:
        lost.extend(said)
        assert board.flash[VFS] == littlefs()
        return True

    with RomLoader() as board:
        board.flash[0x8000 : 0x8000 + partitions.TABLE_BYTES] = partitions.table()
        board.flash[NVS] = b"n" * partitions.NVS.size
        board.flash[VFS] = littlefs()
        answer = flashing.write(board.port, file, said.append, erase=True, slow=slow, sure=sure)
    assert set(board.flash[VFS]) == set(board.flash[NVS]) == {0xFF}
    assert holds(board, file)
    assert answer["files"] == "erased"
    assert "events have not reached the portal yet are lost" in lost[-1]


@FAST_AND_SLOW
def test_what_micropython_would_stop_at_is_erased_and_said_before(file, said, slow):
    with RomLoader() as board:
        board.flash[0x8000 : 0x8000 + partitions.TABLE_BYTES] = partitions.table(ANOTHER_LAYOUT)
        board.flash[NVS] = b"n" * partitions.NVS.size
        board.flash[0x200000:0x210000] = b"an older program" * 0x1000
        board.flash[0x310000:0x400000] = littlefs(0xF0)
        answer = flashing.write(board.port, file, said.append, slow=slow)
    assert set(board.flash[VFS]) == set(board.flash[NVS]) == {0xFF}
    assert answer["files"] == "erased"
    assert "events not delivered yet are lost" in said[1]


def test_once_more_writes_nothing_and_asks_nothing(file, said):
    with RomLoader() as board:
        flashing.write(board.port, file, said.append)
        board.erased.clear()
        answer = flashing.write(board.port, file, said.append, sure=lambda: pytest.fail("asked"))
    assert not board.erased and answer["wrote"] == []
    assert "is on it already" in said[-1]


def test_only_what_differs_is_written(file):
    with RomLoader() as board:
        flashing.write(board.port, file, print)
        board.flash[0x10000] ^= 1
        answer = flashing.write(board.port, file, print)
    assert answer["wrote"] == ["MicroPython"] and holds(board, file)


def test_who_says_no_has_the_board_as_it_was(file):
    with RomLoader() as board:
        assert refusal(board, file, sure=lambda: False) == "nothing was written"
    assert set(board.flash) == {0xFF} and not board.erased


def test_progress_goes_to_the_whole(file):
    steps = []

    @contextmanager
    def bar():
        yield lambda what, done, total: steps.append((what, done, total))

    with RomLoader() as board:
        board.flash[VFS.start] = 0
        flashing.write(board.port, file, print, progress=bar)
    names = list(dict.fromkeys(what for what, _, _ in steps))
    assert names == [
        "erasing vfs",
        "writing boot loader",
        "writing partition table",
        "writing MicroPython",
    ]
    *_, (_, done, total) = steps
    assert done == total > 0


@pytest.mark.parametrize(
    ("start", "found"),
    [
        (littlefs(), "littlefs"),
        (b"\0" * BLOCK + littlefs()[BLOCK:], "littlefs"),  # the second superblock is whole
        (littlefs(256), "other"),  # another size: MicroPython would not mount it
        (b"\xff" * 2 * BLOCK, "blank"),
        (b"\xeb\xfe\x90MSDOS5.0".ljust(2 * BLOCK, b"\0"), "other"),
    ],
)
def test_files_are_told_from_what_micropython_would_stop_at(start, found):
    assert flashing.files_in(start[: 2 * BLOCK]) == found


# Boards that do not suit: nothing is written


@pytest.mark.parametrize(
    ("chip", "name"), [(rom_loader.ESP32_S2, "ESP32-S2"), (rom_loader.ESP32_C3, "ESP32-C3")]
)
def test_another_chip_is_refused_by_its_name(file, chip, name):
    with RomLoader(chip) as board:
        assert refusal(board, file) == (
            f"the board at {board.port} has an {name}; Tapgate needs an ESP32"
        )
    assert set(board.flash) == {0xFF}


@FAST_AND_SLOW
def test_too_little_flash_is_refused(file, slow):
    with RomLoader(flash_mb=2) as board:
        assert "has 2 MB of flash; Tapgate needs 4 MB" in refusal(board, file, slow=slow)
    assert set(board.flash) == {0xFF}


def test_a_flash_chip_that_does_not_answer_is_refused(file):
    with RomLoader() as board:
        board.flash_id = 0xFFFFFF
        assert "does not say its size (ID ffffff)" in refusal(board, file)


def test_an_image_for_more_flash_than_there_is_is_refused(file):
    file.write_bytes(images.image(flash=3))
    with RomLoader() as board:
        assert "built for 8 MB of flash and would not start on the 4 MB" in refusal(board, file)
    with RomLoader(flash_mb=8) as board:
        flashing.write(board.port, file, print)
    assert holds(board, file)


def test_a_board_locked_for_another_program_is_refused(file):
    with RomLoader() as board:
        board.secured = True
        assert "secure boot or flash encryption" in refusal(board, file)
    assert set(board.flash) == {0xFF}


def test_a_board_that_runs_its_program_is_refused_with_the_button_named(file):
    with RomLoader() as board:
        board.awake = True
        why = refusal(board, file)
    assert why.startswith(f"no ESP32 waits for a program at {board.port}")
    assert "hold its BOOT button while plugging it in" in why


# What goes wrong on the way


@FAST_AND_SLOW
def test_a_cable_pulled_out_while_writing_and_put_back_completes(file, slow):
    with RomLoader() as board:
        board.hang_up_after = 3
        why = refusal(board, file, slow=slow)
    piece = "boot loader" if slow else "MicroPython"  # the slow blocks are sixteen times smaller
    assert f"{board.port} dropped off while '{piece}' was written" in why
    assert "what is on it now does not start" in why and "plug it in again" in why
    assert not holds(board, file)
    with RomLoader() as again:
        again.flash[:] = board.flash
        flashing.write(again.port, file, print, slow=slow)
    assert holds(again, file)


def test_a_cable_pulled_out_before_anything_was_written(file):
    with RomLoader() as board:
        board.hang_up_at = rom_loader.FLASH_MD5
        why = refusal(board, file)
    assert "dropped off while it was looked at" in why and "does not start" not in why


def test_a_board_that_falls_silent_while_writing(file):
    with RomLoader() as board:
        board.silent_after = 0
        why = refusal(board, file)
    assert "stopped answering while 'boot loader' was written" in why and "--slow" in why


def test_what_reads_back_differently_is_said(file):
    with RomLoader() as board:
        board.stuck = 0x10100
        assert "does not hold what was written" in refusal(board, file)


# The port


def test_a_port_that_is_not_there(file):
    assert refusal("/dev/ttyUSB-none", file).startswith("there is no port /dev/ttyUSB-none; ")


def test_a_port_that_another_program_has(file):
    with RomLoader() as board, serial.Serial(board.port, exclusive=True):
        assert refusal(board, file).startswith(f"{board.port} is in use by another program")


def test_a_port_that_is_none(file):
    assert f"{file} is no serial port" in refusal(str(file), file)


def test_a_port_one_may_not_open(file, monkeypatch):
    def forbidden(*_, **__):
        raise serial.SerialException(errno.EACCES, "could not open port")

    monkeypatch.setattr(serial, "serial_for_url", forbidden)
    assert "you may not use /dev/ttyUSB0; give your user the right" in refusal("/dev/ttyUSB0", file)


def test_a_wrong_image_is_said_before_the_port_is_opened(file):
    file.write_bytes(images.image(text=images.BANNER))
    with RomLoader() as board:
        assert "without ROMFS" in refusal(board, file)
        assert not board.asked


# tapgate flash


def test_the_command_prints_one_json_value(file, capsys):
    with RomLoader() as board:
        status = cli.main(
            ["flash", "--port", board.port, "--firmware", str(file), "--yes", "--json"]
        )
    out, err = capsys.readouterr()
    assert status == 0 and holds(board, file)
    assert json.loads(out)["micropython"] == "v1.29.0"
    assert "goes onto it" in err


@pytest.fixture
def home(tmp_path, monkeypatch):
    """An installation with the charger "gate"."""
    monkeypatch.setenv("TAPGATE_HOME", str(tmp_path / "home"))
    site = ("--installation", "home", "--broker", "mqtt://127.0.0.1:9", "--owner", "o@x.org")
    assert cli.main(["init", *site]) == 0 and cli.main(["charger", "add", "gate"]) == 0


def test_a_charger_that_nobody_knows_is_said_before_anything_is_written(home, file, capsys):
    with RomLoader() as board:
        given = ["flash", "--port", board.port, "--firmware", str(file), "--yes"]
        assert cli.main([*given, "--charger", "gait"]) == 1
    assert "'gait'" in capsys.readouterr().err and not board.asked


def test_with_a_charger_named_the_board_is_provisioned_next(home, file, monkeypatch):
    done = []
    module = types.ModuleType("provision")
    vars(module)["provision"] = lambda call, **given: done.append((given, holds(board, file)))
    monkeypatch.setitem(sys.modules, "tools.portal.commands.provision", module)
    monkeypatch.setattr("tools.portal.commands.provision", module, raising=False)
    with RomLoader() as board:
        given = ["flash", "--port", board.port, "--charger", "gate"]
        assert cli.main([*given, "--firmware", str(file), "--yes"]) == 0
        assert cli.main(given) == 0
    asked = {"port": board.port, "charger": "gate"}
    assert done == [({**asked, "yes": True}, True), ({**asked, "yes": False}, True)]


def test_the_command_does_not_write_unasked(file, capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    with RomLoader() as board:
        status = cli.main(["flash", "--port", board.port, "--firmware", str(file)])
    assert status == 1 and "say --yes" in capsys.readouterr().err
    assert set(board.flash) == {0xFF}


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (["--port", "/dev/x"], "give --firmware FILE (MicroPython), --charger NAME"),
        (["--port", "/dev/x", "--charger", "gate", "--erase"], "go with --firmware"),
        (["--firmware", "x.bin"], "--port"),
    ],
)
def test_what_the_command_lacks_is_wrong_usage(capsys, given, why):
    assert cli.main(["flash", *given]) == 2
    assert why in capsys.readouterr().err


# The board of these tests


def test_esptools_own_command_takes_it_for_a_board(tmp_path):
    content = tmp_path / "content.bin"
    with RomLoader() as board:
        board.flash[:4096] = bytes(range(256)) * 16
        done = subprocess.run(
            [
                *(sys.executable, "-m", "esptool", "--port", board.port),
                *("read-flash", "0", "5000", str(content)),
            ],
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    assert content.read_bytes() == board.flash[:5000]


def test_bytes_that_were_not_erased_first_do_not_take():
    with RomLoader() as board:
        board.flash[0] = 0x0F
        board._end = 4
        board._program(b"\xf3abc")
    assert board.flash[:4] == b"\x03abc"
