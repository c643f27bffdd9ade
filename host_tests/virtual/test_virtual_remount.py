"""The start mounts a littlefs again with larger reads, and leaves any other flash as it is."""

import subprocess
from pathlib import Path

import pytest

from host_tests.virtual.conftest import Bench
from tools.mpy import sources
from tools.romfs import PARTITION_BYTES
from tools.virtual.board_files import install
from tools.virtual.flash import Rom, open_flash

WATCHED = b"""
import flashbdev
class Watched:
    def __init__(self, bdev):
        self.bdev = bdev
        self.mounts = self.writes = 0
        self.least = 4096
    def readblocks(self, block, buf, offset=0):
        self.least = min(self.least, len(buf))
        self.bdev.readblocks(block, buf, offset)
    def writeblocks(self, block, buf, offset=None):
        self.writes += 1
        self.bdev.writeblocks(block, buf, offset)
    def ioctl(self, op, arg):
        self.mounts += op == 1
        self.writes += op == 6
        return self.bdev.ioctl(op, arg)
watched = flashbdev.bdev = Watched(flashbdev.bdev)
"""
KEEP = "with open('kept', 'wb') as file: file.write(bytes(300))"


def without_config(flash: Path, boot: bytes) -> Path:
    """A board on which the start says what config.json lacks, and ends."""
    chips, rom = open_flash(flash), Rom(flash.with_name(flash.name + ".rom"), PARTITION_BYTES)
    install(b"{}", chips, rom)
    chips.install({"boot.py": boot})
    chips.close()
    rom.close()
    return flash


@pytest.fixture
def image(start, tmp_path):
    charger = start(flash=without_config(tmp_path / "flash.img", WATCHED), serial=True)
    bench = Bench(charger)
    yield bench
    bench.close()


def test_a_littlefs_is_mounted_again_for_larger_reads_and_nothing_is_written_meanwhile(
    image: Bench,
):
    assert image.run("print(watched.mounts, watched.writes, watched.least)") == "1 0 128"
    image.run(KEEP)
    assert image.run("print(watched.least, watched.writes > 0)") == "128 True"


def test_main_run_again_in_the_same_life_leaves_open_files_their_mount(image: Bench):
    image.run("file = open('kept', 'wb')")
    image.run("exec(open('main.py').read())")
    image.run("file.write(b'whole'); file.close()")
    assert image.run("print(watched.mounts, open('kept').read())") == "1 whole"


def test_after_a_soft_reset_the_console_finds_all_files(image: Bench):
    image.run(KEEP)
    image.soft_reset()
    assert image.run("import os; print(os.stat('kept')[6], watched.mounts)") == "300 0"
    image.run("import os; os.remove('kept'); exec(open('main.py').read())")
    assert image.run("print('kept' in os.listdir(), watched.mounts)") == "False 1"


def test_a_flash_that_is_no_littlefs_stays_as_it_is(start, tmp_path):
    charger = start(flash=without_config(tmp_path / "flash", b""), serial=True)
    bench = Bench(charger)
    assert bench.run("import os; print('main.py' in os.listdir())") == "True"
    assert bench.fails("import flashbdev").startswith("ImportError")
    bench.close()


def test_a_block_device_with_another_file_system_stays_as_it_is(micropython: str, tmp_path: Path):
    source = sources()["firmware/start.py"]
    function = source[source.index("_ERASE =") : source.index("_CRASH_PAUSE_S")]
    function += source[source.index("def remount()") : source.index("def configured(")]
    program = tmp_path / "other.py"
    program.write_text(
        "import sys, vfs\nfrom micropython import const\nclass Disk:\n"
        "    data = bytearray(512 * 256)\n"
        "    def readblocks(self, n, buf, offset=0):\n"
        "        at = n * 512 + offset; buf[:] = self.data[at : at + len(buf)]\n"
        "    def writeblocks(self, n, buf, offset=0):\n"
        "        at = n * 512 + offset; self.data[at : at + len(buf)] = buf\n"
        "    def ioctl(self, op, arg): return {4: 256, 5: 512}.get(op, 0)\n"
        "class Module: pass\n"
        "disk = Disk(); vfs.VfsFat.mkfs(disk); fat = vfs.VfsFat(disk)\n"
        "vfs.umount('/'); vfs.mount(fat, '/')\n"
        "with open('/kept', 'w') as file: file.write('here')\n"
        "sys.modules['flashbdev'] = flashbdev = Module()\n"
        f"{function}\n"
        "for flashbdev.bdev in (disk, None):\n"
        "    remount(); print(open('/kept').read(), hasattr(flashbdev, 'remounted'))\n"
    )
    done = subprocess.run([micropython, str(program)], capture_output=True, text=True, timeout=20)
    assert done.stdout == "here False\n" * 2, done
