"""tapgate status, events."""

from typing import Annotated, Any

import typer

from tools.portal.commands.calling import Call, command
from tools.portal.output import count, in_short

# The light's colours (DESIGN section 4): a terminal has them by the same names.
_COLOURS = ("green", "yellow", "blue", "red", "white", "magenta")

_KEYS = ("charger", "n", "boot", "time", "event")


def register(app: typer.Typer) -> None:
    command(app, "status")(status)
    command(app, "events")(events)


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
        since = f" since {in_short(row['behind_since'])}" if row["behind_since"] else ""
        return Text(("waiting" if row["online"] else "behind") + since, "yellow")

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
    for row in rows:
        for line in _remarks(row):
            call.out.line(line)


def _remarks(row: dict[str, Any]) -> list[str]:
    """What deserves a look, beside the table."""
    found = []
    if row["doubtful"]:
        found.append(
            f"{row['charger']}: its state says list {row['allowlist']['version']}, the last that "
            f"it has signed for is {row['signed']['version']}: did somebody else write that state?"
        )
    if row["rejects"]:
        last = row["rejects"][0]
        since = f"{count(row['rejected'], 'message')} since its start; " if row["rejected"] else ""
        why = ", ".join(part for part in (last["why"], last["detail"]) if part)
        found.append(
            f"{row['charger']} has refused messages: {since}the last one that it told of "
            f"on {last['topic']} ({in_short(last['time'])}): {why}"
        )
    return found


def events(
    call: Call,
    charger: Annotated[
        str | None,
        typer.Option("--charger", metavar="NAME", help="Of this one alone.", show_default=False),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            "--since",
            metavar="TIME",
            help="ISO 8601; local time if it says no offset.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """What chargers have reported while 'tapgate serve' ran, in the order in which it came in."""
    from tools.portal import recorded
    from tools.portal.intake import shown

    rows = recorded.events(call.home, charger, since)
    if call.out.as_json:
        call.out.value(rows)
        return
    call.out.table(
        ["time", "charger", "event", "what"],
        (
            (
                row["time"] and in_short(row["time"]),
                row["charger"],
                row["event"],
                ", ".join(
                    f"{shown(key, 32)} {shown(value)}"
                    for key, value in row.items()
                    if key not in _KEYS and value is not None
                ),
            )
            for row in rows
        ),
        nothing="no events here; 'tapgate serve' takes them in",
    )
