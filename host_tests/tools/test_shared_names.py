"""Attributes of different classes are given one name, and nothing else is touched."""

import ast
import re
from pathlib import Path

import micropython_run
import pytest

from tools import mpy, short_names
from tools.shared_names import MICROPYTHON, asked_for, owned_in, shared

TYPINGS = Path(__file__).parents[2] / ".venv/typings"
FROZEN = Path(__file__).parents[2] / ".venv/micropython"
TWO = (
    "class A:\n    def __init__(self):\n        self.first = 1\n        self.second = 2\n"
    "    def summed(self, b):\n        return f'{self.first + b.third:02d} {self.second}'\n"
    "class B:\n    third = 3\n    async def fourth(self):\n        pass\n"
)


def attributes(text: str) -> set[str]:
    return {node.attr for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Attribute)}


def test_attributes_of_classes_that_have_none_in_common_are_called_the_same():
    new = shared({"a.py": TWO + "seen = A().summed(B)\n"})["a.py"]
    found: dict = {}
    exec(new, found)
    assert found["seen"] == "04 2"
    assert {"_a", "_b"} <= set(vars(found["B"])) and set(vars(found["A"]())) == {"_a", "_b"}
    assert new.count("\n") == TWO.count("\n") + 1


def test_a_name_is_the_same_in_every_file():
    user = "def get(x):\n    return x.fourth\n"
    files = shared({"a.py": TWO, "b.py": user})
    (name,) = attributes(files["b.py"])
    assert name != "fourth" and f"async def {name}(self)" in files["a.py"]


@pytest.mark.parametrize(
    "more",
    [
        "getattr(A(), 'second')\n",
        "words = b'first second third'\n",
        "A(second=1)\n",
        "from firmware.b import second\n",
        "def second():\n    pass\n",
        "import machine\nmachine.second()\n",
        "class C(Exception):\n    second = 1\n",
        "class C:\n    second = 1\n    other = second\n",
        "class C:\n    @second.setter\n    def it(self):\n        pass\n",
        "try:\n    x.second\nexcept AttributeError:\n    pass\n",
    ],
)
def test_a_name_that_may_be_more_than_an_attribute_is_left_alone(more: str):
    assert "second" not in attributes(TWO.replace("second", "zweites"))
    found = shared({"a.py": TWO, "b.py": more})["a.py"]
    assert "second" in attributes(found) and found != TWO


def test_what_is_put_into_an_object_whose_class_does_not_have_it_is_left_alone():
    put = "def put(x):\n    x.fifth = x.second\n"
    assert "fifth" in shared({"a.py": TWO, "b.py": put})["b.py"]


def test_what_a_program_beside_the_firmware_names_is_left_alone():
    for program in ("a.second\n", "RUN = 'print(a.second)'\n", "a.second = 1\n"):
        assert "second" in attributes(shared({"a.py": TWO}, asked_for([program]))["a.py"])


def test_a_class_and_those_that_build_on_it_have_no_name_for_two_things():
    base = "class A:\n    def __init__(self):\n        self.first = 1\n"
    child = "from a import A\nclass B(A):\n    def second(self):\n        return self.first\n"
    other = "class C:\n    third = fourth = 0\n"
    files = shared({"a.py": base, "b.py": child, "c.py": other})
    assert len(attributes(files["a.py"]) | set(re.findall(r"def (_\w)\(", files["b.py"]))) == 2


def test_no_name_is_changed_that_objects_of_micropython_have():
    """By all names that the interpreter here was built with, that an ESP32's stubs know, and that
    stand in what stock firmware carries in its flash."""
    binary = Path(str(micropython_run.__file__)).read_bytes()
    native = {name.decode() for name in re.findall(rb"(?<=\0)[A-Za-z_]\w{2,}(?=\0)", binary)}
    for path in (*TYPINGS.rglob("*.pyi"), *FROZEN.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                native.add(node.name)
            elif isinstance(node, ast.Name):
                native.add(node.id)
            elif isinstance(node, ast.Attribute):
                native.add(node.attr)
    files = short_names.shorten(mpy.folded(mpy.sources()))
    owned = owned_in(files)
    changed = attributes("\n".join(files.values())) - attributes("\n".join(shared(files).values()))
    assert len(changed) > 100 and not changed & native
    assert not {name for name in owned & native if name[0] != "_"} - MICROPYTHON


def test_parameters_are_called_what_those_of_other_functions_are():
    text = (
        "_a = 5\ndef f(_x, _y=_a):\n    return lambda _z: f'{_x}{_y}' + str(_z + len([_x]))\n"
        "class A:\n    def g(self, _q):\n        return _q + _a\n    h = lambda self, _r: _r\n"
    )
    new = shared({"a.py": text}, ["g"])["a.py"]
    found: dict = {}
    exec(new, found)
    assert found["f"](1)(2) == "153" and found["A"].g(None, 2) == 7
    assert not set(re.findall(r"_[a-z]\b", new)) - {"_a", "_b", "_c", "_d"}
