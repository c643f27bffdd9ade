"""What was walked through and how many mutants were judged, at the end of a run of this folder."""

import pytest
from _pytest.terminal import TerminalReporter

from host_tests.access.judge import Judge


@pytest.fixture(scope="session")
def judge() -> Judge:
    return Judge()


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    lines = [
        f"{name.removeprefix('access: ')}: {found}"
        for reports in terminalreporter.stats.values()
        for report in reports
        if getattr(report, "when", None) == "call"
        for name, found in report.user_properties
        if name.startswith("access: ")
    ]
    if lines:
        terminalreporter.section("access core")
        for line in lines:
            terminalreporter.line(line)
