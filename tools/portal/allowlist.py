"""Permissions and cards become objects named by their content (DESIGN section 6).

Pure: rows in, bytes out. Time plays no part: a permission that has ended stays on the list with its
end, so that the charger can say "expired" rather than "unknown", and the same permissions give the
same objects at any time and for any charger.
"""

import hashlib
import struct
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

from tools.portal.refusal import Refusal

EPOCH_S = 1_704_067_200  # 2024-01-01T00:00Z, where the minutes of an entry begin
LAST_MINUTE = (1 << 24) - 1
LAST_MOMENT_S = EPOCH_S + 60 * LAST_MINUTE

ENTRY_BYTES = 16
SHARD_LIMIT_BYTES = 4_096
OBJECT_LIMIT_BYTES = 8_204  # an index of 512 digests: a charger skips anything larger
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


class Lists:
    """Every charger's list. What is common is built once; a charger where some people have
    another permission costs no more than the shards that their cards are in."""

    def __init__(
        self,
        cards: Iterable[Card],
        permissions: Mapping[tuple[PersonId, ChargerId], Permission],
    ):
        self._apart: dict[ChargerId, dict[PersonId, Permission]] = {}
        tails: dict[PersonId, tuple[bytes, bytes] | None] = {}
        for (person, charger), permission in permissions.items():
            if charger is None:
                tails[person] = _tails(permission)
            else:
                self._apart.setdefault(charger, {})[person] = permission
        # Cards of those who have something of their own somewhere, with their common entries.
        self._special: dict[PersonId, list[tuple[Card, bytes | None]]] = {
            person: [] for people in self._apart.values() for person in people
        }
        entries = []
        for card in cards:
            tail = tails.get(card.person)
            common = None if tail is None else _entry(card, tail)
            if common is not None:
                entries.append(common)
            if card.person in self._special:
                self._special[card.person].append((card, common))
        self._shards = _fewest(sorted(entries))
        self._common = _packed(self._shards)

    def of(self, charger: ChargerId) -> AllowList:
        """Every card of every person who has a permission there."""
        shards = self._shards
        removed: dict[int, set[bytes]] = {}
        added: dict[int, list[bytes]] = {}
        shift = 33 - len(shards).bit_length()
        for person, permission in self._apart.get(charger, {}).items():
            tails = _tails(permission)
            for card, former in self._special[person]:
                shard = int.from_bytes(card.token[:4], "big") >> shift
                if former is not None:
                    removed.setdefault(shard, set()).add(former)
                if tails is not None:
                    added.setdefault(shard, []).append(_entry(card, tails))
        if not removed and not added:
            return self._common
        changed = list(shards)
        for shard in removed.keys() | added.keys():
            gone = removed.get(shard, ())
            kept = [each for each in shards[shard] if each not in gone]
            changed[shard] = sorted(kept + added.get(shard, []))
        if not _are_fewest(changed):
            return encode(each for shard in changed for each in shard)
        return _packed(changed, shards, self._common)


@lru_cache(maxsize=1 << 16)
def _tails(permission: Permission) -> tuple[bytes, bytes] | None:
    """What an entry ends with, of a card and of a blocked one; None for the role "none"."""
    if permission.role == "none":
        return None
    flags = _ROLE_BITS[permission.role] | permission.schedule << _SCHEDULE_SHIFT
    bounds = _first_minute(permission.valid_from).to_bytes(3, "big")
    bounds += _end_minute(permission.valid_until).to_bytes(3, "big")
    return bounds + bytes([flags]), bounds + bytes([flags | _BLOCKED])


def _entry(card: Card, tails: tuple[bytes, bytes]) -> bytes:
    return card.token + card.group.to_bytes(2, "big") + tails[card.blocked]


def encode(entries: Iterable[bytes]) -> AllowList:
    """Entries become shards and an index, with the fewest shards that are all small enough."""
    return _packed(_fewest(sorted(entries)))


def _fewest(in_order: list[bytes]) -> list[list[bytes]]:
    bits = 0
    while len(in_order) > SHARD_ENTRIES << bits:
        bits += 1
    while True:
        if _INDEX_HEAD.size + (DIGEST_BYTES << bits) > OBJECT_LIMIT_BYTES:
            raise Refusal(
                f"{len(in_order)} cards are more than one charger's list can hold; remove cards "
                "that are no longer used, or give permissions on fewer chargers"
            )
        firsts = (each << (32 - bits) for each in range(1, 1 << bits))
        cuts = [bisect_left(in_order, each.to_bytes(4, "big")) for each in firsts]
        shards = [in_order[first:end] for first, end in pairwise([0, *cuts, len(in_order)])]
        if max(map(len, shards)) <= SHARD_ENTRIES:
            return shards
        bits += 1


def _are_fewest(shards: list[list[bytes]]) -> bool:
    """Whether they are all small enough, and half as many would not be."""
    sizes = list(map(len, shards))
    if max(sizes) > SHARD_ENTRIES:
        return False
    return len(sizes) == 1 or any(
        left + right > SHARD_ENTRIES for left, right in zip(sizes[::2], sizes[1::2], strict=True)
    )


def _packed(
    shards: list[list[bytes]],
    known_shards: list[list[bytes]] | None = None,
    known: AllowList | None = None,
) -> AllowList:
    """`known`: a list that is packed already, whose shards may be among these."""
    objects: dict[str, bytes] = {}
    digests = []
    former = known.objects[known.digest] if known else b""
    for number, shard in enumerate(shards):
        if known and known_shards and shard is known_shards[number]:
            at = _INDEX_HEAD.size + DIGEST_BYTES * number
            digest = former[at : at + DIGEST_BYTES]
            content = known.objects[digest.hex()]
        else:
            content = _SHARD_HEAD.pack(b"TGS1", len(shard), 0) + b"".join(shard)
            digest = _digest(content)
        digests.append(digest)
        objects[digest.hex()] = content
    bits, cards = len(shards).bit_length() - 1, sum(map(len, shards))
    index = _INDEX_HEAD.pack(b"TGI1", bits, cards) + b"".join(digests)
    name = _digest(index).hex()
    objects[name] = index
    return AllowList(name, cards, objects)


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
