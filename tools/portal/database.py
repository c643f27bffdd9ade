"""Sessions on the database: one transaction each, whole or not at all.

A writer takes its place in the queue before it reads, so two commands at once never overwrite what
the other has just done. SQLite in the home directory, or PostgreSQL where TAPGATE_DATABASE says so.
"""

import asyncio
import os
import sqlite3
import time
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import URL, Connection, Engine, create_engine, event, inspect, make_url, select
from sqlalchemy import update as update_
from sqlalchemy.exc import ArgumentError, DatabaseError, PendingRollbackError
from sqlalchemy.orm import ORMExecuteState, Session
from sqlalchemy.pool import NullPool

from tools.portal import home as homes
from tools.portal import schema
from tools.portal.refusal import Refusal, WrongUsage
from tools.portal.schema import (
    FORMER_VERSIONS,
    SCHEMA_VERSION,
    Base,
    Installation,
    Revision,
    Schema,
)

VARIABLE = "TAPGATE_DATABASE"
PATIENCE_S = 15
_FORM = "postgresql+psycopg://USER:PASSWORD@HOST/DATABASE"
_TURN_POLL_S = 0.05
# PostgreSQL's advisory locks are numbered by those who use them: this number is "tapg".
_LOCKS = 0x74617067
_WRITERS = 0

# Whatever alters one of these may alter what a charger is to hold, but for these columns.
_DECISIVE = (
    schema.Installation,
    schema.Charger,
    schema.Person,
    schema.Permission,
    schema.Card,
    schema.Group,
    schema.Schedule,
    schema.ScheduleWindow,
    schema.Partner,
)
_DECISIVE_TABLES = {each.__table__ for each in _DECISIVE}
_COUNTERS = {"last_group", "last_schedule", "operator_asked_v", "operator_answered_v"}
_CHANGED = "tapgate-changed"

_Found = TypeVar("_Found")


class Lost(Refusal):
    """Our turn has ended before we did, and somebody else has it."""


class _Place(NamedTuple):
    """Where the data lie."""

    url: URL
    shown: str

    @property
    def is_file(self) -> bool:
        return self.url.get_backend_name() == "sqlite"


def create(home: Path, installation: Installation, *others: Base) -> None:
    """A new installation's tables and first rows. Refusal if there is one already."""
    place = _place(home)
    if place.is_file:
        homes.prepare(home)
    with _transaction(place, writing=True) as session:
        connection = session.connection()
        if inspect(connection).has_table(Installation.__tablename__):
            found = session.scalars(select(Installation)).first()
            if found is not None:
                where = home if place.is_file else place.shown
                other = "directory with --home" if place.is_file else f"database in ${VARIABLE}"
                raise Refusal(
                    f"{where} already holds the installation '{found.name}'; name another {other}"
                )
        Base.metadata.create_all(connection)
        first = (Schema(version=SCHEMA_VERSION), Revision(number=0))
        session.add_all([*first, installation, *others])


@contextmanager
def changing(home: Path) -> Iterator[Session]:
    """A transaction that may write, committed at the end and rolled back on any error."""
    with _opened(home, writing=True) as session:
        yield session


def wipe(home: Path) -> bool:
    """Leave nothing that was deleted in unused parts of the file, or of the log beside it. False
    if that cannot be done now. PostgreSQL's own housekeeping does it there, in its time."""
    place = _place(home)
    if not place.is_file:
        return True
    connection = _engine(place.url, True, PATIENCE_S).raw_connection()
    try:
        cursor = connection.cursor()
        cursor.execute("VACUUM")  # all that is left, into the log, and thence into the file
        [busy, *_] = cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone() or [1]
        return not busy
    except sqlite3.OperationalError:
        return False
    finally:
        connection.close()


@contextmanager
def reading(home: Path) -> Iterator[Session]:
    """A transaction that sees one state of the data."""
    with _opened(home, writing=False) as session:
        yield session


class Turn:
    """A turn that is ours."""

    def __init__(self, lock: "_FileLock | _AdvisoryLock", otherwise: str):
        self._lock = lock
        self._otherwise = otherwise

    async def keep(self) -> None:
        """For blocks that last: a server may have dropped the connection that holds the turn. It
        is taken again then; Lost if somebody else was quicker."""
        if not await _over(self._lock.kept):
            raise Lost(self._otherwise)


@asynccontextmanager
async def turn(home: Path, name: str, patience_s: float, otherwise: str) -> AsyncIterator[Turn]:
    """The only process on these data inside a block of that name; Refusal, saying `otherwise`, to
    whom it does not let in within `patience_s`. Ends with the process, however that ends."""
    lock = _lock(home, name)
    try:
        until = time.monotonic() + patience_s
        while not await _over(lock.take):
            if time.monotonic() >= until:
                raise Refusal(otherwise)
            await asyncio.sleep(_TURN_POLL_S)
        yield Turn(lock, otherwise)
    finally:
        lock.close()


