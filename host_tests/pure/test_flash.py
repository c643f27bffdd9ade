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
