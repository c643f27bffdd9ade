"""A directory of its own for a test, under both interpreters; `make clean` removes them all."""

import os
from binascii import hexlify


def directory() -> str:
    """The path, with a slash at its end, of a new and empty directory."""
    path = ""
    for name in ("build", "pure", hexlify(os.urandom(6)).decode()):
        path += name
        try:
            os.mkdir(path)
        except OSError:
            os.stat(path)  # there already, or it cannot be made
        path += "/"
    return path
