"""Sessions that the app has started and whose person may not charge there any more: ended by
`serve`, as the person's token is on no allow-list that the charger could look at.

As with cards (DESIGN section 4): a permission that is withdrawn ends the session, one that runs out
in its course does not. What counts is whether it would still let the session begin when it did.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from tools.portal import commanding, installation, prediction, token
from tools.portal.duty import Duty, Outgoing
from tools.portal.schema import Charger, Command, Installation, Person

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
        self._people: dict[str, int] = {}  # by token
        self._people_of: tuple[str, list[int]] = ("", [])  # card key, ids

    def state(
        self, session: Session, charger: Charger, body: dict[str, Any], now: int
    ) -> Iterable[Outgoing]:
        found = _app_session(body, now)
        if found is None:
            self._running.pop(charger.id, None)
            self._stopped_at.pop(charger.id, None)
            return ()
        self._running[charger.id] = found
        return self._look(session, now, [charger.id])

    def published(self, session: Session, now: int) -> Iterable[Outgoing]:
        return self._look(session, now, list(self._running))

    def tick(self, session: Session, now: int) -> Iterable[Outgoing]:
        due = [each for each, at in self._stopped_at.items() if not 0 <= now - at < AGAIN_S]
        return self._look(session, now, due) if due else ()

    def _look(self, session: Session, now: int, where: list[int]) -> list[Outgoing]:
        site = installation.current(session)
        if not site.stop_on_withdrawal:
            return []
        orders: list[Outgoing] = []
        for charger_id in where:
            charger, running = session.get(Charger, charger_id), self._running.get(charger_id)
            if charger is None or running is None or now - running.heard_at > GONE_S:
                self._running.pop(charger_id, None)
                self._stopped_at.pop(charger_id, None)
                continue
            if 0 <= now - self._stopped_at.get(charger_id, -AGAIN_S) < AGAIN_S:
                continue
            if self._may_stay(session, site, charger, running, now):
                self._stopped_at.pop(charger_id, None)
                continue
            body = {"token": running.token, "reason": "withdrawn"}
            _, topic, payload = commanding.issue(session, charger, "stop", body, now)
            self._stopped_at[charger_id] = now
            orders.append(Outgoing(topic, payload))
        return orders

    def _may_stay(
        self, session: Session, site: Installation, charger: Charger, running: _Running, now: int
    ) -> bool:
        person = self._person(session, site, running.token)
        if person is None:
            return False
        at = running.start or _ordered_at(session, charger, running.token) or now
        found = prediction.of_person(session, site, charger, person, at)
        return found.verdict in _STAYS

    def _person(self, session: Session, site: Installation, wanted: str) -> Person | None:
        if wanted not in self._people:
            everyone = list(session.scalars(select(Person.id)))
            if self._people_of != (site.card_key, everyone):
                key = bytes.fromhex(site.card_key)
                self._people = {token.of_person(key, each).hex(): each for each in everyone}
                self._people_of = (site.card_key, everyone)
        person = self._people.get(wanted)
        return session.get(Person, person) if person is not None else None


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
