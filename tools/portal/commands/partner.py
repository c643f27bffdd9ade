"""tapgate partner add, list, grant, revoke, remove."""

from typing import Annotated, Any, Literal

import typer

from tools.portal.commands import permission
from tools.portal.commands.calling import Call, command, group
from tools.portal.commands.permission import From, OnCharger, OnSchedule, Until
from tools.portal.commands.person import in_words, permission_answer
from tools.portal.output import count

Key = Annotated[str, typer.Argument(metavar="LOOKUP_KEY", help="Four digits.", show_default=False)]


def register(app: typer.Typer) -> None:
    partner = group(
        "Installers and payment operators, found by a lookup key: add, list, grant, revoke, remove."
    )
    command(partner, "add")(add)
    command(partner, "list")(list_)
    command(partner, "grant")(grant)
    command(partner, "revoke")(revoke)
    command(partner, "remove")(remove)
    app.add_typer(partner, name="partner")


def add(
    call: Call, name: Annotated[str, typer.Argument(metavar="NAME", show_default=False)]
) -> None:
    """Add a partner. The lookup key is how it is found from then on."""
    from tools.portal import database, partners

    with database.changing(call.home) as session:
        made = partners.add(session, name)
        answer = {"partner": made.name, "lookup_key": made.lookup_key}
    key = answer["lookup_key"]
    call.out.done(
        answer,
        f"{answer['partner']} has the lookup key {key}",
        f"next: tapgate partner grant {key} --role service",
        f"and: tapgate person add EMAIL --partner {key}",
    )


def list_(call: Call) -> None:
    """List partners, what they may do and who belongs to them."""
    from tools.portal import database, installation, named, partners, permissions
    from tools.portal.schema import Partner

    with database.reading(call.home) as session:
        zone = installation.zone(installation.current(session))
        rows = [
            {
                "partner": each.name,
                "lookup_key": each.lookup_key,
                "permissions": [
                    permission_answer(one, zone) for one in permissions.of_partner(session, each)
                ],
                "people": [one.email for one in partners.people(session, each)],
            }
            for each in named.every(session, Partner)
        ]
    if call.out.as_json:
        call.out.value(rows)
        return
    call.out.table(
        ["partner", "key", "may", "people"],
        (
            (
                row["partner"],
                row["lookup_key"],
                "\n".join(in_words(one) for one in row["permissions"]) or None,
                "\n".join(row["people"]) or None,
            )
            for row in rows
        ),
        nothing="no partners; run 'tapgate partner add NAME'",
    )


def grant(
    call: Call,
    key: Key,
    role: Annotated[
        Literal["owner", "user", "service"], typer.Option("--role", show_default=False)
    ],
    charger: OnCharger = None,
    valid_from: From = None,
    valid_until: Until = None,
    schedule: OnSchedule = None,
) -> None:
    """Give a partner a role, on the installation or on one charger.

    All its people have it, where they have no permission of their own in the same place.
    """
    from tools.portal import database, installation, operators, partners, permissions

    found = partners.look_up(call.home, key)
    with database.changing(call.home) as session:
        operators.require_native(session)
        zone = installation.zone(installation.current(session))
        partner = partners.found(session, found)
        given = permission.given(session, zone, charger, valid_from, valid_until, schedule)
        made = permissions.grant(session, partner, role, *given)
        people = len(partners.people(session, partner))
        answer = {"partner": partner.name, **permission_answer(made, zone), "people": people}
    call.out.done(
        answer,
        f"{answer['partner']}: {in_words(answer)}",
        f"for its {count(people, 'person')}"
        if people == 1
        else f"for its {people} people"
        if people
        else f"nobody belongs to it yet: tapgate person add EMAIL --partner {key}",
        "next: tapgate publish",
    )


def revoke(call: Call, key: Key, charger: OnCharger = None) -> None:
    """Take a partner's permissions away: all of them, or with --charger what it may do there."""
    from tools.portal import chargers, database, operators, partners, permissions

    found = partners.look_up(call.home, key)
    with database.changing(call.home) as session:
        operators.require_native(session)
        partner = partners.found(session, found)
        where = chargers.find(session, charger) if charger is not None else None
        touched = permissions.revoke(session, partner, where).chargers
        own = [each.email for each in partners.people(session, partner) if each.permissions]
        answer = {
            "partner": partner.name,
            "charger": where.name if where else None,
            "chargers": touched,
            "with_their_own": own,
        }
    place = f" on {answer['charger']}" if where else ""
    lines = [f"with permissions of their own, which stay: {', '.join(own)}"] if own else []
    call.out.done(
        answer,
        f"{answer['partner']} has no permission{place} any more",
        *lines,
        "next: tapgate publish",
    )


def remove(call: Call, key: Key) -> None:
    """Take a partner away, with its permissions. Its people stay, without these."""
    from tools.portal import database, operators, partners

    found = partners.look_up(call.home, key)
    with database.changing(call.home) as session:
        operators.require_native(session)
        partner = partners.found(session, found)
        name, left = partner.name, [each.email for each in partners.remove(session, partner)]
    answer: dict[str, Any] = {"partner": name, "people": left}
    lines = [f"still here, without its permissions: {', '.join(left)}"] if left else []
    call.out.done(answer, f"{name} is removed", *lines, "next: tapgate publish")
