"""tapgate serve, events."""

import sys
from typing import Annotated, Any

import typer

from tools.portal.commands.calling import Call, command
from tools.portal.output import console, count, in_short

_KEYS = ("charger", "n", "boot", "time", "event")


def register(app: typer.Typer) -> None:
    command(app, "serve")(serve)
    command(app, "events")(events)


def serve(
    call: Call,
    grace: Annotated[
        int,
        typer.Option(
            metavar="SECONDS",
            min=0,
            help="How long an object that no list needs any more stays on the broker.",
        ),
    ] = 3_600,
) -> None:
    """Keep every charger in step, and take in states and events, until SIGTERM or Ctrl-C.

    What any other tapgate command changes is published within a second. The first line that begins
    with "ready" says that the broker has everything. With --json these lines go to standard error,
    and what was done is the one value at the end.
    """
    from tools.portal import serving

    done = serving.run(call.home, grace_s=grace, say=_say(as_json=call.out.as_json))
    answer = {
        "messages": done["messages"],
        "objects": done["objects"],
        "removed": done["removed"],
        "states": done["states"],
        "events": done["events"],
        "rejected": done["rejected"],
    }
    call.out.done(
        answer,
        f"ended: {count(answer['messages'], 'message')} published, "
        f"{count(answer['events'], 'event')} taken in",
    )


def _say(*, as_json: bool) -> Any:
    """A line at a time, at once: whoever reads a pipe waits for it."""
    if as_json:

        def to_error(line: str) -> None:
            sys.stderr.write(f"{line}\n")
            sys.stderr.flush()

        return to_error
    from rich.text import Text

    screen = console()

    def to_output(line: str) -> None:
        if screen.is_terminal:
            from datetime import datetime

            screen.print(Text.assemble((f"{datetime.now():%H:%M:%S} ", "dim"), line))
        else:
            sys.stdout.write(f"{line}\n")
            sys.stdout.flush()

    return to_output


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
