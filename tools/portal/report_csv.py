"""A report for spreadsheets: CSV as RFC 4180 has it, in which no text can run as a formula.

It begins with UTF-8's byte order mark, without which the usual spreadsheet reads every letter
beyond ASCII wrongly when the file is opened with a double click. The first column is one that a
program which takes the mark for a part of its name can do without.
"""

import csv
import io
import re
import unicodedata
from collections.abc import Iterable
from typing import Any

from tools.portal import in_words, moments, report
from tools.portal.intake import shown
from tools.portal.report import Report

BYTE_ORDER_MARK = "\N{ZERO WIDTH NO-BREAK SPACE}"

SESSIONS = (
    "date", "charger", "person", "name", "card", "label", "number", "start", "end", "estimated",
    "wh", "reason", "by",
)  # fmt: skip
TOTALS = {
    "person": ("from", "to", "person", "name", "sessions", "wh"),
    "charger": ("from", "to", "charger", "sessions", "wh"),
    "card": ("from", "to", "card", "label", "number", "person", "sessions", "wh"),
}

# What a spreadsheet may take for the beginning of a formula. The compatibility forms of these
# (full-width, small, superscript) are made one of them first.
_BEGINS = frozenset("=+-@\N{MINUS SIGN}")
# Where a cell may begin: at the beginning, and after what separates cells in other countries'
# settings, which split such a text in two. Blanks and quotes are passed over.
_FIRST_OF_A_CELL = re.compile(r"""(^|[;,|])(?=[ "]*([^ "]))""")


def sessions(found: Report) -> str:
    """One line for each session that has ended."""
    zone = found.period.zone

    def cells(row: dict[str, Any]) -> list[Any]:
        start = row["start"]
        return [
            start and start[:10],
            in_words.charger(row["charger"], row.get("charger_removed")),
            row["person"],
            row["name"],
            row["card"],
            row["label"],
            row["hint"] and f"…{row['hint']}",
            start,
            row["end"],
            "yes" if row["estimated"] else "no",
            row["wh"],
            row["reason"],
            row["by"],
        ]

    return _written(SESSIONS, (cells(report.session(each, zone)) for each in found.ended))


def totals(found: Report) -> str:
    """One line for each person, charger or card."""
    first, last = found.period.first.isoformat(), found.period.last.isoformat()

    def cells(total: report.Total) -> list[Any]:
        key = total.key
        own: list[Any] = []
        if found.by == "person":
            own = [total.name]
        elif found.by == "charger":
            removed = moments.shown_or_none(total.removed_at, found.period.zone)
            key = in_words.charger(key or "", removed)
        elif found.by == "card":
            hint = total.hint and f"…{total.hint}"
            own = [total.label, hint, ", ".join(total.people)]
        return [first, last, key, *own, total.sessions, total.wh]

    return _written(TOTALS[found.by], map(cells, report.totals(found.ended, found.by)))


def harmless(text: str) -> str:
    """The text as no spreadsheet runs it: an apostrophe stands before what could be a formula. A
    line end, a tab or whatever else does not print is shown as "�"."""
    return _FIRST_OF_A_CELL.sub(_quieted, shown(text, len(text)))


def _quieted(found: re.Match[str]) -> str:
    separator, first = found.groups()
    formula = unicodedata.normalize("NFKC", first)[0] in _BEGINS
    return f"{separator}'" if formula else separator


def _written(columns: Iterable[str], rows: Iterable[list[Any]]) -> str:
    file = io.StringIO(newline="")
    file.write(BYTE_ORDER_MARK)
    writer = csv.writer(file, lineterminator="\r\n", strict=True)
    writer.writerow(columns)
    for row in rows:
        writer.writerow([harmless(each) if isinstance(each, str) else each for each in row])
    return file.getvalue()
