"""Attacks on one charger by somebody who may say anything on its broker, and at the end by somebody
who even has its key: none is followed, each counts, and cards go on as before."""

import hashlib
import json
import struct
import time
from collections.abc import Iterator
from functools import partial
from itertools import product
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from host_tests.end_to_end.conftest import ANNA, STRANGER, Site, wait
from host_tests.end_to_end.seeing import (
    coil,
    light,
    ms_from_card_to,
    plug_in,
    rests,
    tap,
    unplug,
)
from host_tests.end_to_end.wire import Wire, signed
from tools.broker import AMQTT
from tools.fault_proxy import FaultProxy
from tools.portal import signing
from tools.portal.token import token
from tools.virtual.client import VirtualCharger

NAME = "watched"
OTHER = "watched-2"  # whose name begins with the other's
TAP_LIMIT_MS = 200  # as elsewhere: this computer is shared
EVERY_S = 60  # at most one report of a cause
FLOOD = 2_000
GROWTH_BYTES = 6_000  # of the heap, between two floods
LIST = ("digest", "cards", "problem")
SIGNED = ("settings", "allowlist", "command", "verdict")
BASE = f"tapgate/home/{NAME}/"


class Target:
    """The charger that is attacked, and all that is to be had of it."""

    def __init__(
        self,
        site: Site,
        way: FaultProxy,
        charger: VirtualCharger,
        wire: Wire,
        keys: dict[str, bytes],
    ):
        self.site = site
        self.way = way  # from the charger to the broker
        self.charger = charger
        self.wire = wire
        self.keys = keys  # the other charger's, and the cards'
        # What the portal has put there, by the topic's last word.
        self.good = {word: wire.last(word) for word in ("settings", "allowlist")}
        self.state = self.looked_at()

    def looked_at(self) -> dict[str, Any]:
        """A state that was worked out after everything sent so far had come."""
        for on, name in ((False, "unavailable"), (True, "available")):
            assert self._ordered(on)["ok"] is True
            wait(lambda name=name: self.wire.state["state"] == name, 5, name)
        self.state = self.wire.state
        return self.state

    def _ordered(self, on: bool) -> dict[str, Any]:
        """An order that meets a link just coming back may be lost: it is not retained."""
        try:
            return self.wire.command("available", on=on)
        except AssertionError:
            return self.wire.command("available", on=on)

    def published(self) -> None:
        """The portal has put something else there; the charger is to have it."""
        self.site.wait_in_step(NAME, 60)
        self.good.update({word: self.wire.last(word) for word in self.good})

    def version(self) -> int:
        """One that follows those of the portal, not by so much that it could not go on."""
        bodies = (
            signing.verified(self.wire.key, BASE + word, payload)
            for word, payload in self.good.items()
        )
        return max(body["v"] for body in bodies if body) + 1


@pytest.fixture(scope="module")
def powered(site: Site) -> Iterator[Target]:
    for name in (NAME, OTHER):
        site.tapgate("charger", "add", name)
    config = json.loads(site.config(NAME).read_text())
    other = json.loads(site.config(OTHER).read_text())
    wire = Wire(site.broker, NAME, bytes.fromhex(config["charger_key"]))
    try:
        site.tapgate("publish")
        with FaultProxy(site.broker.port) as way, site.charger(NAME, port=way.port) as charger:
            site.wait_in_step(NAME)
            keys = {"other": other["charger_key"], "cards": config["card_key"]}
            yield Target(site, way, charger, wire, {k: bytes.fromhex(v) for k, v in keys.items()})
            let_in_and_out(charger)
    finally:
        wire.close()


@pytest.fixture
def target(powered: Target) -> Iterator[Target]:
    """At rest before the attack; unharmed after it, whatever that was."""
    before = powered.state
    resets = powered.charger.status()["resets"]
    yield powered
    for word, payload in powered.good.items():
        powered.wire.put(word, payload)
    after = powered.looked_at()
    assert powered.charger.status()["resets"] == resets
    assert after["rejected"] > before["rejected"]
    for name in ("allowlist", "access", "authorisation_required", "faults", "errors"):
        one, two = before[name], after[name]
        if name == "allowlist":
            one, two = ({k: each.get(k) for k in LIST} for each in (one, two))
        assert one == two, name


