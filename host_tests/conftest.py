"""CPython dressed as the board where the firmware's pure parts need it: ticks and short sleeps."""

import asyncio
import contextlib
import gc
import os
import shutil
import signal
import sys
import time
from pathlib import Path

import hypothesis
import pytest

BIN = Path(sys.executable).parent

# A shell that starts the tests in the background lets them, and all that they start, ignore Ctrl-C.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    with contextlib.suppress(ValueError):  # not the main thread
        signal.signal(signal.SIGINT, signal.default_int_handler)

# How long a test takes says as much about the computer as about the code.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")

TICKS_PERIOD = 1 << 30
_HALF = TICKS_PERIOD >> 1


def _ticks_diff(end: int, start: int) -> int:
    return ((end - start + _HALF) & (TICKS_PERIOD - 1)) - _HALF


def _install(module, name: str, function) -> None:
    if not hasattr(module, name):
        setattr(module, name, function)


_install(time, "ticks_ms", lambda: (time.monotonic_ns() // 1_000_000) & (TICKS_PERIOD - 1))
_install(time, "ticks_us", lambda: (time.monotonic_ns() // 1_000) & (TICKS_PERIOD - 1))
_install(time, "ticks_add", lambda ticks, delta: (ticks + delta) & (TICKS_PERIOD - 1))
_install(time, "ticks_diff", _ticks_diff)
_install(time, "sleep_ms", lambda ms: time.sleep(ms / 1_000))
_install(time, "sleep_us", lambda us: time.sleep(us / 1_000_000))
_install(asyncio, "sleep_ms", lambda ms: asyncio.sleep(ms / 1_000))


@pytest.fixture(scope="session")
def micropython() -> str:
    """The interpreter that plays the board: `MICROPYTHON=`, else the one in the environment."""
    found = os.environ.get("MICROPYTHON") or shutil.which("micropython", path=str(BIN))
    if not found:
        pytest.skip(f"no MicroPython in {BIN} for this platform; MICROPYTHON= names another")
    return found


@pytest.fixture(autouse=True, scope="module")
def _nothing_left_of_other_files() -> None:
    """What other files' tests left behind is cleared up here and not in the middle of a test, which
    may be as deep in a parser as the stack goes: a finalizer there fails, and that test with it."""
    gc.collect()


def pytest_unconfigure() -> None:
    # CPython remembers a KeyboardInterrupt that left a text executed by a test, although the test
    # caught it, and `python -m pytest` would end by SIGINT. Another text executed makes it forget.
    exec("")
