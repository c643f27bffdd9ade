"""esp32.PCNT and machine.Counter: edges counted by hardware, whatever the program is doing."""

import line
import pin
import wire

_UNITS = 8
_counters = {}


class PCNT:
    IGNORE = 0
    INCREMENT = 1
    DECREMENT = 2
    NORMAL = 0
    REVERSE = 1
    HOLD = 2
    IRQ_THRESHOLD1 = 4
    IRQ_THRESHOLD0 = 8
    IRQ_MIN = 16
    IRQ_MAX = 32
    IRQ_ZERO = 64

    def __new__(cls, id, **keywords):
        if not 0 <= id < _UNITS:
            raise ValueError("invalid id")
        if id not in _counters:
            _counters[id] = object.__new__(cls)
        return _counters[id]

    def __init__(self, id, **keywords):
        self._id = id
        if not hasattr(self, "_set"):
            self._set = {}
        if keywords:
            self.init(**keywords)

    def init(
        self,
        *,
        channel=0,
        pin=None,
        rising=None,
        falling=None,
        mode_pin=None,
        mode_low=None,
        mode_high=None,
        filter=None,
        min=None,
        max=None,
        threshold0=None,
        threshold1=None,
        value=None,
    ):
        if channel not in (0, 1):
            raise ValueError("channel")
        if mode_pin is not None:
            raise ValueError("mode_pin: not wired to anything here")
        if filter is not None and not 0 <= filter <= 1023:
            raise ValueError("filter")
        if pin is not None:
            self._set["pin"] = _pin_number(pin)
        for name, given in (
            ("rising", rising),
            ("falling", falling),
            ("filter", filter),
            ("min", min),
            ("max", max),
        ):
            if given is not None:
                self._set[name] = given
        line.call("counter.init", self._id, self._set)
        if value is not None:
            self.value(value)

    def value(self, value=None):
        before = line.call("counter.value", self._id)
        if value is not None:
            if value != 0:
                raise ValueError("value")
            line.call("counter.clear", self._id)
        return before

    def start(self):
        line.call("counter.run", self._id, True)

    def stop(self):
        line.call("counter.run", self._id, False)

    def deinit(self):
        line.call("counter.stop", self._id)
        _counters.pop(self._id, None)

    def irq(self, handler=None, trigger=64):
        self._handler = handler
        line.call("counter.irq", self._id, trigger if handler else 0)
        return self

    def flags(self):
        return line.call("counter.flags", self._id)


def _pin_number(given):
    return pin.number_of(given)


def _event(number):
    counter = _counters.get(number)
    if counter is not None and getattr(counter, "_handler", None) is not None:
        counter._handler(counter)


line.on_event(wire.COUNTER_EVENT, _event)


class Counter:
    RISING = 1
    FALLING = 2
    UP = 1
    DOWN = 2

    def __init__(self, id, src=None, **keywords):
        self._pcnt = PCNT(id)
        self._offset = 0
        self._sign = 1
        if src is not None:
            self.init(src, **keywords)

    def init(self, src, *, edge=1, direction=1, filter_ns=0):
        self._sign = 1 if direction == Counter.UP else -1
        self._pcnt.init(
            pin=src,
            rising=PCNT.INCREMENT if edge & Counter.RISING else PCNT.IGNORE,
            falling=PCNT.INCREMENT if edge & Counter.FALLING else PCNT.IGNORE,
            filter=min(filter_ns * 80 // 1000, 1023),
        )

    def value(self, value=None):
        now = self._offset + self._sign * self._pcnt.value()
        if value is not None:
            self._pcnt.value(0)
            self._offset = value
        return now

    def deinit(self):
        self._pcnt.deinit()
