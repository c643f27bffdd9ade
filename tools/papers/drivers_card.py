"""docs/drivers-card.svg: what the light says, for drivers, on one page.

Each look of the firmware's table is drawn as its brightness over time and named in words, so that
it can be told without colour.
"""

from collections.abc import Iterable, Mapping

from firmware.access import light
from tools.papers.drawing import Sheet

# name in the firmware's table: (what it means, what to do)
MEANING = {
    "available": ("The charger is free.", "Plug in."),
    "awaiting": ("Your vehicle is connected.", "Hold your card to the reader."),
    "checking": ("Your card is being looked up.", "Wait a few seconds."),
    "authorised": ("You may charge.", "Nothing to do: your vehicle begins when it likes."),
    "charging": ("Charging.", "To end it: your card once more, or unplug."),
    "finished": ("The session is over.", "Unplug, or hold your card there to go on."),
    "preauthorised": ("Card accepted, no vehicle yet.", "Plug in within a minute."),
    "accepted": ("Your card was accepted.", "Nothing to do."),
    "refused": ("This card does not work here now.", "Use another card, or ask the owner."),
    "expired": ("The card is out of date.", "Ask the owner: it may also be the charger's list."),
    "unreadable": ("The card was not read.", "Hold it still, one card alone."),
    "enrolled": ("The new card is registered.", "Take it away."),
    "faulted": ("Something is broken here.", "Unplug, use another charger, tell the owner."),
    "reader": (
        "The card reader does not answer.",
        "A session goes on. For a new one ask the owner.",
    ),
    "unavailable": ("Switched off by the owner.", "Use another charger."),
    "offline": ("The charger has no link.", "Nothing to do: your card works as ever."),
    "enrolling": ("The next card will be registered.", "Hold the new card to it, no other."),
    "service": ("The charger is being tested.", "Wait until the light is green."),
}

GROUPS = (
    (
        "Plugging in, charging",
        ("available", "awaiting", "checking", "authorised", "charging", "finished",
         "preauthorised"),
    ),
    (
        "After a card, for 2 s",
        ("accepted", "refused", "expired", "unreadable", "enrolled"),
    ),
    ("Something is wrong", ("faulted", "reader", "unavailable", "offline")),
    ("Now and then", ("enrolling", "service")),
)  # fmt: skip

_SHOWN_S = 6  # so that a wink every 5 s is seen to come back
_LEFT, _SECOND, _HIGH = 232, 42, 26
_SENTENCE = 504
_ROW, _HEADING = 49, 34

# What a printer makes of the names of colours; the lamp's own values are for light, not for ink.
_INK = {
    "green": "#2ed157",
    "yellow": "#ffdf1f",
    "blue": "#5b8cff",
    "red": "#ff4a3d",
    "white": "#fff",
    "magenta": "#ff7ae6",
}
_DARK = "#1a1a1a"  # and each ink well lighter, so that a print without colour shows the pattern

# (colour, [(ms, percent), ...]): a time without darkness, as the line of its brightness
Lit = tuple[str, list[tuple[int, int]]]


def drawn() -> str:
    _complete(MEANING, GROUPS)
    sheet = Sheet(
        210,
        297,
        "What the charger's light says",
        "Each look of the light as brightness over six seconds, what it means and what to do.",
    )
    sheet.text(28, 52, "What the light says", 32, bold=True)
    sheet.text(812, 34, "Plug in. Yellow: hold your card to the reader. Blue: you may charge.", 13,
               "end", bold=True)  # fmt: skip
    sheet.text(812, 54, "Each bar: the light over six seconds, the higher the brighter.", 13, "end")
    sheet.add(
        '<pattern id="elsewise" width="6" height="6" patternUnits="userSpaceOnUse">'
        '<rect width="6" height="6" fill="#fff"/><path d="M0 6L6 0" stroke="#999"/></pattern>'
    )
    y = 76
    for heading, names in GROUPS:
        y = _heading(sheet, heading, y)
        for name in names:
            _row(sheet, name, y)
            y += _ROW
    sheet.box(28, y + 6, 784, 62, "warn")
    sheet.text(
        44, y + 30, "Red without a break, or no light at all: out of order. Tell the owner:", 15,
        bold=True,
    )  # fmt: skip
    sheet.text(44, y + 54, "A phone is no card: it shows another number each time.", 13)
    sheet.wire((590, y + 32), (796, y + 32))
    return sheet.svg()


def _complete(meaning: Mapping[str, object], groups: Iterable[tuple[str, Iterable[str]]]) -> None:
    """Every look has its sentence and its place, and nothing else has."""
    looks = sorted([*light.STATES, *light.OVERLAYS, *light.STANDING])
    for what, found in (
        ("sentence", sorted(meaning)),
        ("place", sorted(name for _, names in groups for name in names)),
    ):
        if found != looks:
            wrong = sorted(set(looks) ^ set(found)) or found
            raise ValueError(f"a {what} for each look of the light: see {', '.join(wrong)}")


