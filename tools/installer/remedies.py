"""The self-test's parts for people: what is right, and what to do where one is not.

The charger says what it has measured (firmware/tested_parts.py); the rest is for a screen.
"""

import re
from collections.abc import Callable
from typing import Any

from tools.portal.intake import shown

Row = dict[str, Any]  # part, ok (None: not tested), found, right, advice

# In the order in which the charger takes them.
RIGHT = {
    "reader": "91 or 92 and its 64 bytes, or a clone; antenna on",
    "card": "any card, read 8 of 10 times or more",
    "light": "all six seen, in this order",
    "contactor": "heard twice; closed and opened within 100 ms",
    "vehicle": "contact open, or ±12 V (10.8 to 13.2)",
    "meter": "line high, no pulse of its own",
    "flash": "24 blocks free or more, written and read",
    "clock": "set, to the minute",
    "wifi": "-80 dBm or more; -67 is good",
    "broker": "connected",
    "list": "one is in force, and not too old",
}

_WIRES = "3.3 V at the reader, and each wire against `pins`: MISO, MOSI, SCK, SDA, RST"
_SUPPLY = "100 nF and 10 µF at the reader, leads of at most 30 cm, away from K1"
_FEEDBACK = "K1's mirror contact is closed while K1 is open; its wire, and the pull-up at the pin"

# part, whether it was tested, what was found (a pattern), what to do: the first that fits.
_ADVICE = (
    ("reader", False, "no chip|not wake", _WIRES),
    ("reader", False, "bytes of its", "a clone? It may stay if cards are read well"),
    ("reader", False, "failed:|Reg [0-9a-f]|does not end", _SUPPLY),
    ("reader", False, "", f"{_SUPPLY}; else another reader"),
    ("card", False, "never", "hold it still and alone; metal near the antenna; " + _SUPPLY),
    ("card", False, "", f"metal or water near the antenna; {_SUPPLY}"),
    ("card", None, "several", "hold one card to the reader, and run this again"),
    ("card", None, "not tried", "first the reader"),
    ("card", None, "", "hold a card to the reader while this runs; was one there: the reader is "
     "deaf, see its supply and antenna, or take another"),
    ("light", False, "", "`light.kind` and `pins` against the wires"),
    ("contactor", False, "coil off", f"welded, or {_FEEDBACK}. Welded: do not use, electrician"),
    ("contactor", False, "says open", "mains off: K1 cannot pull. Does K2 click, does K1? No: "
     "driver, F2, coil; yes: the mirror contact's wire; slow: --set contactor.feedback_ms=200"),
    ("contactor", False, "", "the coil's driver and supply"),
    ("contactor", None, "feedback", "see or hear K1; better wire its mirror contact"),
    ("contactor", None, "", "first what is at fault"),
    ("vehicle", False, "contact", "unplug; the contact's wire, which is high while open"),
    ("vehicle", False, "pilot_short", "pilot at earth: cable, connector, pilot stage"),
    ("vehicle", False, "", "the pilot stage, its ±12 V and its divider"),
    ("meter", False, "low", "S0+ and S0− exchanged, or no pull-up at the pin"),
    ("meter", False, "", "interference: 1 kΩ and 100 nF at the pin; twist its wires"),
    ("meter", None, "no meter", "none is needed; else --meter s0 of 'tapgate charger config'"),
    ("meter", None, "", "charge, and compare with the meter's own display"),
    ("flash", False, "full|blocks free", "remove files that are none of Tapgate's"),
    ("flash", False, "", "restart it; if it comes back, another board"),
    ("clock", False, "", "UDP port 123 to the time server, or one in the house: --set ntp.host"),
    ("clock", None, "", "dates and schedules in permissions need one: --set ntp.host"),
    ("wifi", False, "dBm", "closer to the access point, an antenna, another channel"),
    ("wifi", False, "", "SSID and password, 2.4 GHz, WPA2"),
    ("wifi", None, "", "run this again"),
    ("broker", False, "name", "DNS of that network, or the broker's address in --broker"),
    ("broker", False, "tls", "the CA's certificate in config.json, the broker's name in its own"),
    ("broker", False, "refused|authorised", "the broker's user and password for this charger"),
    ("broker", False, "", "first the Wi-Fi; broker and firewall"),
    ("list", False, "old", "'tapgate publish', or keep 'tapgate serve' running"),
    ("list", False, "none$|missing", "'tapgate publish'; the broker must keep retained messages"),
    ("list", False, "full", "remove files that are none of Tapgate's"),
    ("list", False, "", "'tapgate publish'; restart it"),
)  # fmt: skip

# The short values of the event, in words.
_WORDS: dict[str, Callable[[Any], str]] = {
    "reader": lambda value: f"version {value:02x}",
    "card": lambda value: "read",
    "light": lambda value: f"{value} colours shown",
    "contactor": lambda value: f"closed in {value} ms",
    "vehicle": lambda value: f"contact {value}" if value in ("open", "closed") else str(value),
    "meter": lambda value: f"{value} pulses, while nothing flows",
    "flash": lambda value: f"{value} blocks free",
    "clock": lambda value: "set",
    "wifi": lambda value: f"{value} dBm",
    "broker": lambda value: "connected",
    "list": lambda value: f"version {value}",
}


def row(part: str, ok: bool | None, found: str) -> Row:
    """One line of the table."""
    advice = "" if ok else _advice(part, ok, found)
    return {
        "part": part, "ok": ok, "found": found, "right": RIGHT.get(part, ""), "advice": advice
    }  # fmt: skip


def rows_of(event: dict[str, Any]) -> list[Row]:
    """The lines of the event `selftest_done`, which has less to say than the console."""
    values, failed = event.get("parts"), event.get("failed")
    values = values if isinstance(values, dict) else {}
    failed = [str(name) for name in failed] if isinstance(failed, list) else []
    names = [*RIGHT, *values, *failed]
    made = []
    for name in dict.fromkeys(names):
        measured = name in values
        ok = False if name in failed else True if measured else None
        if measured:
            found = _in_words(name, values[name])
        else:
            found = "see the charger's console" if ok is False else "not tested"
        made.append(row(shown(name, 32), ok, found))
    return made


def _in_words(name: str, value: Any) -> str:
    try:
        return shown(_WORDS[name](value))
    except (KeyError, ValueError, TypeError):
        return shown(value)


def _advice(part: str, ok: bool | None, found: str) -> str:
    for name, tested, pattern, advice in _ADVICE:
        if name == part and tested is ok and re.search(pattern, found):
            return advice
    return ""
