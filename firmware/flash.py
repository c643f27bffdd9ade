"""Files that are either the old or the new one, whole, whenever the supply goes."""

import os

from micropython import const

_DIRECTORY = const(0x4000)  # the type of an entry


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


def make_folder(folder: str) -> None:
    """A folder of files alone. What is a directory where a file belongs, or a file where the folder
    does, is put aside; an empty file in its place is damaged for whoever reads it."""
    try:
        os.mkdir(folder)
        return
    except OSError:
        pass  # there already; where it cannot be made, what is to lie in it says so
    wrong = []
    try:
        if os.stat(folder)[0] & _DIRECTORY:
            found = os.ilistdir(folder)
            wrong = [folder + "/" + entry[0] for entry in found if entry[1] == _DIRECTORY]
        else:
            wrong = [folder]
    except OSError:
        pass
    for path in wrong:
        aside = path.split("/")[-1] + ".old"
        try:
            while aside in os.listdir():  # from an earlier time
                aside += ".old"
            os.rename(path, aside)
            if path == folder:
                os.mkdir(folder)
            else:
                open(path, "wb").close()
        except OSError:
            pass  # the others can be put aside all the same
