"""Taking a charger out. Its sessions and events stay in the accounts, under its name; whoever gets
that name after it is another charger, with events of its own.

What goes: its key, its Wi-Fi and broker passwords, its permissions, its orders, its settings and
list. What lies at the broker goes with the next `publish` (publishing.py).
"""

import secrets
import time
from typing import NamedTuple

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from tools.portal.installation import KEY_BYTES
from tools.portal.intake import Body
from tools.portal.schema import (
    Charger,
    Command,
    HeldEvent,
    Permission,
    Publication,
    RemovedCharger,
    ReportedState,
)
from tools.portal.status import journal_of

NOT_WIPED = (
    "its key may still lie in unused parts of the database file: it was in use, or its disk is "
    "full; it opens nothing any more"
)


class Undelivered(NamedTuple):
    """What a charger has recorded and not delivered yet."""

    events: int
    session: bool  # one runs there


def last_said(session: Session, charger: Charger) -> Undelivered:
    """By its last state, which nobody has signed."""
    row = session.get(ReportedState, charger.id)
    body: Body = row.body if row else {}
    journal = journal_of(body) or {}
    running = isinstance(body.get("session"), dict) and body.get("online") is True
    return Undelivered(journal.get("pending") or 0, running)


def remove(session: Session, charger: Charger) -> int:
    """Returns how many permissions it had of its own."""
    now = int(time.time())
    name = charger.name
    own = select(func.count()).select_from(Permission)
    permissions = session.scalar(own.where(Permission.charger_id == charger.id)) or 0
    for table in (Permission, Command, Publication, HeldEvent):
        session.execute(delete(table).where(table.charger_id == charger.id))
    session.add(RemovedCharger(id=charger.id, name=name, removed_at=now))
    charger.name = f"~{charger.id}"  # no name of a charger, and no topic's
    charger.key = secrets.token_hex(KEY_BYTES)  # one that nobody has
    charger.former_key = charger.rekeyed_at = None
    charger.access = charger.service_may_start = None
    charger.hardware = {}
    session.flush()
    return permissions
