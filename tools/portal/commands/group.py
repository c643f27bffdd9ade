"""tapgate group add, list, join, leave, remove."""

from typing import Annotated

import typer

from tools.portal.commands import calling
from tools.portal.commands.calling import Call, command
from tools.portal.commands.person import Email
from tools.portal.output import count

Name = Annotated[str, typer.Argument(metavar="NAME", show_default=False)]


def register(app: typer.Typer) -> None:
    group = calling.group(
        "Families and companies, whose cards may stop each other's sessions: "
        "add, list, join, leave, remove."
    )
    command(group, "add")(add)
    command(group, "list")(list_)
    command(group, "join")(join)
    command(group, "leave")(leave)
    command(group, "remove")(remove)
    app.add_typer(group, name="group")


def add(call: Call, name: Name) -> None:
    """Add a group. Until somebody joins it is empty."""
    from tools.portal import database, groups

    with database.changing(call.home) as session:
        made = groups.add(session, name)
        answer = {"group": made.name, "number": made.number, "members": []}
    call.out.done(
        answer, f"the group '{answer['group']}' is added", "next: tapgate group join EMAIL NAME"
    )


def list_(call: Call) -> None:
    """List groups and who is in them. Everybody else is in a group of their own."""
    from tools.portal import database, groups, named
    from tools.portal.schema import Group

    with database.reading(call.home) as session:
        rows = [
            {
                "group": each.name,
                "number": each.number,
                "members": [one.email for one in groups.members(session, each)],
            }
            for each in named.every(session, Group)
        ]
    if call.out.as_json:
        call.out.value(rows)
        return
    call.out.table(
        ["group", "members"],
        ((row["group"], "\n".join(row["members"]) or None) for row in rows),
        nothing="no groups: everybody is on their own; run 'tapgate group add NAME'",
    )


def join(call: Call, email: Email, name: Name) -> None:
    """Put a person into a group; it takes the place of the one they were in."""
    from tools.portal import database, groups, named, operators, people
    from tools.portal.schema import Group

    with database.changing(call.home) as session:
        operators.require_native(session)
        person, group = people.find(session, email), named.find(session, Group, name)
        left = groups.join(session, person, group)
        answer = {"person": person.email, "group": group.name, "left": left}
    lines = [f"no longer in '{left}'"] if left else []
    call.out.done(
        answer,
        f"{answer['person']} is in the group '{answer['group']}'",
        *lines,
        "next: tapgate publish",
    )


def leave(call: Call, email: Email) -> None:
    """Take a person out of their group, back to one of their own."""
    from tools.portal import database, groups, people

    with database.changing(call.home) as session:
        person = people.find(session, email)
        left = groups.leave(session, person)
        answer = {"person": person.email, "group": None, "left": left}
        lines = [] if person.group else [groups.NONE_LEFT]
    call.out.done(
        answer,
        f"{answer['person']} is no longer in the group '{left}'",
        *lines,
        "next: tapgate publish",
    )


def remove(call: Call, name: Name) -> None:
    """Take a group away. Its members are then each in a group of their own."""
    from tools.portal import database, groups, named
    from tools.portal.schema import Group

    with database.changing(call.home) as session:
        group = named.find(session, Group, name)
        found, left = group.name, groups.remove(session, group)
        answer = {"group": found, "members": [each.email for each in left]}
        lines = [] if all(each.group for each in left) else [groups.NONE_LEFT]
    members = f": {count(len(left), 'member')} each on their own" if left else ""
    call.out.done(
        answer, f"the group '{found}' is removed{members}", *lines, "next: tapgate publish"
    )
