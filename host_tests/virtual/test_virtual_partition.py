"""The flash chip as a program sees it: `esp32.Partition`, `esp`, and the ROM in its memory."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from tools.romfs import PARTITION_BYTES
from tools.virtual import simulate
from tools.virtual.client import CommandRefused
from tools.virtual.flash import open_flash
from tools.virtual.kind import KindError, kind

KB = 1024
ROM = """
from esp32 import Partition
import vfs
rom = Partition.find(Partition.TYPE_DATA, label="romfs")[0]
seen = memoryview(vfs.rom_ioctl(2, 0))
B = 160 * 1024 // 4096  # the first block of slot b
def at(block, size=4):
    return bytes(seen[block * 4096 : block * 4096 + size])
"""


def test_the_partition_table_has_two_slots_of_rom_before_the_file_system(bench):
    bench.run("from esp32 import Partition")
    rows = bench.run(
        "for kind in (Partition.TYPE_APP, Partition.TYPE_DATA):\n"
        "    for part in Partition.find(kind): print(part.info())"
    )
    assert [eval(row) for row in rows.splitlines()] == [
        (0, 0x00, 0x10000, 0x1A0000, "factory", False),
        (1, 0x02, 0x9000, 0x6000, "nvs", False),
        (1, 0x01, 0xF000, 0x1000, "phy_init", False),
        (1, 0x8F, 0x1B0000, 0x50000, "romfs", False),
        (1, 0x81, 0x200000, 0x200000, "vfs", False),
    ]
    assert bench.run("print(Partition(Partition.RUNNING), Partition('romfs').info()[3])") == (
        "<Partition type=0, subtype=0, address=65536, size=1703936, label=factory, encrypted=0> "
        f"{PARTITION_BYTES}"
    )
    found = "Partition.find(1, 0x81), Partition.find(1, 0x81, 'romfs'), Partition.find(2)"
    assert bench.run(f"print([len(some) for some in ({found})])") == "[1, 0, 0]"
    assert bench.run(f"{ROM}print([rom.ioctl(op, 0) for op in range(1, 8)])") == (
        "[0, 0, 0, 80, 4096, 0, None]"
    )


def test_blocks_are_erased_and_programmed_and_with_an_offset_only_programmed(bench):
    bench.run(ROM + "rom.writeblocks(B, b'\\x0f' * 8192)")
    assert bench.run("print(at(B), at(B + 1), at(B + 2))") == (
        r"b'\x0f\x0f\x0f\x0f' b'\x0f\x0f\x0f\x0f' b'\xff\xff\xff\xff'"
    )
    bench.run("rom.writeblocks(B, b'\\xf3', 1)")
    assert bench.run("print(at(B))") == r"b'\x0f\x03\x0f\x0f'"
    bench.run("rom.writeblocks(B, b'\\xf3' * 4096)")
    assert bench.run("print(at(B))") == r"b'\xf3\xf3\xf3\xf3'"
    bench.run("rom.ioctl(6, B)")
    assert bench.run("print(at(B), at(B + 1, 1))") == r"b'\xff\xff\xff\xff' b'\x0f'"
    bench.run("part = bytearray(3); rom.readblocks(B, part, 4095); rom.ioctl(6, B + 1)")
    assert bench.run("print(bytes(part))") == r"b'\xff\x0f\x0f'"


def test_smaller_blocks_leave_their_neighbours_as_they_are(bench):
    bench.run(ROM + "rom.writeblocks(B, b'a' * 4096); rom.writeblocks(B + 1, b'b' * 4096)")
    bench.run("small = Partition('romfs', 512); small.writeblocks(B * 8 + 7, b'c' * 1024)")
    assert bench.run(
        "for block, one in ((B, b'a'), (B + 1, b'b')):\n"
        "    found = at(block, 4096); print(found.count(one), found.count(b'c'))"
    ) == ("3584 512\n3584 512")
    assert bench.run("print(small.ioctl(4, 0), small.ioctl(5, 0), small.ioctl(6, 0))") == (
        "640 512 -22"
    )


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("rom.writeblocks(80, bytes(4096))", "(-260, 'ESP_ERR_INVALID_SIZE')"),
        ("rom.writeblocks(81, bytes(4096))", "(-258, 'ESP_ERR_INVALID_ARG')"),
        ("rom.writeblocks(-1, bytes(4096))", "(-258, 'ESP_ERR_INVALID_ARG')"),
        ("rom.writeblocks(79, bytes(8192))", "(-260, 'ESP_ERR_INVALID_SIZE')"),
        ("rom.writeblocks(40, bytes(100))", "(-260, 'ESP_ERR_INVALID_SIZE')"),
        ("rom.writeblocks(79, bytes(2), 4095)", "(-260, 'ESP_ERR_INVALID_SIZE')"),
        ("rom.readblocks(79, bytearray(4097))", "(-260, 'ESP_ERR_INVALID_SIZE')"),
        ("rom.ioctl(6, 80)", "(-260, 'ESP_ERR_INVALID_SIZE')"),
        ("Partition(0).writeblocks(0, bytes(4096))", "(-24582, 'ESP_ERR_FLASH_PROTECTED')"),
        ("Partition('boot')", "[Errno 2] ENOENT"),
        ("Partition(1).get_next_update()", "[Errno 2] ENOENT"),
        ("esp.flash_read(4096 * 1024 - 1, bytearray(2))", "[Errno 5] EIO"),
        ("esp.flash_erase(0x10)", "[Errno 5] EIO"),
    ],
)
def test_what_the_chip_would_refuse_is_the_same_error(shared_bench, code, error):
    assert shared_bench.fails(f"{ROM}import esp\n{code}") == f"OSError: {error}"


def test_only_what_rom_ioctl_gives_can_be_looked_into(bench):
    assert bench.fails(ROM + "memoryview(rom)").startswith("TypeError: object with buffer")
    facts = "vfs.rom_ioctl(1), len(seen), isinstance(vfs.rom_ioctl(2, 0), Partition)"
    assert bench.run(f"{ROM}print({facts}, vfs.rom_ioctl(3, 0, 0))") == "1 327680 True -22"


def test_the_whole_chip_is_read_and_written_by_addresses(bench):
    bench.run(ROM + "import esp\nrom.ioctl(6, B)\npart = bytearray(2)")
    bench.run("address = rom.info()[2] + B * 4096\nesp.flash_write(address + 1, b'ab')")
    assert bench.run("esp.flash_read(address, part); print(bytes(part), at(B, 2))") == (
        r"b'\xffa' b'\xffa'"
    )
    bench.run("esp.flash_erase(address // 4096)")
    assert bench.run("print(at(B, 2), esp.flash_size(), esp.flash_user_start())") == (
        rf"b'\xff\xff' {4096 * KB} {2048 * KB}"
    )


def test_the_file_system_is_a_partition_of_its_own(start, tmp_path):
    charger = start(
        "import flashbdev\nfrom esp32 import Partition\nvfs = Partition('vfs')\n"
        "part = bytearray(8)\nvfs.readblocks(0, part, 8)\n"
        "print(bytes(part), type(flashbdev.bdev) is Partition, vfs.ioctl(4, 0))\n"
        "vfs.writeblocks(511, b'end' + bytes(4093))\n",
        flash=tmp_path / "flash.img",
    )
    charger.wait_for_output("b'littlefs' True 512", 5)
    charger.wait_for_output("stopped", 5)
    assert (tmp_path / "flash.img").read_bytes()[511 * 4096 :].startswith(b"end\0")


def test_an_interpreter_that_cannot_map_the_rom_still_sees_what_is_written(start, tmp_path):
    wrapper = tmp_path / "another"
    interpreter = Path(sys.executable).with_name("micropython")
    wrapper.write_text(f'#!/bin/sh\nexec {interpreter} "$@"\n')
    wrapper.chmod(0o755)
    charger = start(
        ROM + "rom.writeblocks(B, b'x' * 4096); rom.writeblocks(B, b'\\0', 2); print(at(B))\n"
        "import gc; gc.collect(); print('free', 200_000 < gc.mem_free() < 226_000)\n",
        environment={"MICROPYTHON": str(wrapper)},
    )
    charger.wait_for_output("b'xx\\x00x'", 5)
    charger.wait_for_output("free True", 5)


# --- what kind of board it is ---------------------------------------------------------------

FACTS = (
    "import esp, esp32, os, sys, vfs\n"
    "made = sys.implementation\n"
    "print('made', made.version, made._machine, made._build, made._mpy, sys.platform)\n"
    "print('called', os.uname().release, os.uname().machine, sys.version.split(' ')[2])\n"
    "print('rom', hasattr(vfs, 'VfsRom'), hasattr(vfs, 'rom_ioctl') and vfs.rom_ioctl(1))\n"
    "parts = esp32.Partition.find(1, label='romfs')\n"
    "print('flash', esp.flash_size() // 1024, [part.info()[3] for part in parts])\n"
)


def told(charger) -> list[str]:
    charger.wait_for_output("stopped", 5)
    return [line for line in charger.output if "control=" not in line]


def test_a_board_is_of_the_kind_that_is_asked_for(start):
    board = ["machine=Other with ESP32S3", "build=OTHER", "version=1.24.1", "mpy=6", "platform=rp2"]
    assert told(start(FACTS, board=[*board, "romfs_kb=128", "flash_kb=8192"])) == [
        "made (1, 24, 1, '') Other with ESP32S3 OTHER 6 rp2",
        "called 1.24.1 Other with ESP32S3 v1.24.1",
        "rom True 1",
        "flash 8192 [131072]",
    ]


def test_without_more_it_is_a_stock_one(start):
    made, called, *rest = told(start(FACTS))
    assert made.endswith(") Generic ESP32 module with ESP32 ESP32_GENERIC 11014 esp32")
    assert "Generic ESP32 module with ESP32" in called
    assert rest == ["rom True 1", "flash 4096 [327680]"]


def test_a_board_may_have_no_rom_or_know_nothing_of_it(start, tmp_path):
    assert told(start(FACTS, board=["romfs_kb=0"]))[2:] == ["rom True 0", "flash 4096 []"]
    assert not (tmp_path / "flash.rom").exists()
    assert told(start(FACTS, board=["rom=no"], flash=tmp_path / "f"))[2:] == [
        "rom False False",
        "flash 4096 [327680]",
    ]


def test_a_board_with_a_smaller_chip_has_a_smaller_file_system(start, tmp_path):
    charger = start(FACTS, board=["flash_kb=2048"], flash=tmp_path / "flash.img")
    assert told(charger)[2:] == ["rom True 0", "flash 2048 []"]
    assert (tmp_path / "flash.img").stat().st_size == 448 * KB


@pytest.mark.parametrize(
    ("option", "why"),
    [
        ("colour=red", "found 'colour=red', allowed machine=…, platform=…"),
        ("rom", "found 'rom', allowed machine=…"),
        ("rom=0", "rom: found '0', allowed yes, no"),
        ("flash_kb=1000", "flash_kb: found '1000', allowed 2048, 4096, 8192, 16384"),
        ("romfs_kb=5", "romfs_kb: found '5', allowed 0 to 1024 in steps of 4"),
        ("version=1.29", "version: found '1.29', allowed three numbers, as in 1.29.0"),
        ("machine=", "machine: found '', allowed 1 to 100 printable characters"),
        ("mpy=x", "mpy: found 'x', allowed 0 to 65535"),
    ],
)
def test_an_option_that_says_nothing_is_one_line(option, why):
    with pytest.raises(KindError) as failure:
        kind([option])
    assert str(failure.value).startswith(f"board: {why}")


def test_a_flash_that_is_too_large_for_the_board_is_one_line(tmp_path, capfd):
    (tmp_path / "flash.img").write_bytes(b"\xff" * 2048 * KB)
    assert simulate.run(flash=tmp_path / "flash.img", board=["flash_kb=2048"], stdin=True) == 1
    assert capfd.readouterr() == (
        "",
        "tapgate simulate: the flash has 2097152 bytes, and this board's file system 458752\n",
    )


def test_a_bare_board_has_nothing_on_it_and_takes_what_it_is_given(start, tmp_path):
    charger = start(flash=tmp_path / "bare.img", serial=True, until="stopped")
    assert set((tmp_path / "bare.img.rom").read_bytes()) == {0xFF}
    (tmp_path / "main.py").write_text("kept = __file__\n")

    def mpremote(*arguments: str) -> str:
        command = [sys.executable, "-m", "mpremote", "connect", charger.serial, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    look = "import os, sys; print(os.listdir('/'), sys.path)"
    assert mpremote("exec", look) == "[] ['', '.frozen', '/lib']\n"
    assert "Not a valid ROMFS" in mpremote("romfs", "query")
    mpremote("fs", "cp", str(tmp_path / "main.py"), ":main.py")
    since = charger.mark()
    mpremote("reset")
    charger.wait_for(lambda push: push.get("stopped"), 15, since)
    assert mpremote("resume", "exec", "print(kept)") == "main.py\n"


# --- power and faults -----------------------------------------------------------------------

WRITES = ROM + "for block in (B, B + 1): rom.writeblocks(block, b'\x55' * 4096)\n"


@pytest.mark.parametrize(
    ("n", "part", "first", "second"),
    [
        (1, 0, b"\xaa" * 4096, b"\xaa" * 4096),
        (1, 0.25, b"\xff" * 1024 + b"\xaa" * 3072, b"\xaa" * 4096),
        (2, 0.5, b"\x55" * 1024 + b"\xff" * 3072, b"\xaa" * 4096),
        (5, 0, b"\x55" * 4096, b"\xff" * 4096),
    ],
)
def test_the_supply_can_be_cut_at_a_write_to_the_rom(start, tmp_path, n, part, first, second):
    """Of each block: an erase, then two programs of 2,048 bytes."""
    rom = tmp_path / "flash.rom"
    rom.write_bytes(b"\xaa" * PARTITION_BYTES)
    power = {"at_block_write": n, "partition": "romfs", "part": part, "off_ms": 60_000}
    charger = start(WRITES, first=[{"do": "power", **power}])
    deadline = time.monotonic() + 5
    while charger.status()["power"]:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    slot_b = rom.read_bytes()[160 * KB :]
    assert slot_b == first + second + b"\xaa" * (152 * KB)


TRIED = (
    "import time\nfrom esp32 import Partition\n"
    "rom, contact = Partition('romfs'), Pin(32, Pin.IN, Pin.PULL_UP)\n"
    "def tried(what):\n"
    "    try: what()\n"
    "    except OSError as error: return error.args[-1]\n"
    "def write():\n"
    "    with open('file', 'w') as file: file.write('x' * 9000)\n"
    "for start in (0, 1):\n"
    "    while contact() != start: time.sleep_ms(5)\n"
    "    print(start, tried(write), tried(lambda: rom.ioctl(6, 0)), tried(lambda: rom.ioctl(6, 1)),"
    " open('boot.py').read())\n"
)


@pytest.mark.parametrize(
    ("fault", "found"),
    [
        ({"fault": "readonly"}, ["ESP_ERR_FLASH_PROTECTED"] * 3),
        (
            {"fault": "bad_block", "partition": "romfs", "block": 1},
            ["None", "None", "ESP_ERR_FLASH_OP_FAIL"],
        ),
    ],
)
def test_a_chip_that_does_not_take_what_is_written_says_so(start, tmp_path, fault, found):
    chips = open_flash(tmp_path / "flash.img")
    chips.install({"boot.py": b"'kept'"})
    chips.close()
    charger = start(f"from machine import Pin\n{TRIED}", flash=tmp_path / "flash.img")
    charger.do("flash", **fault)
    charger.do("plug", bounce=False)
    charger.wait_for_output(f"0 {' '.join(found)} 'kept'", 5)
    charger.do("flash", fault="none")
    charger.do("unplug", bounce=False)
    charger.wait_for_output("1 None None None 'kept'", 5)


def test_blocks_that_the_board_does_not_have_are_refused(start, tmp_path):
    charger = start("", board=["romfs_kb=0"])
    for command in ({"do": "flash", "fault": "bad_block"}, {"do": "power", "at_block_write": 1}):
        with pytest.raises(CommandRefused, match=r"the flash is a directory, not an \.img file"):
            charger.do(**command)
        with pytest.raises(CommandRefused, match="the board has no romfs partition"):
            charger.do(**command, partition="romfs")
