"""Attributes of the firmware's own classes called what other classes' attributes are called: each
different name costs a board memory for good, and no class has more than some forty.

Two names become one only where no class has both; a name is changed everywhere or nowhere. Left
alone is what could be anything else: what MicroPython's own objects have, what stands in a text
(`getattr(x, "serve")`, a namedtuple's fields), at the top of a file or in an import, what a program
beside the firmware names, what a class body takes as a name, and what is put into objects whose
class does not have it. Lines stay lines.
"""

import ast
import itertools
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator

from tools.edits import EditError, edited, span, text_with
from tools.link_check import LinkError
from tools.short_names import names_in_order

# What objects of MicroPython's have as well; a test holds it against the interpreter.
_MICROPYTHONS = """
_get _machine _put add append auth bytes clear clock close closed code commit connect copy
count digest disconnect end feed floor flush full getaddrinfo id init ioctl is_set list load
lookup message minutes n name next object of offset on open peek pending pin ping poll
publish put qos raw read readblocks reader readinto remove rename request reserve reset
reset_cause rest run send session setblocking settimeout size socket soft_reset state status
store subscribe sync topic total unsubscribe update v value version wh where write writeblocks
"""
MICROPYTHON = frozenset(_MICROPYTHONS.split())
_ASKING = ("getattr", "hasattr", "setattr", "delattr")
_WORD = re.compile(r"[A-Za-z_]\w*")


def shared(texts: dict[str, str], beside: Iterable[str] = ()) -> dict[str, str]:
    """The same sources by file name; `beside`: what programs beside them name (`asked_for`)."""
    files = {name: _File(text) for name, text in texts.items()}
    kept = set(MICROPYTHON).union(beside, *(one.kept for one in files.values()))
    classes = _families(files.values())
    owned = set().union(*(has for _, has, _ in classes))
    for file in files.values():
        kept |= file.put - owned
    for _, has, foreign in classes:
        if foreign:
            kept |= has
    owned = {name for name in owned if not name.startswith("__")}
    asked = set().union(*(one.asked for one in files.values()))
    new = _chosen(owned - kept, owned & kept - asked, [has for _, has, _ in classes])
    found = {}
    for name, file in files.items():
        try:
            found[name] = _parameters(file.rewritten(new))
        except EditError as error:
            raise LinkError(f"{name}:{error}") from None
    return found


def asked_for(programs: Iterable[str]) -> set[str]:
    """What these may mean by a name."""
    files = list(map(_File, programs))
    return set().union(*(file.kept | file.put | _attributes(file.tree) for file in files))


def owned_in(texts: dict[str, str]) -> set[str]:
    """What the classes in these files have."""
    return set().union(*(has for _, has, _ in _families(map(_File, texts.values()))))


class _File:
    """`classes`: (name, what it has, its bases) each. `put`: into objects that are not `self`.
    `kept`: names that are more than attributes; `asked`: those that are looked for by a text."""

    def __init__(self, text: str):
        self._text = text
        self.tree = ast.parse(text)
        self.classes: list[tuple[str, set[str], list[str]]] = []
        self.put: set[str] = set()
        self.kept: set[str] = set()
        self.asked: set[str] = set()
        documents = set(_documents(self.tree))
        outside: set[str] = set()  # names that stand for a module, or for what is taken from one
        for node in ast.walk(self.tree):
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                for alias in node.names:
                    self.kept.update(_WORD.findall(f"{alias.name} {alias.asname or ''}"))
                    outside.add((alias.asname or alias.name).split(".")[0])
            elif isinstance(node, ast.ClassDef):
                self._take(node)
            elif isinstance(node, ast.Constant) and node not in documents:
                value = node.value
                if isinstance(value, bytes):
                    value = value.decode("latin-1")
                if isinstance(value, str):
                    self.kept.update(_WORD.findall(value))
            elif isinstance(node, ast.Call) and ast.unparse(node.func) in _ASKING:
                self.asked.update(_WORD.findall(ast.unparse(node.args[1])))
            elif isinstance(node, ast.keyword):
                self.kept.add(node.arg or "")
            elif isinstance(node, ast.Try):
                if any("AttributeError" in ast.unparse(one) for one in node.handlers):
                    self.kept.update(_attributes(node))
            elif isinstance(node, ast.Attribute) and isinstance(node.ctx, (ast.Store, ast.Del)):
                self.put.add(node.attr)
            elif isinstance(node, ast.MatchClass):
                self.kept.update(node.kwd_attrs)
        for node in self.tree.body:
            if not isinstance(node, (ast.Import, ast.ImportFrom)):
                self.kept |= _bound_at_top(node)
        for node in ast.walk(self.tree):
            of = getattr(getattr(node, "value", None), "id", "")
            if isinstance(node, ast.Attribute) and of in outside and of[0].islower():
                self.kept.add(node.attr)  # of a module

    def _take(self, node: ast.ClassDef) -> None:
        has: set[str] = set()
        for one in node.body:
            if isinstance(one, (ast.FunctionDef, ast.AsyncFunctionDef)):
                has.add(one.name)
                for named in (*one.decorator_list, *one.args.defaults, *one.args.kw_defaults):
                    if named is not None:
                        self.kept.update(_names(named))
                if one.args.args:
                    has.update(_attributes(one, one.args.args[0].arg))
                continue
            for each in ast.walk(one):
                if isinstance(each, ast.Name):
                    if isinstance(each.ctx, ast.Load):
                        self.kept.add(each.id)
                    else:
                        has.add(each.id)
                elif isinstance(each, (ast.FunctionDef, ast.ClassDef)):
                    self.kept.add(each.name)
        self.classes.append((node.name, has, [ast.unparse(base) for base in node.bases]))

    def rewritten(self, new: dict[str, str]) -> str:
        edits = []
        for node in _outside_texts(self.tree):
            if isinstance(node, ast.JoinedStr):
                within = (one for one in ast.walk(node) if isinstance(one, ast.Attribute))
                put = {one: f".{new[one.attr]}" for one in within if one.attr in new}
                edits += [(*span(node), text_with(node, put))] if put else []
            elif isinstance(node, ast.Attribute):
                if node.attr in new:
                    line, end = span(node)[1]
                    begin = end - len(node.attr.encode())
                    edits.append(((line, begin), (line, end), new[node.attr]))
            elif isinstance(node, ast.ClassDef):
                edits += _in_class(node, new)
        return edited(self._text, edits)


