"""Several modules become one file that does the same."""

import re

import pytest

from tools import mpy
from tools.linking import ONE, LinkError, linked, place

OTHER = "firmware/other.py"


def ran(name: str = ONE, **texts: str) -> dict:
    """What is in the one file once it has run; keywords: the source of `firmware/KEYWORD.py`."""
    files = {"firmware/__init__.py": ""}
    files |= {f"firmware/{module}.py": text for module, text in texts.items()}
    found: dict = {"const": lambda value: value}
    exec(linked(files)[name], found)
    return found


def test_what_the_app_imports_comes_before_it_in_one_file():
    files = {
        ONE: "from firmware import second\nseen = second.two()\n",
        "firmware/second.py": "from firmware.first import one\ndef two():\n    return one() + 1\n",
        "firmware/first.py": "def one():\n    return 1\n",
        OTHER: "import os\n",
    }
    assert list(linked(files)) == [OTHER, ONE]
    found: dict = {}
    exec(linked(files)[ONE], found)
    assert found["seen"] == 2


def test_a_name_of_two_modules_stands_for_each_ones_own():
    found = ran(
        app="from firmware import a, b\nseen = (a.get(), b.get(), a.text(7))\n",
        a="_kept = 'a'\ndef get():\n    return _kept\ndef text(_x):\n    return f'{_x} {_kept}'\n",
        b="_kept = 'b'\ndef get():\n    kept = _kept\n    return kept\n",
    )
    assert found["seen"] == ("a", "b", "7 a")


def test_a_local_name_hides_another_modules():
    found = ran(
        app="from firmware.a import get\n"
        "def twice(get):\n    return get * 2\nseen = twice(4), get()\n",
        a="def get():\n    return 1\n"
        "class A:\n    get = 3\n    def put(self):\n        return get()\n",
    )
    assert found["seen"] == (8, 1) and found["A"]().put() == 1 and found["A"].get == 3


def test_a_new_name_is_none_that_a_module_has_for_something_else():
    found = ran(
        app="from firmware import a, b\nseen = a.get(1) + b.get(2)\n",
        a="def _x():\n    return 10\ndef get(_y):\n    return _x() + _y\n",
        b="def _x():\n    return 20\ndef get(_y):\n    return _x() + _y\n",
    )
    assert found["seen"] == 33


def test_no_module_takes_a_builtin_from_another():
    found = ran(
        app="from firmware import a\nseen = (max(1, 2), a.max(1, 2))\n",
        a="def max(one, two):\n    return 'ours'\n",
    )
    assert found["seen"] == (2, "ours")


def test_a_constant_is_put_in_place_where_no_other_file_names_it():
    texts = {
        ONE: "from firmware.words import OPEN, SHUT\nseen = OPEN + SHUT\n",
        "firmware/words.py": "OPEN = 'open'\nSHUT = 'shut'\n",
        OTHER: "from firmware.words import SHUT\nseen = SHUT\n",
    }
    files = linked(texts)
    assert "_OPEN = const('open')" in files[ONE] and "\nSHUT = 'shut'" in files[ONE]
    assert files[OTHER].startswith("from firmware.app import SHUT\n")


def test_what_remains_a_module_takes_from_the_one_file():
    texts = {
        ONE: "from firmware import clock, watch\nseen = clock.now() + watch.now()\n",
        "firmware/clock.py": "def now():\n    return 5\n",
        "firmware/watch.py": "def now():\n    return 6\n",
        OTHER: "from firmware import watch\nseen = watch.now()\n",
    }
    files = linked(texts)
    one: dict = {}
    exec(files[ONE], one)
    line, rest = files[OTHER].split("\n", 1)
    name = line.removeprefix("from firmware.app import ").split(" as ")
    other = {name[-1]: one[name[0]]}
    exec(rest, other)
    assert other["seen"] == 6


def test_lines_stay_lines_and_a_tracebacks_is_found_again():
    texts = mpy.sources()
    lines = linked(texts)[ONE].split("\n")
    classes = [i for i, line in enumerate(lines, 1) if re.match("class [A-Z]", line)]
    assert len(classes) > 40
    for number in classes[::9]:
        file, line = place(number, texts)
        said = texts[file].split("\n")[line - 1]
        assert re.split(r"\W", said)[:2] == re.split(r"\W", lines[number - 1])[:2]
    with pytest.raises(LinkError, match="no line"):
        place(len(lines) + 1, texts)


def test_a_module_that_is_more_than_looked_into_is_refused():
    with pytest.raises(LinkError, match="more than looked into"):
        ran(app="from firmware import a\nseen = [a]\n", a="")
