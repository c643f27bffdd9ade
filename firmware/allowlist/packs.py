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


class Packs:
    """`system`: see files.py. `root`: the directory. `generations`: bit k for pack k.

    `ends`: where the next shard goes (revision.py). `listed`: the ends as the record in force
    has them; what lies behind was brought by updates that never came to their end. Places and ends
    are in units of 8 bytes. `files`: those that are open, by pack; `written`: bit k where that of
    pack k may be written. All methods raise OSError.
    """

    def __init__(self, system, root: str):
        self._system = system
        self.root = root
        self.files: list = [None] * (PACKS + 1)
        self.written = 0
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
        file = self.files[pack] or self._opened(pack)
        file.seek(where * UNIT)
        return file.readinto(view) == len(view)

    def open(self, pack: int) -> None:
        """So that the first look-up in it has no directory to search. One that cannot be opened is
        left for that look-up to find out."""
        try:
            self._opened(pack)
        except OSError:
            pass

    def name(self, pack: int) -> str:
        """The file of a pack: its number in hex and its generation."""
        return f"{pack:x}{self.generations >> pack & 1}"

    def close(self) -> None:
        for pack in range(PACKS + 1):
            self.shut(pack)

    def path_of(self, pack: int) -> str:
        return f"{self.root}/{self.name(pack)}"

    def _opened(self, pack):
        file = self.files[pack] = self._system.open(self.path_of(pack), "rb")
        return file

    def shut(self, pack: int) -> None:
        """Close the file of a pack, if it is open."""
        file, self.files[pack] = self.files[pack], None
        self.written &= ~(1 << pack)
        if file is None:
            return
        try:
            file.close()
        except OSError:
            pass  # what could not be written is not there: `append` has said so
