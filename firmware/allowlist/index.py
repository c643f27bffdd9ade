"""The index: the names of all shards of one list (DESIGN section 6).

"TGI1" · bits u8 · reserved 3 · cards u32 · 2^bits digests of 16 bytes       all big-endian
"""

import binascii
import hashlib

from micropython import const

from firmware.allowlist.errors import ObjectError
from firmware.allowlist.shard import ENTRIES

HEADER_BYTES = const(12)
DIGEST_BYTES = const(16)
BITS = const(9)  # the most: 512 shards hold 100,000 cards; an index of 8,204 bytes

_MAGIC = const(b"TGI1")


def check(data: bytes | bytearray | memoryview) -> tuple[int, int]:
    """(bits, cards) of a whole and well-formed index. Raises ObjectError."""
    if len(data) < HEADER_BYTES:
        raise ObjectError(f"index of {len(data)} bytes, expected at least {HEADER_BYTES}")
    if bytes(data[:4]) != _MAGIC:
        raise ObjectError(f"index begins {bytes(data[:4])!r}, expected {_MAGIC!r}")
    bits = data[4]
    if bits > BITS:
        raise ObjectError(f"index of {bits} bits, expected at most {BITS}")
    if data[5] or data[6] or data[7]:
        raise ObjectError("index with reserved bytes set, expected 000000")
    size = HEADER_BYTES + (DIGEST_BYTES << bits)
    if len(data) != size:
        raise ObjectError(f"index of {len(data)} bytes, {bits} bits take {size}")
    cards = data[8] << 24 | data[9] << 16 | data[10] << 8 | data[11]
    if cards > ENTRIES << bits:
        raise ObjectError(f"index of {cards} cards, {1 << bits} shards hold {ENTRIES << bits}")
    return bits, cards


def bits_of(size: int) -> int | None:
    """How many bits an index has whose digests take `size` bytes; None: it is none."""
    for bits in range(BITS + 1):
        if DIGEST_BYTES << bits == size:
            return bits
    return None


def header(bits: int, cards: int) -> bytes:
    """The first 12 bytes of the index of `cards` cards in 2^`bits` shards."""
    return _MAGIC + bytes([bits, 0, 0, 0]) + cards.to_bytes(4, "big")


def digest_of(data: bytes | bytearray | memoryview) -> bytes:
    """The name of an object: the first 16 bytes of its SHA-256."""
    return hashlib.sha256(data).digest()[:DIGEST_BYTES]


def name_of(data: bytes | bytearray | memoryview) -> str:
    """The same as 32 hex digits, the way it stands in topics and refs."""
    return hex_of(digest_of(data))


def hex_of(digest: bytes) -> str:
    """The 32 hex digits of a SHA-256's first 16 bytes."""
    return binascii.hexlify(digest[:DIGEST_BYTES]).decode()
