"""All that a broker may bring to a charger: settings, lists, commands, verdicts and objects.

Whatever comes, nothing is raised; what is refused changes nothing; what is taken was signed, is
newer than what was before it, and leaves only values that are allowed. All of it is there after a
restart.
"""

import json
from binascii import hexlify
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import strategies as st

from firmware import flash
from firmware.access.words import ROLES
from firmware.allowlist.store import Store
from firmware.allowlist.sync import Sync
from firmware.clock import EPOCH_2024, Clock
from firmware.commands import Commands, SwitchedOff
from firmware.downlink import Downlink
from firmware.link.messages import Versions, sign, verify
from firmware.link.topics import Topics
from firmware.settings import Settings
from host_tests.fuzz import inputs
from host_tests.fuzz.flash_in_memory import FlashInMemory
from host_tests.fuzz.outcomes import DEFAULTS
from host_tests.fuzz.trying import fuzz, tried
from host_tests.pure.flash_model import Files, Flash
from host_tests.pure.lists import List, people, token

KEY = b"k" * 32
TOPICS = Topics("home", "left")
NOW = EPOCH_2024 + 90_000_000
TOKEN = hexlify(token(1)).decode()
LISTS = [List(people(range(count)), bits) for count, bits in ((0, 0), (3, 0), (12, 1))]
ALLOWED = {
    "access": ("open", "restricted"),
    "authority": ("native", "operator"),
    "offline": ("deny", "list"),
    "operator_wait_s": range(1, 61),
    "service_may_start": (True, False),
    "stop_on_withdrawal": (True, False),
    "resume_within_s": range(1 << 30),
}


class Rtc:
    def datetime(self, *_: Any) -> tuple:
        return (2000, 1, 1, 0, 0, 0, 0, 0)


class Point:
    """A charge point that notes what it is told, and takes it all."""

    def __init__(self) -> None:
        self.told: list[tuple] = []
        self.session = self
        self.holder = (token(2),)
        self.progress = 0
        self.left = None

    def end_left(self, reason: str) -> None:
        """Nothing waits."""

    def happened(self, event: tuple) -> None:
        self.told.append(event)

    def enrol(self, seconds: int, v: int) -> None:
        self.told.append(("enrol", seconds, v))

    def answer(self, n: int, of: bytes, role: str, group: int, word: str) -> bool:
        self.told.append(("answer", n, of, role, group, word))
        return True


class Light:
    def identify(self, _: int) -> None:
        """Nothing to see."""


class Charger:
    """What of a charger stands behind its link. `files`, `flash`: what outlives a restart."""

    def __init__(self, before: "Charger | None" = None):
        self.files = FlashInMemory.current.files
        self.flash = before.flash if before else Flash()
        self.events: list[tuple[str, dict]] = []
        self.point = Point()
        self.now_ms = 0
        self.clock = Clock(Rtc(), ticks=lambda: self.now_ms)
        self.clock.lower_bound(NOW)
        self.versions = Versions("versions")
        self.settings = Settings("settings", self._verified(TOPICS.settings), DEFAULTS)
        self.settings.load()
        self.versions.floor("settings", self.settings.version)
        self.store = Store("list", self._verified(TOPICS.allowlist), Files(self.flash))
        self.store.load()
        if self.store.applied:
            self.versions.floor("allowlist", self.store.applied.version)
        self.rejected: list[str] = []
        self.asked: list[str] = []
        self.sync = Sync(
            self.store,
            self._ask,
            lambda version, *_: self.versions.floor("allowlist", version),
            self._list_rejected,
        )
        commands = Commands(
            self.point,
            Light(),
            SwitchedOff("available"),
            lambda: self.point.told.append(("restart",)),
        )
        self.downlink = Downlink(
            KEY,
            TOPICS,
            self.versions,
            self.settings,
            self.sync,
            self.clock,
            commands.by_name,
            commands.answer,
            lambda event, fields: self.events.append((event, fields)),
            lambda: None,
        )

    def _ask(self, digest: str) -> int:
        self.asked.append(digest)
        return 1

    def _verified(self, topic: str) -> Any:
        return lambda raw: verify(KEY, topic, raw)

    def _list_rejected(self, why: str, detail: str) -> None:
        self.downlink.reject(TOPICS.allowlist, why, detail)

    def in_force(self) -> tuple:
        """All that a message may change, but for the clock."""
        return (
            self.settings.version,
            [self.settings[name] for name in ALLOWED],
            [self.settings.in_schedule(n, 1_000_000) for n in range(32)],
            [self.versions.last(name) for name in ("settings", "allowlist", "command", "verdict")],
            self.store.applied,
            self.sync.busy,
            list(self.point.told),
            dict(FlashInMemory.current.files),
        )


