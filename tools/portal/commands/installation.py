"""tapgate init, broker, access."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from tools.portal import broker_address, moments
from tools.portal.commands.calling import Call, command, typed
from tools.portal.refusal import WrongUsage

_URL_HELP = f"{broker_address.FORM}; - reads it from standard input."
BrokerOption = Annotated[
    str, typer.Option("--broker", metavar="URL", help=_URL_HELP, show_default=False)
]
Ca = Annotated[
    Path | None,
    typer.Option(
        "--ca",
        metavar="FILE",
        help="PEM certificate of the authority that signed the broker's. Needed for mqtts://.",
        show_default=False,
    ),
]


def register(app: typer.Typer) -> None:
    command(app, "init")(init)
    command(app, "broker")(broker)
    command(app, "access")(access)


def init(
    call: Call,
    name: Annotated[
        str, typer.Option("--installation", metavar="NAME", help="a-z, 0-9 and '-'; up to 32.")
    ],
    address: BrokerOption,
    owner: Annotated[str, typer.Option("--owner", metavar="EMAIL", help="The first owner.")],
    ca: Ca = None,
    timezone: Annotated[
        str | None,
        typer.Option(
            metavar="ZONE",
            help="Zone of local times, like Europe/Oslo. Otherwise this computer's.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Set up an installation: its keys, its broker and its first owner.

    Where the broker's user or password hold one of : @ / ? # %, write them percent-encoded.
    """
    where = broker_address.parse(typed(address))
    zone = timezone if timezone is not None else moments.machine_zone_name()
    moments.zone(zone)
    pem = broker_address.certificates(ca) if ca else ""

    from tools.portal import installation

    site = installation.set_up(call.home, name, where, pem, owner, zone)
    call.out.done(
        {
            "installation": site.name,
            "broker": str(where),
            "owner": owner.strip(),
            "timezone": zone,
            "access": "restricted",
            "home": str(call.home),
        },
        f"installation '{name}' is set up in {call.home}, owned by {owner.strip()}",
        f"broker {where}, time zone {zone}, restricted: approved cards only",
        "next: tapgate charger add NAME",
    )


def broker(
    call: Call,
    address: Annotated[
        str | None, typer.Argument(metavar="[URL]", help=_URL_HELP, show_default=False)
    ] = None,
    ca: Ca = None,
) -> None:
    """Show the broker, or change it. Every board then needs its config.json again."""
    from tools.portal import database, installation

    if address is None:
        if ca:
            raise WrongUsage("--ca comes with the broker's address")
        with database.reading(call.home) as session:
            site = installation.current(session)
            found = str(installation.broker(site))
            has_ca = bool(site.broker_ca)
        call.out.done({"broker": found, "ca": has_ca}, found)
        return
    where = broker_address.parse(typed(address))
    pem = broker_address.certificates(ca) if ca else ""
    with database.changing(call.home) as session:
        installation.move(session, where, pem)
    call.out.done(
        {"broker": str(where), "ca": bool(pem)},
        f"the broker is {where}",
        "next: tapgate publish, and tapgate charger config for every board",
    )


def access(
    call: Call,
    mode: Annotated[Literal["open", "restricted", "inherit"], typer.Argument(show_default=False)],
    charger: Annotated[
        str | None,
        typer.Option("--charger", metavar="NAME", help="This charger alone.", show_default=False),
    ] = None,
) -> None:
    """Let anyone charge (open), or approved people only (restricted).

    With --charger it overrides the installation's mode there; inherit drops that override.
    """
    from tools.portal import chargers, database, installation, operators, settings

    with database.changing(call.home) as session:
        if mode != "restricted":
            operators.require_native(session)
        site = installation.current(session)
        found = chargers.find(session, charger) if charger is not None else None
        settings.set_access(site, found, mode)
        if found is None:
            overridden = [
                f"{each.name} stays {each.access}"
                for each in chargers.every(session)
                if each.access and each.access != mode
            ]
            answer = {"access": mode, "charger": None}
            lines = [f"the installation is {mode}"]
            if overridden:
                lines.append(f"{', '.join(overridden)} (its own setting)")
        else:
            now = settings.access(site, found)
            answer = {"access": now, "charger": found.name, "inherited": mode == "inherit"}
            as_site = ", as the installation" if mode == "inherit" else ""
            lines = [f"{found.name} is {now}{as_site}"]
    call.out.done(answer, *lines, "next: tapgate publish")
