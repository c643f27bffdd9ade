"""Cards: bound to people by token, found again by token or by the number they carry."""

import re
import time

from sqlalchemy import select
from sqlalchemy.orm import Session

from tools.portal import card_number, names, people
from tools.portal.refusal import Refusal
from tools.portal.schema import Card, Installation, Person
from tools.portal.token import TOKEN_BYTES, hint, token

_TOKEN = re.compile(rf"[0-9a-f]{{{2 * TOKEN_BYTES}}}")


def add(
    session: Session, site: Installation, person: Person, number: bytes, label: str | None
) -> Card:
    """Bind a card to a person. Refusal if it is bound already."""
    name = token(bytes.fromhex(site.card_key), number).hex()
    known = session.scalars(select(Card).where(Card.token == name)).first()
    if known:
        whose = "this person" if known.person is person else known.person.email
        raise Refusal(
            f"that card belongs to {whose} already; take it away with "
            f"'tapgate card remove {known.token}' first"
        )
    card = Card(
        person=person,
        token=name,
        hint=hint(number),
        label=names.free_text(label, "label") if label is not None else None,
        blocked=False,
        added_at=int(time.time()),
    )
    session.add(card)
    session.flush()
    people.join_cards(session, person)
    return card


def find(session: Session, site: Installation, text: str, reading: str | None) -> Card:
    """The card with that token or number. A number may be written in any way that finds one."""
    wanted = set()
    if reading is None and _TOKEN.fullmatch(text.strip().lower()):
        wanted.add(text.strip().lower())
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
