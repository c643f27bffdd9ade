"""Shards written to the packs (packs.py), behind those that are there."""

from micropython import const

from firmware.allowlist.packs import PACKS, SPARE, UNIT

_TOGETHER = const(4)  # shards that reach the flash together: fewer blocks to write, and to erase
_BLOCK_BYTES = const(4096)
_PIECE_BYTES = const(512)
_LAST = const(0xFFFE)  # the highest place a row can hold, in units: packs of up to 512 KB
_FULL = const(28)  # ENOSPC
_NONE = const(2)  # ENOENT


class PackWriter:
    """`packs`: see there. `files`: see files.py. All methods raise OSError.

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
                if error.errno != _NONE:
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
