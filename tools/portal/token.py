"""A card's number becomes a token (DESIGN section 5); nothing but the token is kept."""

import hashlib
import hmac
import re
from typing import TypeGuard

TOKEN_BYTES = 7
HINT_BYTES = 2
_WRITTEN = re.compile(rf"[0-9a-f]{{{2 * TOKEN_BYTES}}}")


def token(card_key: bytes, number: bytes) -> bytes:
    """The 7 bytes by which the installation knows the card. `number`: 4, 7 or 10 bytes."""
    tagged = bytes([len(number)]) + number
    return hmac.new(card_key, tagged, hashlib.sha256).digest()[:TOKEN_BYTES]


def of_person(card_key: bytes, person: int) -> bytes:
    """The 7 bytes for whom the app starts, in place of a card's: no number is 0 bytes long, so
    this is no card's token."""
    tagged = b"\x00" + person.to_bytes(8, "big")
    return hmac.new(card_key, tagged, hashlib.sha256).digest()[:TOKEN_BYTES]


def is_token(found: object) -> TypeGuard[str]:
    """Whether it is a token as it is written: 14 hex digits in lower case."""
    return isinstance(found, str) and bool(_WRITTEN.fullmatch(found))


def hint(number: bytes) -> str:
    """The number's last two bytes in hex: enough to tell one's own cards apart."""
    return number[-HINT_BYTES:].hex()
