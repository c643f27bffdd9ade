"""A week in the life of chargers, on a clock that skips what is idle: `python -m tools.soak`."""
