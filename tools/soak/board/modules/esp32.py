"""`esp32` of the board: the counter that its meter's pulses go to."""

import wiring as _wiring


class PCNT:
    INCREMENT = 1
    IGNORE = 0

    def __init__(self, number):
        self._from = 0

    def init(self, **_):
        pass

    def start(self):
        pass

    def value(self, value=None):
        found = _wiring.pulses() - self._from
        if value is not None:
            self._from += found - value
        return found
