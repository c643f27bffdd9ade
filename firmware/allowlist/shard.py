"""A shard: the entries of all tokens with the same top bits, one small object (DESIGN section 6).

"TGS1" · count u16 · reserved u16 · count x 16 bytes, ascending by token:
token 7 · group u16 · valid_from u24 · valid_until u24 · flags u8          all big-endian
"""

from micropython import const

from firmware.allowlist.errors import ObjectError

HEADER_BYTES = const(8)
ENTRY_BYTES = const(16)
SHARD_BYTES = const(4096)  # the most a shard may have: one block of flash
ENTRIES = const(255)  # what fits: (4096 - 8) // 16

_MAGIC = const(b"TGS1")
_TOKEN_BYTES = const(7)


def check(data: bytes | bytearray | memoryview, shard: int, bits: int) -> int:
    """The number of entries, once `data` is proved to be a whole and well-formed shard.

    `shard` is its place among 2^`bits`: every token must begin with these bits. Raises ObjectError.
    """
    count = length(data)
    if len(data) != HEADER_BYTES + ENTRY_BYTES * count:
        raise ObjectError(
            f"shard of {len(data)} bytes, {count} entries take {HEADER_BYTES + ENTRY_BYTES * count}"
        )
    last = -1
    for at in range(HEADER_BYTES, len(data), ENTRY_BYTES):
        first = data[at] << 16 | data[at + 1] << 8 | data[at + 2]  # small: takes no memory
        if first <= last and (first < last or _token(data, at - ENTRY_BYTES) >= _token(data, at)):
            i = (at - HEADER_BYTES) // ENTRY_BYTES
            raise ObjectError(f"shard out of order: entry {i} is not above entry {i - 1}")
        last = first
    for i in (0, count - 1) if count else ():  # the others lie between
        found = shard_of(_token(data, HEADER_BYTES + ENTRY_BYTES * i), bits)
        if found != shard:
            raise ObjectError(f"entry {i} belongs in shard {found}, found in {shard} ({bits} bits)")
    return count


def length(data: bytes | bytearray | memoryview) -> int:
    """The number of entries that a shard's first 8 bytes announce. Raises ObjectError."""
    if not HEADER_BYTES <= len(data) <= SHARD_BYTES:
        raise ObjectError(f"shard of {len(data)} bytes, expected {HEADER_BYTES} to {SHARD_BYTES}")
    if bytes(data[:4]) != _MAGIC:
        raise ObjectError(f"shard begins {bytes(data[:4])!r}, expected {_MAGIC!r}")
    if data[6] or data[7]:
        raise ObjectError(f"shard's reserved bytes {data[6]:02x}{data[7]:02x}, expected 0000")
    count = data[4] << 8 | data[5]
    if count > ENTRIES:
        raise ObjectError(f"shard of {count} entries, expected at most {ENTRIES}")
    return count


def shard_of(token: bytes | bytearray | memoryview, bits: int) -> int:
    """The place of a token's shard among 2^`bits`: its top bits, `bits` being 0 to 16."""
    return (token[0] << 8 | token[1]) >> (16 - bits)


def find(data: bytes | bytearray | memoryview, token: bytes) -> tuple[int, int, int, int] | None:
    """The entry of `token`: (group, valid_from_min, valid_until_min, flags), or None.

    `data` must have passed `check` before. The search halves the shard by the first three bytes of
    the tokens, as small integers that take no memory, and compares whole tokens only where these
    are equal.
    """
    wanted = token[0] << 16 | token[1] << 8 | token[2]
    low = 0
    high = end = (len(data) - HEADER_BYTES) // ENTRY_BYTES
    while low < high:
        middle = (low + high) >> 1
        at = HEADER_BYTES + ENTRY_BYTES * middle
        if data[at] << 16 | data[at + 1] << 8 | data[at + 2] < wanted:
            low = middle + 1
        else:
            high = middle
    while low < end:
        at = HEADER_BYTES + ENTRY_BYTES * low
        if data[at] << 16 | data[at + 1] << 8 | data[at + 2] != wanted:
            return None
        if data[at : at + _TOKEN_BYTES] == token:
            return _entry(data, at + _TOKEN_BYTES)
        low += 1
    return None


def _token(data, at):
    return bytes(data[at : at + _TOKEN_BYTES])


def _entry(data, at):
    return (
        data[at] << 8 | data[at + 1],
        data[at + 2] << 16 | data[at + 3] << 8 | data[at + 4],
        data[at + 5] << 16 | data[at + 6] << 8 | data[at + 7],
        data[at + 8],
    )