async def _over(work: Callable[[], _Found]) -> _Found:
    """Done in a thread, and over when this ends, however it ends: nobody closes under that thread
    what it works on."""
    doing = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(doing)
    finally:
        while not doing.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait([doing])


class Watch:
    """Tells that something has changed, at the price of reading one number; stays connected."""

    def __init__(self, home: Path):
        with reading(home):
            pass  # says so if the data cannot be used
        self._place = _place(home)
        self._connection: Connection | None = None

    def revision(self) -> int:
        """Grows with every change, of any process, that may alter what a charger is to hold."""
        try:
            if self._connection is None:
                self._connection = _engine(self._place.url, False, PATIENCE_S).connect()
            with self._connection.begin():
                return self._connection.execute(select(Revision.number)).scalar_one()
        except DatabaseError as error:
            self.close()
            raise _explained(error, self._place) from error

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def _place(home: Path) -> _Place:
    wanted = os.environ.get(VARIABLE, "")
    if not wanted:
        path = homes.database(home)
        return _Place(make_url("sqlite://").set(database=str(path)), str(path))
    try:
        url = make_url(wanted)
    except (ArgumentError, ValueError):  # a port that is no number
        raise _no_address() from None
    if url.drivername == "postgresql":
        url = url.set(drivername="postgresql+psycopg")
    if url.drivername != "postgresql+psycopg":
        raise WrongUsage(f"{VARIABLE}: found {url.drivername}://, allowed is {_FORM}")
    shown = f"{url.host or 'this computer'}{f':{url.port}' if url.port else ''}/{url.database}"
    return _Place(url, f"PostgreSQL {shown}")


def _no_address() -> WrongUsage:
    return WrongUsage(f"{VARIABLE} is no address of a database, like {_FORM}")


@contextmanager
def _opened(home: Path, *, writing: bool) -> Iterator[Session]:
    place = _place(home)
    if place.is_file:
        homes.require(home)
    for needs_room in (False, True):
        with _transaction(place, writing=writing or needs_room) as session:
            session.info["home"] = home
            version = _layout(session, home, place)
            if version in FORMER_VERSIONS and not (writing or needs_room):
                continue  # once more, in a transaction that may write
            if version in FORMER_VERSIONS:
                from tools.portal import layouts  # which works with what works with this

                layouts.bring_up(session)
            elif version != SCHEMA_VERSION:
                raise Refusal(
                    f"the data in {home if place.is_file else place.shown} have layout {version}, "
                    f"this Tapgate knows {SCHEMA_VERSION}; use the Tapgate that they belong to"
                )
            yield session
            return


def _layout(session: Session, home: Path, place: _Place) -> int | None:
    if not inspect(session.connection()).has_table(Schema.__tablename__):
        if place.is_file:
            raise homes.not_set_up(home)
        raise Refusal(f"no installation in {place.shown}; run 'tapgate init' first")
    return session.scalars(select(Schema.version)).first()


class _Session(Session):
    """Notices what may alter a charger's list or settings."""


@event.listens_for(_Session, "before_flush")
def _notice_rows(session: Session, _context: Any, _instances: Any) -> None:
    if session.info.get(_CHANGED):
        return
    for row in (*session.new, *session.deleted, *session.dirty):
        if isinstance(row, _DECISIVE) and _columns_changed(row) - _COUNTERS:
            session.info[_CHANGED] = True
            return


def _columns_changed(row: Any) -> set[str]:
    state = inspect(row)
    if not state.persistent or row in state.session.deleted:
        return {"all"}
    return {each.key for each in state.attrs if each.history.has_changes()}


@event.listens_for(_Session, "do_orm_execute")
def _notice_statements(statement: ORMExecuteState) -> None:
    writes = statement.is_insert or statement.is_update or statement.is_delete
    if writes and getattr(statement.statement, "table", None) in _DECISIVE_TABLES:
        statement.session.info[_CHANGED] = True


@contextmanager
def _transaction(place: _Place, *, writing: bool) -> Iterator[Session]:
    engine = _engine(place.url, writing, PATIENCE_S)
    try:
        with _Session(engine, expire_on_commit=False) as session, session.begin():
            yield session
            session.flush()
            if session.info.get(_CHANGED):
                session.execute(update_(Revision).values(number=Revision.number + 1))
    except DatabaseError as error:
        raise _explained(error, place) from error
    except PendingRollbackError as error:  # of a connection that somebody went on with
        raise Refusal(f"{place.shown}: it has broken the connection off; try again") from error


@cache
def _engine(url: URL, writing: bool, patience_s: float) -> Engine:
    """Kept for the statements it has compiled."""
    if url.get_backend_name() == "sqlite":
        return _sqlite(url, writing, patience_s)
    return _postgresql(url, writing, patience_s)


