"""Sessions as they are billed: who stayed at which charger, from when until when, and how much.

A session without an end runs as long as nothing speaks against it. It is over, and how is not
known (no end, no reason), once another has begun there after it, or once the charger has said that
no such session runs and that it has nothing more to tell. Its energy is then the last that its
charger has signed for, if any. An end that comes later after all counts.

What no person can be named for is in here too: nobody's, or only a card's.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select, tuple_
from sqlalchemy.orm import Session, aliased

from tools.portal import chargers, holdings
from tools.portal.schema import (
    Card,
    Charger,
    ChargingSession,
    Holding,
    Person,
    RemovedCharger,
    RemovedPerson,
    ReportedState,
)
from tools.portal.told import whole


@dataclass(frozen=True)
class Stay:
    """One session for the report. Times are UTC seconds."""

    charger: str
    person: str | None  # e-mail address, or the pseudonym of somebody who was removed
    name: str | None
    token: str | None  # or that pseudonym
    hint: str | None
    label: str | None
    start: int | None
    end: int | None
    wh: int
    reason: str | None
    by: str | None
    estimated: bool  # start or end are no exact times
    running: bool  # no end has come yet; `wh` is the most that was heard of
    removed_at: int | None = None  # the charger


def stays(session: Session, since: int, until: int) -> list[Stay]:
    """Those that started in [since, until), by start, then charger, then the charger's number."""
    row = ChargingSession
    found = session.execute(
        select(
            row,
            chargers.CALLED,
            RemovedCharger.removed_at,
            Person.email,
            Person.name,
            RemovedPerson.pseudonym,
            holdings.HINT,
            holdings.LABEL,
        )
        .select_from(row)
        .join(Charger, Charger.id == row.charger_id)
        .outerjoin(RemovedCharger, chargers.ITS_REMOVAL)
        .outerjoin(Person, Person.id == row.person)
        .outerjoin(RemovedPerson, RemovedPerson.id == row.person)
        .outerjoin(Holding, Holding.id == row.holding_id)
        .outerjoin(Card, holdings.ITS_CARD)
        .where(row.start >= since, row.start < until)
        .order_by(row.start, chargers.CALLED, row.start_n, row.boot)
    ).all()
    open_at = {each.charger_id for each, *_ in found if each.end_n is None}
    states = {
        state.charger_id: state
        for state in session.scalars(
            select(ReportedState).where(ReportedState.charger_id.in_(open_at))
        )
    }
    result = []
    for each, charger, removed_at, email, name, pseudonym, hint, label in found:
        state = states.get(each.charger_id)
        # At a charger that is no more nothing runs.
        running = each.end_n is None and removed_at is None and _runs(session, each, state)
        result.append(
            Stay(
                charger=charger,
                person=pseudonym or email,
                name=name,
                token=each.token,
                hint=hint,
                label=label,
                start=each.start,
                end=each.end,
                wh=max(each.wh, _drawn(each, state)) if running else each.wh,
                reason=each.reason,
                by=each.by,
                estimated=each.estimated,
                running=running,
                removed_at=removed_at,
            )
        )
    return result


def _runs(session: Session, row: ChargingSession, state: ReportedState | None) -> bool:
    other = aliased(ChargingSession)
    later = (
        select(other.id)
        .where(
            other.charger_id == row.charger_id,
            other.start >= row.start,
            tuple_(other.start, other.start_n, other.boot) > (row.start, row.start_n, row.boot),
        )
        .limit(1)
    )
    if session.scalar(later) is not None:
        return False
    if state is None or state.seen_at <= row.received_at or "session" not in state.body:
        return True
    shown = state.body["session"]
    if shown is not None and _number(state) in (None, row.start_n):
        return True
    journal = state.body.get("journal")
    pending = journal.get("pending") if isinstance(journal, dict) else None
    return not (type(pending) is int and pending == 0)


# A state is signed by nobody: it may say what runs and how much, but no more.


def _session(state: ReportedState | None) -> Mapping[str, Any]:
    found = state.body.get("session") if state is not None else None
    return found if isinstance(found, dict) else {}


def _drawn(row: ChargingSession, state: ReportedState | None) -> int:
    return whole(_session(state).get("wh")) or 0 if _number(state) == row.start_n else 0


def _number(state: ReportedState | None) -> int | None:
    """Of the session that runs; None also where the charger has not counted it yet."""
    return whole(_session(state).get("n"))
