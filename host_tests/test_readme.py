"""What README says of the light, held against the firmware's own table."""

from pathlib import Path

import pytest

from firmware.access import light

ROWS = [
    line.split("|")[1].replace("*", "").strip()
    for line in (Path(__file__).parent.parent / "README.md").read_text().splitlines()
    if line.startswith("| ")
]


@pytest.mark.parametrize("state", light.STATES)
def test_each_state_stands_in_the_table(state: str):
    colour, pattern = light.STATES[state]
    dark = pattern.startswith("wink")
    assert (f"off, a {colour} {pattern}" if dark else f"{colour}, {pattern}") in ROWS


@pytest.mark.parametrize("overlay", light.OVERLAYS)
def test_each_short_message_stands_in_the_table(overlay: str):
    colour, pattern = light.OVERLAYS[overlay]
    count, *kind = pattern.split()
    flashes = " ".join((count, *kind[:-1], colour, kind[-1]))
    assert f"for 2 s: {flashes}" in ROWS
