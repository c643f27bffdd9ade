"""Lives of a charger, made up at random: what it tells, and what was true."""

from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from host_tests.portal.books import NOON, Body


@dataclass
class Life:
    """`times`: when each of its sessions truly was. `wh`: of those that are over."""

    events: list[Body] = field(default_factory=list)
    times: list[tuple[int, int | None]] = field(default_factory=list)
    wh: list[int] = field(default_factory=list)


@dataclass
class _Running:
    n: int
    wh: int = 0
    reading: Body = field(default_factory=dict)
    read_at: int = 0


class _Charger:
    def __init__(self, n: int, boot: int):
        self.life = Life()
        self.now = NOON
        self.running: _Running | None = None
        self._n, self._boot = n, boot
        self._powered = self._sets = 0
        self._past: int | None = None  # a time that is certainly past

    def power(self, jump: int, sets: int | None) -> None:
        """`sets`: the clock, that many seconds later."""
        self._n, self._boot = self._n + jump, self._boot + 1
        self._powered = self.now
        self._sets = 1 << 40 if sets is None else sets

    @property
    def up(self) -> int:
        return self.now - self._powered

    @property
    def t(self) -> int | None:
        return self.now if self.up >= self._sets else None

    def say(self, name: str, **more: Any) -> int:
        self._n += 1
        body = {"n": self._n, "boot": self._boot, "t": self.t, "up": self.up, "event": name, **more}
        if self.t is None and self._past is not None:
            body["t_min"] = self._past
        self.life.events.append(body)
        return self._n

    def start(self, token: str | None) -> None:
        self.running = _Running(self.say("session_started", token=token, role="user", by="card"))
        self.life.times.append((self.now, None))

    def charge(self, wh: int) -> None:
        assert self.running
        self.running.wh += wh

    def read(self) -> None:
        assert self.running
        self.running.read_at = self.now
        self.running.reading = {"last_boot": self._boot, "last_up": self.up, "end": self.t}

    def end(self, at: int, **more: Any) -> None:
        assert self.running
        self.say("session_ended", session=self.running.n, wh=self.running.wh, **more)
        self.life.times[-1] = self.life.times[-1][0], at
        self.life.wh.append(self.running.wh)
        self.running = None

    def know(self) -> None:
        """The time, for the next start."""
        self._past = self.t if self.t is not None else self._past

    def tell_again(self, since: int) -> None:
        """What was told of this start without a time, with it."""
        for body in self.life.events[since:]:
            if body["t"] is None and self.t is not None:
                again = {**body, "t": self._powered + body["up"]}
                again.pop("t_min", None)
                self.life.events.append(again)


@st.composite
def lives(draw: Any) -> Life:
    """Starts with and without a clock, power cuts in mid-session whose end came with the next
    start or not at all, events that were told again when the clock was set."""
    charger = _Charger(draw(st.integers(1, 1 << 20)), draw(st.integers(1, 1 << 20)))
    for _ in range(draw(st.integers(1, 5))):
        charger.power(draw(st.integers(1, 64)), draw(st.sampled_from([None, 0, 40, 2_000])))
        first = len(charger.life.events)
        charger.now += draw(st.integers(0, 60))
        if charger.running and draw(st.booleans()):
            charger.say("session_resumed", session=charger.running.n, wh=charger.running.wh)
        elif charger.running:
            charger.end(charger.running.read_at, reason="power_loss", **charger.running.reading)
        for _ in range(draw(st.integers(0, 3))):
            charger.now += draw(st.integers(1, 1_500))
            if charger.running is None:
                charger.start(draw(st.sampled_from([None, "0a" * 7])))
            charger.now += draw(st.integers(1, 1_500))
            charger.charge(draw(st.integers(0, 9_000)))
            if draw(st.integers(0, 3)):
                charger.end(charger.now, reason="unplugged", end=charger.t, start=None)
        if draw(st.booleans()):
            charger.say("booted")
        if charger.running:
            charger.read()
        charger.know()
        if draw(st.booleans()):
            charger.tell_again(first)
        charger.now += draw(st.integers(0, 100_000))
    return charger.life
