"""Python source broken in one place at a time: comparisons turned round, constants changed, `and`
for `or`, a `not` or a statement dropped, returns emptied, an item of a tuple or dict left out."""

import ast
import copy
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import CodeType

_OTHERS: dict[type, tuple[type, ...]] = {
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.And: (ast.Or,),
    ast.Or: (ast.And,),
    ast.Add: (ast.Sub,),
    ast.Sub: (ast.Add,),
    ast.Mult: (ast.Add,),
    ast.BitAnd: (ast.BitOr,),
    ast.BitOr: (ast.BitAnd,),
    ast.LShift: (ast.RShift,),
    ast.RShift: (ast.LShift,),
    ast.Mod: (ast.Mult,),
}


@dataclass(frozen=True)
class Mutant:
    """One node of a tree that is there once for all: broken for as long as it is compiled."""

    place: str  # the function, and its line of source
    change: str
    tree: ast.Module
    parent: ast.AST
    field: str
    at: int | None
    node: ast.AST

    def code(self) -> CodeType:
        whole = _at(self.parent, self.field, self.at)
        _put(self.parent, self.field, self.at, self.node)
        try:
            return compile(ast.fix_missing_locations(self.tree), "mutant", "exec")
        finally:
            _put(self.parent, self.field, self.at, whole)


def mutants(path: Path) -> Iterator[Mutant]:
    """Every change of the file that this module knows."""
    source = path.read_text()
    tree = ast.parse(source)
    lines = source.splitlines()
    names: Counter[tuple[str, str]] = Counter()
    for parent, field, at, name in _places(tree, "module"):
        node = _at(parent, field, at)
        for change, other in _changes(node, parent):
            place = f"{name}: {lines[node.lineno - 1].strip()}"
            names[place, change] += 1
            if names[place, change] > 1:
                change += f", the {names[place, change]}. time"
            yield Mutant(place, change, tree, parent, field, at, other)


def _places(node: ast.AST, name: str) -> Iterator[tuple]:
    """(parent, field, index or None, name of the function) of every node, no docstring."""
    for field, value in ast.iter_fields(node):
        found = enumerate(value) if isinstance(value, list) else [(None, value)]
        for at, child in found:
            if not isinstance(child, ast.AST) or _is_said(node, field, child):
                continue
            inner = child.name if isinstance(child, ast.FunctionDef) else name
            yield node, field, at, inner
            yield from _places(child, inner)


def _is_said(parent: ast.AST, field: str, node: ast.AST) -> bool:
    """A docstring, an annotation, an import: nothing that runs there can be wrong in the end."""
    if isinstance(node, ast.Import | ast.ImportFrom) or field in ("annotation", "returns"):
        return True
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _at(parent: ast.AST, field: str, at: int | None):
    value = getattr(parent, field)
    return value if at is None else value[at]


def _put(parent: ast.AST, field: str, at: int | None, node: ast.AST) -> None:
    if at is None:
        setattr(parent, field, node)
    else:
        getattr(parent, field)[at] = node


def _changes(node: ast.AST, parent: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    text = ast.unparse(node) if isinstance(node, ast.expr | ast.stmt) else ""
    if isinstance(node, ast.Compare):
        for at, operator in enumerate(node.ops):
            for other in _OTHERS.get(type(operator), ()):
                yield _said(text, _with(node, ops=[*node.ops[:at], other(), *node.ops[at + 1 :]]))
    elif isinstance(node, ast.BoolOp):
        yield _said(text, _with(node, op=_OTHERS[type(node.op)][0]()))
        for at in range(len(node.values)):
            values = node.values[:at] + node.values[at + 1 :]
            shorter = values[0] if len(values) == 1 else _with(node, values=values)
            yield _said(text, shorter)
    elif isinstance(node, ast.BinOp):
        for other in _OTHERS.get(type(node.op), ()):
            yield _said(text, _with(node, op=other()))
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield _said(text, node.operand)
    elif isinstance(node, ast.Constant):
        yield from _other_constants(node, text)
    elif isinstance(node, ast.If | ast.IfExp | ast.While):
        yield _said(ast.unparse(node.test), _with(node, test=_not(node.test)), "not that")
    elif isinstance(node, ast.Return) and node.value is not None:
        if not (isinstance(node.value, ast.Constant) and node.value.value is None):
            yield _said(text, ast.Return(ast.Constant(None)))
    elif isinstance(node, ast.Tuple) and len(node.elts) > 1 and isinstance(node.ctx, ast.Load):
        for at in range(len(node.elts)):
            yield _said(text, _with(node, elts=node.elts[:at] + node.elts[at + 1 :]))
    elif isinstance(node, ast.Dict):
        for at, key in enumerate(node.keys):
            less = _with(
                node,
                keys=node.keys[:at] + node.keys[at + 1 :],
                values=node.values[:at] + node.values[at + 1 :],
            )
            yield f"without {ast.unparse(key) if key else ''}", less
    if isinstance(node, ast.Assign | ast.AugAssign | ast.Expr | ast.Delete | ast.Break) and (
        not isinstance(parent, ast.Module)
    ):
        yield f"without {text}", ast.Pass()


def _other_constants(node: ast.Constant, text: str) -> Iterator[tuple[str, ast.AST]]:
    value = node.value
    if isinstance(value, bool):
        yield _said(text, ast.Constant(not value))
    elif isinstance(value, int):
        yield _said(text, ast.Constant(value + 1))
        if value:
            yield _said(text, ast.Constant(value - 1))
    elif isinstance(value, str):
        yield _said(text, ast.Constant(value + "?"))


def _not(test: ast.expr) -> ast.expr:
    return ast.UnaryOp(ast.Not(), test)


def _with(node: ast.AST, **fields):
    other = copy.copy(node)
    for name, value in fields.items():
        setattr(other, name, value)
    return other


def _said(text: str, other: ast.AST, words: str = "") -> tuple[str, ast.AST]:
    return f"{words or ast.unparse(ast.fix_missing_locations(other))} for {text}", other
