"""The numbers of events and of the board's starts, of which none may come twice.

They are reserved on the flash before they are used. Where it tells nothing, or takes nothing, they
go on far away, at random: what was used before is not known.
"""

from micropython import const

_AHEAD = const(64)  # reserved with each write
_AHEAD_LEAST = const(16)
_AHEAD_MOST = const(1024)  # where they are used up quickly
_JUMP = const(1 << 22)  # past all numbers that may have been used in a year
_RANDOM = const((1 << 28) - 1)


class Numbers:
    """`random(n)`: n bytes. `next`: the number of the next event; those below `reserved` may be
    used. `boot`: of this start. `low`: a write is due, to reserve more.
    """

    def __init__(self, random):
        self._random = random
        self._ahead = _AHEAD
        self.next = 1
        self.reserved = self.boot = 0
        self.low = False

    def begin(self, lowest: int, reserved: int, whole: bool, damaged: bool) -> None:
        """Go on above `lowest`. `boot`: of the start before. `whole`: there is a good head, which
        says what is `reserved`; `damaged`: not all is good."""
        if whole:
            # A newer head that is gone can have reserved no more than this.
            self.next = max(lowest, reserved) + (_AHEAD_MOST if damaged else 0)
            self.boot += 1
        elif lowest > 1:
            self.next = lowest + _JUMP + self._any(20)
            self.boot += 1 + self._any(12)
        else:
            self.next = 1 + self._any(28)
            self.boot = 1 + self._any(28)

    def take(self, stored: bool) -> int:
        """The next number. `stored`: the flash takes what is written."""
        n = self.next
        if n >= self.reserved and not stored:
            # Far from what the next start will take for unused.
            n += _JUMP + self._any(20)
            self.reserved = n + _JUMP
        self.next = n + 1
        if self.reserved - n <= _AHEAD_LEAST:
            self.low = True
            self._ahead = _AHEAD_MOST
        return n

    def to_reserve(self) -> int:
        """Up to which number the next write is to reserve."""
        return self.next + self._ahead

    def written(self, reserved: int) -> None:
        """They are reserved."""
        self.reserved = reserved
        self._ahead = _AHEAD
        self.low = False

    def begin_unwritten(self) -> None:
        """The first write of this start has failed: the next start will take the same."""
        self.boot += 1 + self._any(12)
        self.reserved = self.next

    def _any(self, bits):
        value = 0
        for byte in self._random(4):
            value = value << 8 & _RANDOM | byte
        return value & (1 << bits) - 1
