"""Publish what the broker does not hold yet: objects first, then the refs that name them.

Every signed message gets its `v` and is stored before it is sent, so that no `v` is ever used for
two messages, also when the command is killed in between. `v` is at least the time in seconds: a
database that was put back from an older copy goes on above what it had given out since.
"""

import asyncio
import json
import math
import time
from collections.abc import Collection, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import delete, or_, select, update
from sqlalchemy.orm import Session

from tools.portal import (
    broker,
    chargers,
    database,
    installation,
    lists,
    own_clock,
    signing,
    topics,
    waiting,
)
from tools.portal.allowlist import AllowList
from tools.portal.lists import Body
from tools.portal.refusal import Refusal
from tools.portal.schema import (
    Charger,
    Installation,
    Publication,
    PublishedObject,
    RemovedCharger,
)

_RETAINED = ("settings", "allowlist")
_BATCH = 500  # rows named in one statement
# Whether this broker was ever brought up to date.
_CONFIRMED = select(Publication.topic).where(Publication.confirmed_at.is_not(None)).limit(1)


LOCK = "publish"
LOCK_PATIENCE_S = 60


@dataclass
class Plan:
    """What has to go out, and what was found to be in place."""

    site: str
    objects: dict[str, bytes] = field(default_factory=dict)  # topic -> payload
    messages: dict[str, bytes] = field(default_factory=dict)
    standing: dict[str, bytes] = field(default_factory=dict)  # all that is to lie on the broker
    chargers: list[dict] = field(default_factory=list)  # for the command's answer
    confirmed: bool = True  # the broker was known to have all of it
    # Removed chargers of which something was taken from the broker, and whether not for the first
    # time.
    cleared: dict[str, bool] = field(default_factory=dict)
    due: float = math.inf  # when a message becomes so old that it has to be issued anew


def publish(site_home: Path, *, everything: bool, clock_is_right: bool = False) -> Plan:
    """Bring the broker up to date, once. With `everything` all messages are issued anew; with
    `clock_is_right` also where this computer's clock is in doubt, now and from now on."""
    if clock_is_right:
        with database.reading(site_home) as session:
            own_clock.confirm(session, int(time.time()))
    return asyncio.run(_publish(site_home, everything))


async def _publish(site_home: Path, everything: bool) -> Plan:
    with database.reading(site_home) as session:
        site = installation.current(session)
        access, name = broker.access(site), site.name
        first = not session.scalars(_CONFIRMED).first()
    async with broker.connected(access) as link, turn(site_home):
        if first:
            await waiting.take(access, site_home, name)
        await look(link, site_home)
        return await bring_up_to_date(link, site_home, everything=everything)


def turn(site_home: Path) -> AbstractAsyncContextManager[database.Turn]:
    """One publisher at a time, so that what reaches the broker last is also the newest."""
    return database.turn(
        site_home,
        LOCK,
        LOCK_PATIENCE_S,
        f"another publisher has been at it for {LOCK_PATIENCE_S} s; "
        "wait until it is done and try again",
    )


async def look(link: broker.Link, site_home: Path) -> None:
    """See what the broker holds of all that should lie there."""
    with database.reading(site_home) as session:
        topics_of_interest, expected = _known_topics(session, installation.current(session))
    await link.look_at(topics_of_interest, expected)


async def bring_up_to_date(
    link: broker.Link,
    site_home: Path,
    *,
    everything: bool = False,
    left_over: Collection[str] = (),
) -> Plan:
    """Publish what the broker lacks, as far as `link` has seen, and take from it what is there of
    chargers that were removed: of `left_over` it was seen. It is our turn."""
    plan = await asyncio.to_thread(_prepared, site_home, dict(link.seen), everything)
    new = plan.objects | plan.messages
    await link.watch(new)
    await link.put(plan.objects)
    await link.put(plan.messages)
    if not await link.came_back(new):
        raise Refusal(
            f"{link.shown}: it took the messages but does not hand them out again; give the "
            f"portal's user the right to read and write {topics.ROOT}/{plan.site}/#"
        )
    if not plan.confirmed:
        await asyncio.to_thread(_confirm, site_home)
    plan.cleared = await _clear(link, site_home, everything, left_over)
    return plan


