"""Orders from the portal, each checked for its own fields (DESIGN section 7). Loaded for each of
them, and given back after it."""

from time import ticks_ms

from firmware.access.session import RUNNING
from firmware.answers import TEXT_MOST, TOKEN_ALLOWED, is_text, person, token_in


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
        token, role, group = token_in(body), body.get("role"), body.get("group", 0)
        return person(token, role, group) or self._point.happened(("authorise", token, role, group))

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
        if reason is not None and not is_text(reason):
            return "reason: found {!r}, allowed a text of 1 to {}".format(reason, TEXT_MOST)
        if "token" in body:
            token, session = token_in(body), self._point.session
            if token is None:
                return TOKEN_ALLOWED
            if session.holder is None:
                another = session.progress == RUNNING  # nobody's: an open charger began it
            else:
                another = session.holder[0] != token
            if another:
                return "another session"
        return self._point.happened(("stop", reason))
