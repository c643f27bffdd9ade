"""Where what lies in an ESP32's flash: Tapgate's partition table, and the ESP-IDF's binary form.

Source of the form: ESP-IDF Programming Guide, "Partition Tables" (entries of 32 bytes that begin
with 0xAA 0x50; a row that begins with 0xEB 0xEB and ends with the MD5 of the rows before it; the
rest 0xFF).
"""

import hashlib
import struct
from typing import NamedTuple

TABLE_AT = 0x8000
TABLE_BYTES = 0xC00
BLOCK_BYTES = 4096

APP, DATA = 0, 1

_ENTRY = struct.Struct("<2sBBII16sI")
_ENTRY_BEGINS = b"\xaa\x50"
_MD5_BEGINS = b"\xeb\xeb" + b"\xff" * 14
_BLANK = b"\xff" * _ENTRY.size


class PartitionError(Exception):
    """These bytes are no partition table; the text says why."""


class Partition(NamedTuple):
    """`at` and `size` in bytes; `kind` and `subtype` are the ESP-IDF's numbers."""

    name: str
    kind: int
    subtype: int
    at: int
    size: int
    flags: int = 0


NVS = Partition("nvs", DATA, 0x02, 0x9000, 0x6000)
PHY_INIT = Partition("phy_init", DATA, 0x01, 0xF000, 0x1000)
FACTORY = Partition("factory", APP, 0x00, 0x10000, 0x1A0000)
ROMFS = Partition("romfs", DATA, 0x8F, 0x1B0000, 0x50000)  # the firmware's two slots
VFS = Partition("vfs", DATA, 0x81, 0x200000, 0x200000)  # littlefs: config, list, journal

TAPGATE = (NVS, PHY_INIT, FACTORY, ROMFS, VFS)
FLASH_BYTES = VFS.at + VFS.size


def table(partitions: tuple[Partition, ...] = TAPGATE) -> bytes:
    """The table as it lies in the flash at TABLE_AT: TABLE_BYTES long."""
    rows = b"".join(
        _ENTRY.pack(_ENTRY_BEGINS, kind, subtype, at, size, name.encode(), flags)
        for name, kind, subtype, at, size, flags in partitions
    )
    return (rows + _MD5_BEGINS + hashlib.md5(rows).digest()).ljust(TABLE_BYTES, b"\xff")


def read(data: bytes) -> tuple[Partition, ...]:
    """The partitions of a table in the flash. Raises PartitionError."""
    found = []
    for start in range(0, len(data) - _ENTRY.size + 1, _ENTRY.size):
        row = data[start : start + _ENTRY.size]
        if row[:2] == _MD5_BEGINS[:2]:
            if row[16:] != hashlib.md5(data[:start]).digest():
                raise PartitionError("the partition table is damaged: its MD5 does not fit")
            break
        if row == _BLANK:
            break
        begins, kind, subtype, at, size, name, flags = _ENTRY.unpack(row)
        if begins != _ENTRY_BEGINS:
            raise PartitionError(f"no partition table: a row begins with {begins.hex()}, not aa50")
        text = name.rstrip(b"\0").decode(errors="replace")
        found.append(Partition(text, kind, subtype, at, size, flags))
    if not found:
        raise PartitionError("no partition table: it is empty")
    return tuple(found)
