"""The papers under docs/: what is generated is up to date, what is said in them exists."""

import itertools
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from firmware import config
from firmware.access import light, words
from firmware.hardware import contactor, pilot
from tools.cli import _command
from tools.papers import board, drivers_card, installation, wiring
from tools.papers.__main__ import DOCS, out_of_date, papers

BY_HAND = {path.name: path.read_text() for path in DOCS.glob("*.md")}
LOOKS = [*light.STATES, *light.OVERLAYS, *light.STANDING]
SAID_BY_THE_BOARD = ("cannot start:", "stopped by the console")
LEAST_TEXT = 10  # quarter millimetres: 7 points


def texts(svg: str) -> list[ET.Element]:
    return list(ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text"))


def test_every_generated_paper_is_up_to_date():
    assert out_of_date(DOCS) == [], "run python -m tools.papers"


def test_a_paper_that_was_changed_or_is_missing_is_noticed(tmp_path: Path):
    for path, text in papers(DOCS).items():
        (tmp_path / path.name).write_text(text)
    assert out_of_date(tmp_path) == []
    changed = (tmp_path / "installation.md").read_text().replace("| **27** |", "| **26** |")
    (tmp_path / "installation.md").write_text(changed)
    (tmp_path / "wiring.svg").unlink()
    assert out_of_date(tmp_path) == ["wiring.svg", "installation.md"]


@pytest.mark.parametrize("name", board.NUMBERS)
def test_another_default_pin_makes_other_papers(name: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(board.NUMBERS, name, 21)
    assert "GPIO21" in [text.text for text in texts(wiring.drawn())]
    assert f"| `{name}` | **21** |" in installation.filled(BY_HAND["installation.md"])


def test_every_pin_of_the_firmware_is_in_the_table_and_fit_for_its_default():
    assert sorted(pin.name for pin in board.PINS) == sorted(config.DEFAULTS["pins"])
    assert {pin.name: board.refusal(pin.name, board.NUMBERS[pin.name]) for pin in board.PINS} == {
        pin.name: None for pin in board.PINS
    }


def test_inputs_that_float_are_told_to_have_a_pull_up():
    floating = [pin.name for pin in board.PINS if "on the board**" in board.pull_up(pin)]
    assert floating == ["feedback", "meter"]
    svg = wiring.drawn()
    for name in floating:
        assert f"needed: GPIO{board.NUMBERS[name]} has" in svg


def test_the_gpio_that_the_firmware_refuses_for_the_coil():
    refused = {gpio for gpio in board.GPIO if board.refusal("contactor", gpio)}
    assert refused == {0, 1, 3, *range(5, 12), 14, 15, 20, 24, 25, 26, *range(28, 32), 33,
                       *range(34, 40)}  # fmt: skip


@pytest.mark.parametrize("table", [light.STATES, light.OVERLAYS, light.STANDING])
def test_a_look_without_a_sentence_is_noticed(table: dict, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(table, "new", next(iter(table.values())))
    with pytest.raises(ValueError, match="a sentence for each look of the light: see new"):
        drivers_card.drawn()


@pytest.mark.parametrize("name", LOOKS)
def test_the_card_draws_what_the_firmware_shows(name: str):
    """Every 10 ms: the brightness of the line that is drawn, and its colour."""
    shown = {}
    for colour, line in drivers_card.lit(name):
        for (begin, first), (end, last) in itertools.pairwise(line):
            for at_ms in range(begin, end, 10):
                percent = first + (last - first) * (at_ms - begin) // (end - begin)
                shown[at_ms] = (colour, percent)
    end_ms = light.OVERLAY_MS if name in light.OVERLAYS else 6_000
    for at_ms in range(0, end_ms, 10):
        if name in light.STANDING:
            colour = light.standing_colour(light.STANDING[name], at_ms)
            percent = 100 if colour else 0
        else:
            colour, pattern = (light.STATES | light.OVERLAYS)[name]
            percent = light.brightness(light.PATTERNS[pattern], at_ms)
        found = shown.get(at_ms, (colour, 0))
        assert (found[0], found[1]) == (colour, pytest.approx(percent, abs=1)), at_ms
    assert max(shown) < end_ms


@pytest.mark.parametrize("name", LOOKS)
def test_the_card_names_each_look_in_words(name: str):
    colour, pattern = drivers_card.words(name)
    said = [text.text for text in texts(drivers_card.drawn())]
    assert colour in said
    assert pattern in said
    assert len({drivers_card.words(each) for each in LOOKS}) == len(LOOKS)


@pytest.mark.parametrize("draw", [wiring.drawn, drivers_card.drawn])
def test_nothing_is_too_small_to_read_or_beside_the_sheet(draw):
    svg = draw()
    _, _, width, height = map(float, ET.fromstring(svg).attrib["viewBox"].split())
    for text in texts(svg):
        size, x, y = (float(text.attrib[name]) for name in ("font-size", "x", "y"))
        assert size >= LEAST_TEXT
        assert 0 < x < width
        assert 0 < y < height


@pytest.mark.parametrize("paper", BY_HAND)
def test_every_command_in_the_papers_exists(paper: str):
    for line in re.findall(r"`tapgate ([^`]+)`", BY_HAND[paper].replace("\n", " ")):
        if line.startswith(SAID_BY_THE_BOARD):
            continue
        command: Any = _command()
        for word in line.split():
            if word.startswith("--"):
                known = [option for each in command.params for option in each.opts]
                assert word in [*known, "--json", "--home", "--help"], line
            elif getattr(command, "commands", None):
                assert word in command.commands, line
                command = command.commands[word]


@pytest.mark.parametrize("paper", BY_HAND)
def test_every_setting_in_the_papers_exists(paper: str):
    for path in re.findall(r"--set ([a-z_.]+)=", BY_HAND[paper]):
        section, _, key = path.partition(".")
        kinds = config.KINDS.get(section, {"": config.DEFAULTS.get(section, {})})
        assert any(key in kind for kind in kinds.values()), path


def test_each_fault_and_each_verdict_has_its_remedy():
    faults = [contactor.WELDED, contactor.STUCK_OPEN]
    faults += [pilot.SHORT, pilot.LOST, pilot.DIODE, pilot.VENTILATION]
    verdicts = [word for name, word in vars(words).items() if name.isupper() and _is_verdict(word)]
    assert len(verdicts) > 8
    for name in [*faults, *verdicts]:
        assert f"| `{name}` |" in BY_HAND["trouble-shooting.md"], name


def _is_verdict(word: object) -> bool:
    return isinstance(word, str) and word[:1].isupper() and word != words.ACCEPTED
