"""What the compiler gets does what the sources do, or is refused: both are run by MicroPython."""

import ast
import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from firmware.access import light
from tools import constants, link_check, linking, mpy, rom_texts, scopes, shared_names, short_names
from tools.linking import LinkError
from tools.virtual.power import find_micropython

APP = "from firmware import a\nseen = a.get()\n"
FIRST = "import firmware.app\n"
OTHER = FIRST + "import firmware.o\nprint(firmware.o.seen)\n"


def written(**texts: str) -> dict[str, str]:
    """Keywords: the source of `firmware/KEYWORD.py`."""
    return {"firmware/__init__.py": ""} | {f"firmware/{k}.py": v for k, v in texts.items()}


def passed(texts: dict[str, str]) -> dict[str, str]:
    files = linking.linked(shared_names.shared(short_names.shorten(texts)))
    files[linking.ONE] = rom_texts.condensed(files[linking.ONE], linking.ONE)
    link_check.check(files)
    return files


def said(folder: Path, files: dict[str, str], program: str, put: Callable) -> str:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        put(path, name, text)
    folder.mkdir(exist_ok=True)
    done = subprocess.run(
        [find_micropython(), "-c", program],
        env={"MICROPYPATH": f"{folder}:.frozen"},
        capture_output=True,
        text=True,
        cwd=folder,
        timeout=60,
    )
    assert not done.returncode, done.stderr
    return done.stdout


def as_source(path: Path, name: str, text: str) -> None:
    path.write_text(text)


def as_bytecode(path: Path, name: str, text: str) -> None:
    path.with_suffix(".mpy").write_bytes(mpy.compiled(mpy.module(name), text))


SAME = {
    "global": {
        "app": APP,
        "a": "_count = 0\ndef get():\n    global _count\n    _count += 1\n    return _count\n",
    },
    "global in a function within another": {
        "app": APP,
        "a": "_n = 1\ndef get():\n    _n = 5\n    def put():\n        global _n\n        _n += 1\n"
        "    put()\n    return _n\n",
    },
    "an import in try": {
        "app": APP,
        "a": "try:\n    import nowhere\nexcept ImportError:\n    nowhere = None\n"
        "try:\n    import math as m\nexcept ImportError:\n    m = None\n"
        "def get():\n    return nowhere, m.floor(2.5)\n",
    },
    "an import in if": {
        "app": APP,
        "a": "import sys\nif sys.platform != 'esp32':\n    import math\n"
        "def get():\n    return math.floor(2.5)\n",
    },
    "except as": {
        "app": APP,
        "a": "try:\n    1 // 0\nexcept ZeroDivisionError as wrong:\n    why = str(wrong)\n"
        "def get():\n    return why\n",
    },
    "names imported in a function": {
        "app": "from firmware import a\ndef f():\n    from firmware.a import get\n"
        "    return get()\nseen = f()\n",
        "a": "def get():\n    return 3\n",
    },
    "a module imported in a function": {
        "app": "from firmware import a\ndef f():\n    from firmware import a\n"
        "    return a.get()\nseen = f()\n",
        "a": "def get():\n    return 3\n",
    },
    "two functions of another file that import": {
        "app": "from firmware.a import get\nfrom firmware.b import put\nseen = 1\n",
        "a": "def get():\n    return 3\n",
        "b": "def put():\n    return 4\n",
        "o": "def f():\n    from firmware.a import get\n    return get()\n"
        "def g():\n    from firmware import b\n    return b.put()\nseen = f(), g()\n",
    },
    "constants of one name, looked up by another file": {
        "app": "from firmware import a, b\nseen = (a.LIMIT, b.LIMIT)\n",
        "a": "from micropython import const\nLIMIT = const(3)\n",
        "b": "from micropython import const\nLIMIT = const(4)\n",
        "o": "from firmware import a, b\nseen = a.LIMIT, b.LIMIT\n",
    },
    "a parameter called as a builtin of CPython alone": {
        "app": APP,
        "a": "def get(format='x'):\n    a = format + format + format\n"
        "    return a + format + format + format + format\n",
    },
    "a comprehension over what its variable is called": {
        "app": APP,
        "a": "rows = [1, 2]\ndef get():\n    return [rows for rows in rows]\n",
    },
    "an f-string": {
        "app": APP,
        "a": "_MOST = 4\ndef light():\n    return 7\ndef put(*, light):\n    return light\n"
        "def get(x='abcdefgh', of={'light': 3}):\n"
        "    return (f'{x[:_MOST]} {x != light} {of[\"light\"]} {put(light=light())}'\n"
        "        f'{{light}} {{\"light\": {light()}}} {light():>4}')\n",
    },
    "attributes in an f-string": {
        "app": APP,
        "a": "class A:\n    def __init__(self):\n        self._text = 'abc'\n"
        "    def show(self, most):\n        return f'{self._text[:most]} ._text {most!r}'\n"
        "def get():\n    return A().show(2)\n",
    },
}


