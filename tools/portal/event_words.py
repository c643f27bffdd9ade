"""An event for people: who, how much, from when until when. A charger's own words are shown as they
may stand on a terminal."""

from collections.abc import Iterator
from datetime import tzinfo
from typing import Any, TypeGuard

from tools.portal import in_words, moments
from tools.portal.intake import shown
from tools.portal.output import in_short
from tools.portal.token import is_token

Body = dict[str, Any]

# In a column of its own, or of no use to people.
_ELSEWHERE = ("charger", "charger_removed", "n", "boot", "time", "event", "estimated")
_OF_A_HOLDER = ("token", "person", "hint", "label")
_MOMENTS = ("start", "end", "t_min", "last_t")
_SPOKEN = {
    "session_started": ("by", "role", "group"),
    "session_ended": (
        "by", "role", "session", "start", "end", "wh", "reason", "last_boot", "last_up",
    ),
    "session_resumed": ("session", "wh"),
    "selftest_done": ("passed", "failed", "parts", "why"),
    "update_failed": ("firmware", "why"),
}  # fmt: skip
# What a charger has on its flash of the portal's, by the fault's name.
_SIGNED = {
    "settings_damaged": "settings on its flash are",
    "allowlist_damaged": "list on its flash is",
}
_OTHER_KEY = "not made with this charger's key"  # firmware/link/messages.py
_BEGUN = {"operator": "let in by the operator", "remote": "from the app", "open": "open to anyone"}


def when(row: Body) -> str:
    """The local time; with "~" where the charger did not know it and it was worked out."""
    if row["time"]:
        return f" {in_short(row['time'])}"
    return f"~{in_short(row['estimated'])}" if row.get("estimated") else f" {in_words.NOTHING}"


def what(row: Body, zone: tzinfo) -> str:
    """All that an event says beyond its name, the charger and the time."""
    spoken = _SPOKEN.get(row["event"], ())
    parts = [*_said(row, zone), *_rest(row, zone, (*_ELSEWHERE, *_OF_A_HOLDER, *spoken))]
    return ", ".join(parts)


def at_once(charger: str, event: str, body: Body) -> str | None:
    """The line for whoever watches `serve`, of an event that is worth one."""
    said = {key: shown(value, 60) for key, value in body.items()}
    detail = f", {said['detail']}" if body.get("detail") else ""
    if event == "list_applied":
        return f"{charger}: holds its list, {said.get('cards', '?')} cards"
    if event == "message_rejected":
        why = f"{said.get('why')}, {said.get('detail')}"
        return f"{charger}: refused a message on {said.get('topic')}: {why}"
    if event == "fault":
        remark = _after_rekey({"event": event, **body})
        return f"{charger}: fault: {said.get('fault')}{f', {remark}' if remark else detail}"
    if event == "fault_cleared":
        return f"{charger}: fault cleared: {said.get('fault')}{detail}"
    return None


def _after_rekey(row: Body) -> str | None:
    """What a charger finds on its flash right after it was given another key."""
    what = _SIGNED.get(str(row.get("fault"))) if row["event"] == "fault" else None
    if what is None or _OTHER_KEY not in str(row.get("detail")):
        return None
    return f"the {what} signed with another key: as it should be after a rekey, until it is linked"


def _said(row: Body, zone: tzinfo) -> Iterator[str]:
    name = row["event"]
    if "token" in row:
        yield from _who(row)
    if name == "session_started":
        by = row.get("by")
        if by != "card" and isinstance(by, str):
            yield _BEGUN.get(by) or shown(by, 32)
    if name in ("session_ended", "session_resumed") and _whole(row.get("wh")):
        yield f"{in_words.kwh(row['wh'])} kWh{' so far' if name == 'session_resumed' else ''}"
    if name == "session_ended":
        yield from _from_to(row, zone)
        reason = row.get("reason")
        if isinstance(reason, str):
            yield in_words.reason(reason)
    if name == "selftest_done":
        yield in_words.selftest(row)
    remark = _after_rekey(row)
    if remark:
        yield remark
    if name == "update_failed":
        yield f"{shown(row.get('firmware'), 32)} gave way to the version before"
        yield shown(row.get("why"))


def _who(row: Body) -> Iterator[str]:
    token, person = _text(row, "token"), _text(row, "person")
    if token is None:
        if row["event"].startswith("session_"):
            yield in_words.NO_CARD
        return
    if not is_token(token):  # what stands there for somebody who was removed
        yield shown(token)
        return
    if person is not None:
        yield shown(person, 300)
    hint, label = _text(row, "hint"), _text(row, "label")
    if hint or label or person is None:
        yield f"card {in_words.card(token, hint, label, None)}"


def _from_to(row: Body, zone: tzinfo) -> Iterator[str]:
    start, end = (_local(row.get(key), zone) for key in ("start", "end"))
    if start and end:
        same_day = start[:10] == end[:10]
        yield f"{start} to {end[11:] if same_day else end}"
    elif start or end:
        yield f"from {start}" if start else f"until {end}"


def _rest(row: Body, zone: tzinfo, spoken: tuple[str, ...]) -> Iterator[str]:
    for key, value in row.items():
        if key in spoken or value is None:
            continue
        moment = _local(value, zone) if key in _MOMENTS else None
        yield f"{shown(key, 32)} {moment or shown(value)}"


def _local(value: object, zone: tzinfo) -> str | None:
    moment = moments.shown_or_none(value, zone) if _whole(value) else None
    return in_short(moment) if moment else None


def _whole(value: object) -> TypeGuard[int]:
    return type(value) is int


def _text(row: Body, key: str) -> str | None:
    found = row.get(key)
    return found if isinstance(found, str) else None
