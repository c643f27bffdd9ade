"""Every charger's allow-list and settings as they ought to be now, read from the database."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from tools.portal import allowlist, chargers, installation, schedules, settings
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
    session.flush()
    found = allowlist.Lists(_cards(session), _permissions(session))
    told = schedules.told(session, installation.zone(site))
    for charger in chargers.every(session):
        built = found.of(charger.id)
        yield Wanted(charger, built, _ref(site, built), _settings(site, charger) | told)


def _ref(site: Installation, built: AllowList) -> Body:
    return {"index": built.digest, "cards": built.cards, "max_age_s": site.max_age_s}


def _settings(site: Installation, charger: Charger) -> Body:
    return {
        "access": settings.access(site, charger),
        "authority": "operator" if site.operator_name else "native",
        "offline": site.operator_offline,
        "operator_wait_s": site.operator_wait_s,
        "service_may_start": settings.service_may_start(site, charger),
        "stop_on_withdrawal": site.stop_on_withdrawal,
        "resume_within_s": site.resume_within_s,
    }


def _cards(session: Session) -> Iterator[allowlist.Card]:
    rows = session.connection().execute(  # not by way of the session: half the time
        select(Card.token, Card.person_id, Group.number, Card.blocked)
        .join(Person, Person.id == Card.person_id)
        .outerjoin(Group, Group.id == Person.group_id)
    )
    for token, person, group, blocked in rows:
        yield allowlist.Card(bytes.fromhex(token), person, group or 0, blocked)


def _permissions(session: Session) -> Permissions:
    """By person and charger. People of a partner have the partner's, where they have none of
    their own."""
    columns = (
        Permission.charger_id,
        Permission.role,
        Permission.valid_from,
        Permission.valid_until,
        Permission.schedule_id,
    )
    of_partners = select(Person.id, *columns).join(
        Permission, Permission.partner_id == Person.partner_id
    )
    own = select(Permission.person_id, *columns).where(Permission.person_id.is_not(None))
    numbers = {row.id: row.number for row in session.scalars(select(Schedule))}
    found: Permissions = {}
    alike: dict[tuple[Any, ...], allowlist.Permission] = {}  # most are: kept once
    for rows in (of_partners, own):
        for person, charger, *given in session.connection().execute(rows):
            permission = alike.get(key := tuple(given))
            if permission is None:
                role, valid_from, valid_until, schedule = given
                permission = alike[key] = allowlist.Permission(
                    role, valid_from, valid_until, numbers[schedule] if schedule else 0
                )
            found[person, charger] = permission
    return found
