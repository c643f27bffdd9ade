"""What `mpremote mip install` puts onto a board from a checkout: all of it, and it runs."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tools import mpy, packages
from tools.virtual.client import VirtualCharger

ROOT = Path(__file__).parents[2]
MPREMOTE = Path(sys.executable).with_name("mpremote")
CARD = "04a1b2c3"
PSRAM_KB = 4_096
READ_A_CARD = """
from machine import Pin, SPI
from rc522.mifare import Mifare
chip = Mifare(SPI(2, baudrate=5_000_000), Pin(5, Pin.OUT), Pin(22, Pin.OUT))
chip.init()
print(chip.request() == chip.anticoll() == chip.select_tag() == 0, bytes(chip.uid[:4]).hex())
"""
READ_A_LONG_NUMBER = """
from machine import Pin, SPI
from rc522.mifare import Mifare
from rc522.iso14443a import NUMBER, Selection
chip = Mifare(SPI(2, baudrate=5_000_000), Pin(5, Pin.OUT), Pin(22, Pin.OUT))
chip.init()
look = Selection(chip)
print(look.look() == NUMBER, bytes(look.number).hex())
"""


def mpremote(board: VirtualCharger, *arguments: str) -> str:
    done = subprocess.run(
        [str(MPREMOTE), "connect", board.serial, *arguments],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("name", packages.texts())
def test_it_is_what_the_tree_holds(name):
    assert (ROOT / name).read_text() == packages.texts()[name], "run python -m tools.packages"


def test_every_file_of_the_firmware_is_named_with_its_place_and_is_there():
    places = dict(json.loads((ROOT / "package.json").read_text())["urls"])
    assert places.pop("../loader.py") == mpy.LOADER
    assert {place: source for place, source in places.items() if place != f"../{source}"} == {}
    named = {f"../{name}" for name in (*packages.starters(), *mpy.sources())}
    assert named == {"../loader.py", *places}
    assert all((ROOT / name).is_file() for name in places.values())


def test_the_driver_needs_nothing_but_itself():
    """No file of it names the firmware."""
    for _, name in json.loads((ROOT / "firmware/cards/package.json").read_text())["urls"]:
        text = (ROOT / "firmware/cards" / name).read_text()
        assert "from firmware" not in text and "import firmware" not in text


@pytest.fixture
def bare(tmp_path):
    with VirtualCharger.start(
        flash=tmp_path / "board.img", serial=True, heap=PSRAM_KB, until="either"
    ) as board:
        yield board


def test_the_driver_alone_reads_a_card(bare):
    said = mpremote(bare, "mip", "install", str(ROOT / "firmware/cards/package.json"))
    assert "Installing: /lib/rc522/mfrc522.py" in said
    bare.do("place", uid=CARD, kind="classic1k")
    assert mpremote(bare, "exec", READ_A_CARD).split() == ["True", CARD]
    bare.do("remove", uid=CARD)
    bare.do("place", uid="04a1b2c3d4e5f6", kind="classic1k")
    assert mpremote(bare, "exec", READ_A_LONG_NUMBER).split() == ["True", "04a1b2c3d4e5f6"]
    assert mpremote(bare, "fs", "ls", ":/").split()[2:] == ["0", "lib/"]


def test_the_firmware_runs_where_there_is_memory_for_it(bare, tmp_path):
    """On a board with PSRAM, from sources; config.json comes by hand."""
    mpremote(bare, "mip", "install", str(ROOT / "package.json"))
    config = {
        "installation": "home", "charger": "garage", "charger_key": "11" * 32,
        "card_key": "22" * 32, "wifi": {"ssid": "home"}, "broker": {"host": "127.0.0.1"},
    }  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(config))
    mpremote(bare, "fs", "cp", str(tmp_path / "config.json"), ":config.json")
    since = bare.mark()
    mpremote(bare, "reset")
    bare.wait_for(lambda push: "ready" in push, 30, since)
    assert bare.do("status")["contactor"] is False
