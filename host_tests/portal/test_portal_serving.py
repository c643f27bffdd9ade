"""`tapgate serve`: the broker has what the data say, and what chargers say is stored."""

import asyncio
import json
import os
import signal
import socket
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from firmware.link import messages
from host_tests.portal.conftest import OWNER, Observer, Tapgate, process
from host_tests.portal.served import Served, ServeProcess, event, state, until
from host_tests.portal.test_portal_publishing import ALLOWLIST, OBJECT, SETTINGS, key, tokens
from tools.broker import AMQTT, MOSQUITTO, Broker, mosquitto
from tools.portal import chargers, commanding, database, publishing, serving, signing
from tools.portal import home as homes
from tools.portal.bridge import Bridge
from tools.portal.duty import Duty, Order, Outgoing
from tools.portal.schema import Event

STATE = "tapgate/home/garage/state"


@pytest.fixture
def seen(broker: Broker, observe: Callable[[Broker], Observer]) -> Observer:
    return observe(broker)


@pytest.fixture
def served(live: Tapgate, home: Path) -> Iterator[Served]:
    with Served(home) as running:
        yield running.ready()


def access(seen: Observer, home: Path) -> str | None:
    body = signing.verified(key(home), SETTINGS, seen.newest().get(SETTINGS, b""))
    return body["access"] if body else None


def test_what_another_command_changes_is_published_within_a_second(live, served, seen, home):
    for mode in ("open", "restricted"):
        assert live("access", mode).status == 0
        changed = time.monotonic()
        until(lambda: access(seen, home) == mode)  # noqa: B023
        assert time.monotonic() - changed < 1


def test_every_kind_of_change_counts(live, served, home):
    """By its effect on the number that `serve` looks at; a look alone changes nothing."""
    watch = database.Watch(home)
    commands = [
        ["person", "add", "anna@example.org"],
        ["grant", "anna@example.org", "--role", "user"],
        ["card", "add", "anna@example.org", "--number", "04a1b2c3"],
        ["card", "block", "04a1b2c3"],
        ["card", "unblock", "04a1b2c3"],
        ["access", "open", "--charger", "garage"],
        ["revoke", "anna@example.org"],
        ["card", "remove", "04a1b2c3"],
        ["person", "remove", "anna@example.org"],
        ["charger", "add", "gate"],
    ]
    for command in commands:
        before = watch.revision()
        assert live(*command).status == 0, command
        assert watch.revision() > before, command
    before = watch.revision()
    for command in (["card", "list"], ["status"], ["publish"], ["publish", "--all"]):
        assert live(*command).status == 0, command
    assert watch.revision() == before
    watch.close()


def test_statements_that_touch_many_rows_count_too_and_counters_do_not(site, home):
    from sqlalchemy import delete, insert, update

    from tools.portal import installation, schema

    watch = database.Watch(home)

    def grew(change: Callable) -> bool:
        before = watch.revision()
        with database.changing(home) as session:
            change(session)
        return watch.revision() > before

    person = {"email": "a@b.c", "email_key": "a@b.c", "added_at": 0}
    assert grew(lambda session: session.execute(insert(schema.Person), [person]))
    assert grew(lambda session: session.execute(update(schema.Person).values(name="x")))
    assert grew(lambda session: session.execute(delete(schema.Card)))
    assert grew(lambda session: setattr(installation.current(session), "max_age_s", 7))
    assert not grew(lambda session: setattr(installation.current(session), "operator_asked_v", 7))
    assert not grew(lambda session: session.execute(delete(schema.Event)))
    assert not grew(lambda session: None)
    watch.close()


def test_a_change_that_is_taken_back_is_none(site, home):
    watch = database.Watch(home)
    before = watch.revision()
    assert site("person", "add", OWNER).status == 1
    assert site("revoke", OWNER).status == 1
    assert watch.revision() == before
    watch.close()


