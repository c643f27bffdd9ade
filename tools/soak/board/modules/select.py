"""`select` of the board: it knows its own sockets, and waiting is a step of the board's clock."""

import clockwork as _clockwork
import wiring as _wiring

POLLIN, POLLOUT, POLLERR, POLLHUP = 1, 4, 8, 16


class _Poll:
    def __init__(self):
        self._watched = []

    def register(self, what, events=POLLIN | POLLOUT):
        if hasattr(what, "events"):  # nobody types at the console
            self._watched.append((what, events))

    def unregister(self, what):
        self._watched = [each for each in self._watched if each[0] is not what]

    def poll(self, timeout=-1):
        found = []
        for what, events in self._watched:
            there = what.events() & (events | POLLERR | POLLHUP)
            if there:
                found.append((what, there))
        return found

    def ipoll(self, timeout=-1, flags=0):
        if timeout > 0:
            _clockwork.enter()
            _wiring.waits(timeout)
            _clockwork.leave()
            return ()
        return self.poll() if self._watched else ()


def poll():
    return _Poll()
