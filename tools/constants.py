"""Constants put in place in the modules that are loaded now and then: what such a module takes from
another one by a name, or has for itself, costs a board that name for good. Lines stay lines.

Only numbers and texts that are said once, at the top, as `NAME = const(...)`. In what stays in
memory the linker does the same.
"""

import ast
from collections import Counter
from collections.abc import Collection, Iterator

from tools.edits import edited, span


def in_place(
    texts: dict[str, str], lasting: Collection[str], beside: Collection[str] = ()
) -> dict[str, str]:
    """The same sources by file name; `lasting`: those that are left as they are; `beside`: names
    that programs beside them may ask for."""
    trees = {name: ast.parse(text) for name, text in texts.items()}
    known = {name: dict(_constants(tree)) for name, tree in trees.items()}
    named = set(beside).union(*map(_asked, trees.values()))
    found = dict(texts)
    for name in texts:
        if name not in lasting:
            found[name] = _rewritten(name, texts[name], trees, known, named)
    return found


def _rewritten(name: str, text: str, trees, known, named) -> str:
    tree = trees[name]
    given = _given(tree)
    values = {
        what: value for what, value in known[name].items() if what[0] != "_" and what not in named
    }
    mine = set(values)
    modules = {}
    for called, file, what in _taken(name, trees):
        if given[called]:
            continue
        if what is None:
            modules[called] = known[file]
        elif what in known[file]:
            values[called] = known[file][what]
    for said in _in_texts(tree):
        values.pop(said, None)
        mine.discard(said)
        modules.pop(said, None)
    edits = []
    for node in _outside_texts(tree):
        if (new := _value(node, values, modules)) is not None:
            edits.append((*span(node), new))
        elif isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) in mine:
            edits.append((*span(node), "pass"))
        elif node in tree.body and isinstance(node, ast.ImportFrom):
            left = [one for one in node.names if (one.asname or one.name) not in values]
            if len(left) < len(node.names):
                names = ", ".join(map(ast.unparse, left))
                said = f"from {node.module} import {names}" if left else "pass"
                edits.append((*span(node), said))
    return edited(text, edits)


def _value(node, values: dict[str, str], modules: dict[str, dict[str, str]]) -> str | None:
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
        return values.get(node.id)
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        return modules.get(node.value.id, {}).get(node.attr)
    return None


def _constants(tree: ast.Module) -> Iterator[tuple[str, str]]:
    given = _given(tree)
    for node in tree.body:
        if not isinstance(node, ast.Assign) or not isinstance(node.value, ast.Call):
            continue
        call, target = node.value, ast.unparse(node.targets[0])
        if ast.unparse(call.func) == "const" and given[target] == 1:
            try:
                value = ast.literal_eval(call.args[0])
            except ValueError:
                continue
            if type(value) in (int, str, bytes):
                yield target, f"({value!r})" if type(value) is int else repr(value)


def _asked(tree: ast.Module) -> set[str]:
    """Names that a file may take from another one."""
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    found = {alias.name for node in imports for alias in node.names}
    return found | {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}


def _taken(name: str, trees) -> Iterator[tuple[str, str, str | None]]:
    """(what it is called, file, name there or None for the file itself) of what a file takes."""
    for node in trees[name].body:
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            path = node.module.replace(".", "/")
            for alias in node.names:
                called = alias.asname or alias.name
                if f"{path}/{alias.name}.py" in trees:
                    yield called, f"{path}/{alias.name}.py", None
                elif f"{path}.py" in trees:
                    yield called, f"{path}.py", alias.name


def _given(tree: ast.Module) -> Counter[str]:
    """How often a file gives something a name, wherever it does; but for imports."""
    given: Counter[str] = Counter()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            given[node.id] += not isinstance(node.ctx, ast.Load)
        elif isinstance(node, ast.arg):
            given[node.arg] += 1
        elif isinstance(node, ast.ExceptHandler):
            given[node.name or ""] += 1
        elif isinstance(node, ast.Global):
            given.update(node.names)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            given[node.name] += 1
    return given


def _in_texts(tree: ast.Module) -> set[str]:
    """Names in f-strings: up to Python 3.11 the parser does not say where in them they stand."""
    texts = [node for node in ast.walk(tree) if isinstance(node, ast.JoinedStr)]
    return {one.id for text in texts for one in ast.walk(text) if isinstance(one, ast.Name)}


def _outside_texts(tree) -> Iterator[ast.AST]:
    """All there is, but of an f-string only the whole of it."""
    yield tree
    if not isinstance(tree, ast.JoinedStr):
        for node in ast.iter_child_nodes(tree):
            yield from _outside_texts(node)