def test_a_broker_that_forgot_everything_is_given_the_same_again(live, served, broker, observe):
    live("card", "add", OWNER, "--number", "04a1b2c3")
    before = observe(broker)
    served.says("published")
    before.until(lambda: ALLOWLIST in before.newest())
    broker.stop()
    served.says("nothing answers")
    broker.start()
    served.says("restored")
    after = observe(broker)
    after.until(lambda: {SETTINGS, ALLOWLIST} <= after.newest().keys())
    for topic in (SETTINGS, ALLOWLIST):
        assert after.newest()[topic] == before.newest()[topic]
    # And it goes on as before.
    live("access", "open")
    after.until(lambda: after.newest()[SETTINGS] != before.newest()[SETTINGS])


def test_a_broker_that_is_away_at_the_start_is_waited_for(live, broker, home):
    broker.stop()
    with Served(home) as served:
        assert "trying again" in served.says("nothing answers")
        broker.start()
        served.ready()
        assert sum("nothing answers" in line for line in served.lines) == 1


def test_what_others_write_over_is_put_back(live, served, seen, monkeypatch):
    monkeypatch.setattr(serving, "HEAL_S", 0.1)
    seen.until(lambda: {SETTINGS, ALLOWLIST} <= seen.newest().keys())
    right = seen.newest()
    for topic in right:
        seen.say(topic, b"mine")
    seen.until(lambda: seen.newest() == right)
    served.says("restored")


def test_the_broker_may_become_another_one(live, served, observe):
    with Broker() as other:
        live("broker", other.url)
        there = observe(other)
        there.until(lambda: {SETTINGS, ALLOWLIST} <= there.newest().keys())


def test_a_list_is_issued_anew_before_it_is_too_old(live, home, seen):
    from tools.portal import installation

    with database.changing(home) as session:
        installation.current(session).max_age_s = 4
    with Served(home) as served:
        served.ready()
        seen.until(lambda: ALLOWLIST in seen.newest())
        first = messages.verify(key(home), ALLOWLIST, seen.newest()[ALLOWLIST])

        def newest() -> dict:
            return messages.verify(key(home), ALLOWLIST, seen.newest()[ALLOWLIST])

        until(lambda: newest()["v"] > first["v"])
        second = newest()
        assert first["t"] + 2 <= second["t"] <= first["t"] + 3
        assert second["index"] == first["index"]


def test_objects_that_no_list_needs_go_after_the_grace_time(live, home, seen):
    live("card", "add", OWNER, "--number", "04a1b2c3")
    with Served(home, grace_s=2) as served:
        served.ready()
        seen.until(lambda: len(seen.newest()) == 4)
        old = {topic for topic in seen.newest() if topic.startswith(OBJECT)}
        live("card", "add", OWNER, "--number", "04a1b2c4")
        changed = time.monotonic()
        until(lambda: all(seen.newest()[topic] == b"" for topic in old))
        assert time.monotonic() - changed > 1
        served.says("removed 2 objects")
        ref = messages.verify(key(home), ALLOWLIST, seen.newest()[ALLOWLIST])
        assert len(tokens(seen.newest(), ref)) == 2
        with sqlite3.connect(home / "tapgate.db") as tables:
            assert next(tables.execute("SELECT count(*) FROM published_object")) == (2,)
        # What comes back into use is put back.
        live("card", "remove", "04a1b2c4")
        until(lambda: all(seen.newest()[topic] for topic in old))


def test_publish_beside_serve_is_welcome(live, served, seen):
    for mode in ("open", "restricted", "open"):
        live("access", mode)
        assert live("publish").status == 0
    versions = [
        json.loads(bytes(each.payload)[65:])["v"]
        for each in seen.messages
        if each.topic == SETTINGS and each.payload
    ]
    assert versions == sorted(versions)


def test_a_second_serve_is_refused(live, served, home):
    with ServeProcess(home) as second:
        assert second.process.wait(20) == 1 and second.process.stderr
        said = second.process.stderr.read()
    assert "another 'tapgate serve'" in said and said.count("\n") == 1
    assert second.lines == []


def test_serve_without_an_installation_says_so(tapgate):
    answer = tapgate("serve")
    assert (answer.status, answer.out) == (1, "") and "tapgate init" in answer.err


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly(live, home, ending):
    with ServeProcess(home, "--json") as running:
        assert running.process.stderr
        assert "ready: 1 charger" in running.process.stderr.readline()
        running.process.send_signal(ending)
        assert running.process.wait(20) == 0
        answer = json.loads("\n".join(until(lambda: running.lines[-1:] == ["}"] and running.lines)))
        assert answer["messages"] == 2 and answer["objects"] == 2
        assert running.process.stderr.read() == ""


