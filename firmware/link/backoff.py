"""How long to wait before the next attempt: longer each time, and never in step with others."""

from micropython import const

LEAST_MS = const(1_000)
MOST_MS = const(60_000)


class Backoff:
    """The n-th wait in a row lies between half and all of `2 * least_ms * 2**n`, up to `most_ms`.

    `rng()` gives numbers from 0 up to 1. Chargers that lost the broker together come back apart.
    """

    def __init__(self, rng, least_ms: int = LEAST_MS, most_ms: int = MOST_MS):
        self._rng = rng
        self._least_ms = least_ms
        self._most_ms = most_ms
        self.reset()

    def reset(self) -> None:
        """What came before is forgotten: the link lasted, or something else has changed."""
        self._step_ms = min(2 * self._least_ms, self._most_ms)

    def wait_ms(self) -> int:
        """The wait after one more failure."""
        step_ms = self._step_ms
        self._step_ms = min(2 * step_ms, self._most_ms)
        half = step_ms // 2
        return half + int(self._rng() * (step_ms - half))
