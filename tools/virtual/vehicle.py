"""The vehicle at the end of the cable: a contact in the plug, and the pilot line of IEC 61851-1.

Pilot: the charger drives ±12 V through 1 kΩ, steady or as a 1 kHz square wave; the vehicle loads
the positive half with its resistors (state B 9 V, state C 6 V) behind a diode, so that the negative
half stays at -12 V. It closes its second resistor when it wants energy and sees the wave.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from tools.virtual.pins import Drive
from tools.virtual.schedule import Due, Schedule

PILOT_ANSWER_MS = 10  # the vehicle's own time from seeing the wave (or losing it) to its resistor
BOUNCE_MS = 6
BOUNCES = 5
ADC_NOISE_UV = 6_000
POSITIVE_V = {"A": 12, "B": 9, "C": 6}
NEGATIVE_V = -12
PILOT_FAULTS = ("none", "short", "lost", "diode")


class Vehicle:
    def __init__(self, schedule: Schedule, on_contact: Callable[[], None], rng: random.Random):
        self._schedule = schedule
        self._on_contact = on_contact
        self._rng = rng
        self._contact_closed = False
        self._bounces: list[Due] = []
        self._pilot_drive: Drive | None = None
        self._turning: Due | None = None
        self._drawing = False  # the second resistor
        self.connected = False
        self.asks = False
        self.pilot_fault = "none"

    # what people do

    def plug(self, asks: bool, bounce: bool = True) -> None:
        self.asks = asks
        if not self.connected:
            self.connected = True
            self._settle(True, bounce)
        self._look_at_pilot()

    def unplug(self, bounce: bool = True) -> None:
        self.asks = False
        self._drawing = False
        if self.connected:
            self.connected = False
            self._settle(False, bounce)

    def draw(self, asks: bool) -> None:
        self.asks = asks
        self._look_at_pilot()

    def _settle(self, closed: bool, bounce: bool) -> None:
        """A switch that closes does so a few times over."""
        for due in self._bounces:
            due.cancel()
        self._bounces.clear()
        self._contact(closed)
        if not bounce:
            return
        times = sorted(self._rng.uniform(0.1, BOUNCE_MS) for _ in range(BOUNCES * 2))
        for index, at_ms in enumerate(times):
            level = closed if index % 2 else not closed
            self._bounces.append(self._schedule.after(at_ms, lambda on=level: self._contact(on)))

    def _contact(self, closed: bool) -> None:
        if closed != self._contact_closed:
            self._contact_closed = closed
            self._on_contact()

    # what the charger sees

    def contact_level(self) -> int | None:
        """The contact closes to GND; open, it leaves the line to the pull-up."""
        return 0 if self._contact_closed else None

    def pilot_driven(self, drive: Drive) -> None:
        self._pilot_drive = drive
        self._look_at_pilot()

    @property
    def state(self) -> str:
        if not self.connected:
            return "A"
        return "C" if self._drawing else "B"

    def pilot_microvolts(self) -> int:
        """At the ADC's pin this very instant: 1.30 V + pilot / 12, with the converter's noise."""
        now_ns = self._schedule.now_ns()
        level = self._pilot_drive.level_at(now_ns) if self._pilot_drive else None
        if level is None or self.pilot_fault == "short":
            volts: float = 0
        elif self.pilot_fault == "lost":
            volts = NEGATIVE_V
        elif self.pilot_fault == "diode" and not level:
            volts = -POSITIVE_V[self.state]
        else:
            volts = POSITIVE_V[self.state] if level else NEGATIVE_V
        noise = self._rng.randint(-ADC_NOISE_UV, ADC_NOISE_UV)
        return max(0, round((1.30 + volts / 12) * 1_000_000) + noise)

    def _offered(self) -> bool:
        """IEC 61851-1 table A.8: a duty of 8 to 97 % offers current."""
        pwm = self._pilot_drive.pwm if self._pilot_drive else None
        return pwm is not None and 0.08 <= pwm.duty <= 0.97 and 980 <= pwm.freq_hz <= 1020

    def _look_at_pilot(self) -> None:
        wants = self.connected and self.asks and self._offered()
        if wants == self._drawing:
            if self._turning:
                self._turning.cancel()
                self._turning = None
        elif not self._turning or self._turning.action is None:
            self._turning = self._schedule.after(PILOT_ANSWER_MS, self._turn)

    def _turn(self) -> None:
        self._drawing = self.connected and self.asks and self._offered()
