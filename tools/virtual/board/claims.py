"""Which peripheral holds which pin: two of them on one pin are an error and not a riddle."""

FLASH_PINS = (6, 7, 8, 9, 10, 11)
INPUT_ONLY = (34, 35, 36, 37, 38, 39)
PINS = tuple(range(6)) + tuple(range(12, 20)) + (21, 22, 23, 25, 26, 27) + tuple(range(32, 40))
ADC1_PINS = (32, 33, 34, 35, 36, 37, 38, 39)
ADC2_PINS = (0, 2, 4, 12, 13, 14, 15, 25, 26, 27)

_holders = {}  # pin -> (name, bus); a bus is told when a plain Pin takes a line from it


def check_pin(number):
    if number in FLASH_PINS:
        raise ValueError("GPIO%d is wired to the flash chip" % number)
    if number not in PINS:
        raise ValueError("invalid pin")


def check_output(number):
    if number in INPUT_ONLY:
        raise ValueError("pin can only be input")


def claim(number, name, bus=None):
    held = holder(number)
    if held is not None and held != name:
        raise ValueError("GPIO%d is in use by %s and cannot be %s" % (number, held, name))
    _holders[number] = (name, bus)


def release(number, name):
    if holder(number) == name:
        del _holders[number]


def holder(number):
    return _holders[number][0] if number in _holders else None


def make_plain(number):
    """A plain Pin takes the line: a peripheral that drives it by itself must be ended before; a bus
    only notices when it is next used without having been set up again."""
    if number not in _holders:
        return
    name, bus = _holders[number]
    if bus is not None:
        bus.lost(number)
        del _holders[number]
    elif name != "NeoPixel":
        raise ValueError("GPIO%d is in use by %s: deinit that first" % (number, name))