@pytest.fixture(autouse=True, scope="module")
def memory() -> Iterator[FlashInMemory]:
    with FlashInMemory.in_place_of(flash) as found:
        yield found


# --- what is sent ---------------------------------------------------------------------------------

VERSIONS = st.one_of(
    st.integers(1, 6),
    st.integers(2, 9),
    st.integers(1, 6),
    st.sampled_from((0, -1, True, 1.0, None)),
)
TIMES = st.one_of(
    st.just(NOW),
    st.just(NOW),
    st.just(NOW),
    st.integers(NOW - 700, NOW + 90_000),
    st.sampled_from((0, 1 << 40, "now")),
)
WINDOWS = st.lists(st.integers(0, 10_081), max_size=6).map(
    lambda minutes: "".join(f"{minute:04x}" for minute in sorted(minutes))
)
SCHEDULES = st.dictionaries(
    st.one_of(st.integers(0, 32).map(str), inputs.TEXTS),
    st.one_of(WINDOWS, inputs.SCALARS),
    max_size=3,
)
OFFSETS = st.lists(
    st.lists(
        st.one_of(st.integers(-1_441, 1_441), st.integers(0, 1 << 30), inputs.SCALARS),
        min_size=1,
        max_size=3,
    ),
    max_size=3,
)
OF_ALLOWED = {
    name: st.one_of(st.sampled_from(allowed[:61]), inputs.VALUES)
    for name, allowed in ALLOWED.items()
}
SETTINGS = st.fixed_dictionaries(
    {},
    optional={
        **OF_ALLOWED,
        "schedules": st.one_of(SCHEDULES, inputs.VALUES),
        "offsets": st.one_of(OFFSETS, inputs.VALUES),
        "offsets_until": st.one_of(st.integers(0, 1 << 31), inputs.SCALARS),
        "newer": inputs.VALUES,
    },
)
# Most are right but for one value: more than one wrong thing hides the others.
GOOD_SETTINGS = st.fixed_dictionaries(
    {},
    optional={name: st.sampled_from(allowed[:61]) for name, allowed in ALLOWED.items()}
    | {
        "schedules": st.just({"3": "0000003c" + "00780096"}),
        "offsets": st.just([[0, 60], [1_000, -120]]),
        "offsets_until": st.just(2_000),
    },
)
REFS = st.one_of(
    st.sampled_from(LISTS).map(
        lambda each: {k: v for k, v in each.ref(1)[0].items() if k not in "vt"}
    ),
    st.fixed_dictionaries(
        {},
        optional={
            "index": st.one_of(
                st.text("0123456789abcdefA", min_size=31, max_size=33), inputs.VALUES
            ),
            "cards": inputs.SCALARS,
            "max_age_s": inputs.SCALARS,
        },
    ),
)
NAMES = ("authorise", "available", "enrol", "identify", "restart", "selftest", "stop")
PERSONS = {
    "token": st.one_of(st.just(TOKEN), st.just(TOKEN[:-1]), inputs.VALUES),
    "role": st.one_of(st.sampled_from(ROLES), inputs.VALUES),
    "group": st.one_of(st.integers(-1, 65_536), inputs.VALUES),
}
COMMANDS = st.fixed_dictionaries(
    {
        "command": st.one_of(st.sampled_from(NAMES), st.sampled_from(NAMES), inputs.VALUES),
        "exp": st.one_of(st.integers(NOW - 2, NOW + 60), st.just(NOW + 60), inputs.VALUES),
    },
    optional={
        **PERSONS,
        "on": st.one_of(st.booleans(), inputs.VALUES),
        "seconds": st.one_of(st.integers(-1, 600), inputs.VALUES),
        "reason": inputs.VALUES,
    },
)
VERDICTS = st.fixed_dictionaries(
    {"n": st.one_of(st.integers(0, 9), inputs.VALUES)},
    optional={
        **PERSONS,
        "verdict": st.one_of(st.sampled_from(("Accepted", "Blocked", "x" * 33)), inputs.VALUES),
    },
)
GOOD_COMMANDS = st.fixed_dictionaries(
    {
        "command": st.sampled_from(NAMES),
        "exp": st.just(NOW + 60),
        "token": st.just(TOKEN),
        "role": st.sampled_from(ROLES),
        "on": st.booleans(),
        "seconds": st.integers(0, 60),
    }
)
GOOD_VERDICTS = st.fixed_dictionaries(
    {
        "n": st.integers(0, 9),
        "verdict": st.just("Accepted"),
        "token": st.just(TOKEN),
        "role": st.sampled_from(ROLES),
        "group": st.integers(0, 65_535),
    }
)
OTHERS = st.one_of(
    inputs.WRONG, st.sampled_from((TOKEN[2:], TOKEN + "00", "x" * 33, 65_536, NOW - 1))
)
KINDS = {
    TOPICS.settings: st.one_of(
        GOOD_SETTINGS,
        st.just({"access": "open", "authority": "operator"}),
        inputs.one_wrong(GOOD_SETTINGS, tuple(ALLOWED), OTHERS),
        SETTINGS,
    ),
    TOPICS.allowlist: REFS,
    TOPICS.command: st.one_of(
        GOOD_COMMANDS,
        inputs.one_wrong(GOOD_COMMANDS, ("exp", "token", "role", "group", "on", "seconds"), OTHERS),
        COMMANDS,
    ),
    TOPICS.verdict: st.one_of(
        GOOD_VERDICTS,
        inputs.one_wrong(GOOD_VERDICTS, ("n", "verdict", "token", "role", "group"), OTHERS),
        VERDICTS,
    ),
}


