"""The allow-list on flash: looked up at each tap, and replaced whole (DESIGN section 6).

Under `root`: `ref`, the record of the list in force (record.py); `i0` or `i1`, its index, and in
the other that of a list still to be fetched (digests.py); up to 16 packs of shards (packs.py). A
list that is missing, damaged or not signed is nobody, and so is a shard: its SHA-256 is compared at
every look-up. That is 4 KB at most, about a millisecond on an ESP32, and lets no flipped bit decide
who may charge.

In memory: 11 bytes a shard (2.8 KB for 50,000 cards in 256 shards), as many again while an update
is under way, one buffer of 4,096 bytes, and the open files of the packs.
"""

import hashlib

from micropython import const

from firmware.allowlist import index, shard
from firmware.allowlist.digests import Digests
from firmware.allowlist.draft import Draft
from firmware.allowlist.errors import ListError
from firmware.allowlist.packs import PACKS, UNIT, Packs
from firmware.allowlist.record import Record
from firmware.allowlist.rows import Rows
from firmware.files import Files

RESERVE_BYTES = const(65_536)  # left for the journal, for settings and for littlefs itself

_RECORD_BYTES = const(16_384)  # the most that record and index of an update take, in whole blocks
_BLOCK_BYTES = const(4096)
_WASTE_BYTES = const(20_480)  # out of date in one pack, before it is worth copying
_NONE = const(-1)
_ABSENT = const(2)  # ENOENT


