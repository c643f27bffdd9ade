"""A new key for a charger. From then on the old one opens nothing: commands and lists are signed
with the new one, and so must events be.

Until its board has the new key, the charger goes on signing events with the old one, the broker
acknowledges them, and the board forgets them. They may be sessions that somebody is to pay for, or
the work of whoever has the old key: they are held back, in no account, until a person decides.
"""

import hashlib
import time
from collections.abc import Sequence

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from tools.portal import chargers, moments
from tools.portal.installation import current, zone
from tools.portal.output import in_short
from tools.portal.refusal import Refusal
from tools.portal.schema import Charger, HeldEvent, Publication

HELD_MOST = 20_000  # of one charger
_SIGNED_SO = "an event signed with the charger's former key"


def rekey(session: Session, charger: Charger, *, again: bool = False) -> None:
    """Refusal if the last new key has not reached the board yet, or nothing has come in that was
    signed with it, unless `again`."""
    if charger.rekeyed_at is None and charger.former_key is not None and not again:
        raise Refusal(
            f"'{charger.name}' has a new key already, and its board too; nothing signed with that "
            "has come in yet (see 'tapgate serve'). With another one, what was signed with the one "
            "before is lost if it waits at the broker: say --again if so"
        )
    if charger.rekeyed_at is not None and not again:
        since = in_short(moments.shown(charger.rekeyed_at, zone(current(session))))
        raise Refusal(
            f"'{charger.name}' has a new key since {since} that its board has not shown yet: give "
            f"it that one (tapgate charger rekey {charger.name} --port PORT), or make yet another "
            "with --again"
        )
    if charger.rekeyed_at is None:
        charger.former_key = charger.key
    # Else: the board may still sign with the one before, and the one in between got onto none.
    charger.key = chargers.new_key()
    charger.rekeyed_at = int(time.time())
    session.execute(  # signed with the old key, as far as the broker has it
        update(Publication).where(Publication.charger_id == charger.id).values(confirmed_at=None)
    )


def given(charger: Charger) -> None:
    """The new key is on the board. What it sent before may still be on its way."""
    charger.rekeyed_at = None


def proved(charger: Charger) -> None:
    """The charger has signed with its key: nothing comes any more that it signed with the last."""
    if charger.former_key is not None or charger.rekeyed_at is not None:
        charger.former_key = charger.rekeyed_at = None


def hold(session: Session, charger: Charger, body: dict, payload: bytes, now: int) -> str:
    """Keep an event that is signed with the former key. Returns what there is to say about it."""
    digest = hashlib.sha256(payload).hexdigest()
    known = select(HeldEvent.id).where(
        HeldEvent.charger_id == charger.id, HeldEvent.digest == digest
    )
    if session.scalars(known).first() is None:
        if held_count(session, charger) >= HELD_MOST:
            return f"{_SIGNED_SO}, of which {HELD_MOST} are held back already"
        session.add(HeldEvent(charger_id=charger.id, digest=digest, body=body, received_at=now))
        session.flush()
    return f"{_SIGNED_SO}; held back, see 'tapgate charger held {charger.name}'"


def held(session: Session, charger: Charger) -> Sequence[HeldEvent]:
    """In the order in which they came."""
    found = select(HeldEvent).where(HeldEvent.charger_id == charger.id)
    return session.scalars(found.order_by(HeldEvent.id)).all()


def held_count(session: Session, charger: Charger) -> int:
    found = select(func.count()).select_from(HeldEvent)
    return session.scalar(found.where(HeldEvent.charger_id == charger.id)) or 0


def drop_held(session: Session, charger: Charger) -> None:
    session.execute(delete(HeldEvent).where(HeldEvent.charger_id == charger.id))
