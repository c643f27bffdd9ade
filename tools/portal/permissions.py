"""Who may do what where: a role for a person, on the installation or on one charger.

A permission on one charger replaces, for that charger, the same person's permission on the
installation; the role "none" is how it gives nothing (DESIGN section 3).
"""

import time

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from tools.portal import allowlist
from tools.portal.refusal import Refusal, WrongUsage
from tools.portal.schema import Charger, Permission, Person

NONE = "none"


def grant(
    session: Session,
    person: Person,
    role: str,
    charger: Charger | None,
    valid_from: int | None,
    valid_until: int | None,
) -> Permission:
    """Give a role. What the person had in the same scope is replaced whole, bounds included."""
    if valid_from is not None and valid_until is not None and valid_until <= valid_from:
        raise WrongUsage("--until has to be later than --from")
    for option, moment in (("--from", valid_from), ("--until", valid_until)):
        if moment is not None and moment > allowlist.LAST_MOMENT_S:
            raise WrongUsage(
                f"{option} is later than a charger can count (November 2055); leave it out"
            )
    permission = _in_scope(session, person, charger)
    if permission is None:
        permission = Permission(person=person, charger=charger)
    permission.role = role
    permission.valid_from, permission.valid_until = valid_from, valid_until
    permission.schedule = None
    permission.given_at = int(time.time())
    session.add(permission)
    session.flush()
    _require_an_owner(session, f"{person.email} is the last owner without an end")
    return permission


def inherit(session: Session, person: Person, charger: Charger) -> None:
    """Drop what is said for that one charger, so that the installation's permission counts."""
    permission = _in_scope(session, person, charger)
    if permission is None:
        raise Refusal(f"{person.email} has nothing of their own on {charger.name} to drop")
    session.delete(permission)


def revoke(session: Session, person: Person, charger: Charger | None) -> list[str]:
    """Take permissions away. Without a charger: all of them, so that nothing is left working
    anywhere. With one: that person is not let in there, whatever they have on the installation.
    Returns the names of the single chargers that are touched."""
    if charger is None:
        if not person.permissions:
            raise Refusal(f"{person.email} has no permission to take away")
        touched = sorted(each.charger.name for each in person.permissions if each.charger)
        person.permissions.clear()
        session.flush()
        _require_an_owner(session, f"{person.email} is the last owner")
        return touched
    permission = _in_scope(session, person, charger)
    if _in_scope(session, person, None) is None:
        if permission is None:
            raise Refusal(f"{person.email} has no permission on {charger.name} to take away")
        session.delete(permission)
    elif permission is not None and permission.role == NONE:
        raise Refusal(f"{person.email} is kept from {charger.name} already")
    else:
        grant(session, person, NONE, charger, None, None)
    return [charger.name]


def require_an_owner_without(session: Session, person: Person) -> None:
    """Before a person is removed."""
    _require_an_owner(session, f"{person.email} is the last owner", but=person)


def _in_scope(session: Session, person: Person, charger: Charger | None) -> Permission | None:
    return session.scalars(
        select(Permission).where(
            Permission.person_id == person.id,
            Permission.charger_id == charger.id if charger else Permission.charger_id.is_(None),
        )
    ).first()


def _require_an_owner(session: Session, why: str, but: Person | None = None) -> None:
    """An installation that nobody owns could never be changed again by those who use it."""
    owners = select(Permission.person_id).where(
        Permission.role == "owner",
        Permission.person_id.is_not(None),
        Permission.charger_id.is_(None),
        Permission.valid_until.is_(None),
        or_(Permission.valid_from.is_(None), Permission.valid_from <= int(time.time())),
    )
    if but is not None:
        owners = owners.where(Permission.person_id != but.id)
    if session.scalars(owners).first() is None:
        raise Refusal(f"{why}; first give another one the role: 'tapgate grant EMAIL --role owner'")