def test_who_reads_no_more_lines_ends_nothing(live, home, seen):
    """As `tapgate serve | head -1` does."""
    with process("serve", "--home", str(home)) as running:
        try:
            assert running.stdout and running.stderr
            assert "ready" in running.stdout.readline()
            running.stdout.close()
            for mode in ("open", "restricted"):
                assert live("access", mode).status == 0
                until(lambda: access(seen, home) == mode)  # noqa: B023
            running.send_signal(signal.SIGTERM)
            assert running.wait(20) == 0
            assert running.stderr.read() == ""
        finally:
            running.kill()


def test_a_signal_ends_it_also_while_a_broker_keeps_it_waiting(site, home):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert site("broker", f"mqtt://127.0.0.1:{silent.getsockname()[1]}").status == 0
        with ServeProcess(home) as running:
            connection, _ = silent.accept()
            began = time.monotonic()
            running.process.send_signal(signal.SIGINT)
            assert running.process.wait(20) == 0
            assert time.monotonic() - began < 4
            assert [line for line in running.lines if "trying again" in line] == []
            connection.close()


def test_no_version_is_used_twice_however_it_is_killed(live, home, seen):
    said: dict[int, bytes] = {}
    for turn in range(4):
        with ServeProcess(home) as running:
            if turn % 2:
                running.says("ready")
            live("access", ("open", "restricted")[turn % 2])
            time.sleep(0.1 * turn)
            running.kill()
    with Served(home) as served:
        served.ready()
    until(lambda: access(seen, home) == "restricted")
    for each in seen.messages:
        if each.topic == SETTINGS and each.payload:
            body = signing.verified(key(home), SETTINGS, bytes(each.payload))
            assert body
            assert said.setdefault(body["v"], bytes(each.payload)) == bytes(each.payload)
    with sqlite3.connect(home / "tapgate.db") as tables:
        assert next(tables.execute("PRAGMA integrity_check")) == ("ok",)


def test_a_mistake_in_a_list_ends_nothing(live, served, home, monkeypatch):
    def refuse(*_, **__):
        raise ValueError("a mistake")

    sound = publishing.prepare
    monkeypatch.setattr(serving, "RETRY_S", 0.1)
    monkeypatch.setattr(publishing, "prepare", refuse)
    live("access", "open")
    served.says("unexpected ValueError: a mistake")
    monkeypatch.setattr(publishing, "prepare", sound)
    served.says("published")


# --- states ---


def expected(live: Tapgate) -> dict:
    return live("status", "--json").json[0]["expected"]


def test_states_are_stored_as_they_come(live, served, seen, broker):
    due = expected(live)
    seen.say(STATE, state(due))
    broker_gone = until(lambda: served.lines and live("status", "--json").json[0]["in_step"])
    assert broker_gone
    seen.say(STATE, {"online": False})
    served.says("garage: offline")
    seen.say(STATE, state(due, state="charging"))
    served.says("garage: online")
    served.stop()
    broker.stop()
    [row] = live("status", "--json").json
    assert (row["online"], row["state"], row["in_step"]) == (None, "charging", True)


HOSTILE = [
    b"",
    b"nonsense",
    b"\xff" * 70_000,
    b'{"online":true,"x":' + b"[" * 900 + b"]" * 900 + b"}",
    b'{"online":true,"x":1e999}',
    b'{"online":true,"x":NaN}',
    b'{"online":true,"x":' + b"9" * 5_000 + b"}",
    b'[{"online":true}]',
]


def test_states_that_are_none_break_nothing(live, served, seen):
    for payload in HOSTILE:
        seen.say(STATE, payload)
    seen.say("tapgate/home/stranger/state", state(expected(live)))
    assert expected(live)
    seen.say(STATE, state(expected(live)))
    until(lambda: live("status", "--json").json[0]["in_step"])
    assert served.error is None and not [each for each in served.lines if "unexpected" in each]


