"""Whose a card was, and when; and that nothing but a pseudonym is told of people who were removed.

A token that is no card's may be the one for which the app starts somebody's sessions. A person who
was removed keeps their place here by number alone, so that what a charger tells weeks later is
still theirs. Where a token of theirs would be stored, their pseudonym is.
"""

import secrets
import time
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any

from sqlalchemy import and_, func, insert, select, update
from sqlalchemy.orm import Session

from tools.portal import people
from tools.portal.schema import Card, Holding, Installation, RemovedPerson
from tools.portal.token import is_token

CLOCKS_DIFFER_S = 300  # between a charger and this computer
_REMOVED = "removed-"
_HINT = "hint"

Body = dict[str, Any]

# What a card is called: as it stands on it while it is theirs, as it stood when they lost it.
ITS_CARD = and_(Card.token == Holding.token, Holding.until.is_(None))
HINT = func.coalesce(Card.hint, Holding.hint)
LABEL = func.coalesce(Card.label, Holding.label)


def begin(session: Session, cards: Iterable[tuple[str, int]], now: int | None = None) -> None:
    """From now on these cards are these people's: (token, person's number) each."""
    since = int(time.time()) if now is None else now
    rows = [{"token": token, "person": person, "since": since} for token, person in cards]
    if rows:
        session.execute(insert(Holding), rows)


def end(session: Session, card: Card) -> None:
    """The card is its person's no longer; what it was called there stays known."""
    session.execute(
        update(Holding)
        .where(Holding.token == card.token, Holding.until.is_(None))
        .values(until=int(time.time()), hint=card.hint, label=card.label)
    )


def end_all(session: Session, person: int) -> list[str]:
    """Somebody goes for good: when they had which card is all that stays. Returns the tokens."""
    session.execute(
        update(Holding)
        .where(Holding.person == person, Holding.until.is_(None))
        .values(until=int(time.time()))
    )
    session.execute(update(Holding).where(Holding.person == person).values(hint=None, label=None))
    found = select(Holding.token).where(Holding.person == person).distinct()
    return list(session.scalars(found))


def remove(session: Session, person: int) -> str:
    """A pseudonym for somebody who is being removed."""
    pseudonym = _REMOVED + secrets.token_hex(6)
    session.add(RemovedPerson(id=person, pseudonym=pseudonym, removed_at=int(time.time())))
    session.flush()
    return pseudonym


def is_pseudonym(found: object) -> bool:
    return isinstance(found, str) and found.startswith(_REMOVED)


class Holders:
    """Looked up for the time of one transaction."""

    def __init__(self, session: Session, site: Installation):
        self._session = session
        self._site = site
        self._known: dict[str, Sequence[Holding]] = {}

    def of(self, token: str, at: int) -> tuple[int, int | None] | None:
        """(number of the person, of the holding) whose that token was then; None for nobody. Of a
        time when it was nobody's: who had it shortly before or after, as clocks differ."""
        if is_pseudonym(token):
            found = (each for each, name in self.removed.items() if name == token)
            person = next(found, None)
        elif held := self._held(token):
            nearest = min(held, key=lambda each: _distance(each, at))
            near = _distance(nearest, at)[0] <= CLOCKS_DIFFER_S
            return (nearest.person, nearest.id) if near else None
        else:
            person = self._apps.get(token)
        return None if person is None else (person, None)

    def pseudonym(self, person: int | None) -> str | None:
        """Of somebody who was removed."""
        return None if person is None else self.removed.get(person)

    def masked(self, body: Body, at: int) -> Body:
        """What a charger has said, with the pseudonyms of people who were removed in place of their
        tokens. A token that was nobody's then is of those who had it nearest to that time."""
        if not self.removed:
            return body
        names: dict[str, str] = {}
        for token in {each for each in _texts(body) if is_token(each)}:
            if held := self._held(token):
                person = min(held, key=lambda each: _distance(each, at)).person
            else:
                person = self._apps.get(token)
            name = self.pseudonym(person)
            if name is not None:
                names[token] = name
        return replaced(body, names)

    @cached_property
    def removed(self) -> dict[int, str]:
        found = self._session.execute(select(RemovedPerson.id, RemovedPerson.pseudonym))
        return {row.id: row.pseudonym for row in found}

    @cached_property
    def _apps(self) -> dict[str, int]:
        return people.numbers_by_token(self._session, self._site)

    def _held(self, token: str) -> Sequence[Holding]:
        if token not in self._known:
            held = select(Holding).where(Holding.token == token).order_by(Holding.id)
            self._known[token] = self._session.scalars(held).all()
        return self._known[token]


def replaced(body: Body, names: dict[str, str]) -> Body:
    """The body with these names in place of these tokens, without a hint to the card's number."""
    if not names:
        return body
    found = _replaced(body, names)
    if found != body and _HINT in found:
        found[_HINT] = None
    return found


def same(stored: Body, found: Body) -> bool:
    """Whether it is the same message, but that names may have come in place of tokens since."""
    if stored == found:
        return True
    return any(map(is_pseudonym, _texts(stored))) and _blind(stored) == _blind(found)


def _distance(held: Holding, at: int) -> tuple[int, int]:
    """Seconds to the time in which it was held; of several, the last to come."""
    before = held.since - at
    after = 0 if held.until is None else at - held.until + 1
    return max(0, before, after), -held.id


def _texts(found: Any) -> Iterable[str]:
    if isinstance(found, (dict, list)):
        for each in found.values() if isinstance(found, dict) else found:
            yield from _texts(each)
    elif isinstance(found, str):
        yield found


def _replaced(found: Any, names: dict[str, str]) -> Any:
    if isinstance(found, dict):
        return {key: _replaced(value, names) for key, value in found.items()}
    if isinstance(found, list):
        return [_replaced(each, names) for each in found]
    return names.get(found, found) if isinstance(found, str) else found


def _blind(found: Any) -> Any:
    if isinstance(found, dict):
        return {key: _blind(value) for key, value in found.items() if key != _HINT}
    if isinstance(found, list):
        return [_blind(each) for each in found]
    return "*" if is_token(found) or is_pseudonym(found) else found
