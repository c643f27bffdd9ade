"""The CRC coprocessor behind CalcCRC, and the digital self-test that the same command starts.

It works for as long as the command is active: bytes written later are added (data sheet 10.3.1.4).
"""

from typing import TYPE_CHECKING

from tools.virtual.rc522 import registers as reg
from tools.virtual.rc522 import selftest
from tools.virtual.rc522.crc import PRESETS, crc16, reversed_bits

if TYPE_CHECKING:
    from tools.virtual.rc522.core import Core

NS_PER_BYTE = 600  # eight carrier clocks


class Coprocessor:
    """`due` is when it has worked through what is in the FIFO, None while it has nothing to do."""

    def __init__(self, core: "Core"):
        self._core = core
        self.due: int | None = None
        self._testing = False
        self._register = 0xFFFF

    def start(self, at_ns: int) -> None:
        """CalcCRC begins: load the preset, or run the self-test if AutoTestReg asks for it."""
        core = self._core
        self._testing = core.r[reg.AUTO_TEST] & 0x0F == selftest.SELF_TEST
        if self._testing:
            core.fifo.flush()
            self.due = at_ns + selftest.DURATION_NS
        else:
            self._register = PRESETS[core.r[reg.MODE] & 3]
            self.feed(at_ns)

    def feed(self, at_ns: int) -> None:
        """There may be bytes in the FIFO."""
        core = self._core
        if len(core.fifo) and self.due is None:
            core.r[reg.STATUS1] &= ~(reg.CRC_READY | reg.CRC_OK) & 0xFF
            self.due = at_ns + NS_PER_BYTE * len(core.fifo)

    def stop(self) -> None:
        """Another command has begun."""
        self.due = None

    def run(self, at_ns: int) -> None:
        """The moment `due` has come."""
        core = self._core
        self.due = None
        if self._testing:
            for value in selftest.result(core.version, core.buffer):
                core.fifo.push(value)
        else:
            self._take(core.fifo.take(len(core.fifo)))
        core.fifo_changed()
        core.div_irq |= reg.CRC_IRQ

    def _take(self, data: bytes) -> None:
        r = self._core.r
        msb_first = r[reg.MODE] & reg.MSB_FIRST
        if msb_first:
            data = bytes(reversed_bits(value) for value in data)
        self._register = crc16(data, self._register)
        low, high = self._register & 0xFF, self._register >> 8
        if msb_first:
            low, high = reversed_bits(low), reversed_bits(high)
        r[reg.CRC_RESULT_L], r[reg.CRC_RESULT_H] = low, high
        r[reg.STATUS1] |= reg.CRC_READY | (0 if self._register else reg.CRC_OK)
