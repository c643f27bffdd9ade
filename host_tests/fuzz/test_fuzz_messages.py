"""Signed messages and the file of versions: only what the key's holder signed is ever taken, and
what is taken has the types that everything behind relies on."""

import hashlib
import hmac
import json
from collections.abc import Iterator

import pytest
from hypothesis import assume, example
from hypothesis import strategies as st

from firmware import flash
from firmware.link.messages import NESTING_LIMIT, SIZE_LIMIT, MessageError, Versions, sign, verify
from host_tests.fuzz import inputs
from host_tests.fuzz.flash_in_memory import FlashInMemory
from host_tests.fuzz.trying import fuzz

KEY = bytes(range(32))
TOPIC = "tapgate/home/left/settings"
WHYS = {"size", "form", "signature", "nesting", "json", "type"}

KEYS = ("v", "t", "access", "exp", "command")
MEMBERS = st.dictionaries(st.one_of(st.sampled_from(KEYS), inputs.TEXTS), inputs.VALUES, max_size=4)
BODIES = st.builds(
    lambda members, v, t: {**members, "v": v, "t": t},
    MEMBERS,
    st.integers(1, 1 << 45),
    st.integers(0, 1 << 45),
)
TEXTS = st.one_of(
    inputs.objects(*KEYS).map(inputs.coded),
    inputs.objects(*KEYS).map(lambda text: inputs.coded('{"v":1,"t":2,' + text[1:])),
    BODIES.map(inputs.text).map(str.encode),
    inputs.one_wrong(BODIES, ("v", "t")).map(inputs.text).map(str.encode),
    inputs.JSON_BYTES,
)


@pytest.fixture(autouse=True, scope="module")
def memory() -> Iterator[FlashInMemory]:
    with FlashInMemory.in_place_of(flash) as found:
        yield found


def signature(text: bytes, key: bytes = KEY, topic: str = TOPIC) -> bytes:
    digest = hmac.new(key, topic.encode() + b"\n" + text, hashlib.sha256).hexdigest()
    return digest.encode()


def taken(raw: bytes, topic: str = TOPIC) -> dict | str:
    """The body, or the word that says why not; the same for each kind of bytes."""
    found = []
    for kind in (bytes, bytearray, memoryview):
        try:
            found.append(verify(KEY, topic, kind(raw)))
        except MessageError as error:
            assert error.why in WHYS and "\n" not in error.why
            found.append(error.why)
    assert inputs.same(found[0], found[1]) and inputs.same(found[0], found[2])
    return found[0]


def depth(value: object) -> int:
    inside = value.values() if isinstance(value, dict) else value
    if not isinstance(value, dict | list):
        return 0
    return 1 + max(map(depth, inside), default=0)  # type: ignore[arg-type]


@fuzz("signed messages", 120, BODIES)
def test_what_was_signed_comes_out_as_it_went_in(body: dict) -> None:
    raw = sign(KEY, TOPIC, body)
    found = taken(raw)
    if len(raw) > SIZE_LIMIT:
        assert found == "size"
    elif depth(body) > NESTING_LIMIT:
        assert found == "nesting"
    else:
        assert inputs.same(found, json.loads(inputs.text(body)))


@fuzz("signed messages", 120, TEXTS)
def test_what_is_signed_and_wrong_is_refused_with_its_reason(text: bytes) -> None:
    found = taken(signature(text) + b" " + text)
    if isinstance(found, dict):
        for name, least in (("v", 1), ("t", 0)):
            assert type(found[name]) is int and least <= found[name] <= 0x3FFF_FFFF_FFFF
        assert depth(found) <= NESTING_LIMIT
        assert json.loads(text) is not None
        return
    assert found not in ("form", "signature")
    if found == "json":
        with pytest.raises(ValueError):
            json.loads(text)
    if found == "type" and text[:1] == b"{":
        body = json.loads(text)
        assert (
            any(type(body.get(name)) is not int or not 0 <= body[name] < 1 << 46 for name in "vt")
            or not body["v"]
        )


@fuzz(
    "signed messages",
    130,
    BODIES,
    inputs.damaged(st.just(b"")),
    st.integers(0, 1 << 16),
    st.sampled_from(("put", "insert", "remove", "cut", "add", "key", "topic")),
)
def test_nothing_is_taken_that_was_not_signed(
    body: dict, piece: bytes, where: int, how: str
) -> None:
    raw = sign(KEY, TOPIC, body)
    topic = TOPIC
    if how == "key":
        raw = sign(KEY[:-1] + b"\0", TOPIC, body)
    elif how == "topic":
        topic = TOPIC + "s"
    elif how == "add":
        raw += piece or b" "
    else:
        changed = inputs.edited(raw, [(how, where % len(raw), piece or b"0")])
        assume(changed != raw)
        raw = changed
    assert isinstance(taken(raw, topic), str)


@fuzz("signed messages", 120, st.one_of(st.binary(max_size=300), inputs.damaged(TEXTS)), st.text())
def test_bytes_of_any_kind_are_taken_only_with_their_signature(raw: bytes, topic: str) -> None:
    topic = topic.encode("utf-8", "replace").decode()
    if isinstance(taken(raw, topic), dict):
        assert raw[:64] == signature(raw[65:], topic=topic)


def test_the_largest_message_is_measured_before_it_is_looked_at() -> None:
    around = 64 + len(' {"v":1,"t":0,"x":""}')
    for size in (SIZE_LIMIT - 1, SIZE_LIMIT, SIZE_LIMIT + 1, 100_000):
        body = {"v": 1, "t": 0, "x": "x" * (size - around)}
        raw = sign(KEY, TOPIC, body)
        assert len(raw) == size
        assert taken(raw) == (body if size <= SIZE_LIMIT else "size")


def test_a_file_with_eight_names_of_others_takes_one_more() -> None:
    FlashInMemory.current.files = {"versions": inputs.text(dict.fromkeys("abcdefgh", 0)).encode()}
    versions = Versions("versions")
    versions.store("command", 1)
    assert versions.last("command") == 1


VERSION_FILES = st.one_of(
    st.binary(max_size=300),
    inputs.JSON_BYTES,
    inputs.some_damaged(
        st.dictionaries(
            st.sampled_from(("settings", "allowlist", "command")),
            st.one_of(st.integers(0, 1 << 45), inputs.SCALARS),
        )
        .map(inputs.text)
        .map(str.encode)
    ),
    st.integers(200, 256).map(lambda count: b"[" * count),
)


@fuzz("versions on flash", 150, VERSION_FILES, st.integers(1, 1 << 45))
@example(b"", 1)
def test_a_damaged_file_of_versions_counts_for_nothing(content: bytes, version: int) -> None:
    flash_memory = FlashInMemory.current
    flash_memory.files = {"versions": content}
    versions = Versions("versions")
    lasts = {name: versions.last(name) for name in ("settings", "allowlist", "command")}
    for name, last in lasts.items():
        assert type(last) is int and last >= 0
        if last:  # it stood there
            known = json.loads(content)
            assert known[name] == last and not versions.damaged
    # What is stored on top of it is there the next time, and never goes back.
    versions.store("command", version)
    again = Versions("versions")
    assert again.last("command") == max(version, lasts["command"])
    assert not again.damaged or version <= lasts["command"]
    with pytest.raises(MessageError):
        again.check("command", version)
