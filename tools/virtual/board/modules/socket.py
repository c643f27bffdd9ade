"""`socket` of the virtual board: every address leads through the world's network."""

import _native_socket as _native
import line as _line

AF_INET = _native.AF_INET
AF_INET6 = _native.AF_INET6
SOCK_STREAM = _native.SOCK_STREAM
SOCK_DGRAM = _native.SOCK_DGRAM
SOCK_RAW = _native.SOCK_RAW
SOL_SOCKET = _native.SOL_SOCKET
SO_REUSEADDR = _native.SO_REUSEADDR
SO_BROADCAST = _native.SO_BROADCAST
SO_KEEPALIVE = _native.SO_KEEPALIVE
IPPROTO_TCP = 6
IPPROTO_UDP = 17
IPPROTO_IP = 0
TCP_NODELAY = 1
IP_ADD_MEMBERSHIP = _native.IP_ADD_MEMBERSHIP

socket = _native.socket


def getaddrinfo(host, port, af=0, type=0, proto=0, flags=0):
    """As on the board a name that is no number is looked up here and blocks; the address that
    comes back is that of the world's relay to the real one."""
    kind = SOCK_DGRAM if type == SOCK_DGRAM or proto == IPPROTO_UDP else SOCK_STREAM
    if isinstance(host, (bytes, bytearray)):
        host = bytes(host).decode()
    relay = _line.call("net.address", host, int(port), kind == SOCK_DGRAM)
    return _native.getaddrinfo("127.0.0.1", relay, AF_INET, kind)
