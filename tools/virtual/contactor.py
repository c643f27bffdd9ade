"""The contactor: a coil on a pin, main contacts that follow it 15 ms later, and a mirror contact
(normally closed, to GND) that says where the main contacts really are."""

from __future__ import annotations

from collections.abc import Callable

from tools.virtual.pins import Drive
from tools.virtual.schedule import Due, Schedule

MOVE_MS = 15
FAULTS = ("none", "welded", "open_coil", "feedback_lost")


class Contactor:
    def __init__(
        self,
        schedule: Schedule,
        on_coil: Callable[[bool], None],
        on_contacts: Callable[[], None],
    ):
        self._schedule = schedule
        self._on_coil = on_coil
        self._on_contacts = on_contacts
        self._moving: Due | None = None
        self.coil = False
        self.closed = False
        self._fault = "none"

    def driven(self, drive: Drive) -> None:
        """The coil's driver: an undriven line is held low by its resistor."""
        coil = (drive.duty or 0) >= 0.5
        if coil != self.coil:
            self.coil = coil
            self._on_coil(coil)
            self._move()

    def mirror(self) -> int:
        """Level of the feedback pin: 0 while the main contacts are open. Its wire is off: 1, by the
        pull-up."""
        return int(self.closed or self._fault == "feedback_lost")

    @property
    def fault(self) -> str:
        return self._fault

    @fault.setter
    def fault(self, fault: str) -> None:
        self._fault = fault
        self._on_contacts()
        self._move()

    def _move(self) -> None:
        if self._moving:
            self._moving.cancel()
        self._moving = self._schedule.after(MOVE_MS, self._arrive)

    def _arrive(self) -> None:
        self._moving = None
        closed = self._fault == "welded" or (self.coil and self._fault != "open_coil")
        if closed != self.closed:
            self.closed = closed
            self._on_contacts()
