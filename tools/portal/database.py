"""Sessions on the database: one transaction each, whole or not at all.

A writer takes its place in the queue before it reads, so two commands at once never overwrite what
the other has just done.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from sqlalchemy import Engine, create_engine, event, inspect, make_url, select
from sqlalchemy.exc import DatabaseError
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

from tools.portal import home as homes
from tools.portal.refusal import Refusal
from tools.portal.schema import SCHEMA_VERSION, Base, Installation, Schema

PATIENCE_S = 15


def create(home: Path, installation: Installation, *others: Base) -> None:
    """A new installation's tables and first rows. Refusal if there is one already."""
    homes.prepare(home)
    with _transaction(home, writing=True) as session:
        connection = session.connection()
        if inspect(connection).has_table(Installation.__tablename__):
            found = session.scalars(select(Installation)).first()
            if found is not None:
                raise Refusal(
                    f"{home} already holds the installation '{found.name}'; "
                    "name another directory with --home"
                )
        Base.metadata.create_all(connection)
        session.add_all([Schema(version=SCHEMA_VERSION), installation, *others])


@contextmanager
def changing(home: Path) -> Iterator[Session]:
    """A transaction that may write, committed at the end and rolled back on any error."""
    with _opened(home, writing=True) as session:
        yield session


@contextmanager
def reading(home: Path) -> Iterator[Session]:
    """A transaction that sees one state of the data."""
    with _opened(home, writing=False) as session:
        yield session


@contextmanager
def _opened(home: Path, *, writing: bool) -> Iterator[Session]:
    homes.require(home)
    with _transaction(home, writing=writing) as session:
        if not inspect(session.connection()).has_table(Schema.__tablename__):
            raise homes.not_set_up(home)
        version = session.scalars(select(Schema.version)).first()
        if version != SCHEMA_VERSION:
            raise Refusal(
                f"the data in {home} have layout {version}, this Tapgate knows {SCHEMA_VERSION}; "
                "use the Tapgate that they belong to"
            )
        yield session


@contextmanager
def _transaction(home: Path, *, writing: bool) -> Iterator[Session]:
    path = homes.database(home)
    engine = _engine(path, writing, PATIENCE_S)
    try:
        with Session(engine, expire_on_commit=False) as session, session.begin():
            yield session
    except DatabaseError as error:
        raise _explained(error, path) from error


@cache
def _engine(path: Path, writing: bool, patience_s: float) -> Engine:
    """Kept for the statements it has compiled; it holds no connection between transactions."""
    engine = create_engine(
        make_url("sqlite://").set(database=str(path)),
        poolclass=NullPool,
        connect_args={"timeout": patience_s},
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


def _explained(error: DatabaseError, path: Path) -> Refusal:
    found = str(error.orig)
    if "locked" in found:
        why = f"another command has held it for {PATIENCE_S} s; try again"
    elif "full" in found:
        why = "the disk is full; make room and try again, nothing was changed"
    elif "readonly" in found or "unable to open" in found:
        why = "it cannot be written; check who owns it and its directory"
    elif "not a database" in found or "malformed" in found:
        why = "it is damaged; put a copy of it back"
    else:
        why = found
    return Refusal(f"{path}: {why}")
