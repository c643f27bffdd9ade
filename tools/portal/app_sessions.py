"""Sessions that the app has started and whose person may not charge there any more: ended by
`serve`, as the person's token is on no allow-list that the charger could look at.

As with cards (DESIGN section 4): a permission that is withdrawn ends the session, one that runs out
in its course does not. What counts is whether it would still let the session begin when it did.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from tools.portal import chargers, installation, people, prediction, token
from tools.portal.duty import Answer, Duty, Order
from tools.portal.schema import Charger, Command, Installation

AGAIN_S = 10
# A charger tells its state once a minute: one that was not heard of for longer hears nothing.
GONE_S = 130

# Roles that start no session are none that is withdrawn.
_STAYS = (prediction.ACCEPTED, prediction.INVALID)


class _Running(NamedTuple):
    token: str
    start: int | None
    heard_at: int


class AppSessions(Duty):
    """Looks when a state comes and when the data have changed; asks again until it is over."""

    def __init__(self) -> None:
        self._running: dict[int, _Running] = {}  # by charger
        self._stopped_at: dict[int, int] = {}

    def state(
        self, session: Session, charger: Charger, body: dict[str, Any], now: int
    ) -> Iterable[Answer]:
        found = _app_session(body, now)
        if found is None:  # when it was stopped stays: who forges states gets no more stops by it
            self._running.pop(charger.id, None)
            return ()
        self._running[charger.id] = found
        return self._look(session, now, [charger.id])

    def published(self, session: Session, now: int) -> Iterable[Answer]:
        return self._look(session, now, list(self._running))

    def is_due(self, now: int) -> bool:
        return bool(self._due(now))

    def tick(self, session: Session, now: int) -> Iterable[Answer]:
        return self._look(session, now, self._due(now))

    def _due(self, now: int) -> list[int]:
        stopped = list(self._stopped_at.items())  # at once: another thread may be about it
        return [each for each, at in stopped if not 0 <= now - at < AGAIN_S]

    def _look(self, session: Session, now: int, where: list[int]) -> list[Order]:
        site = installation.current(session)
        if not site.stop_on_withdrawal:
            return []
        orders: list[Order] = []
        for charger_id in where:
            charger = chargers.numbered(session, charger_id)
            running = self._running.get(charger_id)
            if charger is None or running is None or now - running.heard_at > GONE_S:
                self._running.pop(charger_id, None)
                self._stopped_at.pop(charger_id, None)
                continue
            if 0 <= now - self._stopped_at.get(charger_id, -AGAIN_S) < AGAIN_S:
                continue
            if self._may_stay(session, site, charger, running, now):
                self._stopped_at.pop(charger_id, None)
                continue
            self._stopped_at[charger_id] = now
            body = {"token": running.token, "reason": "withdrawn"}
            orders.append(Order(charger_id, "stop", body))
        return orders

    def _may_stay(
        self, session: Session, site: Installation, charger: Charger, running: _Running, now: int
    ) -> bool:
        person = people.of_token(session, site, running.token)
        if person is None:
            return False
        at = running.start or _ordered_at(session, charger, running.token) or now
        found = prediction.by_permission(session, site, charger, person, at)
        return found.verdict in _STAYS


def _app_session(body: dict[str, Any], now: int) -> _Running | None:
    """Of a state message, which nobody has signed: at worst a stop is sent for a session that is
    not there, or no stop for one that its charger hides."""
    found = body.get("session")
    if not isinstance(found, dict) or found.get("by") != "remote":
        return None
    holder, start = found.get("token"), found.get("start")
    if not isinstance(holder, str) or len(holder) != 2 * token.TOKEN_BYTES:
        return None
    return _Running(holder, start if type(start) is int and start > 0 else None, now)


def _ordered_at(session: Session, charger: Charger, holder: str) -> int | None:
    """When the app last asked for a session for that token there: the charger's clock may not have
    been set when it began."""
    asked = session.scalars(
        select(Command)
        .where(Command.charger_id == charger.id, Command.name == "authorise")
        .order_by(Command.v.desc())
        .limit(20)
    )
    return next((each.sent_at for each in asked if each.body.get("token") == holder), None)
