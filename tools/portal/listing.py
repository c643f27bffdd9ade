"""Long tables for people, as plain lines: 50,000 rows in a second, which rich takes half a minute
for."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from rich.cells import cell_len, chop_cells
from rich.console import Console
from rich.text import Text

Row = Sequence[str]

_GAP = "  "
_INDENT = "    "
_LEAST = 20  # places that a column keeps when it is folded


class Column(NamedTuple):
    """`folds`: takes several lines where there is little room; `below`: goes to a line beneath
    where even that is not enough."""

    title: str
    right: bool = False
    folds: bool = False
    below: bool = False


def show(
    screen: Console, columns: Sequence[Column], rows: Sequence[Row], last: Row | None = None
) -> None:
    """A table on standard output, as wide as that is: the head, a rule, the rows; below another
    rule the last one, of the sums."""
    table = Listing(columns, rows, screen.width if screen.is_terminal else None, last)

    def line(text: str, style: str) -> None:
        screen.print(Text(text, style), soft_wrap=True)

    line(table.head, "bold")
    line(table.rule, "dim")
    for each in table.lines():
        screen.file.write(f"{each}\n")
    if last is not None:
        line(table.rule, "dim")
        line(table.last, "bold")


class Listing:
    """`room`: a terminal's width; None: a pipe has none. `last`: the row of the sums."""

    def __init__(
        self,
        columns: Sequence[Column],
        rows: Sequence[Row],
        room: int | None,
        last: Row | None = None,
    ):
        self._columns, self._rows = columns, rows
        self._last = [""] * len(columns) if last is None else last
        self._room = room
        self._beside = list(range(len(columns)))  # these columns
        self._sizes = self._widths()
        if room is None:
            return
        if self._least() > room:
            self._beside = [at for at in self._beside if not columns[at].below]
        self._fold(room)

    @property
    def head(self) -> str:
        return self._line([each.title for each in self._columns])

    @property
    def rule(self) -> str:
        return "─" * self._width()

    @property
    def last(self) -> str:
        return self._line(self._last)

    def lines(self) -> Iterator[str]:
        """A row each, of which some may be several lines."""
        beneath = [at for at, each in enumerate(self._columns) if at not in self._beside]
        for row in self._rows:
            yield self._line(row)
            if beneath:
                yield from _filled([row[at] for at in beneath], self._room or 0)

    def _widths(self) -> list[int]:
        found = [cell_len(each.title) for each in self._columns]
        for row in (*self._rows, self._last):
            found = [max(size, _places(cell)) for size, cell in zip(found, row, strict=True)]
        return found

    def _width(self) -> int:
        return sum(self._sizes[at] for at in self._beside) + len(_GAP) * (len(self._beside) - 1)

    def _folding(self) -> list[int]:
        return [at for at in self._beside if self._columns[at].folds]

    def _least(self) -> int:
        return self._width() - sum(max(0, self._sizes[at] - _LEAST) for at in self._folding())

    def _fold(self, room: int) -> None:
        folding = self._folding()
        while self._width() > room and folding:
            widest = max(folding, key=lambda at: self._sizes[at])
            if self._sizes[widest] <= _LEAST:
                break
            self._sizes[widest] -= 1

    def _line(self, row: Row) -> str:
        cells, sizes = [row[at] for at in self._beside], [self._sizes[at] for at in self._beside]
        if all(_places(cell) <= size for cell, size in zip(cells, sizes, strict=True)):
            return self._joined(cells)
        parts = [_folded(cell, size) for cell, size in zip(cells, sizes, strict=True)]
        deep = max(map(len, parts))
        return "\n".join(
            self._joined([part[at] if at < len(part) else "" for part in parts])
            for at in range(deep)
        )

    def _joined(self, cells: Row) -> str:
        found = []
        for at, cell in zip(self._beside, cells, strict=True):
            blank = " " * (self._sizes[at] - _places(cell))
            found.append(blank + cell if self._columns[at].right else cell + blank)
        return _GAP.join(found).rstrip()


def _filled(cells: Iterable[str], room: int) -> Iterator[str]:
    """Cells one after the other, on as many lines as they take."""
    line = ""
    for cell in filter(None, cells):
        if line and _places(_INDENT + line + _GAP + cell) > room:
            yield _INDENT + line
            line = ""
        line = line + _GAP + cell if line else cell
    if line:
        yield _INDENT + line


def _folded(text: str, size: int) -> list[str]:
    """Between words where it can be."""
    if _places(text) <= size:
        return [text]
    lines: list[str] = []
    for word in text.split(" "):
        if lines and _places(lines[-1]) + 1 + _places(word) <= size:
            lines[-1] += f" {word}"
        else:
            lines += chop_cells(word, size)
    return lines


def _places(text: str) -> int:
    """How many of a terminal's places it takes: some letters take two."""
    return len(text) if text.isascii() else cell_len(text)
