"""What chargers say comes into the database: states, which nobody signs, and signed events.

Pure but for the session. Whatever a message holds, it raises nothing and stores nothing that is not
what it should be.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from tools.portal import chargers, charging, installation, rekeying, signing, told, topics
from tools.portal.holdings import Holders, same
from tools.portal.schema import Charger, Event, Installation, Publication, ReportedState

Body = dict[str, Any]

STATE_LIMIT_BYTES = 65_536
EVENT_LIMIT_BYTES = 8_192
NESTING_LIMIT = 8  # JSON objects and arrays within each other
_WHOLE_LIMIT = 1 << 62
TOO_LONG = f"an event of more than {EVENT_LIMIT_BYTES} bytes"
_NAME_CHARACTERS = 32
_AT_ONCE = 500  # numbers in one statement


class Refused(NamedTuple):
    """An event that was not stored."""

    charger: str
    why: str


def state(payload: bytes | None) -> Body:
    """A state message, or nothing if it is not one."""
    if payload is None or len(payload) > STATE_LIMIT_BYTES:
        return {}
    try:
        found = json.loads(payload)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) and _can_be_stored(found) else {}


def remember(session: Session, said: Mapping[str, Body], now: int) -> list[tuple[Charger, Body]]:
    """Store the states, by the chargers' names, of those that are there. Returns these."""
    site = installation.current(session)
    holders = Holders(session, site)
    here = []
    for charger in _named(session, said):
        body = said[charger.name]
        if body.get("online") is not True:
            continue  # a last will: it says nothing but that
        kept = holders.masked(body, now)
        row = session.get(ReportedState, charger.id)
        if row is None:
            row = ReportedState(charger_id=charger.id)
            session.add(row)
        if row.body != kept:  # the very same as before was not said anew: it lay on the broker
            row.seen_at, row.body = now, kept
        _compare(session, site, charger, body, now)
        here.append((charger, body))
    return here


def store(
    session: Session, said: Sequence[tuple[str, str, bytes]], now: int
) -> tuple[list[tuple[Charger, Event]], list[Refused]]:
    """Store events, and what follows from them for the accounts: (charger's name, topic, payload)
    each, in order. One that is here already is passed over, but that a time may come which it
    lacked. Returns the new ones, and what was refused."""
    site = installation.current(session)
    here_now = {each.name: each for each in _named(session, {name for name, _, _ in said})}
    refused: list[Refused] = []
    heard: list[tuple[Charger, Event]] = []
    for name, topic, payload in said:
        charger = here_now.get(name)
        found: Event | str = "no charger of that name"
        if charger is not None:
            found = _event(session, charger, topic, payload, now)
        if charger is None or isinstance(found, str):
            refused.append(Refused(name, str(found)))
        else:
            heard.append((charger, found))
    new, unlike = _keep(session, site, heard)
    why = "an event's number was used before for another event"
    return new, refused + [Refused(charger.name, why) for charger, _ in unlike]


def take_held(session: Session, charger: Charger) -> tuple[int, int]:
    """Store the events that were held back since the charger got its new key, as those that they
    are. Returns how many are new, and how many stay held back: the accounts have another one of
    their number."""
    rows = rekeying.held(session, charger)
    heard = []
    for row in rows:
        event = _read(charger, dict(row.body))
        assert isinstance(event, Event)  # or it would not have been held
        event.received_at = row.received_at
        heard.append((charger, event))
    new, unlike = _keep(session, installation.current(session), heard)
    stay = {event for _, event in unlike}
    for row, (_, event) in zip(rows, heard, strict=True):
        if event not in stay:
            session.delete(row)
    return len(new), len(unlike)


def _keep(
    session: Session, site: Installation, heard: Sequence[tuple[Charger, Event]]
) -> tuple[list[tuple[Charger, Event]], list[tuple[Charger, Event]]]:
    """Store events, and what follows from them. Returns the new ones, and those that cannot be:
    their number was used before for another event."""
    holders = Holders(session, site)
    new: list[tuple[Charger, Event]] = []
    timed: list[Event] = []
    unlike: list[tuple[Charger, Event]] = []
    for _, found in heard:
        found.session = told.about(found)
        at = found.received_at if found.t is None else found.t
        found.body = holders.masked(found.body, at)
    known = _here(session, (event for _, event in heard))
    for charger, found in heard:
        here = known.setdefault((charger.id, found.boot, found.n), found)
        if here is found:
            session.add(found)
            new.append((charger, found))
            _applied(session, site, charger, found)
        elif not _is_same(here, found):
            unlike.append((charger, found))
        elif here.t is None and found.t is not None:
            here.t, here.body = found.t, _without_bound(here.body)
            timed.append(here)
    session.flush()
    charging.take(session, holders, [*(event for _, event in new), *timed])
    return new, unlike


