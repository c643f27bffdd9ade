"""Every state that can be reached, with every event: DESIGN section 4 holds in all of them, and
every one is left again.
"""

import os
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest

from firmware.access import light, session
from firmware.access.session import START, Session, step
from host_tests.access import rules
from host_tests.access.events import CARDS, EVENTS, FAULTS
from host_tests.access.walk import NOW, OVER, settled, walk

THOROUGH = os.environ.get("TAPGATE_MUTANTS") == "all"  # every event on either side of every limit

YELLOW = ("awaiting", "checking")
BLUE = ("authorised", "charging")
APPROVED = [("tap", *CARDS[name]) for name in ("own", "same group", "other", "owner")]
TICK = ("tick",)
UNPLUGGED = ("vehicle", False, False)
# What nobody can keep from happening in the end: the vehicle leaves, faults are mended, the owner
# switches the charger on.
IN_THE_END = (
    UNPLUGGED,
    *(("fault_cleared", name) for name in FAULTS),
    ("available", True),
)
TICKS_MOST = 4  # there are three limits


class Walked(NamedTuple):
    leads_to: dict[Session, set[Session]]  # every session, with those that one event makes of it
    pairs: set[tuple[str, tuple]]  # state and event
    steps: int


@pytest.fixture(scope="module")
def walked() -> Walked:
    """Every rule is asked at every step."""
    leads_to: dict[Session, set[Session]] = {START: set()}
    pairs = set()
    steps = 0
    for before, event, after, effects in walk(step, START, thorough=THOROUGH):
        rules.check(before, event, NOW, after, effects)
        pairs.add((before.state, event))
        leads_to.setdefault(settled(before), set()).add(settled(after))
        steps += 1
    return Walked(leads_to, pairs, steps)


def test_every_rule_holds_in_every_state_with_every_event(
    walked: Walked, record_property: Callable[[str, object], None]
):
    states = {state for state, _ in walked.pairs}
    assert states == set(light.STATES)
    assert len(walked.pairs) == len(states) * len(EVENTS)
    said = (
        f"{len(states)} states, {len(walked.leads_to):,} sessions, {len(EVENTS)} events,"
        f" {walked.steps:,} transitions, {len(rules.RULES)} rules held in each"
    )
    record_property("access: every state with every event", said)
    print(said)


def test_the_charger_begins_vacant_and_restricted():
    rules.check_the_beginning(START)


def test_the_interlock_asks_for_every_fact_once_more():
    rules.check_the_interlock(session.may_close, START)


def test_a_limit_is_over_from_its_millisecond_on():
    rules.check_the_limits(step, START)


def test_from_everywhere_the_charger_gets_back_to_where_it_began(walked: Walked):
    comes_from: dict[Session, set[Session]] = {}
    for before, afters in walked.leads_to.items():
        for after in afters:
            comes_from.setdefault(after, set()).add(before)
    gets_back = {START}
    to_do = [START]
    while to_do:
        for before in comes_from[to_do.pop()] - gets_back:
            gets_back.add(before)
            to_do.append(before)
    assert gets_back == set(walked.leads_to)


def test_every_state_is_left_when_the_vehicle_leaves_and_what_is_wrong_is_mended(walked: Walked):
    """No card and no order is needed: a charger that everybody has gone away from is available."""
    for before in walked.leads_to:
        after = before
        for event in IN_THE_END:
            after, _ = _now(after, event)
        after = _in_time(after)
        assert after.state == "available", before
        assert tuple(settled(after))[6:] == tuple(START)[6:], before


def test_what_only_time_ends_is_ended_by_time(walked: Walked):
    for before in walked.leads_to:
        if before.state in ("preauthorised", "enrolling", "service", "checking"):
            assert _in_time(before).state != before.state, before
        if before.state == "faulted" and not before.faults:
            assert _in_time(before).state != "faulted", before


def test_no_accepted_card_waits_for_ever_in_yellow(walked: Walked):
    """A vehicle in yellow: whichever card the owner has approved, blue is one tap away once what is
    under way has had its time. A card in question is answered, or left to the list in time."""
    for before in walked.leads_to:
        if before.state not in YELLOW or not before.connected:
            continue
        waiting = _in_time(before)
        assert waiting.state in ("awaiting", "finished"), before
        for tap in APPROVED:
            assert _now(waiting, tap)[0].state in BLUE, (before, tap)
        if before.asked is not None:
            token = before.asked[1]
            assert _now(before, ("answer", token, "user", 0, "Accepted"))[0].state in BLUE
            given_up = [effect for effects in _effects_in_time(before) for effect in effects]
            assert ("unanswered", token) in given_up, before


def test_a_session_ends_once_on_every_way_it_can_end(walked: Walked):
    """With the rule that every step keeps count of beginnings and ends, there is one end for every
    beginning: here, that there is one at all, and with the vehicle gone no second one."""
    for before in walked.leads_to:
        if before.progress != rules.RUNNING:
            continue
        for way in (UNPLUGGED, ("stop", None), ("available", False)):
            ends = []
            after = before
            for event in (way, *IN_THE_END, TICK):
                after, effects = _now(after, event)
                ends += [effect for effect in effects if effect[:2] == ("record", "session_ended")]
            assert len(ends) == 1, (before, way)


def test_every_state_has_a_light_of_its_own():
    looks = {}
    for state, (colour, pattern) in light.STATES.items():
        over_time = tuple(
            light.brightness(light.PATTERNS[pattern], at_ms) for at_ms in range(0, 10_000, 50)
        )
        assert looks.setdefault((colour, over_time), state) == state
        told_apart = {"red": "green", "green": "red"}.get(colour)
        assert (told_apart, over_time) not in looks, "no two differ only between red and green"


def _now(before: Any, event: tuple) -> tuple:
    return step(before, event, NOW)


def _in_time(before: Any) -> Any:
    """After every limit is over, whichever there are."""
    for _ in range(TICKS_MOST):
        before, _ = _now(_late(before), TICK)
    return before


def _effects_in_time(before: Any) -> Iterator[tuple]:
    for _ in range(TICKS_MOST):
        before, effects = _now(_late(before), TICK)
        yield effects


def _late(before: Any) -> Any:
    *facts, deadline, settling, asked = before
    return type(before)(
        *facts,
        deadline if deadline is None else OVER,
        settling and (OVER, settling[1]),
        asked and (OVER, asked[1]),
    )
