"""The rules of a verdict, from DESIGN sections 3, 6 and 9 and docs/decisions.md, held against every
kind of entry at every kind of time; and who may end whose session, for every card and every holder.

An entry's times lie before, at and after the minute that counts, or are no bound.
"""

import itertools
from collections.abc import Callable, Iterator
from typing import Any

from host_tests.access import rules

NOW = 1_000_000
MINUTES = (0, 1, NOW - 1, NOW, NOW + 1)
OWNER, USER, SERVICE, NO_ROLE = range(4)
ROLES = {OWNER: "owner", USER: "user", SERVICE: "service", NO_ROLE: None}
BLOCKED = 4
SCHEDULE = 31 << 3
# The time or its lower bound; whether set.
CLOCKS: tuple[tuple[int | None, bool], ...] = ((NOW, True), (NOW, False), (None, False))
ANSWERS = (True, False, None)  # whether a minute lies in a schedule; None where nobody knows
VERDICTS = (
    "Accepted",
    "Blocked",
    "ClockUnknown",
    "Expired",
    "Invalid",
    "ListTooOld",
    "NotAtThisTime",
    "RandomNumber",
    "Unknown",
)

Entry = tuple[int, int, int, int] | None


def entries() -> Iterator[Entry]:
    yield None
    for begin, end, role, blocked, schedule in itertools.product(
        MINUTES, MINUTES, ROLES, (0, BLOCKED), (0, SCHEDULE)
    ):
        yield (7, begin, end, role | blocked | schedule)


def reasons_against(
    entry: Entry,
    now: int | None,
    clock_set: bool,
    list_too_old: bool,
    service_may_start: bool,
    in_schedule: bool | None,
) -> Iterator[str]:
    """All that speaks against a start, and what counts first comes first. Nothing fails open."""
    if entry is not None and entry[3] & BLOCKED:
        yield "Blocked"
    if list_too_old:
        yield "ListTooOld"
    role = None if entry is None else ROLES[entry[3] & 3]
    if entry is None or role is None:
        yield "Unknown"
        return
    _, begin, end, flags = entry
    bounded = begin or end or flags & SCHEDULE
    if bounded and now is None:
        yield "ClockUnknown"
        return
    if end and now is not None and now >= end:
        yield "Expired"  # by the lower bound too: it stays expired
    if begin and now is not None and now < begin:
        yield "NotAtThisTime" if clock_set else "ClockUnknown"
    if flags & SCHEDULE:
        if not clock_set:
            yield "ClockUnknown"
        elif not in_schedule:
            yield "NotAtThisTime"
    if role == "service" and not service_may_start:
        yield "Invalid"


def withdrawn(entry: Entry, start: int | None, was_set: bool, in_schedule: bool | None) -> bool:
    """Whether a session of that start ends by the entry as it is now: gone, blocked, or one that
    would not have let it start. What nobody knows takes nothing away."""
    if entry is None or entry[3] & BLOCKED or entry[3] & 3 == NO_ROLE:
        return True
    _, begin, end, flags = entry
    if start is None:
        return False
    over = end and start >= end
    not_begun = begin and start < begin and was_set
    outside = flags & SCHEDULE and was_set and in_schedule is False
    return bool(over or not_begun or outside)


def every_card_has_the_first_verdict_there_is_against_it(module: Any) -> int:
    tried = 0
    for entry, clock, too_old, may_start in itertools.product(
        entries(), CLOCKS, (False, True), (False, True)
    ):
        now, clock_set = clock
        facts = (entry, now, clock_set, too_old, may_start)
        for answer in ANSWERS:
            expected = next(reasons_against(*facts, answer), "Accepted")
            assert module.judge(*facts, _schedule(answer, clock)) == expected, (facts, answer)
            tried += 1
        # Without schedules nobody is within one.
        assert module.judge(*facts) == next(reasons_against(*facts, None), "Accepted"), facts
    return tried


def a_session_ends_when_its_permission_is_taken_away_and_not_when_it_runs_out(module: Any) -> int:
    tried = 0
    for entry, clock in itertools.product(entries(), CLOCKS):
        for answer in ANSWERS:
            expected = withdrawn(entry, *clock, answer)
            found = module.is_withdrawn(entry, *clock, _schedule(answer, clock))
            assert bool(found) == expected, (entry, clock, answer)
            tried += 1
        assert bool(module.is_withdrawn(entry, *clock)) == withdrawn(entry, *clock, False)
    return tried


def a_session_is_ended_by_those_who_may(module: Any) -> int:
    holders: list[tuple | None] = [None]
    for token, group, role, by in itertools.product(
        (b"own", None), (0, 7, 8), ("owner", "user", "service"), ("card", "remote")
    ):
        holders.append((token, group, role, by))
    tried = 0
    for holder, token, role, group, verdict in itertools.product(
        holders, (b"own", b"other", None), ROLES.values(), (0, 7, 8), VERDICTS
    ):
        facts = (holder, token, role, group, verdict)
        expected = rules.may_end(holder, False, token, role, group, verdict)
        assert module.may_stop(*facts) == expected, facts
        assert bool(module.in_force(role, verdict)) == rules.in_force(role, verdict)
        tried += 1
    return tried


def an_entry_names_its_role(module: Any) -> int:
    for flags in range(256):
        assert module.role_of((7, 0, 0, flags)) == ROLES[flags & 3]
    assert module.role_of(None) is None
    return 257


RULES = (
    every_card_has_the_first_verdict_there_is_against_it,
    a_session_ends_when_its_permission_is_taken_away_and_not_when_it_runs_out,
    a_session_is_ended_by_those_who_may,
    an_entry_names_its_role,
)


def check(module: Any) -> int:
    """How many questions were put; raises AssertionError where an answer breaks a rule."""
    return sum(rule(module) for rule in RULES)


def _schedule(answer: bool | None, clock: tuple[int | None, bool]) -> Callable:
    """What the settings say of that schedule and minute; asked only with a clock that is set."""

    def in_schedule(schedule: int, minute: int) -> bool | None:
        assert (schedule << 3, minute) == (SCHEDULE, clock[0])
        assert clock[1]
        return answer

    return in_schedule
