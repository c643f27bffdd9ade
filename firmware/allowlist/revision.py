"""What the list on flash is replaced by: the next one begun and put in force, and what is left over
swept away. Loaded for as long as sync.py has something to do with it, and given back afterwards."""

import hashlib

from micropython import const

from firmware.allowlist.digests import Digests
from firmware.allowlist.draft import Draft
from firmware.allowlist.errors import ListError
from firmware.allowlist.index import HEADER_BYTES as INDEX_HEADER_BYTES
from firmware.allowlist.index import bits_of, header, hex_of
from firmware.allowlist.index import check as check_index
from firmware.allowlist.packs import PACKS, SPARE, UNIT
from firmware.allowlist.record import Record
from firmware.allowlist.rows import Rows
from firmware.allowlist.shard import ENTRY_BYTES, HEADER_BYTES

RESERVE_BYTES = const(65_536)  # left for the journal, for settings and for littlefs itself

_RECORD_BYTES = const(16_384)  # the most that record and index of an update take, in whole blocks
_BLOCK_BYTES = const(4096)
_WASTE_BYTES = const(20_480)  # out of date in one pack, before it is worth copying
_NONE = const(-1)
_TOGETHER = const(4)  # shards that reach the flash together: fewer blocks to write, and to erase
_PIECE_BYTES = const(512)
_LAST = const(0xFFFE)  # the highest place a row can hold, in units: packs of up to 512 KB
_FULL = const(28)  # ENOSPC
_ABSENT = const(2)  # ENOENT


