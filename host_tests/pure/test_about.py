"""What `about` at the console reads of the flash, in a memory that is in pieces by then."""

import json
import os
import sys

from host_tests.pure.place import directory


class _Asked:
    """A file that notes how much is asked of it at once."""

    def __init__(self, file, sizes):
        self._file, self._sizes = file, sizes

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._file.close()

    def read(self, size):
        self._sizes.append(size)
        return self._file.read(size)


def _about():
    had = sys.modules.get("network")
    sys.modules["network"] = sys  # only the console's answer asks it anything
    try:
        from firmware import about
    finally:
        del sys.modules["network"]
        if had is not None:
            sys.modules["network"] = had
    return about


def test_no_more_memory_is_asked_for_than_the_file_is_long():
    about = _about()
    path = directory() + "/config.json"
    with open(path, "w") as file:
        file.write(json.dumps({"charger": "left"}))
    sizes = []
    about.open = lambda name: _Asked(open(name), sizes)  # noqa: SIM115
    try:
        assert about._read(path) == {"charger": "left"}
    finally:
        del about.open
    assert sizes == [os.stat(path)[6]]
    assert about._read(path + ".none") is None
