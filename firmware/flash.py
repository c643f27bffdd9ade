"""Files that are either the old or the new one, whole, whenever the supply goes."""

import os


def replace(path: str, *parts: bytes) -> None:
    """Write `parts` under a name beside `path`, then take its place in one atomic rename.

    Raises OSError (no room, read-only): `path` is then as it was. littlefs commits a rename in one
    metadata write, and a file's data before it, at `close`.
    """
    beside = path + ".new"
    with open(beside, "wb") as file:
        for part in parts:
            file.write(part)
    os.rename(beside, path)


def read(path: str, limit: int) -> bytes | None:
    """The whole file, or None where there is none, it cannot be read or is longer than `limit`."""
    try:
        size = os.stat(path)[6]
        if size > limit:
            return None
        with open(path, "rb") as file:
            return file.read(size)  # not `limit`: it takes the memory for what it is asked for
    except OSError:
        return None
