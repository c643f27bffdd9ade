"""What every command shares: --home and --json, accepted before and after its name."""

import inspect
import os
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from tools.portal import home as homes
from tools.portal.output import Output
from tools.portal.refusal import Refusal, WrongUsage

HOME_VARIABLE = "TAPGATE_HOME"

_PANEL = "Everywhere"
Home = Annotated[
    str | None,
    typer.Option(
        "--home",
        metavar="DIR",
        help=f"Where the data lie: this, or ${HOME_VARIABLE}, or ~/.local/share/tapgate.",
        rich_help_panel=_PANEL,
        show_default=False,
    ),
]
AsJson = Annotated[
    bool, typer.Option("--json", help="Print exactly one JSON value.", rich_help_panel=_PANEL)
]


class Call(NamedTuple):
    """One call of a command."""

    home: Path
    out: Output


def group(help: str) -> typer.Typer:
    """A command that has commands of its own."""
    made = typer.Typer(
        help=help, no_args_is_help=True, rich_markup_mode="rich", add_completion=False
    )
    made.callback()(_remember)
    return made


def command(app: typer.Typer, name: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Register a function as a command. Its first parameter is the Call."""

    def register(function: Callable[..., None]) -> Callable[..., None]:
        @wraps(function)
        def run(context: typer.Context, home: str | None, as_json: bool, **given: Any) -> None:
            _remember(context, home, as_json)
            chosen = context.obj
            function(Call(_home(chosen["home"]), Output(as_json=chosen["json"])), **given)

        own = [
            each.replace(kind=inspect.Parameter.KEYWORD_ONLY)
            for each in list(inspect.signature(function).parameters.values())[1:]
        ]
        shared = list(inspect.signature(_remember).parameters.values())
        both = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in own + shared]
        vars(run)["__signature__"] = inspect.Signature(both)
        run.__annotations__ = {each.name: each.annotation for each in both}
        del vars(run)["__wrapped__"]  # or the wrapped function's annotations would be looked at
        app.command(name, help=_help(function))(run)
        return function

    return register


def typed(text: str) -> str:
    """`-` stands for a line of standard input, which no list of processes shows."""
    return typer.get_text_stream("stdin").readline().strip() if text == "-" else text


def asks(yes: bool) -> Callable[[str], bool]:
    """What asks whoever sits there; with --yes nobody. Refusal where there is nobody to ask."""

    def sure(question: str) -> bool:
        if yes:
            return True
        if not sys.stdin.isatty():
            raise Refusal(f"{question} Nobody is there to ask: say --yes if so")
        return typer.confirm(question, err=True)

    return sure


def _remember(context: typer.Context, home: Home = None, as_json: AsJson = False) -> None:
    """The innermost --home counts; --json once is enough."""
    found = context.obj or {"home": None, "json": False}
    context.obj = {
        "home": found["home"] if home is None else home,
        "json": found["json"] or as_json,
    }


def _help(function: Callable[..., None]) -> str:
    """The docstring, each paragraph on one line: typer keeps the line ends of all but the first."""
    paragraphs = inspect.cleandoc(function.__doc__ or "").split("\n\n")
    return "\n\n".join(" ".join(each.split()) for each in paragraphs)


def _home(chosen: str | None) -> Path:
    if chosen == "":
        raise WrongUsage("--home needs the name of a directory")
    found = chosen or os.environ.get(HOME_VARIABLE)
    return Path(found).expanduser().absolute() if found else homes.default()
