"""What the allow-list says of a card, and which card may end a session. Nothing here fails open.

An entry is the allow-list's `(group, valid_from_min, valid_until_min, flags)`: minutes since
2024-01-01 UTC, 0 for no bound; flags bits 0-1 role, bit 2 blocked, bits 3-7 schedule (0 = always).
"""

from micropython import const

from firmware.access.words import (
    ACCEPTED,
    BLOCKED,
    CLOCK_UNKNOWN,
    EXPIRED,
    INVALID,
    LIST_TOO_OLD,
    NOT_AT_THIS_TIME,
    OWNER,
    ROLES,
    SERVICE,
    UNKNOWN,
)

_ROLE = const(0x03)
_BLOCKED = const(0x04)
_SCHEDULE_SHIFT = const(3)


def never(schedule: int, now_min: int) -> bool:
    """In place of schedules where there are none: no time is within a schedule nobody knows."""
    return False


def judge(
    entry: tuple | None,
    now_min: int | None,
    clock_set: bool,
    list_too_old: bool,
    service_may_start: bool,
    in_schedule=never,
) -> str:
    """The verdict on a card that would start a session.

    `now_min`: the time, or no more than its lower bound while the clock is not set, or None.
    `in_schedule(schedule, now_min) -> bool`, or None where that is not known, is asked only with a
    clock that is set.

    The bounds of a permission are held against the lower bound too, so that an expired card stays
    expired; a beginning that the lower bound has not reached may have passed, but who knows. From
    is the first minute that counts, until the first that does not.
    """
    if entry is not None and entry[3] & _BLOCKED:
        return BLOCKED
    if list_too_old:
        return LIST_TOO_OLD
    role = role_of(entry)
    if entry is None or role is None:
        return UNKNOWN
    _, valid_from, valid_until, flags = entry
    schedule = flags >> _SCHEDULE_SHIFT
    if valid_from or valid_until or schedule:
        if now_min is None:
            return CLOCK_UNKNOWN
        if valid_until and now_min >= valid_until:
            return EXPIRED
        if valid_from and now_min < valid_from:
            return NOT_AT_THIS_TIME if clock_set else CLOCK_UNKNOWN
        if schedule:
            if not clock_set:
                return CLOCK_UNKNOWN
            if not in_schedule(schedule, now_min):
                return NOT_AT_THIS_TIME
    if role == SERVICE and not service_may_start:
        return INVALID
    return ACCEPTED


def role_of(entry: tuple | None) -> str | None:
    """The role in an entry; None for no entry and for the number that names no role."""
    if entry is None:
        return None
    number = entry[3] & _ROLE
    return ROLES[number] if number < len(ROLES) else None


def is_withdrawn(entry: tuple | None, start_min: int | None, clock_set: bool, in_schedule=never):
    """Whether the holder's entry, as it is now, ends the session that it started at `start_min`.

    It does when it would not have let that session start: gone, blocked, or its bounds moved. That
    the permission or its hours run out in the course of a session ends none, nor does an old list.
    """
    if entry is not None and clock_set:
        schedule = entry[3] >> _SCHEDULE_SHIFT
        if schedule and in_schedule(schedule, start_min) is None:
            # The list may have come before the schedules it speaks of: that takes nothing away.
            entry = entry[:3] + (entry[3] & (_ROLE | _BLOCKED),)
    verdict = judge(entry, start_min, clock_set, False, True, in_schedule)
    return verdict not in (ACCEPTED, CLOCK_UNKNOWN)


def may_stop(holder: tuple | None, token, role: str | None, group: int, verdict: str) -> str | None:
    """Why this card may end the session of `holder`, a (token, group, ...): "card", "group",
    "owner", "service"; None when it may not. `holder` is None for a session nobody holds.

    The card that started a session stops it even when it could not start one now, unless it is
    blocked. Every other card has its right from the list, and must be in force.
    """
    if holder is not None and token is not None and token == holder[0]:
        return None if verdict == BLOCKED else "card"
    if not in_force(role, verdict):
        return None
    if role == SERVICE:
        return "service"
    if holder is not None and group != 0 and group == holder[1]:
        return "group"
    return "owner" if role == OWNER else None


def in_force(role: str | None, verdict: str) -> bool:
    """Whether the card's permission holds now, be it only to stop sessions and to test."""
    return verdict == ACCEPTED or (verdict == INVALID and role == SERVICE)
