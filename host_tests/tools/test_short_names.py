"""Private names are made short and nothing else: a board does what the source says."""

import ast
from pathlib import Path

import pytest

from tools.short_names import shorten

ROOT = Path(__file__).parents[2]


def renamed(text: str, **others: str) -> str:
    return shorten({"it": text, **others})["it"]


def test_private_names_become_short_and_lines_stay_lines():
    text = (
        "class A:\n    def go(self):\n        self._long_name = 1\n        return self._long_name\n"
    )
    assert renamed(text) == text.replace("_long_name", "_a")


def test_a_parameter_that_no_call_names_becomes_short():
    assert renamed("def f(value):\n    return value + 1\n") == "def f(_a):\n    return _a + 1\n"


@pytest.mark.parametrize(
    "text, others",
    [
        ("def f(value):\n    return value\n", {"caller": "f(value=1)\n"}),
        ("def f(value):\n    return value\n", {"caller": "f(**{'value': 1})\n"}),
        ("def f(value):\n    return other.value\n", {}),
        ("class A:\n    def __init__(self):\n        self._it = 1\n", {"user": "print(a._it)\n"}),
        ("def _it():\n    pass\n", {"user": "from it import _it\n"}),
        ("def _it(self):\n    return getattr(self, '_it')\n", {}),
        ("_IT = const(5)\n", {}),  # the compiler puts it in place, and its name is gone
        ("from firmware.cards.rows import X\n\n\ndef f():\n    return X\n", {}),
    ],
)
def test_what_others_may_name_stays(text: str, others: dict):
    assert renamed(text, **others) == text


def test_a_class_built_on_another_files_class_stays():
    text = "from firmware.base import Base\n\n\nclass A(Base):\n    def _it(self):\n        pass\n"
    assert renamed(text) == text


def test_names_within_f_strings_follow_and_their_formats_do_not():
    text = "def f(x):\n    return f'{x:02x} {x!r} x {x}'\n"
    assert renamed(text) == "def f(_a):\n    return f'{_a:02x} {_a!r} x {_a}'\n"


def test_a_name_that_is_in_the_file_already_is_not_taken():
    text = "def _first(one):\n    return one._a\n"
    assert renamed(text) == "def _b(_c):\n    return _c._a\n"


def test_the_whole_firmware_keeps_its_shape():
    sources = {str(path): path.read_text() for path in (ROOT / "firmware").rglob("*.py")}
    short = shorten(sources)
    assert sum(map(len, short.values())) < sum(map(len, sources.values()))
    for name, text in sources.items():
        before, after = ast.parse(text), ast.parse(short[name])
        assert [type(node) for node in ast.walk(before)] == [type(node) for node in ast.walk(after)]
        assert _lines(before) == _lines(after)


def _lines(tree):
    return [getattr(node, "lineno", None) for node in ast.walk(tree)]
