"""The receiving half of the contactless UART: bits into bytes, parity, collisions, end of frame.

Bytes reach the FIFO when their last bit has been on the air; the end of a frame is known one bit of
silence later, and what was wrong in it is told then: a host that waits for ErrIRq may send at once.
"""

from typing import TYPE_CHECKING

from tools.virtual.rc522 import registers as reg
from tools.virtual.rc522.air import ETU_CYCLES, Frame, Superposition, ns, parity
from tools.virtual.rc522.crc import PRESET_A, crc16

if TYPE_CHECKING:
    from tools.virtual.rc522.core import Core

STANDING, LISTENING, RECEIVING = "standing", "listening", "receiving"
TIMER_STOP_BITS = 5  # start bit and four data bits (9.3.3.10, TAuto)
LEAST_BITS = 4  # RxNoErr: fewer are taken for noise (9.3.2.4)
COLL_POS_MOST = 32
NOISE_PER_BIT = 1 / 16


class Receiver:
    """Hears one frame at a time; `due` is its next moment of interest."""

    def __init__(self, core: "Core"):
        self._core = core
        self.due: int | None = None
        self.state = STANDING
        self.opens_ns = 0
        self.last_end_ns = -1_000_000_000
        self._to_fifo = True
        self._reset_frame(0)

    def listen(self, from_ns: int, to_fifo: bool = True) -> None:
        """Receive the first frame that begins at `from_ns` or later."""
        self.state = LISTENING
        self.opens_ns = from_ns
        self._to_fifo = to_fifo
        core = self._core
        core.clear_errors(reg.COLL_ERR | reg.CRC_ERR | reg.PARITY_ERR | reg.PROTOCOL_ERR)
        core.r[reg.COLL] = core.r[reg.COLL] & reg.VALUES_AFTER_COLL | reg.COLL_POS_NOT_VALID
        self._seek(from_ns)

    def stop(self) -> None:
        """Receive no more."""
        self.state = STANDING
        self.due = None

    def air_changed(self) -> None:
        """An answer was cut short."""
        if self.state == LISTENING:
            self._seek(self.opens_ns)
        elif self.state == RECEIVING:
            self._schedule()

    def run(self, at_ns: int) -> None:
        """The moment `due` has come."""
        if self.state == LISTENING:
            self._begin(at_ns)
        elif not self._timer_seen:
            self._timer_seen = True
            self._core.stop_timer_on_reception(at_ns)
            self._schedule()
        elif self._air().length - self._position >= self._group():
            self._take_group()
            self._schedule()
        else:
            self._finish(at_ns)

    # One frame

    def _seek(self, from_ns: int) -> None:
        self.due = self._core.field.next_answer_ns(from_ns)

    def _begin(self, at_ns: int) -> None:
        if not self._core.receives():
            self._seek(at_ns + 1)
            return
        self.state = RECEIVING
        self._reset_frame(at_ns)
        self._align = self._core.r[reg.BIT_FRAMING] >> 4 & 7
        self._schedule()

    def _reset_frame(self, start_ns: int) -> None:
        self._start_ns = start_ns
        self._timer_seen = False
        self._position = 0  # bits taken
        self._align = 0
        self._data_bits = 0  # of them data, RxAlign included
        self._collided = 0  # CollPos, counted from one
        self._errors = 0
        self._held = bytearray()  # RxCRCEn: the last two bytes may be the CRC
        self._crc = PRESET_A
        self._bytes = 0
        self._raw = 0
        self._flips: list[int] = []

    def _air(self) -> Superposition:
        ones, zeros, length = self._core.field.heard(self._start_ns)
        if self._core.noise:
            flips = self._noise(length)
            collided = ones & zeros
            ones, zeros = ones ^ flips & ~collided, zeros ^ flips & ~collided
        return Superposition(ones, zeros, length)

    def _noise(self, length: int) -> int:
        rng = self._core.rng
        while len(self._flips) < length:
            self._flips.append(rng.random() < NOISE_PER_BIT)
        return sum(flip << n for n, flip in enumerate(self._flips[:length]))

    def _group(self) -> int:
        """Bits up to the end of the next byte, its parity bit included."""
        size = 8 - self._align if self._position == 0 else 8
        return size if self._core.r[reg.MF_RX] & reg.PARITY_DISABLE else size + 1

    def _schedule(self) -> None:
        length = self._air().length
        if not self._timer_seen and length >= TIMER_STOP_BITS - 1:
            bits = TIMER_STOP_BITS
        elif length - self._position >= self._group():
            self._timer_seen = True
            bits = 1 + self._position + self._group()
        else:
            self._timer_seen = True
            bits = 1 + length + 1
        self.due = self._start_ns + ns(bits * ETU_CYCLES)

    def _take_group(self) -> None:
        size = self._group()
        checked = not self._core.r[reg.MF_RX] & reg.PARITY_DISABLE
        width = size - 1 if checked else size
        value, parity_bit = self._decode(width, checked)
        first = self._position == 0
        self._position += size
        trusted = self._to_fifo and not self._collided and not (first and self._align)
        if checked and trusted and parity_bit != parity(value):
            self._errors |= reg.PARITY_ERR
        self._deliver(value << (self._align if first else 0))

    def _decode(self, width: int, with_parity: bool) -> tuple[int, int]:
        """The next `width` data bits and the parity bit, decrypted; collisions noted on the way."""
        core = self._core
        ones, zeros, _ = self._air()
        ones >>= self._position
        zeros >>= self._position
        mask = (1 << width) - 1
        if self._position == 0:
            self._data_bits = self._align
        collisions = ones & zeros & mask
        value = ones & mask
        parity_bit = ones >> width & 1
        if core.cipher is not None and self._to_fifo:
            value ^= core.cipher.stream(0, width)
            if with_parity:
                parity_bit ^= core.cipher.peek()
        clear_after = not core.r[reg.COLL] & reg.VALUES_AFTER_COLL
        if self._collided and clear_after:
            value = 0
        elif collisions:
            first = (collisions & -collisions).bit_length()
            if not self._collided:
                self._collided = self._data_bits + first
                self._errors |= reg.COLL_ERR
                if clear_after:
                    value &= (1 << first) - 1
        self._raw |= (value | parity_bit << width) << self._position
        self._data_bits += width
        return value, parity_bit

    def _deliver(self, value: int) -> None:
        self._bytes += 1
        if not self._to_fifo:
            return
        self._crc = crc16(bytes((value,)), self._crc)
        if self._core.r[reg.RX_MODE] & reg.CRC_EN:
            self._held.append(value)
            if len(self._held) > 2:
                self._core.receive_byte(self._held.pop(0))
        else:
            self._core.receive_byte(value)

    def _finish(self, at_ns: int) -> None:
        core = self._core
        length = self._air().length
        self.last_end_ns = at_ns - ns(ETU_CYCLES)
        if length < LEAST_BITS and core.r[reg.RX_MODE] & reg.RX_NO_ERR:
            self.listen(at_ns, self._to_fifo)
            return
        left = max(0, length - self._position)
        last_bits = 0
        if left:
            first = self._position == 0
            value, _ = self._decode(min(left, 8), False)
            self._position = length
            last_bits = (left + (self._align if first else 0)) % 8
            if left == 8 and not self._collided:
                self._errors |= reg.PARITY_ERR  # the byte is whole, its parity bit never came
            self._deliver(value << (self._align if first else 0) & 0xFF)
        core.r[reg.CONTROL] = core.r[reg.CONTROL] & ~7 | last_bits
        if self._to_fifo and core.r[reg.RX_MODE] & reg.CRC_EN:
            self._check_crc(whole=last_bits == 0)
        if self._errors:
            core.error(self._errors)
        if 0 < self._collided <= COLL_POS_MOST:
            core.r[reg.COLL] = core.r[reg.COLL] & reg.VALUES_AFTER_COLL | self._collided & 0x1F
        self.state = STANDING
        self.due = None
        core.received(at_ns, Frame(self._raw, length))

    def _check_crc(self, whole: bool) -> None:
        if not whole or self._bytes < 3:
            for value in self._held:
                self._core.receive_byte(value)
        if not whole or self._bytes < 3 or self._crc:
            self._errors |= reg.CRC_ERR
