"""Modules that stay in a board's memory put into one before the firmware is compiled: there each
module, and each name that one takes from another, costs memory for good.

    python -m tools.linking LINE    where line LINE of "firmware.app" in a traceback is written

What `firmware/app.py` imports at its top, and what that imports, follows each other in one file
that takes app.py's place, each with its own lines. What is loaded now and then remains a module of
its own and takes from that one what it names. Constants that only the one file names are put in
place by the compiler. What is not a class gets a name that is there anyhow, as an attribute's or a
parameter's: each different name costs. What a class or an instance calls its own is not touched.
"""

import ast
import builtins
import itertools
import re
import sys
from collections import Counter
from collections.abc import Iterator

from tools.short_names import names_in_order

ONE = "firmware/app.py"
# Not imported at a top, as which of them a board needs is in its configuration, but always there.
_BESIDE = tuple(
    f"firmware/hardware/{name}.py"
    for name in ("contactor", "light", "meter", "vehicle", "watchdog")
)
_OFTEN = 6


class LinkError(Exception):
    """What a module does cannot be done in one file with others."""


def linked(texts: dict[str, str]) -> dict[str, str]:
    """The same program in fewer files; `texts`: sources by file name."""
    if ONE not in texts:
        return texts
    order = _order(texts)
    parts = {name: _Module(name, text, texts) for name, text in texts.items()}
    names = _Names(parts, order)
    one = "".join(parts[name].rewritten(names, order) for name in order)
    found = {name: parts[name].rewritten(names, order) for name in texts if name not in order}
    return {**found, ONE: _kept_builtins([parts[name] for name in order]) + one}


def place(line: int, texts: dict[str, str]) -> tuple[str, int]:
    """Where the line of the one file comes from: file and line."""
    line -= 1  # of the builtins
    for name in _order(texts):
        count = len(_lines(texts[name]))
        if line <= count:
            return name, line
        line -= count
    raise LinkError(f"the firmware has no line {line}")


def _order(texts: dict[str, str]) -> list[str]:
    """What goes into the one file, each after what it imports."""
    order: list[str] = []

    def add(name: str) -> None:
        if name in order:
            return
        for node in ast.parse(texts[name]).body:
            for found in _imported(node, name, texts).values():
                add(found[0])
        order.append(name)

    for name in (*(name for name in _BESIDE if name in texts), ONE):
        add(name)
    return order


def _imported(node: ast.AST, importer: str, texts) -> dict[str, tuple[str, str | None]]:
    """What an import binds: name: (file, name there; None for the module itself). Only of files
    that are there, and no package's own."""
    if not isinstance(node, ast.ImportFrom):
        return {}
    folder = importer.split("/")[: -node.level] if node.level else []
    path = "/".join([*folder, *(node.module or "").split(".")])
    found = {}
    for alias in node.names:
        if f"{path}/{alias.name}.py" in texts:
            found[alias.asname or alias.name] = (f"{path}/{alias.name}.py", None)
        elif f"{path}.py" in texts:
            found[alias.asname or alias.name] = (f"{path}.py", alias.name)
    return found


