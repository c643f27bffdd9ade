"""Programs on the modelled board: a MicroPython process with a job and a flash image."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, MutableSequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tools import mpy, romfs
from tools.virtual.power import find_micropython, frozen_modules

HERE = Path(__file__).parent
BOARD = HERE / "board"
BLOCKS, BLOCK_BYTES = 512, 4096
# A board's 110 KB, where what is a pointer takes twice as much here, and the stand-ins beside it.
BIG_HEAP = 6 << 20  # where no time is taken
HEAP_BYTES = 2 * 110 * 1024 + 100 * 1024


class BenchError(Exception):
    """A measurement could not be made; one line."""


def blank(path: Path) -> Path:
    """A flash with nothing on it."""
    path.write_bytes(b"\xff" * (BLOCKS * BLOCK_BYTES))
    return path


def pystone_folder() -> Path:
    return Path(sys.prefix) / "pystone"


def _gc_threshold() -> int:
    """What main.py tells the collector before anything else."""
    found = re.search(r"gc\.threshold\(([\d_]+)\)", (mpy.ROOT / "main.py").read_text())
    return int(found[1]) if found else -1


def _roms(folder: Path, over: Path | None, image: bytes | None) -> str:
    """The stand-ins and the firmware, as two images in the order that board/start.py takes them."""
    firmware, stand_ins = folder / "firmware.rom", folder / "stand-ins.rom"
    firmware.write_bytes(image or mpy.image())
    texts = {
        path.relative_to(place).as_posix(): path.read_text()
        for place in (BOARD, over)
        if place
        for path in place.rglob("*.py")
    }
    compiled = {
        name.replace(".py", ".mpy"): mpy.compiled(mpy.module(name), text)
        for name, text in sorted(texts.items())
    }
    stand_ins.write_bytes(romfs.image(compiled))
    return f"{stand_ins},{firmware}"


@contextmanager
def board(
    folder: Path,
    program: str,
    flash: Path,
    job: dict[str, Any],
    heap: int = HEAP_BYTES,
    over: Path | None = None,
    image: bytes | None = None,
    said: MutableSequence[str] | None = None,
) -> Iterator[Iterator[dict]]:
    """What the program prints, line by line. `over`: a folder with more stand-ins, and others in
    the place of the board's own. `image`: of the ROM, if not the firmware's. `said`: takes what
    else it prints."""
    micropython = Path(find_micropython())
    frozen = frozen_modules()
    job = {
        "program": program,
        "flash": str(flash),
        "blocks": BLOCKS,
        "frozen": str(frozen) if frozen else "",
        "pystone": str(pystone_folder()),
        "gc_threshold": _gc_threshold(),
        **job,
    }
    path = folder / f"{program}.json"
    path.write_text(json.dumps(job))
    process = subprocess.Popen(
        _command(micropython, _roms(folder, over, image), path, heap),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "MICROPYPATH": ""},
    )
    assert process.stdout
    console = [] if said is None else said

    def lines() -> Iterator[dict]:
        assert process.stdout
        for line in process.stdout:
            if line.startswith("{"):
                yield json.loads(line)
            else:
                console.append(line.rstrip())
        if process.wait():
            raise BenchError(f"{program}: " + " / ".join(list(console)[-12:]))

    try:
        yield lines()
    finally:
        process.kill()
        process.communicate()


def _extension(micropython: Path) -> bool:
    with micropython.open("rb") as file:
        return b"micropython_unix" in file.read(1024)


def _command(micropython: Path, roms: str, job: Path, heap: int) -> list[str]:
    start = ["-X", f"heapsize={heap}", str(BOARD / "start.py"), str(job)]
    if _extension(micropython):
        python = micropython.with_name("python")
        return [str(python), "-P", str(HERE / "launch.py"), roms, *start]
    return [str(micropython), *start, roms]