def test_how_long_a_charger_lags_is_counted_from_the_first_change_it_lacks(
    live, served, seen, home, monkeypatch
):
    due = expected(live)
    seen.say(STATE, state(due))
    until(lambda: live("status", "--json").json[0]["behind_since"] is None)
    live("card", "add", OWNER, "--number", "04a1b2c3")
    until(lambda: expected(live)["version"] != due["version"])
    [first] = live("status", "--json").json
    assert first["behind_since"] and not first["in_step"]
    until(lambda: time.time() > due["version"] + 2)
    live("card", "add", OWNER, "--number", "04a1b2c4")
    until(lambda: expected(live)["version"] > first["expected"]["version"])
    until(lambda: live("status", "--json").json[0]["published"])
    [second] = live("status", "--json").json
    assert second["behind_since"] == first["behind_since"]
    assert "since" in live("status").out
    seen.say(STATE, state(expected(live)))
    until(lambda: live("status", "--json").json[0]["in_step"])
    assert live("status", "--json").json[0]["behind_since"] is None


# --- events ---


@pytest.fixture(params=[MOSQUITTO, AMQTT])
def known_user(request: pytest.FixtureRequest) -> Iterator[Broker]:
    """Each of the brokers in turn, with a user: amqtt keeps nothing for one that has no name."""
    if request.param == MOSQUITTO and not mosquitto():
        pytest.skip("mosquitto is not installed on this machine")
    with Broker(request.param, user="portal", password="secret") as broker:
        yield broker


@pytest.fixture
def keeping() -> Iterator[Broker]:
    """A broker that hands out again what was not acknowledged: amqtt does not."""
    if not mosquitto():
        pytest.skip("mosquitto is not installed on this machine; amqtt forgets what is on its way")
    with Broker(MOSQUITTO) as broker:
        yield broker


def stored(home: Path) -> list[tuple[int, str]]:
    with sqlite3.connect(home / "tapgate.db") as tables:
        return list(tables.execute("SELECT n, event FROM event ORDER BY id"))


def say_event(seen: Observer, *arguments, **fields) -> None:
    topic, payload = event(*arguments, **fields)
    seen.tell(topic, payload)


def test_each_event_is_stored_once(live, served, seen, home):
    for _ in range(2):
        for n in (1, 2, 3):
            say_event(seen, key(home), n)
    say_event(seen, key(home), 4, "session_ended", wh=250, reason="unplugged")
    until(lambda: len(stored(home)) == 4)
    assert [n for n, _ in stored(home)] == [1, 2, 3, 4]
    rows = live("events", "--json").json
    assert rows[3].pop("estimated") is not None
    assert rows[3] == {
        "charger": "garage",
        "n": 4,
        "boot": 1,
        "time": None,
        "event": "session_ended",
        "wh": 250,
        "reason": "unplugged",
    }
    assert served.stop()["events"] == 4


def test_events_wait_from_the_first_publish_on(live, home, known_user, observe):
    live("broker", known_user.url)
    live("publish")
    seen = observe(known_user)
    for n in (1, 2, 3):
        say_event(seen, key(home), n)
    live("publish")
    with Served(home) as served:
        served.ready()
        until(lambda: len(stored(home)) == 3, lambda: stored(home))
        assert live("publish").status == 0  # takes the place from nobody
        say_event(seen, key(home), 4)
        until(lambda: len(stored(home)) == 4, lambda: stored(home))
    assert not any("kept nothing for us" in line for line in served.lines)


def test_a_broker_that_has_forgotten_where_events_wait_is_told_of(live, home, observe):
    said = []
    for n in (1, 2):
        with Broker(user="portal", password="secret") as broker:
            live("broker", broker.url)
            with Served(home) as served:
                served.ready()
                say_event(observe(broker), key(home), n)
                until(lambda wanted=n: len(stored(home)) == wanted, lambda: stored(home))
        said.append(any("kept nothing for us" in line for line in served.lines))
    assert said == [False, True]


