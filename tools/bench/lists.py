"""Allow-lists of any size, with the cards that are held to the reader among them."""

from __future__ import annotations

import hashlib
import json
import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tools.portal import allowlist, signing, topics
from tools.portal.allowlist import AllowList
from tools.portal.token import token

INSTALLATION, CHARGER = "garage", "left"
CARD_KEY, CHARGER_KEY = bytes(range(32)), bytes(range(32, 64))
USER, BLOCKED = 1, 4
LARGE = 50_000
TOPIC = topics.allowlist(INSTALLATION, CHARGER)


def uids(count: int, size: int, seed: int = 1) -> list[str]:
    """Card numbers of `size` bytes: never one that a card makes up, nor a cascade tag first."""
    rng = random.Random(f"{seed} {size}")
    found: list[str] = []
    while len(found) < count:
        number = rng.randbytes(size)
        if number[0] not in (0x08, 0x88):
            found.append(number.hex())
    return found


class List(NamedTuple):
    """`entries`: by token, in order. `made`: what the portal makes of them."""

    entries: dict[bytes, bytes]
    made: AllowList

    @property
    def names(self) -> set[str]:
        return set(self.made.objects)

    def changed(self, card: bytes, flags: int) -> List:
        """With other flags for one card."""
        entries = {**self.entries, card: _rest(flags)}
        return List(entries, _encoded(entries))

    def ref(self, version: int) -> tuple[dict[str, Any], bytes]:
        """What the ref says, and the ref as it is sent."""
        body = {
            "v": version,
            "t": int(time.time()),
            "index": self.made.digest,
            "cards": self.made.cards,
            "max_age_s": 0,
        }
        return body, signing.sign(CHARGER_KEY, TOPIC, body)


def of(cards: int, known: Sequence[str] = ()) -> List:
    """A list of so many users; `known`: numbers of cards that are among them."""
    tokens = [token(CARD_KEY, bytes.fromhex(uid)) for uid in known]
    number = 0
    taken = set(tokens)
    while len(taken) < cards:
        taken.add(hashlib.sha256(b"card %d" % number).digest()[:7])
        number += 1
    entries = {each: _rest(USER) for each in sorted(taken)}
    return List(entries, _encoded(entries))


def _rest(flags: int) -> bytes:
    return bytes(8) + bytes([flags])


def _encoded(entries: dict[bytes, bytes]) -> AllowList:
    return allowlist.encode(each + rest for each, rest in entries.items())


def write(path: Path, objects: dict[str, bytes]) -> str:
    """Objects one behind the other, each with its length in two bytes before it; the path."""
    path.write_bytes(b"".join(len(each).to_bytes(2, "big") + each for each in objects.values()))
    return str(path)


def config(broker: dict[str, Any]) -> str:
    """The config.json of the charger that these lists are for."""
    found = {
        "installation": INSTALLATION,
        "charger": CHARGER,
        "charger_key": CHARGER_KEY.hex(),
        "card_key": CARD_KEY.hex(),
        "wifi": {"ssid": INSTALLATION},
        "broker": {"host": "127.0.0.1", **broker},
        "ntp": {"host": ""},
        "issued": int(time.time()),
    }
    return json.dumps(found)
