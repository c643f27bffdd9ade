"""The file `ref`: the one place that says which list is in force, replaced by one rename.

    "TGR2" · generations u16 · length of the ref u16 · bits u8 · generation of the index u8 · 00 00
    the ref as it came, signature included · the ends of the 16 packs, u16 each
    2^bits x entries u8 · 2^bits x place in its pack u16                          all big-endian

The names of the shards lie in the file `i0` or `i1`, as the generation of the index says. They are
checked against the ref, and the ref against its signature, whenever the record is read.
"""

import hashlib

from micropython import const

from firmware.allowlist import index
from firmware.allowlist.digests import Digests
from firmware.allowlist.errors import ListError
from firmware.allowlist.packs import PACKS
from firmware.allowlist.ref import check as check_ref
from firmware.allowlist.rows import Rows

_MAGIC = const(b"TGR2")
_HEADER_BYTES = const(12)
_REF_BYTES = const(8192)  # DESIGN section 7: the most a message may have
_ENDS_BYTES = const(32)
_PIECE_BYTES = const(1024)


class Record:
    """`root`: the directory; `files`: see files.py. All raise OSError, `read` also ValueError."""

    def __init__(self, files, root: str):
        self._files = files
        self._root = root
        self._path = root + "/ref"

    def read(self, verify, view: memoryview) -> tuple:
        """(applied, generations, generation of the index, ends, rows), once everything in the files
        has proved right.

        `verify(raw)` returns the JSON object of a signed ref or raises ValueError. `view`: 4,096
        bytes to work in. Raises ListError (a ValueError) where the files are not what they should
        be.
        """
        with self._files.open(self._path, "rb") as file:
            header = file.read(_HEADER_BYTES)
            if len(header) != _HEADER_BYTES or header[:4] != _MAGIC:
                raise ListError(f"record begins {header[:4]!r}, expected {_MAGIC!r}")
            size = header[6] << 8 | header[7]
            bits, generation = header[8], header[9]
            if size > _REF_BYTES or bits > index.BITS or generation > 1:
                raise ListError(f"record with a ref of {size} bytes, {bits} bits, i{generation}")
            applied = check_ref(verify(file.read(size)))
            ends = _whole(file, view[:_ENDS_BYTES])
            ends = [ends[at] << 8 | ends[at + 1] for at in range(0, _ENDS_BYTES, 2)]
            rows = Rows(bits)
            _whole(file, memoryview(rows.counts))
            _whole(file, memoryview(rows.wheres))
        self._take_marks(rows, applied, generation, view[:_PIECE_BYTES])
        if rows.cards() != applied.cards:
            raise ListError(f"record of {rows.cards()} cards, its ref says {applied.cards}")
        return applied, header[4] << 8 | header[5], generation, ends, rows

    def write(
        self, raw: bytes, generations: int, index_generation: int, ends: list, rows: Rows
    ) -> None:
        """Put a new record in the place of the old one, which stays whole until the rename."""
        beside = self._path + ".new"
        with self._files.open(beside, "wb") as file:
            file.write(_MAGIC + generations.to_bytes(2, "big") + len(raw).to_bytes(2, "big"))
            file.write(bytes([rows.bits, index_generation, 0, 0]))
            file.write(raw)
            for pack in range(PACKS):
                file.write(ends[pack].to_bytes(2, "big"))
            file.write(rows.counts)
            file.write(rows.wheres)
        self._files.rename(beside, self._path)

    def raw(self) -> bytes:
        """The ref as it came, of a record that was read or written."""
        with self._files.open(self._path, "rb") as file:
            header = file.read(_HEADER_BYTES)
            return file.read(header[6] << 8 | header[7])

    def _take_marks(self, rows, applied, generation, view):
        sha = hashlib.sha256(index.header(rows.bits, applied.cards))
        try:
            digests = Digests(self._files, f"{self._root}/i{generation}", rows.bits)
        except OSError as error:
            raise ListError(f"record of index i{generation}: {error}") from None
        try:
            for first, end, piece in digests.pieces(view):
                sha.update(piece)
                for i in range(first, end):
                    rows.mark(i, piece[index.DIGEST_BYTES * (i - first) :])
        finally:
            digests.close()
        found = index.hex_of(sha.digest())
        if found != applied.index:
            raise ListError(f"record of index {found}, its ref says {applied.index}")


def _whole(file, view):
    if file.readinto(view) != len(view):
        raise ListError("record cut short")
    return view
