"""What a charger, once in step, answers to a card or a person at a time: worked out from the tables
as people filled them, not from the list that goes out, so that each can be held against the other.
"""

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from tools.portal import installation, moments, people, settings, topics
from tools.portal.schema import (
    Card,
    Charger,
    Installation,
    Permission,
    Person,
    Publication,
    Schedule,
)

ACCEPTED = "Accepted"
BLOCKED = "Blocked"
CLOCK_UNKNOWN = "ClockUnknown"
EXPIRED = "Expired"
INVALID = "Invalid"
LIST_TOO_OLD = "ListTooOld"
NOT_AT_THIS_TIME = "NotAtThisTime"
RANDOM_NUMBER = "RandomNumber"
UNKNOWN = "Unknown"

_MINUTE_S = 60  # a charger counts in whole ones
# These end anybody's session, also where they may start none.
_END_ANY = ("owner", "service")


class Prediction(NamedTuple):
    """`verdict`: None where only the operator's platform knows; `offline` is then what the charger
    does without its answer. `role`: of the permission that counts there, whether it helps or not.
    `ends`: whose sessions a tap ends, "any" or "own" (their group's are among these).
    """

    verdict: str | None
    role: str | None
    why: str
    access: str  # "open": charging needs no card at all
    ends: str = "own"
    operator: str | None = None
    offline: "Prediction | None" = None


def of_card(
    session: Session,
    site: Installation,
    charger: Charger,
    token: bytes,
    at: int,
    *,
    clock_set: bool = True,
    issued: int | None = None,
) -> Prediction:
    """`at`: UTC seconds, by the charger's clock; `clock_set` False: that is only the latest time
    certainly past. `issued`: when its list was; None: the list is kept fresh."""
    card = session.scalars(select(Card).where(Card.token == token.hex())).first()
    if issued is not None and 0 < site.max_age_s < at - issued:
        days = (at - issued) // 86_400
        found = _refused(
            LIST_TOO_OLD, None, f"by then its list is {days} days old; run 'tapgate publish'"
        )
    elif card is None:
        found = _refused(UNKNOWN, None, "nobody here has this card; see 'tapgate card add --help'")
    elif card.blocked:
        permission = permission_of(session, card.person, charger)
        if permission is None:
            found = _nothing_permitted(card.person, charger)
        else:
            found = _refused(BLOCKED, permission.role, "the card is blocked")
    else:
        found = by_permission(session, site, charger, card.person, at, clock_set=clock_set)
    return _by_authority(site, charger, found)


def of_person(
    session: Session, site: Installation, charger: Charger, person: Person, at: int
) -> Prediction:
    """For a start from the app: the portal knows the time, and no card can be blocked."""
    found = _by_authority(site, charger, by_permission(session, site, charger, person, at))
    return found._replace(offline=None)  # nobody is asked at the charger


def by_permission(
    session: Session,
    site: Installation,
    charger: Charger,
    person: Person,
    at: int,
    *,
    clock_set: bool = True,
) -> Prediction:
    """What the person's permission says there, whoever decides now. `access` is left out."""
    permission = permission_of(session, person, charger)
    if permission is None:
        return _nothing_permitted(person, charger)
    role = permission.role
    refused = _out_of_time(site, permission, at, clock_set)
    if refused is not None:
        return refused
    ends = "any" if role in _END_ANY else "own"
    if role == "service" and not settings.service_may_start(site, charger):
        why = f"{person.email} may end sessions and test here, but start none"
        return Prediction(INVALID, role, why, "", ends)
    return Prediction(ACCEPTED, role, f"{person.email} is {_a(role)} here", "", ends)


def of_random_number(site: Installation, charger: Charger) -> Prediction:
    """A 4-byte number that begins with 08: refused before anybody is asked."""
    why = "the number is made up anew at each tap (a phone, or a card that hides its own)"
    found = _refused(RANDOM_NUMBER, None, why)
    return found._replace(access=settings.access(site, charger), operator=site.operator_name)


