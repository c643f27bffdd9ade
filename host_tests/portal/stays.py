"""Sessions made by hand, for what the portal tells of them."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from tools.portal import accounting, moments
from tools.portal.accounting import Stay

OSLO = moments.zone("Europe/Oslo")
MAY = ("report", "--from", "2026-05-01", "--to", "2026-05-31")
BLUE, PLAIN, APP, LOST = (f"{digit}23456789abcde" for digit in "0123")

Tell = Callable[..., None]


def at(*parts: int) -> int:
    """UTC seconds of that local time."""
    year, month, day, *clock = parts
    return int(datetime(year, month, day, *clock, tzinfo=OSLO).timestamp())


def stay(**change: Any) -> Stay:
    """Anna's two hours at the garage, with 12.345 kWh."""
    usual = Stay(
        charger="garage",
        person="anna@example.org",
        name="Anna Østby",
        token=BLUE,
        hint="a1b2",
        label="blue fob",
        start=at(2026, 5, 4, 18),
        end=at(2026, 5, 4, 20, 5),
        wh=12_345,
        reason="unplugged",
        by="card",
        estimated=False,
        running=False,
    )
    return replace(usual, **change)


NOBODY = {"person": None, "name": None, "hint": None, "label": None}
PLAIN_CARD = stay(token=PLAIN, hint="c3d4", label=None, start=at(2026, 5, 5), wh=1_000)
FROM_THE_APP = stay(token=APP, hint=None, label=None, by="remote", charger="gate", wh=7)
OPEN = stay(**NOBODY, token=None, by="open", charger="yard", wh=20_000)
UNKNOWN = stay(**NOBODY, token=LOST, reason="power_loss", estimated=True, wh=500)
GONE = "removed-0a1b2c3d4e5f"
REMOVED = stay(person=GONE, name=None, token=GONE, hint=None, label=None, wh=3)
HOW_IT_ENDED_UNKNOWN = stay(end=None, reason=None, wh=50)
RUNNING = stay(end=None, reason=None, running=True, wh=4_000, start=at(2026, 5, 31, 23))
EVERY_KIND = [
    stay(),
    PLAIN_CARD,
    FROM_THE_APP,
    OPEN,
    UNKNOWN,
    REMOVED,
    HOW_IT_ENDED_UNKNOWN,
    RUNNING,
]


def teller(monkeypatch: pytest.MonkeyPatch) -> Tell:
    """Calling it makes these the sessions that the portal knows."""

    def tell(*stays: Stay) -> None:
        monkeypatch.setattr(
            accounting,
            "stays",
            lambda session, since, until: [
                each for each in stays if each.start is not None and since <= each.start < until
            ],
        )

    tell()
    return tell
