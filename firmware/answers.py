"""The operator's answers (DESIGN section 7), and what orders and they say alike."""

import binascii

from micropython import const

from firmware.access.words import ROLES, USER
from firmware.link.messages import MessageError

TEXT_MOST = const(32)
TOKEN_ALLOWED = const("token: allowed 14 hex digits")
_TOKEN_BYTES = const(7)


def answer(point, body: dict) -> None:
    """The operator's verdict on a card; MessageError where it answers no open question."""
    n, word = body.get("n"), body.get("verdict")
    role, group = body.get("role", USER), body.get("group", 0)
    token = token_in(body)
    wrong = person(token, role, group)
    if type(n) is not int:
        wrong = "n: found {!r}, allowed a whole number".format(n)
    elif not is_text(word):
        wrong = "verdict: found {!r}, allowed a text of 1 to {}".format(word, TEXT_MOST)
    if wrong:
        raise MessageError("type", wrong)
    if not point.answer(n, token, role, group, word):
        raise MessageError("answer", "no question {} about this card, or no more".format(n))


def token_in(body: dict) -> bytes | None:
    """The 7 bytes of the token; None where it is none."""
    try:
        token = binascii.unhexlify(body.get("token"))
    except (TypeError, ValueError):
        return None
    return token if len(token) == _TOKEN_BYTES else None


def person(token: bytes | None, role, group) -> str | None:
    """What is wrong with the token, the role or the group; None when nothing is."""
    if token is None:
        return TOKEN_ALLOWED
    if role not in ROLES:
        return "role: found {!r}, allowed {}".format(role, ", ".join(ROLES))
    if type(group) is not int or not 0 <= group <= 0xFFFF:
        return "group: found {!r}, allowed 0 to 65535".format(group)
    return None


def is_text(found) -> bool:
    """Whether it is a text that is neither empty nor too long."""
    return type(found) is str and 0 < len(found) <= TEXT_MOST
