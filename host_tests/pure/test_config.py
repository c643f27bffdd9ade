import json
import os

from firmware import config
from host_tests.pure.check import raises

PEM = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
KEY = "0123456789abcdef" * 4
OTHER_KEY = "fedcba9876543210" * 4


def _good():
    return {
        "installation": "north-garage",
        "charger": "bay-1",
        "charger_key": KEY,
        "card_key": OTHER_KEY,
        "wifi": {"ssid": "Garage", "password": "correct horse"},
        "broker": {"host": "broker.local"},
    }


def _set(path, value):
    found = _good()
    inside = found
    keys = path.split(".")
    for key in keys[:-1]:
        inside = inside.setdefault(key, {})
    inside[keys[-1]] = value
    return found


def _refused(path, value):
    text = str(raises(config.ConfigError, config.check, _set(path, value)))
    assert "\n" not in text, text
    return text


def _taken(path, value):
    checked = config.check(_set(path, value))
    for key in path.split("."):
        checked = checked[key]
    return checked


def test_what_is_not_said_has_its_default():
    checked = config.check(_good())
    assert checked["access"] == "restricted"
    assert checked["stop_on_withdrawal"] is True
    assert checked["resume_within_s"] == 14_400
    assert checked["max_age_s"] == 2_592_000
    assert checked["broker"]["port"] == 1883
    assert checked["light"] == {"kind": "rgb", "common": "cathode", "brightness": 100}
    assert checked["pins"] == config.DEFAULTS["pins"]
    assert checked["wifi"] == {"ssid": "Garage", "password": "correct horse"}


def test_the_time_server_is_a_name_an_address_or_nobody():
    assert config.check(_good())["ntp"] == {"host": "pool.ntp.org"}
    for host in ("", "192.168.1.1", "time.example"):
        assert _taken("ntp.host", host) == host
    for host in (None, 1, "time server", "a" * 254):
        assert "ntp.host" in _refused("ntp.host", host)
    assert "ntp.port" in _refused("ntp.port", 123)


def test_every_default_is_in_a_checked_configuration():
    checked = config.check(_good())
    for key in config.DEFAULTS:
        assert key in checked, key


def test_neither_what_was_found_nor_the_defaults_are_changed():
    found = _good()
    before = json.dumps(config.DEFAULTS)
    checked = config.check(found)
    checked["pins"]["cs"] = 99
    checked["wifi"]["ssid"] = "x"
    assert found == _good()
    assert json.dumps(config.DEFAULTS) == before


def test_a_missing_value_is_named_by_its_path():
    for path in ("installation", "charger_key", "wifi.ssid", "broker.host"):
        found = _good()
        inside = found
        for key in path.split(".")[:-1]:
            inside = inside[key]
        del inside[path.split(".")[-1]]
        assert str(raises(config.ConfigError, config.check, found)).startswith(path + ": missing, ")


def test_a_missing_section_names_the_value_that_it_needs():
    found = _good()
    del found["wifi"]
    error = raises(config.ConfigError, config.check, found)
    assert str(error) == "wifi.ssid: missing, allowed text of 1 to 32 bytes"


def test_a_wrong_value_is_shown_with_what_is_allowed():
    assert _refused("wifi.ssid", 5) == "wifi.ssid: found 5, allowed text of 1 to 32 bytes"
    assert _refused("access", "opne") == 'access: found "opne", allowed "open" or "restricted"'
    assert _refused("broker.port", 70_000) == "broker.port: found 70000, allowed 1 to 65535"
    assert _refused("installation", "North Garage").startswith('installation: found "North Garage"')
    assert _refused("charger", "").startswith('charger: found "", allowed 1 to 32 of')


def test_a_flag_is_no_number_and_a_number_no_flag():
    assert _refused("poll_ms", True) == "poll_ms: found true, allowed 10 to 1000"
    assert _refused("resume_within_s", True) == "resume_within_s: found true, allowed 0 to 604800"
    assert _refused("broker.tls", 1) == "broker.tls: found 1, allowed true or false"
    assert _refused("poll_ms", 25.0).startswith("poll_ms: found 25.0, ")
    assert _refused("poll_ms", "25").startswith('poll_ms: found "25", ')
    assert _refused("pins.cs", True).startswith("pins.cs: found true, allowed 0, 2, ")


def test_the_bounds_themselves_are_allowed():
    assert _taken("broker.port", 1) == 1
    assert _taken("broker.port", 65_535) == 65_535
    assert _taken("poll_ms", 10) == 10
    _refused("poll_ms", 9)
    assert _taken("max_age_s", 0) == 0
    assert _taken("wifi.ssid", "ü" * 16) == "ü" * 16
    _refused("wifi.ssid", "ü" * 17)
    assert len(_taken("charger", "a" * 32)) == 32
    _refused("charger", "a" * 33)


