"""`machine` of the modelled board: what the charger's own wiring needs, and nothing else."""

import clockwork as _clockwork
import wiring as _wiring

PWRON_RESET = 1
HARD_RESET = 2
WDT_RESET = 3
DEEPSLEEP_RESET = 4
SOFT_RESET = 5


class Pin:
    """Reading and driving it is a call of a function, of wiring.py where `pins` names one."""

    IN = 1
    OUT = 3
    OPEN_DRAIN = 7
    PULL_DOWN = 1
    PULL_UP = 2
    IRQ_RISING = 1
    IRQ_FALLING = 2

    def __new__(cls, number, mode=-1, pull=-1, value=None, **_):
        for name, its_number in _wiring.pins.items():
            if number == its_number:
                return getattr(_wiring, name)
        # Chip-select and whatever else is only driven: as cheap as the board's own, which is in C.
        return abs


class PWM:
    def __init__(self, pin, **_):
        pass

    def duty_u16(self, duty):
        pass


class ADC:
    ATTN_11DB = 3

    def __init__(self, pin, **_):
        pass


class SPI:
    def __new__(cls, number, baudrate, **_):
        return _wiring.spi(baudrate)


class WDT:
    def __init__(self, id=0, timeout=5000):
        _wiring.bites_after(timeout)

    def feed(self):
        _wiring.fed()


class Timer:
    ONE_SHOT = 0
    PERIODIC = 1

    def __init__(self, number, **_):
        pass

    def init(self, **_):
        pass

    def deinit(self):
        pass


class RTC:
    def __new__(cls):
        return _wiring.rtc


def unique_id():
    return b"\x24\x0a\xc4\x00\x00\x01"


def reset_cause():
    return _wiring.cause


def reset():
    _wiring.restart()


def freq(hz=None):
    return 160_000_000


def idle():
    _clockwork.sleep_ms(1)
