"""The board's `romfs` partition: a read-only file system, mapped into memory, that MicroPython
mounts at `/rom` and runs `.mpy` files from in place. Bytecode from littlefs goes to the heap.

The format and its mount: https://docs.micropython.org/en/latest/reference/romfs.html
"""

from mpremote.romfs import VfsRomWriter

PARTITION_BYTES = 128 * 1024  # as in MicroPython's ports/esp32/partitions-4MiB-romfs.csv


class ImageError(Exception):
    """The files do not fit; one line."""


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
    if len(made) > PARTITION_BYTES:
        raise ImageError(f"the firmware takes {len(made)} of {PARTITION_BYTES} bytes of ROM")
    return made


def _write(writer: VfsRomWriter, folder: dict) -> None:
    for name, entry in sorted(folder.items()):
        if isinstance(entry, dict):
            writer.opendir(name)
            _write(writer, entry)
            writer.closedir()
        else:
            writer.mkfile(name, entry)