class _Module:
    """One file, and where in it a name stands for something of its top level."""

    def __init__(self, name: str, text: str, texts: dict[str, str]):
        self.name = name
        self.text = text
        self.tree = ast.parse(text)
        self.identifiers = set(re.findall(r"[A-Za-z_]\w*", text))
        self.imports: list[tuple[ast.ImportFrom, dict]] = []
        for node in ast.walk(self.tree):
            if bound := _imported(node, name, texts):
                assert isinstance(node, ast.ImportFrom)
                if len(bound) != len(node.names):
                    raise LinkError(f"{name}:{node.lineno}: one import of both kinds")
                self.imports.append((node, bound))
        self.foreign = {k: v for _, bound in self.imports for k, v in bound.items()}
        self.defined: set[str] = set()  # at the top
        self.outside: set[str] = set()  # what it takes from MicroPython
        for node in self.tree.body:
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                taken = {alias.asname or alias.name for alias in node.names}
                self.outside |= taken - set(self.foreign)
            else:
                self.defined |= _bound([node])
        self.defined -= self.outside
        self.classes = {one.name for one in self.tree.body if isinstance(one, ast.ClassDef)}
        self.uses = list(_uses(self.tree))
        self.constants = dict(_constants(text, self.tree, self.defined))

    def rewritten(self, names: "_Names", order: list[str]) -> str:
        edits: list[tuple[tuple[int, int], tuple[int, int], str]] = []
        inside = self.name in order
        mine: dict[str, str] = {}
        if inside:
            mine = {name: names.of[self.name, name] for name in self.defined}
        taken: dict[str, str] = {}  # from the one file, by this
        for node, bound in self.imports:
            here = {k: v for k, v in bound.items() if v[0] in order}
            if not here:
                continue
            if len(here) != len(bound):
                raise LinkError(f"{self.name}:{node.lineno}: one import of both kinds")
            for name, (file, what) in here.items():
                if what is not None:
                    new = names.of[names.source(file, what)]
                    if inside:
                        mine[name] = new
                    else:
                        taken[name] = new
            if inside:
                edits.append((*span(node), "pass"))
        modules = {k: v[0] for k, v in self.foreign.items() if v[1] is None and v[0] in order}
        in_texts: dict[tuple, tuple[ast.JoinedStr, dict[str, str]]] = {}
        for use in self.uses:
            if isinstance(use.node, ast.Attribute):
                alias = use.node.value.id  # pyright: ignore[reportAttributeAccessIssue]
                if alias in modules and alias not in use.hidden:
                    file, attribute = modules[alias], use.node.attr
                    new = names.of[names.source(file, attribute)]
                    if not inside:
                        taken[f"{alias}__{attribute}"], new = new, f"{alias}__{attribute}"
                    if use.in_text is None:
                        edits.append((*span(use.node), new))
                    else:
                        at = span(use.in_text)
                        known = in_texts.setdefault(at, (use.in_text, {}))[1]
                        known[f"{alias}.{attribute}"] = new
            elif use.name in modules and not use.in_attribute and use.name not in use.hidden:
                raise LinkError(f"{self.name}:{use.line}: {use.name} is more than looked into")
            elif use.name in mine and use.name not in use.hidden and mine[use.name] != use.name:
                if use.in_text is None:
                    begin, end = use.span()
                    edits.append((begin, end, mine[use.name]))
                else:
                    at = span(use.in_text)
                    in_texts.setdefault(at, (use.in_text, {}))[1][use.name] = mine[use.name]
        for at, (node, new_names) in in_texts.items():
            source = ast.get_source_segment(self.text, node)
            assert source is not None
            edits.append((*at, _in_braces(source, new_names)))
        if not inside:
            said = ", ".join(
                f"{new} as {name}" if new != name else name for name, new in sorted(taken.items())
            )
            first = True
            for node, bound in self.imports:
                if any(v[0] in order for v in bound.values()):
                    line = f"from {_dotted(ONE)} import {said}" if first and said else "pass"
                    edits.append((*span(node), line))
                    first = False
        else:
            for node, value in self.constants.items():
                if (self.name, node) in names.constant and value is not None:
                    edits.append((*span(value), f"const({ast.unparse(value)})"))
        return edited(self.text, edits)


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
        # What programs beside the firmware may ask app.py for.
        exported = outside | set(parts[ONE].foreign.values())
        inside = [parts[name] for name in order]
        every = set().union(*(part.identifiers for part in parts.values()))
        taken = set(dir(builtins)).union(*(part.outside for part in inside))
        free = sorted(_said_anyhow(inside), key=lambda name: (name[0] != "_", len(name), name))
        for part in inside:
            for name in sorted(part.defined):
                if name in part.constants and (part.name, name) not in outside:
                    self.constant.add((part.name, name))
        # What others name comes first, and the one file's own class after its own name.
        for lasting in (True, False):
            for part in inside:
                for name in sorted(part.defined):
                    kept = (part.name, name) in exported or part.name == ONE
                    kept = kept or (name in part.classes and name[0] != "_")
                    if (part.name, name) in self.constant or kept != lasting:
                        continue
                    new = name
                    if not kept or name in taken:
                        near = taken | part.identifiers
                        if name[0] != "_":
                            users = (one.identifiers for one in inside)
                            near = near.union(*(each for each in users if name in each))
                        new = next(
                            n for n in itertools.chain(free, names_in_order()) if n not in near
                        )
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

    def source(self, file: str, name: str) -> tuple[str, str]:
        """Where it is defined, as a file may hand on what it has imported."""
        found = self._parts[file].foreign.get(name)
        return (file, name) if found is None or found[1] is None else self.source(*found)


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


