"""MicroPython as a CPython extension, run so that it can be woken from waiting for a key.

The handler does nothing. That there is one makes SIGUSR1 end a read() with EINTR, upon which
MicroPython runs its scheduled callbacks and reads on; CPython, which only waits for MicroPython to
end, notes the signal and no more. An interpreter without such a handler runs them when the next
command does.
"""

import signal
import sys

from micropython_unix import main

if __name__ == "__main__":
    signal.signal(signal.SIGUSR1, lambda *_: None)
    sys.argv[0] = "micropython"
    sys.exit(main())
