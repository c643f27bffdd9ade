"""One question for the time over SNTP (RFC 4330; RFC 5905), without ever waiting for the answer.

Nothing signs it. What a server that lies, or somebody in its place, can do is to let the clock run
ahead; `Clock` lets nobody turn it back. When to ask is timekeeper.py.
"""

import asyncio
import os
import socket
import time

from micropython import const

from firmware.link.address import is_address

ANSWER_MS = const(1_500)  # the way there and back; the time is wrong by half of it at most

_POLL_MS = const(20)
_BYTES = const(48)  # RFC 5905 figure 8; what may follow is not looked at
_CLIENT = const(0x23)  # no warning, version 4, mode 3
_SERVER = const(4)
_1970_S = const(2_208_988_800)  # since 1900
_ERA_S = const(0x1_0000_0000)


class NtpError(OSError):
    """The server gave no time. `kiss`: it asks to be left alone."""

    kiss = False


async def ask(host: str, port: int, dns_server: str, rng, beat) -> int:
    """Milliseconds since 1970 as the server `host` has them now. Raises OSError, NtpError among
    them.

    `rng()` gives numbers from 0 up to 1. `beat()` is called while waiting.
    """
    address = host
    if not is_address(host):
        from firmware.link import dns

        address = await dns.resolve(host, dns_server, rng, beat)
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        # Connected, it hears nobody but the one it asks.
        sock.connect(socket.getaddrinfo(address, port, 0, socket.SOCK_DGRAM)[0][-1])
        stamp = os.urandom(8)
        sock.send(query(stamp))
        asked = time.ticks_ms()
        took = 0
        while took < ANSWER_MS:
            beat()
            await asyncio.sleep_ms(_POLL_MS)
            took = time.ticks_diff(time.ticks_ms(), asked)
            try:
                message = sock.recv(_BYTES)
            except OSError:
                continue  # nothing yet; or no server there, and the time runs out
            found = answer(message, stamp)
            if found is not None:
                return found + took // 2
    finally:
        sock.close()
    raise NtpError(f"no answer from {address}")


def query(stamp: bytes) -> bytes:
    """The question. `stamp`: 8 random bytes in the place of the time here, which the server sends
    back and nobody else can guess."""
    message = bytearray(_BYTES)
    message[0] = _CLIENT
    message[40:] = stamp
    return bytes(message)


def answer(message: bytes, stamp: bytes) -> int | None:
    """Milliseconds since 1970 at which the server sent `message`; None where that is no answer to
    the question with `stamp`. Raises NtpError where it is one that gives no time (section 5)."""
    if len(message) < _BYTES or message[0] & 7 != _SERVER or message[24:32] != stamp:
        return None
    stratum = message[1]
    if stratum == 0:  # section 8
        error = NtpError(f"kiss of death {bytes(message[12:16])}")
        error.kiss = True
        raise error
    seconds = int.from_bytes(message[40:44], "big")
    fraction = int.from_bytes(message[44:48], "big")
    if message[0] >> 6 == 3 or stratum > 15 or not seconds | fraction:
        raise NtpError("the server does not know the time")
    if not seconds & 0x8000_0000:  # section 3: from 2036-02-07 on they count anew
        seconds += _ERA_S
    return (seconds - _1970_S) * 1_000 + (fraction * 1_000 >> 32)