def test_events_that_come_while_nobody_is_there_wait_at_the_broker(live, home, known_user, observe):
    live("broker", known_user.url)
    seen = observe(known_user)
    with Served(home) as served:
        served.ready()
        say_event(seen, key(home), 1)
        until(lambda: len(stored(home)) == 1)
    for n in range(2, 60):
        say_event(seen, key(home), n)
    with Served(home) as served:
        served.ready()
        until(lambda: len(stored(home)) == 59, lambda: stored(home))
    assert [n for n, _ in stored(home)] == list(range(1, 60))


def test_an_event_that_is_not_stored_yet_is_not_acknowledged(
    live, home, any_broker, observe, monkeypatch
):
    """Killed at the worst moment: here the database fails just then."""
    from tools.portal import intake
    from tools.portal.refusal import Refusal

    live("broker", any_broker.url)
    seen = observe(any_broker)
    sound, failed = intake.store, []

    def fail_once(*arguments):
        if arguments[1] and not failed:
            failed.append(arguments)
            raise Refusal("the disk is full")
        return sound(*arguments)

    monkeypatch.setattr(intake, "store", fail_once)
    with Served(home) as served:
        served.ready()
        for n in range(1, 6):
            say_event(seen, key(home), n)
        until(lambda: len(stored(home)) == 5, lambda: (stored(home), served.lines))
        assert failed


def test_a_killed_serve_loses_no_event(live, home, keeping, observe):
    live("broker", keeping.url)
    seen = observe(keeping)
    sent = 0
    for _ in range(3):
        with ServeProcess(home) as running:
            running.says("ready")
            before = len(stored(home))
            for _ in range(30):
                sent += 1
                say_event(seen, key(home), sent)
            until(lambda: len(stored(home)) > before)  # noqa: B023
            running.kill()
    with Served(home):
        until(lambda: len(stored(home)) == sent, lambda: stored(home))
    assert [n for n, _ in stored(home)] == list(range(1, sent + 1))


def test_what_is_not_an_event_of_that_charger_is_told_once_and_not_stored(live, served, seen, home):
    live("charger", "add", "gate")
    topic = "tapgate/home/garage/event"
    good = {"n": 5, "boot": 1, "t": 0, "up": 0, "event": "booted"}

    def signed(**change) -> bytes:
        return signing.sign(key(home), topic, {**good, **change})

    wrong = [
        (b"", "not signed"),
        (json.dumps(good).encode(), "not signed"),
        (signing.sign(bytes(32), topic, good), "not signed"),
        (signing.sign(key(home, "gate"), topic, good), "not signed"),
        (signing.sign(key(home), "tapgate/home/gate/event", good), "not signed"),
        (signed(x="y" * 9_000), "more than"),
        (signed(n=-1), "whole number"),
        (signed(n="7"), "whole number"),
        (signed(n=True), "whole number"),
        (signed(t=1 << 70), "whole number"),
        (signed(event="\x1b[2J"), "without a name"),
        (signed(event=None), "without a name"),
        (signed(x=float("nan")), "no plain JSON"),
        (signed(x=[[[[[[[[[1]]]]]]]]]), "no plain JSON"),
    ]
    for payload, _ in wrong + wrong:
        seen.tell(topic, payload)
    seen.tell("tapgate/home/stranger/event", signed())
    seen.tell(topic, signed(n=6))
    until(lambda: stored(home) == [(6, "booted")], lambda: (stored(home), served.lines))
    causes = [line for line in served.lines if "not stored" in line]
    for _, words in wrong:
        assert sum(words in line for line in causes) == 1, (words, causes)
    assert served.stop()["rejected"] == 2 * len(wrong) + 1


def test_a_number_that_was_used_before_for_another_event_is_told(live, served, seen, home):
    say_event(seen, key(home), 7, "booted")
    say_event(seen, key(home), 7, "fault", fault="reader")
    served.says("number was used before")
    assert stored(home) == [(7, "booted")]


def test_what_a_charger_signs_with_its_former_key_is_held_back(live, served, seen, home):
    former = key(home)
    assert live("charger", "rekey", "garage").status == 0
    say_event(seen, former, 1)
    served.says("held back")
    say_event(seen, key(home), 2)
    until(lambda: stored(home))
    assert stored(home) == [(2, "booted")]
    assert [each["n"] for each in live("charger", "held", "garage", "--json").json] == [1]


