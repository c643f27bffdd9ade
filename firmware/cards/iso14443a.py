"""ISO/IEC 14443-3 Type A: whose number is in the field? One look wakes the cards and tells them
apart; then they are halted, so that the next look finds them.

A number counts only when one single card gave it: each level's check byte was right, and the card
itself, called by that number, answered with a right CRC_A. Whatever falls short of that is
`UNREADABLE`; it still means that a card is there. Cards are told apart bit by bit, but never chosen
among: a look in which two answered differently is `SEVERAL`.
"""

from micropython import const

from .mfrc522 import (
    ANSWER,
    CASCADE_TAG,
    COLLISION,
    SAK_CASCADE,
    SILENCE,
    WUPA,
    CardError,
)
from .mfrc522 import DEAD as _DEAD

# What a look ended with.
NOBODY = const(0)  # silence, and a clean one
NUMBER = const(1)  # one card; `number` is its 4, 7 or 10 bytes
SEVERAL = const(2)  # at least two different cards
UNREADABLE = const(3)  # somebody is there; `why` says what went wrong
DEAD = const(4)  # not the card's fault but the chip's; `why` says what it did

_CASCADE_LEVELS = const(3)
# A branch that goes on colliding after this many bits is left: there are several anyhow, and a look
# must end.
_BRANCHES = const(6)

_RANDOM_FIRST_BYTE = const(0x08)


def is_random(number: bytes) -> bool:
    """True for a number that its card has just made up (ISO 14443-3, 6.5.4, single size)."""
    return len(number) == 4 and number[0] == _RANDOM_FIRST_BYTE


class Selection:
    """Looks at what is in the field of one chip (see `MFRC522`; any object with its selection
    methods will do)."""

    def __init__(self, chip) -> None:
        self._chip = chip
        self._bytes = bytearray(10)
        self._doubt = 0
        self.number = b""
        self.why = ""
        # What an audit found wrong with the chip, or None.
        self.fault = None
        # The first answer to the call was flawless: no noise makes that.
        self.sure = False
        self._to_halt = False

    def look(self, audit: bool = False) -> int:
        """One look: six SPI frames and one to rest when nobody is there. `audit`
        compares the chip's registers on the way, see `fault`.

        After NUMBER the card still waits for `halt`: the time that this takes is the caller's to
        spend, for who holds the card there waits for what its number leads to.
        """
        self.halt()
        chip = self._chip
        code = chip.request(WUPA, audit)
        self.fault = chip.checked() if audit else None
        if code == SILENCE:
            self._doubt = 0
            return NOBODY
        if code == _DEAD:
            self.why = chip.status()
            return DEAD
        self.sure = code == ANSWER
        try:
            outcome = self._select()
        except CardError as error:
            self._doubt = 0
            self.why = str(error)
            outcome = UNREADABLE
        self._to_halt = True
        if outcome != NUMBER:
            self.halt()
        return outcome

    def halt(self) -> None:
        """Halt what the last look has found, if that is still to be done; the next look would."""
        if self._to_halt:
            self._to_halt = False
            self._chip.halt()

    def _select(self) -> int:
        chip = self._chip
        uid = chip.uid
        number = self._bytes
        length = 0
        for level in range(1, _CASCADE_LEVELS + 1):
            code = chip.anticoll(level)
            if code == COLLISION:
                return self._tell_apart(level)
            if code != ANSWER:
                raise CardError(
                    "level {} anticollision: {}, expected 5 bytes".format(level, chip.status())
                )
            if uid[4] != chip.bcc():
                raise CardError("BCC {:02x}, computed {:02x}".format(uid[4], chip.bcc()))
            code = chip.select_tag(level)
            if code == COLLISION:
                # The same four bytes, yet not the same card: a 4-byte number may begin with 88.
                return self._collided(level, 32 + chip.coll_bit, False)
            if code != ANSWER:
                raise CardError(
                    "level {} select: {}, expected SAK and its CRC".format(level, chip.status())
                )
            # Only the SAK says whether a level follows: 88 may well begin a 4-byte number.
            if not chip.sak & SAK_CASCADE:
                number[length : length + 4] = uid[:4]
                self.number = bytes(number[: length + 4])
                self._doubt = 0
                return NUMBER
            if uid[0] != CASCADE_TAG:
                raise CardError("cascade tag {:02x}, expected {:02x}".format(uid[0], CASCADE_TAG))
            number[length : length + 3] = uid[1:4]
            length += 3
        raise CardError("SAK {:02x} at level 3, expected the last level".format(chip.sak))

    def _tell_apart(self, level: int) -> int:
        """After a collision: both branches of it are asked for. Two that answer are two cards. One
        alone is noise, or a card too weak to be heard again: nobody's number is taken, and only the
        same collision in the next look proves that it was real."""
        chip = self._chip
        split = chip.coll_bit
        prefix = bytes(chip.uid)
        code = COLLISION
        for _ in range(_BRANCHES):
            code = chip.anticoll(level, chip.known)
            if code != COLLISION:
                break
        ones = _heard(code)
        chip.uid[:] = prefix
        chip.uid[(split - 1) >> 3] ^= 1 << ((split - 1) & 7)
        zeros = _heard(chip.anticoll(level, split))
        if level == 1 and ones and not zeros and _heard(chip.request(WUPA)):
            # Cards of the other branch may have left the READY state when they were not meant; now
            # it is those of the first that have left it. (Deeper levels are one SELECT further.)
            zeros = _heard(chip.anticoll(level, split))
        return self._collided(level, split, ones and zeros)

    def _collided(self, level: int, bit: int, proven: bool) -> int:
        place = level << 6 | bit
        proven = proven or place == self._doubt
        self._doubt = place
        self.why = "collision at bit {} of level {}".format(bit, level)
        return SEVERAL if proven else UNREADABLE


def _heard(code: int) -> bool:
    return code != SILENCE and code != _DEAD