def test_secrets_are_never_shown():
    for path in ("charger_key", "card_key", "wifi.password", "broker.password"):
        for value in ("hunter2", "hunter2" * 60, 7_654_321):
            text = _refused(path, value) if path != "broker.password" or value != "hunter2" else ""
            assert "hunter" not in text and "7654321" not in text, text
    assert _refused("wifi.password", "1234567").startswith(
        "wifi.password: found text of 7 bytes, allowed nothing, 8 to 63 bytes"
    )
    assert _refused("card_key", KEY[:-1]) == (
        "card_key: found text of 63 bytes, allowed 64 hexadecimal digits"
    )


def test_a_secret_in_the_place_of_its_section_is_not_shown_either():
    assert _refused("wifi", "hunter2") == "wifi: found text of 7 bytes, allowed an object"
    assert _refused("broker", ["hunter2"]) == "broker: found a list, allowed an object"


def test_long_text_is_not_repeated():
    assert "found text of 64 bytes" in _refused("installation", KEY)


def test_a_value_with_line_breaks_gives_one_line():
    assert _refused("installation", "a\nb").startswith('installation: found "a\\nb", ')


def test_an_unknown_key_is_refused_and_the_nearest_named():
    assert _refused("wifi.pasword", "hunter2hunter2") == (
        "wifi.pasword: found a key that is not known, allowed for example wifi.password"
    )
    assert _refused("acess", "open").endswith("allowed for example access")
    assert _refused("pins.contacter", 13).endswith("allowed for example pins.contactor")
    assert _refused("light.brightnes", 3).endswith("allowed for example light.brightness")


def test_a_strange_key_gives_one_short_line():
    assert len(_refused("x" * 10_000, 1)) < 120
    assert _refused("a\nb", 1).startswith("a\\nb: found a key that is not known")


def test_a_key_of_another_kind_names_that_kind():
    text = _refused("light", {"kind": "rgb", "leds": 3})
    assert text == 'light.leds: found, allowed only with light.kind "neopixel"'
    text = _refused("vehicle", {"max_current_a": 16})
    assert text == 'vehicle.max_current_a: found, allowed only with vehicle.kind "pilot"'


def test_an_unknown_kind_names_the_known_ones():
    text = _refused("light.kind", "lava")
    assert text == 'light.kind: found "lava", allowed "neopixel" or "rgb"'
    assert _refused("meter.kind", 3) == 'meter.kind: found 3, allowed "none" or "s0"'


def test_each_kind_has_its_own_defaults():
    assert _taken("light", {"kind": "neopixel"}) == {
        "kind": "neopixel",
        "leds": 1,
        "order": "GRB",
        "brightness": 100,
    }
    assert _taken("vehicle", {"kind": "pilot"}) == {"kind": "pilot", "max_current_a": 16}
    assert _taken("meter", {"kind": "s0"}) == {
        "kind": "s0",
        "pulses_per_kwh": 1000,
        "stall_s": 600,
    }
    assert _taken("meter", {"kind": "s0", "stall_s": 0})["stall_s"] == 0


def test_values_of_a_kind_are_checked():
    assert _refused("vehicle", {"kind": "pilot", "max_current_a": 5}).startswith(
        "vehicle.max_current_a: found 5, allowed 6 to 51"
    )
    _refused("light", {"kind": "neopixel", "order": "BGR"})
    _refused("light", {"kind": "rgb", "common": "both"})
    _refused("meter", {"kind": "s0", "pulses_per_kwh": 0})
    _refused("meter", {"kind": "s0", "stall_s": -1})


def test_tls_needs_a_certificate():
    assert _refused("broker", {"host": "b", "tls": True}).startswith("broker.ca: missing, ")
    text = _refused("broker", {"host": "b", "tls": True, "ca": "hunter2"})
    assert text.startswith("broker.ca: found text of 7 bytes, ")
    checked = config.check(_set("broker", {"host": "b", "tls": True, "ca": PEM}))
    assert checked["broker"]["port"] == 8883
    checked = config.check(_set("broker", {"host": "b", "port": 1884, "tls": True, "ca": PEM}))
    assert checked["broker"]["port"] == 1884


def test_a_password_needs_a_user():
    text = _refused("broker", {"host": "b", "password": "hunter2"})
    assert text.startswith("broker.user: missing, ") and "hunter2" not in text


def test_a_host_is_a_name_or_an_address():
    assert _taken("broker.host", "192.168.1.7") == "192.168.1.7"
    _refused("broker.host", "mqtt://b")
    _refused("broker.host", "b:1883")
    _refused("broker.host", "")


def test_two_users_of_one_pin_are_both_named():
    text = _refused("pins.red", 27)
    assert text == "pins.red: found 27, which pins.contactor uses too, allowed a free pin"