def let_in_and_out(charger: VirtualCharger) -> None:
    """A stranger is refused, Anna is let in, both quickly."""
    plug_in(charger, "yellow")
    since = tap(charger, STRANGER)
    charger.wait_for(light("red"), 5, since)
    rests(charger, coil(True), 0.1, since)
    assert ms_from_card_to(charger, coil(True), tap(charger, ANNA)) < TAP_LIMIT_MS
    unplug(charger)


def refused(target: Target, *messages: tuple[str, bytes], retain: bool = False) -> None:
    """Send all of them: each is counted, none is followed, and few are reported."""
    before = target.state["rejected"]
    target.wire.put_all(messages, retain)
    after = target.looked_at()["rejected"]
    assert after - before == len(messages)
    reported: dict[tuple[str, str], int] = {}
    for event in target.wire.events:
        if event["event"] == "message_rejected":
            cause, up = (event["topic"], event["why"]), event["up"]
            assert up - reported.get(cause, -EVERY_S) >= EVERY_S, f"{cause} too often"
            reported[cause] = up


def tempting(**change: Any) -> dict[str, bytes]:
    """By topic: what an attacker would like to be followed."""
    now, v = int(time.time()), 1 << 44
    bodies = {
        "settings": {"v": v, "t": now, "access": "open"},
        "allowlist": {"v": v, "t": now, "index": "0" * 32, "cards": 0, "max_age_s": 0},
        "command": {
            "v": v, "t": now, "exp": now + 600, "command": "authorise",
            "token": "0123456789abcd", "role": "owner", "group": 0,
        },
        "verdict": {
            "v": v, "t": now, "n": 1, "token": "0123456789abcd", "verdict": "Accepted",
            "role": "owner",
        },
    }  # fmt: skip
    return {word: json.dumps(body | change).encode() for word, body in bodies.items()}


# --- without the key ---


def test_what_this_charger_was_not_sent_under_its_own_key(target: Target):
    key, wrong = target.wire.key, []
    for word, text in tempting().items():
        topic = BASE + word
        elsewhere = [BASE + each for each in (*SIGNED, "event", "state") if each != word]
        elsewhere += [f"tapgate/home/{OTHER}/{word}", f"tapgate/office/{NAME}/{word}", topic + "/"]
        wrong += [signed(key, each, text) for each in elsewhere]
        wrong += [
            signed(each, topic, text) for each in (target.keys["other"], bytes(32), b"", key[1:])
        ]
        refused(target, *((word, each) for each in wrong))
        wrong.clear()


def test_what_looks_signed(target: Target):
    for word, text in tempting().items():
        good = signed(target.wire.key, BASE + word, text)
        digits = good[:64]
        wrong = [
            text,
            b" " + text,
            digits.upper() + b" " + text,
            digits + text,
            digits + b"\t" + text,
            digits + b"  " + text,
            digits[:-1] + b" " + text,
            b" " + good,
            b"\xef\xbb\xbf" + good,
            b"0x" + good,
            good + b" ",
            good + b"\n",
            good + b"\0",
            good[:-1],
            good.replace(b"0", b"1", 1) if digits[:1] != b"1" else good.replace(b"1", b"0", 1),
            digits[::-1] + b" " + text,
            b"g" * 64 + b" " + text,
            b"\xff" * 64 + b" " + text,
            b"\0" * 70,
            digits,
            digits + b" ",
            b"{}",
            b"\x80" * 9,
        ]
        refused(target, *((word, each) for each in wrong))


def test_what_is_signed_for_something_else_that_the_charger_says(target: Target):
    """Its own words come back to it: events are signed with the same key."""
    target.wire.command("identify")
    event = target.wire.last("event")
    state = target.wire.last("state")
    refused(target, *((word, payload) for word in SIGNED for payload in (event, state)))


