"""tapgate status."""

from typing import Annotated, Any

import typer

from tools.portal.commands.calling import Call, command
from tools.portal.output import in_short

# The light's colours (DESIGN section 4): a terminal has them by the same names.
_COLOURS = ("green", "yellow", "blue", "red", "white", "magenta")


def register(app: typer.Typer) -> None:
    command(app, "status")(status)


def status(
    call: Call,
    charger: Annotated[str | None, typer.Argument(metavar="[CHARGER]", show_default=False)] = None,
) -> None:
    """What each charger last said of itself, and whether it holds what it should."""
    from tools.portal import status as statuses

    rows, away = statuses.status(call.home, charger)
    if away:
        call.out.note(f"{away} (showing what was last heard)")
    if call.out.as_json:
        call.out.value(rows)
        return
    from rich.text import Text

    def step(row: dict[str, Any]) -> Text:
        if row["in_step"]:
            return Text("✓ in step", "green")
        if not row["published"]:
            return Text("not published", "yellow")
        return Text("waiting" if row["online"] else "behind", "yellow")

    def cards(row: dict[str, Any]) -> str:
        has, due = row["allowlist"]["cards"], row["expected"]["cards"]
        return str(due) if has == due else f"{'–' if has is None else has} → {due}"

    def state(row: dict[str, Any]) -> Text:
        if row["state"] is None:
            return Text("–", "dim")
        colour = (row["light"] or {}).get("colour")
        dot = Text("● ", colour if colour in _COLOURS else "dim")
        return dot + Text(row["state"], "" if row["online"] else "dim")

    online = {
        True: Text("online", "green"),
        False: Text("offline", "red"),
        None: Text("not known", "yellow"),
    }
    call.out.table(
        ["charger", "link", "state", "access", "cards", "list", "seen"],
        (
            (
                row["charger"],
                online[row["online"]],
                state(row),
                row["access"],
                cards(row),
                step(row),
                row["seen"] and in_short(row["seen"]),
            )
            for row in rows
        ),
        nothing="no chargers yet; run 'tapgate charger add NAME'",
    )
