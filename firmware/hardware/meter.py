"""What every energy meter has, and the one of a charger that has none. With S0 pulses: s0.py where
an interrupt counts them, counted_s0.py where the chip does.
"""


class Meter:
    """`pulses` so far. `stall_s`: without a pulse for so long, while a vehicle draws, something is
    wrong with it; 0: never. One that counts also has `pin`, where they come."""

    def __init__(self, pulses_per_kwh: int, stall_s: int):
        self._per_kwh = pulses_per_kwh
        self.stall_s = stall_s
        self.pulses = 0

    @property
    def wh(self) -> int:
        """Whole watt-hours."""
        return self.pulses * 1_000 // self._per_kwh

    @property
    def mwh(self) -> int:
        """Milliwatt-hours: subtract these, not the rounded `wh`, for the energy of a session."""
        return self.pulses * 1_000_000 // self._per_kwh

    def look(self, now_ms: int) -> None:
        """Bring `pulses` up to date; call it every 10 ms."""


class NoMeter(Meter):
    """Stands where there is no meter: always zero."""

    def __init__(self):
        super().__init__(1, 0)
