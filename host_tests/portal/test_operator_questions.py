"""The bridge between chargers and an operator's platform: one message in, at most one out."""

import hashlib
import hmac
import json
import random
import re
from pathlib import Path

import pytest

from host_tests.portal.conftest import Tapgate
from tools.portal import database, signing
from tools.portal.bridge import VERDICTS, Bridge
from tools.portal.duty import Outgoing, Remark

ASKED = "tapgate/home/garage/authorise"
QUESTION = "tapgate/home/operator/question"
ANSWER = "tapgate/home/operator/answer"
VERDICT = "tapgate/home/garage/verdict"
TOKEN = "a1b2c3d4e5f607"
NOW = 1_800_000_000


class Side:
    """What the bridge is handed, and what it hands on."""

    def __init__(self, tapgate: Tapgate, home, file):
        tapgate("operator", "connect", "Charge Oslo", "--out", str(file))
        self.home = home
        self.bridge = Bridge()
        self.remarks: list[str] = []
        self.operator_key = bytes.fromhex(json.loads(file.read_text())["key"])
        with database.reading(home) as session:
            from tools.portal import chargers, own_clock

            own_clock.confirm(session, NOW)
            self.charger_keys = {
                each.name: bytes.fromhex(each.key) for each in chargers.every(session)
            }

    def hear(self, topic: str, payload: bytes, now: int = NOW) -> list[Outgoing]:
        with database.changing(self.home) as session:
            answers = list(self.bridge.message(session, topic, payload, now))
        self.bridge.ended(True)
        self.remarks += [each.text for each in answers if isinstance(each, Remark)]
        return [each for each in answers if isinstance(each, Outgoing)]

    def hear_in_vain(self, topic: str, payload: bytes) -> int:
        """The database fails at the end: how many messages were in vain."""
        found = 0
        with pytest.raises(InterruptedError), database.changing(self.home) as session:
            found = len(list(self.bridge.message(session, topic, payload, NOW)))
            raise InterruptedError
        self.bridge.ended(False)
        return found

    def ask(self, charger: str = "garage", now: int = NOW, **change) -> list[Outgoing]:
        topic = f"tapgate/home/{charger}/authorise"
        body = {"n": 7, "boot": 1, "t": now, "up": 5, "token": TOKEN, "state": "awaiting"}
        body |= change
        return self.hear(topic, signing.sign(self.charger_keys[charger], topic, body), now)

    def answer(self, now: int = NOW, key: bytes | None = None, **change) -> list[Outgoing]:
        body = {"v": 1, "t": now, "charger": "garage", "n": 7, "verdict": "Accepted", **change}
        signed = signing.sign(key or self.operator_key, ANSWER, body)
        return self.hear(ANSWER, signed, now)

    def said(self, out: list[Outgoing]) -> tuple[str, dict]:
        """Where the one message goes, and what it says to who has the key."""
        [one] = out
        assert not one.retain
        key = self.operator_key if one.topic == QUESTION else self.charger_keys["garage"]
        body = signing.verified(key, one.topic, one.payload)
        assert body is not None
        return one.topic, body


@pytest.fixture
def side(site, home, tmp_path) -> Side:
    site("charger", "add", "left")
    return Side(site, home, tmp_path / "operator.json")


def test_a_question_goes_to_the_platform_under_its_key(side):
    topic, body = side.said(side.ask())
    v = body.pop("v")
    assert topic == QUESTION and v > NOW // 1_000
    assert body == {"t": NOW, "charger": "garage", "n": 7, "token": TOKEN, "state": "awaiting"}
    _, again = side.said(side.ask(n=8))
    assert again["v"] > v


def test_the_answer_goes_to_the_charger_under_its_key(side):
    side.ask()
    topic, body = side.said(side.answer(verdict="Blocked", role="service", group=9, more="x"))
    assert topic == VERDICT and body.pop("v") >= NOW
    assert body == {
        "t": NOW,
        "n": 7,
        "token": TOKEN,
        "verdict": "Blocked",
        "role": "service",
        "group": 9,
    }


def test_an_answer_that_says_no_more_is_a_users(side):
    side.ask()
    _, body = side.said(side.answer())
    assert (body["verdict"], body["role"], body["group"]) == ("Accepted", "user", 0)