def signed(topic: str, body: dict, v: Any, t: Any) -> tuple[str, bytes]:
    return topic, sign(KEY, topic, {**body, "v": v, "t": t})


def of_topic(topic: str) -> st.SearchStrategy[tuple[str, bytes]]:
    good = st.builds(signed, st.just(topic), KINDS[topic], VERSIONS, TIMES)
    return st.one_of(
        good,
        good,
        good,
        st.builds(
            lambda one, edits: (one[0], edits), good, inputs.damaged(good.map(lambda o: o[1]))
        ),
        st.tuples(st.sampled_from(tuple(KINDS)), good.map(lambda one: one[1])),
    )


OBJECTS = st.sampled_from([each for one in LISTS for each in one.objects.items()])
MESSAGES = st.one_of(
    *map(of_topic, KINDS),
    OBJECTS.map(lambda one: (TOPICS.object(one[0]), one[1])),
    st.builds(
        lambda one, data: (TOPICS.object(one[0]), data),
        OBJECTS,
        inputs.damaged(OBJECTS.map(lambda one: one[1])),
    ),
    st.tuples(
        st.one_of(st.sampled_from((TOPICS.object(""), TOPICS.state, "", "\x00")), st.text()),
        st.binary(max_size=90),
    ),
)


@fuzz("messages to a charger", 100, st.lists(MESSAGES, min_size=3, max_size=8), counts=False)
def test_what_is_refused_changes_nothing_and_what_is_taken_is_right(
    messages: list[tuple[str, bytes]],
) -> None:
    FlashInMemory.current.files = {}
    charger = Charger()
    for topic, payload in messages:
        tried["messages to a charger"] += 1
        before, clock = charger.in_force(), charger.clock.now()
        rejected = charger.downlink.rejected
        events = len(charger.events)
        # Two bytes kept beyond the payload: a link hands out a view of its own buffer.
        charger.downlink.message(topic, memoryview(payload + b"\0\0")[: len(payload)])
        for _ in range(3):
            charger.sync.tick(0)
        after = charger.in_force()
        if charger.downlink.rejected > rejected and topic in (TOPICS.settings, TOPICS.command):
            assert after == before, payload
        assert charger.clock.now() >= clock  # type: ignore[operator]
        check(charger, topic, payload, before, after)
        for event, fields in charger.events[events:]:
            assert event in ("message_rejected", "settings_applied", "command_done")
            assert json.loads(json.dumps(fields)) == fields
    # All that counts is there after a restart.
    again = Charger(charger)
    for part in (0, 1, 2, 4):
        assert inputs.same(again.in_force()[part], charger.in_force()[part]), part
    assert again.versions.last("command") == charger.versions.last("command")
    assert holds_a_list_or_nobody(again)


