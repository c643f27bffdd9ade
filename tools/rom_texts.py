"""Constants that a board holds in memory although their content is in the ROM: 40 bytes each, be it
only the text of an error that never comes.

The texts of errors, those that values are put into, and what a function alone says become pieces of
one long text, which are copied when they are needed. What a file says more than once becomes one
constant. What a class knows of where it was written, which nobody asks it, is deleted. Lines stay
lines.
"""

import ast
import re
from collections import Counter
from collections.abc import Iterator

from tools.edits import edited, span
from tools.link_check import LinkError

_INTERNED = 10  # characters: as names such texts are kept anyhow, once for all files
_SHORT = 2  # characters, by which no name is saved: others have it, too
_TEXT = "_TEXT"


def condensed(source: str, file: str = "?") -> str:
    """The same program; `source` begins with a plain statement or with what it is for. LinkError
    where it has names already that are given here."""
    if found := re.search(rf"\b({_TEXT}|_K\d+)\b", source):
        line = source[: found.start()].count("\n") + 1
        raise LinkError(f"{file}:{line}: {found[0]} is what a text in the ROM is called")
    texts = _Texts()
    tree = ast.parse(source)
    edits = [(*span(node), new) for node, new in (*_long(tree, texts), *_origins(tree))]
    source = edited(source, edits)
    names: dict[str, str] = {}
    edits = [(*span(node), new) for node, new in _repeated(ast.parse(source), names)]
    constants = [f"{name} = const({value})" for value, name in names.items()]
    if texts.all:
        constants.append(f"{_TEXT} = const({texts.all.encode()!r})")
    return "".join(f"{constant}; " for constant in constants) + edited(source, edits)


class _Texts:
    def __init__(self):
        self.all = ""

    def piece(self, text: str) -> str:
        """An expression that gives `text`."""
        at = self.all.find(text)
        if at < 0:
            at = len(self.all)
            self.all += text
        at = len(self.all[:at].encode())
        return f"{_TEXT}[{at}:{at + len(text.encode())}].decode()"


def _long(tree: ast.Module, texts: _Texts) -> Iterator[tuple[ast.expr, str]]:
    """What is better copied when it is needed, and what stands there instead."""
    often = Counter(ast.unparse(node) for node in _constants(tree))

    def walk(node, raised: bool, inside: bool):
        if isinstance(node, ast.JoinedStr):
            template = _template(node)
            if template is not None and inside:
                text, values = template
                if raised or len(text) > _SHORT:
                    yield node, f"{texts.piece(text)}.format({', '.join(values)})"
            return
        if isinstance(node, ast.Constant):
            if inside and isinstance(node.value, str):
                once = _is_long(node.value) and often[ast.unparse(node)] < 2
                if once or (raised and len(node.value) > 1):
                    yield node, texts.piece(node.value)
            return
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            return  # a docstring
        if isinstance(node, ast.Tuple) and _is_constant(node):
            return
        raised = raised or isinstance(node, ast.Raise)
        inside = inside or isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        for one in ast.iter_child_nodes(node):
            yield from walk(one, raised, inside)

    yield from walk(tree, False, False)


def _is_long(text: str) -> bool:
    """Whether it is kept neither as a name nor as a text that somebody else is likely to have."""
    return len(text) > _INTERNED or (len(text) > _SHORT and not text.isidentifier())


def _origins(tree: ast.Module) -> Iterator[tuple[ast.stmt, str]]:
    """First in a class, in place of what says what it is for: its other names take their places."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and ast.get_docstring(node) is not None:
            yield node.body[0], "del __module__, __qualname__"


def _template(node: ast.JoinedStr) -> tuple[str, list[str]] | None:
    """An f-string as what `format` takes; None for one that names a width by a value."""
    text, values = "", []
    for part in node.values:
        if isinstance(part, ast.Constant):
            text += str(part.value).replace("{", "{{").replace("}", "}}")
            continue
        assert isinstance(part, ast.FormattedValue)
        form = ""
        if part.format_spec is not None:
            assert isinstance(part.format_spec, ast.JoinedStr)
            form = ":"
            for one in part.format_spec.values:
                if not isinstance(one, ast.Constant):
                    return None
                form += str(one.value)
        how = "" if part.conversion < 0 else "!" + chr(part.conversion)
        text += "{" + how + form + "}"
        values.append(ast.unparse(part.value))
    return text, values


def _repeated(tree: ast.Module, names: dict[str, str]) -> Iterator[tuple[ast.expr, str]]:
    """Constants that stand there more than once, and the name of each."""
    found = list(_constants(tree))
    often = Counter(ast.unparse(node) for node in found)
    for node in found:
        value = ast.unparse(node)
        if often[value] > 1:
            yield node, names.setdefault(value, f"_K{len(names)}")


def _constants(node) -> Iterator[ast.expr]:
    """Those that take memory, each as a whole."""
    if isinstance(node, ast.JoinedStr):
        return
    if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "const":
        return
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return
    if isinstance(node, ast.Tuple) and isinstance(node.ctx, ast.Load) and _is_constant(node):
        if node.elts:
            yield node
        return
    if isinstance(node, ast.Constant):
        least = {bytes: 1, str: _INTERNED + 1}.get(type(node.value))
        if least and len(node.value) >= least:  # pyright: ignore[reportArgumentType]
            yield node
        return
    for one in ast.iter_child_nodes(node):
        if not isinstance(node, ast.arg):  # annotations are none
            yield from _constants(one)


def _is_constant(node) -> bool:
    if isinstance(node, ast.Tuple):
        return all(map(_is_constant, node.elts))
    return isinstance(node, ast.Constant)
