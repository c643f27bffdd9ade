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
    """The whole file; None where there is none. What cannot be read or is longer than `limit` has
    been damaged, and is b"": it was there, and must not pass for what never was."""
    try:
        size = os.stat(path)[6]
    except OSError:
        return None
    try:
        if size <= limit:
            with open(path, "rb") as file:
                return file.read(size)  # not `limit`: it takes the memory for what it is asked for
    except OSError:
        pass
    return b""
