"""The owner's settings, and how they reach the chargers."""

import pytest

from host_tests.portal.conftest import Tapgate
from host_tests.portal.test_portal_commands import refused

DEFAULTS = {
    "charger": None,
    "service_may_start": False,
    "stop_on_withdrawal": True,
    "resume_within_s": 14_400,
    "max_age_s": 2_592_000,
    "overridden": {},
}


@pytest.fixture
def told(site: Tapgate, home):
    """What a charger is told: its settings, with the greatest age of its list."""

    def read(charger: str = "garage") -> dict:
        from tools.portal import database, installation, lists

        with database.reading(home) as session:
            for wanted in lists.wanted(session, installation.current(session)):
                if wanted.charger.name == charger:
                    return {**wanted.settings, "max_age_s": wanted.ref["max_age_s"]}
        raise LookupError(charger)

    return read


def test_settings_are_shown_as_the_design_has_them(site: Tapgate):
    assert site("settings", "--json").json == DEFAULTS
    assert site("settings", "--charger", "garage", "--json").json == {
        **DEFAULTS,
        "charger": "garage",
    }
    said = site("settings").out
    assert "4 h" in said and "30 days" in said and "publish" not in said


def test_each_setting_can_be_changed_and_reaches_the_charger(site: Tapgate, told):
    answer = site(
        *("settings", "--service-may-start", "on", "--stop-on-withdrawal", "off"),
        *("--resume-within", "0.5", "--max-age", "10", "--json"),
    ).json
    changed = {
        "service_may_start": True,
        "stop_on_withdrawal": False,
        "resume_within_s": 1_800,
        "max_age_s": 864_000,
    }
    assert answer == {**DEFAULTS, **changed} == site("settings", "--json").json
    assert told().items() >= changed.items()
    site("settings", "--max-age", "0", "--resume-within", "0")
    assert (told()["max_age_s"], told()["resume_within_s"]) == (0, 0)
    assert "never" in site("settings").out


def test_a_charger_may_let_the_service_start_on_its_own(site: Tapgate, told):
    site("charger", "add", "gate")
    answer = site("settings", "--charger", "gate", "--service-may-start", "on", "--json").json
    assert (answer["charger"], answer["service_may_start"]) == ("gate", True)
    assert told("gate")["service_may_start"] and not told()["service_may_start"]
    assert site("settings", "--json").json["overridden"] == {"gate": {"service_may_start": True}}
    assert "gate does" in site("settings").out
    site("settings", "--charger", "gate", "--service-may-start", "inherit")
    assert not told("gate")["service_may_start"]


@pytest.mark.parametrize(
    "options",
    [
        ("--service-may-start", "inherit"),
        ("--service-may-start", "perhaps"),
        ("--charger", "garage", "--max-age", "10"),
        ("--charger", "garage", "--stop-on-withdrawal", "off"),
        ("--resume-within", "-1"),
        ("--resume-within", "169"),
        ("--resume-within", "nan"),
        ("--max-age", "-1"),
        ("--max-age", "0.01"),
        ("--max-age", "3651"),
        ("--max-age", "inf"),
        ("--max-age", "soon"),
    ],
)
def test_values_that_are_not_allowed_are_wrong_usage(site: Tapgate, options):
    refused(site("settings", *options), 2)
    assert site("settings", "--json").json == DEFAULTS


def test_settings_of_an_unknown_charger_are_refused(site: Tapgate):
    refused(site("settings", "--charger", "gate"), 1, "charger add gate")


def test_while_an_operator_decides_no_charger_is_open(site: Tapgate, told):
    site("charger", "add", "gate")
    site("access", "open", "--charger", "gate")
    assert site("operator", "connect", "Lade AS").status == 0
    assert (told("gate")["access"], told("gate")["authority"]) == ("restricted", "operator")
    site("operator", "disconnect")
    assert (told("gate")["access"], told("gate")["authority"]) == ("open", "native")


def test_while_an_operator_decides_what_gives_permissions_is_refused(site: Tapgate, anna):
    site("schedule", "add", "office", "--week", "mo-fr")
    site("group", "add", "Family")
    token = site("card", "add", anna, "--number", "04a1b2c3", "--json").json["token"]
    key = site("partner", "add", "Elektro", "--json").json["lookup_key"]
    site("operator", "connect", "Lade AS")
    for command in (
        ("grant", anna, "--role", "user"),
        ("grant", anna, "--charger", "garage", "--inherit"),
        ("card", "add", anna, "--number", "04a1b2c4"),
        ("card", "unblock", token),
        ("schedule", "set", "office", "--week", "sa"),
        ("group", "join", anna, "Family"),
        ("partner", "grant", key, "--role", "service"),
        ("person", "add", "bo@example.org", "--partner", key),
        ("person", "set", anna, "--partner", key),
        ("revoke", anna),
        ("partner", "revoke", key),
        ("partner", "remove", key),
    ):
        refused(site(*command), 1, "Lade AS", "operator disconnect")


def test_while_an_operator_decides_what_only_takes_away_is_done(site: Tapgate, anna):
    site("grant", anna, "--role", "user")
    token = site("card", "add", anna, "--number", "04a1b2c3", "--json").json["token"]
    site("operator", "connect", "Lade AS")
    for command in (
        ("card", "block", token),
        ("card", "remove", token),
        ("person", "remove", anna),
    ):
        assert site(*command).status == 0, command