class _Use:
    """A name, or an attribute of one, in an expression; `hidden`: what stands for something else
    there."""

    def __init__(self, node, name: str, hidden: frozenset[str], in_text=None, in_attribute=False):
        self.node, self.name, self.hidden = node, name, hidden
        self.in_text, self.in_attribute = in_text, in_attribute
        self.line = node.lineno

    def span(self):
        if isinstance(self.node, ast.Name):
            return span(self.node)
        # def, async def, class: the name follows the word
        line, column = self.node.lineno, self.node.col_offset
        words = {ast.FunctionDef: 4, ast.AsyncFunctionDef: 10, ast.ClassDef: 6}
        begin = column + words[type(self.node)]
        return (line, begin), (line, begin + len(self.name.encode()))


_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


def _uses(tree: ast.Module) -> Iterator[_Use]:
    def walk(node, hidden: frozenset[str], body_of_class: frozenset[str], text):
        seen = hidden | body_of_class
        if isinstance(node, ast.JoinedStr):
            text = text or node
        if isinstance(node, ast.Name):
            yield _Use(node, node.id, seen, text)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            yield _Use(node, node.attr, seen, text)
            yield _Use(node.value, node.value.id, seen, text, True)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            if not isinstance(node, ast.Lambda):
                yield _Use(node, node.name, seen)
            arguments = node.args
            for default in (*arguments.defaults, *arguments.kw_defaults):
                if default is not None:
                    yield from walk(default, hidden, body_of_class, text)
            body = node.body if isinstance(node.body, list) else [node.body]
            own = _bound(body) | {
                one.arg for one in ast.walk(arguments) if isinstance(one, ast.arg)
            }
            for one in (*getattr(node, "decorator_list", ()),):
                yield from walk(one, hidden, body_of_class, text)
            for one in body:
                yield from walk(one, hidden | own, frozenset(), text)
        elif isinstance(node, ast.ClassDef):
            yield _Use(node, node.name, seen)
            for one in (*node.bases, *node.decorator_list):
                yield from walk(one, hidden, body_of_class, text)
            for one in node.body:
                yield from walk(one, hidden, frozenset(_bound(node.body)), text)
        elif isinstance(node, _COMPREHENSIONS):
            own = frozenset(_bound([one.target for one in node.generators]))
            for one in ast.iter_child_nodes(node):
                yield from walk(one, hidden | own, body_of_class, text)
        elif isinstance(node, ast.AnnAssign):
            for one in (node.target, node.value):
                if one is not None:
                    yield from walk(one, hidden, body_of_class, text)
        else:
            for one in ast.iter_child_nodes(node):
                yield from walk(one, hidden, body_of_class, text)

    for node in tree.body:
        yield from walk(node, frozenset(), frozenset(), None)


