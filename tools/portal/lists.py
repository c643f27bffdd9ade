"""Every charger's allow-list and settings as they ought to be now, read from the database."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from tools.portal import allowlist, chargers, installation
from tools.portal.allowlist import AllowList
from tools.portal.schema import (
    Card,
    Charger,
    Group,
    Installation,
    Permission,
    Person,
    Schedule,
)

Body = dict[str, Any]
Permissions = dict[tuple[int, int | None], allowlist.Permission]


class Wanted(NamedTuple):
    """What one charger is to hold."""

    charger: Charger
    built: AllowList
    ref: Body  # this and the settings message without v and t
    settings: Body


def wanted(session: Session, site: Installation) -> Iterator[Wanted]:
    cards = _cards(session)
    permissions = _permissions(session)
    apart = {charger for _, charger in permissions if charger is not None}
    common: AllowList | None = None
    for charger in chargers.every(session):
        if charger.id in apart:
            built = allowlist.build(charger.id, cards, permissions)
        else:
            common = common or allowlist.build(None, cards, permissions)
            built = common
        yield Wanted(charger, built, _ref(site, built), _settings(site, charger))


def _ref(site: Installation, built: AllowList) -> Body:
    return {"index": built.digest, "cards": built.cards, "max_age_s": site.max_age_s}


def _settings(site: Installation, charger: Charger) -> Body:
    may_start = charger.service_may_start
    return {
        "access": installation.access_of(site, charger),
        "authority": "operator" if site.operator_name else "native",
        "offline": site.operator_offline,
        "service_may_start": site.service_may_start if may_start is None else may_start,
        "stop_on_withdrawal": site.stop_on_withdrawal,
        "resume_within_s": site.resume_within_s,
    }


def _cards(session: Session) -> list[allowlist.Card]:
    rows = session.execute(
        select(Card.token, Card.person_id, Group.number, Card.blocked)
        .join(Person, Person.id == Card.person_id)
        .outerjoin(Group, Group.id == Person.group_id)
    )
    return [
        allowlist.Card(bytes.fromhex(token), person, group or 0, blocked)
        for token, person, group, blocked in rows
    ]


def _permissions(session: Session) -> Permissions:
    """By person and charger. People of a partner have the partner's, where they have none of
    their own."""
    columns = (
        Permission.charger_id,
        Permission.role,
        Permission.valid_from,
        Permission.valid_until,
        Schedule.number,
    )
    of_partners = (
        select(Person.id, *columns)
        .join(Permission, Permission.partner_id == Person.partner_id)
        .outerjoin(Schedule, Schedule.id == Permission.schedule_id)
    )
    own = (
        select(Permission.person_id, *columns)
        .where(Permission.person_id.is_not(None))
        .outerjoin(Schedule, Schedule.id == Permission.schedule_id)
    )
    found: Permissions = {}
    for rows in (of_partners, own):
        for person, charger, role, valid_from, valid_until, schedule in session.execute(rows):
            found[person, charger] = allowlist.Permission(
                role, valid_from, valid_until, schedule or 0
            )
    return found
