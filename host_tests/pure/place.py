"""A directory of its own for a test, under both interpreters."""

import os
from binascii import hexlify


def new() -> str:
    """The path of a new, empty directory."""
    path = (os.getenv("TMPDIR") or "/tmp") + "/tapgate-" + hexlify(os.urandom(6)).decode()
    os.mkdir(path)
    return path


def clear(path: str) -> None:
    """Remove a directory and the files in it."""
    for name in os.listdir(path):
        os.remove(path + "/" + name)
    os.rmdir(path)
