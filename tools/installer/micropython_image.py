"""A MicroPython image for the ESP32, looked through before anything is written.

An image is what MicroPython's build leaves as `firmware.bin` and what its downloads are: boot
loader, partition table and app in one file, as they lie in the flash from 0x1000 on; one that
begins at 0x0 is taken too. Tapgate runs from ROMFS, so an image without it is of no use.

Sources: Espressif, esptool documentation, "Firmware Image Format"; MicroPython, py/mpconfig.h
(MICROPY_VFS_ROM, MICROPY_VFS_ROM_IOCTL) and its documentation, "Working with ROMFS".
"""

import functools
import hashlib
import operator
import re
import struct
from pathlib import Path
from typing import NamedTuple

from tools.installer import partitions
from tools.portal.refusal import Refusal

LEAST_VERSION = (1, 27)
WHERE_FROM = "docs/micropython.md says how such an image is made"

BOOT_LOADER_AT = 0x1000

_MAGIC = 0xE9
_HEADER = struct.Struct("<BBBBI")  # magic, segments, SPI mode, flash size and clock, entry
_EXTENDED = struct.Struct("<4xHBHH4xB")  # chip, least revision (three ways), SHA-256 follows
_SEGMENT = struct.Struct("<II")
_CHECKSUM_SEED = 0xEF
_ESP32 = 0
_FLASH_MB = (1, 2, 4, 8, 16, 32, 64, 128)
_MOST_BYTES = 16 << 20

# Names that MicroPython's C sources have only where the feature is built in. A name (qstr) lies in
# the app as a text of its own, ended by a zero byte.
_ROMFS_NAMES = (b"VfsRom\0", b"rom_ioctl\0")
_BANNER = re.compile(rb"MicroPython (\S{1,60}) on (\d{4}-\d\d-\d\d)")
_VERSION = re.compile(r"v?(\d+)\.(\d+)(?:\.(\d+))?(-preview)?")


class Image(NamedTuple):
    """What goes into the flash, and what was found in it."""

    file: Path
    boot_loader: bytes
    app: bytes
    version: str  # as MicroPython itself says it: "v1.29.0"
    built: str  # ISO date
    flash_mb: int  # what the boot loader takes the flash for

    @property
    def pieces(self) -> tuple[tuple[str, int, bytes], ...]:
        """What, where, bytes: the image's own with Tapgate's partition table. Nothing of it
        touches `nvs`, the slots or the file system."""
        return (
            ("boot loader", BOOT_LOADER_AT, self.boot_loader),
            ("partition table", partitions.TABLE_AT, partitions.table()),
            ("MicroPython", partitions.FACTORY.at, self.app),
        )


class _Part(NamedTuple):
    bytes: bytes
    chip: int
    flash_mb: int


class _Malformed(Exception):
    pass


def read(file: Path) -> Image:
    """Refuses whatever would not become a charger, with one line that says why."""
    try:
        with file.open("rb") as opened:
            data = opened.read(_MOST_BYTES + 1)
    except OSError as why:
        raise Refusal(f"{file}: {why.strerror or why}") from None
    if len(data) > _MOST_BYTES:
        raise Refusal(f"{file} is larger than any ESP32's flash: it is no MicroPython image")
    return _checked(file, data)


def _checked(file: Path, data: bytes) -> Image:
    start = _start(data)
    if start is None:
        raise Refusal(
            f"{file} is no image for an ESP32: it begins with {data[:4].hex() or 'nothing'}, "
            f"an image with e9; {WHERE_FROM}"
        )
    try:
        boot_loader = _part(data, start, "the boot loader")
    except _Malformed as why:
        raise Refusal(f"{file} is damaged or not whole: {why}; fetch or build it again") from None
    if boot_loader.chip != _ESP32:
        raise Refusal(
            f"{file} is for the {_chip_name(boot_loader.chip)}; Tapgate's board has an ESP32"
        )

    def at(address: int) -> int:
        return address - BOOT_LOADER_AT + start

    table = data[at(partitions.TABLE_AT) :][: partitions.TABLE_BYTES]
    try:
        own = partitions.read(table)
    except partitions.PartitionError:
        if _BANNER.search(boot_loader.bytes):
            raise Refusal(
                f"{file} is MicroPython's app alone, without boot loader: take the file "
                "firmware.bin that lies beside it"
            ) from None
        raise Refusal(
            f"{file} has no partition table at {partitions.TABLE_AT:#x}: it is no whole "
            f"MicroPython image; {WHERE_FROM}"
        ) from None
    first = next((each for each in own if each.kind == partitions.APP), None)
    if first is None:
        raise Refusal(f"{file} has no app in its partition table; {WHERE_FROM}")
    try:
        app = _part(data, at(first.at), "the app")
    except _Malformed as why:
        raise Refusal(f"{file} is damaged or not whole: {why}; fetch or build it again") from None
    version, built = _micropython(file, app.bytes)
    _fits(file, boot_loader, app)
    return Image(file, boot_loader.bytes, app.bytes, version, built, boot_loader.flash_mb)


