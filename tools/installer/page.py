"""The one page at the end: what was done, what was found, and whether it passed."""

from typing import Any

from tools.installer.provision import Result
from tools.portal.output import show as show_table

_MARKS = {True: ("✓", "green"), False: ("✗", "bold red"), None: ("–", "yellow")}
_KB = 1024


def value(result: Result) -> dict[str, Any]:
    """For --json."""
    return {
        "charger": result.charger,
        "port": result.port,
        "passed": result.passed,
        "done": result.done,
        "board": result.board,
        "firmware": result.firmware,
        "parts": result.parts,
        "console": result.console if not result.passed else [],
        "sent": result.sent,
        "received": result.received,
        "seconds": result.seconds,
    }


def show(screen: Any, result: Result) -> None:
    """On a rich console."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    untried = [each["part"] for each in result.parts if each["ok"] is None]
    word = ("PASSED", "bold green") if result.passed else ("FAILED", "bold red")
    but = f", not tested: {', '.join(untried)}" if result.passed and untried else ""
    screen.print()
    screen.print(
        Text.assemble(
            (f"Charger {result.charger}", "bold"), f" at {result.port}:  ", word, (but, "yellow")
        )
    )
    screen.print()
    for line in result.done:
        screen.print(Text.assemble(("  • ", "dim"), line))
    screen.print()
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for column in ("", "part", "found"):
        table.add_column(column, overflow="fold", no_wrap=column == "part")
    for each in result.parts:
        mark, colour = _MARKS[each["ok"]]
        right = f" (right is: {each['right']})" if each["ok"] is False and each["right"] else ""
        about = [Text(each["found"] + right)]
        if each["advice"] and each["ok"] is not True:
            about.append(Text(f"→ {each['advice']}", colour))
        table.add_row(Text("  " + mark, colour), Text(each["part"]), Group(*about))
    show_table(screen, table)
    if not result.passed and result.console:
        screen.print()
        screen.print(Text("  what the board has said:", "dim"))
        for line in result.console:
            screen.print(Text(f"    {line}", "dim"))
    screen.print()
    screen.print(Text(f"  {_amount(result)}", "dim"))


def _amount(result: Result) -> str:
    return (
        f"{result.sent / _KB:.1f} KB sent, {result.received / _KB:.1f} KB received, "
        f"{result.seconds:.0f} s"
    )
