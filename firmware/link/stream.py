"""One TCP connection, plain or TLS (secure.py), that never waits."""

import errno
import select
import socket

from micropython import const

_CHUNK_BYTES = const(1_024)  # most that is offered to the network at once

# A connection under way. 119 is lwIP's EINPROGRESS, which some ESP32 builds let through.
_UNDER_WAY = (errno.EINPROGRESS, errno.EALREADY, errno.EAGAIN, 119)


class Stream:
    """`address`: as `getaddrinfo` gives it. `tls`: a context (secure.py), or None.

    Methods raise OSError, and ValueError for a certificate that is not right.
    """

    def __init__(self, address, tls=None, host: str = ""):
        self._tls = tls
        self._host = host
        self._gate = None
        self._offered = 0  # TLS wants the very same bytes again until it has taken them
        self._poll = select.poll()
        self._socket = sock = socket.socket()
        self._stream = sock  # what is read and written: the socket, or TLS on it
        self._open = True
        try:
            sock.setblocking(False)
            self._start(address)
            self._poll.register(sock, select.POLLOUT)
        except Exception:
            sock.close()
            raise

    def connected(self) -> bool:
        """Whether the TCP connection stands; to be asked until it does."""
        for _, events in self._poll.poll(0):
            if events & (select.POLLERR | select.POLLHUP):
                raise OSError(errno.ECONNREFUSED)
            if events & select.POLLOUT:
                self._poll.unregister(self._socket)
                self._wrap()
                return True
        return False

    def turn(self) -> None:
        """A new turn of the event loop: the handshake may go one record further."""
        if self._gate:
            self._gate.records = 1

    @property
    def held_back(self) -> bool:
        """Whether this turn left work of the handshake for the next."""
        return self._gate is not None and self._gate.records == 0

    def read(self, view: memoryview) -> int | None:
        """Bytes read into `view`; None: nothing there; 0: the other side is done."""
        count = self._stream.readinto(view)
        if self._gate:
            self._gate.check()
        return count

    def write(self, view: memoryview) -> int:
        """How many bytes of `view` were taken. It may grow between calls, not change."""
        size = self._offered or min(len(view), _CHUNK_BYTES)
        count = self._stream.write(view[:size])
        if self._gate:
            self._gate.check()
            if count is None:
                self._offered = size
                return 0
            self._offered = 0
            self._gate.records = -1  # the handshake is over
        return count or 0

    def close(self) -> None:
        """Give the connection up. What was not sent by now is lost; nothing is waited for."""
        if self._open:
            self._open = False
            self._stream.close()

    def _start(self, address) -> None:
        try:
            self._socket.connect(address)
        except OSError as error:
            if error.errno not in _UNDER_WAY:
                raise

    def _wrap(self) -> None:
        if self._tls:
            from firmware.link.secure import Gate  # loaded where it is needed: memory is short

            self._gate = Gate(self._socket)
            self._stream = self._tls.wrap_socket(
                self._gate, server_hostname=self._host, do_handshake_on_connect=False
            )
