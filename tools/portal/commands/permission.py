"""tapgate grant, revoke."""

import time
from typing import Annotated, Literal

import typer

from tools.portal.commands.calling import Call, command
from tools.portal.commands.person import Email, in_words, permission_answer
from tools.portal.output import count
from tools.portal.refusal import WrongUsage

OnCharger = Annotated[
    str | None,
    typer.Option("--charger", metavar="NAME", help="On this charger alone.", show_default=False),
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
    valid_from: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="TIME",
            help="ISO 8601; local time if it says no offset.",
            show_default=False,
        ),
    ] = None,
    valid_until: Annotated[
        str | None,
        typer.Option(
            "--until",
            metavar="TIME",
            help="ISO 8601; a date alone counts to its end.",
            show_default=False,
        ),
    ] = None,
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
        if charger is None or role or valid_from or valid_until:
            raise WrongUsage("--inherit goes with --charger NAME, and with nothing else")
        _inherit(call, email, charger)
        return
    if role is None:
        raise WrongUsage("Missing option '--role': owner, user or service")

    from tools.portal import chargers, database, installation, moments, people, permissions

    with database.changing(call.home) as session:
        zone = installation.zone(installation.current(session))
        person = people.find(session, email)
        permission = permissions.grant(
            session,
            person,
            role,
            chargers.find(session, charger) if charger is not None else None,
            None if valid_from is None else moments.parse(valid_from, zone),
            None if valid_until is None else moments.parse(valid_until, zone, end=True),
        )
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


def _inherit(call: Call, email: str, charger: str) -> None:
    from tools.portal import chargers, database, people, permissions

    with database.changing(call.home) as session:
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

    Without --charger all that the person has, on the installation and on single chargers. With
    --charger the person is kept from that charger, even where the installation lets them in;
    'grant EMAIL --charger NAME --inherit' takes that back.
    """
    from tools.portal import chargers, database, people, permissions

    with database.changing(call.home) as session:
        person = people.find(session, email)
        where = chargers.find(session, charger) if charger is not None else None
        touched = permissions.revoke(session, person, where)
        address, cards = person.email, len(person.cards)
    answer = {"person": address, "charger": where.name if where else None, "chargers": touched}
    if where:
        line = f"{address} is not let in at {touched[0]}"
    else:
        also = f", nor on {', '.join(touched)}" if touched else ""
        line = f"{address} has no permission on the installation any more{also}"
    kept = (
        [f"still registered, opening nothing: {count(cards, 'card')}"]
        if cards and not where
        else []
    )
    call.out.done(answer, line, *kept, "next: tapgate publish")
