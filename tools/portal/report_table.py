"""A report as a table for people."""

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from tools.portal import in_words, listing, moments
from tools.portal.accounting import Stay
from tools.portal.intake import shown
from tools.portal.listing import Column
from tools.portal.output import count, in_short
from tools.portal.report import Report, Total, totals

_Table = tuple[Sequence[Column], list[list[str]], list[str]]  # its last row: the sums


def show(screen: Console, found: Report, *, sums_alone: bool) -> None:
    period = found.period
    if not found.stays:
        none = f"no sessions from {period.first} to {period.last}"
        screen.print(Text(f"{none}, as far as 'tapgate serve' has heard"))
        return
    screen.print(Text(f"{period.first} to {period.last}, {period.zone}\n", "dim"))
    listing.show(screen, *(_totals(found) if sums_alone else _sessions(found)))
    notes = _notes(found, sums_alone)
    if notes:
        screen.print()
    for each in notes:
        screen.print(Text(each, "dim"))


def running(found: Report) -> str:
    number = len(found.running)
    return f"{count(number, 'session')} {'is' if number == 1 else 'are'} still running"


def summed(ended: Sequence[Stay]) -> str:
    return f"{count(len(ended), 'session')}, {_energy(ended)} kWh"


def _sessions(found: Report) -> _Table:
    """A row for each session."""
    zone = found.period.zone
    # Dates and points stay below each other beside what is marked.
    exact = " " if any(each.estimated for each in found.stays) else ""
    whole = " " if found.running else ""

    def row(stay: Stay) -> list[str]:
        about = "~" if stay.estimated else ""
        start = moments.shown_or_none(stay.start, zone)
        took = None if stay.start is None or stay.end is None else stay.end - stay.start
        energy = in_words.kwh(stay.wh)
        return [
            f"{about or exact}{in_short(start) if start else in_words.NOTHING}",
            in_words.NOTHING if took is None else f"{about}{in_words.span(took)}",
            in_words.charger(stay.charger, moments.shown_or_none(stay.removed_at, zone)),
            in_words.person(stay.person, stay.token),
            in_words.card(stay.token, stay.hint, stay.label, stay.by),
            f"({energy})" if stay.running else energy + whole,
            "running" if stay.running else in_words.reason(stay.reason),
        ]

    columns = (
        Column(f"{exact}started"),
        Column("took", right=True),
        Column("charger"),
        Column("person", folds=True, below=True),
        Column("card", folds=True, below=True),
        Column("kWh", right=True),
        Column("ended", below=True),
    )
    ended = found.ended
    energy = _energy(ended)
    last = [f"{exact}{count(len(ended), 'session')}", "", "", "", "", energy + whole, ""]
    return columns, [row(each) for each in found.stays], last


def _totals(found: Report) -> _Table:
    """A row for each person, charger or card."""

    def who(total: Total) -> list[str]:
        if found.by == "person":
            email = in_words.WITHOUT_A_PERSON if total.key is None else shown(total.key, 300)
            return [email, shown(total.name) if total.name else ""]
        if found.by == "charger":
            removed = moments.shown_or_none(total.removed_at, found.period.zone)
            return [in_words.charger(total.key or "", removed)]
        people = ", ".join(shown(each, 300) for each in total.people)
        if total.key is None:
            return [in_words.WITHOUT_A_CARD, people]
        return [in_words.card(total.key, total.hint, total.label, total.by), people]

    titles = {"person": ("person", "name"), "charger": ("charger",), "card": ("card", "person")}
    columns = [Column(each, folds=True) for each in titles[found.by]]
    columns += [Column("sessions", right=True), Column("kWh", right=True)]
    ended = found.ended
    rows = [
        [*who(each), str(each.sessions), in_words.kwh(each.wh)] for each in totals(ended, found.by)
    ]
    blank = [""] * (len(titles[found.by]) - 1)
    energy = _energy(ended)
    return columns, rows, ["total", *blank, str(len(ended)), energy]


def _notes(found: Report, sums_alone: bool) -> list[str]:
    """What the table does not explain by itself."""
    said = []
    if not sums_alone and any(each.estimated for each in found.stays):
        said.append(f"~ {in_words.ESTIMATED}")
    if found.running:
        brackets = "" if sums_alone else "; in brackets what was drawn so far"
        said.append(f"{running(found)} and not in the sum{brackets}")
    return said


def _energy(ended: Sequence[Stay]) -> str:
    return in_words.kwh(sum(each.wh for each in ended))
