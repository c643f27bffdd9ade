"""Images as MicroPython's build makes them for an ESP32, put together here: boot loader, partition
table and app, each whole in itself (esptool documentation, "Firmware Image Format")."""

import functools
import hashlib
import operator
import random
import struct

from tools.installer import partitions

STOCK = (
    partitions.NVS,
    partitions.PHY_INIT,
    partitions.FACTORY._replace(size=0x1F0000),
    partitions.VFS,
)
BANNER = b"MicroPython v1.29.0 on 2026-08-20\0"
ROMFS = b"VfsRom\0rom_ioctl\0"
BOOT_LOADER_SEGMENT, APP_SEGMENT = 0x3FFF0030, 0x3F400020


def image(
    *,
    text: bytes = BANNER + ROMFS,
    app_bytes: int = 60_000,
    chip: int = 0,
    flash: int = 2,  # 4 MB
    table: bytes | None = None,
    starts_at: int = 0x1000,
    hashed: bool = True,
) -> bytes:
    """What MicroPython's `firmware.bin` is: the flash from 0x1000 on (later chips: from 0x0)."""
    filling = random.Random(1).randbytes(app_bytes)
    boot_loader = part(BOOT_LOADER_SEGMENT, b"boot loader " * 400, chip, flash, hashed)
    app = part(APP_SEGMENT, filling[:100] + text + filling[100:], chip, flash, hashed)
    table = partitions.table(STOCK) if table is None else table
    return (
        boot_loader.ljust(partitions.TABLE_AT - starts_at, b"\xff")
        + table.ljust(partitions.FACTORY.at - partitions.TABLE_AT, b"\xff")
        + app
    )


def part(address: int, content: bytes, chip: int = 0, flash: int = 2, hashed: bool = True) -> bytes:
    """A boot loader or an app: two segments, checksum, SHA-256."""
    content += b"\0" * (-len(content) % 4)
    half = len(content) // 8 * 4
    segments = (address, content[:half]), (address + 0x10000, content[half:])
    made = struct.pack("<BBBBI", 0xE9, len(segments), 2, flash << 4, 0x40080000)
    made += struct.pack("<4xHBHH4xB", chip, 0, 0, 0xFFFF, hashed)
    for start, data in segments:
        made += struct.pack("<II", start, len(data)) + data
    checksum = functools.reduce(operator.xor, content, 0xEF)
    made += b"\0" * (15 - len(made) % 16) + bytes([checksum])
    return made + (hashlib.sha256(made).digest() if hashed else b"")
