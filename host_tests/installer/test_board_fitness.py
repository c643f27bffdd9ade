"""What a board has to be, each wrong thing in its own words."""

import pytest

from tools import mpy
from tools.installer.board import Board, NeedsMicroPython, Unfit, check, room
from tools.portal.refusal import Refusal

IMAGE_BYTES = 130_000


def board(**other) -> Board:
    fit = {
        "port": "/dev/ttyUSB0",
        "platform": "esp32",
        "machine": "Generic ESP32 module with ESP32",
        "micropython": "micropython",
        "version": (1, 29, 0),
        "build": "TAPGATE_ESP32",
        "mpy": mpy.format_version() | 3 << 8,
        "id": "00",
        "heap_free": 100_000,
        "runs": False,
        "flash_bytes": 4 << 20,
        "has_rom": True,
        "romfs_bytes": 320 << 10,
        "disk": (2 << 20, 1 << 20, ["boot.py"]),
        "files": {},
        "firmware": None,
    }
    return Board(**{**fit, **other})


@pytest.mark.parametrize(
    "machine",
    ["Generic ESP32 module with ESP32", "LOLIN with ESP32-D0WDQ6", "X with ESP32-PICO-D4"],
)
def test_an_esp32_with_what_is_needed_is_taken(machine):
    check(board(machine=machine), IMAGE_BYTES)


@pytest.mark.parametrize(
    "wrong",
    [
        {"platform": "rp2", "machine": "Raspberry Pi Pico W with RP2040"},
        {"machine": "Generic ESP32S3 module with ESP32S3"},
        {"machine": "Board with ESP32-C3"},
    ],
)
def test_another_chip_is_refused_whatever_is_flashed_on_it(wrong):
    with pytest.raises(Unfit, match=r"is no ESP32 but '.* take an ESP32"):
        check(board(**wrong), IMAGE_BYTES)


def test_too_little_flash_is_another_board_and_not_another_micropython():
    with pytest.raises(Unfit, match=r"2048 KB of flash, Tapgate needs 4096: take another board"):
        check(board(flash_bytes=2 << 20, romfs_bytes=0), IMAGE_BYTES)


@pytest.mark.parametrize(
    "wrong, says",
    [
        ({"version": (1, 26, 1)}, r"has MicroPython 1\.26\.1, Tapgate needs 1\.27 or later"),
        ({"has_rom": False}, "has no ROMFS, from which the firmware runs"),
        ({"mpy": 7}, r"reads \.mpy files of version 7, this Tapgate makes version 6"),
        ({"romfs_bytes": 0}, "needs a partition 'romfs' of 256 KB for two firmwares, and has none"),
        ({"romfs_bytes": 128 << 10}, "and has one of 128 KB"),
        ({"disk": None}, "has no file system in its flash"),
    ],
)
def test_what_another_micropython_mends_says_how_to_get_it(wrong, says):
    with pytest.raises(NeedsMicroPython, match=says) as refusal:
        check(board(**wrong), IMAGE_BYTES)
    assert "tapgate flash" in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_flash_without_room_is_said_before_anything_is_written():
    with pytest.raises(Refusal, match="is full: 12 KB are free, 40 are needed; remove what"):
        room(board(disk=(2 << 20, 12 << 10, [])), 40 << 10)
