"""tapgate person add, list, remove."""

from typing import Annotated, Any

import typer

from tools.portal.commands.calling import Call, command, group
from tools.portal.output import count, in_short

Email = Annotated[str, typer.Argument(metavar="EMAIL", show_default=False)]


def register(app: typer.Typer) -> None:
    person = group("People: add, list, remove.")
    command(person, "add")(add)
    command(person, "list")(list_)
    command(person, "remove")(remove)
    app.add_typer(person, name="person")


def add(
    call: Call,
    email: Email,
    name: Annotated[str | None, typer.Option("--name", metavar="TEXT", show_default=False)] = None,
) -> None:
    """Add a person. What they may do comes with 'grant', their cards with 'card add'."""
    from tools.portal import database, people

    with database.changing(call.home) as session:
        person = people.add(session, email, name)
        answer = {"person": person.email, "name": person.name}
    call.out.done(
        answer,
        f"{answer['person']} is added",
        f"next: tapgate grant {answer['person']} --role user",
    )


def list_(call: Call) -> None:
    """List people, what they may do and how many cards they have."""
    from tools.portal import database, installation, people

    with database.reading(call.home) as session:
        zone = installation.zone(installation.current(session))
        rows = [
            {
                "person": each.email,
                "name": each.name,
                "permissions": [
                    permission_answer(permission, zone)
                    for permission in sorted(
                        each.permissions, key=lambda one: one.charger.name if one.charger else ""
                    )
                ],
                "cards": len(each.cards),
            }
            for each in people.everyone(session)
        ]
    if call.out.as_json:
        call.out.value(rows)
        return
    call.out.table(
        ["person", "name", "may", "cards"],
        (
            (
                row["person"],
                row["name"],
                "\n".join(in_words(one) for one in row["permissions"]) or None,
                row["cards"],
            )
            for row in rows
        ),
        nothing="nobody yet; run 'tapgate person add EMAIL'",
    )


def remove(call: Call, email: Email) -> None:
    """Take a person away, with their cards and permissions."""
    from tools.portal import database, people, permissions

    with database.changing(call.home) as session:
        person = people.find(session, email)
        permissions.require_an_owner_without(session, person)
        address = person.email
        cards = people.remove(session, person)
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
    }


def in_words(answer: dict[str, Any]) -> str:
    """A permission for people: "user on gate, until 2026-01-01 00:00"."""
    where = f" on {answer['charger']}" if answer["charger"] else ""
    if answer["role"] == "none":
        return f"nothing{where}"
    bounds = "".join(
        f", {word} {in_short(answer[word])}" for word in ("from", "until") if answer[word]
    )
    return f"{answer['role']}{where}{bounds}"
