"""A card up to its selection: the states of ISO/IEC 14443-3 type A (clauses 6.3 to 6.5).

Numbers have 4, 7 or 10 bytes. A card hears whole frames and answers or keeps silent; what it can
do once selected is its subclass's.
"""

import random

from tools.virtual.rc522.air import Answer, Frame, from_bit, standard_frame, take_apart
from tools.virtual.rc522.crc import crc_a

REQA = Frame(0x26, 7)
WUPA = Frame(0x52, 7)
HLTA = bytes.fromhex("5000")
SELECT_CODES = (0x93, 0x95, 0x97)  # SEL of cascade levels 1 to 3
CASCADE_TAG = 0x88
CASCADE_BIT = 0x04  # in SAK: the number is not complete
NVB_SELECT = 0x70  # all 40 bits follow
START_UP_LEAST_NS = 300_000  # field to first command at best coupling
START_UP_SPREAD_NS = 400_000  # and what weaker coupling adds on average
START_UP_MOST_NS = 5_000_000  # the standard's limit (14443-3, 5.2)

IDLE, READY, ACTIVE, HALT = "IDLE", "READY", "ACTIVE", "HALT"


class Card:
    """A card with `number` (4, 7 or 10 bytes), `atqa` (as sent, low byte first) and final `sak`.

    `start_up_ns` fixes the time from field to first command; by default it differs each time, as it
    does with distance: mostly well under 1 ms, now and then more, never over the standard's 5 ms.
    """

    def __init__(
        self,
        number: bytes,
        atqa: bytes,
        sak: int,
        rng: random.Random | None = None,
        start_up_ns: int | None = None,
    ):
        if len(number) not in (4, 7, 10):
            raise ValueError(f"card number of {len(number)} bytes, allowed 4, 7 or 10")
        self.number = bytes(number)
        self.atqa = atqa
        self.sak = sak
        self.rng = rng or random.Random()
        self.fixed_start_up_ns = start_up_ns
        self.ready_ns = 0
        self.state = IDLE
        self._woken = False  # READY* and ACTIVE*: came here from HALT and falls back to it
        self._level = 0

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.number.hex()} {self.state}{'*' * self._woken})"

    @property
    def starred(self) -> bool:
        """READY* and ACTIVE*: woken from HALT by WUPA."""
        return self._woken

    def power_up(self, at_ns: int) -> None:
        """The field has reached the card."""
        start_up = self.fixed_start_up_ns
        if start_up is None:
            start_up = self.draw_start_up_ns()
        self.ready_ns = at_ns + start_up
        self.state = IDLE
        self._woken = False
        self._level = 0

    def power_down(self, at_ns: int) -> None:
        """The field has left the card; everything but its memory is forgotten."""

    def draw_start_up_ns(self) -> int:
        """Another time from field to first command."""
        spread = self.rng.expovariate(1 / START_UP_SPREAD_NS)
        return min(START_UP_LEAST_NS + int(spread), START_UP_MOST_NS)

    def hear(self, frame: Frame, start_ns: int) -> Answer | None:
        """A whole frame of the reader that began at `start_ns`; the answer, or None for silence."""
        if self.state == READY:
            return self._hear_ready(frame)
        if self.state == ACTIVE:
            return self.hear_active(frame, start_ns)
        if frame == WUPA or (frame == REQA and self.state == IDLE):
            self._woken = self.state == HALT
            self.state = READY
            self._level = 0
            return Answer(standard_frame(self.atqa))
        return None

    def hear_active(self, frame: Frame, start_ns: int) -> Answer | None:
        """The card is selected: halt, or whatever the subclass knows."""
        received = take_apart(frame)
        if not received.rest.length and received.intact and received.data == HLTA + crc_a(HLTA):
            self.state = HALT
            return None
        return self.drop()

    def drop(self) -> None:
        """Anything out of order: silence, and back to IDLE, or to HALT if woken from there."""
        self.state = HALT if self._woken else IDLE

    def cascade(self) -> list[bytes]:
        """The five bytes (four and BCC) of each cascade level (14443-3, 6.5.4)."""
        number = self.number
        parts = []
        while len(number) > 4:
            parts.append(bytes([CASCADE_TAG]) + number[:3])
            number = number[3:]
        parts.append(number)
        return [part + bytes([part[0] ^ part[1] ^ part[2] ^ part[3]]) for part in parts]

    def _hear_ready(self, frame: Frame) -> Answer | None:
        data, rest, intact = take_apart(frame)
        if not intact or len(data) < 2 or data[0] != SELECT_CODES[self._level]:
            return self.drop()
        levels = self.cascade()
        own = levels[self._level]
        if data[1] == NVB_SELECT:
            return self._selected(data, rest, own, last=self._level == len(levels) - 1)
        known = (data[1] >> 4) * 8 + (data[1] & 7) - 16
        if not 0 <= known < 40 or known != (len(data) - 2) * 8 + rest.length:
            return self.drop()
        asked = int.from_bytes(data[2:], "little") | rest.bits << (len(data) - 2) * 8
        bits = int.from_bytes(own, "little")
        if bits & ((1 << known) - 1) != asked:
            return self.drop()
        return Answer(from_bit(own, known))

    def _selected(self, data: bytes, rest: Frame, own: bytes, last: bool) -> Answer | None:
        if rest.length or data[2:7] != own or data[7:] != crc_a(data[:7]):
            return self.drop()
        sak = bytes([self.sak if last else CASCADE_BIT])
        if last:
            self.state = ACTIVE
            self.activated()
        else:
            self._level += 1
        return Answer(standard_frame(sak + crc_a(sak)))

    def activated(self) -> None:
        """The card has just been selected."""
