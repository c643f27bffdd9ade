"""tapgate import."""

from pathlib import Path
from typing import Annotated

import typer

from tools.portal.commands.calling import Call, command
from tools.portal.output import count


def register(app: typer.Typer) -> None:
    command(app, "import")(import_)


def import_(
    call: Call, file: Annotated[Path, typer.Argument(metavar="FILE.csv", show_default=False)]
) -> None:
    """Take in people, permissions and cards from a table, all or nothing.

    The first line names the columns: email,name,role,charger,number,as,label,from,until, the last
    six optional, separated by commas or semicolons, in UTF-8. Each line is one person with one
    permission and one card; more lines of the same person add to these. A permission that is
    limited to a schedule here stays so.
    """
    from tools.portal import groups, importing

    with call.out.progress() as tell:
        done = importing.take_in(call.home, file, tell)
    answer = {
        "lines": done.lines,
        "people": {"added": done.people_added, "changed": done.people_changed},
        "permissions": {"added": done.permissions_added, "changed": done.permissions_changed},
        "cards": {"added": done.cards_added, "changed": done.cards_changed},
        "without_group": done.without_group,
    }
    if not any(done[1:]):
        call.out.done(answer, f"{count(done.lines, 'line')}: nothing that was not here already")
        return
    changed = [
        f"changed: {count(number, what)}"
        for number, what in (
            (done.people_changed, "name"),
            (done.permissions_changed, "permission"),
            (done.cards_changed, "label"),
        )
        if number
    ]
    if done.without_group:
        changed.append(f"{count(done.without_group, 'person')}: {groups.NONE_LEFT}")
    people = "1 person" if done.people_added == 1 else f"{done.people_added} people"
    call.out.done(
        answer,
        f"added: {people}, {count(done.permissions_added, 'permission')} "
        f"and {count(done.cards_added, 'card')}",
        *changed,
        "next: tapgate publish",
    )