def test_the_v_of_verdicts_grows_also_over_a_restart(side):
    side.ask()
    _, first = side.said(side.answer(v=1))
    side.bridge = Bridge()
    side.ask(n=8)
    _, second = side.said(side.answer(v=2, n=8))
    assert second["v"] > first["v"]


def test_an_answer_counts_once_and_only_for_the_last_question(side):
    assert side.answer(v=1) == []  # nobody has asked
    side.ask()
    assert side.answer(v=2, n=6) == []
    assert side.answer(v=3, charger="left") == []
    assert side.answer(v=4, charger="nowhere") == []
    side.ask(n=8)
    assert side.answer(v=5, n=7) == []
    assert len(side.answer(v=6, n=8)) == 1
    assert side.answer(v=7, n=8) == []


def test_what_was_not_stored_is_as_good_as_not_said(side):
    topic = "tapgate/home/garage/authorise"
    question = {"n": 7, "t": NOW, "token": TOKEN, "state": "awaiting"}
    asked = signing.sign(side.charger_keys["garage"], topic, question)
    assert side.hear_in_vain(topic, asked) == 1
    assert len(side.hear(topic, asked)) == 1
    answer = {"v": 1, "t": NOW, "charger": "garage", "n": 7, "verdict": "Accepted"}
    answered = signing.sign(side.operator_key, ANSWER, answer)
    assert side.hear_in_vain(ANSWER, answered) == 1
    assert len(side.hear(ANSWER, answered)) == 1
    assert side.answer(v=2) == []


def test_questions_and_answers_handed_over_together_count_once_all_the_same(side):
    asked = signing.sign(
        side.charger_keys["garage"], ASKED, {"n": 7, "token": TOKEN, "state": "awaiting"}
    )
    answered = [
        signing.sign(
            side.operator_key,
            ANSWER,
            {"v": v, "t": NOW, "charger": "garage", "n": 7, "verdict": "Accepted"},
        )
        for v in (1, 2)
    ]
    with database.changing(side.home) as session:
        answers = [
            type(each)
            for topic, payload in [(ASKED, asked)] * 2 + [(ANSWER, each) for each in answered]
            for each in side.bridge.message(session, topic, payload, NOW)
        ]
    assert answers == [Outgoing, Remark, Outgoing, Remark]


def test_what_is_not_passed_on_is_said_in_few_words(side):
    side.ask()
    before = len(side.remarks)
    for n in range(7):
        side.ask(n=n)
        side.answer(key=bytes(32), v=n)
        side.hear(f"tapgate/home/x{n}/authorise", b"")
    assert len(side.remarks) == before + 21
    assert set(side.remarks) == {
        "garage: not passed on, a question no newer than the one before",
        "Charge Oslo: not passed on, an answer that is not signed with its key",
        "not passed on: a question from no charger of this installation",
    }


def test_two_chargers_are_asked_for_side_by_side(side):
    side.ask("garage", n=7)
    side.ask("left", n=3)
    [one] = side.answer(v=1, charger="left", n=3)
    assert one.topic == "tapgate/home/left/verdict"
    assert len(side.answer(v=2, n=7)) == 1


def test_a_replayed_answer_is_none_also_after_a_restart(side):
    side.ask()
    side.answer(v=5)
    side.bridge = Bridge()
    side.ask(n=8)
    assert side.answer(v=5, n=8) == []
    assert side.answer(v=4, n=8) == []
    assert len(side.answer(v=6, n=8)) == 1


def test_an_answer_after_the_chargers_patience_is_dropped(side):
    side.ask()
    assert side.answer(now=NOW + 60) == []
    side.ask(n=8)
    assert len(side.answer(v=2, n=8, now=NOW + 9)) == 1


def test_a_question_asked_before_or_long_ago_is_not_asked_again(side):
    side.ask(n=7)
    assert side.ask(n=7) == [] and side.ask(n=6) == []
    side.bridge = Bridge()
    assert side.ask(n=7, t=NOW - 3_600) == []
    assert len(side.ask(n=7, t=None)) == 1


