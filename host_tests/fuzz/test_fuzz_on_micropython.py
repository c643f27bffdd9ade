"""The board's interpreter makes the same of every input as the one that tests run on.

Its JSON parser is more lenient than CPython's: what CPython refuses it may take, but never with
another error, and what CPython takes it takes with the same value.
"""

import subprocess
from itertools import groupby

import pytest
from hypothesis import strategies as st

from host_tests.fuzz import inputs, outcomes
from host_tests.fuzz.mqtt_streams import STREAMS
from host_tests.fuzz.test_fuzz_config import FILES
from host_tests.fuzz.test_fuzz_downlink import (
    COMMANDS,
    GOOD_SETTINGS,
    OFFSETS,
    SCHEDULES,
    SETTINGS,
    VERDICTS,
)
from host_tests.fuzz.test_fuzz_messages import TEXTS, VERSION_FILES
from host_tests.fuzz.test_fuzz_names_and_time import CHAINS, REPLIES, STAMPS, said
from host_tests.fuzz.test_fuzz_objects import INDEXES, REF_BODIES, SHARDS
from host_tests.fuzz.trying import TIMES, corpus, tried
from host_tests.link.running import ROOT, environment
from host_tests.pure.lists import List, people, token


def coded(bodies: st.SearchStrategy) -> st.SearchStrategy[bytes]:
    return bodies.map(inputs.text).map(str.encode)


WEEKS = st.fixed_dictionaries(
    {
        "schedules": st.one_of(SCHEDULES, SCHEDULES, inputs.VALUES),
        "offsets": st.one_of(st.just([[0, 60]]), OFFSETS, inputs.VALUES),
        "until": st.one_of(st.just(20_000), inputs.SCALARS),
    }
)


def a_record(bits: int, raw: bytes, counts: bytes) -> bytes:
    head = b"TGR2\0\0" + len(raw).to_bytes(2, "big") + bytes([bits, 0, 0, 0])
    return head + raw + bytes(32) + counts.ljust(1 << bits, b"\0") + b"\0\0" * (1 << bits)


RECORDS = st.builds(
    a_record,
    st.integers(0, 9),
    st.one_of(
        coded(REF_BODIES).map(lambda text: b"signed " + text),
        st.just(List(people(range(3)), 0).ref(1)[1]),
        inputs.JSON_BYTES,
    ),
    st.binary(max_size=3),
)
NTP = st.builds(
    lambda packet, mine: packet[:24] + (outcomes.STAMP if mine else packet[24:32]) + packet[32:],
    st.one_of(
        st.binary(max_size=50),
        st.builds(
            said,
            STAMPS,
            st.integers(0, 1 << 42),
            st.integers(0, 17),
            st.sampled_from((0x24, 0x1C, 0xE4)),
        ),
    ),
    st.booleans(),
)
UTF8 = st.one_of(
    st.text(max_size=20).map(str.encode), st.text("0123456789.", max_size=15).map(str.encode)
)

CORPORA: dict[str, tuple[int, st.SearchStrategy[bytes]]] = {
    "json": (70, inputs.JSON_BYTES),
    "message": (70, TEXTS),
    "unsigned": (20, st.binary(max_size=200)),
    "settings": (52, st.one_of(coded(SETTINGS), coded(GOOD_SETTINGS))),
    "week": (35, coded(WEEKS)),
    "command": (52, st.one_of(coded(COMMANDS), coded(VERDICTS))),
    "config": (52, FILES),
    "lamp": (28, FILES),
    "shard": (28, SHARDS.map(lambda drawn: drawn[1])),
    "index": (21, INDEXES),
    "ref": (28, coded(REF_BODIES)),
    "record": (28, inputs.some_damaged(RECORDS)),
    "versions": (35, VERSION_FILES),
    "dns": (42, st.one_of(inputs.some_damaged(REPLIES), CHAINS, st.binary(max_size=60))),
    "dns query": (21, UTF8),
    "ntp": (28, NTP),
    "address": (28, UTF8),
    "stream": (28, STREAMS),
}
JSON = (
    "json",
    "message",
    "settings",
    "week",
    "command",
    "config",
    "lamp",
    "ref",
    "record",
    "versions",
)


