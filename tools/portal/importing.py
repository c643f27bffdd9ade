"""People, permissions and cards from a file: all of it, or nothing where one line is wrong.

What is here already and the same stays as it is, so that a file can be taken in again. A file knows
no schedules: a permission keeps the one it has.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session

from tools.portal import database, groups, holdings, installation, operators, permissions, sheet
from tools.portal.schema import Base, Card, Charger, Group, Permission, Person
from tools.portal.sheet import Sheet, Tell

_CHUNK = 1_000  # rows at once


class Imported(NamedTuple):
    """What a file has changed."""

    lines: int
    people_added: int
    people_changed: int
    permissions_added: int
    permissions_changed: int
    cards_added: int
    cards_changed: int
    without_group: int  # no numbers were left for them


def take_in(site_home: Path, path: Path, tell: Tell) -> Imported:
    """Refusal names every line that is wrong; nothing is changed then."""
    with database.reading(site_home) as session:
        operators.require_native(session)
        site = installation.current(session)
        card_key, zone = bytes.fromhex(site.card_key), installation.zone(site)
    found = sheet.read(path, card_key, zone, tell)
    with database.changing(site_home) as session:
        operators.require_native(session)
        here = _Here(session)
        here.compare(found)
        found.require_right()
        return _write(session, here, found, tell)


class _Here:
    """What the database holds already."""

    def __init__(self, session: Session):
        self.chargers: dict[str, int] = {
            name: charger for charger, name in _rows(session, Charger, "name")
        }
        self.people: dict[str, tuple[int, str | None, int | None]] = {}
        self.emails: dict[int, str] = {}
        for person, email, key, name, partner in _rows(
            session, Person, "email", "email_key", "name", "partner_id"
        ):
            self.people[key] = person, name, partner
            self.emails[person] = email
        self.cards: dict[str, tuple[int, int, str | None]] = {
            token: (card, person, label)
            for card, token, person, label in _rows(session, Card, "token", "person_id", "label")
        }
        columns = ("person_id", "charger_id", "role", "valid_from", "valid_until")
        self.permissions: dict[tuple[int, int | None], tuple[int, tuple[Any, ...]]] = {
            (person, charger): (permission, tuple(values))
            for permission, person, charger, *values in _rows(session, Permission, *columns)
            if person is not None
        }
        self.permitted = {person for person, _ in self.permissions}

    def compare(self, found: Sheet) -> None:
        """Note what is wrong beside what is here."""
        for key, somebody in found.people.items():
            number, _, partner = self.people.get(key, (None, None, None))
            for charger, given in somebody.permissions.items():
                if charger is not None and charger not in self.chargers:
                    found.wrong(
                        given.line, f"there is no charger {sheet.cut(charger)!r}; add it first"
                    )
            if not somebody.permissions and number not in self.permitted and partner is None:
                found.wrong(
                    somebody.line, f"no role for {somebody.email}: {', '.join(sheet.ROLES)}"
                )
            for token, card in somebody.cards.items():
                if token in self.cards and (owner := self.cards[token][1]) != number:
                    found.wrong(card.line, f"that card belongs to {self.emails[owner]} already")


def _write(session: Session, here: _Here, found: Sheet, tell: Tell) -> Imported:
    now = int(time.time())
    new = [key for key in found.people if key not in here.people]
    total = len(new) + sum(
        len(each.permissions) + len(each.cards) for each in found.people.values()
    )
    done = 0

    def in_chunks(rows: Sequence[Any]) -> Iterator[Sequence[Any]]:
        nonlocal done
        for at in range(0, len(rows), _CHUNK):
            yield rows[at : at + _CHUNK]
            done += min(_CHUNK, len(rows) - at)
            tell("writing", done, total)

    numbers = groups.numbers(session, len(new))
    ids = {key: row[0] for key, row in here.people.items()}
    for chunk in in_chunks(list(enumerate(new))):
        own = [{"number": numbers[at]} for at, _ in chunk if at < len(numbers)]
        group_ids = _inserted(session, Group, own)
        rows = [
            {
                "email": found.people[key].email,
                "email_key": key,
                "name": found.people[key].name,
                "group_id": group_ids[at - chunk[0][0]] if at < len(numbers) else None,
                "added_at": now,
            }
            for at, key in chunk
        ]
        ids |= zip((key for _, key in chunk), _inserted(session, Person, rows), strict=True)

    renamed, given, regiven, bound, relabelled = [], [], [], [], []
    for key, somebody in found.people.items():
        person = ids[key]
        if key in here.people and somebody.name not in (None, here.people[key][1]):
            renamed.append({"id": person, "name": somebody.name})
        for name, each in somebody.permissions.items():
            charger = here.chargers[name] if name is not None else None
            known, values = here.permissions.get((person, charger), (None, None))
            if values == (each.role, each.valid_from, each.valid_until):
                continue
            row = {
                "role": each.role,
                "valid_from": each.valid_from,
                "valid_until": each.valid_until,
                "given_at": now,
            }
            if known is None:
                given.append(row | {"person_id": person, "charger_id": charger})
            else:
                regiven.append(row | {"id": known})
        for token, card in somebody.cards.items():
            known, _, label = here.cards.get(token, (None, None, None))
            if known is None:
                bound.append(
                    {
                        "person_id": person,
                        "token": token,
                        "hint": card.hint,
                        "label": card.label,
                        "blocked": False,
                        "added_at": now,
                        "added_by": "import",
                    }
                )
            elif card.label not in (None, label):
                relabelled.append({"id": known, "label": card.label})
    for table, rows in ((Permission, given), (Card, bound)):
        for chunk in in_chunks(rows):
            session.execute(insert(table), chunk)
    holdings.begin(session, [(row["token"], row["person_id"]) for row in bound], now)
    for table, rows in ((Person, renamed), (Permission, regiven), (Card, relabelled)):
        if rows:
            session.execute(update(table), rows)
    permissions.require_an_owner(session, "with that file nobody would be an owner without limits")
    return Imported(
        found.lines,
        len(new),
        len(renamed),
        len(given),
        len(regiven),
        len(bound),
        len(relabelled),
        len(new) - len(numbers),
    )


def _inserted(session: Session, table: type[Base], rows: list[dict[str, Any]]) -> list[int]:
    """The new rows' ids, in the order of the rows."""
    if not rows:
        return []
    column = table.__table__.c.id
    return list(
        session.scalars(insert(table).returning(column, sort_by_parameter_order=True), rows)
    )


def _rows(session: Session, table: type[Base], *columns: str) -> Iterable[Any]:
    """The ids and these columns of all its rows."""
    return session.execute(select(*(table.__table__.c[each] for each in ("id", *columns))))
