"""machine.Pin and machine.Signal."""

import claims
import line
import wire

select_pin = (
    None  # chip-select of the reader as wired in the world: its edges ride with the SPI data
)
_pins = {}


class _Irq:
    def __init__(self, pin):
        self._pin = pin

    def __call__(self):
        self._pin._interrupted()

    def init(self, handler=None, trigger=3):
        self._pin.irq(handler, trigger)

    def trigger(self, trigger=None):
        before = self._pin._trigger
        if trigger is not None:
            self._pin.irq(self._pin._handler, trigger)
        return before


class Pin:
    IN = 1
    OUT = 3
    OPEN_DRAIN = 7
    PULL_DOWN = 1
    PULL_UP = 2
    DRIVE_0 = 0
    DRIVE_1 = 1
    DRIVE_2 = 2
    DRIVE_3 = 3
    IRQ_RISING = 1
    IRQ_FALLING = 2
    WAKE_LOW = 4
    WAKE_HIGH = 5

    def __new__(cls, id, *arguments, **keywords):
        number = _number(id)
        if number not in _pins:
            _pins[number] = object.__new__(cls)
        return _pins[number]

    def __init__(self, id, mode=None, pull=-1, *, value=None, drive=None, hold=None):
        number = _number(id)
        if not hasattr(self, "_read"):
            self._n = number
            self._mode = None
            self._pull = None
            self._latch = 0
            self._drive = 2
            self._handler = None
            self._trigger = 0
            self._low = bytes((3, 0, wire.DRIVE, number, 0))
            self._high = bytes((3, 0, wire.DRIVE, number, 1))
            self._read = bytes((2, 0, wire.READ, number))
            self._one = bytearray(1)
        if mode is not None or pull != -1 or value is not None or drive is not None:
            self.init(mode, pull, value=value, drive=drive, hold=hold)

    def init(self, mode=None, pull=-1, *, value=None, drive=None, hold=None):
        if mode is not None and mode not in (1, 3, 7):
            raise ValueError("invalid pin mode: %r" % (mode,))
        if pull not in (-1, None, 0, 1, 2):
            raise ValueError("invalid pull: %r" % (pull,))
        if mode in (3, 7):
            claims.check_output(self._n)
        if mode is not None:
            claims.make_plain(self._n)
        if drive is not None:
            self._drive = drive
        if value is not None:
            self._latch = 1 if value else 0
        if pull != -1:
            self._pull = pull or None
        if mode is not None:
            self._mode = mode
        if self._mode is not None:
            if value is not None or self._mode != 1:  # the level stands before the driver is on
                line.tell(self._high if self._latch else self._low, 5)
            line.tell(bytes((4, 0, wire.MODE, self._n, self._mode, self._pull or 0)), 6)

    def __call__(self, x=None):
        if x is None:
            return self._level()
        self._latch = level = 1 if x else 0
        if self._mode == 1 or self._mode is None:
            return None
        if self._n == select_pin:
            line.defer_edge(self._n, level)
        else:
            line.tell(self._high if level else self._low, 5)
        return None

    value = __call__

    def _level(self):
        if self._mode == 3:
            return self._latch
        line.ask(self._read, 4, self._one, 1)
        return self._one[0]

    def on(self):
        self(1)

    def off(self):
        self(0)

    def toggle(self):
        self(1 - self._latch)

    def mode(self, mode=None):
        if mode is None:
            return self._mode
        self.init(mode)
        return None

    def pull(self, pull=-1):
        if pull == -1:
            return self._pull
        self.init(pull=pull)
        return None

    def drive(self, drive=None):
        if drive is None:
            return self._drive
        self._drive = drive
        return None

    def irq(self, handler=None, trigger=3, *, wake=None):
        if trigger not in (0, 1, 2, 3, 4, 5):
            raise ValueError("invalid trigger")
        self._handler = handler
        self._trigger = trigger
        line.call("pin.irq", self._n, trigger if handler else 0)
        return _Irq(self)

    def _interrupted(self):
        if self._handler is not None:
            self._handler(self)

    def __repr__(self):
        return "Pin(%d)" % self._n


def _number(id):
    if isinstance(id, Pin):
        return id._n
    if isinstance(id, str):
        if not id.startswith("GPIO"):
            raise ValueError('unknown named pin "%s"' % id)
        id = int(id[4:])
    if not isinstance(id, int):
        raise TypeError("expecting a pin")
    claims.check_pin(id)
    return id


def number_of(pin):
    """The number of what a peripheral was given as its pin."""
    return _number(pin)


def _event(number):
    pin = _pins.get(number)
    if pin is not None:
        pin._interrupted()


line.on_event(wire.PIN_EVENT, _event)


class Signal:
    def __init__(self, pin, *arguments, invert=False, **keywords):
        if isinstance(pin, Pin):
            self._pin = pin
            invert = arguments[0] if arguments else invert
        else:
            self._pin = Pin(pin, *arguments, **keywords)
        self._invert = bool(invert)

    def __call__(self, x=None):
        if x is None:
            return self._pin() ^ self._invert
        self._pin(bool(x) ^ self._invert)
        return None

    value = __call__

    def on(self):
        self(1)

    def off(self):
        self(0)
