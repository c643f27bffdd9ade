"""Whether a call allocates: MicroPython can tell, CPython cannot and only makes the call."""

import micropython

_lock = getattr(micropython, "heap_lock", None)
_unlock = getattr(micropython, "heap_unlock", None)


def without_heap(function, argument):
    """Call `function(argument)` with the heap locked; MemoryError where it needs one."""
    if _lock is None or _unlock is None:
        return function(argument)
    _lock()
    try:
        return function(argument)
    finally:
        _unlock()
