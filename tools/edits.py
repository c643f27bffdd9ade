"""Words in a source changed where the parser found them; lines stay lines."""

import ast
from collections.abc import Iterable, Mapping
from typing import Any

Place = tuple[int, int]  # line, and column in bytes


class EditError(Exception):
    """It cannot be written with that change; "line: why"."""


def span(node) -> tuple[Place, Place]:
    """Begin and end of what the parser found."""
    return (node.lineno, node.col_offset), (node.end_lineno, node.end_col_offset)


def lines_of(text: str) -> list[str]:
    return text.splitlines(keepends=True)


def edited(text: str, edits: Iterable[tuple[Place, Place, str]]) -> str:
    """`text` with other words at these places; no line more and none less."""
    lines = [line.encode() for line in lines_of(text)]
    for begin, end, new in sorted(edits, reverse=True):
        row, column = begin
        before = lines[row - 1][:column]
        after = lines[end[0] - 1][end[1] :]
        fresh = (before + new.encode() + after).split(b"\n")
        rows = end[0] + 1 - row
        fresh = [*fresh[:-1], *[b""] * (rows + 1 - len(fresh)), b""]
        lines[row - 1 : end[0]] = [line + b"\n" for line in fresh[:rows]]
    return b"".join(lines).decode()


def text_with(node: ast.JoinedStr, new: Mapping[Any, str]) -> str:
    """An f-string in which these names of its values are others: up to Python 3.11 the parser does
    not say where in it they stand. `new`: for an attribute ".name", or what stands for all of it.
    EditError where it cannot be written so."""
    wanted = _changed(node, new)
    try:
        said = ast.unparse(wanted)
        if ast.dump(ast.parse(said, mode="eval").body) == ast.dump(wanted):
            return said
    except (SyntaxError, ValueError):
        pass
    raise EditError(f"{node.lineno}: an f-string too intricate for other names in it")


def _changed(node, new: Mapping[Any, str]):
    if isinstance(node, list):
        return [_changed(one, new) for one in node]
    if not isinstance(node, ast.AST):
        return node
    if node in new:
        if isinstance(node, ast.Attribute) and new[node].startswith("."):
            return ast.Attribute(_changed(node.value, new), new[node][1:], node.ctx)
        if isinstance(node, ast.arg):
            return ast.arg(new[node])
        return ast.Name(new[node], getattr(node, "ctx", ast.Load()))
    return type(node)(**{name: _changed(value, new) for name, value in ast.iter_fields(node)})
