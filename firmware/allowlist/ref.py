"""The ref: which list is the current one (DESIGN section 6)."""

from collections import namedtuple

from micropython import const

from firmware.allowlist.errors import ListError

_DIGEST_DIGITS = const(32)
_CARDS_MOST = const(0xFFFF_FFFF)  # what an index can say

# version: grows with each ref · index: its name, 32 hex digits · cards: how many
# max_age_s: seconds, 0 = for ever · t: when it was issued, seconds since 1970
Applied = namedtuple("Applied", ("version", "index", "cards", "max_age_s", "t"))


def check(body: dict) -> Applied:
    """The ref in a verified message's JSON object. Raises ListError."""
    return Applied(
        _whole(body, "v"),
        _digest(body.get("index")),
        _cards(_whole(body, "cards")),
        _whole(body, "max_age_s"),
        _whole(body, "t"),
    )


def _whole(body, name):
    found = body.get(name)
    if type(found) is not int or found < 0:  # a bool is no number here
        raise ListError(f"ref's {name}: found {found!r}, expected a whole number")
    return found


def _cards(found):
    if found > _CARDS_MOST:
        raise ListError(f"ref's cards: found {found}, expected at most {_CARDS_MOST}")
    return found


def _digest(found):
    if type(found) is str and len(found) == _DIGEST_DIGITS:
        for digit in found.encode():
            if digit not in b"0123456789abcdef":
                break
        else:
            return found
    raise ListError(f"ref's index: found {found!r}, expected 32 hex digits")
