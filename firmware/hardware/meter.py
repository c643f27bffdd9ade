"""The energy meter of a charger that has none. One with S0 pulses: s0.py."""


class NoMeter:
    """Stands where there is no meter: always zero."""

    pulses = 0
    wh = 0
    mwh = 0
