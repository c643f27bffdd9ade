"""What chargers have reported and `tapgate serve` has taken in."""

from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from tools.portal import chargers, database, installation, moments
from tools.portal.schema import Charger, Event


def events(site_home: Path, charger: str | None, since: str | None) -> list[dict[str, Any]]:
    """In the order in which they came in. An event without a time, of a charger that did not know
    it, counts as of when it came."""
    with database.reading(site_home) as session:
        zone = installation.zone(installation.current(session))
        wanted = select(Charger.name, Event).join(Event, Event.charger_id == Charger.id)
        if charger is not None:
            wanted = wanted.where(Charger.id == chargers.find(session, charger).id)
        if since is not None:
            wanted = wanted.where(
                func.coalesce(Event.t, Event.received_at) >= moments.parse(since, zone)
            )
        return [
            {
                **event.body,
                "charger": name,
                "n": event.n,
                "boot": event.boot,
                "time": _time(event.t, zone),
                "event": event.event,
            }
            for name, event in session.execute(wanted.order_by(Event.id))
        ]


def _time(t: int | None, zone: Any) -> str | None:
    """None where a charger's clock is beyond all calendars, too."""
    try:
        return None if t is None else moments.shown(t, zone)
    except (ValueError, OverflowError, OSError):
        return None
