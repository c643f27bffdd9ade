"""Runs first at every start: takes the supply from the contactor's coil, and does nothing else.

Which pin that is stands in config.json, so that is looked at first: a pin that is not the coil's
may belong to something else and is better left alone. The look is short (one bounded read, no
parsing of the rest) and may fail in any way; then it is the default pin, on which a board without a
readable config.json has its coil or nothing. Until this has run, after a reset, all pins are inputs
and the coil driver's own pull-down keeps the contactor open.
"""

from machine import Pin

_DEFAULT = 27
# The pins that `firmware/config.py` allows for the coil.
_ALLOWED = (2, 4, 12, 13, 16, 17, 18, 19, 21, 22, 23, 27, 32)
_LIMIT_BYTES = 16_384


def _coil():
    try:
        with open("config.json", "rb") as file:
            text = file.read(_LIMIT_BYTES)
        at = 0
        while True:
            # There may be a section of this name too; only the pin's is a number.
            at = text.find(b'"contactor"', at)
            if at < 0:
                return _DEFAULT
            at += 11
            number = text[at : at + 32].split(b",")[0].split(b"}")[0].strip()
            if number[:1] == b":":
                number = number[1:].strip()
                if number.isdigit() and int(number) in _ALLOWED:
                    return int(number)
    except Exception:
        # Whatever is wrong with the file, the coil comes first; the start itself will report it.
        return _DEFAULT


Pin(_coil(), Pin.OUT, value=0)
