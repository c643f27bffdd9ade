"""The next list while it is being gathered: what of it lies whole on flash, and what is missing."""

from micropython import const

from firmware.allowlist.errors import ListError, ObjectError
from firmware.allowlist.index import DIGEST_BYTES, digest_of, hex_of
from firmware.allowlist.packs import PACKS, SPARE, UNIT
from firmware.allowlist.rows import NOWHERE
from firmware.allowlist.shard import ENTRY_BYTES, HEADER_BYTES, length, shard_of
from firmware.allowlist.shard import check as check_shard

_NONE = const(-1)
_AT_ONCE = const(256)  # bytes: the digests of 16 shards, for one turn
_EMPTY = digest_of(b"TGS1\x00\x00\x00\x00")  # a shard of nobody needs no place on flash


class Draft:
    """`applied`: what the ref `raw` says (ref.py). `writer`: of the packs. `rows`: its shards, as
    far as they are there.

    `name`: the digests of its index (digests.py), which is that of `generation`; None where nothing
    is missing. `base`: rows and digests of the list in force; empty where they are of no use.
    `copied`: a pack whose shards are to be copied to its other file, or -1.
    """

    def __init__(self, raw, applied, writer, rows, generation, name, base=(), copied=_NONE):
        self.raw = raw
        self.applied = applied
        self.rows = rows
        self.generation = generation
        self.name = name
        self._writer = writer
        self._packs = packs = writer.packs
        self._base = base
        self._copied = copied
        self.bits = rows.bits
        self.total = self.missing = 1 << rows.bits
        if name is None:
            self.missing = 0
        elif copied != _NONE:
            first, end = packs.shards_of(copied, rows.bits)
            rows.forget(first, end)
            self.missing = end - first

    def prepare(self, view: memoryview):
        """A generator that does one small piece of work at each turn: it finds what is there.

        `view`: 4,096 bytes to work in, free again after each turn. Yields True. Raises OSError.
        """
        if self._copied != _NONE:
            yield from self._copy_pack(view)
            return
        if not self.missing:
            return
        for first, end, piece in self.name.pieces(view[:_AT_ONCE]):
            self._compare(first, end, piece, view[_AT_ONCE : 2 * _AT_ONCE])
            yield True
        for pack in range(PACKS):
            yield from self._scan(pack, view)

    def put(self, i: int, data: bytes | bytearray | memoryview) -> None:
        """Shard `i` has come: check it against its name, its place and its form, and keep it.

        Raises ObjectError, or OSError when it could not be written.
        """
        expected = self.name(i)
        found = digest_of(data)
        if found != expected:
            raise ObjectError(f"shard {i} is {hex_of(found)}, expected {hex_of(expected)}")
        count = check_shard(data, i, self.bits)
        pack = self._packs.pack_of(i, self.bits)
        where = self._writer.append(SPARE if pack == self._copied else pack, data)
        self._put(i, expected, count, where)

    def lacks(self, i: int) -> bool:
        """Whether shard `i` is missing."""
        return self.rows.where(i) == NOWHERE

    def check(self) -> None:
        """Raises ListError unless the list, now complete, holds the cards that its ref says."""
        cards = self.rows.cards()
        if cards != self.applied.cards:
            raise ListError(f"list of {cards} cards, its ref says {self.applied.cards}")

    def brought(self, pack: int) -> int:
        """The bytes of a pack that this list needs and the one in force does not."""
        rows, listed = self.rows, self._packs.listed[pack]
        return sum(
            [
                rows.size(i)
                for i in range(*self._packs.shards_of(pack, self.bits))
                if rows.count(i) and listed <= rows.where(i) < NOWHERE
            ]
        )

    def ends(self) -> list:
        """The ends of the 16 packs as they are once this list is in force; 0 for those that it does
        not need, which will be swept away.
        """
        packs = self._packs
        ends = packs.ends[:PACKS]
        if self._copied != _NONE:
            ends[self._copied] = packs.ends[SPARE]
        for pack in range(PACKS):
            if not self.rows.bytes_from(*packs.shards_of(pack, self.bits)):
                ends[pack] = 0
        return ends

    @property
    def generations(self) -> int:
        """The packs' generations as they are once this list is in force."""
        return self._packs.generations if self._copied == _NONE else self._writer.switched()

    @property
    def copies(self) -> bool:
        return self._copied != _NONE

    def close(self) -> None:
        """The list is in force, or given up."""
        if self.name is not None:
            self.name.close()
        for digests in self._base[1:]:
            digests.close()

    def _put(self, i, digest, count, where):
        self.rows.put(i, digest, count, where)
        self.missing -= 1

    def _compare(self, first, end, names, view):
        """Take over what the list in force has as well, where it lies."""
        base = self._base
        there = None
        if base:
            there = base[1].read(first, view[: len(names)])
            if there == names:
                self._adopt(first, end)
                return
        for i in range(first, end):
            at = DIGEST_BYTES * (i - first)
            to = at + DIGEST_BYTES
            if there is not None and there[at:to] == names[at:to]:
                self._adopt(i, i + 1)
            elif names[at:to] == _EMPTY:
                self._put(i, _EMPTY, 0, 0)

    def _adopt(self, first, end):
        self.rows.adopt(self._base[0], first, end)
        self.missing -= end - first

    def _scan(self, pack, view):
        """Look, one at each turn, at the shards that updates which never came to their end left in
        a pack that lacks some."""
        packs = self._packs
        if not self.rows.gaps(*packs.shards_of(pack, self.bits)):
            return
        where = packs.listed[pack]
        filled = False  # as _PackWriter.finish does it
        while True:
            found = self._found(pack, where, view)
            if found is None and not filled:
                filled, where = True, self._writer.behind_block(where)
                continue
            if found is None:
                yield True
                return
            filled = False
            i = shard_of(found[HEADER_BYTES : HEADER_BYTES + 2], self.bits)
            if packs.pack_of(i, self.bits) == pack and self.lacks(i):
                digest = digest_of(found)
                if self.name(i) == digest:
                    try:
                        self._put(i, digest, check_shard(found, i, self.bits), where)
                    except ObjectError:
                        pass  # it will be asked for, and refused with its reason then
            where += len(found) // UNIT
            packs.ends[pack] = max(packs.ends[pack], where)
            yield True

    def _found(self, pack, where, view):
        """What lies at a place and has the size of a shard, in `view`; None: nothing more."""
        head = view[:HEADER_BYTES]
        try:
            if self._packs.read(pack, where, head):
                found = view[: HEADER_BYTES + ENTRY_BYTES * length(head)]
                if len(found) > len(head) and self._packs.read(pack, where, found):
                    return found
        except (ObjectError, OSError):  # no shard, or no such pack: the next one goes here
            pass
        return None

    def _copy_pack(self, view):
        packs, writer, rows = self._packs, self._writer, self._base[0]
        writer.copy_to_spare(self._copied)
        yield True
        for i in range(*packs.shards_of(self._copied, self.bits)):
            found = view[: rows.size(i)]
            if not rows.count(i):
                self._adopt(i, i + 1)
                continue
            try:
                whole = packs.read(self._copied, rows.where(i), found)
            except OSError:
                whole = False
            if whole:
                digest = self.name(i)
                if digest_of(found) == digest:
                    self._put(i, digest, rows.count(i), writer.append(SPARE, found))
            yield True
