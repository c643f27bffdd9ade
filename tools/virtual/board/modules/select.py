"""`select` that lets interrupts run while the program waits, as the board's own does."""

import _native_select as _native
import _native_time as _time
import line as _line

POLLIN = _native.POLLIN
POLLOUT = _native.POLLOUT
POLLERR = _native.POLLERR
POLLHUP = _native.POLLHUP


class _Poll:
    def __init__(self):
        self._poll = _native.poll()
        _line.register_wake(self._poll)
        self._events = None

    def register(self, stream, *eventmask):
        self._poll.register(stream, *eventmask)

    def unregister(self, stream):
        self._poll.unregister(stream)

    def modify(self, stream, eventmask):
        self._poll.modify(stream, eventmask)

    def poll(self, timeout=-1):
        end = _time.ticks_ms() + timeout
        left = timeout
        while True:
            found = self._poll.poll(left)
            ready = [event for event in found if not _line.is_wake(event[0])]
            if len(ready) < len(found):
                _line.drained()
            if timeout >= 0:
                left = max(0, end - _time.ticks_ms())
            if ready or left == 0:
                return ready

    def ipoll(self, timeout=-1, flags=0):
        self._events = self._poll.ipoll(timeout, flags)
        return self

    def __iter__(self):
        return self

    def __next__(self):
        event = next(self._events)
        if _line.is_wake(event[0]):
            _line.drained()
            event = next(self._events)
        return event


def poll():
    return _Poll()


def select(readable, writable, exceptional, timeout=-1):
    return _native.select(readable, writable, exceptional, *(() if timeout < 0 else (timeout,)))
