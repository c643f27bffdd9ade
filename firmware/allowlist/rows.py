"""Where each shard of a list lies: 11 bytes a shard in memory, whatever the number of cards."""

from micropython import const

from firmware.allowlist.shard import ENTRY_BYTES, HEADER_BYTES

NOWHERE = const(0xFFFF)

_ROW_BYTES = const(11)
_MARK_BYTES = const(8)
_COUNT = const(8)
_WHERE = const(9)


class Rows:
    """For each of 2^`bits` shards: its digest's first 8 bytes, its entries, its place in its pack.

    Eight bytes of the digest find damage just as well as sixteen; the whole digest was checked when
    the shard arrived and stands in the record on flash. Places count units of 8 bytes.
    """

    def __init__(self, bits: int):
        self.bits = bits
        self._data = bytearray(_ROW_BYTES << bits)
        for i in range(1 << bits):
            self.put(i, b"", 0, NOWHERE)

    def put(self, i: int, digest: bytes, count: int, where: int) -> None:
        at = _ROW_BYTES * i
        self._data[at : at + len(digest[:_MARK_BYTES])] = digest[:_MARK_BYTES]
        self._data[at + _COUNT] = count
        self._data[at + _WHERE] = where >> 8
        self._data[at + _WHERE + 1] = where & 0xFF

    def count(self, i: int) -> int:
        """How many entries shard `i` has."""
        return self._data[_ROW_BYTES * i + _COUNT]

    def size(self, i: int) -> int:
        """How many bytes shard `i` has."""
        return HEADER_BYTES + ENTRY_BYTES * self._data[_ROW_BYTES * i + _COUNT]

    def where(self, i: int) -> int:
        """Where shard `i` begins in its pack, or NOWHERE."""
        at = _ROW_BYTES * i + _WHERE
        return self._data[at] << 8 | self._data[at + 1]

    def marked(self, i: int, digest: bytes) -> bool:
        """Whether `digest` is that of shard `i`."""
        at = _ROW_BYTES * i
        return self._data[at : at + _MARK_BYTES] == digest[:_MARK_BYTES]

    def cards(self) -> int:
        """The entries of all shards together."""
        return sum([self.count(i) for i in range(1 << self.bits)])
