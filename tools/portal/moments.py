"""TIME and DATE on the command line: ISO 8601 in, UTC seconds inside, the offset with it out."""

import os
import re
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from tools.portal.refusal import WrongUsage

_DATE_ALONE = re.compile(r"\d{4}-?\d{2}-?\d{2}|\d{4}-?W\d{2}-?\d")
_END = int(datetime(9999, 1, 1, tzinfo=UTC).timestamp())
_WEEK_ALONE = re.compile(r"\d{4}-?W\d{2}")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_FIRST_YEAR, _LAST_YEAR = 1970, 9998


def zone(name: str) -> tzinfo:
    """The time zone of that name. WrongUsage if this computer does not know it."""
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise WrongUsage(
            f"time zone {name!r} is not known here; give one like Europe/Oslo or UTC"
        ) from None


def machine_zone_name() -> str:
    """The zone this computer is set to, or UTC when it does not say."""
    candidates = [os.environ.get("TZ", "").lstrip(":")]
    candidates.append(os.path.realpath("/etc/localtime").partition("/zoneinfo/")[2])
    try:  # where the other is a copy; beside a link, it may be older than that
        candidates.append(Path("/etc/timezone").read_text(encoding="ascii").strip())
    except (OSError, ValueError):
        pass
    for name in candidates:
        if not name or name.startswith("/"):
            continue
        try:
            zone(name)
        except WrongUsage:
            continue
        return name
    return "UTC"


def parse(text: str, where: tzinfo, *, end: bool = False) -> int:
    """UTC seconds of an ISO 8601 time. A date alone is its first moment or, with `end`, its last:
    the midnight that follows. Local times that a clock change skips or repeats are refused."""
    found = text.strip()
    try:
        if _WEEK_ALONE.fullmatch(found):
            raise ValueError  # Python takes it for its Monday
        moment = datetime.fromisoformat(found)
    except ValueError:
        raise WrongUsage(
            f"{text!r} is not a time; write it like 2026-05-31T18:00, 2026-05-31T18:00+02:00 "
            "or 2026-05-31"
        ) from None
    if end and _DATE_ALONE.fullmatch(found):
        try:
            moment = datetime.combine(moment.date() + timedelta(days=1), time())
        except OverflowError:
            raise WrongUsage(f"{text!r} is beyond the calendar") from None
    if moment.tzinfo is None:
        moment = _local(moment, where, text)
    try:
        seconds = int(moment.timestamp() // 1)
    except (OverflowError, ValueError):
        raise WrongUsage(f"{text!r} is beyond the calendar") from None
    if not 0 <= seconds < _END:  # what every zone can show
        raise WrongUsage(f"{text!r} is beyond the calendar: it begins in 1970 and ends with 9998")
    return seconds


def day(text: str) -> date:
    """A day of the calendar, written like 2026-05-31."""
    found = text.strip()
    try:
        if not _DAY.fullmatch(found):
            raise ValueError
        parsed = date.fromisoformat(found)
    except ValueError:
        raise WrongUsage(f"{text!r} is not a date; write it like 2026-05-31") from None
    if not _FIRST_YEAR <= parsed.year <= _LAST_YEAR:
        raise WrongUsage(
            f"{text!r} is beyond the calendar: it begins in {_FIRST_YEAR} "
            f"and ends with {_LAST_YEAR}"
        )
    return parsed


def midnight(of: date, where: tzinfo) -> int:
    """UTC seconds at which that local day begins. A midnight that the clock skips is the moment
    at which it is put forward; of one that comes twice it is the first."""
    return int(datetime.combine(of, time(), where).timestamp())


def shown(seconds: int, where: tzinfo) -> str:
    """ISO 8601 in local time with its offset."""
    return datetime.fromtimestamp(seconds, where).isoformat()


def shown_or_none(seconds: int | None, where: tzinfo) -> str | None:
    """The same; None for no time, and for one that is beyond all calendars."""
    try:
        return None if seconds is None else shown(seconds, where)
    except (ValueError, OverflowError, OSError):
        return None


def _local(moment: datetime, where: tzinfo, text: str) -> datetime:
    try:
        first = moment.replace(tzinfo=where, fold=0)
        second = moment.replace(tzinfo=where, fold=1)
        if first.utcoffset() == second.utcoffset():
            return first
        back = first.astimezone(UTC).astimezone(where).replace(tzinfo=None)
    except OverflowError:
        raise WrongUsage(f"{text!r} is beyond the calendar") from None
    if back != moment:
        raise WrongUsage(f"{text!r} does not exist here: the clock is put forward over it")
    raise WrongUsage(
        f"{text!r} comes twice here, when the clock is put back; "
        f"write {first.isoformat()} or {second.isoformat()}"
    )
