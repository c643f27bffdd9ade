"""tapgate serve."""

import os
import sys
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, TextIO

import typer

from tools.portal.commands.calling import Call, command
from tools.portal.output import console, count


def register(app: typer.Typer) -> None:
    command(app, "serve")(serve)


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


def _say(*, as_json: bool) -> Callable[[str], None]:
    """A line at a time, at once: whoever reads a pipe waits for it. Whoever stops reading has had
    enough of the lines, not of the rest."""
    from rich.text import Text

    stream, screen = (sys.stderr, None) if as_json else (sys.stdout, console())

    def say(line: str) -> None:
        try:
            if screen is not None and screen.is_terminal:
                screen.print(Text.assemble((f"{datetime.now():%H:%M:%S} ", "dim"), line))
            else:
                stream.write(f"{line}\n")
                stream.flush()
        except OSError:
            _send_to_nowhere(stream)

    return say


def _send_to_nowhere(stream: TextIO) -> None:
    """What it still holds would be said in vain again at the end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