def _start(data: bytes) -> int | None:
    """Where in the file the boot loader lies: at its beginning, or at 0x1000 behind 0xFF."""
    if data[:1] == bytes([_MAGIC]):
        return 0
    if data[BOOT_LOADER_AT : BOOT_LOADER_AT + 1] == bytes([_MAGIC]) and not data[
        :BOOT_LOADER_AT
    ].strip(b"\xff"):
        return BOOT_LOADER_AT
    return None


def _part(data: bytes, start: int, what: str) -> _Part:
    """Boot loader or app: header, segments, checksum, SHA-256. Raises _Malformed."""
    at = start + _HEADER.size + _EXTENDED.size
    if len(data) < at:
        raise _Malformed(f"it ends before {what}")
    magic, segments, _, size_and_clock, _ = _HEADER.unpack_from(data, start)
    chip, _, _, _, has_hash = _EXTENDED.unpack_from(data, start + _HEADER.size)
    if magic != _MAGIC:
        raise _Malformed(f"{what} begins with {magic:02x}, not e9")
    checksum = _CHECKSUM_SEED
    for _ in range(segments):
        if len(data) < at + _SEGMENT.size:
            raise _Malformed(f"it ends inside {what}")
        _, length = _SEGMENT.unpack_from(data, at)
        at += _SEGMENT.size
        if length > len(data) - at:
            raise _Malformed(f"it ends inside {what}")
        checksum = functools.reduce(operator.xor, data[at : at + length], checksum)
        at += length
    # The checksum is the last byte of a row of 16.
    at += 15 - (at - start) % 16
    if len(data) <= at:
        raise _Malformed(f"it ends inside {what}")
    if data[at] != checksum:
        raise _Malformed(f"{what} has the checksum {checksum:02x}, it says {data[at]:02x}")
    at += 1
    if has_hash:
        expected, found = data[at : at + 32], hashlib.sha256(data[start:at]).digest()
        if expected != found:
            raise _Malformed(
                f"{what} has the SHA-256 {found.hex()[:8]}…, it says "
                f"{expected.hex()[:8] or 'nothing'}…"
            )
        at += 32
    size = size_and_clock >> 4
    return _Part(data[start:at], chip, _FLASH_MB[size] if size < len(_FLASH_MB) else 0)


def _micropython(file: Path, app: bytes) -> tuple[str, str]:
    """Its version and date, or a refusal."""
    banner = _BANNER.search(app)
    if banner is None:
        raise Refusal(f"{file} is a program for the ESP32, but not MicroPython; {WHERE_FROM}")
    version, built = (each.decode(errors="replace") for each in banner.groups())
    least = "{}.{}".format(*LEAST_VERSION)
    known = _VERSION.match(version)
    if known is None:
        raise Refusal(
            f"{file} is a MicroPython that does not know its version ({version}): build it from a "
            f"release's tag, v{least} or later"
        )
    numbers = int(known[1]), int(known[2])
    too_early = numbers == LEAST_VERSION and known[3] in (None, "0") and known[4]
    if numbers < LEAST_VERSION or too_early:
        raise Refusal(f"{file} is MicroPython {version}; Tapgate needs {least} or later")
    missing = [name[:-1].decode() for name in _ROMFS_NAMES if name not in app]
    if missing:
        raise Refusal(
            f"{file} is MicroPython {version} without ROMFS (no {' and no '.join(missing)}), which "
            "Tapgate runs from, and as micropython.org offers it: take a MicroPython for the ESP32 "
            f"built with MICROPY_VFS_ROM=1; {WHERE_FROM}"
        )
    return version, built


def _fits(file: Path, boot_loader: _Part, app: _Part) -> None:
    room = partitions.TABLE_AT - BOOT_LOADER_AT
    if len(boot_loader.bytes) > room:
        raise Refusal(f"{file}: its boot loader has {len(boot_loader.bytes)} bytes, {room} fit")
    if len(app.bytes) > partitions.FACTORY.size:
        raise Refusal(
            f"{file}: its app has {len(app.bytes)} bytes, and {partitions.FACTORY.size} fit beside "
            f"Tapgate's two slots: build it without Bluetooth; {WHERE_FROM}"
        )
    if boot_loader.flash_mb << 20 < partitions.FLASH_BYTES:
        raise Refusal(
            f"{file} is built for {boot_loader.flash_mb} MB of flash, Tapgate needs "
            f"{partitions.FLASH_BYTES >> 20} MB: take one built for that; {WHERE_FROM}"
        )


def _chip_name(number: int) -> str:
    from esptool.targets import ROM_LIST

    names = {each.IMAGE_CHIP_ID: each.CHIP_NAME for each in ROM_LIST}
    return names.get(number, f"chip number {number}")
