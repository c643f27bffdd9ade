"""Programs for MicroPython that print one JSON value as their last line."""

import json
import subprocess
from pathlib import Path

ROOT = Path(__file__).parent.parent


def found_by(micropython: str, program: Path, *arguments: str, within_s: float) -> dict:
    """What `program` (from the project's root) found; fails with what it printed."""
    done = subprocess.run(
        [micropython, "-X", "heapsize=16M", str(program), *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=within_s,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])
