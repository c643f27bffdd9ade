"""One TCP connection, plain or TLS, that never waits.

The TLS library works a handshake off in one go as far as its input reaches, and on an ESP32 a
server's certificate chain and key exchange together are most of a second. A gate below it lets one
record through per turn until the handshake is over, so that the work comes in slices.
"""

import binascii
import errno
import io
import select
import socket

from micropython import const

_CHUNK_BYTES = const(1_024)  # most that is offered to the network at once
_RECORD_HEADER_BYTES = const(5)  # RFC 5246 section 6.2.1
_STREAM_CLOSE = const(4)  # py/stream.h MP_STREAM_CLOSE

# A connection under way. 119 is lwIP's EINPROGRESS, which some ESP32 builds let through.
_UNDER_WAY = (errno.EINPROGRESS, errno.EALREADY, errno.EAGAIN, 119)


class Stream:
    """`address`: as `getaddrinfo` gives it. `tls`: a context of `tls_context`, or None.

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
            self._gate = _Gate(self._socket)
            self._stream = self._tls.wrap_socket(
                self._gate, server_hostname=self._host, do_handshake_on_connect=False
            )


class _Gate(io.IOBase):
    """The socket as TLS sees it. `records`: how many may still begin in this turn; -1: any.

    An exception must not cross the TLS library: it is kept, and raised by `check`.
    """

    def __init__(self, sock):
        self._socket = sock
        self._error = None
        self.records = 1

    def check(self) -> None:
        error, self._error = self._error, None
        if error:
            raise error

    def readinto(self, buffer) -> int | None:
        # TLS reads a header and then exactly its record; a record of five bytes waits a turn.
        begins = len(buffer) == _RECORD_HEADER_BYTES
        if begins and self.records == 0:
            return None
        try:
            count = self._socket.readinto(buffer)
        except OSError as error:
            self._error = error
            return None
        if begins and count and self.records > 0:
            self.records -= 1
        return count

    def write(self, buffer) -> int | None:
        try:
            return self._socket.write(buffer)
        except OSError as error:
            self._error = error
            return None

    def ioctl(self, request: int, _) -> int:
        if request == _STREAM_CLOSE:
            self._socket.close()
        return 0


def tls_context(ca: str):
    """A TLS context that trusts the certificates in `ca` (PEM) alone. Raises ValueError.

    Names and IPv4 addresses are checked against the certificate, and its dates against the board's
    clock: while that stands at its beginning in 2000, every certificate lies in the future.
    """
    import tls

    context = tls.SSLContext(tls.PROTOCOL_TLS_CLIENT)
    context.verify_mode = tls.CERT_REQUIRED  # pyright: ignore[reportAttributeAccessIssue]
    for certificate in certificates(ca):
        context.load_verify_locations(certificate)
    return context


def certificates(pem: str) -> list:
    """The certificates in `pem`, as DER: not every build of the TLS library reads PEM."""
    found = []
    for part in pem.split("-----BEGIN CERTIFICATE-----")[1:]:
        text, end, _ = part.partition("-----END CERTIFICATE-----")
        try:
            der = binascii.a2b_base64(text) if end else b""
        except ValueError:
            der = b""
        if not der:
            raise ValueError("a CA certificate that is cut off or no base64")
        found.append(der)
    if not found:
        raise ValueError("no CA certificate: a PEM text with at least one is needed for TLS")
    return found
