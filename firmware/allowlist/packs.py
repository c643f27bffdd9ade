"""The shards on flash: up to 16 files, each a row of whole shards, one behind the other.

DESIGN section 6 has each shard in a file of its name. Measured on littlefs as the board has it,
with 256 shards, that takes a third more blocks (a file is rounded up to one, a directory to two); a
look-up reads some 260 pieces of up to 128 bytes, because `open` searches directories, instead of
30; a card changed programs 9 blocks instead of 5, most of them directory; and whatever is written
next may first have to walk through 256 files in search of a free block. Sixteen files stay open, at
some 270 bytes of memory each, and cost none of that. Names still decide what counts: record.py.

A shard that changes is written behind the others of its pack; what lay there before is never
touched. When a third of a pack is out of date its shards are copied to the pack's other file: each
pack has two names, `a0` and `a1`, and one bit, its generation, says which of them counts.
"""

from micropython import const

PACKS = const(16)
SPARE = const(16)  # stands for the other file of the pack that is being copied
UNIT = const(8)  # bytes; all shards are multiples of it: 8 + 16 n

_TOGETHER = const(4)  # shards that reach the flash together: fewer blocks to write, and to erase
_BLOCK_BYTES = const(4096)
_PIECE_BYTES = const(512)
_LAST = const(0xFFFE)  # the highest place a row can hold, in units: packs of up to 512 KB
_FULL = const(28)  # ENOSPC
_NONE = const(2)  # ENOENT


class Packs:
    """`files`: see files.py. `root`: the directory. `generations`: bit k for pack k.

    `ends`: where the next shard goes. `listed`: the ends as the record in force has them; what lies
    behind was brought by updates that never came to their end. Places and ends are in units of 8
    bytes. All methods raise OSError.
    """

    def __init__(self, files, root: str):
        self._files = files
        self._root = root
        self._open: list = [None] * (PACKS + 1)
        self._written = set()  # the packs whose open file may be written
        self._copied = 0  # the pack that SPARE stands for
        self._loose = None  # the pack whose last shards a power cut would take
        self._flushed = 0  # its end without them
        self._held = 0  # how many they are
        self._size = 0  # bytes of the last of them
        self.begin(0, [0] * PACKS)

    def begin(self, generations: int, ends: list) -> None:
        """Go by the record of a list, with all files closed."""
        self.close()
        self.generations = generations
        self.listed = ends[:]
        self.ends = ends + [0]

    def pack_of(self, shard: int, bits: int) -> int:
        """The pack of a shard: its top four bits, or all when it has fewer."""
        return shard >> (bits - 4) if bits > 4 else shard

    def shards_of(self, pack: int, bits: int) -> tuple:
        """(first, end): the shards that a pack holds."""
        if bits > 4:
            return pack << (bits - 4), (pack + 1) << (bits - 4)
        return (pack, pack + 1) if pack < 1 << bits else (0, 0)

    def read(self, pack: int, where: int, view: memoryview) -> bool:
        """Fill `view` from place `where` on; False when the pack ends before."""
        file = self._open[pack] or self._opened(pack, "rb")
        file.seek(where * UNIT)
        return file.readinto(view) == len(view)

    def open(self, pack: int) -> None:
        """So that the first look-up in it has no directory to search. One that cannot be opened is
        left for that look-up to find out."""
        try:
            self._opened(pack, "rb")
        except OSError:
            pass

    def append(self, pack: int, data: bytes | bytearray | memoryview) -> int:
        """Write a shard behind the others; the place where it begins. It is there for good after
        `flush`. After an error the pack is what it was then.
        """
        if self._loose != pack:
            self.finish()
        elif self._held == _TOGETHER:
            self.flush()
        where = self.ends[pack]
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
        self.ends[pack] = end
        self._held += 1
        self._size = len(data)
        return where

    def flush(self) -> None:
        """What was written is there for good."""
        pack = self._loose
        if pack is not None:
            try:
                self._open[pack].flush()
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
            begin = self.ends[pack]
            end = self.behind_block(begin)
            rest = _block_end(begin * UNIT) - begin * UNIT
            if rest < self._size and end <= _LAST:
                try:
                    file = self._open[pack]
                    file.seek(begin * UNIT)  # elsewhere, littlefs would write the block before
                    nothing = memoryview(bytes(_PIECE_BYTES))
                    while rest > 0:
                        file.write(nothing[:rest])
                        rest -= _PIECE_BYTES
                except OSError:
                    self._give_up(pack)
                    raise
                self.ends[pack] = end
        self.flush()

    def behind_block(self, place: int) -> int:
        """The first place behind the block that a pack with this end ends in."""
        return -(-_block_end(place * UNIT) // UNIT)

    def copy_to_spare(self, pack: int) -> None:
        """Begin the other file of `pack`, empty, as SPARE."""
        self.drop_spare()
        self._copied = pack
        self.ends[SPARE] = 0
        self._opened(SPARE, "w+b")
        self._written.add(SPARE)

    def drop_spare(self) -> None:
        """Give up the copy, if there is one."""
        if self._open[SPARE] is not None:
            self._close(SPARE)
            self._try_to_remove(self._path(SPARE))

    def switched(self) -> int:
        """The generations as they will be when SPARE counts."""
        return self.generations ^ 1 << self._copied

    def switch(self) -> None:
        """SPARE counts from now on, and the file that counted so far goes."""
        pack = self._copied
        old = self._path(pack)
        self._close(pack)
        self.generations = self.switched()
        self._open[pack], self._open[SPARE] = self._open[SPARE], None
        self._written.add(pack)
        self._written.discard(SPARE)
        self.ends[pack] = self.ends[SPARE]
        self._try_to_remove(old)

    def name(self, pack: int) -> str:
        """The file of a pack: its number in hex and its generation."""
        if pack == SPARE:
            return f"{self._copied:x}{self.switched() >> self._copied & 1}"
        return f"{pack:x}{self.generations >> pack & 1}"

    def remove(self, name: str) -> None:
        """Remove a file that no list needs, be it a pack's or another."""
        for pack in range(PACKS):
            if self.name(pack) == name:
                self._close(pack)
                self.ends[pack] = self.listed[pack] = 0
        self._files.remove(f"{self._root}/{name}")

    def close(self) -> None:
        for pack in range(PACKS + 1):
            self._close(pack)

    def _give_up(self, pack):
        self.ends[pack] = self._flushed
        self._close(pack)

    def _path(self, pack):
        return f"{self._root}/{self.name(pack)}"

    def _opened(self, pack, mode):
        file = self._open[pack] = self._files.open(self._path(pack), mode)
        return file

    def _writable(self, pack):
        # Only from the first write on: littlefs counts the blocks of a file that is open for
        # writing, and not yet flushed, twice.
        if pack not in self._written:
            self._close(pack)
            try:
                self._opened(pack, "r+b")
            except OSError as error:
                if error.errno != _NONE:
                    raise
                self._opened(pack, "w+b")
            self._written.add(pack)
        return self._open[pack]

    def _try_to_remove(self, path):
        try:
            self._files.remove(path)
        except OSError:
            pass  # a later sweep finds it

    def _close(self, pack):
        file, self._open[pack] = self._open[pack], None
        self._written.discard(pack)
        if self._loose == pack:
            self._loose = None
        if file is None:
            return
        try:
            file.close()
        except OSError:
            pass  # what could not be written is not there: `append` has said so


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
