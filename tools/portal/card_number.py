"""A card's number as it is printed on cards and shown by readers: four ways to read one text.

The number is the card's UID, 4, 7 or 10 bytes (ISO/IEC 14443-3 section 6.5.4). Printed decimals are
those bytes as one whole number: of up to 10 digits for 4 bytes, longer ones for 7. "Reversed" means
that the bytes are read from the last to the first. What was typed never appears in a message.
"""

import re
from typing import Literal, get_args

from tools.portal.refusal import Refusal

Reading = Literal["hex", "hex-reversed", "decimal", "decimal-reversed"]
READINGS: tuple[Reading, ...] = get_args(Reading)
SIZES_BYTES = (4, 7, 10)
_RANDOM = 0x08  # ISO/IEC 14443-3 table 9: uid0 of a number made up anew at each start

_PLAIN_HEX = re.compile(r"(?:0[xX])?([0-9a-fA-F]+)")
_GROUPED_HEX = re.compile(r"[0-9a-fA-F]{2}(?:([:\- .])[0-9a-fA-F]{2}(?:\1[0-9a-fA-F]{2})*)?")
_DECIMAL = re.compile(r"[0-9]+")
_SHORT_DECIMAL_DIGITS = 10  # 2**32 - 1 has ten
_LONG_DECIMAL_DIGITS = 17  # 2**56 - 1 has seventeen


# Cards are printed with eight to ten digits, zeros in front; fewer is a part of something longer.
_DECIMAL_DIGITS_MIN = 8


class NoFit(ValueError):
    """The text cannot be read that way; says why, without the text."""


def number(text: str, reading: str | None = None) -> bytes:
    """The number's bytes, first byte first. Without `reading` exactly one of hex and decimal has
    to fit. Refusal otherwise, and for numbers that no card keeps."""
    found = read(text, reading) if reading else _only_reading(text)
    if is_random(found):
        raise Refusal(
            "a 4-byte number that begins with 08 is made up anew at each tap (a phone, or a card "
            "that hides its own); register another card"
        )
    return found


def read(text: str, reading: str) -> bytes:
    """The number's bytes read one way; Refusal if it does not fit."""
    try:
        return _read(text, reading)
    except NoFit as why:
        raise Refusal(f"the number does not fit --as {reading}: {why}") from None


def every_reading(text: str) -> list[bytes]:
    """Every number the text could mean, each once: to look for a card that is known already."""
    return list(dict.fromkeys(_fitting(text, READINGS).values()))


def is_random(found: bytes) -> bool:
    return len(found) == 4 and found[0] == _RANDOM


def _only_reading(text: str) -> bytes:
    fits = _fitting(text, ("hex", "decimal"))
    if list(fits) == ["decimal"] and len(text.strip()) < _DECIMAL_DIGITS_MIN:
        raise Refusal(
            f"{len(text.strip())} digits are few for a card's number; "
            "if it is printed like that, say so with --as decimal"
        )
    if list(fits) == ["decimal"] and _is_padded(text.strip()):
        raise Refusal(
            "the number is one of 4 bytes with more zeros in front than such a number has, or one "
            f"of 7 bytes that begins with zeros; write it with {_SHORT_DECIMAL_DIGITS} digits for "
            f"the first, with {_LONG_DECIMAL_DIGITS} for the second"
        )
    if len(fits) == 1:
        return next(iter(fits.values()))
    if fits:
        raise Refusal(
            f"the number reads as {' and as '.join(fits)}; say which with --as {'|'.join(READINGS)}"
        )
    raise Refusal(
        f"the number fits no reading: as hex, {_why(text, 'hex')}; "
        f"as decimal, {_why(text, 'decimal')}"
    )


def _is_padded(digits: str) -> bool:
    return _SHORT_DECIMAL_DIGITS < len(digits) < _LONG_DECIMAL_DIGITS and int(digits) < 1 << 32


def _why(text: str, reading: str) -> str:
    try:
        _read(text, reading)
    except NoFit as why:
        return str(why)
    return "it does"  # and so it is not asked


def _fitting(text: str, readings: tuple[str, ...]) -> dict[str, bytes]:
    fits = {}
    for reading in readings:
        try:
            fits[reading] = _read(text, reading)
        except NoFit:
            continue
    return fits


def _read(text: str, reading: str) -> bytes:
    base, _, reverse = reading.partition("-")
    found = _hex(text.strip()) if base == "hex" else _decimal(text.strip())
    return found[::-1] if reverse else found


def _hex(text: str) -> bytes:
    if plain := _PLAIN_HEX.fullmatch(text):
        digits = plain[1]
    elif _GROUPED_HEX.fullmatch(text):
        digits = re.sub(r"[:\- .]", "", text)
    else:
        raise NoFit("something in it is no hex digit, or its pairs are not evenly separated")
    if len(digits) % 2 or len(digits) // 2 not in SIZES_BYTES:
        raise NoFit(f"{len(digits)} hex digits; a number has 8, 14 or 20")
    return bytes.fromhex(digits)


def _decimal(text: str) -> bytes:
    if not _DECIMAL.fullmatch(text):
        raise NoFit("something in it is no decimal digit")
    size = 4 if len(text) <= _SHORT_DECIMAL_DIGITS else 7
    if len(text) > _LONG_DECIMAL_DIGITS or int(text) >= 1 << (8 * size):
        raise NoFit(f"too large for {size} bytes")
    return int(text).to_bytes(size, "big")
