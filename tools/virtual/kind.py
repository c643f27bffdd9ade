"""What kind of board is played: what its MicroPython says of itself, and how its flash is divided.

The partition table is Tapgate's own: that of MicroPython's ESP32_GENERIC (ports/esp32:
partitions-4MiBplus.csv, partitions-2MiB.csv) with a `romfs` partition taken from the end of the
application's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields, replace
from typing import Any

from tools.romfs import PARTITION_BYTES

BLOCK_BYTES = 4096
_APP, _DATA = 0, 1
_PHY, _NVS, _FAT, _ROMFS, _FACTORY = 0x01, 0x02, 0x81, 0x8F, 0x00
_FACTORY_AT = 0x10000
_VFS_AT, _VFS_AT_2MB = 0x200000, 0x190000
_FLASH_KB = (2048, 4096, 8192, 16384)
_ROMFS_KB = range(0, 1025, BLOCK_BYTES // 1024)


class KindError(Exception):
    """No such board; one line with what was found and what is allowed."""


@dataclass(frozen=True)
class Partition:
    type: int
    subtype: int
    address: int
    size: int
    label: str

    def facts(self) -> list:
        return [self.type, self.subtype, self.address, self.size, self.label]


@dataclass(frozen=True)
class Kind:
    machine: str = "Generic ESP32 module with ESP32"  # sys.implementation._machine
    platform: str = "esp32"
    flash_kb: int = 4096
    romfs_kb: int = PARTITION_BYTES // 1024  # 0: no such partition
    rom: bool = True  # False: a MicroPython that has no ROMFS
    version: str = ""  # of MicroPython; "": that of the interpreter
    build: str = "ESP32_GENERIC"
    mpy: int = 6 | 3 << 8 | 10 << 10  # .mpy version 6.3 for xtensawin

    @property
    def vfs_at(self) -> int:
        return _VFS_AT if self.flash_kb >= 4096 else _VFS_AT_2MB

    @property
    def vfs_bytes(self) -> int:
        """What the partition table leaves to the file system."""
        return self.flash_kb * 1024 - self.vfs_at

    def partitions(self, vfs_bytes: int) -> list[Partition]:
        """vfs_bytes: what the flash given has, and may be less than the table leaves to it."""
        if vfs_bytes > self.vfs_bytes:
            raise KindError(
                f"the flash has {vfs_bytes} bytes, and this board's file system {self.vfs_bytes}"
            )
        romfs_bytes = self.romfs_kb * 1024
        romfs_at = self.vfs_at - romfs_bytes
        table = [
            Partition(_DATA, _NVS, 0x9000, 0x6000, "nvs"),
            Partition(_DATA, _PHY, 0xF000, 0x1000, "phy_init"),
            Partition(_APP, _FACTORY, _FACTORY_AT, romfs_at - _FACTORY_AT, "factory"),
        ]
        if romfs_bytes:
            table.append(Partition(_DATA, _ROMFS, romfs_at, romfs_bytes, "romfs"))
        return [*table, Partition(_DATA, _FAT, self.vfs_at, vfs_bytes, "vfs")]

    def facts(self) -> dict[str, Any]:
        """What the board's own `sys` and `vfs` are made of."""
        return {
            "build": self.build,
            "flash_bytes": self.flash_kb * 1024,
            "machine": self.machine,
            "mpy": self.mpy,
            "platform": self.platform,
            "rom": self.rom,
            "version": self.version,
            "user_start": self.vfs_at,
        }


def kind(options: Iterable[str]) -> Kind:
    """Of KEY=VALUE each; later ones count."""
    given: dict[str, Any] = {}
    for option in options:
        key, equals, text = option.partition("=")
        if not equals or key not in _READ:
            allowed = ", ".join(f"{name}=…" for name in _READ)
            raise KindError(f"board: found {option!r}, allowed {allowed}")
        given[key] = _READ[key](key, text)
    made = replace(Kind(), **given)
    if made.flash_kb < 4096 and "romfs_kb" not in given:
        made = replace(made, romfs_kb=0)
    return made


def _text(key: str, text: str) -> str:
    if not (0 < len(text) <= 100 and text.isprintable()):
        raise KindError(f"board: {key}: found {text!r}, allowed 1 to 100 printable characters")
    return text


def _version(key: str, text: str) -> str:
    parts = text.split(".")
    if not (len(parts) == 3 and all(part.isdecimal() and len(part) < 4 for part in parts)):
        raise KindError(f"board: {key}: found {text!r}, allowed three numbers, as in 1.29.0")
    return text


def _flag(key: str, text: str) -> bool:
    if text not in ("yes", "no"):
        raise KindError(f"board: {key}: found {text!r}, allowed yes, no")
    return text == "yes"


def _one_of(allowed: Iterable[int], said: str) -> Callable[[str, str], int]:
    def read(key: str, text: str) -> int:
        if not (text.isdecimal() and text.isascii() and int(text) in allowed):
            raise KindError(f"board: {key}: found {text!r}, allowed {said}")
        return int(text)

    return read


_READ: dict[str, Callable[[str, str], Any]] = {
    "machine": _text,
    "platform": _text,
    "flash_kb": _one_of(_FLASH_KB, ", ".join(map(str, _FLASH_KB))),
    "romfs_kb": _one_of(_ROMFS_KB, f"0 to {_ROMFS_KB[-1]} in steps of {_ROMFS_KB.step}"),
    "rom": _flag,
    "version": _version,
    "build": _text,
    "mpy": _one_of(range(65_536), "0 to 65535"),
}
assert set(_READ) == {field.name for field in fields(Kind)}
