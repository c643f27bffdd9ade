"""Where each shard of a list lies: 11 bytes a shard in memory, whatever the number of cards."""

from micropython import const

from firmware.allowlist.shard import ENTRY_BYTES, HEADER_BYTES

NOWHERE = const(0xFFFF)

_MARK_BYTES = const(8)


class Rows:
    """For each of 2^`bits` shards: its digest's first 8 bytes, its entries, its place in its pack.

    Eight bytes of the digest find damage just as well as sixteen; the whole digest was checked when
    the shard arrived and stands in the index on flash. Places count units of 8 bytes.

    `counts`, `wheres`: u8 and u16 for each shard, as the record has them.
    """

    def __init__(self, bits: int):
        self.bits = bits
        self._marks = bytearray(_MARK_BYTES << bits)
        self.counts = bytearray(1 << bits)
        self.wheres = bytearray(b"\xff" * (2 << bits))

    def copy(self):
        """Rows that say the same."""
        other = Rows(self.bits)
        other.adopt(self, 0, 1 << self.bits)
        return other

    def adopt(self, rows, first: int, end: int) -> None:
        """Take over what `rows`, of as many bits, say of the shards from `first` to `end`."""
        at, to = _MARK_BYTES * first, _MARK_BYTES * end
        self._marks[at:to] = memoryview(rows._marks)[at:to]
        self.counts[first:end] = memoryview(rows.counts)[first:end]
        self.wheres[2 * first : 2 * end] = memoryview(rows.wheres)[2 * first : 2 * end]

    def forget(self, first: int, end: int) -> None:
        """The shards from `first` to `end` are nowhere."""
        self.wheres[2 * first : 2 * end] = b"\xff" * (2 * (end - first))

    def mark(self, i: int, digest: bytes | memoryview) -> None:
        """The digest of shard `i`."""
        at = _MARK_BYTES * i
        self._marks[at : at + _MARK_BYTES] = digest[:_MARK_BYTES]

    def put(self, i: int, digest: bytes | memoryview, count: int, where: int) -> None:
        self.mark(i, digest)
        self.counts[i] = count
        self.wheres[2 * i] = where >> 8
        self.wheres[2 * i + 1] = where & 0xFF

    def count(self, i: int) -> int:
        """How many entries shard `i` has."""
        return self.counts[i]

    def size(self, i: int) -> int:
        """How many bytes shard `i` has."""
        return HEADER_BYTES + ENTRY_BYTES * self.counts[i]

    def where(self, i: int) -> int:
        """Where shard `i` begins in its pack, or NOWHERE."""
        return self.wheres[2 * i] << 8 | self.wheres[2 * i + 1]

    def marked(self, i: int, digest: bytes | memoryview) -> bool:
        """Whether `digest` is that of shard `i`."""
        at = _MARK_BYTES * i
        return self._marks[at : at + _MARK_BYTES] == digest[:_MARK_BYTES]

    def gaps(self, first: int, end: int) -> bool:
        """False only where none of the shards from `first` to `end` is nowhere."""
        return b"\xff\xff" in bytes(self.wheres[2 * first : 2 * end])

    def cards(self) -> int:
        """The entries of all shards together."""
        return sum(self.counts)

    def bytes_from(self, first: int, end: int) -> int:
        """What the shards from `first` to `end` take on flash."""
        counts = self.counts[first:end]
        shards = len(counts) - bytes(counts).count(b"\x00")  # one of nobody takes nothing
        return HEADER_BYTES * shards + ENTRY_BYTES * sum(counts)
