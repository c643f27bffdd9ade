import json
import sys

from firmware import config

_PATH = __file__[: -len("host_tests/pure/test_boot.py")] + "boot.py"


class _Machine:
    """Stands for the module `machine`: remembers which pins were driven, and how."""

    def __init__(self, log):
        class Pin:
            OUT = "out"

            def __init__(self, number, mode=None, value=None):
                log.append((number, mode, value))

        self.Pin = Pin


class _File:
    def __init__(self, data):
        self._data = data
        self.read_bytes = 0

    def read(self, size=-1):
        assert size >= 0, "read without a bound"
        self.read_bytes += size
        return self._data[:size]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


def _boot(data):
    """Run boot.py on a board whose config.json holds `data`, or raises it; return what it drove."""
    log = []

    def opened(path, mode="r"):
        assert path == "config.json"
        if isinstance(data, Exception):
            raise data
        return _File(data)

    with open(_PATH) as file:
        source = file.read()
    before = sys.modules.get("machine")
    sys.modules["machine"] = _Machine(log)  # pyright: ignore[reportArgumentType]
    try:
        exec(source, {"open": opened, "__name__": "boot"})
    finally:
        del sys.modules["machine"]
        if before is not None:
            sys.modules["machine"] = before
    return log


def _driven(data):
    log = _boot(data)
    assert len(log) == 1, log
    number, mode, value = log[0]
    assert (mode, value) == ("out", 0)
    return number


def test_the_configured_coil_and_no_other_pin_is_driven_low():
    text = json.dumps({"pins": {"red": 25, "contactor": 13}, "contactor": {"retry_s": 5}})
    assert _boot(text.encode()) == [(13, "out", 0)]


def test_every_coil_pin_that_a_configuration_may_name_is_found():
    found = {
        "installation": "a",
        "charger": "b",
        "charger_key": "0" * 64,
        "card_key": "1" * 64,
        "wifi": {"ssid": "c"},
        "broker": {"host": "d"},
        "light": {"kind": "neopixel"},
    }
    allowed = []
    for pin in range(40):
        pins = {"contactor": pin, "rst": None, "neopixel": 33}
        for name, other in (("sck", 0), ("miso", 36), ("mosi", 5), ("cs", 14), ("contact", 15)):
            pins[name] = other
        found["pins"] = pins
        try:
            config.check(found)
        except config.ConfigError:
            continue
        allowed.append(pin)
        assert _driven(json.dumps(found).encode()) == pin
    assert len(allowed) == 13, allowed


def test_the_section_of_the_same_name_is_not_the_pin():
    assert _driven(b'{"contactor": {"feedback_ms": 100}, "pins": {"contactor": 13}}') == 13
    assert _driven(b'{"pins":{"contactor" :\n 13\n}\n,"contactor":{"retry_s": 5}}') == 13


def test_a_text_that_looks_like_the_key_is_not_the_pin():
    text = json.dumps({"wifi": {"password": '"contactor": 4,'}, "pins": {"contactor": 13}})
    assert _driven(text.encode()) == 13


def test_without_a_readable_file_the_default_pin_is_driven():
    default = config.DEFAULTS["pins"]["contactor"]
    assert _driven(OSError(2)) == default
    assert _driven(MemoryError()) == default
    assert _driven(b"") == default
    assert _driven(b"\xff\x00" * 500) == default
    assert _driven(b'{"pins": {}}') == default


def test_a_pin_that_can_be_no_coil_is_left_alone():
    default = config.DEFAULTS["pins"]["contactor"]
    for value in (b"6", b"34", b"25", b"true", b"null", b'"13"', b"-1", b"999999999999", b""):
        assert _driven(b'{"pins": {"contactor": ' + value + b"}}") == default, value


def test_a_file_cut_short_after_the_pin_still_names_it():
    assert _driven(b'{"pins": {"contactor": 13, "re') == 13


def test_of_a_huge_file_only_the_beginning_is_read():
    assert _driven(b'{"pins": {"contactor": 13}, "x": "' + b"y" * 200_000) == 13
    far = b" " * 100_000 + b'{"pins": {"contactor": 13}}'
    assert _driven(far) == config.DEFAULTS["pins"]["contactor"]
