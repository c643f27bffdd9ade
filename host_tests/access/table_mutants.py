"""The table broken in one place at a time."""

import ast
import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from firmware.access import light
from host_tests.access.judge import CODE, ROOT, Rules

TABLE = next(
    node.value.value
    for node in ast.parse((ROOT / "firmware/access/table.py").read_text()).body
    if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
)
STATES = tuple(light.STATES)
NEXT_STATES = (*STATES, "(stay)", "(go)", "(rest)")
ANY_CARD = ("own_card", "group_card", "owner_card", "service_card", "other_card")

# The arguments that each effect takes in the table; of an effect that is added or put in place of
# another, the first.
ARGUMENTS = {
    "end": ("", "card", "group", "owner", "service", "unplugged", "withdrawn", "unavailable"),
    "refuse": ("", "ConcurrentTx", "NotAtThisTime"),
    "limit": ("plug_in", "selftest", "fault_over", "enrol"),
    "enrolled": ("enrolled", "refused"),
    "failed": ("time_out", "cancelled", "replaced", "RandomNumber", "fault", "unavailable"),
}


@dataclass(frozen=True)
class Line:
    states: tuple[str, ...]
    events: tuple[str, ...]
    condition: str
    next_state: str
    effects: tuple[str, ...]

    @property
    def text(self) -> str:
        return " ".join(
            (
                ",".join(self.states),
                ",".join(self.events),
                self.condition,
                self.next_state,
                ",".join(self.effects) or "-",
            )
        )

    @property
    def place(self) -> str:
        return f"{','.join(self.states)} {','.join(self.events)} {self.condition}"

    @property
    def cells(self) -> set[tuple[str, str]]:
        states = STATES if self.states == ("*",) else self.states
        return set(itertools.product(states, self.kinds))

    @property
    def kinds(self) -> tuple[str, ...]:
        return ANY_CARD if self.events == ("any_card",) else self.events

    def but(self, **fields) -> "Line":
        return Line(**{**self.__dict__, **fields})


def parsed(table: str) -> list[Line]:
    lines = []
    for text in table.splitlines():
        if text and text[0] != "#":
            states, events, condition, next_state, effects = text.split()
            lines.append(
                Line(
                    tuple(states.split(",")),
                    tuple(events.split(",")),
                    condition,
                    next_state,
                    tuple(effects.split(",")) if effects != "-" else (),
                )
            )
    return lines


LINES = parsed(str(TABLE))


@dataclass(frozen=True)
class Mutant:
    place: str  # the line, by state, event and condition
    change: str
    table: str
    cells: frozenset[tuple[str, str]]


class Tables:
    """The real rules with one table after the other."""

    def __init__(self) -> None:
        self.rules = Rules(CODE)
        conditions = self.rules.module._CONDITIONS
        for name, holds in list(conditions.items()):
            conditions["not:" + name] = lambda *facts, holds=holds: not holds(*facts)
        self.conditions = tuple(self.rules.module._CONDITIONS)
        self.effects = tuple(self.rules.module._EFFECTS)
        self._last: frozenset[tuple[str, str]] = frozenset()

    def with_table(self, mutant: Mutant) -> Rules:
        self.rules.use(mutant.table, mutant.cells | self._last)
        self._last = mutant.cells
        return self.rules

    def mutants(self) -> Iterator[Mutant]:
        for at, line in enumerate(LINES):
            for change, other in self._changes(line):
                lines = list(LINES)
                lines[at : at + 1] = [other] if other is not None else []
                yield _mutant(line, change, lines, line.cells)
        for at, before in enumerate(LINES):
            for later in range(at + 1, len(LINES)):
                after = LINES[later]
                if before.cells & after.cells and (before.states == ("*",)) == (
                    after.states == ("*",)
                ):
                    lines = list(LINES)
                    lines[at], lines[later] = after, before
                    change = f"below {after.place}"
                    yield _mutant(before, change, lines, before.cells | after.cells)

    def _changes(self, line: Line) -> Iterator[tuple[str, Line | None]]:
        yield "removed", None
        for column, words in (("states", line.states), ("events", line.kinds)):
            for word in words if len(words) > 1 else ():
                others = tuple(other for other in words if other != word)
                yield f"without {word}", line.but(**{column: others})
        for state in NEXT_STATES:
            if state != line.next_state:
                yield f"next {state}", line.but(next_state=state)
        for condition in self.conditions:
            if condition not in (line.condition, "not:-"):
                yield f"if {condition}", line.but(condition=condition)
        yield from self._other_effects(line)

    def _other_effects(self, line: Line) -> Iterator[tuple[str, Line]]:
        effects = line.effects
        every = [_with_argument(name, *ARGUMENTS.get(name, ("",))[:1]) for name in self.effects]
        for at, effect in enumerate(effects):
            rest = effects[:at], effects[at + 1 :]
            yield f"without {effect}", line.but(effects=rest[0] + rest[1])
            name = effect.partition(":")[0]
            others = [_with_argument(name, word) for word in ARGUMENTS.get(name, ())]
            others += [other for other in every if other.partition(":")[0] != name]
            for other in others:
                if other != effect:
                    yield f"{other} for {effect}", line.but(effects=(*rest[0], other, *rest[1]))
            if rest[1]:
                swapped = (*rest[0], rest[1][0], effect, *rest[1][1:])
                yield f"{rest[1][0]} before {effect}", line.but(effects=swapped)
        for effect in every:
            yield f"also {effect}", line.but(effects=(*effects, effect))


def _with_argument(name: str, argument: str) -> str:
    return f"{name}:{argument}" if argument else name


def _mutant(line: Line, change: str, lines: list[Line], cells: set[tuple[str, str]]) -> Mutant:
    return Mutant(line.place, change, "\n".join(line.text for line in lines), frozenset(cells))