def test_a_pin_that_the_chosen_kinds_do_not_use_is_ignored():
    assert _taken("pins.neopixel", 27) == 27
    assert _taken("pins.pilot_adc", None) is None
    found = _set("pins", {"neopixel": 27})
    found["light"] = {"kind": "neopixel"}
    raises(config.ConfigError, config.check, found)


def test_an_input_only_pin_is_no_output():
    for name in ("contactor", "red", "cs", "sck"):
        assert _refused("pins." + name, 39).startswith(f"pins.{name}: found 39 (an input only)")
    assert _taken("pins.miso", 39) == 39


def test_pins_of_the_flash_and_the_console_and_no_pins_are_refused():
    for pin in (6, 7, 8, 9, 10, 11):
        assert "(the flash chip)" in _refused("pins.green", pin)
    assert "(the console)" in _refused("pins.green", 1)
    assert "(the console)" in _refused("pins.green", 3)
    for pin in (20, 24, 28, 40, -1):
        assert "(no such pin)" in _refused("pins.green", pin)


def test_the_coil_is_not_on_a_pin_that_goes_high_by_itself():
    for pin in (0, 14, 15):
        assert "(high while the chip starts)" in _refused("pins.contactor", pin)
    found = _set("pins", {"contactor": 25, "red": 13})
    text = str(raises(config.ConfigError, config.check, found))
    assert text.startswith("pins.contactor: found 25 (the lamp of a board without")


def test_the_pilot_is_read_by_the_converter_that_wifi_leaves_free():
    found = _set("pins.pilot_adc", 13)
    found["vehicle"] = {"kind": "pilot"}
    assert "allowed 32 to 39" in str(raises(config.ConfigError, config.check, found))


def test_feedback_and_reset_may_be_missing_and_others_not():
    assert _taken("pins.feedback", None) is None
    assert _taken("pins.rst", None) is None
    assert "pins.cs: found null" in _refused("pins.cs", None)


def test_what_is_no_object_is_refused():
    for found in ([], "x", 5, None):
        assert "allowed an object" in str(raises(config.ConfigError, config.check, found))
    assert _refused("pins", [1]) == "pins: found a list, allowed an object"


def _file(data, function=config.load):
    path = "config-under-test.json"
    with open(path, "wb") as file:
        file.write(data)
    try:
        return function(path)
    finally:
        os.remove(path)


def _file_refused(data):
    return str(raises(config.ConfigError, _file, data))


def test_a_file_is_read_and_checked():
    assert _file(json.dumps(_good()).encode())["charger"] == "bay-1"


def test_a_mistake_in_the_text_is_named_by_its_line():
    assert _file_refused(b'{\n "installation": "x",\n "charger": tru\n}') == (
        "config-under-test.json: found a mistake in line 3, allowed JSON"
    )
    assert "found a mistake in line 1, " in _file_refused(b"")
    assert "found a mistake in line 2, " in _file_refused(b'{"a": 1,\n"b"')


def test_a_damaged_file_is_one_line_too():
    for data in (b'{"a":"\xff"}', b"\x00" * 100, b"[" * 16_000, b'"text"', b"[1]", b"12"):
        text = _file_refused(data)
        assert text.startswith("config-under-test.json: found ") and "\n" not in text, text


def test_a_file_that_is_no_text_is_called_that():
    assert "bytes that are no UTF-8" in _file_refused(b'{"a":"\xff"}')


def test_a_missing_or_huge_file_is_refused():
    assert "missing or unreadable" in str(raises(config.ConfigError, config.load, "no-such.json"))
    assert "found 16385 bytes, allowed at most 16384" in _file_refused(b" " * 16_385)


def test_a_broken_configuration_still_has_its_own_red_light():
    found = _set("light", {"kind": "neopixel", "order": "RGB"})
    found["pins"] = {"neopixel": 13, "cs": "wrong"}
    del found["charger"]
    lamp = config.lamp(found)
    assert lamp is not None
    assert lamp["light"]["order"] == "RGB"
    assert lamp["pins"]["neopixel"] == 13


def test_without_a_usable_light_section_the_default_lamp_is_lit():
    for found in (None, [], {}, {"light": 5}, {"light": {"kind": "lava"}}, {"pins": {"red": 6}}):
        lamp = config.lamp(found)
        assert lamp is not None
        assert lamp["light"]["kind"] == "rgb"
        assert lamp is not None and lamp["pins"]["red"] == 25


def test_no_lamp_is_lit_on_the_coils_pin():
    assert config.lamp({"pins": {"contactor": 26}}) is None
    lamp = config.lamp({"pins": {"contactor": 13, "red": 13}})
    assert lamp is not None and lamp["pins"]["red"] == 25