async def _clear(
    link: broker.Link, site_home: Path, everything: bool, left_over: Collection[str]
) -> dict[str, bool]:
    numbers, names, old = await asyncio.to_thread(_removed, site_home, everything, left_over)
    if old:
        await link.turn_away([topic for topic in old if topic in link.watched])
        await link.put(dict.fromkeys(old, b""))
        await asyncio.to_thread(_note_cleared, site_home, numbers)
    return names


async def sweep(link: broker.Link, site_home: Path, grace_s: int) -> tuple[int, float]:
    """Take from the broker the objects that no list has needed for so long. It is our turn, and
    the lists are up to date. Returns how many, and when the next one will be due."""
    site, digests, due = await asyncio.to_thread(_unneeded, site_home, grace_s)
    old = [topics.object_(site, digest) for digest in digests]
    await link.turn_away([topic for topic in old if topic in link.watched])
    await link.put(dict.fromkeys(old, b""))
    if digests:  # only now: a sweep that is cut short is done again
        await asyncio.to_thread(_forget, site_home, digests)
    return len(digests), due


def _prepared(site_home: Path, seen: Mapping[str, bytes], everything: bool) -> Plan:
    with database.changing(site_home) as session:
        now = int(time.time())
        own_clock.check(session, now)
        return prepare(session, seen, now, everything=everything)


def _confirm(site_home: Path) -> None:
    with database.changing(site_home) as session:
        session.execute(
            update(Publication)
            .where(Publication.kind.in_(_RETAINED), Publication.confirmed_at.is_(None))
            .values(confirmed_at=int(time.time()))
        )


def _removed(
    site_home: Path, everything: bool, left_over: Collection[str]
) -> tuple[list[int], dict[str, bool], list[str]]:
    """Chargers of which something may lie at the broker: their ids, their names with whether it
    was taken from there before, the topics."""
    with database.reading(site_home) as session:
        wanted = select(RemovedCharger)
        if not everything:
            wanted = wanted.where(
                or_(RemovedCharger.cleared_at.is_(None), RemovedCharger.name.in_(left_over))
            )
        site = installation.current(session).name
        here = {each.name for each in chargers.every(session)}
        numbers: list[int] = []
        names: dict[str, bool] = {}
        old: dict[str, None] = {}
        for row in session.scalars(wanted.order_by(RemovedCharger.id)):
            if row.name not in here:
                for topic in (topics.settings, topics.allowlist):
                    old[topic(site, row.name)] = None
            elif row.cleared_at is not None:
                continue  # what is there is its successor's
            old[topics.state(site, row.name)] = None
            numbers.append(row.id)
            names[row.name] = row.cleared_at is not None
        return numbers, names, list(old)


def _note_cleared(site_home: Path, numbers: list[int]) -> None:
    with database.changing(site_home) as session:
        session.execute(
            update(RemovedCharger)
            .where(RemovedCharger.id.in_(numbers))
            .values(cleared_at=int(time.time()))
        )


def _unneeded(site_home: Path, grace_s: int) -> tuple[str, list[str], float]:
    now, due, digests = int(time.time()), math.inf, []
    with database.reading(site_home) as session:
        for row in session.scalars(
            select(PublishedObject).where(PublishedObject.unneeded_since.is_not(None))
        ):
            # From a time that is still to come it was the clock that was put back.
            since = min(row.unneeded_since or 0, now)
            if since + grace_s <= now:
                digests.append(row.digest)
            else:
                due = min(due, since + grace_s)
        return installation.current(session).name, digests, due


def _forget(site_home: Path, digests: list[str]) -> None:
    with database.changing(site_home) as session:
        for start in range(0, len(digests), _BATCH):
            batch = digests[start : start + _BATCH]
            session.execute(delete(PublishedObject).where(PublishedObject.digest.in_(batch)))