def _bound(body) -> set[str]:
    """What these statements give a name of their own to, but not what is within their functions and
    classes."""
    found: set[str] = set()
    others: set[str] = set()

    def walk(node):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            found.add(node.name)
            return
        if isinstance(node, (ast.Lambda, *_COMPREHENSIONS)):
            return
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            found.add(node.id)
        elif isinstance(node, ast.ExceptHandler) and node.name:
            found.add(node.name)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            found.update((alias.asname or alias.name).split(".")[0] for alias in node.names)
        elif isinstance(node, ast.Global):
            others.update(node.names)
        for one in ast.iter_child_nodes(node):
            walk(one)

    for node in body:
        walk(node)
    return found - others


def _constants(
    text: str, tree: ast.Module, defined: set[str]
) -> Iterator[tuple[str, ast.expr | None]]:
    """What the compiler can put in place: (name, its value as far as it is not said to be one)."""
    given: dict[str, list[ast.expr]] = {}
    for line in re.findall(r"^ +global (.+)$", text, re.MULTILINE):
        for name in re.findall(r"\w+", line):
            given[name] = [ast.Constant(0), ast.Constant(0)]
    for node in tree.body:
        for name in _bound([node]):
            value = getattr(node, "value", None)
            plain = isinstance(node, ast.Assign) and len(node.targets) == 1
            plain = plain and isinstance(node.targets[0], ast.Name)  # pyright: ignore
            given.setdefault(name, []).append(value if plain and value else ast.Name("_"))
    for name, values in given.items():
        if name not in defined or len(values) != 1:
            continue
        (value,) = values
        if isinstance(value, ast.Call) and getattr(value.func, "id", "") == "const":
            yield name, None
        elif isinstance(value, ast.Constant) and type(value.value) in (int, str, bytes):
            yield name, value


def _in_braces(text: str, new_names: dict[str, str]) -> str:
    """An f-string with other names in its braces: up to Python 3.11 the parser does not say where
    in it they stand."""

    def renamed(name: re.Match) -> str:
        first = name[0].split(".")[0]
        return new_names.get(name[0]) or new_names.get(first, first) + name[0][len(first) :]

    return re.sub(
        r"\{[^{}!:]*",
        lambda part: re.sub(r"(?<![\w.])[A-Za-z_]\w*(\.\w+)?", renamed, part[0]),
        text,
    )


def span(node) -> tuple[tuple[int, int], tuple[int, int]]:
    """Begin and end of what the parser found: line, and column in bytes."""
    return (node.lineno, node.col_offset), (node.end_lineno, node.end_col_offset)


def edited(text: str, edits) -> str:
    """`text` with other words at these places; no line more and none less."""
    lines = [line.encode() for line in _lines(text)]
    for begin, end, new in sorted(edits, reverse=True):
        row, column = begin
        before = lines[row - 1][:column]
        after = lines[end[0] - 1][end[1] :]
        fresh = (before + new.encode() + after).split(b"\n")
        rows = end[0] + 1 - row
        fresh = [*fresh[:-1], *[b""] * (rows + 1 - len(fresh)), b""]
        lines[row - 1 : end[0]] = [line + b"\n" for line in fresh[:rows]]
    return b"".join(lines).decode()


def _lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)


def _dotted(name: str) -> str:
    return name.removesuffix(".py").replace("/", ".")


def _kept_builtins(parts: list[_Module]) -> str:
    """What is often used, among the file's own names: what is none of them is searched for among
    all of them first, and there are hundreds."""
    often = Counter(
        use.name
        for part in parts
        for use in part.uses
        if isinstance(use.node, ast.Name) and use.name not in part.defined
    )
    kept = sorted(name for name in set(often) & set(dir(builtins)) if often[name] >= _OFTEN)
    return "; ".join(f"{name} = {name}" for name in kept) + "\n"


if __name__ == "__main__":
    from tools import mpy

    for argument in sys.argv[1:]:
        print("{}:{}".format(*place(int(argument), mpy.sources())))
