"""The sessions of some days and what they add up to, for chargers with and without authorisation.

A session counts on the day on which it started, in the installation's time, so it is in exactly one
month's report. One that still runs is told apart: it is in no sum until it has ended.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, timedelta, tzinfo
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

from sqlalchemy import select
from sqlalchemy.orm import Session

from tools.portal import accounting, chargers, database, installation, moments, status
from tools.portal.accounting import Stay
from tools.portal.refusal import WrongUsage
from tools.portal.schema import Charger, RemovedCharger, ReportedState

By = Literal["person", "charger", "card"]
BY: tuple[By, ...] = get_args(By)


class Period(NamedTuple):
    """Whole days, both included."""

    first: date
    last: date
    zone: tzinfo

    @property
    def since(self) -> int:
        return moments.midnight(self.first, self.zone)

    @property
    def until(self) -> int:
        """The midnight that ends the last day."""
        return moments.midnight(self.last + timedelta(days=1), self.zone)


@dataclass(slots=True)
class Total:
    """What the ended sessions of one person, charger or card add up to."""

    key: str | None  # e-mail address or pseudonym, charger, token; None: the sessions without
    sessions: int = 0
    wh: int = 0
    # Of a person; of a card: whose it was in that time, which may have been several.
    name: str | None = None
    people: list[str] = field(default_factory=list)
    hint: str | None = None
    label: str | None = None
    by: str | None = None
    removed_at: int | None = None  # of a charger that is no more


class Report(NamedTuple):
    period: Period
    by: By
    stays: list[Stay]  # in the order in which they started
    lost: tuple[tuple[str, int], ...] = ()  # charger, records of sessions that found no room there

    @property
    def ended(self) -> list[Stay]:
        return [each for each in self.stays if not each.running]

    @property
    def running(self) -> list[Stay]:
        return [each for each in self.stays if each.running]


def read(home: Path, first: str, last: str, by: By) -> Report:
    """`first`, `last`: days as people write them."""
    days = moments.day(first), moments.day(last)
    if days[0] > days[1]:
        raise WrongUsage(f"--from {days[0]} is after --to {days[1]}")
    with database.reading(home) as session:
        period = Period(*days, installation.zone(installation.current(session)))
        stays = accounting.stays(session, period.since, period.until)
        return Report(period, by, stays, _lost(session))


def _lost(session: Session) -> tuple[tuple[str, int], ...]:
    said = (
        select(chargers.CALLED, ReportedState.body)
        .select_from(ReportedState)
        .join(Charger, Charger.id == ReportedState.charger_id)
        .outerjoin(RemovedCharger, chargers.ITS_REMOVAL)
    )
    found = []
    for name, body in session.execute(said.order_by(chargers.CALLED)):
        journal = status.journal_of(body)
        if journal and journal["lost_sessions"]:
            found.append((name, journal["lost_sessions"]))
    return tuple(found)


def totals(stays: Iterable[Stay], by: By) -> list[Total]:
    """In the order of their keys, cards in that of whose they are; last what has no key."""
    found: dict[tuple[str | None, int | None], Total] = {}
    for stay in stays:
        key = {"person": stay.person, "charger": stay.charger, "card": stay.token}[by]
        # Who got a removed charger's name is another.
        removed_at = stay.removed_at if by == "charger" else None
        total = found.get((key, removed_at))
        if total is None:
            total = found[key, removed_at] = Total(key, removed_at=removed_at)
        total.sessions += 1
        total.wh += stay.wh
        if by == "person":
            total.name = stay.name or total.name
        elif by == "card":
            total.hint, total.label = stay.hint or total.hint, stay.label or total.label
            total.by = stay.by
            if stay.person is not None and stay.person not in total.people:
                total.people.append(stay.person)
    return sorted(found.values(), key=_place)


def answer(report: Report) -> dict[str, Any]:
    """As JSON (INTERFACES section 2)."""
    zone = report.period.zone
    return {
        "from": report.period.first.isoformat(),
        "to": report.period.last.isoformat(),
        "by": report.by,
        "sessions": [session(each, zone) for each in report.ended],
        "running": [session(each, zone) for each in report.running],
        "totals": [summed(each, report.by, zone) for each in totals(report.ended, report.by)],
        "lost": [{"charger": name, "records": count} for name, count in report.lost],
    }


def session(stay: Stay, zone: tzinfo) -> dict[str, Any]:
    """One session as JSON."""
    return {
        "charger": stay.charger,
        "person": stay.person,
        "name": stay.name,
        "card": stay.token,
        "label": stay.label,
        "hint": stay.hint,
        "start": moments.shown_or_none(stay.start, zone),
        "end": moments.shown_or_none(stay.end, zone),
        "estimated": stay.estimated,
        "wh": stay.wh,
        "reason": stay.reason,
        "by": stay.by,
        "running": stay.running,
        **_removed(stay.removed_at, zone),
    }


def summed(total: Total, by: By, zone: tzinfo) -> dict[str, Any]:
    """One total as JSON."""
    row: dict[str, Any] = {"key": total.key}
    if by == "person":
        row["name"] = total.name
    elif by == "card":
        row.update(label=total.label, hint=total.hint, people=total.people)
    row |= _removed(total.removed_at, zone)
    return {**row, "sessions": total.sessions, "wh": total.wh}


def _removed(at: int | None, zone: tzinfo) -> dict[str, str]:
    return {} if at is None else {"charger_removed": moments.shown(at, zone)}


def _place(total: Total) -> tuple[Any, ...]:
    key = total.key or ""
    whose = total.people[0] if total.people else ""
    named = (not whose, whose.casefold(), not total.label, (total.label or "").casefold())
    there_until = math.inf if total.removed_at is None else total.removed_at
    return total.key is None, *named, key.casefold(), key, there_until
