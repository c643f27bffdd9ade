"""The flash: a littlefs image in a file of the computer, each access counted and given its time."""

import clockwork

BLOCK_BYTES = 4096
READ_NS = 1_000_000  # DESIGN section 11: a block read, however little of it
# ... and 60 ms for a block erased and programmed: three quarters and more of that is the erasure
# (a W25Q32's data sheet: 45 ms for a sector, 16 pages of 0.7 ms), the rest goes by the bytes.
ERASE_NS = 48_000_000
PROGRAM_NS = 12_000_000


class Flash:
    """`file`: opened for reading and writing, without a buffer.

    `reads`: blocks, counted anew whenever another one is read than the time before. `pieces`: calls
    for reading. `touched`: the blocks that were read, `programmed`, `erased`: in the same way.
    """

    def __init__(self, file, blocks):
        self._file = file
        self._blocks = blocks
        self.read_bytes = self.programmed_bytes = 0
        self.count()

    def count(self):
        """Count from zero."""
        self._last = -1
        self.reads = self.pieces = self.erasures = 0
        self.touched = bytearray(self._blocks)
        self.programmed = bytearray(self._blocks)

    def readblocks(self, block, buf, offset=0):
        clockwork.enter()
        self.pieces += 1
        self.touched[block] = 1
        if block != self._last:
            self._last = block
            self.reads += 1
            clockwork.passes(clockwork.FLASH, READ_NS)
        self._file.seek(block * BLOCK_BYTES + offset)
        self._file.readinto(buf)
        clockwork.leave()

    def writeblocks(self, block, buf, offset=None):
        clockwork.enter()
        if offset is None:
            self._erase(block)
            offset = 0
        self._last = -1
        self.programmed[block] = 1
        self.programmed_bytes += len(buf)
        clockwork.passes(clockwork.FLASH, PROGRAM_NS * len(buf) // BLOCK_BYTES)
        self._file.seek(block * BLOCK_BYTES + offset)
        self._file.write(buf)
        clockwork.leave()

    def ioctl(self, op, arg):
        if op == 4:
            return self._blocks
        if op == 5:
            return BLOCK_BYTES
        if op == 6:
            clockwork.enter()
            self._erase(arg)
            clockwork.leave()
        return 0

    def _erase(self, block):
        self._last = -1
        self.erasures += 1
        clockwork.passes(clockwork.FLASH, ERASE_NS)
        self._file.seek(block * BLOCK_BYTES)
        self._file.write(_ERASED)


_ERASED = b"\xff" * BLOCK_BYTES


def blocks_in(marks):
    """How many blocks are marked."""
    return sum(marks)