def test_a_name_that_somebody_made_up_does_nothing_to_a_terminal(live, served, seen):
    seen.tell("tapgate/home/\u202e\u2028evil" + "x" * 900 + "/event", b"{}")
    line = served.says("no charger of that name")
    assert line.isprintable() and len(line) < 100


def test_names_that_somebody_made_up_are_told_once(live, served, seen, home):
    for i in range(20):
        seen.tell(f"tapgate/home/x{i}/event", b"{}")
    say_event(seen, key(home), 1)
    until(lambda: stored(home))
    served.says("no charger of that name")
    assert served.stop()["rejected"] == 20
    assert sum("no charger of that name" in line for line in served.lines) == 1


def test_no_junk_keeps_other_lines_from_being_said(live, served, seen, monkeypatch):
    monkeypatch.setattr(serving, "_CAUSES_MOST", 1)
    seen.tell("tapgate/home/x/event", b"{}")
    served.says("no charger of that name")
    seen.tell("tapgate/home/garage/event", b"{}")

    def refuse(*_, **__):
        raise ValueError("a mistake")

    monkeypatch.setattr(publishing, "prepare", refuse)
    live("access", "open")
    served.says("unexpected ValueError: a mistake")
    assert not [line for line in served.lines if "not signed" in line]


def test_what_goes_on_is_told_again_now_and_then(live, served, seen, monkeypatch):
    monkeypatch.setattr(serving, "TELL_AGAIN_S", 0.2)
    seen.tell("tapgate/home/garage/event", b"{}")
    served.says("not signed")
    said = len(served.lines)
    time.sleep(0.3)
    seen.tell("tapgate/home/garage/event", b"{}")
    served.says("not signed", since=said)


def test_events_without_an_end_are_kept_by_nobody(live, served, seen, home, monkeypatch):
    """Those that the broker does not hold back while they wait to be stored."""
    topic, payload = event(key(home), 1)
    for _ in range(50):
        seen.tell(topic, payload, qos=0)
    served.says("QoS 1")
    _, large = event(key(home), 2, text="x" * 9_000)
    seen.tell(topic, large)
    served.says("more than 8192 bytes")
    say_event(seen, key(home), 3)
    until(lambda: stored(home))
    assert stored(home) == [(3, "booted")]
    assert served.stop()["rejected"] == 51


def test_events_are_listed_by_charger_and_time(live, served, seen, home):
    live("charger", "add", "gate")
    say_event(seen, key(home), 1, t=1_700_000_000)
    say_event(seen, key(home), 2, t=1_800_000_000, detail="\x1b[2J")
    say_event(seen, key(home, "gate"), 1, t=1_750_000_000, charger="gate")
    until(lambda: len(stored(home)) == 3)

    def listed(*options: str) -> list[tuple[str, int]]:
        return [(each["charger"], each["n"]) for each in live("events", "--json", *options).json]

    assert listed("--charger", "gate") == [("gate", 1)]
    assert listed("--since", "2025-01-01") == [("garage", 2), ("gate", 1)]
    assert listed() == [("garage", 1), ("garage", 2), ("gate", 1)]
    out = live("events").out
    assert "2027-01-15" in out and "\x1b" not in out
    assert live("events", "--charger", "nobody").status == 1


def test_what_was_really_applied_and_refused_shows_in_the_status(live, served, seen, home):
    due = expected(live)
    seen.say(STATE, state(due, rejected=3))
    say_event(
        seen, key(home), 1, "list_applied",
        v=due["version"], digest=due["digest"], cards=due["cards"],
    )  # fmt: skip
    say_event(seen, key(home), 2, "message_rejected", topic="settings", why="signature", detail="x")
    until(lambda: len(stored(home)) == 2)
    [row] = live("status", "--json").json
    assert row["signed"]["digest"] == due["digest"] and row["signed"]["version"] == due["version"]
    assert row["rejected"] == 3 and row["doubtful"] is False
    assert [(each["topic"], each["why"]) for each in row["rejects"]] == [("settings", "signature")]
    assert "refused messages: 3 messages since its start" in live("status").out


