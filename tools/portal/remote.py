"""Sessions started and ended from the app: the person's, not a card's."""

import re
import time
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from tools.portal import (
    chargers,
    commanding,
    database,
    installation,
    operators,
    people,
    prediction,
    token,
)
from tools.portal.commanding import Body, Declined
from tools.portal.refusal import Refusal
from tools.portal.schema import Card, Installation, Person

_STATE = re.compile(r"not while (\w+)")
_RUNS = "a session runs there already; 'tapgate stop {0}' ends it"
_NO_START = {
    "authorised": _RUNS,
    "charging": _RUNS,
    "checking": "a card is being judged there; try again in a moment",
    "enrolling": "a card is being registered there; try again in a moment",
    "faulted": "it has a fault; see 'tapgate status {0}'",
    "service": "its self-test runs; try again when that is over",
    "unavailable": "it is switched off; run 'tapgate available {0} on'",
}


def start(site_home: Path, name: str, email: str) -> Body:
    """Authorise a person. `started`: a session has begun; else it does when a vehicle comes."""
    with database.reading(site_home) as session:
        operators.require_native(session)
        site = installation.current(session)
        charger, person = chargers.find(session, name), people.find(session, email)
        found = prediction.of_person(session, site, charger, person, int(time.time()))
        if found.verdict != prediction.ACCEPTED:
            open_ = "; it is open: plugging in is enough" if found.access == "open" else ""
            raise Refusal(f"{name} is not started, {found.verdict}: {found.why}{open_}")
        address, group = person.email, person.group.number if person.group else 0
        holder = token.of_person(bytes.fromhex(site.card_key), person.id).hex()
    body = {"token": holder, "role": found.role, "group": group}
    try:
        _, events = commanding.give(site_home, name, "authorise", **body)
    except Declined as declined:
        raise _explained(name, declined, _NO_START) from None
    started = any(
        each.get("event") == "session_started" and each.get("token") == holder for each in events
    )
    return {"charger": name, "person": address, "role": found.role, "started": started}


def stop(site_home: Path, name: str) -> Body:
    """End whatever session runs there. `ended`: there was one, and not only an approval."""
    try:
        _, events = commanding.give(site_home, name, "stop")
    except Declined as declined:
        raise _explained(name, declined, {}) from None
    ended = next((each for each in events if each.get("event") == "session_ended"), {})
    with database.reading(site_home) as session:
        person = holder(session, installation.current(session), ended.get("token"))
        address = person.email if person else None
    wh, reason = ended.get("wh"), ended.get("reason")
    return {
        "charger": name,
        "ended": bool(ended),
        "person": address,
        "wh": wh if type(wh) is int else None,
        "reason": commanding.in_print(reason) or None,
    }


def holder(session: Session, site: Installation, found: object) -> Person | None:
    """Whose token that is: a card's, or the one for which the app starts."""
    if not isinstance(found, str):
        return None
    card = session.scalars(select(Card).where(Card.token == found)).first()
    if card is not None:
        return card.person
    key = bytes.fromhex(site.card_key)
    for person in session.scalars(select(Person.id)):
        if token.of_person(key, person).hex() == found:
            return session.get(Person, person)
    return None


def _explained(name: str, declined: Declined, words: dict[str, str]) -> Refusal:
    found = _STATE.search(declined.why)
    if found and found[1] in words:
        return Refusal(f"{name}: {words[found[1]].format(name)}")
    if found and not words:
        return Refusal(f"{name}: no session runs there, it is {found[1]}")
    return Refusal(str(declined))
