"""When it was, by a charger's own counting: the number of its start (`boot`) and the seconds since
(`up`) become UTC seconds.

One event of a start that knows the time says when that start was, and with it every other moment
of it. A start in which nobody ever set the clock lies between its neighbours: not before the one
before it had ended, nor before what its own lower bounds say (`t_min`, a time certainly past), and
over before the next one began and before its events were received. Of that room its earliest place
is taken, as the power is seldom away for long; without any lower bound, its latest. Such times are
estimated. They never run backwards in the order of a charger's life.

A new journal, on a new or erased flash, counts from a random number on: starts whose numbers lie
far from each other say nothing about each other.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

NEW_JOURNAL = 1 << 16  # starts that one journal never skips
AHEAD_S = 300  # so far a charger's clock may be ahead of ours; what is beyond that is no time
LAST = 253_402_300_799  # the calendar's end
_UP_MOST = 1 << 33

Anchor = tuple[int, int]  # up, and the UTC seconds then


@dataclass(frozen=True)
class Boot:
    """What has been heard of one start. The order in which it was heard makes no difference."""

    number: int
    up: int = 0  # it lasted at least so long
    first: Anchor | None = None
    last: Anchor | None = None
    not_before: int | None = None  # when it began, from its lower bounds
    not_after: int = LAST  # when it began, as its events have been received

    def heard(
        self, up: int, t: int | None, t_min: int | None = None, received_at: int = LAST
    ) -> "Boot":
        up = min(up, _UP_MOST)
        t, t_min = trusted(t, received_at), trusted(t_min, received_at)
        first, last = self.first, self.last
        if t is not None:
            first = min(first or (up, t), (up, t))
            last = max(last or (up, t), (up, t))
        not_before = self.not_before
        if t_min is not None:
            not_before = t_min - up if not_before is None else max(not_before, t_min - up)
        not_after = min(self.not_after, received_at - up)
        return Boot(self.number, max(self.up, up), first, last, not_before, not_after)

    @property
    def began(self) -> int | None:
        return None if self.first is None else self.first[1] - self.first[0]

    @property
    def ended(self) -> int | None:
        """As far as has been heard."""
        return None if self.last is None else self.last[1] + max(0, self.up - self.last[0])


class Timeline:
    """The times of one charger. `boots`: all, or the ones between two whose time is known and those
    two, in any order."""

    def __init__(self, boots: Iterable[Boot]):
        self.boots = {each.number: each for each in boots}
        self.began: dict[int, int] = {}
        for numbers in journals(self.boots):
            self._place([self.boots[each] for each in numbers])

    def at(self, boot: int, up: int) -> tuple[int, bool] | None:
        """UTC seconds, and whether they are estimated; None for a start nobody has heard of."""
        if boot not in self.boots:
            return None
        return moment(self.began[boot], up), self.boots[boot].first is None

    def _place(self, boots: Sequence[Boot]) -> None:
        earliest: list[int | None] = []
        over: int | None = None  # the one before
        for each in boots:
            began = each.began
            if began is None:
                known = [bound for bound in (over, each.not_before) if bound is not None]
                began = max(known) if known else None
                over = None if began is None else began + each.up
            else:
                over = each.ended
            earliest.append(began)
        latest: int | None = None  # end of the one at hand
        for each, began in zip(reversed(boots), reversed(earliest), strict=True):
            if each.first is None:
                until = each.not_after if latest is None else min(each.not_after, latest - each.up)
                began = until if began is None else min(began, until)
            assert began is not None
            self.began[each.number] = latest = began


def boots(said: Iterable[tuple[int, int, int | None, int | None]]) -> list[Boot]:
    """Of events: (boot, up, t, t_min) each."""
    found: dict[int, Boot] = {}
    for number, up, t, t_min in said:
        found[number] = found.get(number, Boot(number)).heard(up, t, t_min)
    return list(found.values())


def journals(numbers: Iterable[int]) -> list[list[int]]:
    """The starts of each journal, in order."""
    found: list[list[int]] = []
    for number in sorted(numbers):
        if not found or number - found[-1][-1] >= NEW_JOURNAL:
            found.append([])
        found[-1].append(number)
    return found


def moment(began: int, up: int) -> int:
    """The time `up` seconds after a start."""
    return min(max(0, began + min(up, _UP_MOST)), LAST)


def trusted(t: int | None, received_at: int) -> int | None:
    """A charger's time, if it can be one: not of the future."""
    return t if t is not None and t <= min(received_at + AHEAD_S, LAST) else None
