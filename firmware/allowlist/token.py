"""A card's number becomes a token (DESIGN section 5); the number itself is kept nowhere."""

from micropython import const

from firmware.hmac_sha256 import HmacSha256

_TOKEN_BYTES = const(7)
_KEY_BYTES = const(32)
_LENGTHS = {4: b"\x04", 7: b"\x07", 10: b"\x0a"}  # ISO/IEC 14443-3: UIDs of size one, two, three


class Tokens:
    """Makes tokens with an installation's `card_key`, 32 bytes (ValueError for any other)."""

    def __init__(self, card_key: bytes):
        if len(card_key) != _KEY_BYTES:
            raise ValueError(f"card key of {len(card_key)} bytes, expected {_KEY_BYTES}")
        self._hmac = HmacSha256(card_key)

    def of(self, number: bytes | bytearray | memoryview) -> bytes:
        """The token, 7 bytes, of a whole number of 4, 7 or 10 bytes (ValueError for any other)."""
        length = _LENGTHS.get(len(number))
        if length is None:
            raise ValueError(f"number of {len(number)} bytes, expected 4, 7 or 10")
        return self._hmac.digest(length, number)[:_TOKEN_BYTES]
