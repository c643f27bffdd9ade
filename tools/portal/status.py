"""What each charger last said of itself, beside what it ought to hold."""

import asyncio
import json
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from tools.portal import broker, chargers, database, installation, lists, moments, topics
from tools.portal.lists import Body, Wanted
from tools.portal.refusal import Refusal
from tools.portal.schema import Installation, Publication, ReportedState

STATE_LIMIT_BYTES = 65_536


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
            _remember(session, said, int(time.time()))
        return _table(session, site, names, said), away


async def _listen(access: broker.Access, site: str, names: Iterable[str]) -> dict[str, bytes]:
    wanted = {topics.state(site, name): name for name in names}
    async with broker.connected(access) as link:
        await link.look([topics.state(site, "+")], enough=wanted)
        return {name: link.seen[topic] for topic, name in wanted.items() if topic in link.seen}


def _remember(session: Session, said: Mapping[str, bytes], now: int) -> None:
    for charger in chargers.every(session):
        body = _body(said.get(charger.name))
        if body.get("online") is not True:
            continue  # a last will: it says nothing but that
        row = session.get(ReportedState, charger.id)
        if row is None:
            row = ReportedState(charger_id=charger.id)
            session.add(row)
        row.seen_at, row.body = now, body


def _table(
    session: Session, site: Installation, names: list[str], said: Mapping[str, bytes] | None
) -> list[Body]:
    rows = []
    for wanted in lists.wanted(session, site):
        name = wanted.charger.name
        if name not in names:
            continue
        online = None if said is None else _body(said.get(name)).get("online") is True
        rows.append(_row(session, site, wanted, online))
    return rows


def _row(session: Session, site: Installation, wanted: Wanted, online: bool | None) -> Body:
    last = session.get(ReportedState, wanted.charger.id)
    body = last.body if last else {}
    reported = body.get("allowlist")
    reported = reported if isinstance(reported, dict) else {}
    applied = {
        "version": _kind(reported, "version", int),
        "digest": _kind(reported, "digest", str),
        "cards": _kind(reported, "cards", int),
    }
    published = session.get(Publication, topics.allowlist(site.name, wanted.charger.name))
    expected = {
        "version": published.v if published else None,
        "digest": wanted.built.digest,
        "cards": wanted.built.cards,
    }
    access = _kind(body, "access", str)
    return {
        "charger": wanted.charger.name,
        "online": online,
        "state": _kind(body, "state", str),
        "access": access,
        "allowlist": applied,
        "expected": {**expected, "access": wanted.settings["access"]},
        "in_step": applied == expected and access == wanted.settings["access"],
        "published": _is_published(session, site, wanted),
        "seen": moments.shown(last.seen_at, installation.zone(site)) if last else None,
        "light": _light(body),
        "vehicle": _kind(body, "vehicle", bool),
        "reader": _kind(body, "reader", str),
        "faults": _faults(body),
    }


def _is_published(session: Session, site: Installation, wanted: Wanted) -> bool:
    """Whether `tapgate publish` has put on the broker what is wanted now."""
    for topic, body in (
        (topics.settings(site.name, wanted.charger.name), wanted.settings),
        (topics.allowlist(site.name, wanted.charger.name), wanted.ref),
    ):
        row = session.get(Publication, topic)
        if row is None or row.confirmed_at is None or json.loads(row.content) != body:
            return False
    return True


# A state message is not signed: anybody on the broker may have written it. So it is nothing unless
# it is what a charger says, and no text in it moves a terminal's cursor.


def _body(payload: bytes | None) -> Body:
    """A state message, or nothing if it is not one."""
    if payload is None or len(payload) > STATE_LIMIT_BYTES:
        return {}
    try:
        found = json.loads(payload, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def _light(body: Body) -> Body | None:
    light = _kind(body, "light", dict)
    return light and {name: _kind(light, name, str) for name in ("colour", "pattern")}


def _faults(body: Body) -> list[str] | None:
    faults = _kind(body, "faults", list)
    return faults and [each for each in faults if isinstance(each, str) and each.isprintable()]


def _kind(body: Body, key: str, kind: type) -> Any:
    found = body.get(key)
    if type(found) is not kind or (isinstance(found, str) and not found.isprintable()):
        return None
    return found
