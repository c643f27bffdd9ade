"""What is at the board's pins, and who stands before it: a vehicle, a contactor, a card, a driver.

`script.turn(now_ns)` is called while the board waits; it plugs, places cards and takes them away.
"""

import clockwork
import reader_chip

_MS = 1_000_000


class Over(BaseException):
    """The run is over."""


script = None
pins = {}  # name: number
silence = b""
bus = None

connected = False  # the vehicle
coil = 0
coil_ns = 0  # when it was last driven on
on_coil = None


def pin(number):
    if number == pins["contactor"]:
        return _coil
    if number == pins["contact"]:
        return _contact
    if number == pins["feedback"]:
        return _feedback
    # Chip-select and whatever else is only driven: as cheap as the board's own, which is in C.
    return abs


def spi(hertz):
    global bus
    bus = reader_chip.Spi(silence, hertz)
    return bus


def _coil(level=None):
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


def _contact(level=None):
    return 0 if connected else 1


def _feedback(level=None):
    return coil


def waits(ms):
    """The board has nothing to do for so long, or less."""
    if script is not None:
        script.turn(clockwork.now_ns)
    clockwork.passes(clockwork.IDLE, ms * _MS)
