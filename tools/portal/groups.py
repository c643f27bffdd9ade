"""Groups: cards that may stop each other's sessions. Everyone is in one, their own or a named one,
so that all cards of one person can; only past 65,535 groups somebody is in none."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from tools.portal import installation, named, numbering
from tools.portal.refusal import Refusal
from tools.portal.schema import Group, Person

LAST_NUMBER = 65_535  # u16 in an entry (DESIGN section 6)
NONE_LEFT = (
    "all 65535 group numbers are in use, so that this person's cards cannot stop each other's "
    "sessions; remove people who are gone, or put families into groups"
)


def add(session: Session, name: str) -> Group:
    text = named.unused(session, Group, name)
    found = numbers(session, 1)
    if not found:
        raise Refusal("all 65535 group numbers are in use; remove people who are gone")
    group = Group(number=found[0], name=text)
    session.add(group)
    session.flush()
    return group


def members(session: Session, group: Group) -> list[Person]:
    return list(
        session.scalars(
            select(Person).where(Person.group_id == group.id).order_by(Person.email_key)
        )
    )


def join(session: Session, person: Person, group: Group) -> str | None:
    """Returns the name of the group that was left for it."""
    former = person.group
    if former is group:
        raise Refusal(f"{person.email} is in the group '{group.name}' already")
    person.group = group
    session.flush()
    if former is None or former.name is not None:
        return former.name if former else None
    session.delete(former)
    return None


def leave(session: Session, person: Person) -> str:
    """Back to a group of their own. Returns the name of the one that was left."""
    former = person.group
    if former is None or former.name is None:
        raise Refusal(f"{person.email} is in no group but their own")
    person.group = None
    give_own(session, person)
    return former.name


def remove(session: Session, group: Group) -> list[Person]:
    """Its members fall back to groups of their own; returns them."""
    left = members(session, group)
    for person in left:
        person.group = None
    session.flush()
    session.delete(group)
    session.flush()
    for person in left:
        give_own(session, person)
    return left


def give_own(session: Session, person: Person) -> None:
    """A group of their own to somebody who is in none, while there are numbers."""
    if person.group is not None:
        return
    found = numbers(session, 1)
    if found:
        person.group = Group(number=found[0], name=None)
        session.flush()


def drop_own(session: Session, group: Group | None) -> None:
    """After its only member is gone."""
    if group is not None and group.name is None:
        session.delete(group)


def numbers(session: Session, count: int) -> list[int]:
    """The next ones to give away; fewer if there are no more."""
    site = installation.current(session)
    found = numbering.free(session, Group, site.last_group, LAST_NUMBER, count)
    if found:
        site.last_group = found[-1]
    return found
