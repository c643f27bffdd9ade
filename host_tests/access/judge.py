"""Whether the rules notice that the session is another one.

A mutant is compared with the real charger wherever that can get: a step that comes out differently
is held against the rules, and where it breaks none, the walk goes on from where it led.
"""

import itertools
import random
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from firmware.access.table import condensed
from host_tests.access import rules
from host_tests.access.events import EVENTS
from host_tests.access.walk import NOW, settled, sides, walk

ROOT = Path(__file__).parent.parent.parent
SESSION = ROOT / "firmware/access/session.py"
CODE = compile(SESSION.read_text(), SESSION.name, "exec")

_LINES_MOST = 50  # of a state and event: a mutant may find them for ever

Cell = tuple[str, str] | None  # the state and event that lines were looked up for
Lines = list[list[str]]


class Rules:
    """One variant of `firmware.access.session`, in this process and beside the real one."""

    def __init__(self, code: CodeType) -> None:
        module: Any = ModuleType("firmware.access.session")
        exec(code, module.__dict__)
        self.module = module
        self._found = module._lines
        self._known: dict[tuple[str, str], Lines] = {}
        self.cell: Cell = None
        module._lines = self._lines
        self.step: Callable = module.step

    def lines(self, state: str, event: str) -> Lines:
        """As the board finds them in its table, each search done once."""
        cell = (state, event)
        lines = self._known.get(cell)
        if lines is None:
            lines = list(itertools.islice(self._found(state, event), _LINES_MOST + 1))
            assert len(lines) <= _LINES_MOST, "lines without an end"
            self._known[cell] = lines
        return lines

    def use(self, table: str, cells: Iterable[tuple[str, str]]) -> None:
        """Another table, which differs from the one before in these cells alone."""
        self.module.LINES, self.module.PLACES = condensed(table)
        for cell in cells:
            self._known.pop(cell, None)

    def _lines(self, state: str, event: str) -> Lines:
        self.cell = (state, event)
        return self.lines(state, event)


class Judge:
    def __init__(self) -> None:
        self.real = Rules(CODE)
        self.steps: dict[Cell, list[tuple]] = {}  # of each cell: (session, event)
        self._reached: set[tuple] = set()
        for before, event, _, _ in walk(self._real_step, self.real.module.START):
            self.steps.setdefault(self.real.cell, []).append((before, event))
            self._reached.add(before)
        self._shuffled: list[tuple] = []
        self._outcomes: dict[Cell, list[tuple]] = {}

    def of_table(self, mutant: Rules, cells: Iterable[tuple[str, str]]) -> str | None:
        """By what rule a mutant is caught whose table differs in these cells alone; or None."""
        changed = [cell for cell in cells if mutant.lines(*cell) != self.real.lines(*cell)]
        steps = (
            (*step, outcome)
            for cell in changed
            for step, outcome in zip(self.steps.get(cell, ()), self._outcomes_of(cell), strict=True)
        )
        return self._judged(mutant.step, steps)

    def of_code(self, mutant: Rules) -> str | None:
        """The same of a mutant that may differ anywhere."""
        if not self._shuffled:
            self._shuffled = [step for steps in self.steps.values() for step in steps]
            random.Random(1).shuffle(self._shuffled)  # what differs is met soon
        steps = ((*step, self.real.step(*step, NOW)) for step in self._shuffled)
        return self._judged(mutant.step, steps, mutant.module)

    def _real_step(self, *arguments: Any) -> tuple:
        self.real.cell = None
        return self.real.step(*arguments)

    def _outcomes_of(self, cell: Cell) -> list[tuple]:
        if cell not in self._outcomes:
            self._outcomes[cell] = [self.real.step(*step, NOW) for step in self.steps.get(cell, ())]
        return self._outcomes[cell]

    def _judged(self, step: Callable, steps: Iterable[tuple], module: Any = None) -> str | None:
        led_to: set[tuple] = set()
        try:
            if module is not None:
                rules.check_the_beginning(module.START)
                rules.check_the_limits(step, module.START)
                rules.check_the_interlock(module.may_close, module.START)
            for before, event, real in steps:
                found = step(before, event, NOW)
                if found != real or (found[0] is before) != (real[0] is before):
                    rules.check(before, event, NOW, *found)
                    led_to.add(settled(found[0]))
            for before, event in self._beyond(led_to, step):
                rules.check(before, event, NOW, *step(before, event, NOW))
        except AssertionError as broken:
            return _rule(broken)
        except Exception as error:
            return f"raises {type(error).__name__}"
        return None

    def _beyond(self, sessions: set[tuple], step: Callable) -> Iterator[tuple]:
        """What can happen in sessions that the real charger does not get to."""
        to_do = list(sessions - self._reached)
        known = set(to_do)
        while to_do:
            session = to_do.pop()
            for event in EVENTS:
                for before in sides(session, event):
                    yield before, event
                    after = settled(step(before, event, NOW)[0])
                    if after not in known and after not in self._reached:
                        known.add(after)
                        to_do.append(after)


def _rule(broken: AssertionError) -> str:
    trace = broken.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace.tb_frame.f_code.co_name if trace is not None else ""
