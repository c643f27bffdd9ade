"""The next list while it is being gathered: what of it lies whole on flash, and what is missing."""

import binascii

from micropython import const

from firmware.allowlist import index, shard
from firmware.allowlist.errors import ListError, ObjectError
from firmware.allowlist.packs import PACKS, SPARE, UNIT
from firmware.allowlist.rows import NOWHERE, Rows

_NONE = const(-1)
_EMPTY = index.digest_of(b"TGS1\x00\x00\x00\x00")  # a shard of nobody needs no place on flash


class Draft:
    """`applied`: what the ref `raw` says (ref.py). `name(i)`: shard i's 16 bytes (index.Names).

    `scanned`: a set of the packs of which all is known. `copied`: a pack whose shards are to be
    copied to its other file, or -1.
    """

    def __init__(self, raw, applied, bits, name, packs, scanned, copied=_NONE):
        self.raw = raw
        self.applied = applied
        self.bits = bits
        self.name = name
        self.rows = Rows(bits)
        self.missing = 1 << bits
        self._packs = packs
        self._scanned = scanned
        self._copied = copied
        if copied != _NONE:
            packs.copy_to_spare(copied)

    def adopt(self, rows: Rows) -> None:
        """Take over each shard that another list has as well, where it lies."""
        if rows.bits != self.bits:
            return
        for i in range(1 << self.bits):
            if self._packs.pack_of(i, self.bits) == self._copied or not self._lacks(i):
                continue
            digest = self.name(i)
            if rows.where(i) != NOWHERE and rows.marked(i, digest):
                self._put(i, digest, rows.count(i), rows.where(i))

    def prepare(self, rows: Rows | None, view: memoryview):
        """A generator that does one small piece of work at each turn: it finds what is there.

        `rows`: the list in force, None without one. `view`: 4,096 bytes to work in, free again
        after each turn. Raises OSError.
        """
        if rows is not None:
            self.adopt(rows)
            yield
        for i in range(1 << self.bits):
            if self._lacks(i) and self.name(i) == _EMPTY:
                self._put(i, _EMPTY, 0, 0)
        yield
        for pack in range(PACKS):
            while pack not in self._scanned:
                self._scan(pack, view)
                yield
        if self._copied != _NONE and rows is not None:
            for i in range(1 << self.bits):
                if self._packs.pack_of(i, self.bits) == self._copied and self._lacks(i):
                    self._copy(i, rows, view)
                    yield

    def put(self, i: int, data: bytes | bytearray | memoryview) -> None:
        """Shard `i` has come: check it against its name, its place and its form, and keep it.

        Raises ObjectError, or OSError when it could not be written.
        """
        expected = self.name(i)
        found = index.digest_of(data)
        if found != expected:
            raise ObjectError(f"shard {i} is {_hex(found)}, expected {_hex(expected)}")
        count = shard.check(data, i, self.bits)
        pack = self._packs.pack_of(i, self.bits)
        where = self._packs.append(SPARE if pack == self._copied else pack, data)
        self._put(i, expected, count, where)

    def next_missing(self, start: int) -> int:
        """The first shard from `start` on that is missing, or -1."""
        for i in range(start, 1 << self.bits):
            if self.rows.where(i) == NOWHERE:
                return i
        return _NONE

    def check(self) -> None:
        """Raises ListError unless the list, now complete, holds the cards that its ref says."""
        cards = self.rows.cards()
        if cards != self.applied.cards:
            raise ListError(f"list of {cards} cards, its ref says {self.applied.cards}")

    def ends(self) -> list:
        """The ends of the 16 packs as they are once this list is in force."""
        ends = self._packs.ends[:PACKS]
        if self._copied != _NONE:
            ends[self._copied] = self._packs.ends[SPARE]
        return ends

    @property
    def generations(self) -> int:
        """The packs' generations as they are once this list is in force."""
        return self._packs.generations if self._copied == _NONE else self._packs.switched()

    @property
    def copies(self) -> bool:
        return self._copied != _NONE

    def _lacks(self, i):
        return self.rows.where(i) == NOWHERE

    def _put(self, i, digest, count, where):
        self.rows.put(i, digest, count, where)
        self.missing -= 1

    def _scan(self, pack, view):
        """Look at one more shard that an update which never came to its end left in a pack."""
        packs = self._packs
        where = packs.ends[pack]
        try:
            if not packs.read(pack, where, view[: shard.HEADER_BYTES]):
                raise ObjectError("end of pack")
            size = shard.HEADER_BYTES + shard.ENTRY_BYTES * shard.length(view[: shard.HEADER_BYTES])
            found = view[:size]
            if size == shard.HEADER_BYTES or not packs.read(pack, where, found):
                raise ObjectError("shard cut short")
        except (ObjectError, OSError):  # nothing more, or no such pack: the next shard goes here
            self._scanned.add(pack)
            return
        packs.ends[pack] = where + size // UNIT
        i = shard.shard_of(view[shard.HEADER_BYTES : shard.HEADER_BYTES + 2], self.bits)
        digest = index.digest_of(found)
        mine = packs.pack_of(i, self.bits) == pack and pack != self._copied
        if mine and self._lacks(i) and self.name(i) == digest:
            try:
                self._put(i, digest, shard.check(found, i, self.bits), where)
            except ObjectError:
                pass  # it will be asked for, and refused with its reason then

    def _copy(self, i, rows, view):
        found = view[: rows.size(i)]
        try:
            whole = self._packs.read(self._packs.pack_of(i, self.bits), rows.where(i), found)
        except OSError:
            whole = False
        if whole and index.digest_of(found) == self.name(i):
            self._put(i, self.name(i), rows.count(i), self._packs.append(SPARE, found))


def _hex(digest):
    return binascii.hexlify(digest).decode()
