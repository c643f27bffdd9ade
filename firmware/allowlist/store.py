"""The allow-list on flash: looked up at each tap, and replaced whole (DESIGN section 6).

Under `root`: `ref`, the record of the list in force (record.py); up to 16 packs with the shards
(packs.py); `next`, the index of a list of which much is still to be fetched. A list that is
missing, damaged or not signed is nobody, and so is a shard: its SHA-256 is compared at every
look-up. That is 4 KB at most, about a millisecond on an ESP32, and lets no flipped bit decide who
may charge.

In memory: 11 bytes a shard (2.8 KB for 50,000 cards in 256 shards), one buffer of 4,096 bytes, and
the open files of the packs.
"""

import hashlib

from micropython import const

from firmware.allowlist import index, shard
from firmware.allowlist.draft import Draft
from firmware.allowlist.errors import ListError
from firmware.allowlist.files import Files
from firmware.allowlist.packs import PACKS, UNIT, Packs
from firmware.allowlist.record import Record

RESERVE_BYTES = const(65_536)  # left for the journal, for settings and for littlefs itself

_RECORD_BYTES = const(16_384)  # the most that record and index of an update take, in whole blocks
_INDEX_BYTES = const(8204)  # 12 + 16 x 2^9
_BLOCK_BYTES = const(4096)
_WASTE_BYTES = const(16_384)  # out of date in one pack, before it is worth copying
_NONE = const(-1)
_ABSENT = const(2)  # ENOENT
_NEXT = const("/next")


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
        self._record = Record(self._files, root + "/ref")
        self._rows = None
        self._scanned = set()
        self.swept = False
        self.applied = None
        self.damaged = None

    def load(self) -> str | None:
        """Read the list in force. Returns why it is damaged, and nobody's; None where it is not, or
        where there is no list yet. Raises OSError where the directory cannot be made or read.
        """
        self._packs.close()
        self._rows = self.applied = self.damaged = None
        self._scanned.clear()
        self.swept = False
        self._files.make(self._root)
        self._packs.ends = [0] * (PACKS + 1)
        self._packs.generations = self._found_generations()
        try:
            found = self._record.read(self._verify, self._view)
        except (OSError, ValueError, MemoryError) as error:
            absent = isinstance(error, OSError) and error.errno == _ABSENT
            return None if absent else str(error) or repr(error)
        self.applied, self._packs.generations, self._packs.ends[:PACKS], self._rows = found
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

    def draft(self, raw: bytes, applied, data: bytes) -> Draft:
        """Begin the list of the verified ref `raw` (what it says: `applied`) and its index `data`.

        Raises ObjectError for a malformed index, ListError for one that the ref does not mean.
        """
        bits, cards = index.check(data)
        if cards != applied.cards:
            raise ListError(f"index of {cards} cards, its ref says {applied.cards}")
        return self._draft(raw, applied, bits, index.Names(data))

    def redraft(self, raw: bytes, applied) -> Draft:
        """Begin the list in force once more, under another ref. Raises ListError as `draft`."""
        cards = self.applied.cards if self.applied else None
        if cards != applied.cards:
            raise ListError(f"index of {cards} cards, its ref says {applied.cards}")
        return self._again(raw, applied)

    def renewal(self, pack: int) -> Draft:
        """Begin the list in force once more, with the shards of `pack` in a new file."""
        return self._again(self._record.raw(), self.applied, pack)

    def prepare(self, draft: Draft):
        """The draft's generator of pieces of work (draft.py)."""
        return draft.prepare(self._rows, self._view)

    def fits(self, draft: Draft) -> bool:
        """Whether what is missing has room on flash, and RESERVE_BYTES stay free for others."""
        each = shard.HEADER_BYTES + (shard.ENTRY_BYTES * draft.applied.cards >> draft.bits)
        needed = draft.missing * each + _RECORD_BYTES + RESERVE_BYTES
        return self._files.free(self._root) >= needed

    def commit(self, draft: Draft) -> None:
        """Put a complete draft in force. After an error the list is what it was.

        Raises ListError where the cards do not add up, or OSError.
        """
        draft.check()
        self._record.write(draft.raw, draft.generations, draft.ends(), draft.rows, draft.name)
        if draft.copies:
            self._packs.switch()
        self._rows = draft.rows
        self.applied = draft.applied
        self.damaged = None
        self.swept = False

    def abandon(self, draft: Draft) -> None:
        """Give up a draft. The shards that it has brought stay, for `prepare` or for `sweep`."""
        draft.name.close()
        self._packs.drop_spare()

    def keep_index(self, data: bytes) -> None:
        """Put the index of a long fetch on flash, so that a power cut does not lose it."""
        with self._files.open(self._root + _NEXT, "wb") as file:
            file.write(data)

    def kept_index(self, digest: str) -> bytes | None:
        """The index of that name, 32 hex digits, if it was kept."""
        try:
            with self._files.open(self._root + _NEXT, "rb") as file:
                data = file.read(_INDEX_BYTES)
        except OSError:
            return None
        return data if index.name_of(data) == digest else None

    # What is left over.

    def to_renew(self, pressed: bool = False) -> int:
        """The number of a pack that is damaged, or of which a third is out of date; or -1.

        `pressed`: room is short, so that one block out of date is enough.
        """
        rows = self._rows
        room = RESERVE_BYTES if pressed or self.damaged is not None else 2 * RESERVE_BYTES
        if rows is None or self._files.free(self._root) < room:
            return _NONE
        if self.damaged is not None:
            return self._packs.pack_of(self.damaged, rows.bits)
        live = [0] * PACKS
        for i in range(1 << rows.bits):
            if rows.count(i):
                live[self._packs.pack_of(i, rows.bits)] += rows.size(i)
        for pack in range(PACKS):
            dead = self._packs.ends[pack] * UNIT - live[pack]
            if dead >= (_BLOCK_BYTES if pressed else max(_WASTE_BYTES, live[pack] >> 1)):
                return pack
        return _NONE

    def sweep(self) -> bool:
        """Remove one file that the list in force does not need; False when there is none left.

        Only for times when no draft has been begun: what a draft has brought would go as well.
        """
        if self.swept:
            return False
        needed = ["ref"]
        if self._rows is not None:
            used = self._packs.pack_of((1 << self._rows.bits) - 1, self._rows.bits) + 1
            needed += [self._packs.name(pack) for pack in range(used)]
        for name in self._files.names(self._root):
            if name not in needed:
                self._packs.remove(name)
                return True
        self.swept = True
        return False

    def _again(self, raw, applied, copied=_NONE):
        if self._rows is None:
            raise ListError("no list in force")
        return self._draft(raw, applied, self._rows.bits, self._record.names(), copied)

    def _draft(self, raw, applied, bits, name, copied=_NONE):
        return Draft(raw, applied, bits, name, self._packs, self._scanned, copied)

    def _found_generations(self):
        """The generations by the files that there are, in case the record cannot say."""
        names = self._files.names(self._root)
        found = 0
        for pack in range(PACKS):
            if f"{pack:x}1" in names and f"{pack:x}0" not in names:
                found |= 1 << pack
        return found