def test_what_was_sent_once_is_not_followed_again(target: Target):
    site, wire = target.site, target.wire
    v, exp = time.time_ns() // 1_000_000, int(time.time()) + 600
    order = wire.signed(
        "command", v=v, exp=exp, command="authorise", token="0123456789abcd", role="owner", group=0
    )
    plug_in(target.charger, "yellow")
    since = target.charger.mark()
    wire.put("command", order, False)
    target.charger.wait_for(coil(True), 5, since)
    unplug(target.charger)
    old = dict(target.good)
    site.change("access", "open", "--charger", NAME)
    opened = wire.last("settings")
    site.change("access", "restricted", "--charger", NAME)
    site.change("card", "add", "anna@x.org", "--number", "0badcafe", "--as", "hex")
    site.wait_in_step(NAME)
    with_both = wire.last("allowlist")
    site.change("card", "remove", "0badcafe", "--as", "hex")
    site.wait_in_step(NAME)
    target.published()
    rolled_back = [
        ("command", order),
        ("settings", opened),
        ("settings", old["settings"]),
        ("allowlist", with_both),
        ("allowlist", old["allowlist"]),
    ]
    refused(target, *rolled_back, *rolled_back)


def test_a_command_that_is_kept_for_later(target: Target):
    """Retained, and so delivered again at each connect: once is all that it counts."""
    wire = target.wire
    v, exp = time.time_ns() // 1_000_000, int(time.time()) + 600
    wire.put("command", wire.signed("command", v=v, exp=exp, command="identify"))
    wire.wait_for("command_done", lambda event: event["v"] == v)
    heard = len(wire.said[BASE + "state"])
    target.way.drop()
    wait(partial(is_back, wire, heard), 60, "back")
    wait(partial(refused_since, target, target.state["rejected"]), 10, "refused the second time")
    # An event whose acknowledgement went with the connection comes twice, under one number.
    done = {e["n"] for e in wire.events if e["event"] == "command_done" and e["v"] == v}
    assert len(done) == 1
    wire.put("command", b"")


def test_an_empty_payload_deletes_nothing_on_the_charger(target: Target):
    refused(target, *((word, b"") for word in SIGNED), retain=True)


def test_payloads_of_no_use(target: Target):
    sizes = (1, 63, 64, 65, 66, 8_191, 8_192, 8_193, 8_200, 20_000, 65_535, 1_000_000)
    fillers = (b"\0", b"[", b"\xff", b'{"v":1,')
    for filler in fillers:
        refused(
            target,
            *((word, (filler * size)[:size]) for word, size in product(SIGNED, sizes)),
        )


def test_topics_that_are_almost_the_chargers(target: Target):
    """None of these reaches it, or all that does is refused: it asked for exactly its own."""
    key = target.wire.key
    client = _connected(target.site)
    near = [
        topic
        for word in SIGNED
        for topic in (
            f"tapgate/home/{OTHER}/{word}",
            f"tapgate/home/{NAME[:-1]}/{word}",
            f"tapgate/home/{NAME}//{word}",
            f"tapgate/home/{NAME}/{word}/",
            f"tapgate/home/{NAME}/{word}/x",
            f"/tapgate/home/{NAME}/{word}",
            f"tapgate/home/{NAME}/{word.upper()}",
            f"tapgate/HOME/{NAME}/{word}",
            f"tapgate/home/object/../{NAME}/{word}",
            f"$SYS/tapgate/home/{NAME}/{word}",
            f"tapgate/home/{NAME}/{word}\u200b",
            "x" * 60_000,
        )
    ]
    near += [f"tapgate/home/object/{name}" for name in ("", "x", "0" * 32, "F" * 32, "../settings")]
    try:
        for topic in near:
            for text in tempting().values():
                for retain in (True, False):
                    client.publish(topic, signed(key, topic, text), 1, retain).wait_for_publish(5)
        refused(target, *((word, b"x") for word in SIGNED))  # and these alone are counted
    finally:
        for topic in near:
            client.publish(topic, b"", 1, True).wait_for_publish(5)
        _gone(client)


