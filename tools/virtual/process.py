"""What the board's process is doing at the moment, seen from outside: in which system call its main
thread waits, and which signals it has a handler for.

What is seen holds as long as the process does nothing: `signal_if` stops it meanwhile. A stop
lengthens some time-outs, so whoever can look first should.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import signal
import subprocess
from collections.abc import Callable

_READ_CALL = {"x86_64": "0", "aarch64": "63"}.get(platform.machine(), "unknown")
_IDLE_CALLS = {  # poll, select, nanosleep, clock_nanosleep, pselect6, ppoll
    "x86_64": ("7", "23", "35", "230", "270", "271"),
    "aarch64": ("101", "115", "72", "73"),
}.get(platform.machine(), ())
_LIBRARY = ctypes.CDLL(None)  # glibc 2.30 and musl 1.2 have tgkill


def signal_if(
    still: Callable[[int], bool], process: subprocess.Popen, number: signal.Signals
) -> bool:
    """The signal goes to the main thread if the process is `still` doing this once it is stopped.
    To the process as a whole, any of its threads might take it when they all go on."""
    with contextlib.suppress(ProcessLookupError, ChildProcessError):
        process.send_signal(signal.SIGSTOP)
        try:
            os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
            if still(process.pid):
                return _LIBRARY.tgkill(process.pid, process.pid, int(number)) == 0
        finally:
            process.send_signal(signal.SIGCONT)
    return False


def reads_keys(pid: int) -> bool:
    """Whether it is in a read() of standard input."""
    return system_call(pid)[:2] == [_READ_CALL, "0x0"]


def gives_way(pid: int) -> bool:
    """Whether it sleeps, polls or waits for a key."""
    return any(number in _IDLE_CALLS for number in system_call(pid)[:1]) or reads_keys(pid)


def system_call(pid: int) -> list[str]:
    """In which the main thread waits, and with what; "running" or "-1" for none; nothing where this
    cannot be seen."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/syscall") as call:
        return call.read().split()
    return []


def handles(pid: int, number: signal.Signals) -> bool:
    """Whether the process has a handler for the signal, which else would end it."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/status") as status:
        for line in status:
            if line.startswith("SigCgt:"):
                return bool(int(line.split()[1], 16) >> (number - 1) & 1)
    return False
