"""What chargers have reported and `tapgate serve` has taken in."""

from datetime import tzinfo
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import and_, func, select
from sqlalchemy.orm import Session

from tools.portal import chargers, database, holdings, installation, moments, timeline
from tools.portal.holdings import Holders
from tools.portal.refusal import Refusal
from tools.portal.schema import (
    Card,
    Charger,
    ChargerBoot,
    Event,
    Holding,
    Person,
    RemovedCharger,
)
from tools.portal.token import is_token

Body = dict[str, Any]

_NO_CARD = {"hint": None, "label": None}  # but an app's start


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
            select(chargers.CALLED, RemovedCharger.removed_at, Event, ChargerBoot.began)
            .select_from(Charger)
            .join(Event, Event.charger_id == Charger.id)
            .outerjoin(RemovedCharger, chargers.ITS_REMOVAL)
            .outerjoin(ChargerBoot, its_start)
        )
        if charger is not None:
            wanted = wanted.where(Charger.id.in_(_called(session, charger)))
        if since is not None:
            when = func.coalesce(Event.t, ChargerBoot.began + Event.up, Event.received_at)
            wanted = wanted.where(when >= moments.parse(since, zone))
        whose = _Whose(session)
        rows = []
        for name, removed_at, event, began in session.execute(wanted.order_by(Event.id)):
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
            row.pop("charger_removed", None)  # no charger can say that
            if removed_at is not None:
                row["charger_removed"] = moments.shown(removed_at, zone)
            if event.t is None:
                row["estimated"] = moments.shown_or_none(estimated, zone)
            rows.append(row)
        return Recorded(rows, zone)


def _called(session: Session, name: str) -> list[int]:
    """The charger of that name; where it is no more, all that were called so."""
    try:
        return [chargers.find(session, name).id]
    except Refusal:
        former = chargers.removed(session, name)
        if not former:
            raise
        return [each.id for each in former]


class _Whose:
    """Whose a token was at a time, as far as they are still here."""

    def __init__(self, session: Session):
        self._holders = Holders(session, installation.current(session))
        people = session.execute(select(Person.id, Person.email))
        self._emails = {each.id: each.email for each in people}
        cards = select(Holding.id, holdings.HINT, holdings.LABEL).outerjoin(Card, holdings.ITS_CARD)
        self._cards = {
            each: {"hint": hint, "label": label} for each, hint, label in session.execute(cards)
        }

    def token(self, token: object, at: int) -> Body:
        found = self._holders.of(token, at) if is_token(token) else None
        if found is None or found[0] not in self._emails:
            return {}
        number, holding = found
        card = self._cards[holding] if holding is not None else _NO_CARD
        return {"person": self._emails[number], **card}
