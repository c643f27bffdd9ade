"""Names to IPv4 addresses over UDP, without the blocking `getaddrinfo` (RFC 1035; RFC 6762).

A name that ends in `.local` is asked of the neighbourhood (multicast DNS, a one-shot query of
RFC 6762 section 5.1), every other of the server that DHCP gave.
"""

import asyncio
import errno
import socket
import time

from micropython import const

from firmware.link.address import DnsError, is_address

_ATTEMPTS = const(3)
_ATTEMPT_MS = const(2_000)

_POLL_MS = const(20)
_MESSAGE_BYTES = const(512)  # RFC 1035 section 4.2.1
_HEADER_BYTES = const(12)
_NAME_BYTES = const(253)
_PORT = const(53)
_MULTICAST = const(("224.0.0.251", 5353))
_TYPE_A_CLASS_IN = const(b"\x00\x01\x00\x01")
_CLASS_MASK = const(0x7FFF)  # RFC 6762 section 10.2: the top bit means "forget older ones"


async def resolve(
    host: str,
    server: str,
    rng,
    beat=lambda: None,
    attempt_ms: int = _ATTEMPT_MS,
    port: int = _PORT,
) -> str:
    """The IPv4 address of `host` in text. An address is its own answer. Raises DnsError.

    `server`: the DNS server's address. `rng()` gives numbers from 0 up to 1. `beat()` is called
    while waiting.
    """
    if is_address(host):
        return host
    where = _MULTICAST if is_local(host) else (server, port)
    if not is_address(where[0]):
        raise DnsError(f"no DNS server to ask for {host}")
    address = socket.getaddrinfo(where[0], where[1], 0, socket.SOCK_DGRAM)[0][-1]
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        for _ in range(_ATTEMPTS):
            number = int(rng() * 0x10000)
            _send(sock, query(host, number), address)
            asked = time.ticks_ms()
            while time.ticks_diff(time.ticks_ms(), asked) < attempt_ms:
                beat()
                await asyncio.sleep_ms(_POLL_MS)
                message = _receive(sock)
                if message is not None:
                    found = answer(message, host, number)
                    if found is not None:
                        return found
    finally:
        sock.close()
    raise DnsError(f"no answer from {where[0]} for {host}")


def is_local(host: str) -> bool:
    """Whether the name belongs to multicast DNS."""
    return host.rstrip(".").lower().endswith(".local")


def query(host: str, number: int) -> bytes:
    """The question for the address of `host`, with identifier `number`. Raises DnsError."""
    message = bytearray(number.to_bytes(2, "big"))
    message += b"\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00"  # recursion desired, one question
    for label in host.rstrip(".").split("."):
        coded = label.encode()
        if not 0 < len(coded) < 64 or len(coded) != len(label):
            raise DnsError(f"no name: {host!r}")
        message.append(len(coded))
        message += coded
    message.append(0)
    if len(message) > _HEADER_BYTES + _NAME_BYTES + 2:
        raise DnsError(f"no name: {host!r}")
    message += _TYPE_A_CLASS_IN
    return bytes(message)


def answer(message: bytes, host: str, number: int) -> str | None:
    """The address that `message` gives for `host`; None where it is no answer to this question.

    Raises DnsError where it is one and says that there is no address.
    """
    try:
        return _answer(message, host, number)
    except IndexError:
        return None  # cut off


def _answer(message: bytes, host: str, number: int) -> str | None:
    if message[:2] != number.to_bytes(2, "big") or not message[2] & 0x80:
        return None
    question = query(host, number)[_HEADER_BYTES:]
    position = _HEADER_BYTES
    if _short(message, 4):  # multicast answers may leave the question out
        position += len(question)
        if message[_HEADER_BYTES:position].lower() != question.lower():
            return None
    if message[3] & 0x0F:
        raise DnsError(f"no address for {host}: DNS code {message[3] & 0x0F}")
    for _ in range(_short(message, 6)):
        position = _after_name(message, position)
        kind, group = _short(message, position), _short(message, position + 2) & _CLASS_MASK
        size = _short(message, position + 8)
        position += 10
        if kind == 1 and group == 1 and size == 4:
            return "{}.{}.{}.{}".format(*[message[position + i] for i in range(4)])
        position += size  # most often a CNAME, with the address after it
    raise DnsError(f"no address for {host}")


def _short(message: bytes, position: int) -> int:
    return message[position] << 8 | message[position + 1]


def _after_name(message: bytes, position: int) -> int:
    while message[position]:
        if message[position] & 0xC0:  # a pointer ends the name (RFC 1035 section 4.1.4)
            return position + 2
        position += 1 + message[position]
    return position + 1


def _send(sock, message: bytes, address) -> None:
    try:
        sock.sendto(message, address)
    except OSError as error:
        if error.errno != errno.EAGAIN:
            raise DnsError(f"the network takes no question ({error.errno})") from None


def _receive(sock) -> bytes | None:
    try:
        return sock.recv(_MESSAGE_BYTES)
    except OSError:
        return None  # nothing yet; or no server there, and the attempts run out
