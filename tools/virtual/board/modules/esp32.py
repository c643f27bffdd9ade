"""`esp32` of the virtual board: NVS, partitions, PCNT, and what is asked of the chip in passing."""

import binascii as _binascii

import line as _line
from counters import PCNT  # noqa: F401
from partition import Partition  # noqa: F401

HEAP_EXEC = 1
HEAP_DATA = 4
WAKEUP_ALL_LOW = False
WAKEUP_ANY_HIGH = True


class NVS:
    """Values are kept across resets once committed, as the interface promises and no more."""

    def __init__(self, namespace):
        if not 0 < len(namespace) <= 15:
            raise OSError(-0x1107, "ESP_ERR_NVS_INVALID_NAME")
        self._space = namespace

    def _key(self, key):
        if not 0 < len(key) <= 15:
            raise OSError(-0x1109, "ESP_ERR_NVS_KEY_TOO_LONG")
        return key

    def set_i32(self, key, value):
        if not -(1 << 31) <= value < 1 << 31:
            raise OverflowError("overflow converting long int to machine word")
        _line.call("nvs.set", self._space, self._key(key), int(value))

    def get_i32(self, key):
        return _line.call("nvs.get", self._space, self._key(key), "i32")

    def set_blob(self, key, value):
        text = _binascii.hexlify(value).decode()
        _line.call("nvs.set", self._space, self._key(key), text)

    def get_blob(self, key, buffer):
        value = _binascii.unhexlify(_line.call("nvs.get", self._space, self._key(key), "blob"))
        if len(value) > len(buffer):
            raise OSError(-0x110C, "ESP_ERR_NVS_INVALID_LENGTH")
        buffer[: len(value)] = value
        return len(value)

    def erase_key(self, key):
        _line.call("nvs.erase", self._space, self._key(key))

    def commit(self):
        _line.call("nvs.commit", self._space)


def raw_temperature():
    return 128


def idf_heap_info(capabilities):
    return [(15072, 11000, 10240, 10900), (113840, 96000, 94208, 95000)]


def wake_on_ext0(pin=None, level=False):
    return None


def wake_on_ext1(pins=None, level=False):
    return None


def wake_on_touch(wake):
    return None
