"""What a command prints: exactly one JSON value, or a few lines for people."""

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

# Not on a terminal nothing is cut or wrapped: a pipe has no width.
_PIPE_WIDTH = 10_000


class Output:
    def __init__(self, *, as_json: bool):
        self.as_json = as_json

    def value(self, value: Any) -> None:
        """The command's answer with --json; nothing without."""
        if self.as_json:
            sys.stdout.write(json.dumps(value, indent=2) + "\n")

    def done(self, value: Any, *lines: str) -> None:
        """The answer, or these lines: the first says what was done, the others what to know."""
        if self.as_json:
            self.value(value)
            return
        from rich.text import Text

        screen = console()
        first, *others = lines
        screen.print(Text.assemble(("✓ ", "bold green"), first))
        for line in others:
            screen.print(Text.assemble("  ", (line, "dim" if screen.is_terminal else "")))

    def say(self, line: str) -> None:
        """Something to do now, before there is an answer: beside JSON on standard error."""
        stream = sys.stderr if self.as_json else sys.stdout
        stream.write(f"{line}\n")
        stream.flush()

    def table(
        self,
        columns: Iterable[str],
        rows: Iterable[Iterable[Any]],
        nothing: str,
        width: int | None = None,
    ) -> None:
        """Rows for people. A cell is text or a rich Text; None shows as a dash. `width`: where
        there is no terminal, for a table of sentences."""
        from rich import box
        from rich.table import Table
        from rich.text import Text

        screen = console()
        table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
        for column in columns:
            table.add_column(column, overflow="fold")
        for row in rows:
            table.add_row(
                *(
                    cell
                    if isinstance(cell, Text)
                    else Text("–" if cell is None else str(cell), "dim" if cell is None else "")
                    for cell in row
                )
            )
        show(screen, table if table.row_count else Text(nothing), width)

    @contextmanager
    def progress(self) -> Iterator[Callable[[str, int, int], None]]:
        """A bar for what takes long: tell it what is being done, how much of it, and of how much.
        On a terminal only, and gone at the end."""
        if self.as_json or not sys.stderr.isatty():
            yield lambda what, done, total: None
            return
        from rich.console import Console
        from rich.progress import Progress

        with Progress(console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("")
            yield lambda what, done, total: bar.update(
                task, description=what, completed=done, total=total
            )

    def line(self, line: str) -> None:
        """A remark below a table."""
        from rich.text import Text

        console().print(Text(line))

    def note(self, line: str) -> None:
        """Something to know beside the answer: on standard error."""
        sys.stderr.write(f"tapgate: {line}\n")


def in_short(moment: str) -> str:
    """An ISO time for people: local, to the minute."""
    return moment[:16].replace("T", " ")


def count(number: int, what: str) -> str:
    """ "1 card", "2 cards"."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def show(screen: "Console", table: Any, width: int | None = None) -> None:
    """A table without the blanks that fill its lines up, which are of no use in a file. `width`:
    where there is no terminal."""
    if screen.is_terminal:
        screen.print(table)
        return
    with screen.capture() as capture:
        screen.print(table, width=width)
    screen.file.write("".join(f"{line.rstrip()}\n" for line in capture.get().splitlines()))


def console() -> "Console":
    """Standard output for people, as wide as the terminal is."""
    from rich.console import Console

    class Here(Console):
        def on_broken_pipe(self) -> None:
            raise BrokenPipeError  # the command line knows what to do; rich would end the process

    found = Here(highlight=False)
    return found if found.is_terminal else Here(highlight=False, width=_PIPE_WIDTH)
