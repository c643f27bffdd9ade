"""People, found by their e-mail address."""

import time
from functools import lru_cache

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from tools.portal import groups, names, token
from tools.portal.refusal import Refusal
from tools.portal.schema import Card, Installation, Partner, Person, RemovedPerson


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


def holder(session: Session, site: Installation, found: object) -> Person | None:
    """Whose token that is: a card's, or the one for which the app starts."""
    if not isinstance(found, str):
        return None
    card = session.scalars(select(Card).where(Card.token == found)).first()
    return card.person if card is not None else of_token(session, site, found)


def of_token(session: Session, site: Installation, found: str) -> Person | None:
    """Who is meant by the token for which the app starts."""
    person = numbers_by_token(session, site).get(found)
    return session.get(Person, person) if person is not None else None


def numbers_by_token(session: Session, site: Installation) -> dict[str, int]:
    """The tokens with which people's apps start, also those of people who were removed."""
    last = (session.scalar(select(func.max(each.id))) or 0 for each in (Person, RemovedPerson))
    return _by_token(bytes.fromhex(site.card_key), max(last))


def everyone(session: Session) -> list[Person]:
    return list(session.scalars(select(Person).order_by(Person.email_key)))


@lru_cache(maxsize=1)
def _by_token(card_key: bytes, last: int) -> dict[str, int]:
    return {token.of_person(card_key, each).hex(): each for each in range(1, last + 1)}


def _with_email(session: Session, address: str) -> Person | None:
    return session.scalars(
        select(Person).where(Person.email_key == names.email_key(address))
    ).first()