def test_a_state_that_the_chargers_own_reports_contradict_is_doubtful(
    live, served, seen, home, monkeypatch
):
    from tools.portal import status

    monkeypatch.setattr(status, "_SIGNED_WITHIN_S", -1)
    due = expected(live)
    say_event(seen, key(home), 1, "list_applied", v=due["version"] - 1, digest="0", cards=9)
    seen.say(STATE, state(due))
    until(lambda: live("status", "--json").json[0]["in_step"] and stored(home))
    assert live("status", "--json").json[0]["doubtful"] is True
    assert "did somebody else write" in live("status").out


# --- duties ---


class Probe(Duty):
    """Notes every call, and answers each."""

    def __init__(self):
        self.calls: list[tuple] = []

    def filters(self, site):
        return ["tapgate/home/+/authorise"]

    def message(self, session, topic, payload, now):
        self.calls.append(("message", topic, payload))
        return [Outgoing("tapgate/home/garage/verdict", b"answer")]

    def state(self, session, charger, body, now):
        self.calls.append(("state", charger.name, body["state"]))
        return [Outgoing("tapgate/home/heard", b"state", retain=True)]

    def event(self, session, charger, event, now):
        assert session.get(Event, event.id)
        self.calls.append(("event", charger.name, event.n))
        if event.n == 13:
            charger.name = "broken"
            session.flush()
            raise ValueError("unlucky")
        return []

    def published(self, session, now):
        self.calls.append(("published",))
        return []

    def tick(self, session, now):
        self.calls.append(("tick",))
        return []


def test_a_duty_is_told_of_everything_and_what_it_answers_goes_out(live, seen, home):
    probe = Probe()
    with Served(home, beside=[probe]) as served:
        served.ready()
        until(lambda: {("published",), ("tick",)} <= set(probe.calls))
        seen.say(STATE, state(expected(live)))
        seen.tell("tapgate/home/garage/authorise", b"question")
        say_event(seen, key(home), 13)
        say_event(seen, key(home), 14)
        until(lambda: ("event", "garage", 14) in probe.calls)
        seen.until(lambda: seen.newest().get("tapgate/home/garage/verdict") == b"answer")
        seen.until(lambda: seen.newest().get("tapgate/home/heard") == b"state")
        until(lambda: [n for n, _ in stored(home)] == [13, 14])
    assert ("message", "tapgate/home/garage/authorise", b"question") in probe.calls
    assert ("state", "garage", "available") in probe.calls
    # A mistake in one of them is said, taken back, and stops nothing.
    assert served.says("unexpected ValueError: unlucky")
    assert live("charger", "list", "--json").json[0]["charger"] == "garage"


class Stopper(Duty):
    """Answers each state with an order."""

    def __init__(self):
        self.ordered = False

    def state(self, session, charger, body, now):
        self.ordered = True
        return [Order(charger.id, "stop", {"reason": "withdrawn"})]


def commands(seen: Observer, home: Path) -> list[dict]:
    topic = "tapgate/home/garage/command"
    return [
        messages.verify(key(home), topic, bytes(each.payload))
        for each in seen.messages
        if each.topic == topic
    ]


def test_an_order_waits_for_its_turn_and_nothing_else_does(live, seen, home):
    duty = Stopper()
    with Served(home, beside=[duty]) as served:
        served.ready()
        descriptor = homes.open_lock(home, "command")
        assert homes.taken(descriptor)
        seen.say(STATE, state(expected(live)))
        until(lambda: duty.ordered)
        say_event(seen, key(home), 1)
        until(lambda: stored(home))
        assert commands(seen, home) == []
        with database.changing(home) as session:  # whoever has the turn sends first
            charger = chargers.find(session, "garage")
            row, topic, payload = commanding.issue(
                session, charger, "identify", {}, int(time.time())
            )
            v = row.v
        seen.tell(topic, payload)
        os.close(descriptor)
        seen.until(lambda: len(commands(seen, home)) == 2)
    first, second = commands(seen, home)
    assert (first["command"], second["command"]) == ("identify", "stop")
    assert second["v"] > first["v"] == v and second["reason"] == "withdrawn"


