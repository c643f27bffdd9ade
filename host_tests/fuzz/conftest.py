"""The table of what was tried, at the end of a run of this folder."""

from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis.internal.conjecture import providers

from host_tests.fuzz.trying import LONG, tried


@pytest.fixture(autouse=True)
def _the_same_each_time(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Hypothesis also draws the constants of all modules that are loaded. In a short run it is told
    of none, or what is tried would depend on what else runs in this process."""
    if not LONG:
        monkeypatch.setattr(providers, "_get_local_constants", lambda: providers._local_constants)
        providers.CONSTANTS_CACHE.cache.clear()
    yield
    providers.CONSTANTS_CACHE.cache.clear()


@pytest.fixture(autouse=True)
def _count(request: pytest.FixtureRequest) -> Iterator[None]:
    before = tried.copy()
    yield
    for parser, count in (tried - before).items():
        request.node.user_properties.append((f"inputs: {parser}", count))


def pytest_terminal_summary(terminalreporter) -> None:
    total: Counter[str] = Counter()
    for reports in terminalreporter.stats.values():
        for report in reports:
            if getattr(report, "when", None) != "teardown":
                continue
            for name, count in report.user_properties:
                if name.startswith("inputs: "):
                    total[name.removeprefix("inputs: ")] += count
    if total:
        terminalreporter.section("inputs tried")
        for parser, count in sorted(total.items()):
            terminalreporter.line(f"{count:>9,}  {parser}")
        terminalreporter.line(f"{sum(total.values()):>9,}  in all")
