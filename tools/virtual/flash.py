"""What the board keeps: its flash chip, with what lies in the partitions, and its key-value store.

The file system is a directory, or a littlefs image block by block; the ROM partition always is
blocks. Blocks have 4,096 bytes: erased they read FF, programming only clears bits. Every read,
program and erase goes through here and is counted, so that the supply can be cut at any of them.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path, PurePosixPath

from littlefs import LittleFS
from littlefs.errors import LittleFSError

from tools.romfs import slot_bytes
from tools.virtual.board import wire
from tools.virtual.kind import BLOCK_BYTES, Kind, Partition

BLOCKS = 512
SLOTS = ("a", "b")
FAULTS = ("none", "readonly", "bad_block")
_READ_BYTES = _PROGRAM_BYTES = 32  # as MicroPython mounts it
_LOOKAHEAD_BYTES = 32


class FlashError(Exception):
    """The flash given cannot be used; the text says why, in one line."""


class _Locked:
    """One simulator per flash: whoever comes second is told so."""

    def __init__(self, path: Path):
        self.path = path
        self._lock = os.open(path, os.O_RDONLY)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise FlashError(f"{path} is in use by another simulator") from None

    def close(self) -> None:
        os.close(self._lock)


class Blocks:
    """A file that is blocks of a flash chip. `before_write(part)` is called for each program or
    erase before it happens; it returns how many bytes of it still reach the flash, None for all."""

    def __init__(self, file: int, blocks: int):
        self._file = file
        self.blocks = blocks
        self.reads = self.programs = self.erases = 0
        self.before_write: Callable[[int], int | None] = lambda size: None

    def block_read(self, block: int, offset: int, count: int) -> bytes:
        self.reads += 1
        return os.pread(self._file, count, block * BLOCK_BYTES + offset)

    def block_program(self, block: int, offset: int, data: bytes) -> None:
        reaching = self.before_write(len(data))
        self.programs += 1
        at = block * BLOCK_BYTES + offset
        there = os.pread(self._file, len(data), at)
        merged = int.from_bytes(there, "big") & int.from_bytes(data, "big")
        os.pwrite(self._file, merged.to_bytes(len(data), "big")[:reaching], at)

    def block_erase(self, block: int) -> None:
        reaching = self.before_write(BLOCK_BYTES)
        self.erases += 1
        os.pwrite(self._file, (b"\xff" * BLOCK_BYTES)[:reaching], block * BLOCK_BYTES)


class DirectoryFlash(_Locked):
    blocks = BLOCKS

    def __init__(self, path: Path):
        path.mkdir(parents=True, exist_ok=True)
        super().__init__(path)
        if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
            self.close()
            raise FlashError(f"{path} cannot be written to")

    def facts(self) -> dict:
        return {"kind": "directory", "root": str(self.path.resolve())}

    def install(self, files: dict[str, bytes]) -> None:
        """Put files there, touching only what differs."""
        for name, content in files.items():
            target = self.path / name
            if target.is_file() and target.read_bytes() == content:
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)

    def read(self, name: str) -> bytes | None:
        target = self.path / name
        return target.read_bytes() if target.is_file() else None

    def files(self, folder: str) -> dict[str, bytes]:
        """Everything below a folder, by the name it has on the board."""
        found = (path for path in sorted((self.path / folder).rglob("*")) if path.is_file())
        return {path.relative_to(self.path).as_posix(): path.read_bytes() for path in found}

    def remove(self, folder: str) -> None:
        """Take a folder away, with all that is in it, if there is one."""
        if (self.path / folder).is_dir():
            shutil.rmtree(self.path / folder)

    def rename(self, old: str, new: str) -> None:
        os.replace(self._inside(old), self._inside(new))

    def statvfs(self) -> list[int]:
        """As littlefs would count it: whole blocks, and two for each directory."""
        used = 2
        for folder, folders, names in os.walk(self.path):
            used += 2 * len(folders)
            for name in names:
                try:
                    used += -(-os.path.getsize(os.path.join(folder, name)) // BLOCK_BYTES)
                except OSError:  # gone since it was listed
                    continue
        free = max(0, BLOCKS - used)
        return [BLOCK_BYTES, BLOCK_BYTES, BLOCKS, free, free, 0, 0, 0, 0, 255]

    def _inside(self, name: str) -> Path:
        """A path on the board, however many dots it has, inside the directory."""
        parts: list[str] = []
        for part in PurePosixPath(name).parts[1:]:
            if part == "..":
                del parts[-1:]
            else:
                parts.append(part)
        return self.path.joinpath(*parts)


class ImageFlash(_Locked, Blocks):
    def __init__(self, path: Path, blocks: int = BLOCKS):
        """blocks: of the image that is made where there is none."""
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(_formatted(blocks))
        super().__init__(path)
        size = path.stat().st_size
        if size == 0 or size % BLOCK_BYTES:
            self.close()
            raise FlashError(
                f"{path}: {size} bytes is no whole number of {BLOCK_BYTES}-byte blocks"
            )
        Blocks.__init__(self, os.open(path, os.O_RDWR), size // BLOCK_BYTES)

    def close(self) -> None:
        if hasattr(self, "_file"):
            os.close(self._file)
        super().close()

    def facts(self) -> dict:
        return {"kind": "image", "blocks": self.blocks}

    def install(self, files: dict[str, bytes]) -> None:
        with _mounted(self.path, self.blocks) as fs:
            for name, content in files.items():
                if _content(fs, name) == content:
                    continue
                parent = str(PurePosixPath(name).parent)
                try:
                    if parent != ".":
                        fs.makedirs(parent, exist_ok=True)
                    with fs.open(name, "wb") as target:
                        target.write(content)
                except LittleFSError as error:
                    raise FlashError(f"{self.path}: no room for {name} ({error})") from error

    def read(self, name: str) -> bytes | None:
        with _mounted(self.path, self.blocks) as fs:
            return _content(fs, name)

    def files(self, folder: str) -> dict[str, bytes]:
        with _mounted(self.path, self.blocks) as fs:
            names = [f"{at}/{name}" for at, _, names in _walk(fs, folder) for name in names]
            return {name: _content(fs, name) or b"" for name in names}

    def remove(self, folder: str) -> None:
        with _mounted(self.path, self.blocks) as fs:
            for at, _, names in list(_walk(fs, folder))[::-1]:
                for name in names:
                    fs.remove(f"{at}/{name}")
                fs.rmdir(at)


Flash = DirectoryFlash | ImageFlash


def open_flash(path: Path, blocks: int = BLOCKS) -> Flash:
    try:
        if path.is_file() or (path.suffix == ".img" and not path.is_dir()):
            return ImageFlash(path, blocks)
        return DirectoryFlash(path)
    except OSError as error:
        raise FlashError(f"{path}: {error.strerror or error}") from error


def _file_system(blocks: int, mount: bool = False) -> LittleFS:
    return LittleFS(
        block_size=BLOCK_BYTES,
        block_count=blocks,
        read_size=_READ_BYTES,
        prog_size=_PROGRAM_BYTES,
        cache_size=4 * _PROGRAM_BYTES,
        lookahead_size=_LOOKAHEAD_BYTES,
        block_cycles=100,
        mount=mount,
    )


def _formatted(blocks: int) -> bytes:
    fs = _file_system(blocks)
    fs.format()
    return bytes(fs.context.buffer)


class _mounted:
    """The image as littlefs, written back if it changed; a chip that was never formatted is."""

    def __init__(self, path: Path, blocks: int):
        self._path, self._blocks = path, blocks

    def __enter__(self) -> LittleFS:
        self._before = self._path.read_bytes()
        self._fs = _file_system(self._blocks)
        self._fs.context.buffer[:] = self._before
        try:
            self._fs.mount()
        except Exception as error:
            if self._before.strip(b"\xff"):
                raise FlashError(f"{self._path}: no littlefs in it ({error})") from error
            self._fs.format()
            self._fs.mount()
        return self._fs

    def __exit__(self, *failure: object) -> None:
        self._fs.unmount()
        after = bytes(self._fs.context.buffer)
        if after != self._before and failure[0] is None:
            with self._path.open("r+b") as image:
                image.write(after)


def _content(fs: LittleFS, name: str) -> bytes | None:
    try:
        with fs.open(name, "rb") as source:
            return bytes(source.read())
    except FileNotFoundError:
        return None


def _walk(fs: LittleFS, folder: str):
    """As os.walk, the outer folders first; nothing if there is no such folder at the top."""
    return fs.walk(folder) if folder in fs.listdir(".") else iter(())


class Rom(Blocks):
    """The ROM partition, whole, in a file beside the flash. The board has it mapped into its
    memory: it is written in place, and never replaced by another file."""

    def __init__(self, path: Path, size: int):
        self.path = path
        self.slot_bytes = slot_bytes(size)
        try:
            file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise FlashError(f"{path}: {error.strerror or error}") from error
        super().__init__(file, size // BLOCK_BYTES)
        there = os.fstat(file).st_size
        if there < size:
            os.pwrite(file, b"\xff" * (size - there), there)
        elif os.pread(file, there - size, size).strip(b"\xff"):
            os.close(file)
            raise FlashError(f"{path}: {there} bytes, and the board's romfs partition has {size}")
        else:
            os.ftruncate(file, size)

    def close(self) -> None:
        os.close(self._file)

    def slot(self, name: str) -> bytes:
        return os.pread(self._file, self.slot_bytes, SLOTS.index(name) * self.slot_bytes)

    def install(self, image: bytes, slot: str = "a") -> None:
        """Put it there, erasing the rest of the slot, unless it is there already."""
        content = image.ljust(self.slot_bytes, b"\xff")
        if self.slot(slot) != content:
            os.pwrite(self._file, content, SLOTS.index(slot) * self.slot_bytes)


class ChipError(Exception):
    """The chip does not do it; `outcome` is wire's word for why."""

    def __init__(self, outcome: int):
        super().__init__(outcome)
        self.outcome = outcome


