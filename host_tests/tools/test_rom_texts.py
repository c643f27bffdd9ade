"""Texts in one piece and constants once: the program stays what it was."""

import pytest

from tools import mpy
from tools.rom_texts import condensed


def ran(source: str) -> dict:
    found: dict = {"const": lambda value: value}
    exec(condensed(source), found)
    return found


@pytest.mark.parametrize(
    "said",
    [
        "'as it stands, and ä'",
        "f'{x} is {x!r} in {{}} or {x + 1:03d}, {x:>4}'",
        "f'first {x} ' f'second {x}'",
        "f'{x}'",
        "f'{x:{x}}'",
        "'{} put in'.format(x)",
    ],
)
def test_an_errors_text_is_what_it_was(said: str):
    before = "def g():\n    raise OSError('ä comes first')\n"
    found = ran(f'"""For a test."""\n{before}def f(x):\n    raise ValueError({said})\n')
    with pytest.raises(ValueError) as error:
        found["f"](5)
    assert str(error.value) == eval(said, {"x": 5})


def test_such_a_text_is_no_constant_of_its_own():
    source = "pass\ndef f(x):\n    raise ValueError(f'{x} bytes and no more', 'by us', 'by us')\n"
    assert condensed(source) == (
        "_TEXT = const(b'{} bytes and no moreby us'); pass\ndef f(x):\n"
        "    raise ValueError(_TEXT[0:20].decode().format(x),"
        " _TEXT[20:25].decode(), _TEXT[20:25].decode())\n"
    )


def test_what_one_function_alone_says_is_copied_when_it_is_needed():
    source = "pass\ndef f():\n    return {'a longer text': 'short', 'x': ('another text', 1)}\n"
    assert "{_TEXT[0:13].decode(): 'short', 'x': ('another text', 1)}" in condensed(source)
    assert ran(source)["f"]() == {"a longer text": "short", "x": ("another text", 1)}


def test_what_is_said_twice_becomes_one_constant():
    source = "a = ((1, 2), b'x', 'a longer text')\nb = (3, ('a longer text', b'x', (1, 2)))\n"
    assert condensed(source) == source  # of tuples the whole alone counts
    source = "def f(x=(1, 2)):\n    return x, (1, 2), b'x', b'', 'short', 'a longer text'\n"
    source = f"pass\n{source}{source}"
    said = condensed(source)
    assert said.startswith("_K0 = const((1, 2)); _K1 = const(b'x'); _K2 = const('a longer text'); ")
    assert "return x, _K0, _K1, b'', 'short', _K2\n" in said
    assert ran(source)["f"]() == ((1, 2), (1, 2), b"x", b"", "short", "a longer text")


def test_a_class_does_not_keep_where_it_was_written():
    found = ran('pass\nclass A:\n    """What for."""\n    def two(self):\n        return 2\n')
    assert found["A"]().two() == 2
    assert condensed('class A:\n    """What for."""\n') == (
        "class A:\n    del __module__, __qualname__\n"
    )
    assert condensed("class A:\n    pass\n") == "class A:\n    pass\n"


def test_lines_stay_lines():
    source = mpy.sources()["firmware/config.py"]
    assert condensed(source).count("\n") == source.count("\n")
