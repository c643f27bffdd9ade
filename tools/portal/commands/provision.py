"""tapgate provision."""

from pathlib import Path
from typing import Annotated

import typer

from tools.portal.commands.board_options import (
    Assignments,
    BrokerUrl,
    Choices,
    Defaults,
    Light,
    Meter,
    Vehicle,
    WifiPassword,
    WifiSsid,
)
from tools.portal.commands.calling import Call, asks, command
from tools.portal.refusal import Refusal

TIMEOUT_S = 240  # a version that does not work gives way after 180


def register(app: typer.Typer) -> None:
    command(app, "provision")(provision)


def provision(
    call: Call,
    port: Annotated[
        str,
        typer.Option(metavar="PORT", help="Like /dev/ttyUSB0 or COM3.", show_default=False),
    ],
    charger: Annotated[
        str,
        typer.Option(metavar="NAME", help="As the portal knows it.", show_default=False),
    ],
    firmware: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="A MicroPython, for a board without it or with one that is too old: "
            "docs/micropython.md says which.",
            show_default=False,
        ),
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="Do not ask before anything is lost or interrupted.")
    ] = False,
    timeout: Annotated[
        int,
        typer.Option(
            metavar="SECONDS", min=5, max=3_600, help="To wait for the charger at the broker."
        ),
    ] = TIMEOUT_S,
    wifi_ssid: WifiSsid = None,
    wifi_password: WifiPassword = None,
    light: Light = None,
    vehicle: Vehicle = None,
    meter: Meter = None,
    broker: BrokerUrl = None,
    assignments: Assignments = None,
    defaults: Defaults = False,
) -> None:
    """Make the board at a port that charger: firmware and config.json onto it, a restart, wait
    until it reports itself at the broker, self-test.

    Only what differs is written, and nothing is interrupted if nothing does. Pulled out half-way
    the board says that it is incomplete, its contactor open; run this again, and it completes.
    """
    from tools import mpy
    from tools.installer import page
    from tools.installer import provision as provisioning
    from tools.installer.slots import Wanted
    from tools.installer.whose import Owner
    from tools.portal import chargers, database, installation, rekeying
    from tools.portal.output import console

    choices = Choices(
        wifi_ssid, wifi_password, light, vehicle, meter, broker, assignments, defaults
    )
    with database.changing(call.home) as session:
        site, found = installation.current(session), chargers.find(session, charger)
        config = choices.remember(site, found)
        owner = Owner(site.name, found.name, site.card_key)
        keys = (found.key, found.former_key)
        no_wifi = "wifi" not in found.hardware
    if no_wifi:
        call.out.say(
            f"no Wi-Fi was given: the charger will look for '{config['wifi']['ssid']}' without a "
            "password; see --wifi-ssid"
        )

    def given() -> None:
        with database.changing(call.home) as session:
            row = chargers.find(session, owner.charger)
            if row.key == config["charger_key"]:
                rekeying.given(row)

    with call.out.progress() as tell:
        tell("compiling", 0, 1)
        wanted = Wanted(mpy.image(), mpy.version())
    result = provisioning.provision(
        provisioning.Order(
            home=call.home,
            charger=owner.charger,
            port=port,
            config=config,
            owner=owner,
            keys=keys,
            wanted=wanted,
            starters=mpy.starters(),
            firmware=firmware,
            timeout_s=timeout,
            say=call.out.say,
            sure=asks(yes),
            bar=call.out.progress,
            given=given,
        )
    )
    if call.out.as_json:
        call.out.value(page.value(result))
    else:
        page.show(console(), result)
    if not result.passed:
        failed = [each["part"] for each in result.parts if each["ok"] is False]
        raise Refusal(f"{owner.charger} has not passed: {', '.join(failed)}; see above")
