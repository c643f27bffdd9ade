"""Orders to a charger that is there, as it is told and as the caller is answered."""

import asyncio
import hashlib
import hmac
import json
import signal
import sqlite3
import subprocess
import threading
import time
from contextlib import asynccontextmanager

import aiomqtt
import pytest

from host_tests.portal.conftest import OWNER, process
from host_tests.portal.scripted_charger import ScriptedCharger, done
from tools.portal import chargers, commanding, database, self_testing

TOKEN = "a1b2c3d4e5f607"


@pytest.fixture
def charger(live, broker, home):
    scripted = ScriptedCharger(home, broker)
    yield scripted
    scripted.close()


@pytest.fixture
def user(live, anna) -> str:
    live("grant", anna, "--role", "user")
    return anna


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commanding, "ANSWER_S", 0.5)


def rows(home, query: str) -> list[tuple]:
    with sqlite3.connect(home / "tapgate.db") as connection:
        return list(connection.execute(query))


def refused(answer, *words: str) -> None:
    assert answer.status == 1
    last = answer.err.strip().splitlines()[-1]
    assert last.startswith("tapgate: ")
    for word in words:
        assert word in last, last


def persons_token(home, email: str) -> str:
    [(key,)] = rows(home, "SELECT card_key FROM installation")
    [(person,)] = rows(home, f"SELECT id FROM person WHERE email = '{email}'")
    tagged = bytes(1) + person.to_bytes(8, "big")
    return hmac.new(bytes.fromhex(key), tagged, hashlib.sha256).digest()[:7].hex()


# --- start ---


def test_a_start_names_the_person_and_not_a_card(live, user, charger, home):
    token = persons_token(home, user)
    charger.answers["authorise"] = [
        {"event": "session_started", "token": token, "by": "remote"},
        done(),
    ]
    before = int(time.time())
    answer = live("start", "garage", "--person", user, "--json").json
    assert answer == {"charger": "garage", "person": user, "role": "user", "started": True}
    [order] = charger.commands
    assert (order["token"], order["role"]) == (token, "user")
    [(group,)] = rows(
        home,
        "SELECT g.number FROM person p JOIN card_group g ON g.id = p.group_id "
        f"WHERE p.email = '{user}'",
    )
    assert order["group"] == group > 0
    assert before + 5 <= order["exp"] <= before + 60
    assert not charger.errors
    [(name, v, answered, outcome)] = rows(home, "SELECT name, v, answered_at, outcome FROM command")
    assert (name, v, outcome) == ("authorise", order["v"], "done") and answered >= before


def test_a_start_without_a_vehicle_says_to_plug_in(live, user, charger):
    charger.answers["authorise"] = [done()]
    assert "plug in within 60 s" in live("start", "garage", "--person", user).out
    assert live("start", "garage", "--person", user, "--json").json["started"] is False


def test_who_may_not_charge_there_is_not_started_and_hears_why(live, anna, charger):
    refused(live("start", "garage", "--person", anna), "Unknown", "no permission")
    live("grant", anna, "--role", "user", "--until", "2025-01-01")
    refused(live("start", "garage", "--person", anna), "Expired", "2025-01-0")
    live("grant", anna, "--role", "service")
    refused(live("start", "garage", "--person", anna), "Invalid", "start none")
    live("grant", anna, "--role", "user")
    live("revoke", anna, "--charger", "garage")
    refused(live("start", "garage", "--person", anna), "no permission on garage")
    live("access", "open")
    refused(live("start", "garage", "--person", anna), "plugging in is enough")
    refused(live("start", "garage", "--person", "nobody@x.org"), "nobody@x.org")
    assert charger.commands == []


