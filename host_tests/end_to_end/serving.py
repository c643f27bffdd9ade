"""`tapgate serve` in a process of its own, for a test."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from host_tests.end_to_end.conftest import Site
from tools.virtual.client import PROJECT

END_S = 15


@contextmanager
def serving(site: Site) -> Iterator[None]:
    """From its "ready" on."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tools.cli", "--home", str(site.home), "serve"],
        cwd=PROJECT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert process.stdout
        said = []
        for line in process.stdout:
            said.append(line)
            if line.startswith("ready"):
                break
        assert said and said[-1].startswith("ready"), said
        yield
    finally:
        process.terminate()
        try:
            process.communicate(timeout=END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
