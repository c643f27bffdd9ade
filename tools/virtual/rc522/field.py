"""The space in front of the antenna: the carrier, the cards in it, and their answers in flight.

Cards come and go at any time, in the middle of a frame as well. A card that loses the field loses
its state; its answer ends at that bit. Several answers lie over each other bit by bit.
"""

from collections.abc import Callable
from typing import Protocol

from tools.virtual.rc522.air import (
    ETU_CYCLES,
    FDT_GRID_CYCLES,
    Frame,
    Superposition,
    cycles,
    ns,
    superpose,
)
from tools.virtual.rc522.card import Card


class Reader(Protocol):
    """What stands behind the antenna. Time runs only as far as it has looked."""

    def settle(self, now_ns: int) -> None:
        """Catch up with everything until now, before the air changes."""

    def air_changed(self) -> None:
        """What was in flight may have been cut short."""


class Sending:
    """One card's answer in flight: its start bit begins at `start_ns`."""

    __slots__ = ("card", "frame", "start_ns")

    def __init__(self, card: Card, start_ns: int, frame: Frame):
        self.card = card
        self.start_ns = start_ns
        self.frame = frame

    @property
    def end_ns(self) -> int:
        """End of the last bit."""
        return self.start_ns + ns((1 + self.frame.length) * ETU_CYCLES)

    def cut(self, at_ns: int) -> None:
        """The card went silent at `at_ns`: only whole bits before that were sent."""
        whole = cycles(max(0, at_ns - self.start_ns)) // ETU_CYCLES - 1
        length = max(0, min(whole, self.frame.length))
        self.frame = Frame(self.frame.bits & ((1 << length) - 1), length)


class Field:
    """Cards within reach. `now_ns` is the clock on which they come and go."""

    def __init__(self, now_ns: Callable[[], int]):
        self._now_ns = now_ns
        self.cards: list[Card] = []
        self._reader: Reader | None = None
        self._carrier = False
        self._in_flight: list[Sending] = []

    def attach(self, reader: Reader) -> None:
        """The reader whose antenna this is."""
        self._reader = reader

    def place(self, card: Card) -> None:
        """A card enters the field now."""
        if card in self.cards:
            raise ValueError(f"{card!r} is in the field already")
        now = self._settled()
        self.cards.append(card)
        if self._carrier:
            card.power_up(now)

    def remove(self, card: Card) -> None:
        """A card leaves the field now, whatever it is doing."""
        if card not in self.cards:
            raise ValueError(f"{card!r} is not in the field")
        now = self._settled()
        self.cards.remove(card)
        if self._carrier:
            card.power_down(now)
        self._cut([sending for sending in self._in_flight if sending.card is card], now)

    # The reader's side

    @property
    def carrier(self) -> bool:
        """Whether the field is on."""
        return self._carrier

    def switch_carrier(self, on: bool, at_ns: int) -> None:
        """The reader switches the field; every card starts anew or forgets."""
        if on == self._carrier:
            return
        self._carrier = on
        for card in self.cards:
            if on:
                card.power_up(at_ns)
            else:
                card.power_down(at_ns)
        if not on:
            self._cut(self._in_flight, at_ns)

    def transmit(self, frame: Frame, start_ns: int, pause_cycles: int) -> None:
        """A whole frame whose start bit began at `start_ns`: cards that heard all of it answer.

        `pause_cycles`: width of the modulation pause, from whose end cards count their delay.
        """
        if not self._carrier:
            return
        earliest = frame.length * ETU_CYCLES + FDT_GRID_CYCLES + pause_cycles
        deaf = {id(sending.card) for sending in self._in_flight if sending.end_ns > start_ns}
        self._in_flight = [sending for sending in self._in_flight if sending.end_ns > start_ns]
        for card in self.cards:
            if card.ready_ns > start_ns or id(card) in deaf:
                continue
            answer = card.hear(frame, start_ns)
            if answer is not None:
                begins = start_ns + ns(earliest + answer.later_etu * ETU_CYCLES)
                self._in_flight.append(Sending(card, begins, answer.frame))

    def next_answer_ns(self, after_ns: int) -> int | None:
        """Start of the first answer that begins at or after `after_ns`."""
        starts = [s.start_ns for s in self._in_flight if s.start_ns >= after_ns and s.frame.length]
        return min(starts, default=None)

    def heard(self, start_ns: int) -> Superposition:
        """Everything sent from `start_ns` on until silence, as one receiver hears it."""
        etu = ns(ETU_CYCLES)
        parts = [
            ((sending.start_ns - start_ns + etu // 2) // etu, sending.frame)
            for sending in self._in_flight
            if sending.start_ns >= start_ns
        ]
        return superpose(parts)

    def _cut(self, sendings: list[Sending], at_ns: int) -> None:
        for sending in sendings:
            sending.cut(at_ns)
        if sendings and self._reader is not None:
            self._reader.air_changed()

    def _settled(self) -> int:
        now = self._now_ns()
        if self._reader is not None:
            self._reader.settle(now)
        return now
