"""What is at the board's pins, and who stands before it: a vehicle, a contactor, a card, a driver.

`script.turn(now_ns)` is called while the board waits; it plugs, places cards and takes them away.
"""

import clockwork
import reader_chip

_MS = 1_000_000


class Over(BaseException):
    """The run is over."""


class Rtc:
    """A clock that stands still."""

    def __init__(self):
        self._memory = b""
        self._set = (2026, 1, 1, 0, 0, 0, 0, 0)

    def datetime(self, moment=None):
        if moment is not None:
            self._set = moment
            return None
        return self._set

    def memory(self, data=None):
        if data is not None:
            self._memory = bytes(data)
            return None
        return self._memory


script = None
cause = 1  # of the start: the supply
rtc = Rtc()
pins = {}  # name of a function here: number
silence = b""
bus = None

connected = False  # the vehicle
radio = True  # it has somebody to hear
coil = 0
coil_ns = 0  # when it was last driven on
on_coil = None


def spi(hertz):
    global bus
    bus = reader_chip.Spi(silence, hertz)
    return bus


def contactor(level=None):
    global coil, coil_ns
    clockwork.enter()
    if level is not None:
        if level and not coil:
            coil_ns = clockwork.now_ns
            if on_coil:
                on_coil()
        coil = level
    clockwork.leave()
    return coil


def contact(level=None):
    return 0 if connected else 1


def feedback(level=None):
    return coil


def bites_after(ms):
    """The watchdog is there, and never bites."""


def fed():
    pass


def restart():
    raise Over("the firmware has asked for a restart")


def waits(ms):
    """The board has nothing to do for so long, or less."""
    if script is not None:
        script.turn(clockwork.now_ns)
    clockwork.passes(clockwork.IDLE, ms * _MS)
