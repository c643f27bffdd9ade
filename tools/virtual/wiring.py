"""What is wired to the virtual board, read from its config.json.

The configuration may be wrong, and then it is the firmware's business to say so: whatever does not
make sense here stands at its default, as a wired board would not change with a file either.
"""

from __future__ import annotations

import json
import sys
import types
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PINS = range(40)


def _firmware_defaults() -> dict[str, Any]:
    """The board's own. Outside MicroPython its `const` is what it is there: the value itself."""
    if "micropython" not in sys.modules:
        stand_in = types.ModuleType("micropython")
        vars(stand_in)["const"] = lambda value: value
        sys.modules["micropython"] = stand_in
    from firmware.config import DEFAULTS

    return DEFAULTS


DEFAULTS = _firmware_defaults()


class ConfigFileError(Exception):
    """The file is not there or is no JSON object; one line."""


@dataclass
class Wiring:
    pins: dict[str, int | None] = field(default_factory=lambda: dict(DEFAULTS["pins"]))
    light: dict[str, Any] = field(default_factory=lambda: dict(DEFAULTS["light"]))
    pilot: bool = False
    pulses_per_kwh: int = 1000
    ssid: str = ""
    password: str = ""
    name: str = "virtual"
    time_host: str = DEFAULTS["ntp"]["host"]

    def pin(self, name: str) -> int:
        """A pin that cannot be left out."""
        number = self.pins[name]
        assert number is not None
        return number


def read_config(path: Path) -> bytes:
    """The file's content, known to be a JSON object."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigFileError(f"{path}: {error.strerror}") from error
    try:
        parsed = json.loads(content)
    except ValueError as error:
        raise ConfigFileError(f"{path}: no JSON: {error}") from error
    if not isinstance(parsed, dict):
        raise ConfigFileError(f"{path}: no JSON object, but {type(parsed).__name__}")
    return content


def wiring(config: bytes | None) -> Wiring:
    wired = Wiring()
    try:
        given = json.loads(config) if config else {}
    except ValueError:
        given = {}
    if not isinstance(given, dict):
        return wired
    for name, number in _section(given, "pins").items():
        usable = isinstance(number, int) and not isinstance(number, bool) and number in PINS
        if name in wired.pins and (usable or (number is None and name in ("feedback", "rst"))):
            wired.pins[name] = number
    wired.light.update(_section(given, "light"))
    if wired.light.get("order") not in ("RGB", "GRB"):
        wired.light["order"] = "GRB"
    wired.pilot = _section(given, "vehicle").get("kind") == "pilot"
    pulses = _section(given, "meter").get("pulses_per_kwh")
    if isinstance(pulses, int) and 0 < pulses <= 1_000_000:
        wired.pulses_per_kwh = pulses
    wifi = _section(given, "wifi")
    wired.ssid, wired.password = str(wifi.get("ssid", "")), str(wifi.get("password", ""))
    host = _section(given, "ntp").get("host")
    if isinstance(host, str):
        wired.time_host = host
    if wired.time_host == _section(given, "broker").get("host"):
        wired.time_host = ""  # a name that leads somewhere already
    wired.name = f"{given.get('installation', '')}/{given.get('charger', 'virtual')}"
    return wired


def _section(config: dict, name: str) -> dict:
    section = config.get(name)
    return section if isinstance(section, dict) else {}
