"""tapgate grant, revoke."""

import time
from datetime import tzinfo
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from tools.portal.commands.calling import Call, command
from tools.portal.commands.person import Email, in_words, permission_answer
from tools.portal.output import count
from tools.portal.refusal import WrongUsage

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from tools.portal.schema import Charger, Schedule

OnCharger = Annotated[
    str | None,
    typer.Option("--charger", metavar="NAME", help="On this charger alone.", show_default=False),
]
From = Annotated[
    str | None,
    typer.Option(
        "--from",
        metavar="TIME",
        help="ISO 8601; local time if it says no offset.",
        show_default=False,
    ),
]
Until = Annotated[
    str | None,
    typer.Option(
        "--until",
        metavar="TIME",
        help="ISO 8601; a date alone counts to its end.",
        show_default=False,
    ),
]
OnSchedule = Annotated[
    str | None,
    typer.Option(
        "--schedule",
        metavar="NAME",
        help="Only at the times of this week; see 'tapgate schedule'.",
        show_default=False,
    ),
]


def register(app: typer.Typer) -> None:
    command(app, "grant")(grant)
    command(app, "revoke")(revoke)


def grant(
    call: Call,
    email: Email,
    role: Annotated[
        Literal["owner", "user", "service"] | None, typer.Option("--role", show_default=False)
    ] = None,
    charger: OnCharger = None,
    valid_from: From = None,
    valid_until: Until = None,
    schedule: OnSchedule = None,
    inherit: Annotated[
        bool,
        typer.Option(
            "--inherit",
            help="With --charger, in place of a role: drop what is said for that charger, so that "
            "the installation's permission counts there again.",
        ),
    ] = False,
) -> None:
    """Give a person a role, on the installation or on one charger.

    It replaces what the person had in the same place, with its times. On one charger it counts
    instead of the installation's permission.
    """
    if inherit:
        if charger is None or role or valid_from or valid_until or schedule:
            raise WrongUsage("--inherit goes with --charger NAME, and with nothing else")
        _inherit(call, email, charger)
        return
    if role is None:
        raise WrongUsage("Missing option '--role': owner, user or service")

    from tools.portal import database, installation, operators, people, permissions

    with database.changing(call.home) as session:
        operators.require_native(session)
        zone = installation.zone(installation.current(session))
        person = people.find(session, email)
        where = given(session, zone, charger, valid_from, valid_until, schedule)
        permission = permissions.grant(session, person, role, *where)
        answer = {"person": person.email, **permission_answer(permission, zone)}
        until = permission.valid_until
        without_card = not person.cards
    lines = []
    if until is not None and until <= time.time():
        lines.append("that is over already: their cards are refused as expired")
    if without_card:
        lines.append(f"no card yet: tapgate card add {answer['person']} --number TEXT")
    call.out.done(
        answer, f"{answer['person']}: {in_words(answer)}", *lines, "next: tapgate publish"
    )


def given(
    session: "Session",
    zone: tzinfo,
    charger: str | None,
    valid_from: str | None,
    valid_until: str | None,
    schedule: str | None,
) -> "tuple[Charger | None, int | None, int | None, Schedule | None]":
    """Where and when a permission is to count, as `permissions.grant` takes it."""
    from tools.portal import chargers, moments, named
    from tools.portal.schema import Schedule

    return (
        chargers.find(session, charger) if charger is not None else None,
        None if valid_from is None else moments.parse(valid_from, zone),
        None if valid_until is None else moments.parse(valid_until, zone, end=True),
        None if schedule is None else named.find(session, Schedule, schedule),
    )


def _inherit(call: Call, email: str, charger: str) -> None:
    from tools.portal import chargers, database, operators, people, permissions

    with database.changing(call.home) as session:
        operators.require_native(session)
        person, where = people.find(session, email), chargers.find(session, charger)
        permissions.inherit(session, person, where)
        answer = {"person": person.email, "role": None, "charger": where.name}
    call.out.done(
        answer,
        f"{answer['person']} has on {answer['charger']} what they have on the installation",
        "next: tapgate publish",
    )


def revoke(call: Call, email: Email, charger: OnCharger = None) -> None:
    """Take permissions away.

    Without --charger all that the person has, on the installation and on single chargers; who has
    them through a partner is taken out of it. With --charger the person is kept from that
    charger, even where the installation lets them in; 'grant EMAIL --charger NAME --inherit' takes
    that back.
    """
    from tools.portal import chargers, database, operators, people, permissions

    with database.changing(call.home) as session:
        operators.require_native(session)
        person = people.find(session, email)
        where = chargers.find(session, charger) if charger is not None else None
        touched, partner = permissions.revoke(session, person, where)
        address, cards = person.email, len(person.cards)
    answer = {
        "person": address,
        "charger": where.name if where else None,
        "chargers": touched,
        "partner": partner,
    }
    if where:
        line = f"{address} is not let in at {touched[0]}"
    else:
        also = f", nor on {', '.join(touched)}" if touched else ""
        line = f"{address} has no permission on the installation any more{also}"
    lines = []
    if partner:
        lines.append(f"they had what {partner} has, and do not belong to it any more")
    if cards and not where:
        lines.append(f"still registered, opening nothing: {count(cards, 'card')}")
    call.out.done(answer, line, *lines, "next: tapgate publish")
