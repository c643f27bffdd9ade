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

from sqlalchemy import and_, select, tuple_
from sqlalchemy.orm import Session, aliased

from tools.portal.charging import whole
from tools.portal.holdings import is_pseudonym
from tools.portal.schema import (
    Card,
    Charger,
    ChargingSession,
    Holding,
    Person,
    RemovedPerson,
    ReportedState,
)


@dataclass(frozen=True)
class Stay:
    """One session for the report. Times are UTC seconds."""

    charger: str
    person: str | None  # e-mail address, or the pseudonym of somebody who was removed
    name: str | None
    token: str | None
    hint: str | None
    label: str | None
    start: int | None
    end: int | None
    wh: int
    reason: str | None
    by: str | None
    estimated: bool  # start or end are no exact times
    running: bool  # no end has come yet; `wh` is what the last state said, or 0


def stays(session: Session, since: int, until: int) -> list[Stay]:
    """Those that started in [since, until), by start, then charger, then the charger's number."""
    row = ChargingSession
    found = session.execute(
        select(
            row,
            Charger.name,
            Person.email,
            Person.name,
            RemovedPerson.pseudonym,
            Card.hint,
            Card.label,
            Holding.hint,
            Holding.label,
        )
        .join(Charger, Charger.id == row.charger_id)
        .outerjoin(Person, Person.id == row.person)
        .outerjoin(RemovedPerson, RemovedPerson.id == row.person)
        .outerjoin(Holding, Holding.id == row.holding_id)
        .outerjoin(Card, and_(Card.token == Holding.token, Holding.until.is_(None)))
        .where(row.start >= since, row.start < until)
        .order_by(row.start, Charger.name, row.start_n, row.boot)
    ).all()
    open_at = {each.charger_id for each, *_ in found if each.end_n is None}
    states = {
        state.charger_id: state
        for state in session.scalars(
            select(ReportedState).where(ReportedState.charger_id.in_(open_at))
        )
    }
    result = []
    for each, charger, email, name, pseudonym, hint, label, former_hint, former_label in found:
        state = states.get(each.charger_id) if each.end_n is None else None
        running = each.end_n is None and _runs(session, each, state)
        wh = each.wh
        if running and (said := _session(state).get("wh")) is not None and _is_of(each, state):
            wh = whole(said) or 0
        result.append(
            Stay(
                charger=charger,
                person=pseudonym or email,
                name=name,
                token=None if is_pseudonym(each.token) else each.token,
                hint=hint or former_hint,
                label=label or former_label,
                start=each.start,
                end=each.end,
                wh=wh,
                reason=each.reason,
                by=each.by,
                estimated=each.estimated,
                running=running,
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
    if state is None or state.seen_at <= row.received_at or _is_of(row, state):
        return True
    journal = state.body.get("journal")
    pending = journal.get("pending") if isinstance(journal, dict) else None
    return not (type(pending) is int and pending == 0 and "session" in state.body)


# A state is signed by nobody: it may say what runs and how much, but no more.


def _session(state: ReportedState | None) -> Mapping[str, Any]:
    found = state.body.get("session") if state is not None else None
    return found if isinstance(found, dict) else {}


def _is_of(row: ChargingSession, state: ReportedState | None) -> bool:
    return whole(_session(state).get("n")) == row.start_n
