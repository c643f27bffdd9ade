"""tapgate selftest."""

from typing import Annotated, Any

import typer

from tools.portal.commands.calling import Call, command
from tools.portal.refusal import Refusal, WrongUsage

_WIDTH = 100  # without a terminal


def register(app: typer.Typer) -> None:
    command(app, "selftest")(selftest)


def selftest(
    call: Call,
    charger: Annotated[str | None, typer.Argument(metavar="[CHARGER]", show_default=False)] = None,
    port: Annotated[
        str | None,
        typer.Option(
            metavar="PORT",
            help="Of a charger on a cable, like /dev/ttyUSB0 or COM3.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Let a charger test its parts, with no vehicle connected: over a cable (--port), or from afar
    by its name. Hold a card to its reader meanwhile.

    The firmware runs on, and the contactor closes for a second.
    """
    if (charger is None) == (port is None):
        raise WrongUsage("name the charger, or the --port of its cable")
    rows, why = _over_a_cable(call, port) if port else _from_afar(call, charger or "")
    from tools.installer.selftest import passed

    good = passed(rows) and not why
    if call.out.as_json:
        call.out.value({"charger": charger, "port": port, "passed": good, "parts": rows})
    else:
        show(call, rows)
    untested = [each["part"] for each in rows if each["ok"] is None]
    if why:
        raise Refusal(why)
    if not good:
        failed = ", ".join(each["part"] for each in rows if each["ok"] is False)
        raise Refusal(f"the self-test has failed: {failed}; what to do stands in the table")
    if not call.out.as_json:
        but = f"; not tested: {', '.join(untested)}" if untested else ""
        call.out.done(None, f"the self-test has passed{but}")


def show(call: Call, rows: list[dict[str, Any]]) -> None:
    """As a table: what was measured and what to do, what is right."""
    from rich.text import Text

    marks = {True: ("✓", "green"), False: ("✗", "bold red"), None: ("–", "yellow")}

    def cells(each: dict[str, Any]) -> tuple[Text, ...]:
        mark, style = marks[each["ok"]]
        found = Text(each["found"])
        if each["advice"]:
            found.append(f"\n→ {each['advice']}", style.replace("bold ", ""))
        failed = each["ok"] is False
        part = Text(each["part"], style if failed else "")
        return Text(mark, style), part, found, Text(each["right"], "dim")

    call.out.table(
        ("", "part", "measured → what to do", "right is"),
        map(cells, rows),
        "nothing was tested",
        _WIDTH,
    )


def _over_a_cable(call: Call, port: str) -> tuple[list[dict[str, Any]], str]:
    from tools.installer import selftest

    try:
        return selftest.run(port, call.out.say), ""
    except selftest.EndedEarly as early:
        return early.rows, str(early)


def _from_afar(call: Call, charger: str) -> tuple[list[dict[str, Any]], str]:
    from tools.installer import remedies
    from tools.portal import self_testing
    from tools.portal.intake import shown

    def begun() -> None:
        call.out.say("hold any card to the reader; the result comes in half a minute at most")

    event = self_testing.carried_out(call.home, charger, begun)
    why = event.get("why")
    return remedies.rows_of(event), f"the self-test has ended early: {shown(why)}" if why else ""
