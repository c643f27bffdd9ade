"""Modules that stay in a board's memory put into one before the firmware is compiled: there each
module, and each name that one takes from another, costs memory for good.

    python -m tools.linking LINE    where line LINE of "firmware.app" in a traceback is written

What `firmware/app.py` imports at its top, and what that imports, follows each other in one file
that takes app.py's place, each with its own lines. What is loaded now and then remains a module of
its own and takes from that one what it names. Constants that only the one file names are put in
place by the compiler. What is not a class gets a name that is there anyhow, as an attribute's or a
parameter's: each different name costs. What a class or an instance calls its own is not touched.

What cannot be told apart in one file is refused, by file and line.
"""

import ast
import builtins
import itertools
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator

from tools.edits import EditError, edited, lines_of, span, text_with
from tools.link_check import LinkError, check, check_outside_names, given
from tools.scopes import (
    BUILTINS,
    COMPREHENSIONS,
    Use,
    bound,
    constants,
    imported_in,
    statements,
    uses,
)
from tools.short_names import names_in_order

ONE = "firmware/app.py"
# What hardware/board.py takes: it is gone again after the start, these have to stay.
_BESIDE = tuple(
    f"firmware/hardware/{name}.py"
    for name in ("contactor", "light", "meter", "vehicle", "watchdog")
)
_BESIDE_OF = "firmware/hardware/board.py"
# What programs that are not in the firmware ask "firmware.app" for: the tools' on a board.
EXPORTED = {
    "App": ONE,
    "ChargePoint": "firmware/charge_point.py",
    "Files": "firmware/files.py",
    "Journal": "firmware/journal/journal.py",
    "Store": "firmware/allowlist/store.py",
    "Sync": "firmware/allowlist/sync.py",
    "verify": "firmware/link/messages.py",
}
_OFTEN = 6
# What knows of names as texts, or of the file it is in.
_LOOKS_UP = {"__file__", "__import__", "__name__", "eval", "exec", "globals", "locals", "vars"}


def lasting(texts: dict[str, str]) -> list[str]:
    """What goes into the one file; nothing where there is none."""
    return _order(texts) if ONE in texts else []


def linked(texts: dict[str, str]) -> dict[str, str]:
    """The same program in fewer files; `texts`: sources by file name."""
    if ONE not in texts:
        return texts
    check(texts)
    order = _order(texts)
    parts = {name: _Module(name, text, texts, order) for name, text in texts.items()}
    names = _Names(parts, order)
    one = "".join(parts[name].rewritten(names) for name in order)
    found = {name: parts[name].rewritten(names) for name in texts if name not in order}
    found[ONE] = _kept_builtins([parts[name] for name in order]) + one
    check(found)
    return found


def check_exported(texts: dict[str, str], beside: Iterable[str]) -> None:
    """That the one file has what these programs take from it; `texts`: what `linked` gave."""
    if ONE not in texts:
        return
    there = given(ast.parse(texts[ONE]))
    for program in beside:
        for said in re.findall(rf"\bfrom {_dotted(ONE)} import (.+)", program):
            for name in re.findall(r"\w+", said.split("#")[0]):
                if name not in there:
                    raise LinkError(f"{ONE}:1: a program asks for {name}, which has no name there")


def place(line: int, texts: dict[str, str]) -> tuple[str, int]:
    """Where the line of the one file comes from: file and line. `texts`: what `linked` took, or
    other sources of as many lines."""
    rest = line - 1  # of the builtins
    for name in _order(texts):
        count = len(lines_of(texts[name]))
        if 1 <= rest <= count:
            return name, rest
        rest -= count
    raise LinkError(f"{ONE}: no line {line} comes from a source")


