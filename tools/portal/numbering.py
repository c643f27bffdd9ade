"""Numbers that chargers know things by: given away in a circle, so that one that was freed comes
round again only after all the others, when no list or session out there still means the former."""

from itertools import islice

from sqlalchemy import select
from sqlalchemy.orm import Session

from tools.portal.schema import Group, Schedule


def free(
    session: Session, table: type[Group] | type[Schedule], last: int, highest: int, count: int
) -> list[int]:
    """The next `count` numbers after `last`, from 1 again after `highest`; fewer if there are no
    more."""
    found = _between(session, table, last + 1, highest, count)
    return found + _between(session, table, 1, last, count - len(found))


def _between(
    session: Session, table: type[Group] | type[Schedule], first: int, end: int, count: int
) -> list[int]:
    if count <= 0 or first > end:
        return []
    taken = set(session.scalars(select(table.number).where(table.number.between(first, end))))
    return list(islice((each for each in range(first, end + 1) if each not in taken), count))