@pytest.mark.parametrize(
    ("why", "words"),
    [
        ("authorise: not while charging", "tapgate stop garage"),
        ("authorise: not while faulted", "has a fault"),
        ("authorise: not while unavailable", "tapgate available garage on"),
        ("authorise: not while finished", "unplug it first"),
        ("something new\x1b[31m", "garage has declined: something new"),
    ],
)
def test_what_the_charger_declines_is_said_in_words(live, user, charger, why, words):
    charger.answers["authorise"] = [done(why)]
    answer = live("start", "garage", "--person", user)
    refused(answer, words)
    assert "\x1b" not in answer.err


# --- stop and the others ---


def test_a_stop_says_whose_session_is_over(live, user, charger, home):
    card = live("card", "add", user, "--number", "04a1b2c3", "--json").json["token"]
    for token in (card, persons_token(home, user)):
        ended = {"event": "session_ended", "token": token, "reason": "remote", "wh": 1200}
        charger.answers["stop"] = [ended, done()]
        answer = live("stop", "garage", "--json").json
        assert answer == {
            "charger": "garage",
            "ended": True,
            "tested": False,
            "person": user,
            "wh": 1200,
            "reason": "remote",
        }
    assert "1200 Wh" in live("stop", "garage").out
    charger.answers["stop"] = [done()]  # approved, but no vehicle has come
    assert "taken back" in live("stop", "garage").out
    charger.answers["stop"] = [{"event": "selftest_done", "passed": False}, done()]
    assert "the self-test at garage is ended" in live("stop", "garage").out


def test_a_stop_where_nothing_runs_says_so(live, charger):
    charger.answers["stop"] = [done("stop: not while available")]
    refused(live("stop", "garage"), "no session runs there", "available")


def self_test(**fields):
    """A self-test's event, by the order that it follows."""
    return lambda body: [done(), {"event": "selftest_done", "v": body["v"], **fields}]


def test_a_self_test_from_afar_waits_for_its_result(live, charger):
    parts = {"reader": 0x92, "card": True, "wifi": -61}
    charger.answers["selftest"] = self_test(passed=True, failed=[], parts=parts)
    answer = live("selftest", "garage", "--json").json
    assert (answer["charger"], answer["passed"]) == ("garage", True)
    rows = {row["part"]: row for row in answer["parts"]}
    assert rows["wifi"]["found"] == "-61 dBm" and rows["meter"]["ok"] is None
    out = live("selftest", "garage").out
    assert out.startswith("hold any card to the reader;")
    assert "the self-test has passed; not tested: light, contactor" in out
    table = out.partition("\n")[2].partition("✓ the self-test")[0].splitlines()
    assert table and all(len(line) <= 100 and line == line.rstrip() for line in table)


def test_a_self_test_that_fails_or_ends_early_is_exit_status_one(live, charger):
    charger.answers["selftest"] = self_test(passed=False, failed=["wifi"], parts={"wifi": -88})
    answer = live("selftest", "garage")
    refused(answer, "the self-test has failed: wifi", "what to do stands in the table")
    assert "-88 dBm" in answer.out and "closer" in answer.out
    charger.answers["selftest"] = self_test(
        passed=False, failed=[], parts={}, why="a vehicle was plugged in\x1b"
    )
    answer = live("selftest", "garage", "--json")
    refused(answer, "has ended early: a vehicle was plugged in")
    assert json.loads(answer.out)["passed"] is False and "\x1b" not in answer.err


def test_a_self_test_that_tells_no_result_is_said_to_be_open(live, charger, monkeypatch):
    monkeypatch.setattr(self_testing, "TEST_S", 0.5)
    charger.answers["selftest"] = [done()]
    refused(live("selftest", "garage"), "told no result", "tapgate events --charger garage")


@pytest.mark.parametrize(
    ("why", "words"),
    [
        ("selftest: not while charging", "unplug the vehicle first"),
        ("selftest: not while awaiting", "unplug it first"),
        ("selftest: not while faulted", "unplug it first"),
        ("selftest: not while service", "its self-test runs"),
    ],
)
def test_a_self_test_that_is_declined_says_what_helps(live, charger, why, words):
    charger.answers["selftest"] = [done(why)]
    answer = live("selftest", "garage")
    refused(answer, words)
    assert answer.out == ""  # nobody is to hold a card there