def test_every_quality_of_service_is_refused_alike(target: Target):
    client = _connected(target.site)
    try:
        before = target.state["rejected"]
        for word, (qos, retain) in product(SIGNED, product((0, 1, 2), (False, True))):
            client.publish(BASE + word, b"x" * 70, qos, retain).wait_for_publish(5)
        wait(lambda: target.looked_at()["rejected"] - before == 6 * len(SIGNED), 10, "counted")
    finally:
        for word in SIGNED:
            client.publish(BASE + word, b"", 1, True).wait_for_publish(5)
        _gone(client)


def test_somebody_takes_the_chargers_own_name_at_the_broker(target: Target):
    """The broker sends one of two with the same client id away: cards do not notice."""
    refused(target, ("settings", b"x"))
    if target.site.broker.kind == AMQTT:
        pytest.skip(
            "the embedded broker keeps both, against MQTT 3.1.4, and serves the first no more"
        )
    thief = _connected(target.site, client_id=f"charger-home-{NAME}")
    try:
        let_in_and_out(target.charger)
    finally:
        _gone(thief)
    wait(lambda: target.wire.state.get("online"), 60, "online again")


def test_a_flood_slows_no_tap_and_takes_no_memory(target: Target):
    charger = target.charger
    used = []
    for _ in range(3):
        before = target.looked_at()["rejected"]
        client = _connected(target.site)
        plug_in(charger, "yellow")
        try:
            for i in range(FLOOD):
                word = SIGNED[i % 2]
                payload = b"%064d {}" % i if i % 7 else b"y" * 9_000
                client.publish(BASE + word, payload, qos=0)
                if i == FLOOD // 3:
                    since = tap(charger, ANNA)
                    assert ms_from_card_to(charger, coil(True), since) < TAP_LIMIT_MS
            sent = client.publish(BASE + "settings", b"the last", qos=1)
            sent.wait_for_publish(60)
        finally:
            _gone(client)
        unplug(charger)
        # What the broker had no room for it dropped: how many that are is its own affair.
        wait(lambda before=before: target.looked_at()["rejected"] > before + 100, 60, "counted")
        used.append(min(charger.status()["heap_used"] for _ in range(5)))
    assert used[2] - used[1] < GROWTH_BYTES, used


# --- with the key: what no portal would send does no harm either ---

ODD: list[Any] = [
    None, True, -1, 0, 1.5, 1 << 47, 10**400, "", "x", "0" * 32, "\0", "\ud800", [], {}, [[]],
    {"": None}, "é" * 300,
]  # fmt: skip
FIELDS = {
    "settings": (
        "v", "t", "access", "authority", "offline", "operator_wait_s", "service_may_start",
        "stop_on_withdrawal", "resume_within_s", "schedules", "offsets", "offsets_until",
    ),
    "allowlist": ("v", "t", "index", "cards", "max_age_s"),
    "command": ("v", "t", "exp", "command"),
    "verdict": ("v", "t", "n", "token", "verdict", "role", "group"),
}  # fmt: skip
# Of the odd ones these are right there (or, of a list, are found wrong only when it is fetched).
LEGAL = {
    "t": (0,),
    "service_may_start": (True,),
    "stop_on_withdrawal": (True,),
    "resume_within_s": (0,),
    "schedules": ({},),
    "offsets": ([],),
    "offsets_until": (0,),
    "exp": (1 << 47, 10**400),
    "index": ("0" * 32,),
    "cards": (0, 1 << 47, 10**400),
    "max_age_s": (0, 1 << 47, 10**400),
    "command": ("x", "0" * 32, "\0", "\ud800", "", "é" * 300),  # answered: there is no such command
}


def is_legal(field: str, odd: Any) -> bool:
    return any(type(odd) is type(each) and odd == each for each in LEGAL.get(field, ()))


def wanted(target: Target, word: str) -> bytes:
    """What would be followed as it is. Of orders and verdicts none may be, so that their versions
    need not leave room for later ones."""
    if word in target.good:
        return tempting(v=target.version())[word]
    return tempting()[word]


@pytest.mark.parametrize("word", FIELDS)
def test_values_of_every_wrong_kind_in_every_field(target: Target, word: str):
    good = json.loads(wanted(target, word))
    wrong = [
        signing.sign(target.wire.key, BASE + word, good | {field: odd})
        for field, odd in product(FIELDS[word], ODD)
        if word == "verdict" or not is_legal(field, odd)  # an answer nobody asked for is wrong too
    ]
    refused(target, *((word, each) for each in wrong))


