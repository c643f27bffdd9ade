"""Who may do what where: a role for a person or a partner, on the installation or on one charger.

A permission on one charger replaces, for that charger, the same person's permission on the
installation; the role "none" is how it gives nothing (DESIGN section 3). In each of the two, what a
person has of their own comes before what their partner has.
"""

import time
from typing import NamedTuple

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from tools.portal import allowlist
from tools.portal.refusal import Refusal, WrongUsage
from tools.portal.schema import Charger, Partner, Permission, Person, Schedule

NONE = "none"

Holder = Person | Partner


class Revoked(NamedTuple):
    """What was taken away: on which single chargers, and through which partner."""

    chargers: list[str]
    partner: str | None = None


def grant(
    session: Session,
    holder: Holder,
    role: str,
    charger: Charger | None,
    valid_from: int | None,
    valid_until: int | None,
    schedule: Schedule | None = None,
) -> Permission:
    """Give a role. What the holder had in the same scope is replaced whole, bounds included."""
    check_bounds(valid_from, valid_until)
    permission = _in_scope(session, holder, charger)
    if permission is None:
        permission = Permission(charger=charger)
        if isinstance(holder, Person):
            permission.person = holder
        else:
            permission.partner_id = holder.id
    permission.role = role
    permission.valid_from, permission.valid_until = valid_from, valid_until
    permission.schedule = schedule
    permission.given_at = int(time.time())
    session.add(permission)
    session.flush()
    require_an_owner(session, f"{who(holder)} is the last owner whom no time limits")
    return permission


def check_bounds(valid_from: int | None, valid_until: int | None) -> None:
    """WrongUsage for times that no permission can have."""
    if valid_from is not None and valid_until is not None and valid_until <= valid_from:
        raise WrongUsage("--until has to be later than --from")
    for option, moment in (("--from", valid_from), ("--until", valid_until)):
        if moment is not None and moment > allowlist.LAST_MOMENT_S:
            raise WrongUsage(
                f"{option} is later than a charger can count (November 2055); leave it out"
            )


def inherit(session: Session, person: Person, charger: Charger) -> None:
    """Drop what is said for that one charger, so that the installation's permission counts."""
    permission = _in_scope(session, person, charger)
    if permission is None:
        raise Refusal(f"{person.email} has nothing of their own on {charger.name} to drop")
    session.delete(permission)


def revoke(session: Session, holder: Holder, charger: Charger | None) -> Revoked:
    """Take permissions away. Without a charger: all of them, so that nothing is left working
    anywhere; a person is taken out of their partner too, or that partner's permissions would still
    open. With one: that holder is not let in there, whatever they have elsewhere."""
    if charger is None:
        return _revoke_all(session, holder)
    permission = _in_scope(session, holder, charger)
    if permission is not None and permission.role == NONE:
        raise Refusal(f"{who(holder)} is kept from {charger.name} already")
    if _is_let_in_otherwise(session, holder, charger):
        grant(session, holder, NONE, charger, None, None)
    elif permission is None:
        raise Refusal(f"{who(holder)} has no permission on {charger.name} to take away")
    else:
        session.delete(permission)
    return Revoked([charger.name])


def of_partner(session: Session, partner: Partner) -> list[Permission]:
    found = session.scalars(select(Permission).where(Permission.partner_id == partner.id))
    return in_order(found)


def in_order(permissions) -> list[Permission]:
    """The installation's first, then by charger."""
    return sorted(permissions, key=lambda each: each.charger.name if each.charger else "")


def has_any(session: Session, person: Person) -> bool:
    """Of their own or through a partner."""
    through = person.partner is not None and of_partner(session, person.partner)
    return bool(person.permissions or through)


def require_an_owner(session: Session, why: str, but: Person | None = None) -> None:
    """An installation that nobody owns could never be changed again by those who use it."""
    owners = select(Permission.person_id).where(
        Permission.role == "owner",
        Permission.person_id.is_not(None),
        Permission.charger_id.is_(None),
        Permission.valid_until.is_(None),
        Permission.schedule_id.is_(None),
        or_(Permission.valid_from.is_(None), Permission.valid_from <= int(time.time())),
    )
    if but is not None:
        owners = owners.where(Permission.person_id != but.id)
    if session.scalars(owners.limit(1)).first() is None:
        raise Refusal(f"{why}; first give another one the role: 'tapgate grant EMAIL --role owner'")


def require_an_owner_without(session: Session, person: Person) -> None:
    """Before a person is removed."""
    require_an_owner(session, f"{person.email} is the last owner", but=person)


def who(holder: Holder) -> str:
    return holder.email if isinstance(holder, Person) else holder.name


def _revoke_all(session: Session, holder: Holder) -> Revoked:
    partner = None
    if isinstance(holder, Person):
        found = list(holder.permissions)
        if holder.partner is not None:
            partner, holder.partner = holder.partner.name, None
    else:
        found = of_partner(session, holder)
    if not found and partner is None:
        raise Refusal(f"{who(holder)} has no permission to take away")
    touched = sorted(each.charger.name for each in found if each.charger)
    for each in found:
        session.delete(each)
    session.flush()
    session.expire(holder)
    require_an_owner(session, f"{who(holder)} is the last owner")
    return Revoked(touched, partner)


def _is_let_in_otherwise(session: Session, holder: Holder, charger: Charger) -> bool:
    """Whether anything but their own permission on that charger lets the holder in there."""
    partner = holder.partner if isinstance(holder, Person) else None
    found = [_in_scope(session, partner, charger)] if partner else []
    found.append(_in_scope(session, holder, None))
    if partner:
        found.append(_in_scope(session, partner, None))
    counting = next((each for each in found if each is not None), None)
    return counting is not None and counting.role != NONE


def _in_scope(session: Session, holder: Holder, charger: Charger | None) -> Permission | None:
    column = Permission.person_id if isinstance(holder, Person) else Permission.partner_id
    return session.scalars(
        select(Permission).where(
            column == holder.id,
            Permission.charger_id == charger.id if charger else Permission.charger_id.is_(None),
        )
    ).first()
