import os

from firmware import flash
from host_tests.pure.place import directory


def test_a_file_is_replaced_by_its_parts():
    path = directory() + "file"
    flash.replace(path, b"old")
    flash.replace(path, b"ne", b"w")
    assert flash.read(path, 3) == b"new"


def test_what_is_missing_is_none_and_what_cannot_be_read_or_is_too_long_is_empty():
    path = directory() + "file"
    assert flash.read(path, 3) is None
    flash.replace(path, b"long")
    assert flash.read(path, 3) == b""
    os.remove(path)
    os.mkdir(path)
    assert flash.read(path, 1 << 30) == b""


def test_a_short_file_takes_little_memory_whatever_the_limit():
    path = directory() + "file"
    flash.replace(path, b"short")
    assert flash.read(path, 1 << 30) == b"short"


def _in(place, work):
    here = os.getcwd()
    os.chdir(place)
    try:
        work()
    finally:
        os.chdir(here)


def _directory_with(path):
    os.mkdir(path)
    os.mkdir(path + "/inside")


def _made_good():
    for folder in ("state", "list", "new"):
        flash.make_folder(folder)
    assert (sorted(os.listdir("list")), os.listdir("state")) == (["i0", "ref"], [])
    for name in ("list/i0", "list/ref"):
        assert os.stat(name)[6] == 0 and not os.stat(name)[0] & 0x4000


def _twice():
    there = ["list", "new", "state"]
    for suffix in (".old", ".old.old", ".old.old.old"):
        with open("state", "wb") as file:
            file.write(b"a file")
        os.mkdir("list")
        for name in ("i0", "ref"):
            _directory_with("list/" + name)
        _made_good()
        there += [name + suffix for name in ("i0", "ref", "state")]
        assert sorted(os.listdir()) == sorted(there)
        os.rmdir("state")
        for name in ("i0", "ref"):
            os.remove("list/" + name)
        os.rmdir("list")
    assert os.stat("ref.old.old/inside")


def test_what_is_no_folder_and_what_is_none_of_its_files_is_put_aside_however_often():
    if hasattr(os, "ilistdir"):  # only a board's own tells what is what
        _in(directory(), _twice)


class _Os:
    """The board's own, whose `rename` fails for what is at `stuck`."""

    stuck = "list/i0"

    def __getattr__(self, name):
        return getattr(os, name)

    def rename(self, old, new):
        if old == self.stuck:
            raise OSError(5, "input/output error")
        os.rename(old, new)


def _one_stuck():
    for stuck, other in (("i0", "ref"), ("ref", "i0")):
        os.mkdir(stuck)
        for name in ("i0", "ref"):
            _directory_with(stuck + "/" + name)
        flash.os.stuck = stuck + "/" + stuck
        flash.make_folder(stuck)
        assert os.stat(stuck + "/" + stuck)[0] & 0x4000
        assert os.stat(stuck + "/" + other)[6] == 0


def test_what_cannot_be_put_aside_keeps_no_other_from_it():
    if not hasattr(os, "ilistdir"):
        return
    flash.os = _Os()
    try:
        _in(directory(), _one_stuck)
    finally:
        flash.os = os
