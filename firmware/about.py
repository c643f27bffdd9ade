"""What `about`, typed at the console, is answered with: one line of JSON by which an installer sees
what there is without stopping anything. It holds no secret; of config.json only its hash, and what
is in it without a key: whose it is and when it was issued.

Loaded for that one answer, and given back.
"""

import binascii
import hashlib
import json
import os
import sys

import network
from micropython import const

_LIMIT_BYTES = const(16_384)
_DIGITS = const(16)  # of a hash: the line takes the console's time, in which nothing else happens


def tell(point) -> None:
    """`point`: the charge point."""
    import firmware

    config = _read("config.json") or {}
    made = sys.implementation
    wlan = network.WLAN(network.STA_IF)
    del sys.modules["firmware.about"]
    delattr(firmware, "about")
    print(
        json.dumps(
            {
                "about": {
                    "installation": config.get("installation"),
                    "charger": config.get("charger"),
                    "issued": config.get("issued"),
                    "files": {name: _sum(name) for name in os.listdir() if _is_ours(name)},
                    "firmware": _firmware(_read("firmware.json") or {}),
                    "runs_from": getattr(firmware, "__file__", ""),
                    "state": point.session.state,
                    "wifi": wlan.status(),
                    "machine": getattr(made, "_machine", ""),
                    "build": getattr(made, "_build", ""),
                    "micropython": list(made.version)[:3],
                }
            }
        )
    )


def _is_ours(name):
    return name[-3:] == ".py" or name[-4:] == ".mpy" or name == "config.json"


def _firmware(found):
    about = {name: found.get(name) for name in ("run", "version", "proven", "gave_up")}
    about["sha256"] = str(found.get("sha256"))[:_DIGITS]
    about["trial"] = bool(found.get("before")) and found.get("proven") is not True
    return about


def _sum(name):
    digest = hashlib.sha256()
    part = bytearray(256)
    try:
        with open(name, "rb") as file:
            while True:
                size = file.readinto(part)
                if not size:
                    return binascii.hexlify(digest.digest()).decode()[:_DIGITS]
                digest.update(memoryview(part)[:size])
    except OSError:
        return None


def _read(name):
    try:
        with open(name) as file:
            # As much as there is: MicroPython sets aside all that is asked for, in one piece.
            found = json.loads(file.read(min(os.stat(name)[6], _LIMIT_BYTES)))
        return found if isinstance(found, dict) else None
    except (OSError, ValueError, RuntimeError):
        return None
