"""Charging sessions as a charger's events tell them, in whatever order these came. Pure: events in,
sessions out.

A session is known by the number of its session_started. Such a number may come again in another
journal, on a new or erased flash: what is about it is of the last session_started that was not
after it.

Of several ends one counts. A flash that could not be written makes a charger take a session for
running that it has told the end of: then a power cut's end follows the real one, or the session is
resumed. So an end is none if the session was resumed after it, a real one stands before a power
cut's, and of power cuts the last. Energies are the meter's since the beginning: the most counts.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from tools.portal import timeline
from tools.portal.holdings import is_pseudonym
from tools.portal.schema import Event
from tools.portal.timeline import NEW_JOURNAL
from tools.portal.token import is_token

STARTED, ENDED, RESUMED = "session_started", "session_ended", "session_resumed"
BOUND = "t_min"

_POWER_LOSS = "power_loss"
_MOST = (1 << 53) - 1  # what every reader of JSON keeps whole
_WORD_CHARACTERS = 32


class Told(NamedTuple):
    """One session. The names are those of ChargingSession."""

    boot: int
    end_n: int | None
    start_boot: int | None
    start_up: int | None
    start_t: int | None
    end_boot: int | None
    end_up: int | None
    end_t: int | None
    token: str | None
    role: str | None
    by: str | None
    wh: int
    reason: str | None
    received_at: int


def sessions(events: Sequence[Event]) -> list[Told]:
    """Those of one number, as a rule one."""
    parts: list[list[Event]] = []
    for each in sorted(events, key=lambda each: (each.boot, each.event != STARTED, each.n)):
        goes_on = parts and each.boot - parts[-1][0].boot < NEW_JOURNAL
        if each.event == STARTED or not goes_on:
            parts.append([])
        parts[-1].append(each)
    return [_one(each) for each in parts if any(one.event != RESUMED for one in each)]


def about(event: Event) -> int | None:
    """The number of the session that the event is about."""
    if event.event == STARTED:
        return event.n
    if event.event not in (ENDED, RESUMED):
        return None
    found = whole(event.body.get("session"))
    return event.n if found is None and event.event == ENDED else found


def last_reading(event: Event) -> tuple[int, int] | None:
    """The (boot, up) of a power cut's last reading, which was the session's end."""
    if event.event != ENDED:
        return None
    boot, up = whole(event.body.get("last_boot")), whole(event.body.get("last_up"))
    if boot is None or up is None or not 0 <= event.boot - boot < NEW_JOURNAL:
        return None
    return boot, up


def whole(found: Any) -> int | None:
    """A number of a charger's, if it can be one."""
    return found if type(found) is int and 0 <= found <= _MOST else None


def _one(events: Sequence[Event]) -> Told:
    """`events`: as the charger has counted them, its session_started first."""
    started = events[0] if events[0].event == STARTED else None
    ended = _end(events)
    end_boot = end_up = end_t = None
    if ended is not None:
        end_t = _time(ended, "end")
        last = last_reading(ended)
        if last is None and end_t is None:
            end_t = timeline.trusted(ended.t, ended.received_at)
        end_boot, end_up = last or (ended.boot, ended.up)
    start_t = started and timeline.trusted(started.t, started.received_at)
    if start_t is None:
        told = (_time(each, "start") for each in events if each.event == ENDED)
        start_t = next((each for each in told if each is not None), None)
    begin: dict[str, Any] = started.body if started else {}
    finish: dict[str, Any] = ended.body if ended else {}
    token = begin.get("token") or finish.get("token")
    return Told(
        boot=events[0].boot,
        end_n=ended.n if ended else None,
        start_boot=started.boot if started else None,
        start_up=started.up if started else None,
        start_t=start_t,
        end_boot=end_boot,
        end_up=end_up,
        end_t=end_t,
        token=token if is_token(token) or is_pseudonym(token) else None,
        role=_word(begin.get("role")) or _word(finish.get("role")),
        by=_word(begin.get("by")) or _word(finish.get("by")),
        wh=max(whole(each.body.get("wh")) or 0 if each is not started else 0 for each in events),
        reason=_word(finish.get("reason")),
        received_at=min(each.received_at for each in events),
    )


def _end(events: Sequence[Event]) -> Event | None:
    ends: list[Event] = []
    for each in events:
        if each.event == ENDED:
            ends.append(each)
        elif events[0].event == STARTED:  # or no time at all would be known of it
            ends.clear()
    real = (each for each in ends if each.body.get("reason") != _POWER_LOSS)
    return next(real, ends[-1] if ends else None)


def _time(event: Event, key: str) -> int | None:
    return timeline.trusted(whole(event.body.get(key)), event.received_at)


def _word(found: Any) -> str | None:
    if not isinstance(found, str) or not found.isprintable():
        return None
    return found[:_WORD_CHARACTERS] or None
