"""tapgate status, events."""

from typing import Annotated, Any

import typer

from tools.portal.commands.calling import Call, command
from tools.portal.output import console, count, in_short

# The light's colours (DESIGN section 4): a terminal has them by the same names.
_COLOURS = ("green", "yellow", "blue", "red", "white", "magenta")

# From here on a charger's journal is worth a remark: it has long been without a connection.
_MUCH_PERCENT = 75


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
    if doubt := statuses.doubt(call.home):
        call.out.note(doubt)
    if call.out.as_json:
        call.out.value(rows)
        return
    from rich.text import Text

    def step(row: dict[str, Any]) -> Text:
        if row["in_step"]:
            return Text("✓ in step", "green")
        if not row["published"]:
            return Text("not published", "yellow")
        if row["rekeyed"]:
            return Text(f"old key since {in_short(row['rekeyed'])}", "yellow")
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
    if row["rekeyed"]:
        found.append(
            f"{row['charger']} has a new key since {in_short(row['rekeyed'])}, which its board has "
            "not shown yet: until it has it, it follows nothing that is new and what it tells is "
            f"held back (tapgate charger rekey {row['charger']} --port PORT)"
        )
    if row["held"]:
        found.append(
            f"{row['charger']}: {count(row['held'], 'event')} signed with its former key "
            f"{'is' if row['held'] == 1 else 'are'} held back: tapgate charger held "
            f"{row['charger']}"
        )
    found += _journal_remarks(row)
    if "meter" in (row["faults"] or ()):
        found.append(
            f"{row['charger']}: its meter stands still while a vehicle draws; what it draws now "
            "may not be counted"
        )
    return found


def _journal_remarks(row: dict[str, Any]) -> list[str]:
    """What is recorded there and has not come here."""
    journal, its = row["journal"] or {}, f"{row['charger']}: its journal"
    found = []
    full, pending = journal.get("full"), journal.get("pending")
    if full is not None and full >= _MUCH_PERCENT:
        waits = "" if pending is None else f"; {count(pending, 'event')} still to be sent"
        found.append(f"{its} is {full}% full{waits}")
    if journal.get("stored") is False:
        found.append(f"{its} cannot be written: what is not sent is lost when its supply fails")
    sessions, others = journal.get("lost_sessions"), journal.get("lost_routine")
    if sessions:
        found.append(
            f"{its} was full and lost {count(sessions, 'record')} of sessions: what these charged "
            "may be in no report"
        )
    if others:
        found.append(f"{its} was full and lost {count(others, 'event')} beside those of sessions")
    if row["journal"] is None and row["events_lost"]:  # an older firmware
        found.append(f"{row['charger']} has lost {count(row['events_lost'], 'event')}")
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
    """What chargers have reported while 'tapgate serve' ran, in the order in which it came in.

    Times are the installation's. An event of a charger whose clock was not set has an estimated
    time, and null as its time in JSON. A card is shown as whose it was then.
    """
    from tools.portal import in_words, recorded
    from tools.portal.event_words import what, when
    from tools.portal.intake import shown
    from tools.portal.listing import Column, show

    found = recorded.events(call.home, charger, since)
    if call.out.as_json:
        call.out.value(found.rows)
        return
    if not found.rows:
        call.out.line("no events here; 'tapgate serve' takes them in")
        return
    rows = [
        [
            when(row),
            in_words.charger(row["charger"], row.get("charger_removed")),
            shown(row["event"]).replace("_", " "),
            what(row, found.zone),
        ]
        for row in found.rows
    ]
    columns = [*map(Column, (" time", "charger", "event")), Column("what", folds=True, below=True)]
    show(console(), columns, rows)
    if any(row.get("estimated") for row in found.rows):
        call.out.line(f"\n~ {in_words.ESTIMATED}")
