"""The board's `romfs` partition: read-only file systems, mapped into memory, from which MicroPython
runs `.mpy` files in place. Bytecode from littlefs goes to the heap.

It has two slots, a and b, for the firmware that runs and the one before or after it. MicroPython
mounts what lies at the partition's start, slot a, at `/rom`.

The format and its mount: https://docs.micropython.org/en/latest/reference/romfs.html
"""

from mpremote.romfs import VfsRomWriter

PARTITION_BYTES = 320 * 1024
_BLOCK_BYTES = 4096


class ImageError(Exception):
    """The files do not fit; one line."""


def slot_bytes(partition_bytes: int) -> int:
    """What each of the two slots has: whole blocks, as a slot is erased without the other."""
    return partition_bytes // 2 // _BLOCK_BYTES * _BLOCK_BYTES


SLOT_BYTES = slot_bytes(PARTITION_BYTES)


def image(files: dict[str, bytes]) -> bytes:
    """The files by name as one image; the same files always give the same bytes."""
    folders: dict = {}
    for name, content in files.items():
        *parents, last = name.split("/")
        folder = folders
        for parent in parents:
            folder = folder.setdefault(parent, {})
        folder[last] = content
    writer = VfsRomWriter()
    _write(writer, folders)
    made = bytes(writer.finalise())
    if len(made) > SLOT_BYTES:
        raise ImageError(f"the firmware takes {len(made)} of a slot's {SLOT_BYTES} bytes of ROM")
    return made


def _write(writer: VfsRomWriter, folder: dict) -> None:
    for name, entry in sorted(folder.items()):
        if isinstance(entry, dict):
            writer.opendir(name)
            _write(writer, entry)
            writer.closedir()
        else:
            writer.mkfile(name, entry)
