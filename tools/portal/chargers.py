"""Chargers, found by their name."""

import secrets
import time
from collections.abc import Sequence

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from tools.portal import names
from tools.portal.installation import KEY_BYTES
from tools.portal.refusal import Refusal
from tools.portal.schema import Charger, RemovedCharger

# Only those that are here. The rows of others stay for the accounts.
PRESENT = Charger.id.not_in(select(RemovedCharger.id))
# What people call a charger, also one that was removed; joined by `ITS_REMOVAL`, from outside.
CALLED = func.coalesce(RemovedCharger.name, Charger.name)
ITS_REMOVAL = RemovedCharger.id == Charger.id


def add(session: Session, name: str) -> Charger:
    found = names.slug(name, "charger")
    if named(session, found):
        raise Refusal(f"there is a charger '{found}' already; see 'tapgate charger list'")
    charger = Charger(
        name=found,
        key=new_key(),
        hardware={},
        added_at=int(time.time()),
    )
    session.add(charger)
    return charger


def new_key() -> str:
    return secrets.token_hex(KEY_BYTES)


def find(session: Session, name: str) -> Charger:
    charger = named(session, name)
    if charger is not None:
        return charger
    found = names.slug(name, "charger")
    if removed(session, found):
        raise Refusal(
            f"charger '{found}' was removed; run 'tapgate charger add {found}' for another one"
        )
    raise Refusal(f"there is no charger '{found}'; run 'tapgate charger add {found}'")


def named(session: Session, name: str) -> Charger | None:
    found = names.slug(name, "charger")
    return session.scalars(select(Charger).where(Charger.name == found)).first()


def numbered(session: Session, number: int) -> Charger | None:
    """The charger with that id, while it is here."""
    return session.scalars(select(Charger).where(Charger.id == number, PRESENT)).first()


def removed(session: Session, name: str) -> Sequence[RemovedCharger]:
    """Those that were called so once, the latest last."""
    found = select(RemovedCharger).where(RemovedCharger.name == names.slug(name, "charger"))
    return session.scalars(found.order_by(RemovedCharger.id)).all()


def every(session: Session) -> list[Charger]:
    return list(session.scalars(select(Charger).where(PRESENT).order_by(Charger.name)))