class Revision:
    """`store`: see store.py, loaded. One at a time, and `close` it before it is given up."""

    def __init__(self, store):
        self._store = store
        self._root = store.root
        self._files = store.files
        self._packs = store.packs
        self._writer = _PackWriter(store.packs, store.files)
        self._record = Record(store.files, store.root)

    def close(self) -> None:
        """What was written is there for good, as far as it can be."""
        try:
            self._writer.flush()
        except OSError:
            pass  # names decide what counts: it will be found missing

    def keep_index(self, applied, data: bytes | memoryview) -> tuple:
        """Put the index `data`, which the ref `applied` names, on flash; for `draft`.

        Raises ObjectError where it is malformed, ListError where the ref does not mean it, OSError.
        """
        bits, cards = check_index(data)
        if cards != applied.cards:
            raise ListError(f"index of {cards} cards, its ref says {applied.cards}")
        generation = self._store.generation ^ 1
        with self._files.open(self._index_path(generation), "wb") as file:
            file.write(memoryview(data)[INDEX_HEADER_BYTES:])
        self._store.swept = False
        return generation, bits

    def kept_index(self, applied):
        """A generator that yields True for a while, and returns what `keep_index` did when it put
        the index of the ref `applied` on flash; None where it is not there.
        """
        for generation in (0, 1):
            if self._store.rows is not None and generation == self._store.generation:
                continue
            try:
                bits = bits_of(self._files.size(self._index_path(generation)))
                if bits is None:
                    continue
                digests = self._digests(generation, bits)
            except OSError:
                continue
            sha = hashlib.sha256(header(bits, applied.cards))
            try:
                for _, _, piece in digests.pieces(self._store.view):
                    sha.update(piece)
                    yield True
            finally:
                digests.close()
            if hex_of(sha.digest()) == applied.index:
                return generation, bits
        return None

    def draft(self, raw: bytes, applied, kept: tuple) -> Draft:
        """Begin the list of the verified ref `raw` (what it says: `applied`); its index is `kept`.

        Raises OSError.
        """
        generation, bits = kept
        rows = Rows(bits)
        name = self._digests(generation, bits)
        base, old = (), self._store.rows
        if old is not None and old.bits == bits:
            base = old, self._digests(self._store.generation, bits)
        return Draft(raw, applied, self._writer, rows, generation, name, base)

    def redraft(self, raw: bytes, applied) -> Draft:
        """Begin the list in force once more, under another ref. Raises ListError."""
        store = self._store
        if store.rows is None or store.applied is None:
            raise ListError("no list in force")
        cards = store.applied.cards
        if cards != applied.cards:
            raise ListError(f"index of {cards} cards, its ref says {applied.cards}")
        return Draft(raw, applied, self._writer, store.rows, store.generation, None)

    def renewal(self, pack: int) -> Draft:
        """Begin the list in force once more, with the shards of `pack` in a new file. Raises
        ListError, OSError."""
        store = self._store
        old = store.rows
        if old is None:
            raise ListError("no list in force")
        raw, rows = self._record.raw(), old.copy()
        name = self._digests(store.generation, old.bits)
        base = (old,)
        return Draft(raw, store.applied, self._writer, rows, store.generation, name, base, pack)

    def prepare(self, draft: Draft):
        """A generator: what of it is there already? Yields True after each small piece of work.
        Raises OSError."""
        return draft.prepare(self._store.view)

    def room(self, draft: Draft) -> int:
        """Bytes of flash that stay free once all that is missing has come, beside RESERVE_BYTES for
        others. Asking takes littlefs a walk through all it holds: not to be done all the time.
        """
        self._writer.flush()  # or littlefs counts what is written twice
        each = HEADER_BYTES + (ENTRY_BYTES * draft.applied.cards >> draft.bits)
        needed = draft.missing * each + _RECORD_BYTES + RESERVE_BYTES
        return self._files.free(self._root) - needed

    def commit(self, draft: Draft) -> None:
        """Put a complete draft in force. After an error the list is what it was.

        Raises ListError where the cards do not add up, or OSError.
        """
        draft.check()
        self._writer.finish()
        ends = draft.ends()
        self._record.write(draft.raw, draft.generations, draft.generation, ends, draft.rows)
        if draft.copies:
            self._writer.switch()
        self._packs.listed = ends
        store = self._store
        store.generation = draft.generation
        store.rows = draft.rows
        store.applied = draft.applied
        if draft.name is not None:  # else not a shard has changed
            store.damaged = None
        store.swept = False

    def abandon(self, draft: Draft) -> None:
        """Give up a draft, or be done with it. What it has brought stays, for the next `prepare` or
        for `sweep`."""
        draft.close()
        self._writer.drop_spare()

    # What is left over.

    def to_renew(self) -> int:
        """The number of a pack that is damaged, or of which a third is out of date; or -1."""
        store = self._store
        rows = store.rows
        if rows is None:
            return _NONE
        if store.damaged is not None:
            pack = self._packs.pack_of(store.damaged, rows.bits)
            return pack if self._has(RESERVE_BYTES) else _NONE
        for pack in range(PACKS):
            live = store.live(pack)
            # Of what holds no shard of this list, `sweep` takes the whole file.
            if live and self._packs.ends[pack] * UNIT - live >= max(_WASTE_BYTES, live >> 1):
                return pack if self._has(2 * RESERVE_BYTES) else _NONE
        return _NONE

    def may_copy(self) -> bool:
        """Whether there is room to copy a pack, for which RESERVE_BYTES may be used."""
        return self._store.rows is None or self._has(RESERVE_BYTES)

    def to_clear(self, pack: int, draft: Draft) -> bool:
        """Whether a pack holds what is of use neither for the list in force nor for `draft`, for
        which room is short; a block of it where the rest would have to be copied."""
        dead = self._packs.ends[pack] * UNIT - self._store.live(pack) - draft.brought(pack)
        return dead >= (_BLOCK_BYTES if self._store.rows else UNIT)

    def drop(self, pack: int) -> None:
        """Remove a pack: for when no list is in force. Raises OSError."""
        self._writer.remove(self._packs.name(pack))

    def sweep(self) -> bool:
        """Remove one file that the list in force does not need; False when there is none left.

        Only for times when no draft has been begun: what a draft has brought would go as well.
        """
        store = self._store
        if store.swept:
            return False
        needed = ["ref"]
        if store.rows is not None:
            needed += [self._packs.name(pack) for pack in range(PACKS) if store.live(pack)]
            needed.append(f"i{store.generation}")
        for name in self._files.names(self._root):
            if name not in needed:
                self._writer.remove(name)
                return True
        store.swept = True
        return False

    def _has(self, free):
        return self._files.free(self._root) >= free

    def _index_path(self, generation):
        return f"{self._root}/i{generation}"

    def _digests(self, generation, bits):
        return Digests(self._files, self._index_path(generation), bits)


