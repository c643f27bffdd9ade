"""Partners (installers, payment operators): found by a four-digit key, which is short enough to be
guessed, so that whoever is wrong too often has to wait."""

import os
import pwd
import re
import secrets
import time
from pathlib import Path

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from tools.portal import database, named
from tools.portal.output import count
from tools.portal.refusal import Refusal, WrongUsage
from tools.portal.schema import LookupGuess, Partner, Person

GUESSES_WITHIN_S = 15 * 60
WRONG_MAX = 5  # of one source
WRONG_MAX_IN_ALL = 20  # whoever asks: many sources together are one guesser
_KEYS = 10_000
_KEY = re.compile(r"[0-9]{4}")
_SOURCE_MAX_CHARACTERS = 100


def add(session: Session, name: str) -> Partner:
    """With a lookup key that nobody else has, and that cannot be told from another's."""
    text = named.unused(session, Partner, name)
    taken = set(session.scalars(select(Partner.lookup_key)))
    free = [key for each in range(_KEYS) if (key := f"{each:04}") not in taken]
    if not free:
        raise Refusal("all 10000 lookup keys are in use; remove partners that are gone")
    partner = Partner(name=text, lookup_key=secrets.choice(free), added_at=int(time.time()))
    session.add(partner)
    session.flush()
    return partner


def look_up(home: Path, key: str, source: str | None = None) -> int:
    """The id of the partner with that key. Its own transaction: a wrong guess stays counted.

    `source`: who asks; the computer's user if it is not said. Past the limit the right key is
    refused as well, so that waiting is all that helps.
    """
    if not _KEY.fullmatch(key.strip()):
        raise WrongUsage("a lookup key has four digits; see 'tapgate partner list'")
    source = (source or _user())[:_SOURCE_MAX_CHARACTERS]
    with database.changing(home) as session:
        now = int(time.time())
        wait_s = _wait_s(session, source, now)
        if wait_s > 0:
            raise Refusal(
                f"too many wrong lookup keys; try again in {count(-(-wait_s // 60), 'minute')}"
            )
        found = session.scalars(select(Partner.id).where(Partner.lookup_key == key.strip())).first()
        session.add(LookupGuess(source=source, at=now, right=found is not None))
    if found is None:
        raise Refusal("no partner has that lookup key; see 'tapgate partner list'")
    return found


def found(session: Session, partner_id: int) -> Partner:
    """The one that was looked up."""
    partner = session.get(Partner, partner_id)
    if partner is None:
        raise Refusal("no partner has that lookup key; see 'tapgate partner list'")
    return partner


def people(session: Session, partner: Partner) -> list[Person]:
    return list(
        session.scalars(
            select(Person).where(Person.partner_id == partner.id).order_by(Person.email_key)
        )
    )


def remove(session: Session, partner: Partner) -> list[Person]:
    """Its permissions go with it; its people stay, without them. Returns these."""
    left = people(session, partner)
    for person in left:
        person.partner = None
    session.flush()
    session.delete(partner)
    session.flush()
    return left


def _wait_s(session: Session, source: str, now: int) -> int:
    """How long until another key may be tried; 0: now. Forgets what does not count any more."""
    # A clock that was set back must not hold anybody up for longer than the time itself.
    session.execute(
        delete(LookupGuess).where(
            ~LookupGuess.at.between(now - GUESSES_WITHIN_S + 1, now + GUESSES_WITHIN_S)
        )
    )
    wrong = select(LookupGuess.at).where(LookupGuess.right.is_(False)).order_by(LookupGuess.at)
    return (
        max(
            _until_fewer(
                list(session.scalars(wrong.where(LookupGuess.source == source))), WRONG_MAX
            ),
            _until_fewer(list(session.scalars(wrong)), WRONG_MAX_IN_ALL),
            now,
        )
        - now
    )


def _until_fewer(wrong: list[int], most: int) -> int:
    """When there are fewer than `most` again, if nobody guesses meanwhile."""
    return wrong[-most] + GUESSES_WITHIN_S if len(wrong) >= most else 0


def _user() -> str:
    """Who runs this, by the number that cannot be chosen."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())
