"""The tables. Laid out for all that the portal is to know, also what only later commands fill.

One database holds one installation. Times are UTC seconds. Nothing here is particular to SQLite:
types and constraints are those that PostgreSQL has too.
"""

from typing import Any, ClassVar

from sqlalchemy import (
    DDL,
    JSON,
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Index,
    String,
    Text,
    UniqueConstraint,
    event,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

SCHEMA_VERSION = 4
FORMER_VERSIONS = (2, 3)  # which can be brought up to it (see layouts.py)


class Base(DeclarativeBase):
    type_annotation_map: ClassVar = {dict[str, Any]: JSON}


class Schema(Base):
    """Which layout this is, so that another Tapgate says so instead of guessing."""

    __tablename__ = "schema"
    version: Mapped[int] = mapped_column(primary_key=True)


class Installation(Base):
    """The site: its keys, its broker and what holds for all its chargers. Exactly one row."""

    __tablename__ = "installation"
    __table_args__ = (
        CheckConstraint("id = 1"),
        CheckConstraint("access IN ('open', 'restricted')"),
        CheckConstraint("operator_offline IN ('deny', 'list')"),
    )
    id: Mapped[int] = mapped_column(primary_key=True, default=1)
    name: Mapped[str] = mapped_column(String(32))
    timezone: Mapped[str] = mapped_column(String(64))
    card_key: Mapped[str] = mapped_column(String(64))  # hex

    broker_host: Mapped[str] = mapped_column(String(255))
    broker_port: Mapped[int]
    broker_tls: Mapped[bool]
    broker_user: Mapped[str] = mapped_column(Text, default="")
    broker_password: Mapped[str] = mapped_column(Text, default="")
    broker_ca: Mapped[str] = mapped_column(Text, default="")  # PEM

    access: Mapped[str] = mapped_column(String(10), default="restricted")
    service_may_start: Mapped[bool] = mapped_column(default=False)
    stop_on_withdrawal: Mapped[bool] = mapped_column(default=True)
    resume_within_s: Mapped[int] = mapped_column(default=14_400)
    max_age_s: Mapped[int] = mapped_column(default=2_592_000)

    # The last numbers that were given away: a freed one comes round again as late as can be.
    last_group: Mapped[int] = mapped_column(default=0)
    last_schedule: Mapped[int] = mapped_column(default=0)

    # Authority: while an operator is named, that operator's platform decides.
    operator_name: Mapped[str | None] = mapped_column(String(100))
    operator_offline: Mapped[str] = mapped_column(String(4), default="deny")
    operator_key: Mapped[str | None] = mapped_column(String(64))  # hex
    operator_wait_s: Mapped[int] = mapped_column(default=10)
    # The last `v` of a question to its platform, and of an answer that was taken.
    operator_asked_v: Mapped[int] = mapped_column(BigInteger, default=0)
    operator_answered_v: Mapped[int] = mapped_column(BigInteger, default=0)

    created_at: Mapped[int] = mapped_column(BigInteger)


class Revision(Base):
    """Grows with each change that may alter what a charger is to hold: `serve` looks at this."""

    __tablename__ = "revision"
    __table_args__ = (CheckConstraint("id = 1"),)
    id: Mapped[int] = mapped_column(primary_key=True, default=1)
    number: Mapped[int] = mapped_column(BigInteger, default=0)


class Charger(Base):
    __tablename__ = "charger"
    __table_args__ = (CheckConstraint("access IN ('open', 'restricted')"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(32), unique=True)
    key: Mapped[str] = mapped_column(String(64))  # hex
    # After a rekey: what the charger signed with before, until it has signed with the new one; and
    # since when its board is to be given that, as far as is known (see rekeying.py).
    former_key: Mapped[str | None] = mapped_column(String(64))
    rekeyed_at: Mapped[int | None] = mapped_column(BigInteger)
    # Overrides of the installation's settings; None: as the installation.
    access: Mapped[str | None] = mapped_column(String(10))
    service_may_start: Mapped[bool | None]
    # What its config.json says beyond the defaults: Wi-Fi, pins, light, vehicle, meter, broker.
    hardware: Mapped[dict[str, Any]] = mapped_column(default=dict)
    added_at: Mapped[int] = mapped_column(BigInteger)


class RemovedCharger(Base):
    """A charger that was taken out. Its row stays for the accounts, under a name that none can
    have, so that another may be called as it was."""

    __tablename__ = "removed_charger"
    id: Mapped[int] = mapped_column(ForeignKey("charger.id"), primary_key=True, autoincrement=False)
    name: Mapped[str] = mapped_column(String(32), index=True)
    removed_at: Mapped[int] = mapped_column(BigInteger)
    # When what lay at the broker for it and of it was taken from there.
    cleared_at: Mapped[int | None] = mapped_column(BigInteger)


class Schedule(Base):
    """A named week: local times at which a permission counts."""

    __tablename__ = "schedule"
    __table_args__ = (CheckConstraint("number BETWEEN 1 AND 31"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(unique=True)  # in an entry's flags
    name: Mapped[str] = mapped_column(String(100), unique=True)
    windows: Mapped[list["ScheduleWindow"]] = relationship(cascade="all, delete-orphan")


class ScheduleWindow(Base):
    __tablename__ = "schedule_window"
    __table_args__ = (
        CheckConstraint("weekday BETWEEN 0 AND 6"),
        CheckConstraint("start_min >= 0 AND start_min < end_min AND end_min <= 1440"),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    schedule_id: Mapped[int] = mapped_column(ForeignKey("schedule.id", ondelete="CASCADE"))
    weekday: Mapped[int]  # 0: Monday
    start_min: Mapped[int]
    end_min: Mapped[int]


class Group(Base):
    """Cards that may stop each other's sessions: a family's, a company's, or one person's own."""

    __tablename__ = "card_group"
    __table_args__ = (CheckConstraint("number BETWEEN 1 AND 65535"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(unique=True)  # in an entry
    name: Mapped[str | None] = mapped_column(String(100), unique=True)  # None: one person's own


class Partner(Base):
    """An installer or a payment operator, found by a four-digit lookup key."""

    __tablename__ = "partner"
    __table_args__ = (CheckConstraint("length(lookup_key) = 4"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(100), unique=True)
    lookup_key: Mapped[str] = mapped_column(String(4), unique=True)
    added_at: Mapped[int] = mapped_column(BigInteger)


class LookupGuess(Base):
    """One use of a lookup key, right or wrong: who guesses too often has to wait."""

    __tablename__ = "lookup_guess"
    __table_args__ = (Index("ix_lookup_guess_source_at", "source", "at"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    source: Mapped[str] = mapped_column(String(100))
    at: Mapped[int] = mapped_column(BigInteger)
    right: Mapped[bool]


class Person(Base):
    __tablename__ = "person"
    # A number is given once: the token for which the app starts is made from it.
    __table_args__ = {"sqlite_autoincrement": True}  # noqa: RUF012
    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(String(254))
    # Without regard to case, which makes some letters three.
    email_key: Mapped[str] = mapped_column(String(3 * 254), unique=True)
    name: Mapped[str | None] = mapped_column(String(100))
    group_id: Mapped[int | None] = mapped_column(ForeignKey("card_group.id", ondelete="SET NULL"))
    partner_id: Mapped[int | None] = mapped_column(ForeignKey("partner.id", ondelete="SET NULL"))
    added_at: Mapped[int] = mapped_column(BigInteger)
    group: Mapped[Group | None] = relationship()
    partner: Mapped[Partner | None] = relationship()
    cards: Mapped[list["Card"]] = relationship(
        back_populates="person", cascade="all, delete-orphan", passive_deletes=True
    )
    permissions: Mapped[list["Permission"]] = relationship(
        back_populates="person", cascade="all, delete-orphan", passive_deletes=True
    )


class Permission(Base):
    """A role for a person or a partner, on the installation or on one charger."""

    __tablename__ = "permission"
    __table_args__ = (
        CheckConstraint("role IN ('owner', 'user', 'service', 'none')"),
        CheckConstraint("role <> 'none' OR charger_id IS NOT NULL"),
        CheckConstraint("(person_id IS NULL) <> (partner_id IS NULL)"),
        CheckConstraint("valid_from < valid_until"),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    person_id: Mapped[int | None] = mapped_column(ForeignKey("person.id", ondelete="CASCADE"))
    partner_id: Mapped[int | None] = mapped_column(ForeignKey("partner.id", ondelete="CASCADE"))
    charger_id: Mapped[int | None] = mapped_column(ForeignKey("charger.id", ondelete="CASCADE"))
    role: Mapped[str] = mapped_column(String(7))
    valid_from: Mapped[int | None] = mapped_column(BigInteger)
    valid_until: Mapped[int | None] = mapped_column(BigInteger)
    schedule_id: Mapped[int | None] = mapped_column(ForeignKey("schedule.id"))
    given_at: Mapped[int] = mapped_column(BigInteger)
    person: Mapped[Person | None] = relationship(back_populates="permissions")
    charger: Mapped[Charger | None] = relationship()
    schedule: Mapped[Schedule | None] = relationship()


# One permission per holder and scope. NULL as the scope has to be said apart, in words that SQLite
# and PostgreSQL share.
for _holder in ("person_id", "partner_id"):
    for _name, _columns, _where in (
        ("site", _holder, f"{_holder} IS NOT NULL AND charger_id IS NULL"),
        ("charger", f"{_holder}, charger_id", f"{_holder} IS NOT NULL AND charger_id IS NOT NULL"),
    ):
        event.listen(
            Permission.__table__,
            "after_create",
            DDL(
                f"CREATE UNIQUE INDEX uq_permission_{_holder}_{_name} "
                f"ON permission ({_columns}) WHERE {_where}"
            ),
        )


class Card(Base):
    """A card by its token; the number itself is nowhere."""

    __tablename__ = "card"
    __table_args__ = (CheckConstraint("added_by IN ('number', 'scan', 'import')"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id", ondelete="CASCADE"), index=True)
    token: Mapped[str] = mapped_column(String(14), unique=True)  # hex
    hint: Mapped[str] = mapped_column(String(4))  # hex of the number's last two bytes
    label: Mapped[str | None] = mapped_column(String(100))
    blocked: Mapped[bool] = mapped_column(default=False)
    added_at: Mapped[int] = mapped_column(BigInteger)
    added_by: Mapped[str] = mapped_column(String(6), default="number")
    person: Mapped[Person] = relationship(back_populates="cards")


class Publication(Base):
    """The last message on a topic: its `v` is here before it is sent, so none is used twice."""

    __tablename__ = "publication"
    __table_args__ = (
        CheckConstraint("kind IN ('settings', 'allowlist', 'command', 'verdict')"),
        UniqueConstraint("charger_id", "kind"),
    )
    topic: Mapped[str] = mapped_column(String(160), primary_key=True)
    charger_id: Mapped[int] = mapped_column(ForeignKey("charger.id", ondelete="CASCADE"))
    kind: Mapped[str] = mapped_column(String(9))
    v: Mapped[int] = mapped_column(BigInteger)
    t: Mapped[int] = mapped_column(BigInteger)
    content: Mapped[str] = mapped_column(Text)  # JSON of the body without v and t
    payload: Mapped[str] = mapped_column(Text)  # as it went out
    confirmed_at: Mapped[int | None] = mapped_column(BigInteger)  # the broker has it
    # Since when the charger has lacked what this says; None: it has said that it holds it.
    waiting_since: Mapped[int | None] = mapped_column(BigInteger)


class PublishedObject(Base):
    """An object of an allow-list that lies on the broker."""

    __tablename__ = "published_object"
    digest: Mapped[str] = mapped_column(String(32), primary_key=True)
    published_at: Mapped[int] = mapped_column(BigInteger)
    unneeded_since: Mapped[int | None] = mapped_column(BigInteger)


class ReportedState(Base):
    """What a charger last said of itself while it was there."""

    __tablename__ = "reported_state"
    charger_id: Mapped[int] = mapped_column(
        ForeignKey("charger.id", ondelete="CASCADE"), primary_key=True
    )
    seen_at: Mapped[int] = mapped_column(BigInteger)
    body: Mapped[dict[str, Any]]


class Event(Base):
    """One event as a charger sent it; `n` is the charger's own number for it. A new journal, on a
    new or erased flash, counts starts and events from random numbers on."""

    __tablename__ = "event"
    __table_args__ = (
        UniqueConstraint("charger_id", "boot", "n"),
        Index("ix_event_session", "charger_id", "session"),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    charger_id: Mapped[int] = mapped_column(ForeignKey("charger.id"))
    n: Mapped[int] = mapped_column(BigInteger)
    boot: Mapped[int] = mapped_column(BigInteger)
    t: Mapped[int | None] = mapped_column(BigInteger, index=True)
    up: Mapped[int] = mapped_column(BigInteger)
    event: Mapped[str] = mapped_column(String(32))
    session: Mapped[int | None] = mapped_column(BigInteger)  # n of the session_started it is about
    body: Mapped[dict[str, Any]]
    received_at: Mapped[int] = mapped_column(BigInteger)


class HeldEvent(Base):
    """An event that came signed with a former key after the charger had been given a new one: in no
    account until somebody has decided about it (see rekeying.py)."""

    __tablename__ = "held_event"
    __table_args__ = (UniqueConstraint("charger_id", "digest"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    charger_id: Mapped[int] = mapped_column(ForeignKey("charger.id", ondelete="CASCADE"))
    digest: Mapped[str] = mapped_column(String(64))  # of the message: the same comes again
    body: Mapped[dict[str, Any]]
    received_at: Mapped[int] = mapped_column(BigInteger)


class ChargerBoot(Base):
    """What has been heard of one start of a charger: by it times are known (see timeline.py)."""

    __tablename__ = "charger_boot"
    charger_id: Mapped[int] = mapped_column(ForeignKey("charger.id"), primary_key=True)
    boot: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    up: Mapped[int] = mapped_column(BigInteger)
    first_up: Mapped[int | None] = mapped_column(BigInteger)
    first_t: Mapped[int | None] = mapped_column(BigInteger)
    last_up: Mapped[int | None] = mapped_column(BigInteger)
    last_t: Mapped[int | None] = mapped_column(BigInteger)
    not_before: Mapped[int | None] = mapped_column(BigInteger)
    not_after: Mapped[int] = mapped_column(BigInteger)
    began: Mapped[int] = mapped_column(BigInteger)  # worked out from these, and from its neighbours


class Holding(Base):
    """Whose a card was, from when until when: what comes in weeks later is theirs, whoever has it
    by then. `person`: the number of somebody who is here, or was removed."""

    __tablename__ = "holding"
    id: Mapped[int] = mapped_column(primary_key=True)
    token: Mapped[str] = mapped_column(String(14), index=True)
    person: Mapped[int] = mapped_column(index=True)
    since: Mapped[int] = mapped_column(BigInteger)
    until: Mapped[int | None] = mapped_column(BigInteger)  # None: theirs now
    # As they stood on the card when it was taken away from somebody who is still here.
    hint: Mapped[str | None] = mapped_column(String(4))
    label: Mapped[str | None] = mapped_column(String(100))


class RemovedPerson(Base):
    """Somebody who was here: nothing of them is left but what accounting calls them. Where a token
    of theirs stood, the pseudonym stands now."""

    __tablename__ = "removed_person"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)  # the person's
    pseudonym: Mapped[str] = mapped_column(String(32), unique=True)
    removed_at: Mapped[int] = mapped_column(BigInteger)


class ChargingSession(Base):
    """One vehicle's stay, worked out from the events about it (see charging.py)."""

    __tablename__ = "charging_session"
    __table_args__ = (
        UniqueConstraint("charger_id", "start_n", "boot"),
        Index("ix_charging_session_charger_start", "charger_id", "start"),
        Index("ix_charging_session_start", "start"),
        Index("ix_charging_session_start_boot", "charger_id", "start_boot"),
        Index("ix_charging_session_end_boot", "charger_id", "end_boot"),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    charger_id: Mapped[int] = mapped_column(ForeignKey("charger.id"))
    start_n: Mapped[int] = mapped_column(BigInteger)  # the session_started event's number
    boot: Mapped[int] = mapped_column(BigInteger)  # its start, or of the first event known of it
    end_n: Mapped[int | None] = mapped_column(BigInteger)
    # As the charger has said it: its own counting, and the time where it knew one.
    start_boot: Mapped[int | None] = mapped_column(BigInteger)
    start_up: Mapped[int | None] = mapped_column(BigInteger)
    start_t: Mapped[int | None] = mapped_column(BigInteger)
    end_boot: Mapped[int | None] = mapped_column(BigInteger)
    end_up: Mapped[int | None] = mapped_column(BigInteger)
    end_t: Mapped[int | None] = mapped_column(BigInteger)
    token: Mapped[str | None] = mapped_column(String(32))  # or the pseudonym of whose it was
    role: Mapped[str | None] = mapped_column(String(32))
    by: Mapped[str | None] = mapped_column(String(32))
    wh: Mapped[int] = mapped_column(BigInteger)
    reason: Mapped[str | None] = mapped_column(String(32))
    received_at: Mapped[int] = mapped_column(BigInteger)  # the first of its events
    # As it is told: UTC seconds, and whose it was.
    start: Mapped[int] = mapped_column(BigInteger)
    end: Mapped[int | None] = mapped_column(BigInteger)
    estimated: Mapped[bool]
    # The number of somebody who is here, or was removed.
    person: Mapped[int | None] = mapped_column(index=True)
    holding_id: Mapped[int | None] = mapped_column(ForeignKey("holding.id"))


class Command(Base):
    """A command to a charger, until it is answered or out of date."""

    __tablename__ = "command"
    __table_args__ = (UniqueConstraint("charger_id", "v"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    charger_id: Mapped[int] = mapped_column(ForeignKey("charger.id", ondelete="CASCADE"))
    v: Mapped[int] = mapped_column(BigInteger)
    name: Mapped[str] = mapped_column(String(16))
    body: Mapped[dict[str, Any]]
    sent_at: Mapped[int] = mapped_column(BigInteger)
    expires_at: Mapped[int] = mapped_column(BigInteger)
    answered_at: Mapped[int | None] = mapped_column(BigInteger)
    outcome: Mapped[str | None] = mapped_column(String(100))
