"""MicroPython as a CPython extension, run so that it can be woken from waiting for a key and be
interrupted as a board is, and with the board's ROM in its memory.

The handler of SIGUSR1 does nothing. That there is one makes the signal end a read() with EINTR,
upon which MicroPython runs its scheduled callbacks and reads on; CPython, which only waits for
MicroPython to end, notes the signal and no more. An interpreter without such a handler runs them
when the next command does.

The handler of SIGUSR2 is the function that a board's UART calls for Ctrl-C: it notes a
KeyboardInterrupt for the main thread, which raises it before its next instruction.

`--map FILE` comes before MicroPython's own arguments: the address at which the file then lies, for
reading only, is added as the last of them. As on the chip it is no part of the heap, and shows what
is written to the file at once.
"""

import ctypes
import os
import signal
import sys

import micropython_run
from micropython_unix import main

_PROT_READ, _MAP_SHARED, _FAILED = 1, 1, ctypes.c_void_p(-1).value


def interruptible() -> None:
    """SIGUSR2 for Ctrl-C, if the extension shows the function for it."""
    note = getattr(ctypes.CDLL(micropython_run.__file__), "mp_sched_keyboard_interrupt", None)
    if note:
        library = ctypes.CDLL(None)
        library.signal.argtypes = (ctypes.c_int, ctypes.c_void_p)
        library.signal.restype = ctypes.c_void_p
        library.signal(signal.SIGUSR2, ctypes.cast(note, ctypes.c_void_p))
        signal.siginterrupt(signal.SIGUSR2, True)


def mapped(path: str) -> int:
    """The file's address; OSError if it cannot be mapped."""
    library = ctypes.CDLL(None, use_errno=True)
    library.mmap.restype = ctypes.c_void_p
    file = os.open(path, os.O_RDONLY)
    size = ctypes.c_size_t(os.fstat(file).st_size)
    address = library.mmap(None, size, _PROT_READ, _MAP_SHARED, file, ctypes.c_long(0))
    os.close(file)
    if address in (None, _FAILED):
        raise OSError(ctypes.get_errno(), "mmap", path)
    return address


if __name__ == "__main__":
    signal.signal(signal.SIGUSR1, lambda *_: None)
    interruptible()
    sys.argv[0] = "micropython"
    if sys.argv[1:2] == ["--map"]:
        sys.argv[1:] = [*sys.argv[3:], str(mapped(sys.argv[2]))]
    sys.exit(main())
