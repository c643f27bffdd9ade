"""tapgate schedule add, list, set, remove."""

from typing import Annotated, Any

import typer

from tools.portal import week
from tools.portal.commands.calling import Call, command, group
from tools.portal.output import count

Name = Annotated[str, typer.Argument(metavar="NAME", show_default=False)]
Week = Annotated[
    str,
    typer.Option(
        "--week",
        metavar="TEXT",
        help='Local times, like "mo-fr 08:00-18:00, sa 09:00-12:00" or "fr 22:00-06:00".',
        show_default=False,
    ),
]


def register(app: typer.Typer) -> None:
    schedule = group("Named weeks, for 'grant --schedule': add, list, set, remove.")
    command(schedule, "add")(add)
    command(schedule, "list")(list_)
    command(schedule, "set")(set_)
    command(schedule, "remove")(remove)
    app.add_typer(schedule, name="schedule")


def add(call: Call, name: Name, text: Week) -> None:
    """Add a week. A permission that has it counts at these times only, by the local clock.

    Days are mo tu we th fr sa su; a day without times is the whole day; times may go over
    midnight.
    """
    windows = week.parse(text)

    from tools.portal import database, schedules

    with database.changing(call.home) as session:
        answer = _answer(session, schedules.add(session, name, windows))
    call.out.done(
        answer,
        f"the schedule '{answer['schedule']}' is added: {answer['week']}",
        "next: tapgate grant EMAIL --role user --schedule NAME",
    )


def list_(call: Call) -> None:
    """List schedules and how many permissions have them."""
    from tools.portal import database, named
    from tools.portal.schema import Schedule

    with database.reading(call.home) as session:
        rows = [_answer(session, each) for each in named.every(session, Schedule)]
    if call.out.as_json:
        call.out.value(rows)
        return
    call.out.table(
        ["schedule", "week", "used by"],
        ((row["schedule"], row["week"], count(row["permissions"], "permission")) for row in rows),
        nothing="no schedules: permissions count all week; run 'tapgate schedule add'",
    )


def set_(call: Call, name: Name, text: Week) -> None:
    """Give a schedule another week, for all permissions that have it."""
    windows = week.parse(text)

    from tools.portal import database, named, operators, schedules
    from tools.portal.schema import Schedule

    with database.changing(call.home) as session:
        operators.require_native(session)
        schedule = named.find(session, Schedule, name)
        schedules.change(session, schedule, windows)
        answer = _answer(session, schedule)
    call.out.done(
        answer, f"'{answer['schedule']}' is now {answer['week']}", "next: tapgate publish"
    )


def remove(call: Call, name: Name) -> None:
    """Take a schedule away. Refused while a permission has it."""
    from tools.portal import database, named, schedules
    from tools.portal.schema import Schedule

    with database.changing(call.home) as session:
        schedule = named.find(session, Schedule, name)
        answer = _answer(session, schedule)
        schedules.remove(session, schedule)
    call.out.done(
        answer, f"the schedule '{answer['schedule']}' is removed", "next: tapgate publish"
    )


def _answer(session: Any, schedule: Any) -> dict[str, Any]:
    from tools.portal import schedules

    return {
        "schedule": schedule.name,
        "number": schedule.number,
        "week": week.shown(schedules.windows_of(schedule)),
        "permissions": schedules.uses(session, schedule),
    }
