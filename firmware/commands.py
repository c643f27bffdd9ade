"""Orders from the portal, each checked for its own fields (DESIGN section 7)."""

import binascii
from time import ticks_ms

from micropython import const

from firmware import flash
from firmware.access.words import ROLES

_TOKEN_BYTES = const(7)


class SwitchedOff:
    """Whether the owner has switched the charger off: on flash, as no message brings it back."""

    def __init__(self, path: str):
        self._path = path

    def load(self) -> bool:
        return flash.read(self._path, 3) == b"off"

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

    def _authorise(self, body):
        role, group = body.get("role"), body.get("group", 0)
        try:
            token = binascii.unhexlify(body.get("token"))
        except (TypeError, ValueError):
            token = b""
        if len(token) != _TOKEN_BYTES:
            return "token: allowed {} hex digits".format(2 * _TOKEN_BYTES)
        if role not in ROLES:
            return "role: found {!r}, allowed {}".format(role, ", ".join(ROLES))
        if type(group) is not int or not 0 <= group <= 0xFFFF:
            return "group: found {!r}, allowed 0 to 65535".format(group)
        return self._point.happened(("authorise", token, role, group))

    def _available(self, body):
        on = body.get("on")
        if type(on) is not bool:
            return "on: found {!r}, allowed true or false".format(on)
        declined = self._point.happened(("available", on))
        self._switched_off.store(not on)  # an OSError is answered: it will not outlive a restart
        return declined

    def _enrol(self, body):
        seconds = body.get("seconds", 60)
        if type(seconds) is not int or seconds < 0:
            return "seconds: found {!r}, allowed a whole number from 0".format(seconds)
        return self._point.happened(("enrol", seconds) if seconds else ("cancel_enrol",))

    def _identify(self, body):
        self._light.identify(ticks_ms())

    def _restarted(self, body):
        self._point.happened(("stop", "restart"))  # so that what was charged is on record
        self._restart()

    def _selftest(self, body):
        return self._point.happened(("selftest", True))

    def _stop(self, body):
        return self._point.happened(("stop", None))
