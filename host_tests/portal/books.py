"""A charger's events as `tapgate serve` hands them to the accounts, without a broker in between."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sqlalchemy import delete, update

from tools.portal import (
    accounting,
    chargers,
    database,
    installation,
    intake,
    people,
    signing,
)
from tools.portal.accounting import Stay
from tools.portal.schema import ChargerBoot, ChargingSession, Event, Holding
from tools.portal.token import of_person

Body = dict[str, Any]

FOREVER = 1 << 40
NOON = 1_780_000_000  # of some day in 2026
ANNAS, BOS = "04a1b2c3", "04d5e6f7"  # numbers of cards


class Books:
    """`at`: the portal's clock."""

    def __init__(self, home: Path):
        self.home = home
        self.at = NOON + 30 * 86_400
        self._keys: dict[str, bytes] = {}

    def take(self, *events: Body, charger: str = "garage") -> list[str]:
        """In one transaction. Returns why some were refused."""
        said = [(charger, *self.signed(each, charger)) for each in events]
        with database.changing(self.home) as session:
            _, refused = intake.store(session, said, self.at)
        return [each.why for each in refused]

    def signed(self, body: Body, charger: str = "garage") -> tuple[str, bytes]:
        """(topic, payload)"""
        topic = f"tapgate/home/{charger}/event"
        if charger not in self._keys:
            with database.reading(self.home) as session:
                self._keys[charger] = bytes.fromhex(chargers.find(session, charger).key)
        return topic, signing.sign(self._keys[charger], topic, body)

    def state(self, body: Body, charger: str = "garage") -> None:
        with database.changing(self.home) as session:
            intake.remember(session, {charger: {"online": True, **body}}, self.at)

    def stays(self, since: int = 0, until: int = FOREVER) -> list[Stay]:
        with database.reading(self.home) as session:
            return accounting.stays(session, since, until)

    def stay(self) -> Stay:
        [found] = self.stays()
        return found

    def forget(self) -> None:
        """All that chargers have told."""
        with database.changing(self.home) as session:
            for table in (ChargingSession, ChargerBoot, Event):
                session.execute(delete(table))


def event(name: str, n: int, t: int | None, up: int | None = None, boot: int = 5, **more: Any):
    """`up`: as of NOON, if it is not said."""
    up = n if up is None and t is None else t - NOON if up is None and t is not None else up
    return {"n": n, "boot": boot, "t": t, "up": up, "event": name, **more}


def started(n: int, t: int | None, token: str | None = None, **more: Any) -> Body:
    by = "card" if token else "open"
    more = {"token": token, "role": "user", "group": 1, "by": by, **more}
    return event("session_started", n, t, **more)


def ended(n: int, of: int, t: int | None, wh: int = 1_000, **more: Any) -> Body:
    more = {"reason": "unplugged", "start": None, "end": t, **more}
    return event("session_ended", n, t, session=of, wh=wh, **more)


def resumed(n: int, of: int, t: int | None, wh: int, **more: Any) -> Body:
    return event("session_resumed", n, t, session=of, wh=wh, **more)


def card(tapgate: Any, email: str, number: str, label: str = "blue") -> str:
    """A card for that person; its token."""
    answer = tapgate("card", "add", email, "--number", number, "--label", label, "--json")
    return answer.json["token"]


def app_token(home: Path, email: str) -> str:
    """The one for which the app starts that person's sessions."""
    with database.reading(home) as session:
        key = bytes.fromhex(installation.current(session).card_key)
        return of_person(key, people.find(session, email).id).hex()


def held_since(home: Path, moments: Iterable[tuple[str, str, int, int | None]]) -> None:
    """Write the history anew: (token, e-mail, since, until) each."""
    with database.changing(home) as session:
        for token, email, since, until in moments:
            person = people.find(session, email).id
            session.execute(
                update(Holding)
                .where(Holding.token == token, Holding.person == person)
                .values(since=since, until=until)
            )
