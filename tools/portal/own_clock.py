"""Is this computer's clock right? Asked before anything is signed that tells a charger the time.

A charger takes the time of a message for the earliest that it can be, and never goes back (DESIGN
section 9): one message from a year to come locks it until somebody comes to its console. So a time
that does not fit what is known is no reason to sign, but to ask.

What is known: the times of what was signed, of what chargers have reported, and, in a file beside
the data, when this clock was last found right. That file also says what somebody has overruled.
"""

import json
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from tools.portal import home as homes
from tools.portal import installation, moments
from tools.portal.refusal import Refusal
from tools.portal.schema import Event, Installation, Publication
from tools.portal.timeline import AHEAD_S

BACK_S = 3_600  # so far the clock may be put back
UNUSED_S = 35 * 86_400  # so long nothing need have been heard of: longer than any month
_NOTE_EVERY_S = 86_400
_FILE = "clock.json"

_TIMES = (
    (Publication.t, ()),
    (Event.t, (Event.t <= Event.received_at + AHEAD_S,)),
    (Installation.created_at, ()),
)


def check(session: Session, now: int) -> None:
    """Refusal if `now`, UTC seconds of this computer, is nothing to be signed with."""
    why = doubt(session, now)
    if why:
        raise Refusal(why)
    right_at, overruled = _noted(session)
    if not 0 <= now - right_at < _NOTE_EVERY_S:
        try:
            _note(session, now, overruled)
        except (OSError, Refusal):
            pass  # without it one is asked earlier


def confirm(session: Session, now: int) -> None:
    """Somebody says that `now` is right, whatever is known."""
    try:
        _note(session, now, max(_latest(session), _noted(session)[1]))
    except OSError as error:
        raise Refusal(f"{_path(session)}: {error.strerror}") from None


def doubt(session: Session, now: int) -> str | None:
    """Why nothing may be signed at `now`, and how to go on; None if all is well."""
    right_at, overruled = _noted(session)
    most = now + BACK_S
    latest = _latest(session)
    if right_at > most or latest > max(most, overruled):
        known = max(right_at, latest if latest > overruled else 0)
        what = "is before"
    else:
        known = max(right_at, latest if latest <= most else _latest(session, most))
        what = f"is more than {UNUSED_S // 86_400} days after"
        if now - known <= UNUSED_S:
            return None
    zone = installation.zone(installation.current(session))
    # To the minute: `serve` says the same again no more often than that.
    here, there = (
        (moments.shown_or_none(each, zone) or f"{each} s")[:16].replace("T", " ")
        for each in (now, known)
    )
    return (
        f"nothing is signed: this computer's clock says {here}, which {what} the last time known "
        f"here, {there}; a wrong time would lock the chargers. Set the clock; if it is right, "
        "run 'tapgate publish --clock-is-right' once"
    )


def _latest(session: Session, most: int | None = None) -> int:
    """The latest time that is known, or that is not after `most`."""
    found = 0
    for column, conditions in _TIMES:
        wanted = select(column).where(column.is_not(None), *conditions)
        if most is not None:
            wanted = wanted.where(column <= most)
        found = max(found, session.scalars(wanted.order_by(column.desc()).limit(1)).first() or 0)
    return found


def _path(session: Session) -> Path:
    return session.info["home"] / _FILE


def _noted(session: Session) -> tuple[int, int]:
    """When the clock was last right, and up to when later times than that are overruled."""
    try:
        found = json.loads(_path(session).read_text(encoding="utf-8"))
        return int(found["right_at"]), int(found["overruled"])
    except (OSError, ValueError, TypeError, KeyError):
        return 0, 0


def _note(session: Session, right_at: int, overruled: int) -> None:
    path = _path(session)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)  # the data may lie elsewhere
    text = json.dumps({"right_at": right_at, "overruled": overruled})
    homes.write_secret(path, text)
