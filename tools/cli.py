"""`tapgate`: the one command on a computer (INTERFACES section 2).

Exit status: 0 done; 1 refused or failed, with one line on standard error that says why and what to
do; 2 wrong usage. A traceback appears only when TAPGATE_DEBUG asks for it.
"""

import io
import os
import re
import sys
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

from tools.portal.refusal import Refusal

if TYPE_CHECKING:
    import typer

DEBUG_VARIABLE = "TAPGATE_DEBUG"
# In an address, wherever somebody has typed it by mistake and reads it again.
_PASSWORD = re.compile(r"(://[^\s:/@]*):\S*@")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit status."""
    # Started without an output at all (>&-), Python has None there.
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # no name may end a command half-way
    try:
        status = _run(arguments)
        sys.stdout.flush()
        return status
    except BrokenPipeError:
        return 0  # the reader of the pipe has had enough; the command itself was done
    except KeyboardInterrupt:
        return _failed("interrupted; nothing is lost, run it again", 1)
    except Refusal as refusal:
        return _failed(str(refusal), refusal.exit_status)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _failed(f"{where}{error.strerror or error}", 1)
    except Exception as error:
        if os.environ.get(DEBUG_VARIABLE):
            raise
        return _failed(
            f"unexpected {type(error).__name__}: {error} ({DEBUG_VARIABLE}=1 shows where)", 1
        )


def _run(arguments: Sequence[str] | None) -> int:
    import typer

    command = _command()
    try:
        # Not command.main(): that has exit statuses of its own for Ctrl-C and closed pipes.
        given = list(sys.argv[1:] if arguments is None else arguments)
        with command.make_context("tapgate", given) as context:
            command.invoke(context)
    except typer.Exit as end:
        return end.exit_code
    except typer.TyperException as error:
        return _failed(_usage_line(error), error.exit_code)
    except (typer.Abort, EOFError):
        raise KeyboardInterrupt from None
    return 0


@cache
def _command():
    import typer

    from tools.portal.commands import application

    return typer.main.get_command(application())


def _usage_line(error: "typer.TyperException") -> str:
    context = getattr(error, "ctx", None)
    command = context.command_path if context else "tapgate"
    if type(error).__name__ == "NoArgsIsHelpError":
        return f"a command is missing (see '{command} --help')"
    return f"{error.format_message().rstrip('.')} (see '{command} --help')"


def _failed(why: str, status: int) -> int:
    try:
        said = _PASSWORD.sub(r"\1:…@", " ".join(why.split()))
        sys.stderr.write(f"tapgate: {said}\n")
        sys.stderr.flush()
    except OSError:
        return status  # nobody is listening there either
    return status


if __name__ == "__main__":
    sys.exit(main())
