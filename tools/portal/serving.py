"""`tapgate serve`: keeps the chargers in step for as long as it runs, and takes in what they say.

One connection publishes, listens to states and to what the duties ask for. Each time that it is
made the broker is looked at afresh, and given again what it has forgotten. Another, whose place the
broker keeps while nobody is there, takes in events: each is in the database before the broker is
told so.

Beside that, a `Duty` (see duty.py) may act on messages, states, events and time. `duties()` lists
them.
"""

import asyncio
import os
import random
import signal
import threading
import time
import traceback
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import aiomqtt
from sqlalchemy import select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from tools.cli import DEBUG_VARIABLE
from tools.portal import (
    broker,
    chargers,
    commanding,
    database,
    event_words,
    installation,
    intake,
    publishing,
    topics,
    waiting,
)
from tools.portal.app_sessions import AppSessions
from tools.portal.bridge import Bridge
from tools.portal.duty import Answer, Duty, Order, Outgoing, Remark
from tools.portal.output import count
from tools.portal.refusal import Refusal
from tools.portal.schema import Event, RemovedCharger

POLL_S = 0.25
TICK_S = 1.0
LOOK_AGAIN_S = 600  # also where nothing has changed: time itself changes what settings say
HEAL_S = 5.0  # between two repairs of what others have written over
RETRY_S = 10.0
STORE_AGAIN_S = 1.0
BACK_OFF_S = (0.25, 30.0)
LASTING_S = 10.0  # a link that held so long was a good one
EVENTS_AT_ONCE = 200
TELL_AGAIN_S = 60.0  # what goes on is told so often
_CAUSES_MOST = 1_000
_NAME_CHARACTERS = 32

Say = Callable[[str], None]


def duties() -> list[Duty]:
    """What else is done."""
    return [Bridge(), AppSessions()]


def run(site_home: Path, *, grace_s: int, say: Say) -> Counter:
    """Until SIGTERM or SIGINT; what was done, counted. Refusal if the data cannot be used or
    another one runs on them; a broker that is away is waited for."""

    async def until_told() -> Counter:
        stop = asyncio.Event()
        for each in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(each, stop.set)
        return await serve(site_home, grace_s=grace_s, say=say, stop=stop)

    return asyncio.run(until_told())


async def serve(
    site_home: Path,
    *,
    grace_s: int,
    say: Say,
    stop: asyncio.Event,
    beside: Sequence[Duty] | None = None,
) -> Counter:
    """Until `stop` is set. `beside`: what else is done, if not `duties()`."""
    concerned = duties() if beside is None else list(beside)
    return await _Serving(site_home, grace_s, say, stop, concerned).run()


class _Moved(Exception):
    """The broker is another one now."""


class _Taken(NamedTuple):
    """What became of that which came in."""

    answers: list[Answer]
    failed: list[str]  # duties
    lines: list[str]
    refused: list[intake.Refused]