def _sqlite(url: URL, writing: bool, patience_s: float) -> Engine:
    engine = create_engine(
        url,
        poolclass=NullPool,
        connect_args={"timeout": patience_s, "check_same_thread": False},
        hide_parameters=True,  # keys and passwords are among them
    )

    @event.listens_for(engine, "connect")
    def prepare(connection, _record):
        connection.isolation_level = None  # transactions begin below, not at the first write
        for pragma in ("foreign_keys=ON", "synchronous=FULL", "journal_mode=WAL"):
            connection.execute(f"PRAGMA {pragma}").close()

    @event.listens_for(engine, "begin")
    def begin(connection):
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")

    return engine


def _postgresql(url: URL, writing: bool, patience_s: float) -> Engine:
    try:
        engine = create_engine(
            url,
            pool_pre_ping=True,
            connect_args={"connect_timeout": 10},
            hide_parameters=True,
        )
    except ArgumentError:
        raise _no_address() from None
    except ModuleNotFoundError:
        raise Refusal(
            f"{VARIABLE}: PostgreSQL needs the package psycopg; run pip install 'psycopg[binary]'"
        ) from None

    @event.listens_for(engine, "begin")
    def begin(connection):
        if writing:
            # What a statement sees is as new as the statement, so also all that the one before us
            # in the queue has done.
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = {int(patience_s * 1_000)}")
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCKS}, {_WRITERS})")
        else:
            connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")

    return engine


class _FileLock:
    def __init__(self, home: Path, name: str):
        self._descriptor = homes.open_lock(home, name)

    def take(self) -> bool:
        return homes.taken(self._descriptor)

    def kept(self) -> bool:
        return True

    def close(self) -> None:
        os.close(self._descriptor)


class _AdvisoryLock:
    """Held by a connection of its own."""

    def __init__(self, place: _Place, name: str):
        self._place = place
        self._number = zlib.crc32(name.encode()) >> 1 | 1
        self._connection: Connection | None = None

    def take(self) -> bool:
        try:
            if self._connection is None:
                engine = _engine(self._place.url, False, PATIENCE_S)
                self._connection = engine.connect().execution_options(isolation_level="AUTOCOMMIT")
            return self._connection.exec_driver_sql(
                f"SELECT pg_try_advisory_lock({_LOCKS}, {self._number})"
            ).scalar_one()
        except DatabaseError as error:
            self.close()
            raise _explained(error, self._place) from error

    def kept(self) -> bool:
        try:
            if self._connection is not None:
                self._connection.exec_driver_sql("SELECT 1")
                return True
        except DatabaseError:
            self.close()
        return self.take()

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.invalidate()  # the pool would keep it, and the lock with it
            connection.close()


def _lock(home: Path, name: str) -> _FileLock | _AdvisoryLock:
    place = _place(home)
    if place.is_file:
        homes.require(home)
        return _FileLock(home, name)
    return _AdvisoryLock(place, name)


def _explained(error: DatabaseError, place: _Place) -> Refusal:
    found = str(error.orig)
    why = _why_file(found) if place.is_file else _why_server(error.orig, found)
    return Refusal(f"{place.shown}: {why}")


def _why_file(found: str) -> str:
    if "locked" in found:
        return f"another command has held it for {PATIENCE_S} s; try again"
    if "full" in found:
        return "the disk is full; make room and try again, nothing was changed"
    if "readonly" in found or "unable to open" in found:
        return "it cannot be written; check who owns it and its directory"
    if "not a database" in found or "malformed" in found:
        return "it is damaged; put a copy of it back"
    return found


# PostgreSQL, appendix A: by error code, or by its first two digits.
_WHY_SERVER = {
    "55P03": "another command has held it for {patience} s; try again",
    "28": "it refuses the user name or password in ${variable}",
    "3D": "there is no database of that name; create it with createdb",
    "42501": "its user lacks a right there; make that user the owner of the database",
    "53": "it is out of room or connections ({found}); nothing was changed",
    "57": "it is stopping or has cancelled the work ({found}); try again",
}


def _why_server(error: Any, found: str) -> str:
    code = getattr(error, "sqlstate", None) or ""
    first = found.strip().splitlines()[0] if found.strip() else type(error).__name__
    why = _WHY_SERVER.get(code) or _WHY_SERVER.get(code[:2])
    if why:
        return why.format(patience=PATIENCE_S, variable=VARIABLE, found=first)
    if "password authentication failed" in found:  # while connecting there is no code
        return _WHY_SERVER["28"].format(variable=VARIABLE)
    if "database" in found and "does not exist" in found:
        return _WHY_SERVER["3D"]
    if not code:
        return f"it cannot be reached ({first}); is it running, and is ${VARIABLE} right?"
    return first
