"""A charger whose operator judges the cards: the question, the answer, and what happens meanwhile.

The tests are the operator: they sign answers with the charger's own key, as the portal would.
"""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from host_tests.end_to_end.conftest import ANNA, STRANGER, Site, wait
from host_tests.end_to_end.seeing import coil, light, ms_from_card_to, plug_in, rests, tap, unplug
from host_tests.end_to_end.wire import Wire
from tools.portal import signing
from tools.virtual.client import VirtualCharger

NAME = "judged"
SETTLED_S = 1.6
GONE_S = 0.6  # until a card that was taken away is gone for the reader
WAIT_S = 2
FOR_EVER_S = 60  # longer than any of these tests waits for anything


class Operator(Wire):
    """Answers questions when told to; every version and number is one that was not used before."""

    def settings(self, **values: Any) -> None:
        """Under this operator unless said otherwise, and in force."""
        v = time.time_ns() // 1_000_000
        body: dict[str, Any] = {"authority": "operator", "operator_wait_s": FOR_EVER_S}
        self.put("settings", self.signed("settings", v=v, **(body | values)))
        self.wait_for("settings_applied", lambda event: event["v"] == v)

    @property
    def questions(self) -> list[dict[str, Any]]:
        topic = self.base + "authorise"
        bodies = [signing.verified(self.key, topic, raw) for raw in list(self.said.get(topic, ()))]
        assert None not in bodies, "not signed"
        return [body for body in bodies if body]

    def asked(self, before: int) -> dict[str, Any]:
        """The question after so many."""
        return wait(lambda: self.questions[before:], 5, "asked")[0]

    def verdict(self, question: dict[str, Any], verdict: str = "Accepted", **more: Any) -> bytes:
        body = {"n": question["n"], "token": question["token"], "verdict": verdict, **more}
        return self.signed("verdict", v=time.time_ns() // 1_000_000, **body)

    def answer(self, question: dict[str, Any], verdict: str = "Accepted", **more: Any) -> None:
        self.put("verdict", self.verdict(question, verdict, **more), retain=False)


@pytest.fixture(scope="module")
def powered(site: Site) -> Iterator[tuple[VirtualCharger, Operator]]:
    site.add(NAME)
    path = site.config(NAME)
    key = bytes.fromhex(json.loads(path.read_text())["charger_key"])
    operator = Operator(site.broker, NAME, key)
    try:
        with VirtualCharger.start(path, site.home / NAME) as charger:
            site.wait_in_step(NAME)
            yield charger, operator
    finally:
        operator.close()


@pytest.fixture
def charger(powered: tuple[VirtualCharger, Operator]) -> VirtualCharger:
    """At rest: no vehicle, so that nothing that a card has done still counts, and no card."""
    unplug(powered[0])
    time.sleep(0.3)
    return powered[0]


@pytest.fixture
def operator(powered: tuple[VirtualCharger, Operator]) -> Operator:
    """Its charger asks and waits."""
    operator = powered[1]
    operator.settings()
    return operator


def put_to(operator: Operator, charger: VirtualCharger, uid: str) -> tuple[dict[str, Any], int]:
    """Tap a card that is asked about; the question, and where in the pushes that began."""
    before = len(operator.questions)
    since = tap(charger, uid)
    return operator.asked(before), since


def charging(operator: Operator, charger: VirtualCharger, uid: str) -> None:
    plug_in(charger, "yellow")
    question, since = put_to(operator, charger, uid)
    operator.answer(question)
    charger.wait_for(coil(True), 5, since)
    time.sleep(SETTLED_S)


def test_a_card_that_no_list_knows_charges_on_the_operators_word(
    charger: VirtualCharger, operator: Operator
):
    plug_in(charger, "yellow")
    question, since = put_to(operator, charger, STRANGER)
    assert question["state"] == "awaiting"
    assert len(question["token"]) == 14 and STRANGER not in json.dumps(question)
    wait(lambda: operator.state["state"] == "checking", 5, "checking")
    assert operator.state["authority"] == "operator"
    assert operator.state["light"] == {"colour": "yellow", "pattern": "fast blink"}
    rests(charger, coil(True), 0.3, since)
    operator.answer(question)
    charger.wait_for(coil(True), 5, since)
    session = wait(lambda: operator.state["session"], 5, "a session")
    assert (session["token"], session["by"]) == (question["token"], "operator")
    started = operator.wait_for("session_started", lambda e: e["token"] == question["token"])
    assert started["by"] == "operator"
    assert started["n"] > question["n"]


def test_a_card_that_the_list_knows_is_refused_on_the_operators_word(
    charger: VirtualCharger, operator: Operator
):
    plug_in(charger, "yellow")
    question, since = put_to(operator, charger, ANNA)
    operator.answer(question, "NoCredit")
    charger.wait_for(light("red"), 5, since)
    rests(charger, coil(True), 0.3, since)
    operator.wait_for("card_refused", lambda event: event["verdict"] == "NoCredit")


def test_tap_first_and_plug_in_while_it_is_checked(charger: VirtualCharger, operator: Operator):
    question, since = put_to(operator, charger, STRANGER)
    assert question["state"] == "available"
    charger.do("plug")
    rests(charger, coil(True), 0.3, since)
    operator.answer(question)
    charger.wait_for(coil(True), 5, since)


def test_nobody_is_let_in_where_no_answer_comes(charger: VirtualCharger, operator: Operator):
    operator.settings(operator_wait_s=WAIT_S)
    plug_in(charger, "yellow")
    before = len(operator.events)
    question, since = put_to(operator, charger, ANNA)
    asked = time.monotonic()

    def refused() -> list[dict[str, Any]]:
        return [event for event in operator.events[before:] if event["event"] == "card_refused"]

    wait(refused, WAIT_S + 3, "refused")
    assert time.monotonic() - asked > WAIT_S - 0.5  # some of it had passed when we were asked
    charger.wait_for(light("red"), 5, since)
    operator.answer(question)  # too late
    rests(charger, coil(True), 0.5, since)
    assert [(event["verdict"], event["why"]) for event in refused()] == [
        ("Unknown", "operator did not answer")
    ]
    wait(lambda: ("verdict", "answer") in operator.causes(), 5, "reported")


def test_a_link_that_drops_while_a_card_is_checked_leaves_it_to_the_list_at_once(
    site: Site, charger: VirtualCharger, operator: Operator
):
    operator.settings(offline="list")
    plug_in(charger, "yellow")
    question, since = put_to(operator, charger, ANNA)
    charger.do("link", up=False)
    try:
        charger.wait_for(coil(True), 5, since)  # the operator had a minute
        unplug(charger)
        time.sleep(SETTLED_S)
        plug_in(charger, "yellow")
        assert ms_from_card_to(charger, coil(True), tap(charger, ANNA)) < 200  # nobody to wait for
        unplug(charger)
        plug_in(charger, "yellow")
        since = tap(charger, STRANGER)
        charger.wait_for(light("red"), 5, since)
        rests(charger, coil(True), 0.3, since)
    finally:
        charger.do("link", up=True)
        wait(lambda: site.status(NAME)["online"], 60, "online again")
    operator.answer(question)
    rests(charger, coil(True), 0.3, since)


def test_only_the_first_answer_to_the_right_question_counts(
    charger: VirtualCharger, operator: Operator
):
    plug_in(charger, "yellow")
    question, since = put_to(operator, charger, STRANGER)
    operator.answer(question | {"token": "0123456789abcd"})
    operator.answer(question | {"n": question["n"] - 1})
    operator.answer(question | {"n": question["n"] + 1})
    operator.answer(question, role="king")
    rests(charger, coil(True), 0.5, since)
    operator.answer(question, "Blocked")
    operator.answer(question, "Accepted")
    charger.wait_for(light("red"), 5, since)
    rests(charger, coil(True), 0.5, since)


def test_an_answer_is_good_for_nothing_after_a_restart(
    site: Site, charger: VirtualCharger, operator: Operator
):
    plug_in(charger, "yellow")
    question, since = put_to(operator, charger, STRANGER)
    old = operator.verdict(question)
    operator.put("verdict", old, retain=False)
    charger.wait_for(coil(True), 5, since)
    boots = len([event for event in operator.events if event["event"] == "booted"])
    charger.do("power", off_ms=200)
    wait(
        lambda: len([e for e in operator.events if e["event"] == "booted"]) > boots, 30, "restarted"
    )
    question, since = put_to(operator, charger, STRANGER)
    operator.put("verdict", old, retain=False)
    rests(charger, coil(True), 0.5, since)
    operator.answer(question)
    charger.wait_for(coil(True), 5, since)


def test_who_leaves_while_the_card_is_checked_starts_nothing_for_the_next(
    charger: VirtualCharger, operator: Operator
):
    plug_in(charger, "yellow")
    question, since = put_to(operator, charger, STRANGER)
    unplug(charger)
    charger.do("plug")
    operator.answer(question)
    rests(charger, coil(True), 0.5, since)
    wait(lambda: operator.state["state"] == "awaiting", 5, "awaiting")


def test_another_card_waits_for_its_turn(charger: VirtualCharger, operator: Operator):
    plug_in(charger, "yellow")
    question, since = put_to(operator, charger, STRANGER)
    asked = len(operator.questions)
    before = len(operator.events)
    time.sleep(GONE_S)
    tap(charger, ANNA)
    wait(
        lambda: [e for e in operator.events[before:] if e.get("verdict") == "ConcurrentTx"],
        5,
        "refused",
    )
    rests(charger, coil(True), 0.3, since)
    assert len(operator.questions) == asked
    operator.answer(question)
    charger.wait_for(coil(True), 5, since)


def test_a_session_goes_on_while_another_card_is_asked_about(
    charger: VirtualCharger, operator: Operator
):
    charging(operator, charger, STRANGER)
    question, since = put_to(operator, charger, ANNA)
    assert question["state"] == "charging"
    rests(charger, coil(False), 0.5, since)
    operator.answer(question)
    charger.wait_for(light("red"), 5, since)  # not hers
    rests(charger, coil(False), 0.3, since)
    question, since = put_to(operator, charger, ANNA)
    operator.answer(question, role="service")  # a master pass
    charger.wait_for(coil(False), 5, since)
    wait(lambda: operator.state["state"] == "finished", 5, "finished")


def test_ones_own_card_ends_the_session_without_a_question(
    charger: VirtualCharger, operator: Operator
):
    charging(operator, charger, STRANGER)
    asked = len(operator.questions)
    charger.wait_for(coil(False), 1, tap(charger, STRANGER))
    time.sleep(0.3)
    assert len(operator.questions) == asked


def test_the_list_takes_no_session_away_that_the_operator_gave(
    site: Site, charger: VirtualCharger, operator: Operator
):
    charging(operator, charger, STRANGER)  # who is on no list
    since = charger.mark()
    version = operator.state["allowlist"]["version"]
    site.change("card", "add", "o@x.org", "--number", "0badcafe", "--as", "hex")
    wait(lambda: operator.state["allowlist"]["version"] > version, 10, "a new list")
    rests(charger, coil(False), 0.3, since)


def test_no_setting_opens_a_charger_under_an_operator(charger: VirtualCharger, operator: Operator):
    operator.settings(access="open")
    plug_in(charger, "yellow")
    wait(lambda: operator.state["state"] == "awaiting", 5, "awaiting")
    state = operator.state
    assert (state["access"], state["authorisation_required"]) == ("restricted", True)


def test_an_operator_that_is_gone_leaves_the_card_in_question_to_the_list(
    charger: VirtualCharger, operator: Operator
):
    plug_in(charger, "yellow")
    _, since = put_to(operator, charger, ANNA)
    operator.settings(authority="native")
    charger.wait_for(coil(True), 5, since)