class Chip:
    """The whole flash chip: blocks counted from its beginning, each in its partition. Where a
    partition is nothing but a name (the MicroPython itself, say), FF is read and nothing taken.

    `before_write(label, size)` is what a partition's own is, for all of them."""

    def __init__(self, kind: Kind, flash: Flash, rom: Rom | None, nvs: Nvs | None = None):
        self.kind = kind
        self.partitions = kind.partitions(flash.blocks * BLOCK_BYTES)
        self.rom = rom
        self.fault = "none"
        self.bad: tuple[str, int] = ("vfs", 0)  # the block that is bad, of which partition
        self.before_write: Callable[[str, int], int | None] = lambda label, size: None
        self._blocks: dict[str, Blocks | Nvs] = {}
        if isinstance(flash, ImageFlash):
            self._blocks["vfs"] = flash
        if rom:
            self._blocks["romfs"] = rom
        if nvs:
            self._blocks["nvs"] = nvs
        for label, blocks in self._blocks.items():
            blocks.before_write = partial(self._before_write, label)

    def has_blocks(self, label: str) -> bool:
        return label in self._blocks

    def read(self, block: int, offset: int, count: int) -> bytes:
        partition, blocks = self._at(block)
        if not blocks:
            return b"\xff" * count
        return blocks.block_read(block - partition.address // BLOCK_BYTES, offset, count)

    def program(self, block: int, offset: int, data: bytes) -> None:
        blocks, number = self._written(block)
        blocks.block_program(number, offset, data)

    def erase(self, block: int) -> None:
        blocks, number = self._written(block)
        blocks.block_erase(number)

    def _written(self, block: int) -> tuple[Blocks | Nvs, int]:
        partition, blocks = self._at(block)
        if not blocks or self.fault == "readonly":
            raise ChipError(wire.BLOCK_PROTECTED)
        number = block - partition.address // BLOCK_BYTES
        if self.fault == "bad_block" and self.bad == (partition.label, number):
            raise ChipError(wire.BLOCK_FAILED)
        return blocks, number

    def _at(self, block: int) -> tuple[Partition, Blocks | Nvs | None]:
        at = block * BLOCK_BYTES
        for partition in self.partitions:
            if partition.address <= at < partition.address + partition.size:
                return partition, self._blocks.get(partition.label)
        return self.partitions[0], None

    def _before_write(self, label: str, size: int) -> int | None:
        return self.before_write(label, size)


class Nvs:
    """The key-value partition, in a file beside the flash; what was not committed is lost."""

    def __init__(self, path: Path | None):
        self._path = path
        self._kept: dict[str, dict[str, int | str]] = {}
        if path and path.exists():
            try:
                self._kept = json.loads(path.read_text())
            except ValueError as error:
                raise FlashError(f"{path}: {error}") from error
        self._values = json.loads(json.dumps(self._kept))
        self.before_write: Callable[[int], int | None] = lambda size: None

    # As blocks: all of it lies in the first, and a program of the board's can only erase it.

    def block_read(self, block: int, offset: int, count: int) -> bytes:
        text = json.dumps(self._kept).encode() if self._kept and not block else b""
        return text[offset : offset + count].ljust(count, b"\xff")

    def block_program(self, block: int, offset: int, data: bytes) -> None:
        raise ChipError(wire.BLOCK_PROTECTED)

    def block_erase(self, block: int) -> None:
        """What was read from it before stays known until the next start."""
        if self.before_write(BLOCK_BYTES) != 0 and not block:
            self._kept = {}
            self._store()

    def reset(self) -> None:
        self._values = json.loads(json.dumps(self._kept))

    def get(self, space: str, key: str, kind: str) -> int | str:
        value = self._values.get(space, {}).get(key)
        if value is None or isinstance(value, int) != (kind == "i32"):
            raise KeyError(key)
        return value

    def set(self, space: str, key: str, value: int | str) -> None:
        self._values.setdefault(space, {})[key] = value

    def erase(self, space: str, key: str) -> None:
        del self._values[space][key]

    def commit(self, space: str) -> None:
        self._kept[space] = dict(self._values.get(space, {}))
        self._store()

    def _store(self) -> None:
        if self._path:
            fresh = self._path.with_suffix(".new")
            fresh.write_text(json.dumps(self._kept))
            os.replace(fresh, self._path)
