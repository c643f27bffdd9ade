"""What each charger last said of itself, beside what it ought to hold."""

import asyncio
import json
import time
from collections.abc import Iterable, Mapping
from datetime import tzinfo
from pathlib import Path
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from tools.portal import (
    broker,
    chargers,
    database,
    installation,
    intake,
    lists,
    moments,
    own_clock,
    rekeying,
    topics,
)
from tools.portal.lists import Body, Wanted
from tools.portal.refusal import Refusal
from tools.portal.schema import Charger, Event, Installation, Publication, ReportedState

_REJECT = ("topic", "why", "detail")
_REJECTS = 5
_SIGNED_WITHIN_S = 60
_NUMBER_MOST = 1 << 53  # what every reader of JSON can take


def status(site_home: Path, charger: str | None) -> tuple[list[Body], str | None]:
    """One object for each charger (INTERFACES section 2), and why the broker could not be asked,
    if so: `online` is then None, not known, and the rest is what was last heard."""
    with database.reading(site_home) as session:
        site = installation.current(session)
        names = (
            [chargers.find(session, charger).name]
            if charger
            else [each.name for each in chargers.every(session)]
        )
        access = broker.access(site)
    try:
        said, away = asyncio.run(_listen(access, site.name, names)), None
    except Refusal as why:
        said, away = None, str(why)
    with database.changing(site_home) as session:
        site = installation.current(session)
        if said is not None:
            intake.remember(session, said, int(time.time()))
        return _table(session, site, names, said), away


def doubt(site_home: Path) -> str | None:
    """Why nothing is signed now, where this computer's clock is in doubt."""
    with database.reading(site_home) as session:
        return own_clock.doubt(session, int(time.time()))


async def _listen(access: broker.Access, site: str, names: Iterable[str]) -> dict[str, Body]:
    wanted = {topics.state(site, name): name for name in names}
    async with broker.connected(access) as link:
        await link.look_at(list(wanted), expected=wanted)
        return {name: intake.state(link.seen.get(topic)) for topic, name in wanted.items()}


def _table(
    session: Session, site: Installation, names: list[str], said: Mapping[str, Body] | None
) -> list[Body]:
    rows = []
    for wanted in lists.wanted(session, site):
        name = wanted.charger.name
        if name not in names:
            continue
        online = None if said is None else said.get(name, {}).get("online") is True
        rows.append(_row(session, site, wanted, online))
    return rows


def _row(session: Session, site: Installation, wanted: Wanted, online: bool | None) -> Body:
    zone = installation.zone(site)
    last = session.get(ReportedState, wanted.charger.id)
    body = last.body if last else {}
    reported = body.get("allowlist")
    reported = reported if isinstance(reported, dict) else {}
    applied = {
        "version": _kind(reported, "version", int),
        "digest": _kind(reported, "digest", str),
        "cards": _kind(reported, "cards", int),
    }
    settings, allowlist = (
        session.get(Publication, topic(site.name, wanted.charger.name))
        for topic in (topics.settings, topics.allowlist)
    )
    expected = {
        "version": allowlist.v if allowlist else None,
        "digest": wanted.built.digest,
        "cards": wanted.built.cards,
        "access": wanted.settings["access"],
    }
    published = _stands(settings, wanted.settings) and _stands(allowlist, wanted.ref)
    behind = [row for row in (settings, allowlist) if row and not intake.holds(row, body)]
    # A state that was stored without being compared, or lost since, has no time of its own.
    since = min((row.waiting_since or row.t for row in behind), default=None)
    matches = _matches(settings, wanted.settings) and _matches(allowlist, wanted.ref)
    rekeyed = wanted.charger.rekeyed_at
    in_step = matches and not behind and rekeyed is None
    signed = _signed(session, wanted.charger, zone)
    return {
        "charger": wanted.charger.name,
        "online": online,
        "state": _kind(body, "state", str),
        "access": _kind(body, "access", str),
        "allowlist": applied,
        "expected": expected,
        "in_step": in_step,
        "published": published,
        "behind_since": None if since is None else moments.shown(since, zone),
        "rekeyed": moments.shown_or_none(rekeyed, zone),  # and its board has not shown that key yet
        "held": rekeying.held_count(session, wanted.charger),
        "signed": signed,
        "doubtful": in_step and _is_doubtful(session, wanted.charger, allowlist, signed),
        "rejected": _kind(body, "rejected", int),
        "rejects": _rejects(session, wanted.charger, zone),
        "seen": moments.shown(last.seen_at, zone) if last else None,
        "light": _light(body),
        "vehicle": _kind(body, "vehicle", bool),
        "reader": _kind(body, "reader", str),
        "faults": _faults(body),
        "journal": journal_of(body),
        "events_lost": _number(body, "events_lost"),
    }