def _in_class(node: ast.ClassDef, new: dict[str, str]) -> Iterator[tuple]:
    for one in node.body:
        if isinstance(one, (ast.FunctionDef, ast.AsyncFunctionDef)):
            if one.name in new:
                word = "def " if isinstance(one, ast.FunctionDef) else "async def "
                begin = one.col_offset + len(word)
                at = one.lineno, begin
                yield at, (one.lineno, begin + len(one.name.encode())), new[one.name]
            continue
        for each in ast.walk(one):
            if isinstance(each, ast.Name) and each.id in new:
                yield *span(each), new[each.id]


def _families(files: Iterable[_File]) -> list[tuple[set[str], set[str], bool]]:
    """(names of classes that build on each other, what they have, whether on others, too)."""
    classes = [one for file in files for one in file.classes]
    families: list[tuple[set[str], set[str]]] = []
    for name, has, bases in classes:
        of = {name, *(base.split(".")[-1] for base in bases)}
        joined = [family for family in families if family[0] & of]
        families = [family for family in families if not family[0] & of]
        for family in joined:
            of, has = of | family[0], has | family[1]
        families.append((of, has))
    known = {name for name, _, _ in classes} | {"object"}
    return [(of, has, not of <= known) for of, has in families]


def _chosen(mine: set[str], there: set[str], families: list[set[str]]) -> dict[str, str]:
    """A name for each of `mine`, of those that are there anyhow as far as possible."""
    beside: defaultdict[str, set[str]] = defaultdict(set)
    for has in families:
        for name in has:
            beside[name] |= has
    free = sorted(there, key=lambda name: (len(name), name))
    new: dict[str, str] = {}
    for name in sorted(mine, key=lambda name: (-len(beside[name]), name)):
        taken = {new.get(other, other) for other in beside[name]}
        names = itertools.chain(free, names_in_order())
        new[name] = next(one for one in names if one not in taken)
    return new


def _parameters(text: str) -> str:
    """Those that are short in each function called what they are called in others."""
    tree = ast.parse(text)
    tops = set().union(*map(_bound_at_top, tree.body))
    edits = []
    for function in _functions(tree):
        arguments = [node for node in ast.walk(function) if isinstance(node, ast.arg)]
        short = {node.arg for node in arguments if re.fullmatch("_[a-z]+", node.arg)} - tops
        for node in ast.walk(function):
            if isinstance(node, ast.arguments):
                for default in (*node.defaults, *node.kw_defaults):
                    short -= _names(default) if default else set()
        others = (_names(function) | {node.arg for node in arguments}) - short
        free = (name for name in names_in_order() if name not in others | tops)
        new = dict(zip(sorted(short), free, strict=False))
        for node in _outside_texts(function):
            if isinstance(node, ast.JoinedStr):
                called = {one: getattr(one, "id", None) for one in ast.walk(node)}
                called |= {one: one.arg for one in ast.walk(node) if isinstance(one, ast.arg)}
                put = {one: new[name] for one, name in called.items() if name in new}
                edits += [(*span(node), text_with(node, put))] if put else []
            elif isinstance(node, ast.Name) and node.id in new:
                edits.append((*span(node), new[node.id]))
            elif isinstance(node, ast.arg) and node.arg in new:
                begin, _ = span(node)
                edits.append((begin, (begin[0], begin[1] + len(node.arg)), new[node.arg]))
    return edited(text, edits)


def _functions(tree) -> Iterator[ast.AST]:
    """Those that are in no other."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            yield node
        else:
            yield from _functions(node)


def _outside_texts(tree) -> Iterator[ast.AST]:
    """All there is, but of an f-string only the whole of it."""
    yield tree
    if not isinstance(tree, ast.JoinedStr):
        for node in ast.iter_child_nodes(tree):
            yield from _outside_texts(node)


def _documents(tree) -> Iterator[ast.Constant]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            yield node.value


def _bound_at_top(node) -> set[str]:
    """What this statement gives a name at the top of its file."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return {node.name}
    return _names(node)


def _names(tree) -> set[str]:
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}


def _attributes(tree, of: str | None = None) -> set[str]:
    """All in there, or those of what is called `of`."""
    return {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and (of is None or (isinstance(node.value, ast.Name) and node.value.id == of))
    }
