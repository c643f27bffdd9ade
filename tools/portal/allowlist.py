"""Permissions and cards become objects named by their content (DESIGN section 6).

Pure: rows in, bytes out. Time plays no part: a permission that has ended stays on the list with its
end, so that the charger can say "expired" rather than "unknown", and the same permissions give the
same objects at any time and for any charger.
"""

import hashlib
import struct
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from tools.portal.refusal import Refusal

EPOCH_S = 1_704_067_200  # 2024-01-01T00:00Z, where the minutes of an entry begin
LAST_MINUTE = (1 << 24) - 1
LAST_MOMENT_S = EPOCH_S + 60 * LAST_MINUTE

ENTRY_BYTES = 16
SHARD_LIMIT_BYTES = 4_096
MESSAGE_LIMIT_BYTES = 8_192  # DESIGN section 7: a charger skips anything larger
DIGEST_BYTES = 16

_SHARD_HEAD = struct.Struct(">4sHH")
_INDEX_HEAD = struct.Struct(">4sB3xI")
SHARD_ENTRIES = (SHARD_LIMIT_BYTES - _SHARD_HEAD.size) // ENTRY_BYTES

_ROLE_BITS = {"owner": 0, "user": 1, "service": 2}
_BLOCKED = 1 << 2
_SCHEDULE_SHIFT = 3

PersonId = int
ChargerId = int | None  # None: the whole installation


class Card(NamedTuple):
    token: bytes  # 7 bytes
    person: PersonId
    group: int  # 0: none
    blocked: bool


class Permission(NamedTuple):
    role: str  # "none": not on this charger, whatever the installation's permission says
    valid_from: int | None  # UTC seconds
    valid_until: int | None
    schedule: int  # 0: always


class AllowList(NamedTuple):
    digest: str  # the index object's name
    cards: int
    objects: dict[str, bytes]  # name -> content; the index and its shards


def build(
    charger: ChargerId,
    cards: Iterable[Card],
    permissions: Mapping[tuple[PersonId, ChargerId], Permission],
) -> AllowList:
    """One charger's list: every card of every person who has a permission there."""
    entries = []
    for card in cards:
        permission = permissions.get((card.person, charger))
        if permission is None:
            permission = permissions.get((card.person, None))
        if permission is not None and permission.role != "none":
            entries.append(entry(card, permission))
    return encode(entries)


def entry(card: Card, permission: Permission) -> bytes:
    """The 16 bytes of one card."""
    flags = _ROLE_BITS[permission.role] | permission.schedule << _SCHEDULE_SHIFT
    if card.blocked:
        flags |= _BLOCKED
    return (
        card.token
        + card.group.to_bytes(2, "big")
        + _first_minute(permission.valid_from).to_bytes(3, "big")
        + _end_minute(permission.valid_until).to_bytes(3, "big")
        + flags.to_bytes(1, "big")
    )


def encode(entries: Iterable[bytes]) -> AllowList:
    """Entries become shards and an index, with the fewest shards that are all small enough."""
    in_order = sorted(entries)
    bits = 0
    while True:
        if _INDEX_HEAD.size + (DIGEST_BYTES << bits) > MESSAGE_LIMIT_BYTES:
            raise Refusal(
                f"{len(in_order)} cards are more than one charger's list can hold; remove cards "
                "that are no longer used, or give permissions on fewer chargers"
            )
        shards = _shards(in_order, bits)
        if max(map(len, shards)) <= SHARD_ENTRIES:
            break
        bits += 1
    objects: dict[str, bytes] = {}
    digests = []
    for shard in shards:
        content = _SHARD_HEAD.pack(b"TGS1", len(shard), 0) + b"".join(shard)
        digests.append(_digest(content))
        objects[digests[-1].hex()] = content
    index = _INDEX_HEAD.pack(b"TGI1", bits, len(in_order)) + b"".join(digests)
    name = _digest(index).hex()
    objects[name] = index
    return AllowList(name, len(in_order), objects)


def _shards(in_order: list[bytes], bits: int) -> list[list[bytes]]:
    shards: list[list[bytes]] = [[] for _ in range(1 << bits)]
    for packed in in_order:
        shards[int.from_bytes(packed[:4], "big") >> (32 - bits)].append(packed)
    return shards


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()[:DIGEST_BYTES]


def _first_minute(seconds: int | None) -> int:
    """The first whole minute in which the card is valid; 0: no bound."""
    if seconds is None or seconds <= EPOCH_S:
        return 0
    return min(-(-(seconds - EPOCH_S) // 60), LAST_MINUTE)


def _end_minute(seconds: int | None) -> int:
    """The minute from which the card is not valid any more; 0: no bound, so what ended before the
    entry's minutes begin ends in their first."""
    if seconds is None:
        return 0
    return min(max((seconds - EPOCH_S) // 60, 1), LAST_MINUTE)
