"""Inputs that more than one parser is given: damaged bytes, JSON of every kind, pieces."""

import json
from collections.abc import Iterator
from itertools import cycle
from typing import Any

from hypothesis import strategies as st

_INTERESTING = b'\x00\x01\x7f\x80\xff"\\[]{},: -+.eE019'

_EDITS = st.lists(
    st.tuples(
        st.sampled_from(("put", "insert", "remove", "cut", "twice")),
        st.integers(0, 1 << 16),
        st.one_of(
            st.sampled_from(_INTERESTING).map(lambda byte: bytes([byte])), st.binary(max_size=4)
        ),
    ),
    min_size=1,
    max_size=3,
)


def edited(data: bytes, edits: list[tuple[str, int, bytes]]) -> bytes:
    """Damage `data` in a few places."""
    for how, where, piece in edits:
        at = where * 40_503 % (len(data) + 1)  # anywhere: small numbers are drawn most often
        if how == "put":
            data = data[:at] + piece + data[at + len(piece) :]
        elif how == "insert":
            data = data[:at] + piece + data[at:]
        elif how == "remove":
            data = data[:at] + data[at + 1 + len(piece) :]
        elif how == "cut":
            data = data[:at]
        else:
            data = data[:at] + data[at // 2 :]
    return data


def damaged(inputs: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    return st.builds(edited, inputs, _EDITS)


def some_damaged(inputs: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    """Half of them as they are."""
    return st.one_of(inputs, damaged(inputs))


# How many bytes come at once, again and again.
PIECES = st.lists(
    st.one_of(st.sampled_from((1, 2, 3, 64, 1_000, 1 << 20)), st.integers(1, 9_000)),
    min_size=1,
    max_size=6,
)


def cut_up(data: bytes, sizes: list[int]) -> Iterator[bytes]:
    """`data` in pieces of these sizes."""
    at = 0
    for size in cycle(sizes):
        if at >= len(data):
            return
        yield data[at : at + size]
        at += size


# --- JSON -----------------------------------------------------------------------------------------

SURROGATES = st.text(st.characters(categories=("Cs",)), min_size=1, max_size=2)
TEXTS = st.one_of(
    st.text(max_size=12),
    st.text("abcdef0123456789", max_size=20),
    st.sampled_from(("", "open", "0", "-1", "true", "null", "\x00", "\n", "ü", "𝄞", "x" * 200)),
    st.text('"\\[{', max_size=24),
    SURROGATES,
)
WHOLE = st.one_of(
    st.integers(-3, 70),
    st.integers(0, 1 << 32),
    st.sampled_from(
        (-1, (1 << 30) - 1, 1 << 30, (1 << 31) - 1, 1 << 31, 1 << 53, 1 << 62, 1 << 63, 1 << 64)
    ),
    st.integers(-(1 << 70), 1 << 70),
    st.just(10**300),
)
NUMBERS = st.one_of(WHOLE, st.floats(), st.sampled_from((0.0, -0.0, 1.0, 1e300)))
SCALARS = st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=6,
)


# What stands for something else at best.
WRONG = st.one_of(
    st.sampled_from((True, False, None, 0, -1, 1.0, "", "1", [], {}, [1], 1 << 70, float("nan"))),
    VALUES,
)


def one_wrong(
    good: st.SearchStrategy[dict], keys: tuple[str, ...], wrong: st.SearchStrategy = WRONG
) -> st.SearchStrategy[dict]:
    """Right but for the value of one key."""
    return st.builds(
        lambda body, key, value: {**body, key: value}, good, st.sampled_from(keys), wrong
    )


def nested(depth: int, opening: str = "[", inside: str = "") -> str:
    """JSON that deep; with objects where `opening` is a brace."""
    if opening == "[":
        return "[" * depth + inside + "]" * depth
    return '{"a":' * depth + (inside or "0") + "}" * depth


def text(value: Any) -> str:
    """JSON without blanks, as everybody here writes it."""
    return json.dumps(value, separators=(",", ":"))


def _with_member(members: list[tuple[str, str]]) -> str:
    """An object in which a key may come twice."""
    return "{" + ",".join(f"{json.dumps(key)}:{value}" for key, value in members) + "}"


ODD_NUMBERS = st.sampled_from(
    (
        "NaN",
        "Infinity",
        "-Infinity",
        "1e999",
        "-1e999",
        "1e-999",
        "01",
        "+1",
        ".5",
        "1.",
        "1e",
        "-",
        "0x10",
        "1_000",
        "9" * 400,
        "-" + "9" * 400,
        "9" * 5_000,
        "1." + "0" * 300,
        "٣",
    )
)
ODD_TEXTS = st.sampled_from(
    (
        '"\\ud800"',
        '"\\udc00\\ud800"',
        '"\\u0000"',
        '"\\u12"',
        '"\\x41"',
        '"',
        "'a'",
        '"a\nb"',
        '"\\',
        "tru",
        "True",
        "None",
        "undefined",
        "/**/1",
        "\ufeff1",
        "\u00a01",
    )
)
NESTS = st.builds(
    nested, st.one_of(st.integers(1, 12), st.sampled_from((100, 900, 2_000))), st.sampled_from("[{")
)
PARTS = st.one_of(VALUES.map(text), ODD_NUMBERS, ODD_TEXTS, NESTS)


def objects(*keys: str, parts: st.SearchStrategy[str] = PARTS) -> st.SearchStrategy[str]:
    """Texts of JSON objects, or nearly so, some of whose members have these keys."""
    names = st.one_of(st.sampled_from(keys), TEXTS) if keys else TEXTS
    return st.lists(st.tuples(names, parts), max_size=5).map(_with_member)


def coded(text: str) -> bytes:
    """UTF-8, or nearly so where there are surrogates."""
    return text.encode("utf-8", "surrogatepass")


JSON_BYTES = st.one_of(
    st.binary(max_size=40),
    PARTS.map(coded),
    objects().map(coded),
    damaged(VALUES.map(text).map(str.encode)),
)


def same(one: Any, other: Any) -> bool:
    """Equal in value and in type, all the way down; a NaN is the same as another."""
    pairs = [(one, other)]
    while pairs:
        a, b = pairs.pop()
        if type(a) is not type(b):
            return False
        if isinstance(a, dict):
            if a.keys() != b.keys():
                return False
            pairs += [(a[key], b[key]) for key in a]
        elif isinstance(a, list):
            if len(a) != len(b):
                return False
            pairs += zip(a, b, strict=True)
        elif a != b and (a == a or b == b):
            return False
    return True
