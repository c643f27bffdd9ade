"""The last look at the firmware before it is compiled: every name that is read is bound in its file
or MicroPython's own, and every import finds what it names. What a pass before has done wrong is
refused here, and not found out on a board."""

import ast
import symtable
from collections import Counter

from tools.scopes import BUILTINS, bound

# Of the compiler: `const`. Of each module: its name. Within a class: its own.
_ALWAYS = BUILTINS | {"const", "__name__"}


class LinkError(Exception):
    """What a module does cannot be done in one file with others; "file:line: why"."""


def check(texts: dict[str, str]) -> None:
    """`texts`: all of the firmware, by file name. LinkError names what is bound nowhere."""
    trees = {name: _Plain().visit(ast.parse(text)) for name, text in texts.items()}
    for name, tree in trees.items():
        top = bound(tree.body)
        for scope in _scopes(symtable.symtable(ast.unparse(tree), name, "exec")):
            for symbol in scope.get_symbols():
                said = symbol.get_name()
                if not symbol.is_global() or said in top:
                    continue
                if symbol.is_declared_global() or said not in _ALWAYS:
                    line = _line(tree, said)
                    raise LinkError(f"{name}:{line}: {said} is bound nowhere in this file")
        _check_imports(name, trees)


def check_outside_names(name: str, before: ast.AST, after: ast.AST, gone: Counter[str]) -> None:
    """That attributes, parameters, keywords and what a class has are called what they were; `gone`:
    attributes of modules that there are no longer."""
    was, now = _outside_names(before), _outside_names(after)
    was["attribute"] -= gone
    for kind, names in was.items():
        wrong = (names - now[kind]) + (now[kind] - names)
        if wrong:
            raise LinkError(f"{name}:1: would get another name: {kind} {min(wrong)}")


class _Plain(ast.NodeTransformer):
    """Without annotations, which MicroPython does not look at."""

    def visit_arg(self, node):
        node.annotation = None
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef):
        node.returns = None
        return self.generic_visit(node)

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_AnnAssign(self, node):
        self.generic_visit(node)
        if node.value is None:
            return ast.copy_location(ast.Pass(), node)
        return ast.copy_location(ast.Assign([node.target], node.value), node)


def _scopes(table: symtable.SymbolTable):
    yield table
    for one in table.get_children():
        yield from _scopes(one)


def _check_imports(name: str, trees: dict[str, ast.Module]) -> None:
    modules: dict[str, set[str]] = {}
    unsure = set()
    for node in ast.walk(trees[name]):
        if isinstance(node, ast.Import):
            for alias in node.names:
                file = _file(alias.name.replace(".", "/"), trees)
                if alias.name.startswith("firmware") and file is None:
                    raise LinkError(f"{name}:{node.lineno}: there is no {alias.name}")
        if not isinstance(node, ast.ImportFrom):
            continue
        folder = name.split("/")[: -node.level] if node.level else []
        path = "/".join([*folder, *filter(None, (node.module or "").split("."))])
        if not path.startswith("firmware"):
            continue
        file = _file(path, trees)
        inside = all(f"{path}/{alias.name}.py" in trees for alias in node.names)
        if file is None and not inside:
            raise LinkError(f"{name}:{node.lineno}: there is no {path}.py")
        for alias in node.names:
            inner = f"{path}/{alias.name}.py"
            if inner in trees:
                called = alias.asname or alias.name
                if called in modules:
                    unsure.add(called)
                modules[called] = given(trees[inner])
            elif file is not None and alias.name not in given(trees[file]):
                raise LinkError(f"{name}:{node.lineno}: {file} has no {alias.name}")
    for node in ast.walk(trees[name]):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            unsure.add(node.id)
        elif isinstance(node, ast.arg):
            unsure.add(node.arg)
    for node in ast.walk(trees[name]):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            of = node.value.id
            if of in modules and of not in unsure and node.attr not in modules[of]:
                raise LinkError(f"{name}:{node.lineno}: {of} has no {node.attr}")


def _file(path: str, trees) -> str | None:
    return next((one for one in (f"{path}.py", f"{path}/__init__.py") if one in trees), None)


def given(tree: ast.Module) -> set[str]:
    """What others can take from a file: all but what the compiler puts in place."""
    private = {
        node.targets[0].id
        for node in tree.body
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and node.targets[0].id.startswith("_")
        and isinstance(node.value, ast.Call)
        and getattr(node.value.func, "id", "") == "const"
    }
    return bound(tree.body) - private | {"__name__"}


def _outside_names(tree: ast.AST) -> dict[str, Counter[str]]:
    found = {kind: Counter() for kind in ("attribute", "parameter", "keyword", "member")}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            found["attribute"][node.attr] += 1
        elif isinstance(node, ast.arg):
            found["parameter"][node.arg] += 1
        elif isinstance(node, ast.keyword):
            found["keyword"][node.arg or "**"] += 1
        elif isinstance(node, ast.ClassDef):
            found["member"].update(bound(node.body))
    return found


def _line(tree: ast.Module, name: str) -> int:
    """Where it is said first."""
    lines = [
        node.lineno
        for node in ast.walk(tree)
        if (isinstance(node, ast.Name) and node.id == name)
        or (isinstance(node, ast.Global) and name in node.names)
    ]
    return min(lines, default=1)
