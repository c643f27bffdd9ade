"""What happens around the board and when: generators that yield the seconds until they go on."""

from __future__ import annotations

import heapq
import itertools
import time
from collections.abc import Callable, Generator

S = 1_000_000_000
MONDAY = 1_772_409_600  # 2026-03-02 00:00 UTC
# Far ahead of this computer's own ticks, which asyncio's queue looks at (tools/bench/board).
_AHEAD_NS = 1_000_000 * S

Story = Generator[float, None, None]


class World:
    """`now_ns`: on the board's clock, which begins at `zero_ns`. While the world acts, the time of
    this whole process is the board's (`time.time`)."""

    def __init__(self) -> None:
        self.zero_ns = self.now_ns = time.monotonic_ns() + _AHEAD_NS
        self._queue: list[tuple[int, int, Story]] = []
        self._number = itertools.count()
        self.closely_ms = 0

    @property
    def s(self) -> float:
        """Since the beginning."""
        return (self.now_ns - self.zero_ns) / S

    def unix(self) -> float:
        return MONDAY + self.s

    def rule_time(self) -> None:
        time.time = self.unix

    def tell(self, story: Story, in_s: float = 0) -> None:
        heapq.heappush(self._queue, (self.now_ns + int(in_s * S), next(self._number), story))

    def later(self, in_s: float, call: Callable[[], object]) -> None:
        def story() -> Story:
            call()
            return
            yield 0

        self.tell(story(), in_s)

    def look_closely(self, s: float) -> None:
        """Something is going on: for so long, time passes as the firmware's own waiting lets it."""
        self.closely_ms = max(self.closely_ms, int(s * 1_000))

    @property
    def due_ns(self) -> int:
        return self._queue[0][0]

    def act(self) -> None:
        """All that is due by now."""
        while self._queue and self._queue[0][0] <= self.now_ns:
            _, _, story = heapq.heappop(self._queue)
            wait_s = next(story, None)
            if wait_s is not None:
                self.tell(story, wait_s)
