"""What is found on a board, and whether Tapgate can run on it.

One question over the cable; everything else is judged here, each wrong thing in its own words.
"""

import ast
import json
import re
from dataclasses import dataclass
from typing import Any

from tools import mpy
from tools.installer.link import Link
from tools.installer.micropython_image import LEAST_VERSION
from tools.installer.partitions import BLOCK_BYTES, FLASH_BYTES
from tools.portal.refusal import Refusal

FLASHING = "give it one with 'tapgate flash' or provision's --firmware FILE (docs/micropython.md)"

_QUESTION = """
def _t_found():
    import gc, os, sys
    gc.collect()
    made = sys.implementation
    found = {
        "platform": sys.platform, "name": made.name, "version": tuple(made.version)[:3],
        "machine": getattr(made, "_machine", ""), "build": getattr(made, "_build", ""),
        "mpy": getattr(made, "_mpy", 0), "heap": gc.mem_free(), "app": "firmware" in sys.modules,
    }
    try:
        import esp
        found["flash"] = esp.flash_size()
    except (ImportError, AttributeError):
        found["flash"] = 0
    try:
        import vfs
        vfs.VfsRom, vfs.rom_ioctl
        found["rom"] = True
    except (ImportError, AttributeError):
        found["rom"] = False
    found["romfs"] = 0
    try:
        import esp32
        parts = esp32.Partition.find(esp32.Partition.TYPE_DATA, label="romfs")
        if parts:
            found["romfs"] = parts[0].info()[3]
    except (ImportError, AttributeError, OSError):
        pass
    try:
        import machine
        found["id"] = machine.unique_id()
    except (ImportError, AttributeError):
        found["id"] = b""
    try:
        about = os.statvfs("/")
        found["disk"] = about[0] * about[2], about[0] * about[3], os.listdir("/")
    except (OSError, AttributeError):
        found["disk"] = None
    return found
print(repr(_t_found()))
"""
_FIRMWARE_MOST = 4_096  # characters of a firmware.json that is looked at
# Their flash, pins and radio are others. Source: Espressif's names of its chips.
_OTHER_CHIPS = re.compile(r"ESP32[- ]?(?:S[23]|C\d|H\d|P4)", re.IGNORECASE)


class Unfit(Refusal):
    """Not this board."""


class NeedsMicroPython(Refusal):
    """This board, but another MicroPython on it."""


@dataclass
class Board:
    """`files`: SHA-256 by name, None where there is none. `firmware`: firmware.json's content if it
    has any. `disk`: bytes in all and free, and the names in the root; None: no file system."""

    port: str
    platform: str
    machine: str
    micropython: str
    version: tuple[int, ...]
    build: str
    mpy: int
    id: str
    heap_free: int
    runs: bool  # parts of the firmware are in its memory
    flash_bytes: int
    has_rom: bool
    romfs_bytes: int
    disk: tuple[int, int, list[str]] | None
    files: dict[str, str | None]
    firmware: dict[str, Any] | None

    @property
    def slot_bytes(self) -> int:
        return (self.romfs_bytes // 2) & ~(BLOCK_BYTES - 1)

    @property
    def chip(self) -> str:
        """As MicroPython names it: "BOARD with CHIP"."""
        return self.machine.rpartition(" with ")[2] or self.platform

    @property
    def shown_version(self) -> str:
        return ".".join(map(str, self.version))

    def shown(self) -> dict[str, Any]:
        """For people and for --json."""
        return {
            "chip": self.chip,
            "flash_kb": self.flash_bytes // 1024,
            "micropython": self.shown_version,
            "build": self.build,
            "id": self.id,
            "romfs_kb": self.romfs_bytes // 1024,
            "free_kb": None if self.disk is None else self.disk[1] // 1024,
        }


def look(link: Link) -> Board:
    """Ask the board. Refusal if it is not one that could answer."""
    found = ast.literal_eval(link.run(_QUESTION))
    files: dict[str, str | None] = {}
    firmware = None
    if found["disk"]:
        names = found["disk"][2]
        files = {name: link.sha256(f"/{name}") for name in _files() if name in names}
        if files.get("firmware.json"):
            firmware = _firmware(link.read("/firmware.json"))
    return Board(
        port=link.port,
        platform=found["platform"],
        machine=found["machine"],
        micropython=found["name"],
        version=tuple(found["version"]),
        build=found["build"],
        mpy=found["mpy"],
        id=found["id"].hex(),
        heap_free=found["heap"],
        runs=found["app"],
        flash_bytes=found["flash"],
        has_rom=found["rom"],
        romfs_bytes=found["romfs"],
        disk=found["disk"],
        files={name: files.get(name) for name in _files()},
        firmware=firmware,
    )


def check(board: Board, image_bytes: int) -> None:
    """Unfit or NeedsMicroPython, if Tapgate cannot run there."""
    here = f"the board at {board.port}"
    if board.platform != "esp32" or _OTHER_CHIPS.search(board.chip):
        raise Unfit(
            f"{here} is no ESP32 but '{board.machine or board.platform}': its pins are others; "
            "take an ESP32 (docs/installation.md, Parts)"
        )
    if board.flash_bytes < FLASH_BYTES:
        raise Unfit(
            f"{here} has {board.flash_bytes >> 10} KB of flash, Tapgate needs "
            f"{FLASH_BYTES >> 10}: take another board"
        )
    if board.version < LEAST_VERSION:
        least = ".".join(map(str, LEAST_VERSION))
        raise NeedsMicroPython(
            f"{here} has MicroPython {board.shown_version}, Tapgate needs {least} or later; "
            + FLASHING
        )
    if not board.has_rom:
        raise NeedsMicroPython(
            f"the MicroPython of {here} has no ROMFS, from which the firmware runs; {FLASHING}"
        )
    if board.mpy & 0xFF != mpy.format_version():
        raise NeedsMicroPython(
            f"the MicroPython of {here} reads .mpy files of version {board.mpy & 0xFF}, this "
            f"Tapgate makes version {mpy.format_version()}; {FLASHING}"
        )
    if board.slot_bytes < image_bytes:
        found = f"one of {board.romfs_bytes >> 10} KB" if board.romfs_bytes else "none"
        raise NeedsMicroPython(
            f"{here} needs a partition 'romfs' of {2 * _blocks(image_bytes) * 4} KB for two "
            f"firmwares, and has {found}; {FLASHING}, which brings the right partition table"
        )
    if board.disk is None:
        raise NeedsMicroPython(
            f"{here} has no file system in its flash; 'tapgate flash --erase --firmware FILE' "
            "makes one"
        )


def room(board: Board, needed_bytes: int) -> None:
    """Refusal if the flash is too full for what is to be written."""
    assert board.disk
    if board.disk[1] < needed_bytes:
        raise full(board.port, board.disk[1], needed_bytes)


def full(port: str, free: int | None, needed: int | None = None) -> Refusal:
    left = "" if free is None else f": {free >> 10} KB are free"
    wants = "" if needed is None else f", {-(-needed >> 10)} are needed"
    return Refusal(
        f"the flash of the board at {port} is full{left}{wants}; remove what does not belong "
        f"there ('mpremote connect {port} fs ls') and run this again"
    )


def _files() -> tuple[str, ...]:
    """Those that an installer puts into the flash."""
    return (*mpy.starters(), "config.json", "firmware.json")


def _blocks(size: int) -> int:
    return -(-size // BLOCK_BYTES)


def _firmware(text: bytes | None) -> dict[str, Any] | None:
    try:
        found = json.loads((text or b"")[:_FIRMWARE_MOST])
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