def check(charger: Charger, topic: str, payload: bytes, before: tuple, after: tuple) -> None:
    for version, former in zip(after[3], before[3], strict=True):
        assert version >= former
    assert after[0] >= before[0]
    for name, allowed in ALLOWED.items():
        found = charger.settings[name]
        assert found in allowed and type(found) in (str, int, bool)
        assert type(found) is not bool or allowed == (True, False)
    if charger.settings["authority"] == "operator":
        assert charger.settings["access"] == "restricted"
    if after[0] != before[0] or after[1] != before[1]:
        body = verify(KEY, TOPICS.settings, payload)
        assert topic == TOPICS.settings and after[0] == body["v"] > before[0]
    told = after[6][len(before[6]) :]
    if told:
        body = verify(KEY, topic, payload)
        assert topic in (TOPICS.command, TOPICS.verdict)
        place = 2 if topic == TOPICS.command else 3
        assert body["v"] == after[3][place] > before[3][place]
        if topic == TOPICS.command:
            assert body["exp"] >= NOW
        assert len(told) <= 2
    for event in told:
        if event[0] in ("authorise", "answer"):
            *_, of, role, group = event[:4] if event[0] == "authorise" else event[:5]
            assert len(of) == 7 and role in ROLES and type(group) is int and 0 <= group <= 0xFFFF
    assert holds_a_list_or_nobody(charger)


def holds_a_list_or_nobody(charger: Charger) -> bool:
    """The list in force is one of those that were published, whole, and nobody else is let in."""
    applied = charger.store.applied
    known = [one for one in LISTS if applied and one.ref(1)[0]["index"] == applied.index]
    cards = known[0].cards if known else {}
    assert bool(known) == (applied is not None)
    return all(charger.store.lookup(token(n)) == cards.get(token(n)) for n in range(14))


def test_a_token_is_seven_bytes_or_none() -> None:
    FlashInMemory.current.files = {}
    charger = Charger()
    person = {"role": "user", "n": 1, "verdict": "Accepted", "exp": NOW + 60}
    tokens = (TOKEN[2:], TOKEN + "00", TOKEN[1:], "", 7, None, [TOKEN], "ü" * 14, TOKEN)
    for v, found in enumerate(tokens, 1):
        for topic in (TOPICS.command, TOPICS.verdict):
            tried["messages to a charger"] += 1
            body = {**person, "command": "authorise", "token": found}
            charger.downlink.message(*signed(topic, body, v, NOW))
            assert bool(charger.point.told) == (found == TOKEN)


def test_a_list_does_come_into_force_here() -> None:
    FlashInMemory.current.files = {}
    charger = Charger()
    charger.downlink.message(*signed(TOPICS.allowlist, REFS_OF[2], 1, NOW))
    for digest, data in [*LISTS[2].objects.items()] * 3:
        for _ in range(5):
            charger.sync.tick(0)
        charger.downlink.message(TOPICS.object(digest), data)
    for _ in range(5):
        charger.sync.tick(0)
    assert charger.store.applied and charger.store.applied.cards == 12


REFS_OF = [{k: v for k, v in each.ref(1)[0].items() if k not in "vt"} for each in LISTS]
