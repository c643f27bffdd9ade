"""tapgate report."""

import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from tools.portal.commands.calling import Call, command
from tools.portal.output import console, count
from tools.portal.refusal import WrongUsage

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
    from tools.portal import report_csv, report_table

    found = reports.read(call.home, first, last, by or "person")
    if chosen == "table":
        report_table.show(console(), found, sums_alone=by is not None)
        _say_lost(call, found.lost)
        return
    if chosen == "json":
        text = _json(reports.answer(found))
    else:
        text = report_csv.sessions(found) if by is None else report_csv.totals(found)
    if to_file is None:
        sys.stdout.flush()
        out = getattr(sys.stdout, "buffer", None)  # line ends as they are, whatever the system's
        if out is None:
            sys.stdout.write(text)
        else:
            out.write(text.encode())
    else:
        from tools.portal.home import write_secret

        write_secret(to_file, text)
        ended = found.ended
        wh = sum(each.wh for each in ended)
        call.out.done(
            {"out": str(to_file), "format": chosen, "sessions": len(ended), "wh": wh},
            f"{to_file}: {report_table.summed(ended)}",
            "personal data inside: for whom they concern and nobody else",
        )
    if chosen == "csv" and found.running:
        call.out.note(f"{report_table.running(found)} and not in it")
    _say_lost(call, found.lost)


def _say_lost(call: Call, lost: tuple[tuple[str, int], ...]) -> None:
    for charger, records in lost:
        call.out.note(
            f"the journal of {charger} was full and lost {count(records, 'record')} of sessions, "
            "which may be missing here"
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