def answers(micropython: str, asked: list[tuple[str, bytes]]) -> list[str]:
    run = subprocess.run(
        [micropython, "-X", "heapsize=8m", "host_tests/fuzz/outcomes.py"],
        cwd=ROOT,
        env=environment(),
        input="".join(f"{name} {data.hex()}\n" for name, data in asked),
        capture_output=True,
        text=True,
        timeout=60 * TIMES,
    )
    found = run.stdout.splitlines()
    assert run.returncode == 0 and len(found) == len(asked), run.stdout[-500:] + run.stderr
    return found


def alike(name: str, data: bytes, here: str, there: str) -> bool:
    if here.startswith("raised") or there.startswith("raised"):
        return False
    if here == there:
        return True
    if name not in JSON:
        return False
    if here in ("ValueError", "MessageError json", "ok [True, 0, 0, 0]"):
        return True  # more lenient, or another error
    if here.startswith("ConfigError ") and there.startswith("ConfigError "):
        return True  # where several values are wrong: dictionaries there have another order
    if there in ("ValueError", "MessageError json", "ok [True, 0, 0, 0]"):
        # CPython takes more than the standard has.
        odd = (
            b"NaN",
            b"Infinity",
            b"\xef\xbb\xbf",
            b"\0",
            b"\xff\xfe",
            b"\xfe\xff",
            b"[" * 90,
            b'{"a":' * 90,
        )
        return any(each in data for each in odd)
    if b"\0" in data:
        return True  # CPython takes it for UTF-16, MicroPython for an end
    # A pair of surrogates is one character only for CPython; see below.
    return b"\\ud" in data.lower() and there[:3] == "ok " and here[:3] in ("ok ", "Con")


def test_both_interpreters_say_the_same(micropython: str) -> None:
    asked = [
        (name, data)
        for name, (count, strategy) in CORPORA.items()
        for data in corpus(count, strategy)
    ]
    there = answers(micropython, asked)
    here = [outcomes.outcome(name, data) for name, data in asked]
    for name, _ in asked:
        tried["both interpreters: " + name] += 1
    wrong = [
        (name, data, one, other)
        for (name, data), one, other in zip(asked, here, there, strict=True)
        if not alike(name, data, one, other)
    ]
    smallest = [
        min(found, key=lambda each: len(each[1]))
        for _, found in groupby(wrong, key=lambda each: each[0])
    ]
    assert not wrong, "\n".join(
        f"{name}: {data!r}\n  CPython     {one}\n  MicroPython {other}"
        for name, data, one, other in smallest
    )
    # Enough of them were right: refusing everything would be alike as well.
    for name in CORPORA:
        said_ok = [
            one
            for (each, _), one in zip(asked, here, strict=True)
            if each == name and one[:3] == "ok "
        ]
        if name != "unsigned":
            assert said_ok, name


def test_a_name_written_with_escapes_is_that_name_or_refused(micropython: str) -> None:
    text = inputs.text({**NEEDED, "wifi": {"ssid": "Garage \U0001f697"}}).encode()
    assert b"\\ud83d\\ude97" in text
    (found,) = answers(micropython, [("config", text)])
    assert found == outcomes.outcome("config", text) or found.startswith("ConfigError wifi.ssid")


NEEDED = {
    "installation": "a",
    "charger": "b",
    "charger_key": "0" * 64,
    "card_key": "1" * 64,
    "broker": {"host": "h"},
}


@pytest.mark.parametrize("bits", [0, 3])
def test_a_list_is_looked_up_alike(micropython: str, bits: int) -> None:
    shards = List(people(range(40)), bits).shards
    asked = [("shard", each) for each in shards] + [("shard", token(1))]
    assert answers(micropython, asked) == [outcomes.outcome(*each) for each in asked]
