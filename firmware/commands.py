"""Orders from the portal, each checked for its own fields (DESIGN section 7)."""

import binascii
from time import ticks_ms

from micropython import const

from firmware import flash
from firmware.access.session import RUNNING
from firmware.access.words import ROLES, USER
from firmware.link.messages import MessageError

_TOKEN_BYTES = const(7)
_TEXT_MOST = const(32)
_TOKEN_ALLOWED = const("token: allowed 14 hex digits")


class SwitchedOff:
    """Whether the owner has switched the charger off: on flash, as no message brings it back.
    `damaged`: what `load` found says neither."""

    damaged = False

    def __init__(self, path: str):
        self._path = path

    def load(self) -> bool:
        """True also where it is damaged: it may have been switched off for somebody's safety."""
        found = flash.read(self._path, 3)
        self.damaged = found not in (None, b"on", b"off")
        return self.damaged or found == b"off"

    def store(self, off: bool) -> None:
        flash.replace(self._path, b"off" if off else b"on")


class Commands:
    """`by_name`: name -> function(body), which returns why it was not done, or None.

    `restart()` is to follow soon, once the answer has got out.
    """

    def __init__(self, point, light, switched_off, restart):
        self._point = point
        self._light = light
        self._switched_off = switched_off
        self._restart = restart
        self.by_name = {
            "authorise": self._authorise,
            "available": self._available,
            "enrol": self._enrol,
            "identify": self._identify,
            "restart": self._restarted,
            "selftest": self._selftest,
            "stop": self._stop,
        }

    def answer(self, body: dict) -> None:
        """The operator's verdict on a card; MessageError where it answers no open question."""
        n, word = body.get("n"), body.get("verdict")
        role, group = body.get("role", USER), body.get("group", 0)
        token = _token(body)
        wrong = _person(token, role, group)
        if type(n) is not int:
            wrong = "n: found {!r}, allowed a whole number".format(n)
        elif not _is_text(word):
            wrong = "verdict: found {!r}, allowed a text of 1 to {}".format(word, _TEXT_MOST)
        if wrong:
            raise MessageError("type", wrong)
        if not self._point.answer(n, token, role, group, word):
            raise MessageError("answer", "no question {} about this card, or no more".format(n))

    def _authorise(self, body):
        token, role, group = _token(body), body.get("role"), body.get("group", 0)
        return _person(token, role, group) or self._point.happened(
            ("authorise", token, role, group)
        )

    def _available(self, body):
        on = body.get("on")
        if type(on) is not bool:
            return "on: found {!r}, allowed true or false".format(on)
        declined = self._point.happened(("available", on))
        if not on:
            self._point.end_left("unavailable")
        self._switched_off.store(not on)  # an OSError is answered: it will not outlive a restart
        return declined

    def _enrol(self, body):
        seconds = body.get("seconds", 60)
        if type(seconds) is not int or seconds < 0:
            return "seconds: found {!r}, allowed a whole number from 0".format(seconds)
        if not seconds:
            return self._point.happened(("cancel_enrol",))
        return self._point.enrol(seconds, body["v"])

    def _identify(self, body):
        self._light.identify(ticks_ms())

    def _restarted(self, body):
        # A session resumes afterwards. Whoever waits for a card need not any longer.
        self._point.happened(("cancel_enrol",))
        self._restart()

    def _selftest(self, body):
        declined = self._point.happened(("selftest", True))
        if declined is None and self._point.tester is not None:
            self._point.tester.v = body["v"]
        return declined

    def _stop(self, body):
        reason = body.get("reason")
        if reason is not None and not _is_text(reason):
            return "reason: found {!r}, allowed a text of 1 to {}".format(reason, _TEXT_MOST)
        token, session, left = None, self._point.session, self._point.left
        if "token" in body:
            token = _token(body)
            if token is None:
                return _TOKEN_ALLOWED
        waited = left is not None and token in (None, left.token)
        if waited:
            self._point.end_left(reason or "remote")
        if token is not None:
            if session.holder is None:
                # Nobody's: an open charger began it. Or it waits, and is somebody else's.
                another = session.progress == RUNNING or left is not None
            else:
                another = session.holder[0] != token
            if another:
                return None if waited else "another session"
        declined = self._point.happened(("stop", reason))
        return None if waited else declined


def _token(body):
    """The 7 bytes of the token; None where it is none."""
    try:
        token = binascii.unhexlify(body.get("token"))
    except (TypeError, ValueError):
        return None
    return token if len(token) == _TOKEN_BYTES else None


def _person(token, role, group):
    """What is wrong with the token, the role or the group; None when nothing is."""
    if token is None:
        return _TOKEN_ALLOWED
    if role not in ROLES:
        return "role: found {!r}, allowed {}".format(role, ", ".join(ROLES))
    if type(group) is not int or not 0 <= group <= 0xFFFF:
        return "group: found {!r}, allowed 0 to 65535".format(group)
    return None


def _is_text(found):
    return type(found) is str and 0 < len(found) <= _TEXT_MOST
