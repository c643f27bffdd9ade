"""Named weeks: local times at which a permission counts, and what a charger is told of them."""

import time
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session, selectinload

from tools.portal import installation, named, numbering, week
from tools.portal.allowlist import EPOCH_S
from tools.portal.refusal import Refusal
from tools.portal.schema import Permission, Schedule, ScheduleWindow

LAST_NUMBER = 31  # five bits of an entry's flags (DESIGN section 6)
WINDOWS_MAX = 256  # of all schedules: 1 KB on a board
YEARS = 5  # this one and the next four: how far ahead a charger is told of clock changes
_STEP = timedelta(hours=6)


def add(session: Session, name: str, windows: list[week.Window]) -> Schedule:
    text = named.unused(session, Schedule, name)
    site = installation.current(session)
    free = numbering.free(session, Schedule, site.last_schedule, LAST_NUMBER, 1)
    if not free:
        raise Refusal("there are 31 schedules, the most an allow-list can name; remove one first")
    site.last_schedule = free[0]
    schedule = Schedule(number=free[0], name=text)
    session.add(schedule)
    change(session, schedule, windows)
    return schedule


def change(session: Session, schedule: Schedule, windows: list[week.Window]) -> None:
    others = (windows_of(each) for each in every(session) if each is not schedule)
    count = len(windows) + sum(map(len, others))
    if count > WINDOWS_MAX:
        raise Refusal(
            f"with that, all schedules together have {count} windows, a charger keeps "
            f"{WINDOWS_MAX}; use fewer"
        )
    schedule.windows = [
        ScheduleWindow(weekday=day, start_min=first, end_min=end)
        for day, first, end in week.by_day(windows)
    ]
    session.flush()


def remove(session: Session, schedule: Schedule) -> None:
    used = uses(session, schedule)
    if used:
        raise Refusal(
            f"'{schedule.name}' is used by {used} permission{'' if used == 1 else 's'}; give those "
            "another one first, or change its week with 'tapgate schedule set'"
        )
    session.delete(schedule)
    session.flush()


def uses(session: Session, schedule: Schedule) -> int:
    """How many permissions have it."""
    counted = select(func.count(Permission.id)).where(Permission.schedule_id == schedule.id)
    return session.scalar(counted) or 0


def every(session: Session) -> list[Schedule]:
    return list(
        session.scalars(
            select(Schedule).options(selectinload(Schedule.windows)).order_by(Schedule.number)
        )
    )


def windows_of(schedule: Schedule) -> list[week.Window]:
    """In minutes of the week."""
    return week.joined(
        [
            (
                each.weekday * week.DAY_MIN + each.start_min,
                each.weekday * week.DAY_MIN + each.end_min,
            )
            for each in schedule.windows
        ]
    )


def told(session: Session, zone: tzinfo) -> dict[str, Any]:
    """What the settings message says: all schedules, and local time for as far as it is known;
    nothing where there is no schedule."""
    found = every(session)
    if not found:
        return {}
    changes, until = offsets(zone, datetime.fromtimestamp(time.time(), UTC).year)
    return {
        "schedules": {str(each.number): week.wire(windows_of(each)) for each in found},
        "offsets": [list(each) for each in changes],
        "offsets_until": until,
    }


@lru_cache
def offsets(zone: tzinfo, year: int) -> tuple[tuple[tuple[int, int], ...], int]:
    """Local time during that year and the next four: ((minute, offset in minutes), ...) in
    minutes since 2024-01-01 UTC, and the minute from which it is not known. The first holds from
    before that year, for a clock that is a little behind; all is the same throughout the year."""
    begin, end = (datetime(each, 1, 1, tzinfo=UTC) for each in (year, year + YEARS))
    found = _changes(zone, max(begin - timedelta(days=366), _minute_zero()), end)
    before = [each for each in found if each[0] <= _minute(begin)]
    return tuple(before[-1:] + found[len(before) :]), _minute(end)


def _changes(zone: tzinfo, begin: datetime, end: datetime) -> list[tuple[int, int]]:
    """The offset at `begin`, then each change up to `end`. No zone changes twice in a step."""
    now, offset = begin, _offset(zone, begin)
    found = [(_minute(now), offset)]
    while now < end:
        later = now + _STEP
        if _offset(zone, later) != offset:
            first, last = _minute(now), _minute(later)
            while last - first > 1:
                middle = (first + last) // 2
                if _offset(zone, _minute_zero() + timedelta(minutes=middle)) == offset:
                    first = middle
                else:
                    last = middle
            offset = _offset(zone, later)
            if last < _minute(end):
                found.append((last, offset))
        now = later
    return found


def _offset(zone: tzinfo, moment: datetime) -> int:
    found = zone.utcoffset(moment.astimezone(zone))
    return 0 if found is None else found // timedelta(minutes=1)


def _minute(moment: datetime) -> int:
    return (int(moment.timestamp()) - EPOCH_S) // 60


def _minute_zero() -> datetime:
    return datetime.fromtimestamp(EPOCH_S, UTC)
