"""tapgate person add, list, set, remove."""

from typing import Annotated, Any

import typer

from tools.portal.commands.calling import Call, command, group
from tools.portal.output import count, in_short
from tools.portal.refusal import WrongUsage

Email = Annotated[str, typer.Argument(metavar="EMAIL", show_default=False)]


Name = Annotated[str | None, typer.Option("--name", metavar="TEXT", show_default=False)]
OfPartner = Annotated[
    str | None,
    typer.Option(
        "--partner",
        metavar="LOOKUP_KEY",
        help="Belongs to that partner, and has its permissions.",
        show_default=False,
    ),
]


def register(app: typer.Typer) -> None:
    person = group("People: add, list, set, remove.")
    command(person, "add")(add)
    command(person, "list")(list_)
    command(person, "set")(set_)
    command(person, "remove")(remove)
    app.add_typer(person, name="person")


def add(call: Call, email: Email, name: Name = None, partner: OfPartner = None) -> None:
    """Add a person. What they may do comes with 'grant', their cards with 'card add'."""
    from tools.portal import database, groups, operators, partners, people

    found = partners.look_up(call.home, partner) if partner is not None else None
    with database.changing(call.home) as session:
        if found is not None:
            operators.require_native(session)
        of = partners.found(session, found) if found is not None else None
        person = people.add(session, email, name, of)
        answer = {"person": person.email, "name": person.name, "partner": of.name if of else None}
        lines = [] if person.group else [groups.NONE_LEFT]
    address = answer["person"]
    call.out.done(
        answer,
        f"{address} is added" + (f", of {answer['partner']}" if of else ""),
        *lines,
        f"next: tapgate card add {address} --number TEXT"
        if of
        else f"next: tapgate grant {address} --role user",
    )


def list_(call: Call) -> None:
    """List people, what they may do and how many cards they have."""
    from tools.portal import database, installation, people, permissions

    with database.reading(call.home) as session:
        zone = installation.zone(installation.current(session))
        rows = [
            {
                "person": each.email,
                "name": each.name,
                "permissions": [
                    permission_answer(permission, zone)
                    for permission in permissions.in_order(each.permissions)
                ],
                "cards": len(each.cards),
                "group": each.group.name if each.group else None,
                "partner": each.partner.name if each.partner else None,
            }
            for each in people.everyone(session)
        ]
    if call.out.as_json:
        call.out.value(rows)
        return
    call.out.table(
        ["person", "name", "may", "cards", "group", "partner"],
        (
            (
                row["person"],
                row["name"],
                "\n".join(in_words(one) for one in row["permissions"]) or None,
                row["cards"],
                row["group"],
                row["partner"],
            )
            for row in rows
        ),
        nothing="nobody yet; run 'tapgate person add EMAIL'",
    )


def set_(
    call: Call,
    email: Email,
    name: Name = None,
    partner: OfPartner = None,
    no_partner: Annotated[
        bool, typer.Option("--no-partner", help="Belongs to no partner any more.")
    ] = False,
) -> None:
    """Change a person's name, or the partner they belong to."""
    if name is None and partner is None and not no_partner:
        raise WrongUsage("say what to set: --name, --partner or --no-partner")
    if partner is not None and no_partner:
        raise WrongUsage("--partner and --no-partner exclude each other")

    from tools.portal import database, names, operators, partners, people

    found = partners.look_up(call.home, partner) if partner is not None else None
    with database.changing(call.home) as session:
        person = people.find(session, email)
        if name is not None:
            person.name = names.free_text(name, "name")
        if partner is not None or no_partner:
            operators.require_native(session)
            person.partner = partners.found(session, found) if found is not None else None
        answer = {
            "person": person.email,
            "name": person.name,
            "partner": person.partner.name if person.partner else None,
        }
    said = f"{answer['name'] or 'no name'}, of {answer['partner'] or 'no partner'}"
    call.out.done(answer, f"{answer['person']}: {said}", "next: tapgate publish")


def remove(call: Call, email: Email) -> None:
    """Take a person away, with their cards and permissions.

    Their sessions stay for the accounts, under a pseudonym.
    """
    from tools.portal import database, people, permissions, removal

    with database.changing(call.home) as session:
        person = people.find(session, email)
        permissions.require_an_owner_without(session, person)
        address = person.email
        cards = removal.remove(session, person)
    if not database.wipe(call.home):
        call.out.note(removal.NOT_WIPED)
    call.out.done(
        {"person": address, "cards": cards},
        f"{address} is gone, with {count(cards, 'card')}",
        "next: tapgate publish",
    )


def permission_answer(permission: Any, zone: Any) -> dict[str, Any]:
    """A permission as JSON."""
    from tools.portal import moments

    def shown(moment: int | None) -> str | None:
        return None if moment is None else moments.shown(moment, zone)

    return {
        "role": permission.role,
        "charger": permission.charger.name if permission.charger else None,
        "from": shown(permission.valid_from),
        "until": shown(permission.valid_until),
        "schedule": permission.schedule.name if permission.schedule else None,
    }


def in_words(answer: dict[str, Any]) -> str:
    """A permission for people: "user on gate, until 2026-01-01 00:00"."""
    where = f" on {answer['charger']}" if answer["charger"] else ""
    if answer["role"] == "none":
        return f"nothing{where}"
    bounds = "".join(
        f", {word} {in_short(answer[word])}" for word in ("from", "until") if answer[word]
    )
    when = f", {answer['schedule']}" if answer["schedule"] else ""
    return f"{answer['role']}{where}{bounds}{when}"
