"""Which peripheral holds which pin: two of them on one pin are an error and not a riddle."""

FLASH_PINS = (6, 7, 8, 9, 10, 11)
INPUT_ONLY = (34, 35, 36, 37, 38, 39)
PINS = tuple(range(6)) + tuple(range(12, 20)) + (21, 22, 23, 25, 26, 27) + tuple(range(32, 40))
ADC1_PINS = (32, 33, 34, 35, 36, 37, 38, 39)
ADC2_PINS = (0, 2, 4, 12, 13, 14, 15, 25, 26, 27)

_holders = {}


def check_pin(number):
    if number in FLASH_PINS:
        raise ValueError("GPIO%d is wired to the flash chip" % number)
    if number not in PINS:
        raise ValueError("invalid pin")


def check_output(number):
    if number in INPUT_ONLY:
        raise ValueError("pin can only be input")


def claim(number, holder):
    held = _holders.get(number)
    if held is not None and held != holder:
        raise ValueError("GPIO%d is in use by %s and cannot be %s" % (number, held, holder))
    _holders[number] = holder


def release(number, holder):
    if _holders.get(number) == holder:
        del _holders[number]


def holder(number):
    return _holders.get(number)