@pytest.mark.parametrize("case", SAME)
def test_what_the_board_runs_does_what_is_written(tmp_path: Path, case: str):
    texts = written(**SAME[case])
    program = OTHER if "o" in SAME[case] else FIRST + "print(firmware.app.seen)\n"
    wanted = said(tmp_path / "source", texts, program, as_source)
    assert said(tmp_path / "made", passed(texts), program, as_bytecode) == wanted


REFUSED = {
    "a value from outside": ("app:3", "from firmware import a\ndef f():\n    a.mode = 1\n"),
    "a value that is added to": ("app:2", "from firmware import a\na.mode += 1\n"),
    "everything": ("app:1", "from firmware.a import *\n"),
    "a module by its whole name": ("app:1", "import firmware.a\nfrom firmware import a\n"),
    "what a module has by itself": ("app:2", "from firmware import a\nseen = a.__name__\n"),
    "what a module has from MicroPython": ("app:1", "from firmware.a import ticks_ms\n"),
    "a module handed on": ("app:2", "from firmware import a\nseen = getattr(a, 'get')\n"),
    "names as texts": ("app:2", "from firmware import a\nglobals()['get']()\n"),
    "a module as a text": (
        "app:2",
        "from firmware import a\nimport sys; there = 'firmware.a' in sys.modules\n",
    ),
    "a cycle": ("b:1", "from firmware import b\n"),
    "two meanings of one import": ("app:2", "from firmware import a\nimport time\n"),
    "a class with a name of the file's": (
        "app:4",
        "from firmware import a\ndef poll():\n    return 2\nclass R: poll = poll()\n",
    ),
    "an import that gets another value": ("app:2", "from firmware.a import get\nget = 3\n"),
    "a local name for what is imported there": (
        "app:2",
        "from firmware import a\ndef f():\n    from firmware.a import get\n    get = 3\n",
    ),
    "a builtin's name": ("app:2", "from firmware import a\nfrom os import stat as open\n"),
    "a name that nothing binds": ("app:2", "from firmware import a\nseen = nothing\n"),
    "a global that nothing binds": (
        "app:3",
        "from firmware import a\ndef f():\n    global x\n    x = 2\n",
    ),
    "what is not there": ("app:1", "from firmware.nowhere import x\n"),
    "match": ("app:2", "from firmware import a\nmatch a.get:\n    case 1:\n        pass\n"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_would_be_something_else_in_one_file_is_refused_where_it_stands(case: str):
    where, app = REFUSED[case]
    texts = written(
        app=app,
        a="from time import time, ticks_ms\nmode = 2\ndef get():\n    return 3\n",
        b="from firmware import app\n",
    )
    if "cycle" not in case:
        del texts["firmware/b.py"]
    file, line = where.split(":")
    with pytest.raises(LinkError) as error:
        linking.linked(texts)
    found = re.match(r"firmware/(\w+)\.py:(\d+): \w", str(error.value))
    assert found, error.value
    assert (found[1], found[2]) == (file, line), error.value


def test_a_subclass_in_another_file_shares_its_private_names():
    """Run by the base's methods and its own, on one object."""
    base = (
        "class Base:\n    def __init__(self):\n        self._left = 1\n"
        "    def take(self):\n        return self._left, self._own()\n"
        "    def _own(self):\n        return 'base'\n"
    )
    sub = (
        "from firmware.base import Base\nclass Sub(Base):\n    def put(self):\n"
        "        self._left = 5\n    def _own(self):\n        return 'sub'\n"
    )
    names: dict = {}
    files = short_names.shorten({"firmware/base.py": base, "firmware/sub.py": sub})
    exec(files["firmware/base.py"], names)
    exec(files["firmware/sub.py"].replace("from firmware.base import Base\n", ""), names)
    one = names["Sub"]()
    one.put()
    assert one.take() == (5, "sub")


def test_the_firmwares_own_subclass_shares_what_its_base_calls_private():
    files = short_names.shorten(mpy.sources())
    base, sub = (
        set(re.findall(r"self\.(_\w+)", files[f"firmware/cards/{name}.py"]))
        for name in ("mfrc522", "mifare")
    )
    written_base = set(re.findall(r"self\.(_\w+)", mpy.sources()["firmware/cards/mfrc522.py"]))
    assert sub & written_base and sub & written_base <= base


def test_a_private_name_asked_of_another_object_stays():
    one = "class A:\n    def __init__(self):\n        self._kept = 1\n"
    two = "class B:\n    def __init__(self, a):\n        self._kept = a._kept\n"
    files = short_names.shorten({"one.py": one, "two.py": two})
    assert "self._kept = 1" in files["one.py"] and "._kept\n" in files["two.py"]


def test_a_line_of_the_real_image_is_found_in_the_source():
    """Also after the file whose lines are worked out when the image is made."""
    texts = mpy.sources()
    compiled = mpy.linked(texts)[linking.ONE].split("\n")
    classes = [n for n, line in enumerate(compiled, 1) if re.match(r"class \w", line)]
    assert len(classes) > 40
    found = set()
    for number in classes[::5] + classes[-1:]:
        file, line = linking.place(number, texts)
        found.add(file)
        assert texts[file].split("\n")[line - 1].startswith("class "), (number, file, line)
    assert linking.ONE in found
    assert linking.place(2000, texts) == linking.place(2000, mpy.folded(texts))


@pytest.mark.parametrize("line", [0, -1, 1, 99_999])
def test_a_line_that_is_of_no_source_is_said_to_be_none(line: int):
    with pytest.raises(LinkError, match=f"no line {line}"):
        linking.place(line, mpy.sources())


def test_a_file_that_the_board_module_takes_is_missed_when_it_is_gone():
    texts = mpy.sources()
    texts["firmware/hardware/lamp.py"] = texts.pop("firmware/hardware/light.py")
    board = texts["firmware/hardware/board.py"].replace("hardware.light", "hardware.lamp")
    texts["firmware/hardware/board.py"] = board
    with pytest.raises(LinkError, match=r"hardware/light\.py is to be in the one file"):
        mpy.linked(texts)


def test_a_name_that_a_tool_asks_for_must_be_there():
    texts = {linking.ONE: "class App:\n    pass\n"}
    linking.check_exported(texts, ["from firmware.app import App  # by itself\n"])
    with pytest.raises(LinkError, match="asks for Journal"):
        linking.check_exported(texts, ["from firmware.app import App, Journal\n"])


def test_what_the_tools_ask_for_is_kept_although_the_app_does_not_import_it():
    texts = mpy.sources()
    given = link_check.given(ast.parse(mpy.linked(texts)[linking.ONE]))
    assert set(linking.EXPORTED) <= given
    for name, file in linking.EXPORTED.items():
        assert re.search(rf"^(class|def) {name}\b", texts[file], re.MULTILINE)


def test_a_text_that_is_called_as_one_in_the_rom_is_refused():
    with pytest.raises(LinkError, match=r"a\.py:2: _K1"):
        rom_texts.condensed("pass\n_K1 = 4\n", "a.py")


def test_an_f_string_that_cannot_be_written_with_other_names_is_refused(monkeypatch):
    monkeypatch.setattr(ast, "unparse", lambda node: "f'something else'")
    with pytest.raises(LinkError, match=r"x\.py:2: an f-string"):
        short_names.shorten({"x.py": "def f(value):\n    return f'{value}'\n"})


def test_what_counts_as_micropythons_own_is_known_to_it(tmp_path: Path):
    program = "import builtins\nprint(' '.join(dir(builtins)))\n"
    assert set(said(tmp_path, {}, program, as_source).split()) >= scopes.BUILTINS


def test_the_lights_tables_are_texts_that_say_the_same():
    source = mpy.sources()["firmware/access/light.py"]
    made = mpy.folded(mpy.sources())["firmware/access/light.py"]
    assert made.count("\n") == source.count("\n")
    names: dict = {}
    exec(made, names)
    for table in ("COLOURS", "PATTERNS", "STATES", "OVERLAYS", "STANDING"):
        assert type(names[table]) is bytes
        for name, entry in getattr(light, table).items():
            assert json.dumps(names["entry"](names[table], name)) == json.dumps(entry)
        with pytest.raises(KeyError):
            names["entry"](names[table], "pending")


def test_constants_of_what_is_loaded_now_and_then_are_put_in_place():
    texts = {
        "firmware/a.py": "SIZE = const(7)\nWORD = const('x')\nTWICE = const(1)\nTWICE = 2\n"
        "def f():\n    return SIZE\n",
        "firmware/b.py": "from firmware import a\nfrom firmware.a import SIZE, TWICE, WORD, f\n"
        "MINE = const(-3)\nASKED = const(4)\nSAID = const(5)\n"
        "def g(x):\n    return SIZE + a.SIZE * x[SIZE :] + MINE + TWICE + ASKED + f()\n"
        "def h():\n    return f'{SAID} {WORD}'\n",
        "firmware/c.py": "from firmware.b import SAID\nfrom firmware.a import SIZE\n"
        "def i(SIZE):\n    return SIZE + SAID\n",
    }
    found = constants.in_place(texts, ["firmware/a.py"], {"ASKED"})
    assert found["firmware/a.py"] == texts["firmware/a.py"]
    assert found["firmware/b.py"] == (
        "from firmware import a\nfrom firmware.a import TWICE, WORD, f\n"
        "pass\nASKED = const(4)\nSAID = const(5)\n"
        "def g(x):\n    return (7) + (7) * x[(7) :] + (-3) + TWICE + ASKED + f()\n"
        "def h():\n    return f'{SAID} {WORD}'\n"
    )
    assert found["firmware/c.py"] == (
        "pass\nfrom firmware.a import SIZE\ndef i(SIZE):\n    return SIZE + (5)\n"
    )


def test_the_firmware_has_no_constant_by_name_where_it_is_loaded_now_and_then():
    files = mpy.linked(mpy.sources())
    following = files["firmware/allowlist/following.py"]
    assert "OBJECTS_AT_ONCE" not in following and "PACKS" not in following
    assert following.count("\n") == mpy.sources()["firmware/allowlist/following.py"].count("\n")
