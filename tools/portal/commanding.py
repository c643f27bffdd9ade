"""Orders to one charger that is there now: signed, sent, and answered by an event that names them.

An order that is not answered in time may have been carried out or not, and the caller is told so.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import aiomqtt
from sqlalchemy import and_, delete, or_, update
from sqlalchemy.orm import Session

from tools.portal import (
    broker,
    busy,
    chargers,
    database,
    installation,
    intake,
    own_clock,
    signing,
    topics,
)
from tools.portal.refusal import Refusal
from tools.portal.schema import Charger, Command, Installation, Publication

VALID_S = 15  # a charger carries out nothing older
ANSWER_S = 15
TURN_S = 30
_KEPT_S = 3_600  # longer than any order takes
# By it one knows when a session began whose charger did not know the time.
_STARTS_KEPT_S = 30 * 86_400
_OUTCOME_CHARACTERS = 100

Body = dict[str, Any]


class Declined(Refusal):
    """The charger has said no: `why` in its own words. `state`: the one that it is busy in, and
    `busy`: that in our words, where that is why."""

    def __init__(self, charger: str, why: str):
        super().__init__(f"{charger} has declined: {why}")
        self.charger = charger
        self.why = why
        self.state = busy.state(why)
        self.busy = busy.with_order(why, charger)


class Line:
    """A charger that is there. `state`: the state message it was found with. `sent`: the last
    order's `v`, if any has left; what became of it is another matter."""

    def __init__(self, site_home: Path, link: broker.Link, charger: Charger, site: str):
        self.charger = charger.name
        self.state: Body = {}
        self.sent: int | None = None
        self._home = site_home
        self._link = link
        self._key = bytes.fromhex(charger.key)
        self._event_topic = topics.event(site, charger.name)
        self._state_topic = topics.state(site, charger.name)
        self._heard: asyncio.Queue[Body | aiomqtt.MqttError] = asyncio.Queue()
        self._rejected = ""
        link.on_message = self._hear
        link.on_break = self._heard.put_nowait

    async def open(self) -> None:
        """Listen. Refusal if the charger is not there."""
        await self._link.look([self._state_topic, self._event_topic], enough=[self._state_topic])
        payload = self._link.seen.get(self._state_topic)
        if not payload:
            raise Refusal(
                f"{self.charger} has never been on this broker, as far as it knows; "
                "is it powered, and has it its config.json?"
            )
        self.state = intake.state(payload)
        if self.state.get("online") is not True:
            raise Refusal(
                f"{self.charger} is offline; orders wait for nobody: try again when it is back"
            )

    async def order(self, name: str, body: Body) -> int:
        """Send a command; its `v`."""
        async with turn(self._home):
            with database.changing(self._home) as session:
                charger = chargers.find(session, self.charger)
                row, topic, payload = issue(session, charger, name, body, int(time.time()))
            self.sent = row.v
            await self._link.send(topic, payload)
        return row.v

    async def carried_out(self, name: str, body: Body) -> tuple[Body, list[Body]]:
        """Send a command and wait for its answer: that event, and those that came before it.
        Declined if the charger says no."""
        v = await self.order(name, body)
        before: list[Body] = []
        end = time.monotonic() + ANSWER_S
        while True:
            event = await self.event(end)
            if event is None:
                raise Refusal(
                    f"{self.charger} has not answered '{name}' within {ANSWER_S} s"
                    f"{self._rejected}; it may have been carried out or not, see "
                    f"'tapgate status {self.charger}'"
                )
            if event.get("event") != "command_done" or event.get("v") != v:
                before.append(event)
                continue
            ok = event.get("ok") is True
            why = None if ok else intake.shown(event.get("why") or "no reason")
            self._answered(v, why)
            if why is not None:
                raise Declined(self.charger, why)
            return event, before

    async def event(self, end: float) -> Body | None:
        """The next event that the charger has signed, or None when there was none by `end`."""
        try:
            async with asyncio.timeout(max(0, end - time.monotonic())):
                event = await self._heard.get()
        except TimeoutError:
            return None
        if isinstance(event, aiomqtt.MqttError):
            raise event
        if event.get("event") == "message_rejected" and event.get("topic") == "command":
            why, detail = (intake.shown(event.get(key, "")) for key in ("why", "detail"))
            self._rejected = f" (it has refused a command: {why}, {detail})"
        return event

    def _answered(self, v: int, why: str | None) -> None:
        with database.changing(self._home) as session:
            charger = chargers.find(session, self.charger)
            session.execute(
                update(Command)
                .where(Command.charger_id == charger.id, Command.v == v)
                .values(answered_at=int(time.time()), outcome=(why or "done")[:_OUTCOME_CHARACTERS])
            )

    def _hear(self, topic: str, payload: bytes) -> None:
        if topic != self._event_topic or len(payload) > intake.EVENT_LIMIT_BYTES:
            return
        event = signing.verified(self._key, topic, payload)
        if event is not None:
            self._heard.put_nowait(event)


