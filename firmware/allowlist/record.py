"""The file `ref`: the one place that says which list is in force, replaced by one rename.

    "TGR1" · generations u16 · length of the ref u16 · bits u8 · reserved 3
    the ref as it came, signature included · the ends of the 16 packs, u16 each
    2^bits rows of 19 bytes: digest 16 · entries u8 · place in its pack u16       all big-endian

The digests are those of the index, so that no object of its own is needed on flash for it; they are
checked against the ref, and the ref against its signature, whenever the file is read.
"""

import binascii
import hashlib

from micropython import const

from firmware.allowlist import index, ref
from firmware.allowlist.errors import ListError
from firmware.allowlist.packs import PACKS
from firmware.allowlist.rows import Rows

_MAGIC = const(b"TGR1")
_HEADER_BYTES = const(12)
_REF_BYTES = const(8192)  # DESIGN section 7: the most a message may have
_ENDS_BYTES = const(32)
_ROW_BYTES = const(19)
_COUNT = const(16)
_WHERE = const(17)
_ROWS_AT_ONCE = const(64)


class Record:
    """`path` of the file; `files`: see files.py. All raise OSError, `read` also ValueError."""

    def __init__(self, files, path: str):
        self._files = files
        self._path = path
        self._rows_at = 0

    def read(self, verify, view: memoryview) -> tuple:
        """(applied, generations, ends, rows) once everything in the file has proved right.

        `verify(raw)` returns the JSON object of a signed ref or raises ValueError. `view`: 4,096
        bytes to work in. Raises ListError (a ValueError) where the file is not what it should be.
        """
        with self._files.open(self._path, "rb") as file:
            header = file.read(_HEADER_BYTES)
            if len(header) != _HEADER_BYTES or header[:4] != _MAGIC:
                raise ListError(f"record begins {header[:4]!r}, expected {_MAGIC!r}")
            size = header[6] << 8 | header[7]
            bits = header[8]
            if size > _REF_BYTES or bits > index.BITS:
                raise ListError(f"record with a ref of {size} bytes and {bits} bits")
            applied = ref.check(verify(file.read(size)))
            ends = _whole(file, view[:_ENDS_BYTES])
            ends = [ends[at] << 8 | ends[at + 1] for at in range(0, _ENDS_BYTES, 2)]
            rows = self._read_rows(file, view, Rows(bits), applied)
        self._rows_at = _HEADER_BYTES + size + _ENDS_BYTES
        return applied, header[4] << 8 | header[5], ends, rows

    def write(self, raw: bytes, generations: int, ends: list, rows: Rows, names) -> None:
        """Put a new record in the place of the old one, which stays whole until the rename.

        `names(i)`: the 16 bytes that name shard i; closed before the old record goes.
        """
        beside = self._path + ".new"
        with self._files.open(beside, "wb") as file:
            file.write(_MAGIC + generations.to_bytes(2, "big") + len(raw).to_bytes(2, "big"))
            file.write(bytes([rows.bits, 0, 0, 0]))
            file.write(raw)
            for pack in range(PACKS):
                file.write(ends[pack].to_bytes(2, "big"))
            for i in range(1 << rows.bits):
                where = rows.where(i)
                file.write(names(i) + bytes([rows.count(i), where >> 8, where & 0xFF]))
        names.close()
        self._files.rename(beside, self._path)
        self._rows_at = _HEADER_BYTES + len(raw) + _ENDS_BYTES

    def raw(self) -> bytes:
        """The ref as it came."""
        with self._files.open(self._path, "rb") as file:
            file.seek(_HEADER_BYTES)
            return file.read(self._rows_at - _HEADER_BYTES - _ENDS_BYTES)

    def names(self):
        """The names of the shards, as `index.Names` has them; `close` it after use."""
        return _Names(self._files.open(self._path, "rb"), self._rows_at)

    def _read_rows(self, file, view, rows, applied):
        sha = hashlib.sha256(index.header(rows.bits, applied.cards))
        total = 1 << rows.bits
        at = _ROWS_AT_ONCE * _ROW_BYTES
        for i in range(total):
            if at == _ROWS_AT_ONCE * _ROW_BYTES:
                _whole(file, view[: min(_ROWS_AT_ONCE, total - i) * _ROW_BYTES])
                at = 0
            digest = bytes(view[at : at + index.DIGEST_BYTES])
            sha.update(digest)
            where = view[at + _WHERE] << 8 | view[at + _WHERE + 1]
            rows.put(i, digest, view[at + _COUNT], where)
            at += _ROW_BYTES
        found = binascii.hexlify(sha.digest()[: index.DIGEST_BYTES]).decode()
        if found != applied.index:
            raise ListError(f"record of index {found}, its ref says {applied.index}")
        if rows.cards() != applied.cards:
            raise ListError(f"record of {rows.cards()} cards, its ref says {applied.cards}")
        return rows


class _Names:
    def __init__(self, file, rows_at):
        self._file = file
        self._rows_at = rows_at
        self.close = file.close

    def __call__(self, i):
        self._file.seek(self._rows_at + _ROW_BYTES * i)
        return self._file.read(index.DIGEST_BYTES)


def _whole(file, view):
    if file.readinto(view) != len(view):
        raise ListError("record cut short")
    return view
