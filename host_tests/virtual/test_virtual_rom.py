"""The board's ROM partition: the firmware runs in place from it, and tools can deploy another."""

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools import mpy
from tools.installer import slots
from tools.romfs import PARTITION_BYTES, SLOT_BYTES, ImageError, image
from tools.virtual.board_files import install
from tools.virtual.flash import Flash, FlashError, Rom, open_flash

LIST = {"list/ref": b"kept"}


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    """A tree as small as can be in place of the project's own."""
    root = tmp_path / "project"
    (root / "firmware").mkdir(parents=True)
    for name in ("boot.py", "main.py", "firmware/loader.py", "firmware/app.py"):
        (root / name).write_text(f"NAME = {name!r}\n")
    (root / "firmware/__init__.py").write_text('VERSION = "1.2.3"\n')
    monkeypatch.setattr(mpy, "ROOT", root)
    return root


@pytest.fixture(params=["flash", "flash.img"])
def flash(request, tmp_path):
    with_what: Flash = open_flash(tmp_path / request.param)
    yield with_what
    with_what.close()


@pytest.fixture
def rom(tmp_path) -> Iterator[Rom]:
    partition = Rom(tmp_path / "flash.rom", PARTITION_BYTES)
    yield partition
    partition.close()


def put(path: Path, made: bytes) -> None:
    partition = Rom(path, PARTITION_BYTES)
    partition.install(made)
    partition.close()


def test_the_same_files_are_the_same_image_in_whatever_order_they_come():
    files = {"firmware/app.mpy": b"app", "firmware/a/__init__.mpy": b"a", "b.txt": b"b"}
    assert image(files) == image(dict(reversed(files.items())))
    assert image(files) != image({**files, "b.txt": b"c"})


def test_what_a_slot_cannot_hold_is_refused_with_both_sizes():
    assert SLOT_BYTES == 160 * 1024
    with pytest.raises(ImageError, match=rf"takes \d+ of a slot's {SLOT_BYTES} bytes"):
        image({"a": bytes(SLOT_BYTES)})


def test_the_starters_go_into_the_flash_and_the_firmware_into_the_rom(project, flash, rom):
    flash.install(LIST)
    install(b"{}", flash, rom)
    assert flash.read("list/ref") == b"kept"
    assert flash.read("config.json") == b"{}"
    assert flash.read("main.py") == b"NAME = 'main.py'\n"
    assert flash.files("firmware") == {}
    made = mpy.image()
    assert rom.path.read_bytes() == made.ljust(PARTITION_BYTES, b"\xff")
    assert json.loads(flash.read("firmware.json") or b"") == {
        "run": "a",
        "sha256": hashlib.sha256(made).hexdigest(),
        "bytes": len(made),
        "version": "1.2.3",
        "proven": True,
        "starts": 0,
        "before": None,
        "gave_up": None,
    }


@pytest.mark.parametrize("slot", ["a", "b"])
def test_a_firmware_that_is_there_already_is_left_as_it_is(project, flash, rom, slot):
    made = mpy.image()
    choice = slots.alone(slots.Wanted(made, "1.2.3"), slot)
    rom.install(made, slot)
    flash.install({mpy.CHOICE: choice})
    before = rom.path.read_bytes()
    install(b"{}", flash, rom)
    assert flash.read(mpy.CHOICE) == choice
    assert rom.path.read_bytes() == before


def test_another_firmware_or_a_damaged_one_gives_way(project, flash, rom):
    made = mpy.image()
    rom.install(image({"firmware/app.mpy": b"other"}), "b")
    flash.install({mpy.CHOICE: slots.alone(slots.Wanted(made, "1.2.3"), "b")})
    install(b"{}", flash, rom)
    assert rom.slot("a").startswith(made)
    assert json.loads(flash.read(mpy.CHOICE) or b"")["run"] == "a"


def test_a_partition_of_an_earlier_size_grows_and_a_larger_one_in_use_is_refused(tmp_path):
    path = tmp_path / "flash.rom"
    path.write_bytes(b"image")
    Rom(path, PARTITION_BYTES).close()
    assert path.read_bytes() == b"image".ljust(PARTITION_BYTES, b"\xff")
    Rom(path, 4096).close()
    assert path.read_bytes() == b"image".ljust(4096, b"\xff")
    path.write_bytes(bytes(8192))
    with pytest.raises(FlashError, match="8192 bytes, and the board's romfs partition has 4096"):
        Rom(path, 4096)


