"""People, found by their e-mail address."""

import time

from sqlalchemy import select
from sqlalchemy.orm import Session

from tools.portal import groups, names
from tools.portal.refusal import Refusal
from tools.portal.schema import Partner, Person


def add(session: Session, email: str, name: str | None, partner: Partner | None = None) -> Person:
    """A new person, in a group of their own."""
    address = names.email(email)
    known = _with_email(session, address)
    if known:
        raise Refusal(f"{known.email} is here already; see 'tapgate person list'")
    person = Person(
        email=address,
        email_key=names.email_key(address),
        name=names.free_text(name, "name") if name is not None else None,
        partner=partner,
        added_at=int(time.time()),
    )
    session.add(person)
    groups.give_own(session, person)
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
    cards, group = len(person.cards), person.group
    session.delete(person)
    session.flush()
    groups.drop_own(session, group)
    return cards


def _with_email(session: Session, address: str) -> Person | None:
    return session.scalars(
        select(Person).where(Person.email_key == names.email_key(address))
    ).first()