def may_end(
    session: Session,
    site: Installation,
    found: Prediction,
    token: bytes,
    holder: bytes | None,
    by: str | None = None,
) -> bool:
    """Whether the card with that token, of which `found` is predicted, ends the session of
    `holder`: of a card, of a person whom the app has started, or None, of nobody. `by`: who let it
    begin, as its charger says; an operator's sessions are in none of our groups."""
    found = found.offline or found
    if token == holder:
        return found.verdict != BLOCKED
    if found.verdict not in (ACCEPTED, INVALID):
        return False
    if found.ends == "any":
        return True
    if holder is None or by == "operator":
        return False
    mine, theirs = (people.holder(session, site, each.hex()) for each in (token, holder))
    if mine is None or theirs is None or mine.group_id is None:
        return False
    return mine.group_id == theirs.group_id


def permission_of(session: Session, person: Person, charger: Charger) -> Permission | None:
    """The one that counts there, or None where it is none or gives nothing. What is said for that
    charger comes before what is said for the installation, and in each of the two what the person
    has before what their partner has."""
    for scope in (charger.id, None):
        for own in (True, False):
            if not own and person.partner_id is None:
                continue
            found = session.scalars(
                select(Permission).where(
                    Permission.person_id == person.id
                    if own
                    else Permission.partner_id == person.partner_id,
                    Permission.charger_id.is_(None)
                    if scope is None
                    else Permission.charger_id == scope,
                )
            ).first()
            if found is not None:
                return None if found.role == "none" else found
    return None


def issued_at(session: Session, site: Installation, charger: Charger) -> int | None:
    """When the charger's list was last issued, or None."""
    row = session.get(Publication, topics.allowlist(site.name, charger.name))
    return row.t if row else None


def _out_of_time(
    site: Installation, permission: Permission, at: int, clock_set: bool
) -> Prediction | None:
    role, zone = permission.role, installation.zone(site)
    first, end = permission.valid_from, permission.valid_until
    # A part of a minute counts for nobody: it begins with the first whole one, and ends before.
    if end is not None and at >= end // _MINUTE_S * _MINUTE_S:
        return _refused(EXPIRED, role, f"the permission ended {moments.shown(end, zone)}")
    if first is not None and at < -(-first // _MINUTE_S) * _MINUTE_S:
        if clock_set:
            why = f"the permission begins {moments.shown(first, zone)}"
            return _refused(NOT_AT_THIS_TIME, role, why)
        return _refused(CLOCK_UNKNOWN, role, "whether the permission has begun it cannot know")
    schedule = permission.schedule
    if schedule is None:
        return None
    if not clock_set:
        return _refused(CLOCK_UNKNOWN, role, "a schedule needs a clock that is set")
    local = datetime.fromtimestamp(at, zone)
    if not _holds(schedule, local):
        why = f"not within '{schedule.name}': there it is {local:%A %H:%M}"
        return _refused(NOT_AT_THIS_TIME, role, why)
    return None


def _holds(schedule: Schedule, local: datetime) -> bool:
    minute = local.hour * 60 + local.minute
    return any(
        window.weekday == local.weekday() and window.start_min <= minute < window.end_min
        for window in schedule.windows
    )


def _by_authority(site: Installation, charger: Charger, found: Prediction) -> Prediction:
    found = found._replace(access=settings.access(site, charger))
    if not site.operator_name:
        return found
    if site.operator_offline == "list":
        without = found
    else:
        without = Prediction(UNKNOWN, None, "without its answer nobody is let in", found.access)
    return Prediction(
        None,
        None,
        f"{site.operator_name} decides, at each tap",
        found.access,
        operator=site.operator_name,
        offline=without,
    )


def _nothing_permitted(person: Person, charger: Charger) -> Prediction:
    return _refused(UNKNOWN, None, f"{person.email} has no permission on {charger.name}")


def _refused(verdict: str, role: str | None, why: str) -> Prediction:
    return Prediction(verdict, role, why, "")


def _a(role: str) -> str:
    return {"owner": "an owner", "user": "a user", "service": "from the service"}[role]