def shown(found: Any, limit: int = 200) -> str:
    """A charger's word as it may stand on a terminal."""
    text = found if isinstance(found, str) else json.dumps(found, ensure_ascii=False)
    return "".join(each if each.isprintable() else "�" for each in text)[:limit]


def holds(row: Publication, body: Body) -> bool:
    """Whether a charger's state is that of one which has taken in this message."""
    content = json.loads(row.content)
    if row.kind == "allowlist":
        found = body.get("allowlist")
        wanted = {"version": row.v, "digest": content["index"], "cards": content["cards"]}
        return isinstance(found, dict) and all(
            found.get(key) == value and type(found[key]) is type(value)
            for key, value in wanted.items()
        )
    # An older firmware does not say its authority.
    return body.get("access") == content["access"] and (
        body.get("authority", content["authority"]) == content["authority"]
    )


def _compare(session: Session, site: Installation, charger: Charger, body: Body, now: int) -> None:
    for topic in (topics.settings, topics.allowlist):
        row = session.get(Publication, topic(site.name, charger.name))
        if row is not None:
            row.waiting_since = None if holds(row, body) else row.waiting_since or now


def _applied(session: Session, site: Installation, charger: Charger, event: Event) -> None:
    """A charger has signed that it holds a list."""
    if event.event != "list_applied":
        return
    row = session.get(Publication, topics.allowlist(site.name, charger.name))
    if row is not None and event.body.get("v") == row.v:
        row.waiting_since = None


def _event(session: Session, charger: Charger, topic: str, payload: bytes, now: int) -> Event | str:
    """The event that a message holds, or why it holds none that counts."""
    if len(payload) > EVENT_LIMIT_BYTES:
        return TOO_LONG
    body = signing.verified(bytes.fromhex(charger.key), topic, payload)
    by_former = body is None and charger.former_key is not None
    if by_former:
        body = signing.verified(bytes.fromhex(charger.former_key or ""), topic, payload)
    if body is None:
        return "an event that this charger has not signed"
    if not _can_be_stored(body):
        return "an event that is no plain JSON"
    found = _read(charger, dict(body))
    if isinstance(found, str):
        return found
    if by_former:
        return rekeying.hold(session, charger, body, payload, now)
    rekeying.proved(charger)
    found.received_at = now
    return found


def _read(charger: Charger, body: Body) -> Event | str:
    """What a signed body says, or why it is no event. Takes the body apart."""
    fields = {key: body.pop(key, None) for key in ("n", "boot", "t", "up", "event")}
    name, t = fields["event"], fields["t"]
    numbers = [fields["n"], fields["boot"], fields["up"], 0 if t is None else t]
    if not all(type(each) is int and 0 <= each < _WHOLE_LIMIT for each in numbers):
        return "an event whose n, boot, up or t is no whole number"
    if type(name) is not str or not 0 < len(name) <= _NAME_CHARACTERS or not name.isprintable():
        return "an event without a name"
    if t is not None:
        body = _without_bound(body)
    return Event(charger_id=charger.id, body=body, **fields)


def _without_bound(body: Body) -> Body:
    """A time makes the bound needless that stands for it while there is none."""
    return {key: value for key, value in body.items() if key != told.BOUND}


def _here(session: Session, heard: Iterable[Event]) -> dict[tuple[int, int, int], Event]:
    """Those of them that are stored already, by charger, boot and n."""
    wanted: dict[tuple[int, int], list[int]] = defaultdict(list)
    for event in heard:
        wanted[event.charger_id, event.boot].append(event.n)
    found: dict[tuple[int, int, int], Event] = {}
    for (charger, boot), numbers in wanted.items():
        for at in range(0, len(numbers), _AT_ONCE):
            for event in session.scalars(
                select(Event).where(
                    Event.charger_id == charger,
                    Event.boot == boot,
                    Event.n.in_(numbers[at : at + _AT_ONCE]),
                )
            ):
                found[charger, boot, event.n] = event
    return found


def _is_same(here: Event, found: Event) -> bool:
    """The same event told again: its time may have come since, all else is as it was."""
    return (here.event, here.up) == (found.event, found.up) and same(
        _without_bound(here.body), _without_bound(found.body)
    )


def _can_be_stored(found: Body) -> bool:
    """No NaN, nothing endless, no deep nest: what every database and every reader can take."""
    level: list[Any] = [found]
    for _ in range(NESTING_LIMIT):
        inner: list[Any] = []
        for each in level:
            inner += each.values() if isinstance(each, dict) else each
        level = [each for each in inner if isinstance(each, (dict, list))]
        if not level:
            break
    else:
        return False
    try:
        json.dumps(found, allow_nan=False)
    except ValueError:
        return False
    return True


def _named(session: Session, names: Iterable[str]) -> Sequence[Charger]:
    return session.scalars(
        select(Charger).where(Charger.name.in_(list(names)), chargers.PRESENT)
    ).all()
