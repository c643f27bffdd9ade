"""The file operations of list and journal, in one place, so that the supply can be cut at each."""

import os


class Files:
    """The board's own file system. All raise OSError; `rename` replaces, in one step."""

    def open(self, path: str, mode: str):
        return open(path, mode)

    def rename(self, old: str, new: str) -> None:
        os.rename(old, new)

    def remove(self, path: str) -> None:
        os.remove(path)

    def make(self, path: str) -> None:
        """A directory, if it is not there yet."""
        try:
            os.stat(path)
        except OSError:
            os.mkdir(path)

    def names(self, path: str) -> list:
        return os.listdir(path)

    def size(self, path: str) -> int:
        """How many bytes a file has."""
        return os.stat(path)[6]

    def free(self, path: str) -> int:
        """Bytes that are free; on littlefs a whole number of blocks."""
        figures = os.statvfs(path)
        return figures[0] * figures[3]
