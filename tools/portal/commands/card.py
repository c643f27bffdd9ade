"""tapgate card add, scan, list, block, unblock, remove."""

from typing import Annotated, Any

import typer

from tools.portal import card_number
from tools.portal.card_number import Reading
from tools.portal.commands.calling import Call, command, group, typed
from tools.portal.commands.person import Email

Which = Annotated[str, typer.Argument(metavar="NUMBER-OR-TOKEN", show_default=False)]
As = Annotated[
    Reading | None,
    typer.Option(
        "--as", help="How the number is to be read, where it could be several.", show_default=False
    ),
]


def register(app: typer.Typer) -> None:
    card = group("Cards: add, scan, list, block, unblock, remove.")
    command(card, "add")(add)
    command(card, "scan")(scan)
    command(card, "list")(list_)
    command(card, "block")(block)
    command(card, "unblock")(unblock)
    command(card, "remove")(remove)
    app.add_typer(card, name="card")


def add(
    call: Call,
    email: Email,
    text: Annotated[
        str,
        typer.Option(
            "--number",
            metavar="TEXT",
            help="As printed on the card; - reads it from standard input.",
            show_default=False,
        ),
    ],
    reading: As = None,
    label: Annotated[
        str | None, typer.Option("--label", metavar="TEXT", show_default=False)
    ] = None,
) -> None:
    """Give a person a card. Its number is not kept: only a token that is made from it."""
    number = card_number.number(typed(text), reading)

    from tools.portal import cards, database, installation, operators, people, permissions

    with database.changing(call.home) as session:
        operators.require_native(session)
        person = people.find(session, email)
        card = cards.add(session, installation.current(session), person, number, label)
        answer = _answer(card)
        permitted = permissions.has_any(session, person)
    address = answer["person"]
    lines = [] if permitted else [f"no permission yet: tapgate grant {address} --role user"]
    call.out.done(
        answer,
        f"{address} has the card …{answer['hint']}, token {answer['token']}",
        *lines,
        "next: tapgate publish",
    )


def scan(
    call: Call,
    email: Email,
    charger: Annotated[
        str,
        typer.Option(
            "--charger", metavar="NAME", help="Where the card is held to.", show_default=False
        ),
    ],
    timeout: Annotated[
        int, typer.Option(metavar="SECONDS", help="How long to wait for a card, up to 600.")
    ] = 60,
    label: Annotated[
        str | None, typer.Option("--label", metavar="TEXT", show_default=False)
    ] = None,
) -> None:
    """Give a person the card that is held to a charger next, and let every charger know it.

    The number never leaves the charger: what comes back is the card's token.
    """
    from tools.portal import publishing, scanning
    from tools.portal.refusal import Refusal

    found = scanning.scan(call.home, email, charger, timeout, label, call.out.say)
    answer = {**found._asdict(), "blocked": False}
    address, permitted = answer["person"], answer.pop("permitted")
    lines = [] if permitted else [f"no permission yet: tapgate grant {address} --role user"]
    try:
        publishing.publish(call.home, everything=False)
    except Refusal as why:
        call.out.note(f"it is not on the chargers' lists yet: {why}; run 'tapgate publish'")
    call.out.done(
        answer, f"{address} has the card …{answer['hint']}, token {answer['token']}", *lines
    )


def list_(
    call: Call,
    email: Annotated[
        str | None, typer.Option("--person", metavar="EMAIL", show_default=False)
    ] = None,
) -> None:
    """List cards, by token and the last two bytes of the number."""
    from tools.portal import cards, database, people

    with database.reading(call.home) as session:
        person = people.find(session, email) if email is not None else None
        rows = [_answer(each) for each in cards.listed(session, person)]
    if call.out.as_json:
        call.out.value(rows)
        return
    call.out.table(
        ["token", "number", "person", "label", ""],
        (
            (
                row["token"],
                f"…{row['hint']}",
                row["person"],
                row["label"],
                "blocked" if row["blocked"] else "",
            )
            for row in rows
        ),
        nothing="no cards yet; run 'tapgate card add EMAIL --number TEXT'",
    )


def block(call: Call, which: Which, reading: As = None) -> None:
    """Block a card: it stays on the list and is refused as blocked."""
    _set_blocked(call, which, reading, True)


def unblock(call: Call, which: Which, reading: As = None) -> None:
    """Let a blocked card work again."""
    _set_blocked(call, which, reading, False)


def remove(call: Call, which: Which, reading: As = None) -> None:
    """Take a card away from its person."""
    from tools.portal import cards, database, installation

    with database.changing(call.home) as session:
        card = cards.find(session, installation.current(session), typed(which), reading)
        answer = _answer(card)
        cards.remove(session, card)
    call.out.done(
        answer,
        f"the card …{answer['hint']} of {answer['person']} is removed",
        "next: tapgate publish",
    )


def _set_blocked(call: Call, which: str, reading: str | None, blocked: bool) -> None:
    from tools.portal import cards, database, installation, operators

    with database.changing(call.home) as session:
        if not blocked:
            operators.require_native(session)
        card = cards.find(session, installation.current(session), typed(which), reading)
        card.blocked = blocked
        answer = _answer(card)
    word = "blocked" if blocked else "not blocked any more"
    call.out.done(
        answer,
        f"the card …{answer['hint']} of {answer['person']} is {word}",
        "next: tapgate publish",
    )


def _answer(card: Any) -> dict[str, Any]:
    return {
        "token": card.token,
        "hint": card.hint,
        "person": card.person.email,
        "label": card.label,
        "blocked": card.blocked,
    }
