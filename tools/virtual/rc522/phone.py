"""A phone with card emulation on: a random number, new at each field, and ISO-DEP behind it."""

import random

from tools.virtual.rc522.air import Answer, Frame, standard_frame, take_apart
from tools.virtual.rc522.card import HALT, START_UP_MOST_NS, Card
from tools.virtual.rc522.crc import crc_a

RANDOM_NUMBER = 0x08  # first byte of a random 4-byte number (AN10833, table 1)
SAK_ISO_DEP = 0x20
RATS = 0xE0
ATS = bytes.fromhex("0578807002")
DESELECT = b"\xc2"
START_UP_LEAST_NS = 2_000_000  # its controller wakes up with the field


class Phone(Card):
    """Shows `08` and three random bytes, another number after each field reset; SAK 20."""

    def __init__(self, rng: random.Random | None = None, start_up_ns: int | None = None):
        rng = rng or random.Random()
        super().__init__(_new_number(rng), b"\x04\x00", SAK_ISO_DEP, rng, start_up_ns)

    def power_up(self, at_ns: int) -> None:
        super().power_up(at_ns)
        self.number = _new_number(self.rng)

    def draw_start_up_ns(self) -> int:
        return self.rng.randint(START_UP_LEAST_NS, START_UP_MOST_NS)

    def hear_active(self, frame: Frame, start_ns: int) -> Answer | None:
        """RATS and DESELECT of ISO/IEC 14443-4, and HLTA; no application behind them."""
        data, rest, intact = take_apart(frame)
        whole = intact and not rest.length and crc_a(data[:-2]) == data[-2:]
        if whole and len(data) == 4 and data[0] == RATS:
            return Answer(standard_frame(ATS + crc_a(ATS)))
        if whole and data[:-2] == DESELECT:
            self.state = HALT
            return Answer(standard_frame(data))
        return super().hear_active(frame, start_ns)


def _new_number(rng: random.Random) -> bytes:
    return bytes([RANDOM_NUMBER]) + rng.randbytes(3)
