"""The flash chip as a block device: each read, program and erase happens in the world."""

import line
import wire

BLOCK_BYTES = 4096


class Flash:
    def __init__(self, blocks):
        self._blocks = blocks
        self._head = bytearray(15)
        self._done = bytearray(1)

    def _address(self, op, size, block, offset, count):
        head = self._head
        head[0] = size & 255
        head[1] = size >> 8
        head[2] = op
        head[3] = block & 255
        head[4] = block >> 8
        head[7] = offset & 255
        head[8] = offset >> 8
        head[11] = count & 255
        head[12] = count >> 8

    def readblocks(self, block, buf, offset=0):
        for at in range(0, len(buf), wire.BLOCK_CHUNK):
            part = min(wire.BLOCK_CHUNK, len(buf) - at)
            self._address(wire.BLOCK_READ, 13, block, offset + at, part)
            into = buf if part == len(buf) else memoryview(buf)[at : at + part]
            line.ask(self._head, 15, into, part)

    def writeblocks(self, block, buf, offset=None):
        if offset is None:
            self.ioctl(6, block)
            offset = 0
        for at in range(0, len(buf), wire.BLOCK_CHUNK):
            part = min(wire.BLOCK_CHUNK, len(buf) - at)
            self._address(wire.BLOCK_PROGRAM, 11 + part, block, offset + at, part)
            packet = bytes(self._head[:13]) + bytes(memoryview(buf)[at : at + part])
            line.ask(packet, len(packet), self._done, 1)

    def ioctl(self, op, arg):
        if op == 4:
            return self._blocks
        if op == 5:
            return BLOCK_BYTES
        if op == 6:
            packet = bytes((5, 0, wire.BLOCK_ERASE, arg & 255, arg >> 8, 0, 0))
            line.ask(packet, 7, self._done, 1)
            return 0
        return 0
