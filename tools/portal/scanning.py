"""Registering a card by holding it to a charger: the next card there is not judged but reported, by
its token, and bound to a person."""

import asyncio
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import aiomqtt

from tools.portal import (
    cards,
    commanding,
    database,
    intake,
    names,
    operators,
    people,
    permissions,
)
from tools.portal.commanding import Body, Declined, Line
from tools.portal.refusal import Refusal, WrongUsage
from tools.portal.token import HINT_BYTES, is_token

TIMEOUT_S = range(1, 601)  # the most that a charger takes
_LATE_S = 5  # until its own time-out has come through

_HINT = re.compile(rf"[0-9a-f]{{{2 * HINT_BYTES}}}")

_FAILED = {
    "cancelled": "somebody else has called the registration off",
    "RandomNumber": "that card makes up a new number at each tap (a phone, or a card that hides "
    "its own) and cannot be registered; take another",
    "fault": "the charger has a fault; see 'tapgate status {0}'",
    "unavailable": "the charger was switched off meanwhile",
    "replaced": "another registration has begun there",
    "several": "two cards were held to it at once; hold one alone",
}
_RETRIED = {
    "several": "two cards at once: hold one alone",
    "unreadable": "the card could not be read: hold it still for a moment",
}

Tell = Callable[[str], None]


class Scanned(NamedTuple):
    """A card that was held to a charger, bound now."""

    token: str
    hint: str
    person: str
    label: str | None
    permitted: bool  # the person has a permission, somewhere


def scan(
    site_home: Path, email: str, charger: str, timeout_s: int, label: str | None, tell: Tell
) -> Scanned:
    """Bind the card that is held to the charger next to the person. `tell` takes what the one who
    holds the card is to know meanwhile. Refusal says why there is none."""
    if timeout_s not in TIMEOUT_S:
        raise WrongUsage(
            f"--timeout {timeout_s}: allowed are {TIMEOUT_S[0]} to {TIMEOUT_S[-1]} seconds"
        )
    if label is not None:
        names.free_text(label, "label")
    with database.reading(site_home) as session:
        operators.require_native(session)
        people.find(session, email)
    return asyncio.run(_scan(site_home, email, charger, timeout_s, label, tell))


async def _scan(
    site_home: Path, email: str, charger: str, timeout_s: int, label: str | None, tell: Tell
) -> Scanned:
    async with commanding.reached(site_home, charger) as line:
        try:
            done, _ = await line.carried_out("enrol", {"seconds": timeout_s})
            tell(f"hold the card to {line.charger}, within {timeout_s} s")
            event = await _outcome(line, done, timeout_s, tell)
            with database.changing(site_home) as session:
                operators.require_native(session)
                person = people.find(session, email)
                token, digits = event["token"], event["hint"]
                card = cards.bind(session, person, token, digits, label, "scan")
                permitted = permissions.has_any(session, person)
                return Scanned(token, digits, person.email, card.label, permitted)
        except Declined as declined:
            why = declined.busy or declined.why
            raise Refusal(f"{line.charger} registers no card now: {why}") from None
        except aiomqtt.MqttError as error:
            if line.sent is None:
                raise
            raise Refusal(_broken(line, timeout_s)) from error
        except asyncio.CancelledError:
            raise Refusal(await _called_off(line, timeout_s)) from None


async def _called_off(line: Line, timeout_s: int) -> str:
    if line.sent is None:
        return "interrupted: no card was registered"
    try:
        await line.order("enrol", {"seconds": 0})
    except aiomqtt.MqttError:
        return f"interrupted; {_broken(line, timeout_s)}"
    return f"interrupted: no card was registered, and {line.charger} waits for none any more"


def _broken(line: Line, timeout_s: int) -> str:
    return (
        f"the link to the broker broke: no card was registered, and {line.charger} may wait for "
        f"one for another {timeout_s} s; what is held to it meanwhile becomes nobody's"
    )


async def _outcome(line: Line, done: Body, timeout_s: int, tell: Tell) -> Body:
    """The `card_enrolled` event of the order that `done` answers."""
    remarks: dict[str, None] = {}
    end = time.monotonic() + timeout_s + _LATE_S
    while (event := await line.event(end)) is not None:
        name, why = event.get("event"), intake.shown(event.get("why", ""))
        if name == "booted" and _number(event, "boot") > _number(done, "boot"):
            raise Refusal(f"{line.charger} has restarted meanwhile; run it again")
        later = event.get("command") == "enrol" and _number(event, "v") > _number(done, "v")
        if name == "command_done" and later and event.get("ok") is True:
            raise Refusal(
                f"another registration has begun at {line.charger}; no card was registered here"
            )
        if event.get("v") != done["v"]:
            continue
        if name == "card_enrolled" and _is_whole(event):
            return event
        if name == "enrol_retry" and why not in remarks:
            remarks[why] = None
            tell(_RETRIED.get(why, f"that did not work ({why}): hold it there again"))
        if name == "enrol_failed" and why != "time_out":
            raise Refusal(
                f"no card was registered: {_FAILED.get(why, why or 'no reason given')}".replace(
                    "{0}", line.charger
                )
            )
        if name == "enrol_failed":
            break
    seen = [_RETRIED[why] for why in remarks if why in _RETRIED]
    raise Refusal(
        f"no card was held to {line.charger} within {timeout_s} s"
        + (f" that could be registered ({'; '.join(seen)})" if seen else "")
        + "; run it again"
    )


def _is_whole(event: Body) -> bool:
    token, digits = event.get("token"), event.get("hint")
    return is_token(token) and isinstance(digits, str) and bool(_HINT.fullmatch(digits))


def _number(event: Body, key: str) -> int:
    found: Any = event.get(key)
    return found if type(found) is int else 0
