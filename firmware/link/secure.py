"""TLS on a connection that never waits.

The TLS library works a handshake off in one go as far as its input reaches, and on an ESP32 a
server's certificate chain and key exchange together are most of a second. A gate below it lets one
record through per turn until the handshake is over, so that the work comes in slices.
"""

import binascii
import io

from micropython import const

_RECORD_HEADER_BYTES = const(5)  # RFC 5246 section 6.2.1
_STREAM_CLOSE = const(4)  # py/stream.h MP_STREAM_CLOSE


class Gate(io.IOBase):
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
