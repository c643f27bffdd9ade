"""The portal's connection to the broker: what lies there, and what is put there for certain."""

import asyncio
import logging
import os
import secrets
import socket
import ssl
import time
from collections.abc import (
    AsyncIterator,
    Callable,
    Collection,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any, NamedTuple, TypeVar

import aiomqtt

from tools.portal import installation, topics
from tools.portal.refusal import Refusal
from tools.portal.schema import Installation

CONNECT_S = 10
ACKNOWLEDGE_S = 20
QUIET_S = 0.4  # nothing more for so long: all that was retained has come
LOOK_S = 15
_KEEPALIVE_S = 20
_IN_FLIGHT = 10
# Topics per look: fewer than the messages that a broker keeps waiting for one client.
_BATCH = 100
# Bad user name or password, not authorised: MQTT 3.1.1 section 3.2.2.3, and as paho turns them
# into those of MQTT 5.0 section 3.2.2.2.
_NOT_LET_IN = (4, 5, 134, 135)

_log = logging.getLogger("tapgate.broker")
_log.addHandler(logging.NullHandler())
_log.propagate = False


class Access(NamedTuple):
    """What it takes to reach the broker."""

    host: str
    port: int
    tls: bool
    user: str
    password: str
    ca: str
    shown: str
    client: str


def access(site: Installation) -> Access:
    address = installation.broker(site)
    # A client id of its own for each process: a broker drops the first of two that share one.
    client = f"portal-{site.name}-{os.getpid()}-{secrets.token_hex(4)}"
    return Access(*address, site.broker_ca, f"broker {address}", client)


class Link:
    """A connection. `seen`: the newest payload of each topic that was looked at. `shown`: the
    broker's name for people."""

    def __init__(self, client: aiomqtt.Client, shown: str):
        self.seen: dict[str, bytes] = {}
        self.watched: set[str] = set()
        # Told of each message as it comes, where the newest of a topic is not enough.
        self.on_message: Callable[[str, bytes], None] | None = None
        self.on_break: Callable[[aiomqtt.MqttError], None] | None = None
        self._client = client
        self.shown = shown
        self._news = asyncio.Event()
        self._broken: aiomqtt.MqttError | None = None

    async def look(self, filters: Iterable[str], enough: Collection[str]) -> None:
        """Subscribe, and take in what is retained: until every topic of `enough` has come, or
        nothing more does. Later messages go on arriving in `seen`."""
        await self._subscribe(filters)
        await self._until(lambda: bool(enough) and self.seen.keys() >= set(enough), QUIET_S)

    async def look_at(self, topics: Sequence[str], expected: Collection[str]) -> None:
        """Take in what is retained on these topics, in batches, and go on watching them.
        `expected`: those of them on which something should lie."""
        for start in range(0, len(topics), _BATCH):
            batch = topics[start : start + _BATCH]
            self.watched.update(batch)
            await self.look(batch, enough=[each for each in batch if each in expected])

    async def watch(self, topics: Iterable[str]) -> None:
        """From now on take in what is published on these topics: for `came_back`."""
        new = [each for each in topics if each not in self.watched]
        for start in range(0, len(new), _BATCH):
            batch = new[start : start + _BATCH]
            await self._subscribe(batch)
            self.watched.update(batch)

    async def listen(self, filters: Iterable[str], qos: int = 1) -> None:
        """From now on take in what matches these filters. With `qos` 0 the broker keeps nothing
        waiting for us when there is much of it."""
        await self._subscribe(filters, qos)

    async def turn_away(self, topics: Sequence[str]) -> None:
        """Take in nothing more from there, and forget what was."""
        for start in range(0, len(topics), _BATCH):
            await self._client.unsubscribe(list(topics[start : start + _BATCH]))
        for topic in topics:
            self.watched.discard(topic)
            self.seen.pop(topic, None)

    async def _subscribe(self, filters: Iterable[str], qos: int = 1) -> None:
        codes = await self._client.subscribe([(each, qos) for each in filters])
        _check_granted(codes, self.shown)

    async def put(self, messages: Mapping[str, bytes]) -> None:
        """Publish, retained, and wait for the broker to acknowledge each one."""
        free = asyncio.Semaphore(_IN_FLIGHT)

        async def one(topic: str, payload: bytes) -> None:
            async with free:
                await self._client.publish(
                    topic, payload, qos=1, retain=True, timeout=ACKNOWLEDGE_S
                )

        try:
            async with asyncio.TaskGroup() as group:
                for topic, payload in messages.items():
                    group.create_task(one(topic, payload))
        except ExceptionGroup as errors:  # one broken link fails them all
            raise errors.exceptions[0] from None

    async def send(self, topic: str, payload: bytes, retain: bool = False) -> None:
        """Publish, unless told otherwise for who is there now, and wait for the broker to
        acknowledge it."""
        await self._client.publish(topic, payload, qos=1, retain=retain, timeout=ACKNOWLEDGE_S)

    async def came_back(self, messages: Mapping[str, bytes]) -> bool:
        """Whether the broker hands out what it has acknowledged: one that may not publish a topic
        is acknowledged all the same (MQTT 3.1.1 section 3.3.5)."""

        def all_here() -> bool:
            return all(self.seen.get(topic) == payload for topic, payload in messages.items())

        await self._until(all_here, quiet_s=3)
        return all_here()

    async def take_in(self) -> None:
        """Runs beside the rest, for as long as the link lasts."""
        try:
            async for message in self._client.messages:
                topic = str(message.topic)
                payload = message.payload if isinstance(message.payload, bytes) else b""
                self.seen[topic] = payload
                self._news.set()
                if self.on_message:
                    self.on_message(topic, payload)
        except aiomqtt.MqttError as error:
            self._broken = error
            self._news.set()
            if self.on_break:
                self.on_break(error)

    async def _until(self, done: Callable[[], bool], quiet_s: float) -> None:
        deadline = time.monotonic() + LOOK_S
        while not done() and time.monotonic() < deadline:
            if self._broken:
                raise self._broken
            self._news.clear()
            try:
                await asyncio.wait_for(self._news.wait(), quiet_s)
            except TimeoutError:
                return


class Held(aiomqtt.Client):
    """A client whose place the broker keeps while it is away, with what came for it meanwhile.
    Each message is the broker's until `acknowledge` is called: who is killed before that gets it
    again (MQTT 3.1.1 section 4.4). `known`: the broker has kept it since the last time (section
    3.2.2.2)."""

    def __init__(self, *arguments: Any, **settings: Any):
        super().__init__(*arguments, clean_session=False, **settings)
        self.known = False
        self._client.manual_ack_set(True)

    def _on_connect(
        self, client: Any, userdata: Any, flags: Any, reason_code: Any, properties: Any = None
    ) -> None:
        self.known = bool(flags.session_present)
        super()._on_connect(client, userdata, flags, reason_code, properties)

    def acknowledge(self, message: aiomqtt.Message) -> None:
        self._client.ack(message.mid, message.qos)


@asynccontextmanager
async def connected(access: Access) -> AsyncIterator[Link]:
    """A link for the time of the block. Refusal, in one line, if there is none or it breaks."""
    with _explaining(access):
        async with _client(access, access.client, aiomqtt.Client) as client:
            link = Link(client, access.shown)
            taking_in = asyncio.create_task(link.take_in())
            try:
                yield link
            finally:
                taking_in.cancel()
                with suppress(asyncio.CancelledError):
                    await taking_in


@asynccontextmanager
async def held(access: Access, name: str, filters: Iterable[str]) -> AsyncIterator[Held]:
    """A connection under a name of its own that takes in what matches `filters`. There is one of
    each name: a second one that connects ends the first."""
    with _explaining(access):
        async with _client(access, name, Held) as client:
            _check_granted(await client.subscribe([(each, 1) for each in filters]), access.shown)
            yield client


_Kind = TypeVar("_Kind", bound=aiomqtt.Client)


def _client(access: Access, name: str, kind: type[_Kind]) -> _Kind:
    return kind(
        access.host,
        access.port,
        username=access.user or None,
        password=access.password or None,
        identifier=name,
        logger=_log,
        timeout=CONNECT_S,
        keepalive=_KEEPALIVE_S,
        tls_context=ssl.create_default_context(cadata=access.ca) if access.tls else None,
    )


def _check_granted(codes: Iterable[Any], shown: str) -> None:
    if any(_code(code) >= 0x80 for code in codes):
        raise Refusal(
            f"{shown}: the portal may not read under {topics.ROOT}/ there; give its user that right"
        )


@contextmanager
def _explaining(access: Access) -> Iterator[None]:
    try:
        yield
    except (aiomqtt.MqttError, OSError) as error:
        raise _explained(access, error) from error


def _code(reason: Any) -> int:
    """A reason code as a number; paho has them as numbers and as objects."""
    return getattr(reason, "value", reason)


def _explained(access: Access, error: BaseException) -> Refusal:
    cause = error.__context__ if isinstance(error.__context__, OSError) else error
    return Refusal(f"{access.shown}: {_why(access, cause, error)}")


def _why(access: Access, cause: BaseException, error: BaseException) -> str:
    if isinstance(cause, ssl.SSLCertVerificationError):
        return (
            f"its certificate is not accepted ({cause.verify_message}); give the right authority's "
            "with 'tapgate broker URL --ca FILE', and the name that stands in the certificate"
        )
    if isinstance(cause, ssl.SSLError):
        return f"no encrypted connection ({cause.reason}); is that the port for mqtts://?"
    if isinstance(cause, socket.gaierror):
        return "there is no such host; check the name and this computer's network"
    if isinstance(cause, ConnectionRefusedError):
        return "nothing answers on that port; is the broker running?"
    if isinstance(cause, TimeoutError) or "timed out" in str(error):
        return "no answer; check the network, and whether that is the broker's port for " + (
            "mqtts://" if access.tls else "mqtt://"
        )
    if isinstance(error, aiomqtt.MqttCodeError) and _code(error.rc) in _NOT_LET_IN:
        return "it refuses the user name or password; set them with 'tapgate broker URL'"
    return f"{str(error) or type(error).__name__}; try again"
