"""Data that an earlier Tapgate has laid out are brought up to this layout when they are first
opened, in one transaction: all of it or nothing. An earlier Tapgate cannot use them afterwards."""

from collections import defaultdict

from sqlalchemy import select, text, update
from sqlalchemy.orm import Session

from tools.portal import charging, installation, told
from tools.portal.holdings import Holders
from tools.portal.schema import (
    SCHEMA_VERSION,
    Base,
    ChargerBoot,
    ChargingSession,
    Event,
    HeldEvent,
    Holding,
    RemovedCharger,
    RemovedPerson,
    Schema,
)

_AT_ONCE = 1_000


def bring_up(session: Session) -> None:
    """From layout 3, which knew no removed chargers and no events that are held back; or from 2."""
    version = session.scalars(select(Schema.version)).one()
    _make(session, RemovedCharger, HeldEvent)
    if version == 2:
        _from_2(session)
    session.execute(update(Schema).values(version=SCHEMA_VERSION))


def _from_2(session: Session) -> None:
    """Which knew no sessions and an event by its number alone."""
    connection = session.connection()
    for statement in (
        "DROP TABLE charging_session",
        "DROP INDEX ix_event_t",
        "ALTER TABLE event RENAME TO event_2",
    ):
        connection.execute(text(statement))
    _make(session, Event, ChargerBoot, Holding, RemovedPerson, ChargingSession)
    columns = "charger_id, n, boot, t, up, event, body, received_at"
    for statement in (
        f"INSERT INTO event ({columns}) SELECT {columns} FROM event_2 ORDER BY id",
        "DROP TABLE event_2",
        "INSERT INTO holding (token, person, since) SELECT token, person_id, added_at FROM card",
    ):
        connection.execute(text(statement))
    _account(session)


def _make(session: Session, *tables: type[Base]) -> None:
    names = [each.__tablename__ for each in tables]
    Base.metadata.create_all(session.connection(), [Base.metadata.tables[each] for each in names])


def _account(session: Session) -> None:
    """The sessions of all events. An end did not name its beginning: it is of the last before."""
    holders = Holders(session, installation.current(session))
    begun: dict[int, int | None] = defaultdict(lambda: None)
    after = (-1, -1)
    while events := _next(session, after):
        for event in events:
            event.session = told.about(event)
            if event.event == told.STARTED:
                begun[event.charger_id] = event.n
            elif event.event == told.ENDED and "session" not in event.body:
                event.session = begun.pop(event.charger_id, None) or event.n
        session.flush()
        charging.take(session, holders, events)
        after = events[-1].charger_id, events[-1].n
        session.expunge_all()


def _next(session: Session, after: tuple[int, int]) -> list[Event]:
    """In the order in which each charger has counted them."""
    charger, n = after
    later = (Event.charger_id > charger) | ((Event.charger_id == charger) & (Event.n > n))
    wanted = select(Event).where(later).order_by(Event.charger_id, Event.n)
    return list(session.scalars(wanted.limit(_AT_ONCE)))