def _order(texts: dict[str, str]) -> list[str]:
    """What goes into the one file, each after what it imports."""
    order: list[str] = []
    begun: list[str] = []

    def add(name: str, asked_by: str) -> None:
        if name in order:
            return
        if name in begun:
            raise LinkError(f"{asked_by}: imports {name}, which imports it")
        begun.append(name)
        for node in ast.parse(texts[name]).body:
            for found in _imported(node, name, texts).values():
                add(found[0], f"{name}:{node.lineno}")
        order.append(name)

    for name in _BESIDE:
        if name in texts:
            add(name, _BESIDE_OF)
        elif _BESIDE_OF in texts:
            raise LinkError(f"{_BESIDE_OF}:1: {name} is to be in the one file and is not there")
    add(ONE, ONE)
    return order


def _imported(node: ast.AST, importer: str, texts) -> dict[str, tuple[str, str | None]]:
    """What an import binds: name: (file, name there; None for the module itself). Only of files
    that are there, and no package's own."""
    if not isinstance(node, ast.ImportFrom):
        return {}
    found = {}
    path = _path(node, importer)
    for alias in node.names:
        if f"{path}/{alias.name}.py" in texts:
            found[alias.asname or alias.name] = (f"{path}/{alias.name}.py", None)
        elif f"{path}.py" in texts:
            found[alias.asname or alias.name] = (f"{path}.py", alias.name)
    return found


def _path(node: ast.ImportFrom, importer: str) -> str:
    folder = importer.split("/")[: -node.level] if node.level else []
    return "/".join([*folder, *filter(None, (node.module or "").split("."))])


