"""Connecting an operator: what is locked, what is not, and what the platform is handed."""

import json
import stat

import pytest

from host_tests.portal.conftest import OWNER

LOCKED = [  # KEY: a partner's lookup key
    ("grant", OWNER, "--role", "user"),
    ("revoke", OWNER),
    ("card", "add", OWNER, "--number", "04a1b2c4"),
    ("card", "unblock", "04a1b2c3"),
    ("card", "scan", OWNER, "--charger", "garage"),
    ("access", "open"),
    ("access", "open", "--charger", "garage"),
    ("access", "inherit", "--charger", "garage"),
    ("start", "garage", "--person", OWNER),
    ("partner", "grant", "KEY", "--role", "user"),
    ("partner", "revoke", "KEY"),
    ("revoke", OWNER, "--charger", "garage"),
    ("person", "add", "bo@x.org", "--partner", "KEY"),
    ("person", "set", OWNER, "--partner", "KEY"),
    ("person", "set", OWNER, "--no-partner"),  # a partner's "none" is not lifted
    ("partner", "remove", "KEY"),
    ("group", "join", OWNER, "family"),
    ("schedule", "set", "nights", "--week", "mo-su"),
    ("settings", "--service-may-start", "on"),
    ("settings", "--service-may-start", "on", "--charger", "garage"),
    ("settings", "--service-may-start", "inherit", "--charger", "garage"),
]


def refused(answer, *words: str) -> None:
    assert answer.status == 1 and answer.out == "", answer
    assert answer.err.startswith("tapgate: ") and answer.err.count("\n") == 1, answer.err
    for word in words:
        assert word in answer.err


def test_an_operator_is_connected_shown_and_disconnected(site):
    answer = site("operator", "connect", "Charge Oslo", "--json").json
    assert answer == {
        "operator": "Charge Oslo",
        "offline": "deny",
        "wait_s": 10,
        "question": "tapgate/home/operator/question",
        "answer": "tapgate/home/operator/answer",
    }
    assert site("operator", "show", "--json").json == answer
    assert "Charge Oslo decides" in site("operator", "show").out
    gone = site("operator", "disconnect", "--json").json
    assert gone == {"operator": None, "disconnected": "Charge Oslo"}
    assert site("operator", "show", "--json").json == {"operator": None}
    refused(site("operator", "disconnect"), "no operator is connected")


def test_the_platform_gets_its_keys_in_a_file_of_its_own(site, tmp_path):
    file = tmp_path / "operator.json"
    said = site("operator", "connect", "Charge Oslo", "--wait", "5", "--out", str(file))
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    found = json.loads(file.read_text())
    key, card_key = found.pop("key"), found.pop("card_key")
    assert found == {
        "installation": "home",
        "operator": "Charge Oslo",
        "broker": {"host": "127.0.0.1", "port": 9, "tls": False, "ca": ""},
        "question": "tapgate/home/operator/question",
        "answer": "tapgate/home/operator/answer",
        "wait_s": 5,
        "offline": "deny",
    }
    assert len(bytes.fromhex(key)) == len(bytes.fromhex(card_key)) == 32
    assert key not in said.out + said.err and card_key not in said.out + said.err
    again = tmp_path / "again.json"
    assert site("operator", "show", "--out", str(again)).status == 0
    assert json.loads(again.read_text())["key"] == key


def test_the_portals_own_password_for_the_broker_stays_here(site, tmp_path):
    site("broker", "mqtt://portal:s3cret@127.0.0.1:9")
    file = tmp_path / "operator.json"
    assert site("operator", "connect", "Charge Oslo", "--out", str(file)).status == 0
    assert "s3cret" not in file.read_text()


def test_said_again_it_changes_the_policy_and_keeps_the_key(site, tmp_path):
    keys = []
    for options in ([], ["--offline", "list"], ["--wait", "30"]):
        file = tmp_path / "operator.json"
        site("operator", "connect", "Charge Oslo", *options, "--out", str(file))
        keys.append(json.loads(file.read_text())["key"])
    shown = site("operator", "show", "--json").json
    assert (shown["offline"], shown["wait_s"]) == ("list", 30)
    assert len(set(keys)) == 1
    refused(site("operator", "connect", "Other"), "Charge Oslo decides", "operator disconnect")
    site("operator", "disconnect")
    site("operator", "connect", "Charge Oslo", "--out", str(tmp_path / "operator.json"))
    assert json.loads((tmp_path / "operator.json").read_text())["key"] not in keys
    shown = site("operator", "show", "--json").json
    assert (shown["offline"], shown["wait_s"]) == ("deny", 10)


@pytest.mark.parametrize(
    "options", [["--wait", "0"], ["--wait", "61"], ["--offline", "open"], ["--wait", "x"]]
)
def test_a_policy_that_no_charger_knows_is_refused(site, options):
    assert site("operator", "connect", "Charge Oslo", *options).status == 2
    assert site("operator", "show", "--json").json == {"operator": None}


def test_no_charger_may_be_called_operator(site):
    assert site("charger", "add", "operator").status == 2


def test_what_gives_is_locked_with_the_operators_name(site, anna):
    site("card", "add", anna, "--number", "04a1b2c3")
    site("access", "restricted", "--charger", "garage")
    key = site("partner", "add", "Volt", "--json").json["lookup_key"]
    site("group", "add", "family")
    site("schedule", "add", "nights", "--week", "mo-fr 22:00-06:00")
    site("operator", "connect", "Charge Oslo")
    for command in LOCKED:
        command = tuple(key if each == "KEY" else each for each in command)
        refused(site(*command), "Charge Oslo decides", "tapgate operator disconnect")


def test_an_import_is_locked_too(site, tmp_path):
    file = tmp_path / "people.csv"
    file.write_text("email,name,role,charger,number,as\nb@x.org,B,user,,04a1b2c9,hex\n")
    site("operator", "connect", "Charge Oslo")
    refused(site("import", str(file)), "Charge Oslo decides")
    assert [each["person"] for each in site("person", "list", "--json").json] == [OWNER]


def test_what_only_takes_away_is_not_locked(site, anna):
    for number in ("04a1b2c3", "04a1b2c4"):
        site("card", "add", anna, "--number", number)
    site("operator", "connect", "Charge Oslo")
    assert site("card", "block", "04a1b2c3").status == 0
    assert site("card", "remove", "04a1b2c4").status == 0
    assert site("access", "restricted").status == 0
    assert site("settings", "--service-may-start", "off").status == 0
    assert site("settings", "--service-may-start", "off", "--charger", "garage").status == 0
    assert site("settings", "--max-age", "7").status == 0
    assert site("person", "set", anna, "--name", "A").status == 0
    assert site("person", "remove", anna).status == 0


def test_every_charger_is_told_who_decides_and_gets_its_mode_back(live, broker, observe):
    live("access", "open", "--charger", "garage")
    live("publish")
    live("operator", "connect", "Charge Oslo", "--offline", "list", "--wait", "7")
    live("publish")
    settings = "tapgate/home/garage/settings"
    seen = observe(broker)
    seen.until(lambda: settings in seen.newest())
    told = json.loads(seen.newest()[settings][65:])
    assert (told["authority"], told["access"]) == ("operator", "restricted")
    assert (told["offline"], told["operator_wait_s"]) == ("list", 7)
    live("operator", "disconnect")
    live("publish")
    seen.until(lambda: json.loads(seen.newest()[settings][65:])["v"] > told["v"])
    told = json.loads(seen.newest()[settings][65:])
    assert (told["authority"], told["access"]) == ("native", "open")