@asynccontextmanager
async def reached(site_home: Path, name: str) -> AsyncIterator[Line]:
    """A line to that charger for the time of the block. Refusal if it is not there."""
    with database.reading(site_home) as session:
        site = installation.current(session)
        charger = chargers.find(session, name)
        access = broker.access(site)
    async with broker.connected(access) as link:
        line = Line(site_home, link, charger, site.name)
        await line.open()
        yield line


def give(site_home: Path, charger: str, name: str, **body: Any) -> tuple[Body, list[Body]]:
    """One order, from beginning to end: its answer and the events before it."""

    async def at_once() -> tuple[Body, list[Body]]:
        async with reached(site_home, charger) as line:
            return await line.carried_out(name, body)

    return asyncio.run(at_once())


def issue(
    session: Session, charger: Charger, name: str, body: Body, now: int
) -> tuple[Command, str, bytes]:
    """A signed command with the `v` that follows, stored: its row, topic and payload."""
    site = installation.current(session)
    topic = topics.command(site.name, charger.name)
    content = {"exp": now + VALID_S, "command": name, **body}
    row, payload = next_message(session, site, charger, "command", topic, content, now)
    command = Command(
        charger_id=charger.id,
        v=row.v,
        name=name,
        body=body,
        sent_at=now,
        expires_at=now + VALID_S,
    )
    _clear_away(session, charger, now)
    session.add(command)
    session.flush()
    return command, topic, payload


def _clear_away(session: Session, charger: Charger, now: int) -> None:
    """Orders that nobody asks for any more."""
    old, very_old = (Command.expires_at < now - each for each in (_KEPT_S, _STARTS_KEPT_S))
    session.execute(
        delete(Command).where(
            Command.charger_id == charger.id,
            or_(very_old, and_(old, Command.name != "authorise")),
        )
    )


def next_message(
    session: Session,
    site: Installation,
    charger: Charger,
    kind: str,
    topic: str,
    content: Body,
    now: int,
) -> tuple[Publication, bytes]:
    """What is signed for the charger and retained nowhere, under a `v` that nothing had before.
    Refusal where this computer's clock is in doubt."""
    own_clock.check(session, now)
    row = session.get(Publication, topic)
    if row is None:
        row = Publication(topic=topic, charger_id=charger.id, kind=kind, v=0)
        session.add(row)
    row.v, row.t = max(row.v + 1, now), now
    row.content = json.dumps(content, separators=(",", ":"))
    row.confirmed_at = None
    payload = signing.sign(bytes.fromhex(charger.key), topic, {"v": row.v, "t": now, **content})
    row.payload = payload.decode()
    session.flush()
    return row, payload


def turn(site_home: Path) -> AbstractAsyncContextManager[database.Turn]:
    """One sender of commands at a time, so that they reach the broker in the order of their `v`.
    Not the publishers' turn: nobody who stops a session waits for a list of 50,000 cards."""
    return database.turn(
        site_home, "command", TURN_S, f"another command has been at it for {TURN_S} s; try again"
    )
