"""How many inputs each parser is given, and how they are counted.

A short run, the same each time, is part of `make test`. `TAPGATE_FUZZ=40` tries forty times as
many, other ones at each run; what fails is kept and tried first the next time.
"""

import functools
import os
from collections import Counter
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis.strategies import SearchStrategy

TIMES = int(os.environ.get("TAPGATE_FUZZ") or 1)
LONG = TIMES > 1

tried: Counter[str] = Counter()  # inputs, by parser


_UNHURRIED: list[Any] = list(HealthCheck)


def _limits(tries: int) -> settings:
    more: dict[str, Any] = {} if LONG else {"database": None}
    return settings(
        max_examples=tries * TIMES,
        derandomize=not LONG,
        deadline=None,
        print_blob=True,
        suppress_health_check=_UNHURRIED,
        **more,
    )


def fuzz(parser: str, tries: int, *inputs: SearchStrategy, counts: bool = True) -> Callable:
    """The test is called with `tries` drawn inputs. `counts`: each is one input of `parser`;
    otherwise the test itself adds to `tried`."""

    def decorate(test: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(test)
        def counted(*arguments: Any, **fixtures: Any) -> None:
            tried[parser] += counts
            test(*arguments, **fixtures)

        return _limits(tries)(given(*inputs)(counted))

    return decorate


def corpus(tries: int, inputs: SearchStrategy) -> list:
    """`tries` drawn inputs at once, for a program that takes many."""
    found: list = []

    @_limits(tries)
    @given(inputs)
    def collect(one: Any) -> None:
        found.append(one)

    collect()
    return found
