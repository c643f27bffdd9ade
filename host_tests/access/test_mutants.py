"""The access core broken in one place at a time: the rules notice, or there is nothing to notice.

The table's lines have another next state, another condition, an effect less, more or instead, are
in another order, or gone; and the code of session.py and verdict.py has another comparison, another
constant, a statement less. A short run judges some, the same each time; `make mutants` all.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from types import ModuleType

from firmware.access import verdict
from host_tests.access import code_mutants, equivalent, table_mutants, verdict_rules
from host_tests.access.judge import CODE, ROOT, SESSION, Judge, Rules
from host_tests.access.table_mutants import Tables

ALL = os.environ.get("TAPGATE_MUTANTS") == "all"
VERDICT = ROOT / "firmware/access/verdict.py"

Name = tuple[str, str]  # of a mutant: where, and what is changed there
Fate = str | None  # by what a mutant was caught; None for one that was not
Said = Callable[[str, object], None]


def listed_of_table() -> set[Name]:
    names = set()
    for _, begins, text in equivalent.TABLE:
        for line in text.strip().splitlines():
            place, _, changes = line.partition(": ")
            names.update((place, begins + change) for change in changes.split("; "))
    return names


def listed_of(code: Iterable[tuple[str, str, tuple[str, ...]]]) -> set[Name]:
    return {(place, change) for _, place, changes in code for change in changes}


def chosen(mutants: Iterable, every: int) -> Iterator:
    """All of them, or those of a short run: one in `every`, and every line of the table removed."""
    for at, mutant in enumerate(mutants):
        if ALL or at % every == 0 or mutant.change == "removed":
            yield mutant


def settle(fates: list[tuple[Name, Fate]], listed: set[Name]) -> str:
    """What is to be said of them; fails for what is caught though listed, or neither."""
    equal = [name for name, fate in fates if fate is None]
    assert not set(equal) - listed, "not caught, and not listed in equivalent.py"
    caught = {name for name, fate in fates if fate is not None}
    assert not caught & listed, "caught, though equivalent.py says it cannot be"
    return f"{len(fates):,} mutants, {len(fates) - len(equal):,} caught, {len(equal)} equivalent"


def test_a_table_with_a_line_broken_is_caught(judge: Judge, record_property: Said):
    tables = Tables()
    fates = []
    for mutant in chosen(tables.mutants(), 20):
        fate = judge.of_table(tables.with_table(mutant), mutant.cells)
        fates.append(((mutant.place, mutant.change), fate))
    record_property("access: the table broken", settle(fates, listed_of_table()))


def test_a_session_with_its_code_broken_is_caught(judge: Judge, record_property: Said):
    listed = listed_of(equivalent.SESSION)
    fates = []
    for mutant in chosen(code_mutants.mutants(SESSION), 20):
        name = (mutant.place, mutant.change)
        if name in listed and not ALL:
            continue  # each takes seconds: every step there is
        try:
            broken = Rules(mutant.code())
        except Exception as error:
            fates.append((name, f"cannot be loaded: {type(error).__name__}"))
        else:
            fates.append((name, judge.of_code(broken)))
    record_property("access: session.py broken", settle(fates, listed))


def test_the_real_verdicts_keep_the_rules():
    verdict_rules.check(verdict)


def test_a_verdict_with_its_code_broken_is_caught(record_property: Said):
    fates = []
    for mutant in chosen(code_mutants.mutants(VERDICT), 3):
        module = ModuleType("firmware.access.verdict")
        fate = None
        try:
            exec(mutant.code(), module.__dict__)
            verdict_rules.check(module)
        except Exception as error:
            fate = type(error).__name__
        fates.append(((mutant.place, mutant.change), fate))
    record_property("access: verdict.py broken", settle(fates, listed_of(equivalent.VERDICT)))


def test_what_is_listed_as_equivalent_exists():
    for listed, mutants in (
        (listed_of_table(), Tables().mutants()),
        (listed_of(equivalent.SESSION), code_mutants.mutants(SESSION)),
        (listed_of(equivalent.VERDICT), code_mutants.mutants(VERDICT)),
    ):
        assert listed <= {(mutant.place, mutant.change) for mutant in mutants}


def test_the_real_table_and_the_real_code_are_no_mutants(judge: Judge):
    real = Rules(CODE)
    cells = {cell for line in table_mutants.LINES for cell in line.cells}
    assert judge.of_table(real, cells) is None