def words(name: str) -> tuple[str, str]:
    """A look in words, the first one its colour: ("Yellow", "slow pulse")."""
    if name in light.STANDING:
        _, period_ms, steps = light.STANDING[name]
        colours = [colour for _, colour in steps if colour]
        if len(colours) == len(steps):
            return " and ".join(colours).capitalize(), "in turn"
        return colours[0].capitalize(), f"wink every {period_ms // 1000} s, else as it is"
    if name in light.OVERLAYS:
        colour, pattern = light.OVERLAYS[name]
        return colour.capitalize(), pattern
    colour, pattern = light.STATES[name]
    dark = ", else dark" if pattern.startswith("wink") else ""
    return colour.capitalize(), pattern + dark


def lit(name: str) -> list[Lit]:
    """When the look's own light is on within the time that is drawn, and how bright."""
    if name in light.STANDING:
        _, _, named = light.STANDING[name]
        steps = [(ms, 100, 100, colour) for ms, colour in named]
    else:
        colour, pattern = (light.STATES | light.OVERLAYS)[name]
        steps = [(*step, colour) for step in light.PATTERNS[pattern][1]]
    end_ms = light.OVERLAY_MS if name in light.OVERLAYS else _SHOWN_S * 1_000
    found: list[Lit] = []
    at_ms = 0
    while at_ms < end_ms:
        for ms, first, last, colour in steps:
            until_ms = min(at_ms + ms, end_ms)
            if colour and (first or last) and until_ms > at_ms:
                if not found or found[-1][0] != colour or found[-1][1][-1][0] != at_ms:
                    found.append((colour, [(at_ms, first)]))
                cut = first + (last - first) * (until_ms - at_ms) // ms
                found[-1][1].append((until_ms, cut))
            at_ms += ms
    return found


def _heading(sheet: Sheet, heading: str, y: float) -> float:
    y += _HEADING
    sheet.text(28, y - 10, heading, 17, bold=True)
    for second in range(_SHOWN_S + 1):
        label = f"{second} s" if second in (0, _SHOWN_S) else str(second)
        sheet.text(_LEFT + second * _SECOND, y - 5, label, 10.5, "middle")
    return y


def _row(sheet: Sheet, name: str, y: float) -> None:
    colour, pattern = words(name)
    sheet.wire((28, y), (812, y), kind="hair")
    sheet.text(28, y + 22, colour, 17, bold=True)
    sheet.text(28, y + 39, pattern, 13)
    _strip(sheet, name, y + 11)
    meaning, do = MEANING[name]
    sheet.text(_SENTENCE, y + 21, meaning, 14, bold=True)
    sheet.text(_SENTENCE, y + 39, do, 13)


def _strip(sheet: Sheet, name: str, y: float) -> None:
    width = _SHOWN_S * _SECOND
    sheet.add(f'<rect x="{_LEFT}" y="{y:g}" width="{width}" height="{_HIGH}" fill="{_DARK}"/>')
    if name in light.OVERLAYS:
        _elsewise(sheet, y, light.OVERLAY_MS, _SHOWN_S * 1_000, "then as it was")
    if name in light.STANDING:
        at_ms = 0
        for ms, colour in light.STANDING[name][2]:
            if colour is None:
                _elsewise(sheet, y, at_ms, at_ms + ms, "as it is")
            at_ms += ms
        _elsewise(sheet, y, min(at_ms, _SHOWN_S * 1_000), _SHOWN_S * 1_000, "")
    bottom = y + _HIGH
    for colour, line in lit(name):
        way = "".join(
            f"L{_LEFT + ms * _SECOND / 1_000:g} {bottom - _HIGH * percent / 100:g}"
            for ms, percent in line
        )
        begin, end = (_LEFT + ms * _SECOND / 1_000 for ms, _ in (line[0], line[-1]))
        sheet.add(
            f'<path d="M{begin:g} {bottom:g}{way}L{end:g} {bottom:g}Z" fill="{_INK[colour]}" '
            'stroke="#000" stroke-width="0.5"/>'
        )
    sheet.box(_LEFT, y, width, _HIGH, "area")


def _elsewise(sheet: Sheet, y: float, from_ms: int, to_ms: int, said: str) -> None:
    """A time in which something else is shown."""
    left, right = (_LEFT + ms * _SECOND / 1_000 for ms in (from_ms, to_ms))
    sheet.add(
        f'<rect x="{left:g}" y="{y:g}" width="{right - left:g}" height="{_HIGH}" '
        'fill="url(#elsewise)"/>'
    )
    if said:
        sheet.add(
            f'<rect x="{(left + right) / 2 - 5 - 3.400 * len(said):g}" y="{y + 4:g}" '
            f'width="{10 + 6.800 * len(said):g}" height="{_HIGH - 8}" fill="#fff"/>'
        )
        sheet.text((left + right) / 2, y + 17, said, 12, "middle")