class _PackWriter:
    """Writes shards to the packs, behind those that are there. `packs`: see packs.py; `files`: see
    files.py. All methods raise OSError.

    Before it is given up, `flush` what it has written.
    """

    def __init__(self, packs, files):
        self.packs = packs
        self._files = files
        self._copied = 0  # the pack that SPARE stands for
        self._loose = None  # the pack whose last shards a power cut would take
        self._flushed = 0  # its end without them
        self._held = 0  # how many they are
        self._size = 0  # bytes of the last of them

    def append(self, pack: int, data: bytes | bytearray | memoryview) -> int:
        """Write a shard behind the others; the place where it begins. It is there for good after
        `flush`. After an error the pack is what it was then.
        """
        if self._loose != pack:
            self.finish()
        elif self._held == _TOGETHER:
            self.flush()
        where = self.packs.ends[pack]
        end = where + len(data) // UNIT
        if end > _LAST:
            raise OSError(_FULL, "no room")
        file = self._writable(pack)
        if self._loose is None:
            self._loose, self._flushed, self._held = pack, where, 0
        try:
            file.seek(where * UNIT)
            file.write(data)
        except OSError:
            self._give_up(pack)
            raise
        self.packs.ends[pack] = end
        self._held += 1
        self._size = len(data)
        return where

    def flush(self) -> None:
        """What was written is there for good."""
        pack = self._loose
        if pack is not None:
            try:
                self.packs.files[pack].flush()
            except OSError:
                self._give_up(pack)
                raise
            self._loose = None

    def finish(self) -> None:
        """Flush, as the last shard for now has come. Where no other of its size fits into the last
        block, that is filled up, which costs nothing as long as it is not written yet: the next
        shard takes one block then, and not two because what lies before it is written anew."""
        pack = self._loose
        if pack is not None:
            begin = self.packs.ends[pack]
            end = self.behind_block(begin)
            rest = _block_end(begin * UNIT) - begin * UNIT
            if rest < self._size and end <= _LAST:
                try:
                    file = self.packs.files[pack]
                    file.seek(begin * UNIT)  # elsewhere, littlefs would write the block before
                    nothing = memoryview(bytes(_PIECE_BYTES))
                    while rest > 0:
                        file.write(nothing[:rest])
                        rest -= _PIECE_BYTES
                except OSError:
                    self._give_up(pack)
                    raise
                self.packs.ends[pack] = end
        self.flush()

    def behind_block(self, place: int) -> int:
        """The first place behind the block that a pack with this end ends in."""
        return -(-_block_end(place * UNIT) // UNIT)

    def copy_to_spare(self, pack: int) -> None:
        """Begin the other file of `pack`, empty, as SPARE."""
        self.drop_spare()
        self._copied = pack
        self.packs.ends[SPARE] = 0
        self._opened(SPARE, "w+b")

    def drop_spare(self) -> None:
        """Give up the copy, if there is one."""
        if self.packs.files[SPARE] is not None:
            self._close(SPARE)
            self._try_to_remove(self._path(SPARE))

    def switched(self) -> int:
        """The generations as they will be when SPARE counts."""
        return self.packs.generations ^ 1 << self._copied

    def switch(self) -> None:
        """SPARE counts from now on, and the file that counted so far goes."""
        pack = self._copied
        old = self._path(pack)
        self._close(pack)
        packs = self.packs
        packs.generations = self.switched()
        packs.files[pack], packs.files[SPARE] = packs.files[SPARE], None
        packs.written = packs.written & ~(1 << SPARE) | 1 << pack
        packs.ends[pack] = packs.ends[SPARE]
        self._try_to_remove(old)

    def remove(self, name: str) -> None:
        """Remove a file that no list needs, be it a pack's or another."""
        for pack in range(PACKS):
            if self.packs.name(pack) == name:
                self._close(pack)
                self.packs.ends[pack] = self.packs.listed[pack] = 0
        self._files.remove(f"{self.packs.root}/{name}")

    def _give_up(self, pack):
        self.packs.ends[pack] = self._flushed
        self._close(pack)

    def _writable(self, pack):
        # Only from the first write on: littlefs counts the blocks of a file that is open for
        # writing, and not yet flushed, twice.
        packs = self.packs
        if not packs.written >> pack & 1:
            self._close(pack)
            try:
                self._opened(pack, "r+b")
            except OSError as error:
                if error.errno != _ABSENT:
                    raise
                self._opened(pack, "w+b")
        return packs.files[pack]

    def _opened(self, pack, mode):
        self.packs.files[pack] = self._files.open(self._path(pack), mode)
        self.packs.written |= 1 << pack

    def _path(self, pack):
        if pack != SPARE:
            return self.packs.path_of(pack)
        k = self._copied
        return f"{self.packs.root}/{k:x}{self.switched() >> k & 1}"

    def _close(self, pack):
        if self._loose == pack:
            self._loose = None
        self.packs.shut(pack)

    def _try_to_remove(self, path):
        try:
            self._files.remove(path)
        except OSError:
            pass  # a later sweep finds it


def _block_end(size):
    """Where the last block of a file of `size` bytes ends: block i > 0 has ctz(i) + 1 pointers of 4
    bytes before its content (littlefs, SPEC.md, CTZ skip-lists)."""
    block = 0
    end = _BLOCK_BYTES
    while end < size:
        block += 1
        end += _BLOCK_BYTES - 4
        bits = block
        while not bits & 1:
            bits >>= 1
            end -= 4
    return end
