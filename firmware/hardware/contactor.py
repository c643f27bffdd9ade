"""The contactor: closed only with the interlock's leave, watched through its mirror contact."""

from time import ticks_diff

from micropython import const

WELDED = "contactor_welded"
STUCK_OPEN = "contactor_stuck_open"

_DEBOUNCE_MS = const(30)
_CLEAR_MS = const(1_000)
_PAUSE_SHIFT_MAX = const(6)


class Contactor:
    """Drives `coil` (1 = energised) and compares it with `feedback`.

    coil, feedback: pins, called to write and read. feedback reads 0 while the main contacts are
    open and 1 while they are closed or its wire is broken; None = the contactor has none.
    interlock() says whether the contactor may be closed at this very moment; it is asked before
    the coil is energised and at each `check` while it is, and no answer is a no.

    `close` asks, `open` withdraws. What `close` may not do at once (the interlock, or the pause
    after an opening) `check` does as soon as it may, until `open`. The pause: the contacts' own
    time after any opening; `retry_s` after the interlock alone opened, or after contacts that did
    not follow the coil, then twice as long each time, up to 64 times.

    Call `check` every 10 ms, after the session has had its say.
    """

    def __init__(self, coil, feedback, interlock, feedback_ms: int = 100, retry_s: int = 5):
        self._coil = coil
        self.feedback = feedback
        self.interlock = interlock
        self._feedback_ms = feedback_ms
        self._retry_ms = retry_s * 1_000
        self.operations = 0  # closings since the start
        self.fault = None
        self._wanted = False
        self._on = False
        self._moved = True  # since the last check: that is when the contacts' time starts
        self._moved_ms = 0
        self._settling = True
        self._pausing = False
        self._pause_ms = feedback_ms
        self._failures = 0
        self._agreed = True
        self._agreed_ms = 0  # since when feedback and coil agree, or do not
        coil(0)

    @property
    def closed(self) -> bool:
        """The coil is energised."""
        return self._on

    def open(self) -> None:
        """Take the coil's supply away and forget that it was wanted. Always safe to call."""
        self._coil(0)
        self._wanted = False
        if self._on:
            self._released(self._feedback_ms)
        elif self.fault is None:
            self._pause_ms = self._feedback_ms

    def close(self) -> bool:
        """Ask for the coil; True if it is energised now, False if not yet."""
        self._wanted = True
        if self._on or self._pausing or self.fault is not None:
            return self._on
        if not self._allowed():
            return False
        self._coil(1)
        self._on = self._moved = self._settling = True
        self.operations += 1
        return True

    def check(self, now_ms: int) -> str | None:
        """Compare coil, interlock and contacts; return the name of the fault, or None."""
        if self._on and not self._allowed():
            self._coil(0)
            self._released(self._retry_ms)
        if self._moved:
            self._moved = False
            self._moved_ms = self._agreed_ms = now_ms
            self._agreed = True
        since_ms = ticks_diff(now_ms, self._moved_ms)
        if self._settling and since_ms >= self._feedback_ms:
            self._settling = False
            self._agreed_ms = now_ms
        if self._pausing and since_ms >= self._pause_ms:
            self._pausing = False
            if self.fault == STUCK_OPEN:
                self.fault = None
        if self.feedback is not None and not self._settling:
            self._compare(now_ms)
        if self._wanted and not self._on:
            self.close()
        return self.fault

    def _compare(self, now_ms):
        agreed = (self.feedback() != 0) == self._on
        if agreed != self._agreed:
            self._agreed = agreed
            self._agreed_ms = now_ms
            return
        since_ms = ticks_diff(now_ms, self._agreed_ms)
        if agreed:
            if since_ms >= _CLEAR_MS:
                self._agreed_ms = now_ms  # keeps the difference far from the wrap of the ticks
                if self.fault == WELDED:
                    self.fault = None
                if self._on:
                    self._failures = 0
        elif since_ms >= _DEBOUNCE_MS:
            if self._on:
                self._coil(0)
                self.fault = STUCK_OPEN
                self._released(self._retry_ms << min(self._failures, _PAUSE_SHIFT_MAX))
                self._failures += 1
            else:
                self.fault = WELDED
                self._agreed_ms = now_ms

    def _released(self, pause_ms):
        self._on = False
        self._moved = self._settling = self._pausing = True
        self._pause_ms = pause_ms

    def _allowed(self):
        try:
            return bool(self.interlock())
        except Exception:
            return False
