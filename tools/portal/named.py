"""What people find by a name they gave it: groups, schedules, partners. Case does not count."""

from typing import TypeVar

from sqlalchemy import select
from sqlalchemy.orm import Session

from tools.portal import names
from tools.portal.refusal import Refusal
from tools.portal.schema import Group, Partner, Schedule

Named = TypeVar("Named", Group, Partner, Schedule)


def find(session: Session, table: type[Named], name: str) -> Named:
    """Refusal if there is none of that name."""
    text = names.free_text(name, "name")
    found = _with_name(session, table, text)
    if found is None:
        raise Refusal(f"there is no {_what(table)} '{text}'; see 'tapgate {_what(table)} list'")
    return found


def unused(session: Session, table: type[Named], name: str) -> str:
    """The name for a new one. Refusal if there is one of that name already."""
    text = names.free_text(name, "name")
    known = _with_name(session, table, text)
    if known is not None:
        raise Refusal(
            f"there is a {_what(table)} '{known.name}' already; see 'tapgate {_what(table)} list'"
        )
    return text


def every(session: Session, table: type[Named]) -> list[Named]:
    """In the order of their names."""
    rows = session.scalars(select(table).where(table.name.is_not(None)))
    return sorted(rows, key=lambda row: (row.name or "").casefold())


def _with_name(session: Session, table: type[Named], text: str) -> Named | None:
    rows = every(session, table)
    return next((row for row in rows if (row.name or "").casefold() == text.casefold()), None)


def _what(table: type[Named]) -> str:
    return table.__name__.lower()
