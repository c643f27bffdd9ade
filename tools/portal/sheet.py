"""A CSV file of people, permissions and cards, read to its end: what it says of each person, and
what is wrong in which line. A card's number is gone once its line is read.
"""

import csv
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import tzinfo
from pathlib import Path
from typing import NamedTuple

from tools.portal import card_number, moments, names, permissions
from tools.portal.refusal import Refusal
from tools.portal.token import hint, token

REQUIRED = ("email", "name", "role")
COLUMNS: tuple[str, ...] = (*REQUIRED, "charger", "number", "as", "label", "from", "until")
ROLES = ("owner", "user", "service")
LIMIT_BYTES = 32 << 20  # some 300,000 lines: five times what a charger's list can hold
WRONG_SHOWN = 20

Row = dict[str, str]  # a line's cells by column, "" where there is none

# What is being done, how much of it is done, and of how much.
Tell = Callable[[str, int, int], None]
_TELL_LINES = 500


class Given(NamedTuple):
    """A permission, and the line that gives it."""

    line: int
    role: str
    valid_from: int | None
    valid_until: int | None


class Card(NamedTuple):
    line: int
    hint: str
    label: str | None


@dataclass(slots=True)
class Somebody:
    """All that the file says of one person. `line`: the first of theirs."""

    line: int
    email: str
    name: str | None = None
    permissions: dict[str | None, Given] = field(default_factory=dict)  # by charger's name
    cards: dict[str, Card] = field(default_factory=dict)  # by token


class Sheet:
    """`people`: by the key of their address, in the order of the file."""

    def __init__(self, path: Path, card_key: bytes, zone: tzinfo):
        self._path = path
        self._card_key = card_key
        self._zone = zone
        self.lines = 0
        self.people: dict[str, Somebody] = {}
        self._owners: dict[str, str] = {}  # of cards: token -> key of an address
        self._wrong: dict[int, list[str]] = {}

    def wrong(self, line: int, why: str) -> None:
        self._wrong.setdefault(line, []).append(why)

    def require_right(self) -> None:
        """Refusal that names every wrong line, if there are any."""
        if not self._wrong:
            return
        in_order = sorted(self._wrong.items())
        said = [f"line {line}: {', and '.join(why)}" for line, why in in_order[:WRONG_SHOWN]]
        rest = len(in_order) - WRONG_SHOWN
        if rest > 0:
            said.append(f"and {rest} more wrong line{'' if rest == 1 else 's'}")
        raise Refusal(f"{self._path}: nothing was imported; {'; '.join(said)}")

    def take(self, line: int, row: Row) -> None:
        """One line, its cells without blanks around them."""
        self.lines += 1
        try:
            email = names.email(row["email"])
        except Refusal as why:
            self.wrong(line, str(why))
            return
        key = names.email_key(email)
        somebody = self.people.get(key)
        if somebody is None:
            somebody = self.people[key] = Somebody(line, email)
        for part in (self._take_name, self._take_permission, self._take_card):
            try:
                part(line, row, key, somebody)
            except Refusal as why:
                self.wrong(line, str(why))

    def _take_name(self, line: int, row: Row, key: str, somebody: Somebody) -> None:
        if not row["name"]:
            return
        name = names.free_text(row["name"], "name")
        if somebody.name not in (None, name):
            raise Refusal(f"the name is another than in a line before for {somebody.email}")
        somebody.name = name

    def _take_permission(self, line: int, row: Row, key: str, somebody: Somebody) -> None:
        role, charger = row["role"].lower(), row["charger"] or None
        if not role:
            if charger or row["from"] or row["until"]:
                raise Refusal("a charger or a time without a role")
            return
        if role not in ROLES:
            raise Refusal(f"role: found {cut(row['role'])!r}, allowed {', '.join(ROLES)}")
        given = Given(
            line,
            role,
            moments.parse(row["from"], self._zone) if row["from"] else None,
            moments.parse(row["until"], self._zone, end=True) if row["until"] else None,
        )
        permissions.check_bounds(given.valid_from, given.valid_until)
        known = somebody.permissions.setdefault(charger, given)
        if known[1:] != given[1:]:
            raise Refusal(f"line {known.line} gives {somebody.email} another permission there")

    def _take_card(self, line: int, row: Row, key: str, somebody: Somebody) -> None:
        if not row["number"]:
            if row["label"]:
                raise Refusal("a label without a number")
            return
        reading = row["as"].lower() or None
        if reading is not None and reading not in card_number.READINGS:
            allowed = ", ".join(card_number.READINGS)
            raise Refusal(f"as: found {cut(row['as'])!r}, allowed {allowed}")
        number = card_number.number(row["number"], reading)
        card = Card(
            line, hint(number), names.free_text(row["label"], "label") if row["label"] else None
        )
        name = token(self._card_key, number).hex()
        owner = self._owners.setdefault(name, key)
        if owner != key:
            former = self.people[owner]
            raise Refusal(f"line {former.cards[name].line} gives that card to {former.email}")
        known = somebody.cards.get(name)
        if known is None or known.label is None:
            somebody.cards[name] = card._replace(line=known.line if known else line)
        elif card.label not in (None, known.label):
            raise Refusal(f"line {known.line} gives that card another label")


