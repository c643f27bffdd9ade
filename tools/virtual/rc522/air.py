"""What is on the air between reader and card at 106 kbit/s: bits, parity, and their times.

A frame is a run of bits without its start bit, first bit on air in bit 0 of an integer. Bytes go
least significant bit first, each followed by an odd parity bit (ISO/IEC 14443-3, 6.2). Times are
nanoseconds on one clock; the standards count them in periods of the 13.56 MHz carrier.
"""

from typing import NamedTuple

CARRIER_HZ = 13_560_000
ETU_CYCLES = 128  # one bit at 106 kbit/s
FDT_LISTEN_CYCLES = 1_172  # reader may send this long after a card's last bit (14443-3, 6.2.1.2)
FDT_GRID_CYCLES = 1_300  # last data bit's start -> card's start bit, less the pause's width

_PARITY = [1 ^ (value.bit_count() & 1) for value in range(256)]
_WITH_PARITY = [value | _PARITY[value] << 8 for value in range(256)]


def ns(cycles: int) -> int:
    """Carrier periods as nanoseconds (1e9 / 13.56e6 = 25000 / 339)."""
    return cycles * 25_000 // 339


def cycles(duration_ns: int) -> int:
    """Nanoseconds as whole carrier periods."""
    return duration_ns * 339 // 25_000


class Frame(NamedTuple):
    """`length` bits, parity included where there is any; bit 0 is the first on air."""

    bits: int
    length: int


class Answer(NamedTuple):
    """What a card sends back, and how many etu later than at the earliest it begins."""

    frame: Frame
    later_etu: int = 0


def parity(value: int) -> int:
    """The odd parity bit of one byte."""
    return _PARITY[value]


def standard_frame(data: bytes, last_bits: int = 0, parity_bits: bool = True) -> Frame:
    """`data` as a frame; of the last byte only `last_bits` bits (0: all eight, and parity)."""
    bits = length = 0
    group = 9 if parity_bits else 8
    for value in data:
        bits |= (_WITH_PARITY[value] if parity_bits else value) << length
        length += group
    if last_bits and data:
        length += last_bits - group
        bits &= (1 << length) - 1
    return Frame(bits, length)


class Received(NamedTuple):
    """A frame taken apart by a card: whole bytes, the bits left over, and whether parity held."""

    data: bytes
    rest: Frame
    intact: bool


def take_apart(frame: Frame) -> Received:
    """Split a frame into bytes with parity and an incomplete last byte (which has no parity)."""
    bits, length = frame
    data = bytearray()
    intact = True
    while length >= 9:
        group = bits & 0x1FF
        data.append(group & 0xFF)
        intact &= group == _WITH_PARITY[group & 0xFF]
        bits >>= 9
        length -= 9
    return Received(bytes(data), Frame(bits & ((1 << length) - 1), length), intact)


def from_bit(data: bytes, known: int) -> Frame:
    """`data` without its first `known` bits, parity after each byte's end (14443-3, 6.2.3.3).

    The reader sent the beginning of a split byte; the parity bit after its end covers the whole
    byte, so that a reader must not check it against the bits that it received.
    """
    whole, rest = divmod(known, 8)
    bits, length = standard_frame(data[whole:])
    return Frame(bits >> rest, length - rest)


class Superposition(NamedTuple):
    """Several cards' Manchester bits at once: where a one, and where a zero, is being sent."""

    ones: int
    zeros: int
    length: int


def superpose(parts: list[tuple[int, Frame]]) -> Superposition:
    """Lay frames over each other, each at its offset in bits; ends at the first silent bit."""
    ones = zeros = 0
    for offset, (bits, length) in parts:
        mask = (1 << length) - 1
        ones |= (bits & mask) << offset
        zeros |= (~bits & mask) << offset
    silent = ~(ones | zeros)
    length = (silent & -silent).bit_length() - 1
    mask = (1 << length) - 1
    return Superposition(ones & mask, zeros & mask, length)
