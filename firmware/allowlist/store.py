"""The allow-list on flash: looked up at each tap (DESIGN section 6); revision.py replaces it whole.

Under `root`: `ref`, the record of the list in force (record.py); `i0` or `i1`, its index, and in
the other that of a list still to be fetched (digests.py); up to 16 packs of shards (packs.py). A
list that is missing, damaged or not signed is nobody, and so is a shard: its SHA-256 is compared at
every look-up. That is 4 KB at most, about a millisecond on an ESP32, and lets no flipped bit decide
who may charge.

In memory: 11 bytes a shard (2.8 KB for 50,000 cards in 256 shards), as many again while an update
is under way, one buffer of 4,096 bytes, and the open files of the packs.
"""

import gc
import hashlib

from micropython import const

from firmware.allowlist import shard
from firmware.allowlist.packs import PACKS, Packs
from firmware.allowlist.record import Record
from firmware.allowlist.rows import Rows
from firmware.files import Files

_ABSENT = const(2)  # ENOENT


class Store:
    """`root`: a directory, made when missing. `verify(raw)`: the JSON object of a signed ref, or
    ValueError. `files`: see files.py.

    `applied`: version, index, cards, max_age_s, t of the list in force (ref.py), or None.
    `damaged`: a shard that was found damaged, or None.
    `swept`: whether nothing is left over that `Revision` would renew or sweep away.
    `rows`, `packs`: of the list in force; `rows` is None where there is none. `generation`: of its
    index. `view`: 4,096 bytes, which each look-up overwrites.
    """

    def __init__(self, root: str, verify, files=None):
        self.root = root
        self._verify = verify
        self.files = files or Files()
        self.view = memoryview(bytearray(shard.SHARD_BYTES))
        self.packs = Packs(self.files, root)
        self.generation = 1  # of the index in force: a first one goes to i0
        self.rows: Rows | None = None
        self.swept = False
        self.applied = None
        self.damaged = None

    def load(self) -> str | None:
        """Read the list in force. Returns why it is damaged, and nobody's; None where it is not, or
        where there is no list yet. Raises OSError where the directory cannot be made or read.
        """
        self.rows = self.applied = self.damaged = None
        self.generation = 1
        self.swept = False
        self.files.make(self.root)
        self.packs.begin(self._found_generations(), [0] * PACKS)
        try:
            found = Record(self.files, self.root).read(self._verify, self.view)
        except (OSError, ValueError, MemoryError) as error:
            absent = isinstance(error, OSError) and error.errno == _ABSENT
            return None if absent else str(error) or repr(error)
        self.applied, generations, self.generation, ends, self.rows = found
        self.packs.begin(generations, ends)
        gc.collect()  # so that the files lie low
        for pack in range(PACKS):
            if self.live(pack):
                self.packs.open(pack)
        return None

    def lookup(self, token: bytes) -> tuple | None:
        """(group, valid_from_min, valid_until_min, flags) of a token, 7 bytes; None: nobody.

        One read of one shard, from a file that is open. Never raises.
        """
        rows = self.rows
        if rows is None:
            return None
        bits = rows.bits
        i = shard.shard_of(token, bits)
        if not rows.count(i):
            return None
        found = self.view[: rows.size(i)]
        try:
            whole = self.packs.read(self.packs.pack_of(i, bits), rows.where(i), found)
        except OSError:
            whole = False
        if not whole or not rows.marked(i, hashlib.sha256(found).digest()):
            self.damaged = i
            return None
        return shard.find(found, token)

    def close(self) -> None:
        """Close all files. `load` opens them again."""
        self.packs.close()
        self.rows = self.applied = None

    def settle(self) -> bool:
        """What an update leaves lies above all that it took, and the free memory in pieces. Put one
        thing of it where there is room further down, after a collection; False: nothing is left.
        """
        packs = self.packs
        for pack in range(PACKS):
            if packs.written >> pack & 1:
                try:
                    packs.shut(pack)
                    packs.open(pack)
                    if self.rows and not packs.written:
                        self.rows = self.rows.copy()
                except MemoryError:
                    pass  # it goes without
                return True
        return False

    def live(self, pack: int) -> int:
        """What the shards of a pack that the list in force needs take, in bytes."""
        rows = self.rows
        return rows.bytes_from(*self.packs.shards_of(pack, rows.bits)) if rows else 0

    def _found_generations(self):
        """The generations by the files that there are, in case the record cannot say."""
        names = self.files.names(self.root)
        found = 0
        for pack in range(PACKS):
            if f"{pack:x}1" in names and f"{pack:x}0" not in names:
                found |= 1 << pack
        return found
