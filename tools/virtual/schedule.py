"""One clock for everything that happens in the world, and what is to happen at its times.

Callbacks run under the world's lock, in order, never early. Whoever looks at the world lets what is
due happen first (`run_due`), so that a reading never sees a state that has already passed.
"""

from __future__ import annotations

import heapq
import itertools
import time
from collections.abc import Callable

NS_PER_MS = 1_000_000


class Due:
    """Something to come; `cancel` it while it is still to come."""

    __slots__ = ("action", "at_ns")

    def __init__(self, at_ns: int, action: Callable[[], None]):
        self.at_ns = at_ns
        self.action: Callable[[], None] | None = action

    def cancel(self) -> None:
        self.action = None


class Schedule:
    """`now_ns` is the clock (a monotonic one unless a test drives its own); `on_earlier` is called
    when something new is due before everything else."""

    def __init__(self, now_ns: Callable[[], int] = time.monotonic_ns):
        self.now_ns = now_ns
        self.start_ns = now_ns()
        self.on_earlier: Callable[[], None] = lambda: None
        self._queue: list[tuple[int, int, Due]] = []
        self._order = itertools.count()

    def t_ms(self) -> float:
        """Milliseconds since the simulator began: the `t_ms` of every push."""
        return round((self.now_ns() - self.start_ns) / NS_PER_MS, 3)

    def after(self, ms: float, action: Callable[[], None]) -> Due:
        due = Due(self.now_ns() + round(ms * NS_PER_MS), action)
        heapq.heappush(self._queue, (due.at_ns, next(self._order), due))
        if self._queue[0][2] is due:
            self.on_earlier()
        return due

    def run_due(self) -> None:
        queue = self._queue
        while queue and queue[0][0] <= self.now_ns():
            due = heapq.heappop(queue)[2]
            action, due.action = due.action, None
            if action is not None:
                action()

    def next_due_ns(self) -> int | None:
        while self._queue and self._queue[0][2].action is None:
            heapq.heappop(self._queue)
        return self._queue[0][0] if self._queue else None
