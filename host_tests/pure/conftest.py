"""For the firmware's parts under CPython."""

import gc

import pytest


@pytest.fixture(autouse=True)
def _no_collections(monkeypatch: pytest.MonkeyPatch) -> None:
    """The firmware's collections are for a board's memory: here each walks through all of pytest's,
    which is a hundred times larger."""
    monkeypatch.setattr(gc, "collect", lambda generation=2: 0)
