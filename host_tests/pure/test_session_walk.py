"""Every state with every event, under MicroPython too: one card and one order of each kind.

With all of them, and with the table broken line by line: host_tests/access.
"""

import gc

from firmware.access import light
from firmware.access.session import START, may_close, step
from host_tests.access import rules
from host_tests.access.events import FEWER
from host_tests.access.walk import NOW, walk

# MicroPython: collected often, what is kept does not lie scattered all over the heap.
getattr(gc, "threshold", lambda count: None)(400_000)


def test_every_rule_holds_in_every_state_with_every_event():
    states = set()
    pairs = set()
    steps = 0
    for before, event, after, effects in walk(step, START, FEWER):
        rules.check(before, event, NOW, after, effects)
        states.add(before.state)
        pairs.add((before.state, event))
        steps += 1
    print(len(states), "states,", steps, "transitions")
    assert states == set(light.STATES)
    assert len(pairs) == len(states) * len(FEWER)


def test_the_charger_begins_vacant_and_restricted():
    rules.check_the_beginning(START)


def test_the_interlock_asks_for_every_fact_once_more():
    rules.check_the_interlock(may_close, START)


def test_a_limit_is_over_from_its_millisecond_on():
    rules.check_the_limits(step, START)