def test_a_firmware_that_lay_in_the_flash_before_there_was_rom_goes(project, flash, rom):
    older = mpy.compiled("firmware.gone.app", "NAME = 'older'\n")
    flash.install({"firmware/gone/app.mpy": older, **LIST})
    install(b"{}", flash, rom)
    assert flash.files("firmware") == {}
    assert flash.files("list") == LIST
    flash.install({"firmware": b"a file may have that name: no folder is left"})


def test_a_firmware_that_somebody_put_into_the_flash_stays_whole(project, flash, rom, capfd):
    theirs = {
        "firmware/__init__.mpy": mpy.compiled("firmware", ""),
        "firmware/app.py": b"NAME = 'theirs'\n",
    }
    flash.install(theirs)
    install(b"{}", flash, rom)
    assert flash.files("firmware") == theirs
    said = "virtual board: firmware/ in the flash is not used, the one in /rom is\n"
    assert capfd.readouterr().out == said


def test_an_interpreter_that_cannot_run_the_image_gets_the_sources(project, flash):
    install(b"{}", flash, None)
    assert flash.read("firmware/app.py") == b"NAME = 'firmware/app.py'\n"
    assert flash.read(mpy.CHOICE) is None


PRINT = "import firmware.app, sys\nprint(firmware.app.NAME, firmware.app.__file__, sys.path)\n"


def test_the_board_imports_from_rom_and_from_its_flash_first(start, tmp_path):
    code = mpy.compiled("firmware.app", "NAME = 'in place'\n")
    put(tmp_path / "flash.rom", image({"firmware/app.mpy": code}))
    charger = start(PRINT)
    path = "['/program', '', '.frozen', '/rom', '/rom/lib', '/lib']"
    charger.wait_for_output(f"in place /rom/firmware/app.mpy {path}", 5)
    charger.stop()

    (tmp_path / "flash" / "firmware").mkdir()
    (tmp_path / "flash" / "firmware" / "app.py").write_text("NAME = 'theirs'\n")
    start(PRINT).wait_for_output(f"theirs firmware/app.py {path}", 5)


def test_a_module_in_rom_takes_less_heap_than_the_same_in_flash(start, tmp_path):
    text = "def f(x):\n" + "    x = x * 2 + 1\n" * 500 + "    return x\n"
    code = mpy.compiled("m", text)
    put(tmp_path / "flash.rom", image({"m.mpy": code}))
    program = "import gc\na = gc.mem_alloc()\nimport m\ngc.collect()\n"
    program += "print('takes', gc.mem_alloc() - a < 2000, m.f(0) > 0)\n"
    charger = start(program)
    charger.wait_for_output("takes True True", 5)
    charger.stop()
    (tmp_path / "flash" / "m.mpy").write_bytes(code)
    start(program).wait_for_output("takes False True", 5)


def test_mpremote_deploys_to_the_partition_and_it_stays_there(start, tmp_path):
    charger = start("", serial=True)
    source = tmp_path / "deployed"
    source.mkdir()
    (source / "app.py").write_text("print('deployed', __file__)\n" + f"DATA = {bytes(6000)!r}\n")

    def mpremote(*arguments: str) -> str:
        command = [sys.executable, "-m", "mpremote", "connect", charger.serial, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    said = mpremote("romfs", "query")
    size = f"size {PARTITION_BYTES} bytes ({PARTITION_BYTES // 4096} blocks of 4096 bytes each)"
    assert size in said and "Not a valid ROMFS" in said
    mpremote("romfs", "deploy", str(source))
    assert "deployed /rom/app.mpy" in mpremote("soft-reset", "exec", "import app")
    since = charger.mark()
    charger.do("power", off_ms=10)
    charger.wait_for(lambda push: "ready" in push, 15, since)  # what comes before is not heard
    assert "deployed /rom/app.mpy" in mpremote("exec", "import app")
    assert "ROMFS image size" in mpremote("romfs", "query")