class Ticking(Duty):
    def __init__(self):
        self.count = 0

    def tick(self, session, now):
        self.count += 1
        return []


def test_data_that_are_held_for_too_long_do_not_end_the_link(live, home, monkeypatch):
    monkeypatch.setattr(serving, "TICK_S", 0.05)
    monkeypatch.setattr(database, "PATIENCE_S", 0.1)
    duty = Ticking()
    with Served(home, beside=[duty]) as served:
        served.ready()
        with database.changing(home):
            served.says("another command has held it")
        before = duty.count
        until(lambda: duty.count > before)
        assert not [line for line in served.lines if "back" in line]
        assert sum("another command" in line for line in served.lines) == 1


class Idle(Ticking):
    def is_due(self, now):
        return False


def test_a_duty_that_is_not_due_costs_nothing_each_second(live, home, monkeypatch):
    monkeypatch.setattr(serving, "TICK_S", 0.01)
    monkeypatch.setattr(database, "PATIENCE_S", 0.1)
    duty = Idle()
    with Served(home, beside=[duty]) as served:
        served.ready()
        with database.changing(home):
            time.sleep(0.5)
        assert duty.count == 0
        assert not [line for line in served.lines if "another command" in line]


class Ending(Duty):
    def __init__(self):
        self.ends: list[bool] = []

    def state(self, session, charger, body, now):
        self.ends = []
        return []

    def ended(self, stored):
        self.ends.append(stored)


def test_what_is_not_stored_has_not_happened(live, seen, home, monkeypatch):
    from tools.portal import intake
    from tools.portal.refusal import Refusal

    sound, failed = intake.store, []

    def fail_once(*arguments):
        if "nothing yet" not in failed:
            failed.append("nothing yet")
            raise Refusal("the disk is full")
        return sound(*arguments)

    monkeypatch.setattr(serving, "STORE_AGAIN_S", 0.05)
    monkeypatch.setattr(intake, "store", fail_once)
    duty = Ending()
    with Served(home, beside=[duty]) as served:
        served.ready()
        before = len(duty.ends)
        seen.say(STATE, {"online": False})
        served.says("the disk is full")
        served.says("garage: offline")
        assert duty.ends[before:] == [False, True]


def test_messages_that_are_not_passed_on_are_told_once_and_counted(live, seen, home, tmp_path):
    live("operator", "connect", "Volt", "--out", str(tmp_path / "operator.json"))
    with Served(home, beside=[Bridge()]) as served:
        served.ready()
        for i in range(5):
            seen.tell("tapgate/home/operator/answer", b"nonsense")
            seen.tell(f"tapgate/home/x{i}/authorise", b"nonsense")
        served.says("Volt: not passed on, an answer that is not signed with its key")
        served.says("a question from no charger of this installation")
        seen.tell("tapgate/home/garage/authorise", b"nonsense")
        served.says("garage: not passed on, a question that this charger has not signed")
        done = served.stop()
    assert sum("not passed on" in line for line in served.lines) == 3
    assert done["rejected"] == 11


def test_a_turn_ends_only_when_nobody_works_on_it_any_more(home, monkeypatch):
    class Slow:
        def __init__(self):
            self.happened: list[str] = []

        def take(self) -> bool:
            self.happened.append("taking")
            time.sleep(0.2)
            self.happened.append("taken")
            return True

        def close(self) -> None:
            self.happened.append("closed")

    lock = Slow()
    monkeypatch.setattr(database, "_lock", lambda *_: lock)

    async def take() -> None:
        async with database.turn(home, "test", 0, ""):
            raise AssertionError

    async def give_up() -> None:
        taking = asyncio.create_task(take())
        while not lock.happened:
            await asyncio.sleep(0.01)
        taking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await taking

    asyncio.run(give_up())
    assert lock.happened == ["taking", "taken", "closed"]


def test_nobody_fills_the_memory_with_topics_of_their_own(live, served, seen):
    for i in range(40):
        seen.say(f"tapgate/home/x{i}/state", "{}")
        seen.tell(f"tapgate/home/x{i}/event", b"{}")
    served.says("no charger of that name")
    assert served.error is None
