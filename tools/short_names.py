"""Names made short before the firmware is compiled: each different name costs a board some 20 bytes
of memory for good, and the same few do for every file.

Only what a file keeps to itself is touched: names that begin with one underscore, are defined in
the file and used in no other; and the parameters of functions, where no call names them. Lines stay
lines, so a traceback still points at the right one; it says `_b` where the source says `_serve`.
A name that stands in a string anywhere (`getattr(x, "_serve")`, `**{"retry_s": 5}`) is left alone.
"""

import ast
import builtins
import io
import itertools
import re
import string
import tokenize


def shorten(sources: dict[str, str]) -> dict[str, str]:
    """The same sources by file name; a file that builds on another's classes stays as it is."""
    files = {name: _Names(text) for name, text in sources.items()}
    spoken = set(dir(builtins)).union(*(names.strings | names.keywords for names in files.values()))
    foreign = set().union(*(names.used - names.defined | names.taken for names in files.values()))
    return {
        name: text if files[name].inherits else _renamed(text, files[name], spoken, foreign)
        for name, text in sources.items()
    }


class _Names(ast.NodeVisitor):
    """What each name in a file is. `taken`: from other files. `lasting`: everything but parameters
    and local variables. `vanishing`: constants, which the compiler puts in place if private."""

    def __init__(self, text: str):
        self.defined: set[str] = set()
        self.used: set[str] = set()
        self.taken: set[str] = set()
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
        self.generic_visit(node)

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
    taken = names.defined | names.used
    short = dict(
        zip(sorted(mine - spoken), (n for n in names_in_order() if n not in taken), strict=False)
    )
    lines = text.splitlines(keepends=True)
    for token in reversed(list(tokenize.generate_tokens(io.StringIO(text).readline))):
        (row, begin), (_, end) = token.start, token.end
        if token.type == tokenize.NAME:
            new = short.get(token.string, token.string)
        elif token.type == tokenize.STRING and token.string[0] in "fF":
            new = _in_braces(token.string, short)
        else:
            continue
        line = lines[row - 1]
        lines[row - 1] = line[:begin] + new + line[end:]
    return "".join(lines)


def _in_braces(text, short):
    """An f-string, which up to Python 3.11 is a single token, with the names in its braces."""
    return re.sub(
        r"\{[^{}!:]*",
        lambda part: re.sub(r"\b[A-Za-z_]\w*", lambda name: short.get(name[0], name[0]), part[0]),
        text,
    )


def names_in_order():
    """`_a`, `_b`, ... `_aa`, ..."""
    for length in itertools.count(1):
        for letters in itertools.product(string.ascii_lowercase, repeat=length):
            yield "_" + "".join(letters)
