"""The digests of one index on flash, read by place: memory is too short for all of them."""

from firmware.allowlist.errors import ListError
from firmware.allowlist.index import DIGEST_BYTES


class Digests:
    """The file at `path`: what an index object of 2^`bits` shards has behind its header (index.py).

    `files`: see files.py. All raise OSError, and ListError where the file is too short.
    """

    def __init__(self, files, path: str, bits: int):
        self._total = 1 << bits
        self._file = files.open(path, "rb")
        self.close = self._file.close

    def __call__(self, i: int) -> bytes:
        """The 16 bytes that name shard `i`."""
        self._file.seek(DIGEST_BYTES * i)
        return self._file.read(DIGEST_BYTES)

    def pieces(self, view: memoryview):
        """Yields (first shard, end, their digests) until all have been read, each time in `view`;
        it may have been used for something else between two turns.
        """
        at_once = len(view) // DIGEST_BYTES
        for first in range(0, self._total, at_once):
            end = min(first + at_once, self._total)
            yield first, end, self.read(first, view[: DIGEST_BYTES * (end - first)])

    def read(self, first: int, view: memoryview) -> memoryview:
        """`view`, filled with the digests from that of shard `first` on."""
        self._file.seek(DIGEST_BYTES * first)
        if self._file.readinto(view) != len(view):
            raise ListError(f"index cut short after shard {first}")
        return view
