"""`select` of the modelled board: waiting is a step of its clock, with the world's turn in it."""

import clockwork as _clockwork
import wiring as _wiring
from _native_select import POLLERR, POLLHUP, POLLIN, POLLOUT  # noqa: F401
from _native_select import poll as _poll


class _Poll:
    def __init__(self):
        self._poll = _poll()
        self.register = self._poll.register
        self.unregister = self._poll.unregister
        self.modify = self._poll.modify

    def poll(self, timeout=-1):
        return self._poll.poll(0)

    def ipoll(self, timeout=-1, flags=0):
        if timeout > 0:
            _clockwork.enter()
            _wiring.waits(timeout)
            _clockwork.leave()
            return ()
        return self._poll.ipoll(0)


def poll():
    return _Poll()