class _Module:
    """One file, and where in it a name stands for something of its top level.

    `foreign`: what it takes from other files of the firmware. `outside`: names at its top that are
    not changed, and what each stands for: what it takes from MicroPython, and what is bound within
    a statement."""

    def __init__(self, name: str, text: str, texts: dict[str, str], order: list[str]):
        self.name = name
        self.text = text
        self.tree = ast.parse(text)
        self.inside = name in order
        self.identifiers = set(re.findall(r"[A-Za-z_]\w*", text))
        self.imports: list[tuple[ast.ImportFrom, dict]] = []
        self.foreign: dict[str, tuple[str, str | None]] = {}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                self._refuse_modules(node, order)
            if not isinstance(node, ast.ImportFrom):
                continue
            if any(alias.name == "*" for alias in node.names):
                raise self.refused(node, "an import of everything")
            taken = _imported(node, name, texts)
            if not any(found[0] in order for found in taken.values()):
                continue
            if len(taken) != len(node.names) or any(v[0] not in order for v in taken.values()):
                raise self.refused(node, "one import of both kinds")
            for called, found in taken.items():
                if self.foreign.setdefault(called, found) != found:
                    raise self.refused(node, f"{called} stands for two things in this file")
            self.imports.append((node, taken))
        self.linked = {node for node, _ in self.imports}
        at_top = set(statements(self.tree.body))
        self.lazy = self.linked - at_top
        self.defined = bound(self.tree.body, self.linked)
        self.outside: dict[str, tuple] = {}
        for node in at_top - self.linked:
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                path = _path(node, name) if isinstance(node, ast.ImportFrom) else None
                for alias in node.names:
                    called = alias.asname or alias.name.split(".")[0]
                    origin = (path, alias.name, alias.asname if path is None else None)
                    if node not in self.tree.body:
                        origin = (name, called)
                    self._binds(node, called, origin)
            elif isinstance(node, ast.ExceptHandler) and node.name:
                self._binds(node, node.name, (name, node.name))
        self.defined -= set(self.outside)
        self.classes = {one.name for one in self.tree.body if isinstance(one, ast.ClassDef)}
        self.uses = list(uses(self.tree, self.linked))
        self.constants = dict(constants(self.tree, self.defined))
        self._refuse_unclear(order)

    def refused(self, node, why: str) -> LinkError:
        return LinkError(f"{self.name}:{getattr(node, 'lineno', 1)}: {why}")

    def _binds(self, node, called: str, origin: tuple) -> None:
        if self.outside.setdefault(called, origin) != origin:
            # Of `try: import x` and `except: x = None` there is one name, which stays.
            self.outside[called] = (self.name, called)
        if self.inside and called in BUILTINS:
            raise self.refused(node, f"{called} is a name of MicroPython's own")

    def _refuse_modules(self, node: ast.Import, order: list[str]) -> None:
        for alias in node.names:
            if alias.name.replace(".", "/") + ".py" in order and alias.name != _dotted(ONE):
                raise self.refused(node, f"say it as `from ... import`: {alias.name}")

    def _refuse_unclear(self, order: list[str]) -> None:
        """What has a meaning in a file of its own that it would not have in the one file."""
        for called in set(self.foreign) & (self.defined | set(self.outside)):
            raise self.refused(
                self._binding(called), f"{called} is imported, and given another value"
            )
        if self.lazy:
            for node, taken in self.imports:
                for called in taken if node in self.lazy and self.inside else ():
                    if called in BUILTINS:
                        raise self.refused(node, f"{called} is a name of MicroPython's own")
        harmless = {
            one
            for node in ast.walk(self.tree)
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "sys.modules.pop"
            for one in (node.args if len(node.args) > 1 else ())
        }
        gone = {_dotted(file) for file in order if file != ONE}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Constant) and node.value in gone and node not in harmless:
                raise self.refused(node, f"{node.value} is no module of its own in the ROM")
            if isinstance(node, ast.Match):
                raise self.refused(node, "MicroPython has no match")
            if isinstance(node, ast.Global) and set(node.names) & set(self.foreign):
                raise self.refused(node, "global of what is imported")
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                here = imported_in(node.body, self.linked)
                both = here & bound(node.body, self.linked)
                both |= here & {one.arg for one in ast.walk(node.args) if isinstance(one, ast.arg)}
                if both:
                    raise self.refused(node, f"{min(both)} is imported, and given another value")
            if isinstance(node, ast.ClassDef):
                self._refuse_class(node)
        if self.inside:
            for use in self.uses:
                known = use.name in use.hidden or use.name in self.defined
                if isinstance(use.node, ast.Name) and use.name in _LOOKS_UP and not known:
                    raise self.refused(use.node, f"{use.name} is not the same in one file")

    def _refuse_class(self, node: ast.ClassDef) -> None:
        """A class that reads a name of the file's, and has one of its own that is called so."""
        own = bound(node.body)
        if imported_in(node.body, self.linked):
            raise self.refused(node, "an import in a class")
        for one in statements(node.body):
            parts = list(ast.walk(one)) if isinstance(one, (ast.Lambda, *COMPREHENSIONS)) else [one]
            if isinstance(one, (ast.FunctionDef, ast.AsyncFunctionDef)):
                asked = (*one.decorator_list, *one.args.defaults, *one.args.kw_defaults)
                parts = [each for part in asked if part for each in ast.walk(part)]
            for each in parts:
                if not isinstance(each, ast.Name) or not isinstance(each.ctx, ast.Load):
                    continue
                if each.id in own & (self.defined | set(self.foreign)):
                    raise self.refused(each, f"{each.id} is a name of the class and of the file")

    def _binding(self, called: str) -> ast.AST:
        """The statement that gives it a value at the top."""
        found = (one for one in self.tree.body if called in bound([one], self.linked))
        return next(found, self.tree)

    def rewritten(self, names: "_Names") -> str:
        edits: list[tuple[tuple[int, int], tuple[int, int], str]] = []
        mine: dict[str, str] = {}  # in the one file: what a name of this one's is called
        if self.inside:
            mine = {name: names.of[self.name, name] for name in self.defined}
            for node, taken in self.imports:
                for name, (file, what) in taken.items():
                    if what is not None:
                        mine[name] = names.called(file, what, self, node)
        modules = {k: v[0] for k, v in self.foreign.items() if v[1] is None}
        looked_at: dict[str, dict[str, str]] = {name: {} for name in modules}
        in_texts: dict[ast.JoinedStr, dict[ast.AST, str]] = {}
        for use in self.uses:
            new = self._new_name(use, names, mine, modules, looked_at)
            if new is None:
                continue
            if new in use.hidden:
                raise self.refused(use.node, f"{use.name} would be taken for {new}")
            if use.in_text is not None:
                in_texts.setdefault(use.in_text, {})[use.node] = new
            else:
                begin, end = use.span()
                edits.append((begin, end, new))
        for node, new_names in in_texts.items():
            try:
                edits.append((*span(node), text_with(node, new_names)))
            except EditError as error:
                raise LinkError(f"{self.name}:{error}") from None
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Global):
                said = ", ".join(mine.get(name, name) for name in node.names)
                edits.append((*span(node), f"global {said}"))
        edits += self._new_imports(names, looked_at)
        if self.inside:
            for node, value in self.constants.items():
                if (self.name, node) in names.constant and value is not None:
                    edits.append((*span(value), f"const({ast.unparse(value)})"))
        text = edited(self.text, edits)
        gone = Counter(name for _, name in self.looked_at())
        check_outside_names(self.name, self.tree, ast.parse(text), gone)
        return text

    def looked_at(self) -> Iterator[tuple[str, str]]:
        """What it takes by a module's name: file and name."""
        for use in self.uses:
            if isinstance(use.node, ast.Attribute):
                alias = use.node.value.id  # pyright: ignore[reportAttributeAccessIssue]
                found = self.foreign.get(alias)
                if found and found[1] is None and alias not in use.hidden:
                    yield found[0], use.name

    def _new_name(self, use: Use, names, mine, modules, looked_at) -> str | None:
        """What stands there in the result; None: what stood there."""
        if isinstance(use.node, ast.Attribute):
            alias = use.node.value.id  # pyright: ignore[reportAttributeAccessIssue]
            if alias not in modules or alias in use.hidden:
                return None
            if not isinstance(use.node.ctx, ast.Load):
                raise self.refused(use.node, f"{alias}.{use.name} is given a value from outside")
            new = names.called(modules[alias], use.name, self, use.node)
            if self.inside:
                return new
            looked_at[alias][use.name] = new
            here = f"{alias}__{use.name}"
            if here in self.identifiers:
                raise self.refused(use.node, f"{here} is a name in this file")
            return here
        if use.name in use.hidden or (use.in_attribute and use.name in modules):
            return None
        if use.name in modules:
            raise self.refused(use.node, f"{use.name} is more than looked into")
        new = mine.get(use.name)
        return None if new == use.name else new

    def _new_imports(self, names: "_Names", looked_at) -> Iterator[tuple]:
        """In the one file none; in others those at the top in one, those in functions each."""

        def said(taken: dict) -> str:
            found = []
            for name, (file, what) in taken.items():
                if what is not None:
                    found.append((name, names.called(file, what, self, self.tree)))
                else:
                    found += [(f"{name}__{k}", new) for k, new in looked_at[name].items()]
            if not found:
                return "pass"
            each = (f"{new} as {name}" if new != name else name for name, new in sorted(found))
            return f"from {_dotted(ONE)} import {', '.join(each)}"

        first = True
        at_top = {
            k: v for node, taken in self.imports for k, v in taken.items() if node in self.tree.body
        }
        for node, taken in self.imports:
            if self.inside:
                yield *span(node), "pass"
            elif node not in self.tree.body:
                yield *span(node), said(taken)
            else:
                yield *span(node), said(at_top) if first else "pass"
                first = False


