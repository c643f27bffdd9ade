"""`socket` of the board: the network is on the other side of the line. One connection at a time."""

import errno as _errno
import io as _io
from select import POLLERR as _POLLERR
from select import POLLIN as _POLLIN
from select import POLLOUT as _POLLOUT

import clockwork as _clockwork
import codes as _codes
import line as _line
import wiring as _wiring

AF_INET = 2
SOCK_STREAM, SOCK_DGRAM = 1, 2
_MP_STREAM_POLL = 3  # py/stream.h; the argument: the events asked for

_numbers = [0]  # of the socket that datagrams came last to


def getaddrinfo(host, port, family=0, kind=0, *_):
    return [(AF_INET, kind, 0, "", (host, port))]


class socket(_io.IOBase):
    def __init__(self, family=AF_INET, kind=SOCK_STREAM, proto=0):
        self._datagrams = kind == SOCK_DGRAM
        self._to = None
        if self._datagrams:
            _numbers[0] = self._number = (_numbers[0] + 1) % 100

    def setblocking(self, on):
        pass

    def connect(self, address):
        self._to = address
        if not self._datagrams:
            _ask(_codes.CONNECT, address[1])
            raise OSError(_errno.EINPROGRESS)

    def ioctl(self, what, argument):
        """Of a stream: what `select` asks is all that is answered."""
        if what != _MP_STREAM_POLL:
            return -1
        flags = _line.flags
        there = (
            (_POLLIN if flags & (_codes.READABLE | _codes.OVER) else 0)
            | (_POLLOUT if flags & _codes.STANDS else 0)
            | (_POLLERR if flags & _codes.REFUSED else 0)
        )
        return there & (argument | _POLLERR)

    def readinto(self, view):
        if _line.flags & _codes.READABLE:
            return _ask(_codes.RECEIVE, len(view), None, view)
        return 0 if _line.flags & _codes.OVER else None

    def write(self, view):
        return _ask(_codes.SEND, 0, view)

    def send(self, message):
        return self.sendto(message, self._to)

    def sendto(self, message, address):
        _ask(_codes.UDP, address[1] | self._number << 16, message)
        return len(message)

    def recv(self, size):
        for at, (number, message) in enumerate(_wiring.datagrams):
            if number == self._number:
                del _wiring.datagrams[at]
                return message[:size]
        raise OSError(_errno.EAGAIN)

    def close(self):
        if self._datagrams:
            _wiring.datagrams[:] = [each for each in _wiring.datagrams if each[0] != self._number]
        if not self._datagrams and self._to:
            self._to = None
            _ask(_codes.CLOSE)


def _ask(what, argument=0, data=None, into=None):
    _clockwork.enter()
    number = _line.ask(what, argument, data, into)
    _clockwork.leave()
    return number
