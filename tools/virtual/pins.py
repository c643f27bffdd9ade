"""The board's pins as lines between the chip and what is wired to them.

Outputs: what the board drives, told to whoever listens. Inputs: a source per pin gives the level
that the outside puts there, or None where it leaves the line alone and the pull decides.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tools.virtual.board import wire

RISING, FALLING = 1, 2


@dataclass
class Pwm:
    duty: float  # 0..1, share of the period at high
    freq_hz: int
    start_ns: int


@dataclass
class Drive:
    """What the board does to one line; `pwm` only while a PWM channel is connected to it."""

    mode: int = wire.MODE_OFF
    pull: int = wire.PULL_NONE
    level: int = 0
    pwm: Pwm | None = None

    @property
    def duty(self) -> float | None:
        """Share of the time at high; None: the line is not driven."""
        if self.pwm:
            return self.pwm.duty
        if self.mode == wire.MODE_OUT:
            return float(self.level)
        if self.mode == wire.MODE_OPEN_DRAIN and not self.level:
            return 0.0
        return None

    def level_at(self, now_ns: int) -> int | None:
        """The level on the line at one instant, PWM resolved into its wave."""
        if self.pwm:
            if self.pwm.duty >= 1:
                return 1
            period_ns = 1_000_000_000 / self.pwm.freq_hz
            return int((now_ns - self.pwm.start_ns) % period_ns < self.pwm.duty * period_ns)
        duty = self.duty
        return None if duty is None else int(duty)


class Pins:
    def __init__(self, now_ns: Callable[[], int], interrupt: Callable[[int], None]):
        self._now_ns = now_ns
        self._interrupt = interrupt
        self._drives = [Drive() for _ in range(40)]
        self._listeners: dict[int, list[Callable[[Drive], None]]] = {}
        self._sources: dict[int, Callable[[], int | None]] = {}
        self._idle_pulls: dict[int, int] = {}
        self._edge_listeners: dict[int, list[Callable[[int], None]]] = {}
        self._triggers: dict[int, int] = {}
        self._last: dict[int, int] = {}
        self.microvolts: dict[int, Callable[[], int]] = {}

    # wiring

    def listen(self, pin: int | None, listener: Callable[[Drive], None]) -> None:
        if pin is not None:
            self._listeners.setdefault(pin, []).append(listener)

    def source(
        self, pin: int | None, level: Callable[[], int | None], pull: int = wire.PULL_NONE
    ) -> None:
        """`pull`: a resistor on the board's outside, for pins that have none of their own."""
        if pin is not None:
            self._sources[pin] = level
            self._idle_pulls[pin] = pull
            self._last[pin] = self.read(pin)

    def count_edges(self, pin: int, listener: Callable[[int], None]) -> None:
        self._edge_listeners.setdefault(pin, []).append(listener)
        self._last.setdefault(pin, self.read(pin))

    def stop_counting(self, listener: Callable[[int], None]) -> None:
        for listeners in self._edge_listeners.values():
            if listener in listeners:
                listeners.remove(listener)

    # the board's side

    def mode(self, pin: int, mode: int, pull: int) -> None:
        drive = self._drives[pin]
        drive.mode, drive.pull, drive.pwm = mode, pull, None
        self._changed(pin)

    def drive(self, pin: int, level: int) -> None:
        self._drives[pin].level = level
        self._changed(pin)

    def pwm(self, pin: int, duty_u16: int, freq_hz: int) -> None:
        drive = self._drives[pin]
        duty = 1.0 if duty_u16 >= 65535 else duty_u16 / 65536
        if drive.pwm and drive.pwm.freq_hz == freq_hz:
            drive.pwm.duty = duty
        else:
            drive.pwm = Pwm(duty, freq_hz, self._now_ns())
        self._changed(pin)

    def read(self, pin: int) -> int:
        drive = self._drives[pin]
        own = drive.level_at(self._now_ns())
        if own is not None:
            return own
        source = self._sources.get(pin)
        level = source() if source else None
        if level is not None:
            return level
        return int(wire.PULL_UP in (drive.pull, self._idle_pulls.get(pin)))

    def watch(self, pin: int, trigger: int) -> None:
        self._last[pin] = self.read(pin)
        self._triggers[pin] = trigger & (RISING | FALLING)

    def release_all(self) -> None:
        """A reset of the chip: every pin an input, no interrupt armed."""
        self._triggers.clear()
        self._edge_listeners.clear()
        for pin, drive in enumerate(self._drives):
            was = drive.duty
            drive.mode, drive.pull, drive.level, drive.pwm = wire.MODE_OFF, 0, 0, None
            if was is not None:
                self._changed(pin)

    def stop_pwm(self) -> None:
        """A soft reset: levels stand, PWM channels and interrupts end."""
        self._triggers.clear()
        self._edge_listeners.clear()
        for pin, drive in enumerate(self._drives):
            if drive.pwm:
                drive.mode, drive.level, drive.pwm = wire.MODE_OFF, 0, None
                self._changed(pin)

    # the outside

    def look(self, pin: int | None) -> None:
        """What is wired to this pin has changed: interrupts and counters see the edge."""
        if pin is None:
            return
        level = self.read(pin)
        if level == self._last.get(pin):
            return
        self._last[pin] = level
        for listener in self._edge_listeners.get(pin, ()):
            listener(level)
        if self._triggers.get(pin, 0) & (RISING if level else FALLING):
            self._interrupt(pin)

    def _changed(self, pin: int) -> None:
        for listener in self._listeners.get(pin, ()):
            listener(self._drives[pin])
