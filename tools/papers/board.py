"""The reference board's pins: numbers from the firmware's defaults, fitness from its own check."""

import sys
import types
from collections import defaultdict
from functools import cache
from typing import NamedTuple

if "micropython" not in sys.modules:  # outside MicroPython, `const` is the value itself
    stand_in = types.ModuleType("micropython")
    vars(stand_in)["const"] = lambda value: value
    sys.modules["micropython"] = stand_in

from firmware import config

NUMBERS: dict[str, int] = config.DEFAULTS["pins"]
GPIO = range(40)
INPUT_ONLY_FROM = 34  # ESP32 data sheet: GPIO 34 to 39 have neither output nor pull-up


class Pin(NamedTuple):
    name: str  # as in `pins` of config.json
    used: str  # when it is
    way: str  # "out", "in", or "analogue in"
    wiring: str  # what it goes to, and what it needs there


PINS = (
    Pin("sck", "always", "out", "SCK of the RC522"),
    Pin("mosi", "always", "out", "MOSI of the RC522"),
    Pin("miso", "always", "in", "MISO of the RC522, which drives it"),
    Pin("cs", "always", "out", "SDA (also SS or NSS) of the RC522"),
    Pin("rst", "always; `null` if not wired", "out", "RST of the RC522"),
    Pin("contactor", "always", "out", "gate of the coil driver, with 10 kΩ to ground there"),
    Pin("feedback", "always; `null` if there is none", "in", "K1's mirror contact, to ground"),
    Pin("red", "`light.kind` `rgb`", "out", "gate of the red channel, 100 kΩ to ground"),
    Pin("green", "`light.kind` `rgb`", "out", "gate of the green channel, 100 kΩ to ground"),
    Pin("blue", "`light.kind` `rgb`", "out", "gate of the blue channel, 100 kΩ to ground"),
    Pin("neopixel", "`light.kind` `neopixel`", "out", "level shifter to 5 V, then 330 Ω"),
    Pin("contact", "`vehicle.kind` `contact`", "in", "contact, to ground while a vehicle is there"),
    Pin("pilot_pwm", "`vehicle.kind` `pilot`", "out", "pilot stage, with 10 kΩ to ground"),
    Pin("pilot_adc", "`vehicle.kind` `pilot`", "analogue in", "pilot stage: 1.3 V + pilot / 12"),
    Pin("meter", "`meter.kind` `s0`", "in", "S0+ of the meter, S0− to ground"),
)
DRIVEN = ("miso",)  # inputs that need no pull-up


def pull_up(pin: Pin) -> str:
    """Where the pin's pull-up is; "" where it wants none."""
    if pin.way != "in" or pin.name in DRIVEN:
        return ""
    if NUMBERS[pin.name] >= INPUT_ONLY_FROM:
        return "**on the board**: the ESP32 has none here"
    return "weak one in the ESP32, stronger one on the board"


@cache
def refusal(name: str, gpio: int) -> str | None:
    """Why the firmware refuses `gpio` for the pin `name`, in its own words; None if it does not."""
    found = {
        "installation": "a",
        "charger": "a",
        "charger_key": "00" * 32,
        "card_key": "00" * 32,
        "wifi": {"ssid": "a"},
        "broker": {"host": "a"},
        "pins": {name: gpio},
        "light": {"kind": "neopixel" if name == "neopixel" else "rgb"},
        "vehicle": {"kind": "pilot" if name.startswith("pilot") else "contact"},
        "meter": {"kind": "s0" if name == "meter" else "none"},
    }
    try:
        config.check(found)
    except config.ConfigError as error:
        said = str(error)
        if "uses too" in said:  # fit, only taken by another default
            return None
        return said[said.index("(") + 1 : said.index(")")]
    return None


def refusals() -> dict[str, dict[str, list[int]]]:
    """reason -> pin's name -> the GPIO that are refused to it for that reason."""
    found: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for pin in PINS:
        for gpio in GPIO:
            why = refusal(pin.name, gpio)
            if why:
                found[why][pin.name].append(gpio)
    return found


def ranges(gpios: list[int]) -> str:
    """[6, 7, 8, 20] -> "6 to 8, 20"."""
    parts: list[list[int]] = []
    for gpio in gpios:
        if parts and gpio == parts[-1][-1] + 1:
            parts[-1].append(gpio)
        else:
            parts.append([gpio])
    return ", ".join(
        f"{part[0]} to {part[-1]}" if len(part) > 2 else ", ".join(map(str, part)) for part in parts
    )
