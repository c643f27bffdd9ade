"""Chargers, found by their name."""

import secrets
import time

from sqlalchemy import select
from sqlalchemy.orm import Session

from tools.portal import names
from tools.portal.installation import KEY_BYTES
from tools.portal.refusal import Refusal
from tools.portal.schema import Charger


def add(session: Session, name: str) -> Charger:
    found = names.slug(name, "charger")
    if session.scalars(select(Charger).where(Charger.name == found)).first():
        raise Refusal(f"there is a charger '{found}' already; see 'tapgate charger list'")
    charger = Charger(
        name=found,
        key=secrets.token_hex(KEY_BYTES),
        hardware={},
        added_at=int(time.time()),
    )
    session.add(charger)
    return charger


def find(session: Session, name: str) -> Charger:
    found = names.slug(name, "charger")
    charger = session.scalars(select(Charger).where(Charger.name == found)).first()
    if charger is None:
        raise Refusal(f"there is no charger '{found}'; run 'tapgate charger add {found}'")
    return charger


def every(session: Session) -> list[Charger]:
    return list(session.scalars(select(Charger).order_by(Charger.name)))