class _Names:
    """What each name of each file is called in the one file."""

    def __init__(self, parts: dict[str, _Module], order: list[str]):
        self._parts = parts
        self.of: dict[tuple[str, str], str] = {}
        self.constant: set[tuple[str, str]] = set()
        outside = {
            found
            for name, part in parts.items()
            if name not in order
            for found in part.foreign.values()
        }
        # A constant has to be there for whoever looks it up.
        looked_up = outside.union(*(part.looked_at() for part in parts.values() if not part.inside))
        asked = {(file, name) for name, file in EXPORTED.items()}
        exported = outside | asked | set(parts[ONE].foreign.values())
        inside = [parts[name] for name in order]
        every = set().union(*(part.identifiers for part in parts.values()))
        taken = {*BUILTINS, *dir(builtins), *_outside(inside)}
        free = sorted(_said_anyhow(inside), key=lambda name: (name[0] != "_", len(name), name))
        for part in inside:
            for name in sorted(part.defined):
                if name in part.constants and (part.name, name) not in looked_up | asked:
                    self.constant.add((part.name, name))
        # What others name comes first, and the one file's own class after its own name.
        for lasting in (True, False):
            for part in inside:
                for name in sorted(part.defined):
                    kept = (part.name, name) in exported or part.name == ONE
                    kept = kept or (name in part.constants and (part.name, name) in looked_up)
                    kept = kept or (name in part.classes and name[0] != "_")
                    if (part.name, name) in self.constant or kept != lasting:
                        continue
                    new = name
                    if not kept or name in taken:
                        near = taken | part.identifiers
                        if name[0] != "_":
                            users = (one.identifiers for one in inside)
                            near = near.union(*(each for each in users if name in each))
                        choice = itertools.chain(free, names_in_order())
                        if name in part.constants:  # a private one is gone once it is in place
                            choice = (f"{name.strip('_')}_{n}" for n in itertools.count(2))
                        new = next(n for n in choice if n not in near)
                    taken.add(new)
                    self.of[part.name, name] = new
        number = 0
        for part, name in sorted(self.constant):
            new = f"_{name.strip('_')}"
            while new in every or new in taken:
                number += 1
                new = f"_{name.strip('_')}_{number}"
            taken.add(new)
            self.of[part, name] = new

    def called(self, file: str, name: str, by: _Module, node) -> str:
        """In the one file. A file may hand on what it has imported."""
        part = self._parts[file]
        found = part.foreign.get(name)
        if found is not None and found[1] is not None:
            return self.called(*found, by, node)  # pyright: ignore[reportArgumentType]
        if (file, name) not in self.of:
            raise by.refused(node, f"{name} is nothing that {file} defines")
        return self.of[file, name]


