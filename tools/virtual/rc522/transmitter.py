"""The transmitting half of the contactless UART: takes bytes from the FIFO as it sends them.

A host may go on filling the FIFO while it is being sent; the frame ends when the FIFO is empty at
the moment the next byte is due.
"""

from typing import TYPE_CHECKING

from tools.virtual.rc522 import registers as reg
from tools.virtual.rc522.air import ETU_CYCLES, FDT_LISTEN_CYCLES, Frame, cycles, ns, parity
from tools.virtual.rc522.crc import PRESET_A, crc16

if TYPE_CHECKING:
    from tools.virtual.rc522.core import Core

STANDING, WAITING, SENDING = "standing", "waiting", "sending"
TX_WAIT_LEAST = 7  # bits that are added to MfTxReg TxWait (9.3.2.13)


class Transmitter:
    """Sends one frame at a time; `due` is its next moment of interest."""

    def __init__(self, core: "Core"):
        self._core = core
        self.due: int | None = None
        self.state = STANDING
        self._prepared: Frame | None = None
        self._started_ns = 0
        self._bits = self._length = 0
        self._crc = PRESET_A
        self._complete = False

    def start(self, at_ns: int, frame: Frame | None = None) -> None:
        """Send `frame`, or what is in the FIFO, as soon as the air is free and the field is on."""
        self._prepared = frame
        self._bits = self._length = 0
        self._crc = PRESET_A
        self._complete = False
        self.state = WAITING
        wait = TX_WAIT_LEAST + (self._core.r[reg.MF_TX] & 3)
        guard = (wait - 9) * ETU_CYCLES + FDT_LISTEN_CYCLES
        self.due = max(at_ns, self._core.receiver.last_end_ns + ns(guard))

    def stop(self, at_ns: int) -> None:
        """Cut off: what has left the antenna stays heard, as a frame that ends too early."""
        if self.state == SENDING:
            out = max(0, min(self._length, cycles(at_ns - self._started_ns) // ETU_CYCLES - 1))
            self._radiate(Frame(self._bits & ((1 << out) - 1), out))
        self.state = STANDING
        self.due = None

    def carrier_on(self, at_ns: int) -> None:
        """The field came on: a transmission that waited for it begins."""
        if self.state == WAITING and self.due is None:
            self.due = at_ns

    def run(self, at_ns: int) -> None:
        """The moment `due` has come."""
        if self.state == WAITING:
            self._begin(at_ns)
        elif self._complete:
            self._finish(at_ns)
        else:
            self._next_byte()

    def _begin(self, at_ns: int) -> None:
        core = self._core
        if core.r[reg.MODE] & reg.TX_WAIT_RF and not core.field.carrier:
            self.due = None
            return
        self.state = SENDING
        self._started_ns = at_ns
        if self._prepared is not None:
            self._bits, self._length = self._prepared
            self._close()
        else:
            self._next_byte()

    def _next_byte(self) -> None:
        core = self._core
        if not len(core.fifo):
            self._append_crc()
            self._close()
            return
        value = core.fifo.pop()
        core.fifo_changed()
        self._crc = crc16(bytes((value,)), self._crc)
        last_bits = core.r[reg.BIT_FRAMING] & 7 if not len(core.fifo) else 0
        self._append(value, last_bits)
        if last_bits:
            self._close()
        else:
            self.due = self._at_bit(self._length)

    def _append(self, value: int, last_bits: int = 0) -> None:
        core = self._core
        size = last_bits or 8
        hidden_parity = 0
        if core.cipher is not None:
            plain = value
            value ^= core.cipher.stream(0, size)
            hidden_parity = parity(plain) ^ core.cipher.peek()
        else:
            hidden_parity = parity(value)
        value &= (1 << size) - 1
        self._bits |= value << self._length
        self._length += size
        if not last_bits and not core.r[reg.MF_RX] & reg.PARITY_DISABLE:
            self._bits |= hidden_parity << self._length
            self._length += 1

    def _append_crc(self) -> None:
        if self._core.r[reg.TX_MODE] & reg.CRC_EN and self._length:
            for value in self._crc.to_bytes(2, "little"):
                self._append(value)

    def _close(self) -> None:
        self._complete = True
        self.due = self._at_bit(self._length)

    def _finish(self, at_ns: int) -> None:
        self.state = STANDING
        self.due = None
        if self._length:
            self._radiate(Frame(self._bits, self._length))
        self._core.sent(at_ns, self._length > 0)

    def _radiate(self, frame: Frame) -> None:
        core = self._core
        if core.modulates():
            core.field.transmit(frame, self._started_ns, core.r[reg.MOD_WIDTH] + 1)

    def _at_bit(self, position: int) -> int:
        """When data bit `position` begins; the start bit comes first."""
        speed = self._core.r[reg.TX_MODE] >> 4 & 7
        return self._started_ns + ns((1 + position) * (ETU_CYCLES >> speed))
