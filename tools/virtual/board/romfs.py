"""The partition that holds the ROM file system: mapped into memory, and a block device to whoever
deploys a new one."""

import binascii

import line

BLOCK_BYTES = 4096
_CHUNK = 1024  # bytes of one message to the world


class Partition(bytearray):
    def ioctl(self, op, arg):
        if op == 4:
            return len(self) // BLOCK_BYTES
        if op == 5:
            return BLOCK_BYTES
        if op == 6:
            self._put(arg * BLOCK_BYTES, b"\xff" * BLOCK_BYTES)
        return 0

    def readblocks(self, block, buf, offset=0):
        at = block * BLOCK_BYTES + offset
        buf[:] = memoryview(self)[at : at + len(buf)]

    def writeblocks(self, block, buf, offset=None):
        if offset is None:
            self.ioctl(6, block)
            offset = 0
        self._put(block * BLOCK_BYTES + offset, buf)

    def _put(self, at, data):
        memory = memoryview(self)
        if at < 0 or at + len(data) > len(memory):
            raise OSError(22)
        memory[at : at + len(data)] = data
        for done in range(0, len(data), _CHUNK):
            part = memoryview(data)[done : done + _CHUNK]
            line.call("rom.write", at + done, binascii.hexlify(part).decode())
