"""tapgate flash."""

from pathlib import Path
from typing import Annotated

import typer

from tools.portal.commands.calling import Call, asks, command
from tools.portal.refusal import WrongUsage


def register(app: typer.Typer) -> None:
    command(app, "flash")(flash)


def flash(
    call: Call,
    port: Annotated[
        str,
        typer.Option(metavar="PORT", help="Like /dev/ttyUSB0 or COM3.", show_default=False),
    ],
    firmware: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="A MicroPython for the ESP32 with ROMFS: docs/micropython.md says which.",
            show_default=False,
        ),
    ] = None,
    charger: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Then make it this charger, as provision does.", show_default=False
        ),
    ] = None,
    erase: Annotated[
        bool, typer.Option("--erase", help="Erase the files that are on the board, too.")
    ] = False,
    slow: Annotated[
        bool, typer.Option("--slow", help="For a cable or a board that loses bytes.")
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", help="Do not ask before anything is written or lost.")
    ] = False,
) -> None:
    """MicroPython and Tapgate onto a board: --firmware, --charger, or both."""
    if firmware is None and charger is None:
        raise WrongUsage(
            "nothing to do: give --firmware FILE (MicroPython), --charger NAME (Tapgate), or both"
        )
    if firmware is None and (erase or slow):
        raise WrongUsage("--erase and --slow go with --firmware FILE")

    answer: dict = {}
    if firmware is not None:
        from tools.installer import flashing

        if charger is not None:
            _require_known(call, charger)
        answer = flashing.write(
            port,
            firmware,
            call.out.say,
            erase=erase,
            slow=slow,
            sure=lambda: asks(yes)("Go on?"),
            progress=call.out.progress,
        )
    if charger is None:
        call.out.done(
            answer,
            f"MicroPython {answer['micropython']} is on the board at {port}",
            f"next: tapgate provision --port {port} --charger NAME",
        )
        return
    from tools.portal.commands import provision

    provision.provision(call, port=port, charger=charger, yes=yes)


def _require_known(call: Call, charger: str) -> None:
    """Refusal if the portal does not know it: to be said before the board is another one."""
    from tools.portal import chargers, database

    with database.reading(call.home) as session:
        chargers.find(session, charger)
