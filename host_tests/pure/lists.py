"""Allow-lists built by hand from the byte layout in DESIGN section 6, and refs for them."""

import hashlib
import json
from binascii import hexlify


def token(number: int) -> bytes:
    """Some token, the same for the same number."""
    return hashlib.sha256(b"card %d" % number).digest()[:7]


def entry(token: bytes, group=0, valid_from=0, valid_until=0, flags=1) -> bytes:
    return (
        token
        + group.to_bytes(2, "big")
        + valid_from.to_bytes(3, "big")
        + valid_until.to_bytes(3, "big")
        + bytes([flags])
    )


def shard(*entries: bytes) -> bytes:
    """A shard of entries in the order given."""
    return b"TGS1" + len(entries).to_bytes(2, "big") + b"\x00\x00" + b"".join(entries)


def digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()[:16]


def name(data: bytes) -> str:
    return hexlify(digest(data)).decode()


class List:
    """`cards`: token -> (group, valid_from, valid_until, flags), in 2^`bits` shards.

    `shards`, `index`: the objects' bytes; `objects`: by name, as topics have it.
    """

    def __init__(self, cards: dict, bits: int):
        self.cards = dict(cards)
        parts = [[] for _ in range(1 << bits)]
        for each in sorted(cards):
            parts[int.from_bytes(each, "big") >> (56 - bits)].append(entry(each, *cards[each]))
        self.shards = [shard(*part) for part in parts]
        self.index = b"TGI1" + bytes([bits, 0, 0, 0]) + len(cards).to_bytes(4, "big")
        self.index += b"".join([digest(each) for each in self.shards])
        self.objects = {name(each): each for each in self.shards}
        self.objects[name(self.index)] = self.index

    def ref(self, version: int, **other) -> tuple:
        """(the ref's body, the ref as it came)."""
        body = {"v": version, "t": 1_000 + version, "index": name(self.index)}
        body["cards"] = len(self.cards)
        body["max_age_s"] = 0
        body.update(other)
        return body, b"signed " + json.dumps(body).encode()


def verify(raw: bytes) -> dict:
    """Stands for the signature's check: what does not begin with "signed" is not."""
    if raw[:7] != b"signed ":
        raise ValueError("not signed")
    return json.loads(raw[7:])


def people(numbers, group=0) -> dict:
    """Cards for `numbers`, each a user without bounds."""
    return {token(number): (group, 0, 0, 1) for number in numbers}