def prepare(
    session: Session, retained: Mapping[str, bytes], now: int, *, everything: bool = False
) -> Plan:
    """Work out what `retained`, the broker's present payloads by topic, lacks; store every new
    message. Pure but for the session."""
    site = installation.current(session)
    plan = Plan(site.name)
    needed: dict[str, bytes] = {}
    for wanted in lists.wanted(session, site):
        needed |= wanted.built.objects
        answer: Body = {"charger": wanted.charger.name}
        for kind, topic, body in (
            ("settings", topics.settings(site.name, wanted.charger.name), wanted.settings),
            ("allowlist", topics.allowlist(site.name, wanted.charger.name), wanted.ref),
        ):
            row, payload = _issue(
                session, wanted.charger, kind, topic, body, retained.get(topic), now, everything
            )
            plan.standing[topic] = row.payload.encode()
            plan.confirmed = plan.confirmed and row.confirmed_at is not None
            plan.due = min(plan.due, _ages_at(row, body))
            if payload is not None:
                plan.messages[topic] = payload
            answer[kind] = {"version": row.v, "published": payload is not None}
        answer["allowlist"] |= _named(wanted.built)
        plan.chargers.append(answer)
    for digest, content in needed.items():
        topic = topics.object_(site.name, digest)
        plan.standing[topic] = content
        if retained.get(topic) != content:
            plan.objects[topic] = content
    _remember_objects(session, needed, now)
    return plan


def _issue(
    session: Session,
    charger: Charger,
    kind: str,
    topic: str,
    body: Body,
    retained: bytes | None,
    now: int,
    everything: bool,
) -> tuple[Publication, bytes | None]:
    """The topic's message, and its payload if the broker has to be given it."""
    key = bytes.fromhex(charger.key)
    content = json.dumps(body, separators=(",", ":"))
    row = session.get(Publication, topic)
    there = _version(signing.verified(key, topic, retained or b""))
    stands = row and row.content == content and there <= row.v
    stands = row and stands and row.t <= now < _ages_at(row, body)
    # After a rekey it has to be signed anew.
    stands = row and stands and signing.verified(key, topic, row.payload.encode()) is not None
    if row and stands and not everything:
        stored = row.payload.encode()
        return row, None if retained == stored else stored
    if row is None:
        row = Publication(topic=topic, charger_id=charger.id, kind=kind, v=0)
        session.add(row)
    row.v = max(row.v + 1, there + 1, now)
    row.t = now
    row.content = content
    row.confirmed_at = None
    row.waiting_since = row.waiting_since or now
    payload = signing.sign(key, topic, {"v": row.v, "t": now, **body})
    row.payload = payload.decode()
    session.flush()
    return row, payload


def _version(body: Body | None) -> int:
    v = (body or {}).get("v")
    return v if isinstance(v, int) else 0


def _ages_at(row: Publication, body: Body) -> float:
    """Half-way to the age at which a charger stops trusting its list, it is issued anew."""
    max_age_s = body.get("max_age_s", 0)
    return row.t + max_age_s // 2 if max_age_s > 0 else math.inf


def _named(built: AllowList) -> Body:
    return {"digest": built.digest, "cards": built.cards}


def _known_topics(session: Session, site: Installation) -> tuple[list[str], set[str]]:
    """Where to look: for each charger's messages, and for the objects that are still needed. And
    on which of these topics something should lie from earlier runs."""
    published = session.scalars(select(Publication.topic).where(Publication.kind.in_(_RETAINED)))
    digests = session.scalars(
        select(PublishedObject.digest).where(PublishedObject.unneeded_since.is_(None))
    )
    messages = [
        topic(site.name, charger.name)
        for charger in chargers.every(session)
        for topic in (topics.settings, topics.allowlist)
    ]
    objects = [topics.object_(site.name, digest) for digest in digests]
    return messages + objects, {*published, *objects}


def _remember_objects(session: Session, needed: Mapping[str, bytes], now: int) -> None:
    known = {row.digest: row for row in session.scalars(select(PublishedObject))}
    for digest in needed:
        if digest not in known:
            session.add(PublishedObject(digest=digest, published_at=now))
        else:
            known[digest].unneeded_since = None
    for digest, row in known.items():
        if digest not in needed and row.unneeded_since is None:
            row.unneeded_since = now