def _matches(row: Publication | None, body: Body) -> bool:
    return row is not None and json.loads(row.content) == body


def _stands(row: Publication | None, body: Body) -> bool:
    """Whether the broker has been given what is wanted now."""
    return _matches(row, body) and row is not None and row.confirmed_at is not None


def _signed(session: Session, charger: Charger, zone: tzinfo) -> Body | None:
    """The list that the charger last reported as applied, under its signature; None where 'tapgate
    serve' has taken in no such event."""
    event = _last(session, charger, "list_applied", 1)
    if not event:
        return None
    body = event[0].body
    return {
        "version": _kind(body, "v", int),
        "digest": _kind(body, "digest", str),
        "cards": _kind(body, "cards", int),
        "time": _when(event[0], zone),
    }


def _is_doubtful(
    session: Session, charger: Charger, row: Publication | None, signed: Body | None
) -> bool:
    """The state, which anybody could have written, says that the list is there; the charger has
    signed for other events since, but not for this."""
    if row is None or signed is None or signed["version"] == row.v:
        return False
    newest = session.scalar(
        select(func.max(Event.received_at)).where(Event.charger_id == charger.id)
    )
    return (newest or 0) > row.t + _SIGNED_WITHIN_S


def _rejects(session: Session, charger: Charger, zone: tzinfo) -> list[Body]:
    """The messages that the charger last refused, newest first, as far as it has reported them."""
    return [
        {**{key: _kind(event.body, key, str) for key in _REJECT}, "time": _when(event, zone)}
        for event in _last(session, charger, "message_rejected", _REJECTS)
    ]


def _last(session: Session, charger: Charger, name: str, most: int) -> list[Event]:
    newest = select(Event).where(Event.charger_id == charger.id, Event.event == name)
    return list(session.scalars(newest.order_by(Event.id.desc()).limit(most)))


def _when(event: Event, zone: tzinfo) -> str:
    """When it came in: the portal's own clock, whatever the charger's says."""
    return moments.shown(event.received_at, zone)


# A state message is not signed: anybody on the broker may have written it. So no text in it moves a
# terminal's cursor, and nothing counts that is of another kind than it should be.


def _light(body: Body) -> Body | None:
    light = _kind(body, "light", dict)
    return light and {name: _kind(light, name, str) for name in ("colour", "pattern")}


def _faults(body: Body) -> list[str] | None:
    faults = _kind(body, "faults", list)
    return faults and [each for each in faults if isinstance(each, str) and each.isprintable()]


def journal_of(body: Body) -> Body | None:
    """What a state says of what waits there to be acknowledged; None of an older firmware."""
    journal = _kind(body, "journal", dict)
    if journal is None:
        return None
    return {
        "pending": _number(journal, "pending"),
        "full": _number(journal, "full", 100),
        "lost_routine": _number(journal, "lost_routine"),
        "lost_sessions": _number(journal, "lost_sessions"),
        "stored": _kind(journal, "stored", bool),
    }


def _number(body: Body, key: str, most: int = _NUMBER_MOST) -> int | None:
    found = _kind(body, key, int)
    return None if found is None or not 0 <= found <= most else found


def _kind(body: Body, key: str, kind: type) -> Any:
    found = body.get(key)
    if type(found) is not kind or (isinstance(found, str) and not found.isprintable()):
        return None
    return found
