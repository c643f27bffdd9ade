"""`os` as on an ESP32: the board's own file system and nothing of the computer's."""

import sys
from collections import namedtuple

import _native_os as _native
import line as _line

chdir = _native.chdir
getcwd = _native.getcwd
listdir = _native.listdir
mkdir = _native.mkdir
mount = _native.mount
remove = _native.remove
unlink = _native.remove
rmdir = _native.rmdir
stat = _native.stat
umount = _native.umount
urandom = _native.urandom
VfsFat = _native.VfsFat
VfsLfs2 = _native.VfsLfs2

_directory_flash = True


def _absolute(path):
    if not path.startswith("/"):
        path = _native.getcwd() + "/" + path
    return path


def _on_flash(path):
    return _directory_flash and path.split("/")[1] not in ("remote", "program", "rom")


def rename(old_path, new_path):
    old_path, new_path = _absolute(old_path), _absolute(new_path)
    if _on_flash(old_path):  # VfsPosix with a root mixes the two names up
        _line.call("flash.rename", old_path, new_path)
    else:
        _native.rename(old_path, new_path)


def ilistdir(path=""):
    """With sizes, which the computer's own leaves out."""
    folder = (path or _native.getcwd()).rstrip("/") + "/"
    for entry in _native.ilistdir(path):
        if len(entry) == 3:
            size = _native.stat(folder + entry[0])[6] if entry[1] == 0x8000 else 0
            entry += (size,)
        yield entry


def statvfs(path):
    if _on_flash(_absolute(path)):
        return tuple(_line.call("flash.statvfs"))
    return _native.statvfs(path)


def sync():
    return None


def dupterm(stream_object, index=0):
    return None


_Uname = namedtuple("uname", ("sysname", "nodename", "release", "version", "machine"))


def uname():
    release = ".".join(str(part) for part in sys.implementation.version[:3])
    version = "v%s on %s" % (release, sys.version.split(" on ")[-1])
    return _Uname("esp32", "esp32", release, version, sys.implementation._machine)
