"""Cards: bound to people by token, found again by token or by the number they carry."""

import time

from sqlalchemy import select
from sqlalchemy.orm import Session

from tools.portal import card_number, groups, holdings, names
from tools.portal.refusal import Refusal
from tools.portal.schema import Card, Installation, Person
from tools.portal.token import hint, is_token, token


def add(
    session: Session, site: Installation, person: Person, number: bytes, label: str | None
) -> Card:
    """Bind a card to a person by its number. Refusal if it is bound already."""
    name = token(bytes.fromhex(site.card_key), number).hex()
    return bind(session, person, name, hint(number), label, "number")


def bind(
    session: Session, person: Person, token: str, hint: str, label: str | None, added_by: str
) -> Card:
    """Bind a card to a person by its token, as a charger tells it. Refusal if it is bound already.

    `token`, `hint`: hex. `added_by`: "number" or "scan".
    """
    known = session.scalars(select(Card).where(Card.token == token)).first()
    if known:
        raise Refusal(bound_already(known, "this person" if known.person is person else None))
    card = Card(
        person=person,
        token=token,
        hint=hint,
        label=names.free_text(label, "label") if label is not None else None,
        blocked=False,
        added_at=int(time.time()),
        added_by=added_by,
    )
    session.add(card)
    session.flush()
    holdings.begin(session, [(token, person.id)], card.added_at)
    groups.give_own(session, person)  # where there was no number for it before
    return card


def remove(session: Session, card: Card) -> None:
    """Take a card away from its person."""
    holdings.end(session, card)
    session.delete(card)


def bound_already(card: Card, whose: str | None = None) -> str:
    """Why that card cannot be another's."""
    return (
        f"that card belongs to {whose or card.person.email} already; take it away with "
        f"'tapgate card remove {card.token}' first"
    )


def find(session: Session, site: Installation, text: str, reading: str | None) -> Card:
    """The card with that token or number. A number may be written in any way that finds one."""
    wanted = set()
    if reading is None and is_token(as_token := text.strip().lower()):
        wanted.add(as_token)
    numbers = [card_number.read(text, reading)] if reading else card_number.every_reading(text)
    wanted.update(token(bytes.fromhex(site.card_key), each).hex() for each in numbers)
    if not wanted:
        raise Refusal(
            "that is neither a token (14 hex digits, see 'tapgate card list') nor a card's number"
        )
    found = list(session.scalars(select(Card).where(Card.token.in_(wanted))))
    if not found:
        raise Refusal("no card here has that token or number; see 'tapgate card list'")
    if len(found) > 1:
        raise Refusal("the number fits more than one card; use a token from 'tapgate card list'")
    return found[0]


def listed(session: Session, person: Person | None) -> list[Card]:
    cards = select(Card).join(Card.person).order_by(Person.email_key, Card.id)
    if person is not None:
        cards = cards.where(Card.person_id == person.id)
    return list(session.scalars(cards))
