"""What `tapgate serve` does beside publishing and taking in: a Duty each, in a module of its own.

Calls are made within a transaction that may write, in a thread, one at a time; `now` is UTC
seconds. What they return is done once that transaction is committed: a `v` that was stored there is
never used twice, however `serve` ends. A call that raises is taken back alone and said; `serve`
goes on. A crash may come between the commit and what is to be done, so what has to happen for
certain is looked at again in `state`, `published` or `tick`.

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


class Order(NamedTuple):
    """A command to a charger, by its id. Signed only when it is sent, in its turn: none overtakes
    another."""

    charger: int
    command: str
    body: dict[str, Any]


class Remark(NamedTuple):
    """Why nothing is done about a message: said now and then, counted as rejected. Of words that
    are few, as anybody may write messages without end."""

    text: str


Answer = Outgoing | Order | Remark


class Duty:
    """Does nothing; overwrite what is of use. What is not overwritten costs nothing."""

    def filters(self, site: Installation) -> Iterable[str]:
        """Topic filters of messages to be handed to `message`; asked again after each change of
        the data. No states and no events: those come checked, below."""
        return ()

    def message(self, session: Session, topic: str, payload: bytes, now: int) -> Iterable[Answer]:
        """A message on one of the topics, no longer than an event may be: unchecked, anybody on
        the broker may have written it."""
        return ()

    def state(
        self, session: Session, charger: Charger, body: dict[str, Any], now: int
    ) -> Iterable[Answer]:
        """A charger that is there says its state: a JSON object that nobody has signed."""
        return ()

    def event(self, session: Session, charger: Charger, event: Event, now: int) -> Iterable[Answer]:
        """A charger's event: signature checked, just stored, handed over once."""
        return ()

    def published(self, session: Session, now: int) -> Iterable[Answer]:
        """The broker holds what the data say: at the start, and after each change of them."""
        return ()

    def is_due(self, now: int) -> bool:
        """Whether `tick` has anything to do: asked before it, outside of any transaction."""
        return True

    def tick(self, session: Session, now: int) -> Iterable[Answer]:
        """Once a second, while there is a link."""
        return ()

    def ended(self, stored: bool) -> None:
        """The transaction of the last calls is over, and what they have done is stored or not: a
        message whose transaction fails is handed over again."""
