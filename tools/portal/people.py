"""People, found by their e-mail address."""

import time

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from tools.portal import names
from tools.portal.refusal import Refusal
from tools.portal.schema import Card, Group, Person


def add(session: Session, email: str, name: str | None) -> Person:
    address = names.email(email)
    known = _with_email(session, address)
    if known:
        raise Refusal(f"{known.email} is here already; see 'tapgate person list'")
    person = Person(
        email=address,
        email_key=names.email_key(address),
        name=names.free_text(name, "name") if name is not None else None,
        added_at=int(time.time()),
    )
    session.add(person)
    return person


def find(session: Session, email: str) -> Person:
    address = names.email(email)
    person = _with_email(session, address)
    if person is None:
        raise Refusal(f"nobody here has the address {address}; run 'tapgate person add {address}'")
    return person


def everyone(session: Session) -> list[Person]:
    return list(session.scalars(select(Person).order_by(Person.email_key)))


def remove(session: Session, person: Person) -> int:
    """Take a person away with their cards and permissions. Returns how many cards that were."""
    cards = len(person.cards)
    own = person.group if person.group and person.group.name is None else None
    session.delete(person)
    session.flush()
    if own:
        session.delete(own)
    return cards


def join_cards(session: Session, person: Person) -> None:
    """Let all of a person's cards stop each other's sessions: from the second card on they need a
    group for that, their own if they are in none (DESIGN section 3: "their own or their group's").
    """
    count = session.scalar(select(func.count(Card.id)).where(Card.person_id == person.id))
    if person.group_id is None and (count or 0) > 1:
        person.group = Group(number=_free_group_number(session))
        session.flush()


def _free_group_number(session: Session) -> int:
    last = session.scalar(select(func.max(Group.number))) or 0
    if last < 65_535:
        return last + 1
    taken = set(session.scalars(select(Group.number)))
    free = next((number for number in range(1, 65_536) if number not in taken), None)
    if free is None:
        raise Refusal("all 65535 groups are in use; remove people who are gone")
    return free


def _with_email(session: Session, address: str) -> Person | None:
    return session.scalars(
        select(Person).where(Person.email_key == names.email_key(address))
    ).first()