def test_nothing_is_signed_with_a_key_that_is_not_the_senders(side):
    side.ask()
    assert side.answer(key=bytes(32)) == []
    assert side.answer(key=side.charger_keys["garage"]) == []
    body = {"n": 9, "boot": 1, "t": NOW, "up": 5, "token": TOKEN, "state": "awaiting"}
    for key, topic in (
        (side.operator_key, ASKED),
        (side.charger_keys["left"], ASKED),
        (side.charger_keys["garage"], "tapgate/home/nowhere/authorise"),
    ):
        assert side.hear(topic, signing.sign(key, topic, body)) == []
    moved = signing.sign(side.charger_keys["garage"], ASKED, body)
    assert side.hear("tapgate/home/left/authorise", moved) == []
    assert side.hear("tapgate/else/garage/authorise", moved) == []


WRONG = (None, True, -1, 1.5, "7", [], {}, "x" * 5_000, 1 << 70)


@pytest.mark.parametrize("name", ["n", "token", "state"])
def test_a_question_of_wrong_types_is_not_passed_on(side, name):
    for wrong in (*WRONG, TOKEN.upper(), "a b", "é"):
        if wrong not in ("7",) or name == "n":
            assert side.ask(**{name: wrong}) == [], wrong


@pytest.mark.parametrize("name", ["v", "t", "charger", "n", "verdict", "role", "group"])
def test_an_answer_of_wrong_types_is_not_passed_on(side, name):
    side.ask()
    for wrong in (*WRONG, "accepted", "none", 65_536 if name == "group" else -3):
        assert side.answer(**{name: wrong}) == [], wrong


def test_hostile_bytes_harm_nothing(side):
    rng = random.Random(7)
    nested = b"[" * 8_000
    for topic, key in ((ASKED, side.charger_keys["garage"]), (ANSWER, side.operator_key)):
        for payload in (b"", b"\x00", b"x" * 100_000, nested, b"0" * 64 + b" {}"):
            assert side.hear(topic, payload) == []
        for _ in range(50):
            assert side.hear(topic, rng.randbytes(rng.randrange(200))) == []
        for text in (nested, b'"text"', b"[]", b"\xff\xfe", b"{", b'{"n":NaN}', b'{"v":1e999}'):
            assert side.hear(topic, signing._signature(key, topic, text) + b" " + text) == []


def test_what_is_too_large_is_not_passed_on(side):
    assert side.ask(more="x" * 9_000) == []
    side.ask()
    assert side.answer(more="x" * 9_000) == []
    assert len(side.answer()) == 1


def test_without_an_operator_nobody_is_asked(side, site):
    site("operator", "disconnect")
    assert side.ask() == []
    assert side.answer() == []


def test_a_former_operators_answers_count_no_more(side, site, tmp_path):
    former = side.operator_key
    site("operator", "disconnect")
    site("operator", "connect", "Other", "--out", str(tmp_path / "other.json"))
    side.ask()
    assert side.answer(key=former) == []


def test_it_listens_only_while_an_operator_decides(side, site, home):
    from tools.portal import installation

    with database.reading(home) as session:
        found = side.bridge.filters(installation.current(session))
    assert list(found) == ["tapgate/home/+/authorise", ANSWER]
    site("operator", "disconnect")
    with database.reading(home) as session:
        assert not list(side.bridge.filters(installation.current(session)))


def test_the_examples_that_platforms_are_given_are_right():
    page = (Path(__file__).parents[2] / "docs" / "operator.md").read_text()
    [key] = re.findall(r"With the key `([0-9a-f]{64})`", page)
    messages = re.findall(r"^[0-9a-f]{64} \{.*\}$", page, re.MULTILINE)
    assert len(messages) == 2
    for topic, message in zip((QUESTION, ANSWER), messages, strict=True):
        topic = topic.replace("/home/", "/garage/")
        assert topic in page
        body = signing.verified(bytes.fromhex(key), topic, message.encode())
        assert body is not None and body["n"] == 1795366372
    [(number, card_key, token)] = re.findall(
        r"The card `([0-9A-F ]+)` under the card\s+key `([0-9a-f]{64})` is `([0-9a-f]{14})`", page
    )
    tagged = b"\x07" + bytes.fromhex(number)
    digest = hmac.new(bytes.fromhex(card_key), tagged, hashlib.sha256).hexdigest()
    assert digest[:14] == token
    assert all(word in page for word in VERDICTS - {"RandomNumber", "ListTooOld", "ClockUnknown"})