class _Serving:
    def __init__(
        self, site_home: Path, grace_s: int, say: Say, stop: asyncio.Event, duties: list[Duty]
    ):
        self._home = site_home
        self._grace_s = grace_s
        self._say = say
        self._stop = stop
        self._duties = duties
        self._watch = database.Watch(site_home)
        self._done: Counter = Counter()
        self._told: dict[tuple[str, ...], float] = {}  # causes; in the loop alone
        self._one = threading.Lock()  # call of the duties at a time
        self._chargers: frozenset[str] = frozenset()
        self._removed: frozenset[str] = frozenset()
        # Of those, whose state lay or came at the broker, and whether one of a board that is there.
        self._left_over: dict[str, bool] = {}
        self._away: set[str] = set()
        self._ready = False
        # What has come in and was not looked at yet.
        self._states: dict[str, bytes] = {}
        self._events: list[tuple[str, aiomqtt.Message]] = []  # by charger's name, unchecked
        self._others: list[tuple[str, bytes]] = []
        self._news = asyncio.Event()
        self._orders: asyncio.Queue[Order] = asyncio.Queue()
        # What the broker should hold, and on which of these topics something has come since.
        self._standing: dict[str, bytes] = {}
        self._touched: set[str] = set()

    async def run(self) -> Counter:
        async with waiting.alone(self._home) as turn:
            try:
                await self._keep_linked(turn)
            finally:
                self._watch.close()
        return self._done

    async def _keep_linked(self, turn: database.Turn) -> None:
        wait_s, ended = 0.0, None
        while not self._stop.is_set():
            began = time.monotonic()
            try:
                await _until_first(self._stop.wait(), self._linked(turn))
                ended = None
            except _Moved:
                wait_s = 0.0
                continue
            except database.Lost:
                raise
            except Refusal as why:
                if self._stop.is_set():
                    return
                if str(why) != ended:
                    self._say(f"{why}; trying again until it works")
                ended = str(why)
            least, most = BACK_OFF_S
            lasted = time.monotonic() - began >= LASTING_S
            wait_s = least if lasted or not wait_s else min(2 * wait_s, most)
            await _within(self._stop.wait(), wait_s * random.uniform(0.75, 1.25))

    async def _linked(self, turn: database.Turn) -> None:
        """For as long as the link lasts."""
        await turn.keep()
        access, site = await asyncio.to_thread(self._access)
        self._states, self._events, self._others = {}, [], []
        self._orders = asyncio.Queue()
        self._standing, self._touched = {}, set()
        lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        async with broker.connected(access) as link, waiting.place(access, site) as held:
            if not held.known and await asyncio.to_thread(self._has_events):
                self._say(
                    "the broker has kept nothing for us: events that came while nobody took them "
                    "in are lost; see README, 'A large site'"
                )
            link.on_break = lambda error: None if lost.done() else lost.set_exception(error)
            link.on_message = self._hear(link, site)
            # Nothing waits at the broker for a state to be read: the next one says it all again.
            await link.listen([topics.state(site, "+")], qos=0)
            await _until_first(
                lost,
                self._keep_in_step(link, access, turn),
                self._collect(held, site),
                self._take_in(link, held),
                self._tick(link),
                self._give_orders(link),
            )

    def _has_events(self) -> bool:
        with database.reading(self._home) as session:
            return session.scalars(select(Event.id).limit(1)).first() is not None

    def _access(self) -> tuple[broker.Access, str]:
        with database.reading(self._home) as session:
            site = installation.current(session)
            self._chargers = frozenset(each.name for each in chargers.every(session))
            gone = frozenset(session.scalars(select(RemovedCharger.name)))
            self._removed = gone - self._chargers
            return broker.access(site), site.name

    # --- publishing ---

    async def _keep_in_step(
        self, link: broker.Link, access: broker.Access, turn: database.Turn
    ) -> None:
        await publishing.look(link, self._home)
        tried: int | None = None
        done: int | None = None
        due = healed = 0.0
        listened: set[str] = set()
        while True:
            number = await asyncio.to_thread(self._watch.revision)
            disturbed = time.monotonic() - healed > HEAL_S and self._is_disturbed(link)
            # Later than that it was the clock that was put back.
            waits = 0 < due - time.time() <= LOOK_AGAIN_S
            if number != tried or disturbed or not waits:
                await turn.keep()
                now_access, _ = await asyncio.to_thread(self._access)
                if now_access._replace(client=access.client) != access:
                    self._say("the broker is another one now")
                    raise _Moved
                try:
                    listened |= await self._listen_for_duties(link, listened)
                    due = await self._round(link, afresh=done is None, changed=number != done)
                    self._forget_cause("publishing")
                    done = number
                except aiomqtt.MqttError:
                    raise
                except Exception as error:  # events are taken in whatever is wrong here
                    why = _in_words(error)
                    self._say_once(("publishing", why), f"{why}; trying again")
                    due = time.time() + RETRY_S
                if disturbed:
                    healed = time.monotonic()
                tried = number
            await asyncio.sleep(POLL_S)

    def _is_disturbed(self, link: broker.Link) -> bool:
        """Somebody else has written where only we do."""
        touched, self._touched = self._touched, set()
        standing = self._standing
        if self._left_over:
            return True
        return any(link.seen.get(each) != standing.get(each, b"") for each in touched)

    async def _round(self, link: broker.Link, *, afresh: bool, changed: bool) -> float:
        """Bring the broker up to date; when that has to be looked at again."""
        began = time.monotonic()
        async with publishing.turn(self._home):
            left_over, self._left_over = self._left_over, {}
            plan = await publishing.bring_up_to_date(link, self._home, left_over=left_over)
            self._standing = plan.standing
            removed, sweep_due = await publishing.sweep(link, self._home, self._grace_s)
        self._done.update(messages=len(plan.messages), objects=len(plan.objects), removed=removed)
        took_ms = (time.monotonic() - began) * 1_000
        if not self._ready:
            self._ready = True
            self._say(f"ready: {count(len(plan.chargers), 'charger')}, {link.shown}")
        elif not plan.messages and not plan.objects:
            if afresh:
                self._say(f"{link.shown}: back, everything is there")
        elif afresh or not changed:
            self._say(f"{link.shown}: lacked {_what(plan)}; restored")
        else:
            self._say(f"published {_what(plan)} for {_whom(plan)} in {took_ms:.0f} ms")
        for name, again in plan.cleared.items():
            if not again:
                self._say(f"{name} was removed: nothing of it is left at the broker")
            elif left_over.get(name):
                self._say_once(("removed", name), _reports_on(name))
        if removed:
            self._say(f"removed {count(removed, 'object')} that no list needs any more")
        await self._do(link, "published", lambda duty, session, now: duty.published(session, now))
        return min(plan.due, sweep_due, time.time() + LOOK_AGAIN_S)

    # --- taking in ---

    def _hear(self, link: broker.Link, site: str) -> Callable[[str, bytes], None]:
        start, end = topics.state(site, "\0").split("\0")

        def hear(topic: str, payload: bytes) -> None:
            if topic in link.watched:
                self._touched.add(topic)
                return
            link.seen.pop(topic, None)  # anybody may write to topics without end
            if topic.startswith(start) and topic.endswith(end):
                name = topic[len(start) : -len(end)]
                if name in self._removed and payload:
                    there = intake.state(payload).get("online") is True  # or its last will
                    self._left_over[name] = there or self._left_over.get(name, False)
                elif name in self._chargers and len(payload) <= intake.STATE_LIMIT_BYTES:
                    self._states[name] = payload
                    self._news.set()
            elif len(self._others) < EVENTS_AT_ONCE and len(payload) <= intake.EVENT_LIMIT_BYTES:
                self._others.append((topic, payload))
                self._news.set()

        return hear

    async def _collect(self, held: broker.Held, site: str) -> None:
        """Keeps what waits to be stored: as much as the broker sends without an acknowledgement."""
        start, end = topics.event(site, "\0").split("\0")
        async for message in held.messages:
            topic = str(message.topic)
            # amqtt hands whoever comes back everything that it retains.
            if topic.startswith(start) and topic.endswith(end):
                name = topic[len(start) : -len(end)]
                why = _unfit(message)
                if why is None:
                    self._events.append((name, message))
                    self._news.set()
                    continue
                self._refuse(intake.Refused(name, why))
            held.acknowledge(message)

    async def _take_in(self, link: broker.Link, held: broker.Held) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            states, self._states = self._states, {}
            others, self._others = self._others, []
            events, self._events = self._events[:EVENTS_AT_ONCE], self._events[EVENTS_AT_ONCE:]
            if self._events:
                self._news.set()
            said = [(name, str(message.topic), _payload(message)) for name, message in events]
            try:
                taken = await asyncio.to_thread(self._store, states, said, others)
                self._forget_cause("storing")
            except Refusal as why:  # nothing was acknowledged, nothing is forgotten
                self._not_stored(why)
                self._states = states | self._states
                self._others = others + self._others
                self._events = events + self._events
                self._news.set()
                await asyncio.sleep(STORE_AGAIN_S)
                continue
            for _, message in events:
                held.acknowledge(message)
            for line in taken.lines:
                self._say(line)
            for each in taken.refused:
                self._refuse(each)
            await self._answer(link, taken.answers, taken.failed)

    def _store(
        self,
        states: dict[str, bytes],
        said: list[tuple[str, str, bytes]],
        others: list[tuple[str, bytes]],
    ) -> _Taken:
        now = int(time.time())
        answers: list[Answer] = []
        failed: list[str] = []
        bodies = {name: intake.state(payload) for name, payload in states.items()}
        away, lines = self._coming_and_going(bodies)
        with self._changing() as session:
            here = intake.remember(session, bodies, now)
            new, refused = intake.store(session, said, now)
            for duty in self._duties:
                for charger, body in here:
                    with self._guarded(session, failed):
                        answers += list(duty.state(session, charger, body, now))
                for charger, event in new:
                    with self._guarded(session, failed):
                        answers += list(duty.event(session, charger, event, now))
                for topic, payload in others:
                    if any(
                        aiomqtt.Topic(topic).matches(each)
                        for each in duty.filters(installation.current(session))
                    ):
                        with self._guarded(session, failed):
                            answers += list(duty.message(session, topic, payload, now))
            for charger, event in new:
                line = event_words.at_once(charger.name, event.event, event.body)
                lines += [line] if line else []
        self._away = away
        self._done.update(states=len(states), events=len(new))
        return _Taken(answers, failed, lines, refused)

    def _coming_and_going(self, bodies: dict[str, intake.Body]) -> tuple[set[str], list[str]]:
        """Who is away after that, and what there is to say about it."""
        away, lines = set(self._away), []
        for name, body in bodies.items():
            if body.get("online") is True:
                if name in away:
                    lines.append(f"{name}: online")
                away.discard(name)
            elif body.get("online") is False and name not in away:
                away.add(name)
                lines.append(f"{name}: offline")
        return away, lines

    # --- duties ---

    async def _listen_for_duties(self, link: broker.Link, listened: set[str]) -> set[str]:
        def wanted() -> set[str]:
            with database.reading(self._home) as session:
                site = installation.current(session)
                return {each for duty in self._duties for each in duty.filters(site)}

        new = (await asyncio.to_thread(wanted) if self._duties else set()) - listened
        if new:
            await link.listen(sorted(new))
        return new

    async def _tick(self, link: broker.Link) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            now = int(time.time())
            if not any(_overwrites(each, "tick") and each.is_due(now) for each in self._duties):
                continue
            try:
                await self._do(link, "tick", lambda duty, session, now: duty.tick(session, now))
            except Refusal as why:  # there is another one in a second
                self._not_stored(why)

    async def _do(
        self,
        link: broker.Link,
        name: str,
        call: Callable[[Duty, Session, int], Iterable[Answer]],
    ) -> None:
        concerned = [each for each in self._duties if _overwrites(each, name)]
        if not concerned:
            return

        def work() -> tuple[list[Answer], list[str]]:
            answers: list[Answer] = []
            failed: list[str] = []
            now = int(time.time())
            with self._changing() as session:
                for duty in concerned:
                    with self._guarded(session, failed):
                        answers += list(call(duty, session, now))
            return answers, failed

        await self._answer(link, *await asyncio.to_thread(work))

    @contextmanager
    def _changing(self) -> Iterator[Session]:
        """The transaction of some calls, of whose end the duties are told."""
        with self._one:
            stored = False
            try:
                with database.changing(self._home) as session:
                    yield session
                stored = True
            finally:
                for duty in self._duties:
                    duty.ended(stored)

    @contextmanager
    def _guarded(self, session: Session, failed: list[str]) -> Iterator[None]:
        """What fails is taken back alone: the rest goes on, unless there is no database."""
        point = session.begin_nested()
        try:
            yield
            session.flush()
        except Exception as error:
            if isinstance(error, DBAPIError) and error.connection_invalidated:
                raise
            point.rollback()
            failed.append(_in_words(error))
        else:
            point.commit()

    async def _answer(self, link: broker.Link, answers: list[Answer], failed: list[str]) -> None:
        for words in failed:
            self._say_once(("duty", words), words)
        for each in answers:
            match each:
                case Outgoing():
                    await link.send(each.topic, each.payload, each.retain)
                case Order():
                    self._orders.put_nowait(each)
                case Remark():
                    self._done["rejected"] += 1
                    self._say_once(("event", each.text), each.text)

    async def _give_orders(self, link: broker.Link) -> None:
        """Beside the rest: whoever gives orders just now is waited for."""
        while True:
            order = await self._orders.get()
            try:
                async with commanding.turn(self._home):
                    signed = await asyncio.to_thread(self._issued, order)
                    if signed is not None:
                        await link.send(*signed)
            except Refusal as why:  # its duty asks for it again
                self._say_once(("order", str(why)), str(why))

    def _issued(self, order: Order) -> tuple[str, bytes] | None:
        with database.changing(self._home) as session:
            charger = chargers.numbered(session, order.charger)
            if charger is None:
                return None
            now = int(time.time())
            _, topic, payload = commanding.issue(session, charger, order.command, order.body, now)
            return topic, payload

    # --- telling ---

    def _refuse(self, event: intake.Refused) -> None:
        self._done["rejected"] += 1
        # Anybody may make up names without end: they are one cause.
        name = event.charger if event.charger in self._chargers else ""
        shown = intake.shown(event.charger, _NAME_CHARACTERS)
        self._say_once(("event", name, event.why), f"{shown}: not stored, {event.why}")

    def _not_stored(self, why: Refusal) -> None:
        self._say_once(("storing", str(why)), f"{why}; trying again until it works")

    def _say_once(self, cause: tuple[str, ...], line: str) -> None:
        """And again while it lasts, now and then."""
        now = time.monotonic()
        if now - self._told.get(cause, -TELL_AGAIN_S) < TELL_AGAIN_S:
            return
        if len(self._told) >= _CAUSES_MOST:
            self._told = {each: at for each, at in self._told.items() if now - at < TELL_AGAIN_S}
            if len(self._told) >= _CAUSES_MOST and cause[0] == "event":
                return
        self._told[cause] = now
        self._say(line)

    def _forget_cause(self, kind: str) -> None:
        self._told = {cause: at for cause, at in self._told.items() if cause[0] != kind}


