"""tapgate charger add, config, list."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from tools.portal.commands.calling import Call, command, group, typed
from tools.portal.output import in_short
from tools.portal.refusal import Refusal, WrongUsage

Name = Annotated[str, typer.Argument(metavar="NAME", show_default=False)]
_BOARD = "The board (remembered for the next time)"


def register(app: typer.Typer) -> None:
    charger = group("Chargers, and what their boards are told: add, config, list.")
    command(charger, "add")(add)
    command(charger, "config")(config)
    command(charger, "list")(list_)
    app.add_typer(charger, name="charger")


def add(call: Call, name: Name) -> None:
    """Add a charger, with a key of its own."""
    from tools.portal import chargers, database, installation, settings

    with database.changing(call.home) as session:
        charger = chargers.add(session, name)
        access = settings.access(installation.current(session), charger)
        answer = {"charger": charger.name, "access": access}
    call.out.done(
        answer,
        f"charger '{answer['charger']}' is added, {access}",
        f"next: tapgate charger config {answer['charger']} --out config.json, and tapgate publish",
    )


def config(
    call: Call,
    name: Name,
    out: Annotated[Path, typer.Option("--out", metavar="FILE", show_default=False)],
    wifi_ssid: Annotated[
        str | None,
        typer.Option(metavar="SSID", rich_help_panel=_BOARD, show_default=False),
    ] = None,
    wifi_password: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT",
            help="Better given as $TAPGATE_WIFI_PASSWORD: others see a command line.",
            envvar="TAPGATE_WIFI_PASSWORD",
            show_envvar=False,
            rich_help_panel=_BOARD,
            show_default=False,
        ),
    ] = None,
    light: Annotated[
        Literal["rgb", "neopixel"] | None,
        typer.Option(rich_help_panel=_BOARD, show_default=False),
    ] = None,
    vehicle: Annotated[
        Literal["contact", "pilot"] | None,
        typer.Option(
            help="How a vehicle is noticed: a contact, or IEC 61851's control pilot.",
            rich_help_panel=_BOARD,
            show_default=False,
        ),
    ] = None,
    meter: Annotated[
        Literal["none", "s0"] | None,
        typer.Option(rich_help_panel=_BOARD, show_default=False),
    ] = None,
    broker: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="The broker as this charger reaches it, where that is another address or user; "
            "- reads it from standard input.",
            rich_help_panel=_BOARD,
            show_default=False,
        ),
    ] = None,
    assignments: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="PATH=VALUE",
            help="Anything else of config.json, like pins.feedback=null; may be repeated.",
            rich_help_panel=_BOARD,
            show_default=False,
        ),
    ] = None,
    defaults: Annotated[
        bool,
        typer.Option(
            "--defaults", help="Forget what was remembered first.", rich_help_panel=_BOARD
        ),
    ] = False,
) -> None:
    """Write the config.json for that board, secrets included, readable by you alone."""
    from tools.portal import board_config, chargers, database, home, installation

    wifi = {"ssid": wifi_ssid, "password": wifi_password}
    choices = {
        "wifi": {key: value for key, value in wifi.items() if value is not None},
        "light": {"kind": light} if light else {},
        "vehicle": {"kind": vehicle} if vehicle else {},
        "meter": {"kind": meter} if meter else {},
        "broker": board_config.broker_for_charger(typed(broker)) if broker else {},
    }
    choices = {section: values for section, values in choices.items() if values}
    with database.changing(call.home) as session:
        site = installation.current(session)
        charger = chargers.find(session, name)
        before = {} if defaults else charger.hardware
        charger.hardware = board_config.changed(before, choices, assignments or [])
        try:
            found = board_config.config(site, charger)
        except Refusal as why:
            raise (WrongUsage if choices or assignments else Refusal)(str(why)) from None
        home.write_secret(out, board_config.text(found))
        no_wifi = "wifi" not in charger.hardware
    lines = ["it holds this charger's keys: put it onto the board and nowhere else"]
    if no_wifi:
        lines.append(
            f"no Wi-Fi was given, so it says '{found['wifi']['ssid']}' without a password: "
            "see --wifi-ssid"
        )
    call.out.done(
        {"charger": name, "file": str(out), "wifi": found["wifi"]["ssid"]},
        f"{out} is written for charger '{name}'",
        *lines,
    )


def list_(call: Call) -> None:
    """List the chargers."""
    from tools.portal import chargers, database, installation, moments, settings

    with database.reading(call.home) as session:
        site = installation.current(session)
        zone = installation.zone(site)
        rows = [
            {
                "charger": each.name,
                "access": settings.access(site, each),
                "override": each.access,
                "added": moments.shown(each.added_at, zone),
            }
            for each in chargers.every(session)
        ]
    if call.out.as_json:
        call.out.value(rows)
        return
    call.out.table(
        ["charger", "access", "added"],
        (
            (
                row["charger"],
                row["access"] + (" (its own)" if row["override"] else ""),
                in_short(row["added"]),
            )
            for row in rows
        ),
        nothing="no chargers yet; run 'tapgate charger add NAME'",
    )
