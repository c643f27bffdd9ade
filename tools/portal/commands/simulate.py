"""tapgate simulate."""

from pathlib import Path
from typing import Annotated

import typer

from tools.portal.commands.calling import Call, command
from tools.portal.refusal import WrongUsage


def register(app: typer.Typer) -> None:
    command(app, "simulate")(simulate)


def simulate(
    call: Call,
    config: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="config.json; the firmware is put onto the board with it.",
            show_default=False,
        ),
    ] = None,
    flash: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            help="A directory, or a littlefs image (.img). Needed unless --main is given.",
            show_default=False,
        ),
    ] = None,
    control: Annotated[
        int, typer.Option(metavar="PORT", min=0, max=65_535, help="0: a free one.")
    ] = 0,
    serial: Annotated[
        bool, typer.Option("--serial", help="A serial port for mpremote as well.")
    ] = False,
    main: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Run this in place of main.py.", show_default=False),
    ] = None,
    path: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="First on the import path.", show_default=False),
    ] = None,
    heap: Annotated[
        int | None,
        typer.Option(
            metavar="KB",
            min=16,
            help="Heap for the program: twice a board's, as objects are twice the size.",
            show_default=False,
        ),
    ] = None,
    board: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE",
            help="Another kind of board: machine, platform, flash_kb, romfs_kb, rom, version, "
            "build, mpy; may be repeated.",
            show_default=False,
        ),
    ] = None,
    stdin: Annotated[bool, typer.Option("--stdin", help="End when standard input ends.")] = False,
) -> None:
    """A virtual charger in the foreground: the real firmware on virtual hardware."""
    if call.out.as_json:
        raise WrongUsage("simulate prints what the board prints: --json does not go with it")
    if flash is None and main is None:
        raise WrongUsage("Missing option '--flash': a directory, or a littlefs image (.img)")

    from tools.virtual import simulate as simulator

    status = simulator.run(
        config, flash, control, serial, main, path, heap, stdin, board=board or ()
    )
    if status:
        raise typer.Exit(status)
