"""What chargers have reported and `tapgate serve` has taken in."""

from datetime import tzinfo
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import and_, func, select
from sqlalchemy.orm import Session

from tools.portal import chargers, database, installation, moments, timeline
from tools.portal.holdings import Holders
from tools.portal.schema import Card, Charger, ChargerBoot, Event, Holding, Person
from tools.portal.token import is_token

Body = dict[str, Any]


class Recorded(NamedTuple):
    """Events as JSON, and the installation's time."""

    rows: list[Body]
    zone: tzinfo


def events(site_home: Path, charger: str | None, since: str | None) -> Recorded:
    """In the order in which they came in. An event without a time, of a charger that did not know
    it, has an estimated one."""
    with database.reading(site_home) as session:
        zone = installation.zone(installation.current(session))
        its_start = and_(ChargerBoot.charger_id == Charger.id, ChargerBoot.boot == Event.boot)
        wanted = (
            select(Charger.name, Event, ChargerBoot.began)
            .join(Event, Event.charger_id == Charger.id)
            .outerjoin(ChargerBoot, its_start)
        )
        if charger is not None:
            wanted = wanted.where(Charger.id == chargers.find(session, charger).id)
        if since is not None:
            when = func.coalesce(Event.t, ChargerBoot.began + Event.up, Event.received_at)
            wanted = wanted.where(when >= moments.parse(since, zone))
        whose = _Whose(session)
        rows = []
        for name, event, began in session.execute(wanted.order_by(Event.id)):
            estimated = None if began is None else timeline.moment(began, event.up)
            at = next(each for each in (event.t, estimated, event.received_at) if each is not None)
            row = {
                **event.body,
                **whose.token(event.body.get("token"), at),
                "charger": name,
                "n": event.n,
                "boot": event.boot,
                "time": moments.shown_or_none(event.t, zone),
                "event": event.event,
            }
            if event.t is None:
                row["estimated"] = moments.shown_or_none(estimated, zone)
            rows.append(row)
        return Recorded(rows, zone)


class _Whose:
    """Whose a token was at a time, as far as they are still here."""

    def __init__(self, session: Session):
        self._session = session
        self._holders = Holders(session, installation.current(session))
        people = session.execute(select(Person.id, Person.email))
        self._emails = {each.id: each.email for each in people}
        cards = session.execute(select(Card.token, Card.person_id, Card.hint, Card.label))
        self._cards = {token: (person, hint, label) for token, person, hint, label in cards}
        self._held = set(session.scalars(select(Holding.token).distinct()))
        self._other: dict[str, tuple[int, int | None] | None] = {}  # the same at all times

    def token(self, token: object, at: int) -> Body:
        found = self._holder(token, at) if is_token(token) else None
        if not is_token(token) or found is None or found[0] not in self._emails:
            return {}
        number, holding = found
        person, hint, label = self._cards.get(token, (None, None, None))
        if person != number:  # the card is somebody else's by now, or nobody's
            past = None if holding is None else self._session.get(Holding, holding)
            hint, label = (past.hint, past.label) if past else (None, None)
        return {"person": self._emails[number], "hint": hint, "label": label}

    def _holder(self, token: str, at: int) -> tuple[int, int | None] | None:
        if token in self._held:
            return self._holders.of(token, at)
        if token not in self._other:
            self._other[token] = self._holders.of(token, at)
        return self._other[token]
