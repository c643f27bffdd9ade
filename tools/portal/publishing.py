"""Publish what the broker does not hold yet: objects first, then the refs that name them.

Every signed message gets its `v` and is stored before it is sent, so that no `v` is ever used for
two messages, also when the command is killed in between. `v` is at least the time in seconds: a
database that was put back from an older copy goes on above what it had given out since.
"""

import asyncio
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from tools.portal import broker, database, home, installation, lists, signing, topics
from tools.portal.allowlist import AllowList
from tools.portal.lists import Body
from tools.portal.refusal import Refusal
from tools.portal.schema import Charger, Installation, Publication, PublishedObject

_RETAINED = ("settings", "allowlist")


@dataclass
class Plan:
    """What has to go out, and what was found to be in place."""

    objects: dict[str, bytes] = field(default_factory=dict)  # topic -> payload
    messages: dict[str, bytes] = field(default_factory=dict)
    chargers: list[dict] = field(default_factory=list)  # for the command's answer


def publish(site_home: Path, *, everything: bool) -> Plan:
    """Bring the broker up to date, once. With `everything` all messages are issued anew."""
    with home.publishing(site_home):
        return asyncio.run(_publish(site_home, everything))


async def _publish(site_home: Path, everything: bool) -> Plan:
    with database.reading(site_home) as session:
        site = installation.current(session)
        access = broker.access(site)
        messages, objects = _known_topics(session, site)
    async with broker.connected(access) as link:
        filters = [topics.settings(site.name, "+"), topics.allowlist(site.name, "+")]
        await link.look(filters, enough=messages)
        await link.look_at(objects)
        with database.changing(site_home) as session:
            plan = prepare(session, link.seen, int(time.time()), everything=everything)
        await link.watch(list(plan.objects))
        await link.put(plan.objects)
        await link.put(plan.messages)
        if not await link.came_back(plan.objects | plan.messages):
            raise Refusal(
                f"{access.shown}: it took the messages but does not hand them out again; give the "
                f"portal's user the right to read and write {topics.ROOT}/{site.name}/#"
            )
    with database.changing(site_home) as session:
        session.execute(
            update(Publication)
            .where(Publication.kind.in_(_RETAINED), Publication.confirmed_at.is_(None))
            .values(confirmed_at=int(time.time()))
        )
    return plan


def prepare(
    session: Session, retained: Mapping[str, bytes], now: int, *, everything: bool = False
) -> Plan:
    """Work out what `retained`, the broker's present payloads by topic, lacks; store every new
    message. Pure but for the session."""
    site = installation.current(session)
    plan = Plan()
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
            if payload is not None:
                plan.messages[topic] = payload
            answer[kind] = {"version": row.v, "published": payload is not None}
        answer["allowlist"] |= _named(wanted.built)
        plan.chargers.append(answer)
    for digest, content in needed.items():
        topic = topics.object_(site.name, digest)
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
    stands = row and row.content == content and there <= row.v and not _ages(row, body, now)
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
    payload = signing.sign(key, topic, {"v": row.v, "t": now, **body})
    row.payload = payload.decode()
    session.flush()
    return row, payload


def _version(body: Body | None) -> int:
    v = (body or {}).get("v")
    return v if isinstance(v, int) else 0


def _ages(row: Publication, body: Body, now: int) -> bool:
    """Half-way to the age at which a charger stops trusting its list, it is issued anew."""
    max_age_s = body.get("max_age_s", 0)
    return max_age_s > 0 and not row.t <= now < row.t + max_age_s // 2


def _named(built: AllowList) -> Body:
    return {"digest": built.digest, "cards": built.cards}


def _known_topics(session: Session, site: Installation) -> tuple[list[str], list[str]]:
    """What should lie on the broker from earlier runs: messages, and objects still needed."""
    objects = session.scalars(
        select(PublishedObject.digest).where(PublishedObject.unneeded_since.is_(None))
    )
    messages = session.scalars(select(Publication.topic).where(Publication.kind.in_(_RETAINED)))
    return list(messages), [topics.object_(site.name, digest) for digest in objects]


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
