"""A week in words, "mo-fr 08:00-18:00, sa 09:00-12:00", and as windows: minutes of the local week
from Monday 00:00, [first, end), ascending and apart. Pure.
"""

import re

from tools.portal.refusal import WrongUsage

DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
DAY_MIN = 1_440
WEEK_MIN = 7 * DAY_MIN
FORM = '"mo-fr 08:00-18:00, sa 09:00-12:00"'

Window = tuple[int, int]

_PARTS = re.compile(r"\s*[,;]\s*")
_DASH = re.compile(r"\s*[-–]\s*")
_DAYS = re.compile(r"([a-z]{2,9})(?:-([a-z]{2,9}))?")
_TIMES = re.compile(r"(\d{1,2}):(\d\d)-(\d{1,2}):(\d\d)")


def parse(text: str) -> list[Window]:
    """Days and then times, parts separated by commas; a part without days is about the days before
    it; days without times are whole days. WrongUsage where that has none or several meanings."""
    found: list[Window] = []
    days: list[int] = []
    bare: list[tuple[str, list[int]]] = []  # parts whose times have not come yet
    for part in _PARTS.split(_DASH.sub("-", text.strip().lower()).strip(",; ")):
        part_days, times = _part(part, text)
        if not times:
            bare.append((part, part_days))
            continue
        if bare and (part_days or len(bare) > 1):
            raise WrongUsage(
                f"--week: '{bare[0][0]}' has no times of its own; write '{bare[0][0]} 00:00-24:00' "
                "for whole days, or name days that share their times in one go: 'mo we 08:00-12:00'"
            )
        days = part_days or (bare.pop()[1] if bare else days)
        if not days:
            raise WrongUsage(f"--week: '{part}' comes before any day; write it like {FORM}")
        found += [
            (day * DAY_MIN + first, day * DAY_MIN + end) for day in days for first, end in times
        ]
    found += [(day * DAY_MIN, (day + 1) * DAY_MIN) for _, whole in bare for day in whole]
    return joined(found)


def joined(windows: list[Window]) -> list[Window]:
    """In order and apart; what goes beyond the week's end goes on at its beginning."""
    split = []
    for first, end in windows:
        split.append((first, min(end, WEEK_MIN)))
        if end > WEEK_MIN:
            split.append((0, end - WEEK_MIN))
    made: list[Window] = []
    for first, end in sorted(split):
        if made and first <= made[-1][1]:
            made[-1] = (made[-1][0], max(made[-1][1], end))
        else:
            made.append((first, end))
    return made


def by_day(windows: list[Window]) -> list[tuple[int, int, int]]:
    """The same, cut at each midnight: (weekday, first minute, end minute) of that day."""
    return [
        (day, max(first - day * DAY_MIN, 0), min(end - day * DAY_MIN, DAY_MIN))
        for first, end in windows
        for day in range(first // DAY_MIN, (end - 1) // DAY_MIN + 1)
    ]


def wire(windows: list[Window]) -> str:
    """8 hex digits for each window: u16 first minute, u16 end minute."""
    return "".join(f"{first:04x}{end:04x}" for first, end in windows)


def shown(windows: list[Window]) -> str:
    """In words, as `parse` takes them: days with the same times together."""
    times: list[list[str]] = [[] for _ in DAYS]
    for first, end in _over_midnight(windows):
        while first < end:
            day, minute = divmod(first, DAY_MIN)
            midnight = (day + 1) * DAY_MIN
            # Over midnight what is shorter than a day; a longer one goes on as whole days.
            last = end if end - first < DAY_MIN or end == midnight else midnight
            until = DAY_MIN if last == midnight else last % DAY_MIN
            times[day % 7].append(f"{_clock(minute)}-{_clock(until)}")
            first = last
    parts = []
    day = 0
    while day < len(DAYS):
        last = day
        while last + 1 < len(DAYS) and times[last + 1] == times[day]:
            last += 1
        if times[day]:
            days = DAYS[day][:2] + (f"-{DAYS[last][:2]}" if last > day else "")
            parts.append(f"{days} {' '.join(times[day])}")
        day = last + 1
    return ", ".join(parts)


def _part(part: str, text: str) -> tuple[list[int], list[Window]]:
    days: list[int] = []
    times: list[Window] = []
    for word in part.split():
        if not times and (found := _DAYS.fullmatch(word)):
            days += _range(found[1], found[2] or found[1])
        elif found := _TIMES.fullmatch(word):
            times.append(_window(word, *map(int, found.groups())))
        else:
            raise WrongUsage(f"--week: '{word}' is no day and no time; write it like {FORM}")
    if not days and not times:
        raise WrongUsage(f"--week: {text!r} is no week; write it like {FORM}")
    return days, times


def _range(first: str, last: str) -> list[int]:
    begin, count = _day(first), (_day(last) - _day(first)) % 7 + 1
    return [(begin + each) % 7 for each in range(count)]


def _day(word: str) -> int:
    for number, name in enumerate(DAYS):
        if name.startswith(word):
            return number
    raise WrongUsage(f"--week: '{word}' is no day; days are {', '.join(name[:2] for name in DAYS)}")


def _window(
    word: str, first_hour: int, first_minute: int, end_hour: int, end_minute: int
) -> Window:
    first, end = first_hour * 60 + first_minute, end_hour * 60 + end_minute
    if first_minute > 59 or end_minute > 59 or first >= DAY_MIN or end > DAY_MIN:
        raise WrongUsage(f"--week: '{word}' is no time of a day; it goes from 00:00 to 24:00")
    if first == end:
        raise WrongUsage(
            f"--week: '{word}' ends as it begins; the whole day is written 00:00-24:00"
        )
    return first, end if end > first else end + DAY_MIN


def _over_midnight(windows: list[Window]) -> list[Window]:
    """A window that was cut at the week's end, in one again."""
    if len(windows) > 1 and windows[0][0] == 0 and windows[-1][1] == WEEK_MIN:
        return [*windows[1:-1], (windows[-1][0], WEEK_MIN + windows[0][1])]
    return windows


def _clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"