def _outside(parts: list[_Module]) -> set[str]:
    """What the one file takes from MicroPython, by the names of all its modules."""
    found: dict[str, tuple] = {}
    for part in parts:
        for name, origin in part.outside.items():
            if found.setdefault(name, origin) != origin:
                raise part.refused(
                    part._binding(name), f"{name} stands for something else in another file"
                )
    return set(found)


def _said_anyhow(parts: list[_Module]) -> set[str]:
    """Names of attributes and of parameters: to call something else so, too, costs nothing."""
    found = set()
    for part in parts:
        for node in ast.walk(part.tree):
            if isinstance(node, ast.Attribute):
                found.add(node.attr)
            elif isinstance(node, ast.arg):
                found.add(node.arg)
    return found


def _dotted(name: str) -> str:
    return name.removesuffix(".py").replace("/", ".")


def _kept_builtins(parts: list[_Module]) -> str:
    """What is often used, among the file's own names: what is none of them is searched for among
    all of them first, and there are hundreds."""
    often = Counter(
        use.name
        for part in parts
        for use in part.uses
        if isinstance(use.node, ast.Name) and use.name not in {*part.defined, *use.hidden}
    )
    kept = sorted(name for name in set(often) & BUILTINS if often[name] >= _OFTEN)
    return "; ".join(f"{name} = {name}" for name in kept) + "\n"


if __name__ == "__main__":
    from tools import mpy

    try:
        for argument in sys.argv[1:]:
            print("{}:{}".format(*place(int(argument), mpy.folded(mpy.sources()))))
    except (LinkError, ValueError) as error:
        sys.exit(f"tools.linking: {error}")
