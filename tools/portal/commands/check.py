"""tapgate check."""

import time
from typing import Annotated, Any

import typer

from tools.portal.card_number import Reading
from tools.portal.commands.calling import Call, command, typed
from tools.portal.output import console, in_short
from tools.portal.refusal import Refusal, WrongUsage


def register(app: typer.Typer) -> None:
    command(app, "check")(check)


def check(
    call: Call,
    charger: Annotated[str, typer.Argument(metavar="CHARGER", show_default=False)],
    text: Annotated[
        str | None,
        typer.Option(
            "--card",
            metavar="NUMBER-OR-TOKEN",
            help="A card, registered or not; - reads it from standard input.",
            show_default=False,
        ),
    ] = None,
    reading: Annotated[
        Reading | None,
        typer.Option("--as", help="How the card's number is to be read.", show_default=False),
    ] = None,
    email: Annotated[
        str | None,
        typer.Option(
            "--person",
            metavar="EMAIL",
            help="Somebody who starts from the app.",
            show_default=False,
        ),
    ] = None,
    moment: Annotated[
        str | None,
        typer.Option(
            "--at",
            metavar="TIME",
            help="ISO 8601; local time if it says no offset. Without it: now.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """What a charger that is in step answers to a card or a person, and why."""
    if (text is None) == (email is None):
        raise WrongUsage("say who: either --card NUMBER-OR-TOKEN or --person EMAIL")
    if reading is not None and text is None:
        raise WrongUsage("--as goes with --card")

    from tools.portal import chargers, database, installation, moments, people, prediction

    with database.reading(call.home) as session:
        site = installation.current(session)
        zone = installation.zone(site)
        where = chargers.find(session, charger)
        now = int(time.time())
        at = now if moment is None else moments.parse(moment, zone)
        card = None
        if email is not None:
            person = people.find(session, email)
            found = prediction.of_person(session, site, where, person, at)
        else:
            token, card = _card(session, site, typed(text or ""), reading)
            person = card and card.person
            if token is None:
                found = prediction.of_random_number(site, where)
            else:
                # Later than now it is somebody's task to keep the list fresh, and `serve` does.
                issued = prediction.issued_at(session, site, where) if at <= now else None
                found = prediction.of_card(session, site, where, token, at, issued=issued)
        ends = None
        if card is not None and moment is None and not site.operator_name:
            ends = _ends_session(session, site, where, found, card.token)
        answer = {
            "charger": where.name,
            **_answer(found),
            "ends_session": ends,
            "at": moments.shown(at, zone),
            "person": person and person.email,
            "token": card and card.token,
            "operator": found.operator,
            "offline": found.offline and _answer(found.offline),
        }
    call.out.value(answer)
    if not call.out.as_json:
        console().print(*_lines(answer), sep="\n  ", markup=False)


def _card(session: Any, site: Any, text: str, reading: str | None) -> tuple[bytes | None, Any]:
    """Its token, and the card itself if it is registered. No token: a number made up anew."""
    from sqlalchemy import select

    from tools.portal import card_number
    from tools.portal.schema import Card
    from tools.portal.token import is_token, token

    numbers = [card_number.read(text, reading)] if reading else card_number.every_reading(text)
    key = bytes.fromhex(site.card_key)
    tokens = [token(key, each) for each in numbers]
    if reading is None and is_token(as_token := text.strip().lower()):
        tokens.append(bytes.fromhex(as_token))
    if not tokens:
        raise Refusal(
            "that is neither a token (14 hex digits, see 'tapgate card list') nor a card's number"
        )
    found = session.scalars(select(Card).where(Card.token.in_([each.hex() for each in tokens])))
    known = list(found)
    if len(known) > 1:
        raise Refusal("the number fits more than one card; say how it is read with --as")
    if known:
        return bytes.fromhex(known[0].token), known[0]
    if card_number.is_random(numbers[0] if numbers else b""):
        return None, None
    return tokens[0], None


def _ends_session(session: Any, site: Any, where: Any, found: Any, token: str) -> bool | None:
    """Of the session that runs there, as the charger has last said; None: of none."""
    from tools.portal import prediction
    from tools.portal.schema import ReportedState
    from tools.portal.token import is_token

    row = session.get(ReportedState, where.id)
    running = row and row.body.get("session")
    if not isinstance(running, dict):
        return None
    holder = running.get("token")
    theirs = bytes.fromhex(holder) if is_token(holder) else None
    mine = bytes.fromhex(token)
    return prediction.may_end(session, site, found, mine, theirs, running.get("by"))


def _answer(found: Any) -> dict[str, Any]:
    return {
        "verdict": found.verdict,
        "role": found.role,
        "why": found.why,
        "access": found.access,
        "ends": found.ends,
    }


def _lines(answer: dict[str, Any]) -> list[str]:
    said = answer["verdict"] or f"{answer['operator']} decides"
    why = "" if answer["verdict"] is None else f": {answer['why']}"
    lines = [f"{answer['charger']}, {in_short(answer['at'])}: {said}{why}"]
    if offline := answer["offline"]:
        lines.append(f"without its answer: {offline['verdict']}, {offline['why']}")
    if answer["ends"] == "any":
        lines.append("ends anybody's session there")
    elif answer["ends_session"] is not None:
        does = "ends" if answer["ends_session"] else "does not end"
        lines.append(f"{does} the session that runs there")
    if answer["access"] == "open":
        lines.append("that charger is open: anybody charges there without a card")
    return lines
