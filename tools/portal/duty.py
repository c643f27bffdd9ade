"""What `tapgate serve` does beside publishing and taking in: a Duty each, in a module of its own.

    class Bridge(Duty):
        def filters(self, site):
            return [f"{topics.ROOT}/{site.name}/+/authorise"]

        def message(self, session, topic, payload, now):
            ...
            return [Outgoing(question_topic, signed)]

Every call is made within one transaction that may write, in a thread, one call at a time; `now` is
UTC seconds. What it returns is published, in order, once that transaction is committed: a `v` that
was stored there is never used twice, however `serve` ends. A call that raises is taken back alone
and said once; `serve` goes on. A crash may come between the commit and the publishing, so what has
to happen for certain is looked at again in `state`, `published` or `tick`.

`serving.duties()` lists them; add yours there.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

from sqlalchemy.orm import Session

from tools.portal.schema import Charger, Event, Installation


class Outgoing(NamedTuple):
    """A message to be published, QoS 1."""

    topic: str
    payload: bytes
    retain: bool = False


class Duty:
    """Does nothing; overwrite what is of use. What is not overwritten costs nothing."""

    def filters(self, site: Installation) -> Iterable[str]:
        """Topic filters of messages to be handed to `message`; asked again after each change of
        the data. No states and no events: those come checked, below."""
        return ()

    def message(self, session: Session, topic: str, payload: bytes, now: int) -> Iterable[Outgoing]:
        """A message on one of the topics: unchecked, anybody on the broker may have written it."""
        return ()

    def state(
        self, session: Session, charger: Charger, body: dict[str, Any], now: int
    ) -> Iterable[Outgoing]:
        """A charger that is there says its state: a JSON object that nobody has signed."""
        return ()

    def event(
        self, session: Session, charger: Charger, event: Event, now: int
    ) -> Iterable[Outgoing]:
        """A charger's event: signature checked, just stored, handed over once."""
        return ()

    def published(self, session: Session, now: int) -> Iterable[Outgoing]:
        """The broker holds what the data say: at the start, and after each change of them."""
        return ()

    def tick(self, session: Session, now: int) -> Iterable[Outgoing]:
        """Once a second, while there is a link."""
        return ()
