"""What a board is given before its first start: its config.json, and the firmware as an installer
puts it there, compiled to .mpy, because a board has no memory to spare for its own compiler."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from tools import mpy

_MPY_VERSION = 6 | 3 << 8  # sys.implementation._mpy, its lower ten bits: version 6.3


@dataclass(frozen=True)
class BoardFiles:
    """`contents` by name on the board; `obsolete` would be found in place of them."""

    contents: dict[str, bytes]
    obsolete: list[str]


def board_files(config: bytes, compiled: bool) -> BoardFiles:
    """compiled: False for an interpreter that wants another version of .mpy than ours."""
    contents = mpy.firmware() if compiled else _sources()
    contents["config.json"] = config
    obsolete = [
        str(PurePosixPath(name).with_suffix(".py" if compiled else ".mpy"))
        for name in contents
        if name.startswith("firmware/")
    ]
    return BoardFiles(contents, obsolete)


def mpy_version_matches(micropython: str) -> bool:
    """Whether that interpreter takes what our mpy-cross makes."""
    asked = "import sys; print(getattr(sys.implementation, '_mpy', 0) & 0x3FF)"
    try:
        answer = subprocess.run([micropython, "-c", asked], capture_output=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return answer.stdout.strip() == str(_MPY_VERSION).encode()


def _sources() -> dict[str, bytes]:
    root = Path(mpy.ROOT)
    sources = [root / "boot.py", root / "main.py", *sorted((root / "firmware").rglob("*.py"))]
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in sources}
