"""What comes from the firmware in docs/installation.md: between markers; the rest is prose."""

import re

from tools.papers import board


def filled(text: str) -> str:
    """The same paper with its generated parts as they ought to be."""
    for name, lines in (("pins", _pins()), ("unsuited", _unsuited())):
        pattern = rf"(<!-- {name}: [^\n]*-->\n).*?(<!-- /{name} -->)"
        inside = "\n".join(lines)
        text, count = re.subn(
            pattern, lambda found, new=inside: f"{found[1]}{new}\n{found[2]}", text, flags=re.DOTALL
        )
        if count != 1:
            raise ValueError(f"docs/installation.md: {count} pairs of {name!r} markers, expected 1")
    return text


def _pins() -> list[str]:
    rows = [
        "| pin in `config.json` | GPIO | way | used | wired to | pull-up |",
        "|---|---|---|---|---|---|",
    ]
    rows += [
        f"| `{pin.name}` | **{board.NUMBERS[pin.name]}** | {pin.way} | {pin.used} | {pin.wiring} "
        f"| {board.pull_up(pin) or '–'} |"
        for pin in board.PINS
    ]
    return rows


def _unsuited() -> list[str]:
    rows = ["| GPIO | refused for | because |", "|---|---|---|"]
    for why, names in sorted(board.refusals().items(), key=lambda each: min(each[1].values())):
        # The pins that lose the same GPIO share a row.
        shared: dict[str, list[str]] = {}
        for name, gpios in names.items():
            shared.setdefault(board.ranges(gpios), []).append(name)
        for gpios, losers in shared.items():
            rows.append(f"| {gpios} | {_names(losers)} | {why} |")
    return rows


def _names(losers: list[str]) -> str:
    every = [pin.name for pin in board.PINS]
    outputs = [pin.name for pin in board.PINS if pin.way == "out"]
    if losers == every:
        return "everything"
    if losers == outputs:
        return "every output"
    if len(losers) > len(every) / 2:
        return "everything but " + ", ".join(f"`{n}`" for n in every if n not in losers)
    return ", ".join(f"`{name}`" for name in losers)
