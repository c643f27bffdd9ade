"""Files in memory whose supply can be cut at any operation, for the allow-list's tests.

As on littlefs, what is written counts when the file is flushed or closed, and then at once and
whole. With `torn`, as on a plain file system, half of what a write brings is there when the supply
goes in the middle of it.
"""


class PowerCut(Exception):
    """The supply is gone: nothing after this reaches the flash."""


class Flash:
    """What survives a power cut: `contents`, path -> [bytes]."""

    def __init__(self, torn: bool = False, capacity: int = 1 << 21):
        self.torn = torn
        self.capacity = capacity
        self.contents = {}

    def used(self) -> int:
        return sum(len(content[0]) for content in self.contents.values())

    def data(self, path: str) -> bytes:
        return self.contents[path][0]

    def flip(self, path: str, byte: int, bit: int = 0) -> None:
        """Damage one bit."""
        data = bytearray(self.contents[path][0])
        data[byte] ^= 1 << bit
        self.contents[path][0] = bytes(data)


class Files:
    """The seam of firmware/files.py on a `Flash`. Each change is one operation; number
    `cut_at`, counted from 0, is cut. `opened` and `reads` count what they say. The file at the path
    `broken` cannot be opened but anew.
    """

    def __init__(self, flash: Flash, cut_at: int | None = None):
        self.flash = flash
        self.operations = 0
        self.cut_at = cut_at
        self.dead = False
        self.broken = ""
        self.opened = 0
        self.reads = 0

    def changes(self) -> None:
        """One more operation that changes the flash, unless the supply goes before it."""
        if self.operations == self.cut_at:
            self.dead = True
        if self.dead:
            raise PowerCut
        self.operations += 1

    def open(self, path, mode):
        self.opened += 1
        if path == self.broken and mode[0] == "r":
            raise OSError(5, "input/output error")
        return _File(self, path, mode)

    def rename(self, old, new):
        self.changes()
        self.flash.contents[new] = self.flash.contents.pop(old)

    def remove(self, path):
        self.changes()
        if path not in self.flash.contents:
            raise OSError(2, "no such file")
        del self.flash.contents[path]

    def make(self, path):
        pass

    def names(self, path):
        return [
            name[len(path) + 1 :] for name in self.flash.contents if name.startswith(path + "/")
        ]

    def size(self, path):
        if path not in self.flash.contents:
            raise OSError(2, "no such file")
        return len(self.flash.contents[path][0])

    def free(self, path):
        return self.flash.capacity - self.flash.used()


class _File:
    def __init__(self, files, path, mode):
        contents = files.flash.contents
        if path not in contents:
            if mode[0] == "r":
                raise OSError(2, "no such file")
            files.changes()
            contents[path] = [b""]
        self._files = files
        self._content = contents[path]
        self._data = bytearray(b"" if mode[0] == "w" else self._content[0])
        self._dirty = mode[0] == "w"
        self._at = 0
        self._writable = mode != "rb"
        if mode[0] == "w" and files.flash.torn:
            files.changes()
            self._content[0] = b""

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        self.close()

    def seek(self, at):
        self._at = at

    def read(self, size):
        data = bytes(self._read(size))
        self._at += len(data)
        return data

    def readinto(self, view):
        data = self._read(len(view))
        for i in range(len(data)):
            view[i] = data[i]
        self._at += len(data)
        return len(data)

    def write(self, data):
        flash = self._files.flash
        if not self._writable:
            raise OSError(9, "bad file descriptor")
        try:
            self._files.changes()
        except PowerCut:
            if flash.torn:
                self._put(bytes(data[: len(data) // 2]))
            raise
        grows = self._at + len(data) - len(self._data)
        if grows > 0 and flash.used() + grows > flash.capacity:
            raise OSError(28, "no room")
        self._put(bytes(data))
        self._at += len(data)

    def flush(self):
        if self._dirty:
            self._files.changes()
            self._content[0] = bytes(self._data)
            self._dirty = False

    def close(self):
        if self._dirty and self._files.dead:
            raise PowerCut
        self.flush()

    def _read(self, size):
        self._files.reads += 1
        data = self._data if self._dirty else self._content[0]
        return data[self._at : self._at + size]

    def _put(self, data):
        missing = self._at + len(data) - len(self._data)
        if missing > 0:
            self._data.extend(bytes(missing))
        self._data[self._at : self._at + len(data)] = data
        self._dirty = True
        if self._files.flash.torn:
            self._content[0] = bytes(self._data)
