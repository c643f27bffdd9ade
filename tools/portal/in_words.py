"""Sessions, cards and energies as people read them. What a charger wrote is shown as it may stand
on a terminal."""

from typing import Any

from tools.portal.intake import shown
from tools.portal.token import is_token

NO_CARD = "no card"
NOBODY_KNOWN = "nobody known"
WITHOUT_A_PERSON = "without a person"
NOT_KNOWN = "not known"
NOTHING = "–"
WITHOUT_A_CARD = "without a card"
ESTIMATED = (
    "no exact time: the charger's clock was not set, or its supply failed; "
    "worked out from what it told later"
)

# What ended a session (DESIGN section 8).
_REASONS = {
    "card": "own card",
    "group": "group's card",
    "owner": "owner's card",
    "service": "service card",
    "unplugged": "unplugged",
    "withdrawn": "withdrawn",
    "unavailable": "switched off",
    "remote": "from afar",
    "power_loss": "power cut",
}
_MINUTE_S, _HOUR_S, _DAY_S = 60, 3_600, 86_400


def charger(name: str, removed: str | None) -> str:
    """`removed`: when it was taken out, as ISO 8601; None of one that is there."""
    return shown(name) + (f" (removed {removed[:10]})" if removed else "")


def kwh(wh: int) -> str:
    """To the watt-hour, so that what is shown adds up: "12.345"."""
    sign = "-" if wh < 0 else ""
    return f"{sign}{abs(wh) // 1_000}.{abs(wh) % 1_000:03}"


def span(seconds: int) -> str:
    """ "35 s", "47 min", "2 h 05 min", "3 d 04 h"."""
    if seconds < _MINUTE_S:
        return f"{max(0, seconds)} s"
    if seconds < _HOUR_S:
        return f"{seconds // _MINUTE_S} min"
    if seconds < _DAY_S:
        return f"{seconds // _HOUR_S} h {seconds % _HOUR_S // _MINUTE_S:02} min"
    return f"{seconds // _DAY_S} d {seconds % _DAY_S // _HOUR_S:02} h"


def reason(word: str | None) -> str:
    """Why a session ended."""
    if word is None:
        return NOT_KNOWN
    return _REASONS.get(word) or shown(word, 32).replace("_", " ")


def selftest(event: dict[str, Any]) -> str:
    """What became of it: "passed", "failed: contactor, wifi", "ended early: …"."""
    failed, parts = event.get("failed"), []
    if isinstance(failed, list) and failed:
        parts.append(f"failed: {', '.join(map(shown, failed))}")
    if event.get("why"):
        parts.append(f"ended early: {shown(event['why'])}")
    return "; ".join(parts) or ("passed" if event.get("passed") is True else "not passed")


def card(token: str | None, hint: str | None, label: str | None, by: str | None) -> str:
    """What a session was begun with: the card's label or the number's last two bytes, its token
    where no more is known of it. Of somebody who was removed not even that."""
    if not is_token(token):
        return NO_CARD if token is None and by == "open" else NOTHING
    if label:
        return shown(label)
    if hint:
        return f"…{shown(hint)}"
    return "the app" if by == "remote" else shown(token)


def person(email: str | None, token: str | None) -> str:
    """Whose session it is. Nobody is asked for where anybody may charge."""
    if email is not None:
        return shown(email, 300)
    return NOTHING if token is None else NOBODY_KNOWN