def _overwrites(duty: Duty, name: str) -> bool:
    return getattr(type(duty), name) is not getattr(Duty, name)


def _in_words(error: Exception) -> str:
    if os.environ.get(DEBUG_VARIABLE):
        traceback.print_exception(error)
    return (
        str(error) if isinstance(error, Refusal) else f"unexpected {type(error).__name__}: {error}"
    )


def _reports_on(name: str) -> str:
    return (
        f"{name} was removed, but a board goes on reporting as it, which is taken from the broker; "
        f"wipe that board with 'tapgate charger remove {name} --port PORT'"
    )


def _unfit(message: aiomqtt.Message) -> str | None:
    """Why an event's message is not even looked at. Without an end would be those that the broker
    needs no acknowledgement for."""
    if message.qos == 0:
        return "an event that was not sent with QoS 1"
    return intake.TOO_LONG if len(_payload(message)) > intake.EVENT_LIMIT_BYTES else None


def _payload(message: aiomqtt.Message) -> bytes:
    return message.payload if isinstance(message.payload, bytes) else b""


def _what(plan: publishing.Plan) -> str:
    return f"{count(len(plan.messages), 'message')} and {count(len(plan.objects), 'object')}"


def _whom(plan: publishing.Plan) -> str:
    names = [
        each["charger"]
        for each in plan.chargers
        if each["settings"]["published"] or each["allowlist"]["published"]
    ]
    return ", ".join(names) if 0 < len(names) <= 4 else count(len(names), "charger")


async def _within(what: Awaitable[object], seconds: float) -> None:
    try:
        await asyncio.wait_for(what, seconds)
    except TimeoutError:
        return


async def _until_first(*works: Awaitable[object]) -> None:
    """Until one of them ends; the others end with it. Raises what that one has raised."""
    tasks = [asyncio.ensure_future(each) for each in works]
    try:
        ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for each in ended:
            each.result()
    finally:
        for each in tasks:
            each.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