def read(path: Path, card_key: bytes, zone: tzinfo, tell: Tell) -> Sheet:
    """Refusal if it is no such file at all; what is wrong in its lines is in the sheet."""
    text = _text(path)
    total = text.count("\n") + 1
    sheet = Sheet(path, card_key, zone)
    for line, row in _rows(path, text, sheet):
        sheet.take(line, row)
        if sheet.lines % _TELL_LINES == 0:
            tell("reading", line, total)
    return sheet


def _text(path: Path) -> str:
    with path.open("rb") as file:
        content = file.read(LIMIT_BYTES + 1)
    if len(content) > LIMIT_BYTES:
        raise Refusal(f"{path} is larger than {LIMIT_BYTES >> 20} MB; import it in parts")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise Refusal(f"{path}: line {line} is not UTF-8; save the file as CSV UTF-8") from None


def _rows(path: Path, text: str, sheet: Sheet) -> Iterator[tuple[int, Row]]:
    """Each line that is not empty, with the number that it begins at."""
    head = text.lstrip("\r\n").partition("\n")[0]
    separator = ";" if head.count(";") > head.count(",") else ","
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    columns: list[str] | None = None
    begin = 1
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            break
        except csv.Error as error:
            sheet.wrong(begin, f"the quotes do not match ({error})")
            return  # where the next line begins nobody knows
        line, begin = begin, reader.line_num + 1
        if not any(cell.strip() for cell in cells):
            continue
        if columns is None:
            columns = _columns(path, line, cells)
        elif any(cell.strip() for cell in cells[len(columns) :]):
            sheet.wrong(line, f"more fields than the {len(columns)} columns")
        else:
            row: Row = dict.fromkeys(COLUMNS, "")
            row.update(zip(columns, (cell.strip() for cell in cells), strict=False))
            yield line, row
    if columns is None:
        _columns(path, 1, [])


def _columns(path: Path, line: int, cells: list[str]) -> list[str]:
    """The first line's names. Columns without one are taken, if they stay empty."""
    found = [cell.strip().lower() for cell in cells]
    while found and not found[-1]:
        found.pop()
    missing = [each for each in REQUIRED if each not in found]
    unknown = [cut(each) for each in found if each not in COLUMNS]
    twice = sorted({each for each in found if found.count(each) > 1})
    for what, wrong in (("no", missing), ("an unknown", unknown), ("twice the", twice)):
        if wrong:
            raise Refusal(
                f"{path}: line {line} names the columns, and has {what} {', '.join(wrong)}; "
                f"columns are {','.join(COLUMNS)}, the last six optional"
            )
    return found


def cut(text: str) -> str:
    return text if len(text) <= 40 else text[:39] + "…"
