"""The pure test files once more, under the interpreter of the board."""

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FILES = sorted(path.stem for path in (ROOT / "host_tests/pure").glob("test_*.py"))


@pytest.mark.parametrize("name", FILES)
def test_on_micropython(name: str, micropython: str) -> None:
    run = subprocess.run(
        [micropython, "host_tests/pure/on_micropython.py", name],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "\nran " in run.stdout