def test_a_self_test_needs_a_name_or_a_port(live):
    for arguments in ((), ("garage", "--port", "/dev/ttyUSB0")):
        answer = live("selftest", *arguments)
        assert answer.status == 2 and "--port" in answer.err


def test_the_other_orders_reach_the_charger(live, charger):
    for name in ("identify", "restart", "available"):
        charger.answers[name] = [done()]
    assert live("identify", "garage").status == 0
    assert live("restart", "garage").status == 0
    assert live("available", "garage", "off", "--json").json["on"] is False
    assert live("available", "garage", "on").status == 0
    assert [(each["command"], each.get("on")) for each in charger.commands] == [
        ("identify", None),
        ("restart", None),
        ("available", False),
        ("available", True),
    ]


def test_orders_at_once_reach_the_charger_in_the_order_of_their_v(live, charger, home):
    charger.answers["identify"] = [done()]
    threads = [
        threading.Thread(target=commanding.give, args=(home, "garage", "identify"))
        for _ in range(6)
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join(30)
    assert charger.errors == []
    versions = [each["v"] for each in charger.commands]
    assert len(versions) == 6 and versions == sorted(set(versions))


def test_orders_that_nobody_asks_for_any_more_are_cleared_away(site, home):
    def issued(name: str, at: int) -> list[tuple]:
        with database.changing(home) as session:
            for charger in ("garage", "gate"):
                commanding.issue(session, chargers.find(session, charger), name, {}, at)
        return rows(home, "SELECT name, sent_at FROM command WHERE charger_id = 1 ORDER BY v")

    site("charger", "add", "gate")
    start = int(time.time())
    issued("authorise", start)
    for each in range(20):
        issued("stop", start + 10 * each)
    hours = 3_600
    assert issued("stop", start + 2 * hours) == [("authorise", start), ("stop", start + 2 * hours)]
    later = start + 40 * 24 * hours
    issued("stop", start + 20 * 24 * hours)  # no clock jumps by so much
    assert issued("identify", later) == [("identify", later)]
    assert len(rows(home, "SELECT * FROM command")) == 2


# --- nobody answers, or somebody else does ---


def test_a_charger_that_is_not_there_is_not_waited_for(live, user, charger, home):
    charger.state({"online": False})
    refused(live("start", "garage", "--person", user), "garage is offline")
    refused(live("stop", "garage"), "garage is offline")
    live("charger", "add", "left")
    refused(live("stop", "left"), "left has never been on this broker")
    refused(live("stop", "nowhere"), "no charger 'nowhere'")
    assert charger.commands == [] and rows(home, "SELECT * FROM command") == []


def test_a_hostile_state_is_no_charger(live, charger):
    for hostile in ("[" * 60_000, "null", "[]", '{"online":1}', "\x00", '{"online":"true"}'):
        topic = "tapgate/home/garage/state"
        charger._client.publish(topic, hostile, qos=1, retain=True).wait_for_publish(10)
        refused(live("stop", "garage"), "offline")


def test_no_answer_leaves_open_whether_it_was_done(live, charger, impatient, home):
    charger.answers["stop"] = [
        {"event": "message_rejected", "topic": "command", "why": "expired", "detail": "exp 5"}
    ]
    answer = live("stop", "garage")
    refused(answer, "has not answered 'stop'", "may have been carried out or not", "expired, exp 5")
    assert rows(home, "SELECT answered_at, outcome FROM command") == [(None, None)]


def test_answers_that_the_charger_has_not_signed_do_not_count(live, charger, impatient):
    def forged(body):
        topic = charger.base + "event"
        content = {"n": 1, "boot": 1, "t": 1, "up": 1, "v": body["v"], "command": "stop", **done()}
        charger.event(content, key=bytes(32))
        for payload in ("", "x" * 200, json.dumps(content), "0" * 64 + " {}"):
            charger._client.publish(topic, payload, qos=1)
        charger._client.publish(topic, "[" * 9_000, qos=1)
        return [{**done(), "v": body["v"] - 1}, {**done(), "v": True}]

    charger.answers["stop"] = forged
    refused(live("stop", "garage"), "has not answered")


# --- card scan ---


def enrolled(hint: str = "b2c3", **more) -> dict:
    return {"event": "card_enrolled", "token": TOKEN, "hint": hint, "known": False, **more}


def test_a_scanned_card_is_the_persons_and_on_the_list_at_once(live, user, charger, home):
    charger.answers["enrol"] = [done(), enrolled()]
    answer = live("card", "scan", user, "--charger", "garage", "--label", "blue", "--json")
    assert answer.json == {
        "token": TOKEN,
        "hint": "b2c3",
        "person": user,
        "label": "blue",
        "blocked": False,
    }
    assert "hold the card to garage" in answer.err
    [order] = charger.commands
    assert order["seconds"] == 60
    assert rows(home, "SELECT token, added_by, label FROM card") == [(TOKEN, "scan", "blue")]
    [row] = live("status", "--json").json
    assert row["published"] is True and row["expected"]["cards"] == 1
    assert live("publish", "--json").json["messages"] == 0


def test_a_scan_for_who_may_not_charge_yet_says_so(live, anna, charger):
    charger.answers["enrol"] = [done(), enrolled()]
    out = live("card", "scan", anna, "--charger", "garage").out
    assert "no permission yet" in out and "hold the card to garage, within 60 s" in out


def test_a_card_that_is_bound_already_stays_where_it_is(live, user, charger, home):
    charger.answers["enrol"] = [done(), enrolled()]
    assert live("card", "scan", user, "--charger", "garage").status == 0
    refused(live("card", "scan", user, "--charger", "garage"), "this person already")
    refused(live("card", "scan", OWNER, "--charger", "garage"), f"belongs to {user} already")
    [(person,)] = rows(home, "SELECT email FROM card JOIN person ON person.id = card.person_id")
    assert person == user


@pytest.mark.parametrize(
    ("why", "words"),
    [
        ("time_out", "no card was held to garage within 60 s"),
        ("RandomNumber", "makes up a new number at each tap"),
        ("cancelled", "called the registration off"),
        ("fault", "tapgate status garage"),
        ("unavailable", "switched off meanwhile"),
        ("odd", "odd"),
    ],
)
def test_each_end_without_a_card_has_its_own_words(live, user, charger, why, words):
    charger.answers["enrol"] = [done(), {"event": "enrol_failed", "why": why}]
    refused(live("card", "scan", user, "--charger", "garage"), words)
    assert live("card", "list", "--json").json == []


def test_two_cards_at_once_are_told_meanwhile_and_at_the_end(live, user, charger):
    retry = {"event": "enrol_retry", "why": "several"}
    charger.answers["enrol"] = [done(), retry, retry, {"event": "enrol_failed", "why": "time_out"}]
    answer = live("card", "scan", user, "--charger", "garage", "--json")
    refused(answer, "two cards at once", "run it again")
    assert answer.err.splitlines()[1] == "two cards at once: hold one alone"
    assert len(answer.err.splitlines()) == 3
    charger.answers["enrol"] = [done(), retry, enrolled()]
    assert live("card", "scan", user, "--charger", "garage").status == 0


@pytest.mark.parametrize(
    ("why", "words"),
    [
        ("enrol: not while charging", "a session runs there"),
        ("enrol: not while finished", "still connected"),
        ("enrol: not while unavailable", "tapgate available garage on"),
        ("something new", "something new"),
    ],
)
def test_a_charger_that_is_busy_registers_nothing(live, user, charger, why, words):
    charger.answers["enrol"] = [done(why)]
    refused(live("card", "scan", user, "--charger", "garage"), words)


def test_a_scan_that_cannot_begin_says_why(live, user, charger):
    refused(live("card", "scan", "nobody@x.org", "--charger", "garage"), "nobody@x.org")
    for seconds in ("0", "601", "-1"):
        answer = live("card", "scan", user, "--charger", "garage", "--timeout", seconds)
        assert answer.status == 2 and "1 to 600" in answer.err
    charger.state({"online": False})
    refused(live("card", "scan", user, "--charger", "garage"), "garage is offline")
    assert charger.commands == []


def test_a_registration_of_another_order_is_not_this_ones(live, user, charger, monkeypatch):
    monkeypatch.setattr("tools.portal.scanning._LATE_S", 0)
    charger.answers["enrol"] = lambda body: [
        done(),
        {**enrolled(), "v": body["v"] - 1},
        enrolled(token="no token"),
        enrolled(hint="04a1b2c3"),
        {**enrolled(), "hint": None},
    ]
    refused(live("card", "scan", user, "--charger", "garage", "--timeout", "1"), "no card was held")
    assert live("card", "list", "--json").json == []


def test_a_later_registration_takes_over(live, user, charger):
    charger.answers["enrol"] = lambda body: [done(), {**done(), "v": body["v"] + 7}]
    refused(live("card", "scan", user, "--charger", "garage"), "another registration has begun")


def test_a_restart_ends_the_registration(live, user, charger):
    before = {"event": "booted", "boot": charger.boot}
    after = {"event": "booted", "boot": charger.boot + 1}
    charger.answers["enrol"] = [done(), before, after]
    refused(live("card", "scan", user, "--charger", "garage"), "garage has restarted")


def test_ctrl_c_calls_the_registration_off(live, user, charger, home):
    charger.answers["enrol"] = lambda body: (
        [done()]
        if body["seconds"]
        else [
            {"event": "enrol_failed", "why": "cancelled", "v": body["v"] - 1},
            done(),
        ]
    )
    scan = process(
        "card", "scan", user, "--charger", "garage", "--home", str(home), stdin=subprocess.DEVNULL
    )
    try:
        assert scan.stdout and "hold the card" in scan.stdout.readline()
        scan.send_signal(signal.SIGINT)
        _, error = scan.communicate(timeout=20)
    finally:
        scan.kill()
    assert scan.returncode == 1
    assert error == (
        "tapgate: interrupted: no card was registered, and garage waits for none any more\n"
    )
    assert [each["seconds"] for each in charger.commands] == [60, 0]


def test_an_interruption_before_the_order_calls_off_nobodys_registration(
    live, user, charger, monkeypatch
):
    @asynccontextmanager
    async def interrupted(_home):
        raise asyncio.CancelledError
        yield

    monkeypatch.setattr(commanding, "turn", interrupted)
    answer = live("card", "scan", user, "--charger", "garage")
    refused(answer, "interrupted: no card was registered")
    assert "garage" not in answer.err and charger.commands == []


@pytest.mark.parametrize("ending", [aiomqtt.MqttError("gone"), asyncio.CancelledError()])
def test_where_the_link_breaks_it_is_told_that_the_charger_still_waits(
    live, user, charger, monkeypatch, ending
):
    """`ending`: the break is noticed at once, or only when Ctrl-C is to call the card off."""
    charger.answers["enrol"] = [done()]
    order = commanding.Line.order

    async def broken(line, name, body):
        if line.sent is not None:
            raise aiomqtt.MqttError("gone")
        return await order(line, name, body)

    async def ended(*_):
        raise ending

    monkeypatch.setattr(commanding.Line, "order", broken)
    monkeypatch.setattr("tools.portal.scanning._outcome", ended)
    answer = live("card", "scan", user, "--charger", "garage", "--timeout", "90")
    refused(answer, "no card was registered", "garage may wait for one", "90 s", "nobody's")
    assert [each["seconds"] for each in charger.commands] == [90]