def test_missing_fields(target: Target):
    for word in SIGNED:
        good = json.loads(wanted(target, word))
        needed = {
            "settings": ("v", "t"),
            "allowlist": tuple(good),
            "command": ("v", "t", "exp", "command"),
            "verdict": ("v", "t", "n", "token", "verdict"),
        }[word]
        wrong = [{k: v for k, v in good.items() if k != each} for each in needed]
        refused(target, *((word, signing.sign(target.wire.key, BASE + word, b)) for b in wrong))


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("authorise", {"token": "0123456789abcd", "role": "owner", "group": 0}),
        ("available", {"on": False}),
        ("enrol", {"seconds": 10}),
        ("stop", {"token": "0123456789abcd", "reason": "x"}),
    ],
)
def test_orders_with_odd_fields_are_answered_and_not_done(target: Target, name: str, fields: dict):
    wire = target.wire
    refused(target, ("command", b"x"))
    v = 0
    for field in fields:
        sent = {}
        for odd in ODD:
            if type(odd) is int and odd >= 0 and field in ("group", "seconds"):
                continue  # right, or as many seconds as it allows
            if field == "on" and odd is True:
                continue
            v, exp = max(v + 1, time.time_ns() // 1_000_000), int(time.time()) + 60
            sent[v] = odd
            order = wire.signed("command", v=v, exp=exp, command=name, **fields | {field: odd})
            wire.put("command", order, False)
        for v, odd in sent.items():
            done = wire.wait_for("command_done", lambda event, v=v: event["v"] == v)
            assert done["ok"] is False and done["why"], (field, odd)
    assert wire.state["state"] == "available"


SYNTAX = [
    b"", b"{", b"}", b"[]", b"null", b"true", b"1", b'"x"', b"[" * 200 + b"]" * 200,
    b'{"a":' * 200 + b"1" + b"}" * 200, b"[{" * 100, b'{"v":1', b'{"v":1,', b"{'v':1}", b"{v:1}",
    b'{"v":1}{"v":2}', b'{"v":1}]', b'{"v":1} x', b"{}\0", b"\0",
    b"\xef\xbb\xbf{}", b"\xff\xfe{\0}\0",
    b'{"v":\x80}', b'{"\xc3\x28":1}', b"// {}", b"NaN", b"-", b"1e", b'"\\u12"', b"[1,]", b'{"v"}',
]  # fmt: skip
# In a message that is refused for its access mode at the latest.
INSIDE = [
    "NaN", "Infinity", "-Infinity", "1e999", "-1e999", "1e-999", "9" * 4_000, "-" + "9" * 4_000,
    "0." + "9" * 4_000, "1e" + "9" * 300, "00", "0x10", "+1", "1_000", ".5", "5.", "--1",
    '"\\ud800"', '"\\udc00\\ud800"', '"\\u0000"', '"\0"', '"\n"', '"' + "x" * 7_000 + '"',
    '"' + "[" * 7_000 + '"', '"\\"[[[[[[[[[[[[[[[["', "[" * 200 + "]" * 200, "[[[[[[1]]]]]]",
    "[" + "1," * 3_000 + "1]", "{" + ",".join(f'"{i}":{i}' for i in range(700)) + "}",
    '1,"x":2,"x":3', '1,"v":' + str(1 << 44), '1,"access":"ajar"', '{"v":1}', "undefined", "",
]  # fmt: skip


def test_texts_that_are_no_json_or_hardly(target: Target):
    key, head = target.wire.key, b'{"v":%d,"t":%d,"access":"ajar","x":' % (target.version(), 1)
    refused(
        target,
        *((word, signed(key, BASE + word, text)) for word, text in product(SIGNED, SYNTAX)),
    )
    texts = [head + each.encode("utf-8", "surrogatepass") + b"}" for each in INSIDE]
    assert max(map(len, texts)) < 8_000
    refused(target, *(("settings", signed(key, BASE + "settings", each)) for each in texts))


def test_orders_that_come_too_late(target: Target):
    now = int(time.time())
    texts = [tempting(exp=exp)["command"] for exp in (0, 1, now - 3_600, now - 60, -1, -(10**9))]
    refused(target, *(("command", signed(target.wire.key, BASE + "command", t)) for t in texts))


def entry(card: bytes, flags: int = 1) -> bytes:
    return card + bytes(2 + 3 + 3) + bytes([flags])


def shard(*entries: bytes, count: int | None = None, magic: bytes = b"TGS1") -> bytes:
    count = len(entries) if count is None else count
    return struct.pack(">4sHH", magic, count, 0) + b"".join(entries)


def index(
    cards: int, *shards: bytes, bits: int | None = None, magic: bytes = b"TGI1", rest: bytes = b""
) -> bytes:
    bits = (len(shards) - 1).bit_length() if bits is None else bits
    return struct.pack(">4sB3xI", magic, bits, cards) + b"".join(map(named, shards)) + rest


def named(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()[:16]


def false_lists(card: bytes) -> dict[str, tuple[int, bytes, tuple[bytes, ...]]]:
    """By what is wrong with it: the ref's number of cards, the index, the shards. All of them would
    let the stranger's card in."""
    one, low, high = entry(card), entry(b"\0" * 7), entry(b"\xff" * 7)
    right = shard(one)
    elsewhere = (shard(), right) if card[0] < 0x80 else (right, shard())
    two = sorted((one, low))
    found: dict[str, tuple[int, bytes, tuple[bytes, ...]]] = {
        "another magic": (1, index(1, right, magic=b"TGI2"), (right,)),
        "more bits than digests": (1, index(1, right, bits=1), (right,)),
        "bits beyond all measure": (1, index(1, right, bits=255), (right,)),
        "fewer bits than digests": (1, index(1, right, right, bits=0), (right,)),
        "something after the digests": (1, index(1, right, rest=b"x"), (right,)),
        "half an index": (1, index(1, right)[:20], (right,)),
        "a shard for an index": (1, right, (right,)),
        "cards otherwise than the ref says": (2, index(1, right), (right,)),
        "cards otherwise than the index says": (2, index(2, right), (right,)),
        "many cards for one": (10**9, index(10**9 & 0xFFFFFFFF, right), (right,)),
        "no shards": (0, struct.pack(">4sB3xI", b"TGI1", 0, 0), ()),
        "the same shard everywhere": (2, index(2, right, right), (right,)),
        "cards in the shard of others": (1, index(1, *elsewhere), elsewhere),
    }  # fmt: skip
    for what, wrong in {
        "a count too large": shard(one, count=2),
        "a count too small": shard(*two, count=1),
        "a count beyond all measure": shard(one, count=65_535),
        "another magic in a shard": shard(one, magic=b"TGS2"),
        "half a card": shard(one)[:-8],
        "a byte too many": shard(one) + b"x",
        "an index for a shard": index(1, right),
        "cards out of order": shard(*sorted((one, low, high), reverse=True)),
        "one card twice": shard(one, one),
        "too many cards": shard(*sorted([*(entry(i.to_bytes(7, "big")) for i in range(256)), one])),
    }.items():
        cards = max(1, (len(wrong) - 8) // 16)
        found[what] = (cards, index(cards, wrong), (wrong,))
    return found


def refused_since(target: Target, count: int) -> dict[str, Any] | None:
    state = target.looked_at()
    return state if state["rejected"] > count else None


def test_lists_that_are_none_under_a_true_signature(target: Target):
    wire, charger = target.wire, target.charger
    card = token(target.keys["cards"], bytes.fromhex(STRANGER))
    client = _connected(target.site)
    objects: dict[str, bytes] = {}
    seen = target.looked_at()
    held = seen["allowlist"]["digest"]
    try:
        v = target.version()
        for number, (what, (cards, top, shards)) in enumerate(false_lists(card).items()):
            for content in (top, *shards):
                topic = f"tapgate/home/object/{named(content).hex()}"
                objects[topic] = content
                client.publish(topic, content, 1, True).wait_for_publish(5)
            ref = {"index": named(top).hex(), "cards": cards, "max_age_s": 0}
            wire.put("allowlist", wire.signed("allowlist", v=v + number, **ref))
            seen = wait(partial(refused_since, target, seen["rejected"]), 10, f"refused: {what}")
            assert seen["allowlist"]["digest"] == held, what
            if number % 4 == 0:
                plug_in(charger, "yellow")
                rests(charger, coil(True), 0.3, tap(charger, STRANGER))
                unplug(charger)
    finally:
        for topic in objects:
            client.publish(topic, b"", 1, True).wait_for_publish(5)
        _gone(client)
        target.site.tapgate("publish", "--all")
    target.published()


def test_an_entry_without_a_meaning_lets_nobody_in(target: Target):
    """The list is whole and is applied; its cards are a role that is none, a schedule that nobody
    has said, and bounds in the wrong order."""
    wire, charger = target.wire, target.charger
    numbers = ("0bad0001", "0bad0002", "0bad0003")
    cards = [token(target.keys["cards"], bytes.fromhex(each)) for each in numbers]
    backwards = cards[2] + bytes(2) + b"\x50\0\0" + b"\0\0\x01" + b"\x01"
    only = shard(*sorted((entry(cards[0], 3), entry(cards[1], 1 | 31 << 3), backwards)))
    top = index(3, only)
    objects = {f"tapgate/home/object/{named(each).hex()}": each for each in (only, top)}
    refused(target, ("allowlist", b"x"))
    client = _connected(target.site)
    try:
        for topic, content in objects.items():
            client.publish(topic, content, 1, True).wait_for_publish(5)
        ref = {"index": named(top).hex(), "cards": 3, "max_age_s": 0}
        wire.put("allowlist", wire.signed("allowlist", v=target.version(), **ref))
        wait(lambda: wire.state["allowlist"]["digest"] == ref["index"], 10, "applied")
        plug_in(charger, "yellow")
        for number in numbers:
            rests(charger, coil(True), 0.2, tap(charger, number))
        unplug(charger)
    finally:
        for topic in objects:
            client.publish(topic, b"", 1, True).wait_for_publish(5)
        _gone(client)
        target.site.tapgate("publish", "--all")
    target.published()
    refusals = [each for each in wire.events if each["event"] == "card_refused"][-3:]
    assert [each["verdict"] for each in refusals] == ["Unknown", "NotAtThisTime", "Expired"]


def is_back(wire: Wire, heard: int) -> bool:
    """Whether the charger has said something since so many states: its last will does not count."""
    return any(json.loads(each)["online"] for each in wire.said[BASE + "state"][heard:])


def test_other_content_under_an_objects_name(target: Target):
    """The ref is the portal's; what lies under the names that it leads to is not."""
    site, wire = target.site, target.wire
    client = _connected(site)
    refused(target, ("allowlist", b"x"))
    topics: set[str] = set()
    client.on_message = lambda _client, _data, message: topics.add(message.topic)
    client.subscribe("tapgate/home/object/+", 1)
    try:
        seen = target.looked_at()
        held = seen["allowlist"]["digest"]
        target.charger.do("link", up=False)
        known = set(topics)
        site.change("card", "add", "anna@x.org", "--number", "0badf00d", "--as", "hex")
        wait(lambda: topics - known, 5, "published")
        good = shard(entry(b"\x12" * 7))
        for topic in topics:
            client.publish(topic, good, 1, True).wait_for_publish(5)
        heard = len(wire.said[BASE + "state"])
        target.charger.do("link", up=True)
        wait(partial(is_back, wire, heard), 60, "back")
        seen = wait(partial(refused_since, target, seen["rejected"]), 10, "refused")
        assert seen["allowlist"]["digest"] == held
        site.tapgate("card", "remove", "0badf00d", "--as", "hex")
        site.tapgate("publish", "--all")
        target.published()
    finally:
        _gone(client)


def _connected(site: Site, client_id: str = "") -> mqtt.Client:
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=client_id)
    client.max_queued_messages_set(0)
    client.connect(site.broker.host, site.broker.port)
    client.loop_start()
    return client


def _gone(client: mqtt.Client) -> None:
    client.disconnect()
    client.loop_stop()
