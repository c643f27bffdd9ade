"""HMAC-SHA256 (RFC 2104, FIPS 198-1), which MicroPython lacks, and a leak-free comparison."""

import hashlib

from micropython import const

_BLOCK_BYTES = const(64)  # FIPS 180-4: SHA-256 works on blocks of 512 bits
# RFC 2104 section 2, as numbers: a whole block in one step instead of byte by byte
_INNER = int.from_bytes(b"\x36" * 64, "big")
_OUTER = int.from_bytes(b"\x5c" * 64, "big")


class HmacSha256:
    """One key, prepared once: `digest` then costs two SHA-256 and a few small objects.

    `key`: bytes of any length (RFC 2104 section 2: one of more than 64 bytes is replaced by its
    SHA-256, a shorter one is filled up with zeros).
    """

    def __init__(self, key: bytes):
        if len(key) > _BLOCK_BYTES:
            key = hashlib.sha256(key).digest()
        padded = int.from_bytes(bytes(key) + bytes(_BLOCK_BYTES - len(key)), "big")
        self._inner = (padded ^ _INNER).to_bytes(_BLOCK_BYTES, "big")
        self._outer = (padded ^ _OUTER).to_bytes(_BLOCK_BYTES, "big")

    def digest(self, *parts: bytes | bytearray | memoryview) -> bytes:
        """HMAC-SHA256, 32 bytes, over all `parts` as one message; nothing is joined in memory."""
        inner = hashlib.sha256(self._inner)
        for part in parts:
            inner.update(part)
        outer = hashlib.sha256(self._outer)
        outer.update(inner.digest())
        return outer.digest()


def same(a: bytes | bytearray | memoryview, b: bytes | bytearray | memoryview) -> bool:
    """Whether two byte strings are equal, in a time that depends on their length alone."""
    if len(a) != len(b):
        return False
    difference = 0
    for i in range(len(a)):
        difference |= a[i] ^ b[i]
    return difference == 0
