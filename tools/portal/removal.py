"""Taking a person away. What accounting needs stays, under a pseudonym that is the same for all
their sessions, also for those that a charger tells only later.

What stays of them: a number that is nobody's any more, and when they had which card, by its token;
it is a keyed hash, and needed to know whose a session was. Everywhere else their tokens go too.
"""

import json
from typing import Any

from sqlalchemy import Text, cast, or_, select
from sqlalchemy.orm import Session

from tools.portal import groups, holdings, installation
from tools.portal.holdings import Holders, replaced
from tools.portal.schema import (
    Base,
    ChargingSession,
    Command,
    Event,
    HeldEvent,
    Person,
    Publication,
    ReportedState,
)
from tools.portal.token import of_person

NOT_WIPED = (
    "what was removed may still lie in unused parts of the database file: it was in use, or its "
    "disk is full; the next 'tapgate person remove' wipes it"
)


def remove(session: Session, person: Person) -> int:
    """With their cards and permissions. Returns how many cards that were."""
    number, cards, group = person.id, len(person.cards), person.group
    site = installation.current(session)
    tokens = [
        *holdings.end_all(session, number),
        of_person(bytes.fromhex(site.card_key), number).hex(),
    ]
    pseudonym = holdings.remove(session, number)
    holders = Holders(session, site)
    names = dict.fromkeys(tokens, pseudonym)
    theirs = set()
    for each in session.scalars(select(ChargingSession).where(ChargingSession.person == number)):
        theirs.add((each.charger_id, each.start_n))
        each.token = pseudonym if each.token is not None else None
    for event in _with_any(session, Event, tokens):
        if (event.charger_id, event.session) in theirs:
            event.body = replaced(event.body, names)
        else:
            event.body = holders.masked(
                event.body, event.received_at if event.t is None else event.t
            )
    for table in (Command, HeldEvent, ReportedState):
        for row in _with_any(session, table, tokens):
            row.body = replaced(row.body, names)
    for row in session.scalars(
        select(Publication).where(Publication.kind.in_(("command", "verdict")))
    ):
        if any(token in row.content for token in tokens):  # sent long ago, needed by nobody
            row.content, row.payload = json.dumps({}), ""
    session.delete(person)
    session.flush()
    groups.drop_own(session, group)
    return cards


def _with_any(session: Session, table: Any, tokens: list[str]) -> list[Any]:
    """The rows of which some text has one of the tokens in it."""
    found: dict[int, Base] = {}
    for at in range(0, len(tokens), 50):
        text = cast(table.body, Text)
        wanted = select(table).where(or_(*(text.contains(each) for each in tokens[at : at + 50])))
        found |= {id(row): row for row in session.scalars(wanted)}
    return list(found.values())
