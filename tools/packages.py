"""package.json for `mpremote mip install path/package.json`, from a checkout: of the whole firmware
(package.json), and of the RC522 driver alone (firmware/cards/package.json).

    python -m tools.packages          write both anew

Such an installation is the sources as they are: mip compiles nothing. The driver runs so on any
board. The whole firmware needs memory that a stock ESP32 does not have (in RAM its bytecode takes
81 KB more than in ROM), so it is for boards with PSRAM; `tapgate provision` is for all others.
"""

import json
from pathlib import Path

from firmware import VERSION
from tools import mpy

ROOT = Path(__file__).parent.parent
DRIVER = "rc522"  # its name as a package; inside, its files import each other by place
_DRIVER_FILES = ("__init__", "mfrc522", "iso14443a", "mifare")


def texts() -> dict[str, str]:
    """By the file's path from the project's root."""
    return {
        "package.json": _text(_firmware()),
        "firmware/cards/package.json": _text(_driver()),
    }


def _firmware() -> list[list[str]]:
    """[where to, where from]. mip installs below /lib; MicroPython and the loader look at the top.
    What starts the rest comes last, but for the one that opens the contactor."""
    first, *last = starters()
    names = (first, *sorted(mpy.sources()), *last)
    return [[f"../{name}", mpy.LOADER if name == "loader.py" else name] for name in names]


def starters() -> list[str]:
    """boot.py and what follows it, as sources."""
    return list(mpy.starters(in_place=False))


def _driver() -> list[list[str]]:
    return [[f"{DRIVER}/{name}.py", f"{name}.py"] for name in _DRIVER_FILES]


def _text(urls: list[list[str]]) -> str:
    lines = ",\n".join(f"    {json.dumps(each)}" for each in urls)
    return f'{{\n  "version": "{VERSION}",\n  "urls": [\n{lines}\n  ],\n  "deps": []\n}}\n'


if __name__ == "__main__":
    for name, text in texts().items():
        (ROOT / name).write_text(text)
