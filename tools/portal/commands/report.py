"""tapgate report."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from tools.portal.commands.calling import Call, command
from tools.portal.output import console, count, in_short
from tools.portal.refusal import WrongUsage

if TYPE_CHECKING:
    from tools.portal.accounting import Stay
    from tools.portal.report import Report

Format = Literal["table", "csv", "json"]


def register(app: typer.Typer) -> None:
    command(app, "report")(report)


def report(
    call: Call,
    first: Annotated[
        str,
        typer.Option(
            "--from", metavar="DATE", help="The first day, like 2026-05-01.", show_default=False
        ),
    ],
    last: Annotated[
        str,
        typer.Option(
            "--to", metavar="DATE", help="The last day; it counts, too.", show_default=False
        ),
    ],
    by: Annotated[
        Literal["person", "charger", "card"] | None,
        typer.Option("--by", help="The sums alone, one line for each.", show_default=False),
    ] = None,
    form: Annotated[
        Format | None,
        typer.Option(
            "--format",
            help="A table for people, CSV for a spreadsheet, or JSON, which is the same as --json.",
            show_default="table",
        ),
    ] = None,
    to_file: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="FILE",
            help="CSV or JSON into a file that nobody else may read.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Who charged, when and how much: every session that started on these days.

    Days and times are the installation's. A session counts whole on the day on which it started.
    One that is still running is shown as such and is in no sum and in no CSV: it is reported, under
    the same day, once it has ended. Sessions without a card, at a charger that was open to anyone,
    are in the same report; their key is null in JSON, which has the sums by person unless --by says
    otherwise. With --by, CSV has the sums in place of the sessions.
    """
    chosen = _format(call.out.as_json, form, to_file)

    from tools.portal import report as reports

    found = reports.read(call.home, first, last, by or "person")
    if chosen == "table":
        _show(found, by)
        return
    if chosen == "json":
        text = _json(reports.answer(found))
    else:
        text = _csv(found, by)
        if found.running:
            call.out.note(f"{_running(found)} and not in it")
    if to_file is None:
        sys.stdout.flush()
        sys.stdout.buffer.write(text.encode())
        return

    from tools.portal.home import write_secret

    write_secret(to_file, text)
    ended = found.ended
    wh = sum(each.wh for each in ended)
    call.out.done(
        {"out": str(to_file), "format": chosen, "sessions": len(ended), "wh": wh},
        f"{to_file}: {_sum(ended)}",
        "personal data inside: for whom they concern and nobody else",
    )


def _format(as_json: bool, form: Format | None, to_file: Path | None) -> Format:
    """--json says how the answer is printed, which with --out is not the report itself."""
    if to_file is not None:
        if form == "table":
            raise WrongUsage("--out goes with --format csv or json; a table is for the screen")
        return form or "csv"
    if as_json:
        if form not in (None, "json"):
            raise WrongUsage(f"--json and --format {form} exclude each other")
        return "json"
    return form or "table"


