"""`tapgate simulate` hands its options on; what it starts is tested with the virtual hardware."""

from pathlib import Path

import pytest

from host_tests.portal.conftest import Tapgate
from tools.virtual import simulate


@pytest.fixture
def calls(monkeypatch):
    made: list[tuple] = []

    def run(*arguments, board) -> int:
        made.append((*arguments, *board))
        return 0

    monkeypatch.setattr(simulate, "run", run)
    return made


def test_the_options_reach_the_simulator(tapgate: Tapgate, calls):
    answer = tapgate(
        *("simulate", "--config", "c.json", "--flash", "f.img", "--control", "7001", "--serial"),
        *("--main", "m.py", "--path", "lib", "--heap", "110", "--stdin"),
        *("--board", "rom=no", "--board", "machine=Other board with ESP32"),
    )
    assert (answer.status, answer.out, answer.err) == (0, "", "")
    named = (Path("c.json"), Path("f.img"), 7001, True, Path("m.py"), Path("lib"), 110, True)
    assert calls == [(*named, "rom=no", "machine=Other board with ESP32")]


def test_it_needs_no_installation_and_little_said(tapgate: Tapgate, calls, home):
    assert tapgate("simulate", "--config", "c.json", "--flash", "flash").status == 0
    assert calls == [(Path("c.json"), Path("flash"), 0, False, None, None, None, False)]
    assert not home.exists()


def test_its_failure_is_the_commands_status(tapgate: Tapgate, monkeypatch):
    monkeypatch.setattr(simulate, "run", lambda *_, **__: 1)
    assert tapgate("simulate", "--config", "c.json", "--flash", "flash").status == 1
