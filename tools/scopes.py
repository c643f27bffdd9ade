"""Where in a source a name stands for something of its file's top level."""

import ast
from collections.abc import Collection, Iterable, Iterator

from tools.edits import span

# What MicroPython knows without an import; a test holds it against the interpreter.
_BUILTINS = """
ArithmeticError AssertionError AttributeError BaseException EOFError Ellipsis Exception
GeneratorExit ImportError IndentationError IndexError KeyError KeyboardInterrupt LookupError
MemoryError NameError NotImplementedError OSError OverflowError RuntimeError StopAsyncIteration
StopIteration SyntaxError SystemExit TypeError UnicodeError ValueError ZeroDivisionError
__build_class__ __import__ abs all any bin bool bytearray bytes callable chr classmethod
complex delattr dict dir divmod enumerate eval exec filter float frozenset getattr globals
hasattr hash help hex id input int isinstance issubclass iter len list locals map max memoryview min
next object oct open ord pow print property range repr reversed round set setattr slice sorted
staticmethod str sum super tuple type zip
"""
BUILTINS = frozenset(_BUILTINS.split())
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_WORDS = {ast.FunctionDef: "def ", ast.AsyncFunctionDef: "async def ", ast.ClassDef: "class "}


class Use:
    """A name, or an attribute of one. `hidden`: what stands for something of its own there, not for
    the file's; `in_text`: the f-string around it."""

    def __init__(self, node, name: str, hidden: frozenset[str], in_text=None, in_attribute=False):
        self.node, self.name, self.hidden = node, name, hidden
        self.in_text, self.in_attribute = in_text, in_attribute
        self.line = node.lineno

    def span(self):
        """Of the name alone: in a `def` and a `class` it follows the word."""
        if type(self.node) not in _WORDS:
            return span(self.node)
        line, begin = self.node.lineno, self.node.col_offset + len(_WORDS[type(self.node)])
        return (line, begin), (line, begin + len(self.name.encode()))


def uses(tree: ast.Module, free: Collection[ast.AST] = ()) -> Iterator[Use]:
    """`free`: imports in functions whose names are to stand for something of the file's top."""

    def walk(node, hidden: frozenset[str], of_class: frozenset[str], text):
        seen = hidden | of_class
        if isinstance(node, ast.JoinedStr):
            text = text or node
        if isinstance(node, ast.Name):
            yield Use(node, node.id, seen, text)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            yield Use(node, node.attr, seen, text)
            yield Use(node.value, node.value.id, seen, text, True)
        elif isinstance(node, _FUNCTIONS):
            if not isinstance(node, ast.Lambda):
                yield Use(node, node.name, seen)
            for one in (
                *node.args.defaults,
                *filter(None, node.args.kw_defaults),
                *getattr(node, "decorator_list", ()),
            ):
                yield from walk(one, hidden, of_class, text)
            body = node.body if isinstance(node.body, list) else [node.body]
            parameters = {one.arg for one in ast.walk(node.args) if isinstance(one, ast.arg)}
            own = hidden | bound(body, free) | parameters
            own -= _said_global(body) | imported_in(body, free)
            for one in body:
                yield from walk(one, own, frozenset(), text)
        elif isinstance(node, ast.ClassDef):
            yield Use(node, node.name, seen)
            for one in (*node.bases, *node.keywords, *node.decorator_list):
                yield from walk(one, hidden, of_class, text)
            for one in node.body:
                yield from walk(one, hidden, frozenset(bound(node.body)), text)
        elif isinstance(node, COMPREHENSIONS):
            first = node.generators[0].iter
            yield from walk(first, hidden, of_class, text)
            own = hidden | bound([one.target for one in node.generators])
            for one in ast.iter_child_nodes(node):
                for each in (
                    ast.iter_child_nodes(one) if isinstance(one, ast.comprehension) else [one]
                ):
                    if each is not first:
                        yield from walk(each, own, of_class, text)
        elif isinstance(node, ast.AnnAssign):
            for one in (node.target, node.value):
                if one is not None:
                    yield from walk(one, hidden, of_class, text)
        else:
            for one in ast.iter_child_nodes(node):
                yield from walk(one, hidden, of_class, text)

    for node in tree.body:
        yield from walk(node, frozenset(), frozenset(), None)


def bound(body: Iterable[ast.AST], free: Collection[ast.AST] = ()) -> set[str]:
    """What these statements give a name of their own to, but not what is within their functions and
    classes."""
    found: set[str] = set()
    for node in statements(body):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            found.add(node.name)
        elif isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            found.add(node.id)
        elif isinstance(node, ast.ExceptHandler) and node.name:
            found.add(node.name)
        elif isinstance(node, (ast.Import, ast.ImportFrom)) and node not in free:
            found |= imports(node)
    return found - _said_global(body)


def imports(node: ast.Import | ast.ImportFrom) -> set[str]:
    """The names that it binds."""
    return {(alias.asname or alias.name).split(".")[0] for alias in node.names}


def imported_in(body: Iterable[ast.AST], among: Collection[ast.AST]) -> set[str]:
    """What these statements bind by one of these imports."""
    return set().union(
        *(
            imports(node)
            for node in statements(body)
            if isinstance(node, (ast.Import, ast.ImportFrom)) and node in among
        )
    )


def statements(body: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """These and what is in them, but for what has names of its own: functions and classes, of which
    there is only the statement itself, and comprehensions, of which there is what they assign by
    `:=`."""

    def walk(node, within: bool):
        assigned = isinstance(node, ast.NamedExpr)
        if not within:
            yield node
        elif assigned:
            yield node.target
        if isinstance(node, (*_FUNCTIONS, ast.ClassDef)):
            return
        for one in ast.iter_child_nodes(node):
            yield from walk(one, within or isinstance(node, COMPREHENSIONS))

    for node in body:
        yield from walk(node, False)


def constants(tree: ast.Module, defined: set[str]) -> Iterator[tuple[str, ast.expr | None]]:
    """What the compiler can put in place: (name, its value as far as it is not said to be one)."""
    given: dict[str, list[ast.expr]] = {}
    for node in ast.walk(tree):
        for name in node.names if isinstance(node, ast.Global) else ():
            given[name] = [ast.Constant(0), ast.Constant(0)]
    for node in tree.body:
        for name in bound([node]):
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


def _said_global(body: Iterable[ast.AST]) -> set[str]:
    return {
        name for node in statements(body) if isinstance(node, ast.Global) for name in node.names
    }