def _json(answer: dict[str, Any]) -> str:
    """One value, a session on a line: with a line for each field, large ones take long."""
    import json

    parts = []
    for key, value in answer.items():
        if isinstance(value, list) and value:
            rows = ",\n".join(f"    {json.dumps(each)}" for each in value)
            parts.append(f"  {json.dumps(key)}: [\n{rows}\n  ]")
        else:
            parts.append(f"  {json.dumps(key)}: {json.dumps(value)}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _csv(found: "Report", by: str | None) -> str:
    from tools.portal import report_csv

    return report_csv.sessions(found) if by is None else report_csv.totals(found)


def _show(found: "Report", by: str | None) -> None:
    """The table for people."""
    from rich.text import Text

    screen = console()
    if not found.stays:
        screen.print(
            Text(
                f"no sessions from {found.period.first} to {found.period.last}, as far as "
                "'tapgate serve' has heard"
            )
        )
        return
    from tools.portal.listing import Listing

    columns, rows, last = _sessions(found) if by is None else _totals(found)
    table = Listing(columns, rows, screen.width if screen.is_terminal else None, last)
    screen.print(Text(f"{found.period.first} to {found.period.last}, {found.period.zone}\n", "dim"))
    table.print(screen)
    table.print_last(screen)
    notes = _notes(found, by)
    if notes:
        screen.print()
    for each in notes:
        screen.print(Text(each, "dim"))


def _sessions(found: "Report") -> tuple[Sequence[Any], list[list[str]], list[str]]:
    """Columns, one row for each session, and the last row."""
    from tools.portal import in_words, moments
    from tools.portal.intake import shown
    from tools.portal.listing import Column

    zone = found.period.zone
    # Dates and points stay below each other beside what is marked.
    exact = " " if any(each.estimated for each in found.stays) else ""
    whole = " " if found.running else ""

    def row(stay: "Stay") -> list[str]:
        about = "~" if stay.estimated else ""
        start = moments.shown_or_none(stay.start, zone)
        took = None if stay.start is None or stay.end is None else stay.end - stay.start
        energy = in_words.kwh(stay.wh)
        return [
            f"{about or exact}{in_short(start) if start else in_words.NOTHING}",
            in_words.NOTHING if took is None else f"{about}{in_words.span(took)}",
            shown(stay.charger),
            in_words.person(stay.person, stay.token),
            in_words.card(stay.token, stay.hint, stay.label, stay.by),
            f"({energy})" if stay.running else energy + whole,
            "running" if stay.running else in_words.reason(stay.reason),
        ]

    columns = (
        Column(f"{exact}started"),
        Column("took", right=True),
        Column("charger"),
        Column("person", folds=True, below=True),
        Column("card", folds=True, below=True),
        Column("kWh", right=True),
        Column("ended", below=True),
    )
    ended = found.ended
    energy = in_words.kwh(sum(each.wh for each in ended))
    last = [f"{exact}{count(len(ended), 'session')}", "", "", "", "", energy + whole, ""]
    return columns, [row(each) for each in found.stays], last


def _totals(found: "Report") -> tuple[Sequence[Any], list[list[str]], list[str]]:
    """The same with one row for each person, charger or card."""
    from tools.portal import in_words, report
    from tools.portal.intake import shown
    from tools.portal.listing import Column

    def who(total: report.Total) -> list[str]:
        if found.by == "person":
            email = in_words.WITHOUT_A_PERSON if total.key is None else shown(total.key, 300)
            return [email, shown(total.name) if total.name else ""]
        if found.by == "charger":
            return [shown(total.key)]
        people = ", ".join(shown(each, 300) for each in total.people)
        if total.key is None:
            return [in_words.WITHOUT_A_CARD, people]
        return [in_words.card(total.key, total.hint, total.label, total.by), people]

    titles = {"person": ("person", "name"), "charger": ("charger",), "card": ("card", "person")}
    columns = [Column(each, folds=True) for each in titles[found.by]]
    columns += [Column("sessions", right=True), Column("kWh", right=True)]
    ended = found.ended
    rows = [
        [*who(each), str(each.sessions), in_words.kwh(each.wh)]
        for each in report.totals(ended, found.by)
    ]
    blank = [""] * (len(titles[found.by]) - 1)
    energy = in_words.kwh(sum(each.wh for each in ended))
    return columns, rows, ["total", *blank, str(len(ended)), energy]


def _notes(found: "Report", by: str | None) -> list[str]:
    """What the table does not explain by itself."""
    from tools.portal import in_words

    said = []
    if by is None and any(each.estimated for each in found.stays):
        said.append(f"~ {in_words.ESTIMATED}")
    if found.running:
        brackets = "" if by else "; in brackets what was drawn so far"
        said.append(f"{_running(found)} and not in the sum{brackets}")
    return said


def _running(found: "Report") -> str:
    number = len(found.running)
    return f"{count(number, 'session')} {'is' if number == 1 else 'are'} still running"


def _sum(ended: "Sequence[Stay]") -> str:
    from tools.portal import in_words

    return f"{count(len(ended), 'session')}, {in_words.kwh(sum(each.wh for each in ended))} kWh"
