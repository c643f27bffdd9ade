"""Names made short before the firmware is compiled: each different name costs a board some 20 bytes
of memory for good, and the same few do for every file.

Only what a file keeps to itself is touched: names that begin with one underscore, are defined in
the file and used in no other; and the parameters of functions, where no call names them. Lines stay
lines, so a traceback still points at the right one; it says `_b` where the source says `_serve`.
A name that stands in a string anywhere (`getattr(x, "_serve")`, `**{"retry_s": 5}`) is left alone,
and a private one that a class built on another file's class has, or that is asked of anything but
`self`: it may be the other's.
"""

import ast
import builtins
import io
import itertools
import re
import string
import tokenize

from tools.edits import EditError, Place, edited, span, text_with
from tools.link_check import LinkError
from tools.scopes import BUILTINS


def shorten(sources: dict[str, str]) -> dict[str, str]:
    """The same sources by file name; a file that builds on another's classes stays as it is.
    LinkError where one cannot be written with other names."""
    files = {name: _Names(text) for name, text in sources.items()}
    spoken = BUILTINS.union(dir(builtins))
    spoken = spoken.union(*(names.strings | names.keywords for names in files.values()))
    foreign = set().union(*(names.used - names.defined | names.taken for names in files.values()))
    for names in files.values():
        foreign |= names.asked | (names.defined | names.used if names.inherits else set())
    short = {}
    for name, text in sources.items():
        try:
            here = files[name]
            short[name] = text if here.inherits else _renamed(text, here, spoken, foreign)
        except EditError as error:
            raise LinkError(f"{name}:{error}") from None
    return short


class _Names(ast.NodeVisitor):
    """What each name in a file is. `taken`: from other files. `asked`: of anything but `self`.
    `lasting`: everything but parameters and local variables. `vanishing`: constants, which the
    compiler puts in place if private."""

    def __init__(self, text: str):
        self.defined: set[str] = set()
        self.used: set[str] = set()
        self.taken: set[str] = set()
        self.asked: set[str] = set()
        self.parameters: set[str] = set()
        self.lasting: set[str] = set()
        self.vanishing: set[str] = set()
        self.keywords: set[str] = set()
        self.strings: set[str] = set()
        self.inherits = False
        self._imported: set[str] = set()
        self._in_function = False
        self.visit(ast.parse(text))

    def visit_Import(self, node):
        for name in node.names:
            self._lasts({*name.name.split("."), name.asname or ""})

    def visit_ImportFrom(self, node):
        self.taken.update(name.name for name in node.names)
        here = {name.asname or name.name for name in node.names}
        self._lasts(here | set((node.module or "").split(".")))
        if node.level or (node.module or "").startswith("firmware"):
            self._imported |= here

    def visit_ClassDef(self, node):
        bases = set().union(*(_names(base) for base in node.bases))
        self.inherits = self.inherits or bool(bases & self._imported)
        self._lasts({node.name})
        outside, self._in_function = self._in_function, False
        self.generic_visit(node)
        self._in_function = outside

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef):
        self._lasts({node.name})
        outside, self._in_function = self._in_function, True
        self.generic_visit(node)
        self._in_function = outside

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_arg(self, node):
        self.defined.add(node.arg)
        self.parameters.add(node.arg)

    def visit_keyword(self, node):
        self.keywords.add(node.arg or "")
        self.generic_visit(node)

    def visit_Name(self, node):
        (self.used if isinstance(node.ctx, ast.Load) else self.defined).add(node.id)
        if not self._in_function and not isinstance(node.ctx, ast.Load):
            self.lasting.add(node.id)

    def visit_Attribute(self, node):
        (self.used if isinstance(node.ctx, ast.Load) else self.defined).add(node.attr)
        self.lasting.add(node.attr)
        if getattr(node.value, "id", "") != "self":
            self.asked.add(node.attr)
        self.generic_visit(node)

    def visit_Assign(self, node):
        if isinstance(node.value, ast.Call) and _names(node.value.func) == {"const"}:
            self.vanishing.update(*(_names(target) for target in node.targets))
        self.generic_visit(node)

    def visit_Constant(self, node):
        if isinstance(node.value, str):
            self.strings.add(node.value)

    def _lasts(self, names):
        self.defined |= names
        self.lasting |= names


def _names(tree) -> set[str]:
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}


def _renamed(text, names, spoken, foreign):
    private = {name for name in names.defined - foreign if re.match(r"_[^_]", name)}
    mine = private - names.vanishing | names.parameters - names.lasting - {"self"}
    taken = names.defined | names.used | foreign
    short = dict(
        zip(sorted(mine - spoken), (n for n in names_in_order() if n not in taken), strict=False)
    )
    tree = ast.parse(text)
    texts = {span(node): node for node in _texts(tree)}
    edits: list[tuple[Place, Place, str]] = []
    for at, node in texts.items():
        new = {one: to for one in ast.walk(node) if (to := _new_in_text(one, short))}
        if new:
            edits.append((*at, text_with(node, new)))
    lines = text.splitlines(keepends=True)
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.NAME and token.string in short:
            (row, begin), (_, end) = token.start, token.end
            at = (row, len(lines[row - 1][:begin].encode()))
            if not any(begun <= at < over for begun, over in texts):
                last = (row, len(lines[row - 1][:end].encode()))
                edits.append((at, last, short[token.string]))
    return edited(text, edits)


def _texts(node):
    """The f-strings, without those in them."""
    if isinstance(node, ast.JoinedStr):
        yield node
        return
    for one in ast.iter_child_nodes(node):
        yield from _texts(one)


def _new_in_text(node, short: dict[str, str]) -> str | None:
    if isinstance(node, ast.Attribute):
        return "." + short[node.attr] if node.attr in short else None
    return short.get(getattr(node, "id", "") or getattr(node, "arg", None) or "")


def names_in_order():
    """`_a`, `_b`, ... `_aa`, ..."""
    for length in itertools.count(1):
        for letters in itertools.product(string.ascii_lowercase, repeat=length):
            yield "_" + "".join(letters)