class Store:
    """`root`: a directory, made when missing. `verify(raw)`: the JSON object of a signed ref, or
    ValueError. `files`: see files.py.

    `applied`: version, index, cards, max_age_s, t of the list in force (ref.py), or None.
    `damaged`: a shard that was found damaged, or None.
    `swept`: whether nothing is left over that `to_renew` and `sweep` would find.
    """

    def __init__(self, root: str, verify, files=None):
        self._root = root
        self._verify = verify
        self._files = files or Files()
        self._view = memoryview(bytearray(shard.SHARD_BYTES))
        self._packs = Packs(self._files, root)
        self._record = Record(self._files, root)
        self._generation = 1  # of the index in force: a first one goes to i0
        self._rows = None
        self.swept = False
        self.applied = None
        self.damaged = None

    def load(self) -> str | None:
        """Read the list in force. Returns why it is damaged, and nobody's; None where it is not, or
        where there is no list yet. Raises OSError where the directory cannot be made or read.
        """
        self._rows = self.applied = self.damaged = None
        self._generation = 1
        self.swept = False
        self._files.make(self._root)
        self._packs.begin(self._found_generations(), [0] * PACKS)
        try:
            found = self._record.read(self._verify, self._view)
        except (OSError, ValueError, MemoryError) as error:
            absent = isinstance(error, OSError) and error.errno == _ABSENT
            return None if absent else str(error) or repr(error)
        self.applied, generations, self._generation, ends, self._rows = found
        self._packs.begin(generations, ends)
        for pack in range(PACKS):
            if self._live(pack):
                self._packs.open(pack)
        return None

    def lookup(self, token: bytes) -> tuple | None:
        """(group, valid_from_min, valid_until_min, flags) of a token, 7 bytes; None: nobody.

        One read of one shard, from a file that is open. Never raises.
        """
        rows = self._rows
        if rows is None:
            return None
        bits = rows.bits
        i = shard.shard_of(token, bits)
        if not rows.count(i):
            return None
        found = self._view[: rows.size(i)]
        try:
            whole = self._packs.read(self._packs.pack_of(i, bits), rows.where(i), found)
        except OSError:
            whole = False
        if not whole or not rows.marked(i, hashlib.sha256(found).digest()):
            self.damaged = i
            return None
        return shard.find(found, token)

    def close(self) -> None:
        """Close all files. `load` opens them again."""
        self._packs.close()
        self._rows = self.applied = None

    # The next list, as sync.py goes about it.

    def keep_index(self, applied, data: bytes | memoryview) -> tuple:
        """Put the index `data`, which the ref `applied` names, on flash; for `draft`.

        Raises ObjectError where it is malformed, ListError where the ref does not mean it, OSError.
        """
        bits, cards = index.check(data)
        if cards != applied.cards:
            raise ListError(f"index of {cards} cards, its ref says {applied.cards}")
        generation = self._generation ^ 1
        with self._files.open(self._index_path(generation), "wb") as file:
            file.write(memoryview(data)[index.HEADER_BYTES :])
        self.swept = False
        return generation, bits

    def kept_index(self, applied):
        """A generator that yields True for a while, and returns what `keep_index` did when it put
        the index of the ref `applied` on flash; None where it is not there.
        """
        for generation in (0, 1):
            if self._rows is not None and generation == self._generation:
                continue
            try:
                bits = index.bits_of(self._files.size(self._index_path(generation)))
                if bits is None:
                    continue
                digests = self._digests(generation, bits)
            except OSError:
                continue
            sha = hashlib.sha256(index.header(bits, applied.cards))
            try:
                for _, _, piece in digests.pieces(self._view):
                    sha.update(piece)
                    yield True
            finally:
                digests.close()
            if index.hex_of(sha.digest()) == applied.index:
                return generation, bits
        return None

    def draft(self, raw: bytes, applied, kept: tuple) -> Draft:
        """Begin the list of the verified ref `raw` (what it says: `applied`); its index is `kept`.

        Raises OSError.
        """
        generation, bits = kept
        rows = Rows(bits)
        name = self._digests(generation, bits)
        base = ()
        if self._rows is not None and self._rows.bits == bits:
            base = self._rows, self._digests(self._generation, bits)
        return Draft(raw, applied, self._packs, rows, generation, name, base)

    def redraft(self, raw: bytes, applied) -> Draft:
        """Begin the list in force once more, under another ref. Raises ListError."""
        if self._rows is None or self.applied is None:
            raise ListError("no list in force")
        cards = self.applied.cards
        if cards != applied.cards:
            raise ListError(f"index of {cards} cards, its ref says {applied.cards}")
        return Draft(raw, applied, self._packs, self._rows, self._generation, None)

    def renewal(self, pack: int) -> Draft:
        """Begin the list in force once more, with the shards of `pack` in a new file. Raises
        ListError, OSError."""
        old = self._rows
        if old is None:
            raise ListError("no list in force")
        raw, rows = self._record.raw(), old.copy()
        name = self._digests(self._generation, old.bits)
        base = (old,)
        return Draft(raw, self.applied, self._packs, rows, self._generation, name, base, pack)

    def prepare(self, draft: Draft):
        """A generator: what of it is there already? Yields True after each small piece of work.
        Raises OSError."""
        return draft.prepare(self._view)

    def room(self, draft: Draft) -> int:
        """Bytes of flash that stay free once all that is missing has come, beside RESERVE_BYTES for
        others. Asking takes littlefs a walk through all it holds: not to be done all the time.
        """
        self._packs.flush()  # or littlefs counts what is written twice
        each = shard.HEADER_BYTES + (shard.ENTRY_BYTES * draft.applied.cards >> draft.bits)
        needed = draft.missing * each + _RECORD_BYTES + RESERVE_BYTES
        return self._files.free(self._root) - needed

    def commit(self, draft: Draft) -> None:
        """Put a complete draft in force. After an error the list is what it was.

        Raises ListError where the cards do not add up, or OSError.
        """
        draft.check()
        self._packs.finish()
        ends = draft.ends()
        self._record.write(draft.raw, draft.generations, draft.generation, ends, draft.rows)
        if draft.copies:
            self._packs.switch()
        self._packs.listed = ends
        self._generation = draft.generation
        self._rows = draft.rows
        self.applied = draft.applied
        if draft.name is not None:  # else not a shard has changed
            self.damaged = None
        self.swept = False

    def abandon(self, draft: Draft) -> None:
        """Give up a draft, or be done with it. What it has brought stays, for the next `prepare` or
        for `sweep`."""
        draft.close()
        self._packs.drop_spare()

    # What is left over.

    def to_renew(self) -> int:
        """The number of a pack that is damaged, or of which a third is out of date; or -1."""
        rows = self._rows
        if rows is None:
            return _NONE
        if self.damaged is not None:
            pack = self._packs.pack_of(self.damaged, rows.bits)
            return pack if self._has(RESERVE_BYTES) else _NONE
        for pack in range(PACKS):
            live = self._live(pack)
            # Of what holds no shard of this list, `sweep` takes the whole file.
            if live and self._packs.ends[pack] * UNIT - live >= max(_WASTE_BYTES, live >> 1):
                return pack if self._has(2 * RESERVE_BYTES) else _NONE
        return _NONE

    def may_copy(self) -> bool:
        """Whether there is room to copy a pack, for which RESERVE_BYTES may be used."""
        return self._rows is None or self._has(RESERVE_BYTES)

    def to_clear(self, pack: int, draft: Draft) -> bool:
        """Whether a pack holds what is of use neither for the list in force nor for `draft`, for
        which room is short; a block of it where the rest would have to be copied."""
        dead = self._packs.ends[pack] * UNIT - self._live(pack) - draft.brought(pack)
        return dead >= (_BLOCK_BYTES if self._rows else UNIT)

    def drop(self, pack: int) -> None:
        """Remove a pack: for when no list is in force. Raises OSError."""
        self._packs.remove(self._packs.name(pack))

    def _has(self, free):
        return self._files.free(self._root) >= free

    def _live(self, pack):
        rows = self._rows
        return rows.bytes_from(*self._packs.shards_of(pack, rows.bits)) if rows else 0

    def sweep(self) -> bool:
        """Remove one file that the list in force does not need; False when there is none left.

        Only for times when no draft has been begun: what a draft has brought would go as well.
        """
        if self.swept:
            return False
        needed = ["ref"]
        if self._rows is not None:
            needed += [self._packs.name(pack) for pack in range(PACKS) if self._live(pack)]
            needed.append(f"i{self._generation}")
        for name in self._files.names(self._root):
            if name not in needed:
                self._packs.remove(name)
                return True
        self.swept = True
        return False

    def _index_path(self, generation):
        return f"{self._root}/i{generation}"

    def _digests(self, generation, bits):
        return Digests(self._files, self._index_path(generation), bits)

    def _found_generations(self):
        """The generations by the files that there are, in case the record cannot say."""
        names = self._files.names(self._root)
        found = 0
        for pack in range(PACKS):
            if f"{pack:x}1" in names and f"{pack:x}0" not in names:
                found |= 1 << pack
        return found
