"""tapgate start, stop, identify, restart, available."""

from typing import Annotated, Any, Literal

import typer

from tools.portal.commands.calling import Call, command
from tools.portal.refusal import Refusal

Where = Annotated[str, typer.Argument(metavar="CHARGER", show_default=False)]


def register(app: typer.Typer) -> None:
    command(app, "start")(start)
    command(app, "stop")(stop)
    command(app, "identify")(identify)
    command(app, "restart")(restart)
    command(app, "available")(available)


def start(
    call: Call,
    charger: Where,
    person: Annotated[str, typer.Option("--person", metavar="EMAIL", help="Whose session it is.")],
) -> None:
    """Start a session at a charger for a person, without a card.

    The person needs a permission there, now. Where no vehicle is connected yet, one has to be
    within a minute. Any card of theirs ends the session.
    """
    from tools.portal import remote

    answer = remote.start(call.home, charger, person)
    begun = f"{answer['person']} charges at {answer['charger']}"
    approved = f"{answer['person']} is approved at {answer['charger']}: plug in within 60 s"
    call.out.done(answer, begun if answer["started"] else approved)


def stop(call: Call, charger: Where) -> None:
    """End the session that runs at a charger, whoever's it is."""
    from tools.portal import remote

    answer = remote.stop(call.home, charger)
    energy = f", {answer['wh']} Wh" if answer["wh"] else ""
    whose = f" of {answer['person']}" if answer["person"] else ""
    over = f"the session{whose} at {answer['charger']} is over{energy}"
    # Approved, and no vehicle came: there was no session yet.
    back = f"the approval at {answer['charger']} is taken back"
    if answer["tested"]:
        back = f"the self-test at {answer['charger']} is ended"
    call.out.done(answer, over if answer["ended"] else back)


def identify(call: Call, charger: Where) -> None:
    """Let a charger's light blink, to see which one it is."""
    _give(call, charger, "identify", "{} blinks")


def restart(call: Call, charger: Where) -> None:
    """Restart a charger's board. A session that runs there goes on afterwards."""
    _give(call, charger, "restart", "{} restarts")


def available(
    call: Call,
    charger: Where,
    state: Annotated[Literal["on", "off"], typer.Argument(show_default=False)],
) -> None:
    """Switch a charger on or off. Off ends a session that runs there, and outlives a restart."""
    _give(call, charger, "available", f"{{}} is switched {state}", on=state == "on")


def _give(call: Call, charger: str, name: str, line: str, **body: Any) -> None:
    from tools.portal import commanding

    try:
        commanding.give(call.home, charger, name, **body)
    except commanding.Declined as declined:
        raise Refusal(f"{charger} has declined '{name}': {declined.why}") from None
    call.out.done({"charger": charger, "command": name, **body}, line.format(charger))
