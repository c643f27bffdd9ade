"""The commands as scripts meet them: statuses, JSON, one line for every refusal."""

import io
import json
import sqlite3
import stat

import pytest

from host_tests.portal.conftest import OWNER, Tapgate

INIT = ("init", "--installation", "home", "--broker", "mqtt://127.0.0.1:9", "--owner", OWNER)


def refused(answer, status: int, *words: str) -> None:
    assert answer.status == status
    assert answer.out == ""
    assert answer.err.startswith("tapgate: ") and answer.err.count("\n") == 1, answer.err
    for word in words:
        assert word in answer.err


# --- init ---


def test_init_says_what_it_set_up(tapgate: Tapgate, home):
    found = tapgate(*INIT, "--timezone", "Europe/Oslo", "--json").json
    assert found == {
        "installation": "home",
        "broker": "mqtt://127.0.0.1:9",
        "owner": OWNER,
        "timezone": "Europe/Oslo",
        "access": "restricted",
        "home": str(home),
    }


def test_the_data_are_closed_to_others(tapgate: Tapgate, home):
    assert tapgate(*INIT).status == 0
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert {stat.S_IMODE(each.stat().st_mode) for each in home.iterdir()} == {0o600}


def test_an_installation_is_set_up_once(tapgate: Tapgate):
    assert tapgate(*INIT).status == 0
    refused(tapgate(*INIT), 1, "already holds the installation 'home'", "--home")


def test_an_interrupted_init_can_be_run_again(tapgate: Tapgate, home):
    home.mkdir()
    (home / "tapgate.db").touch()
    refused(tapgate("charger", "list"), 1, "tapgate init")
    assert tapgate(*INIT).status == 0


@pytest.mark.parametrize(
    "change",
    [
        {"--installation": "Home"},
        {"--installation": ""},
        {"--installation": "a" * 33},
        {"--installation": "hø"},
        {"--broker": "broker.example"},
        {"--broker": "mqtts://broker.example"},  # no authority to trust
        {"--owner": "ola"},
        {"--owner": "ola@"},
        {"--owner": "ola @example.org"},
        {"--owner": "ola@example..org"},
        {"--timezone": "Mars/Olympus"},
    ],
)
def test_a_wrong_value_at_init_leaves_nothing_behind(tapgate: Tapgate, home, change):
    options = dict(zip(INIT[1::2], INIT[2::2], strict=True)) | change
    refused(tapgate("init", *(word for pair in options.items() for word in pair)), 2)
    assert not home.exists()


def test_a_password_is_never_shown(tapgate: Tapgate):
    url = "mqtt://anna:s3cret@127.0.0.1:9"
    said = [
        tapgate("init", "--installation", "home", "--broker", url, "--owner", OWNER),
        tapgate("broker"),
        tapgate("broker", "--json"),
        tapgate("publish"),
        tapgate("status"),
    ]
    assert all("s3cret" not in each.out + each.err for each in said)
    assert said[2].json == {"broker": "mqtt://anna@127.0.0.1:9", "ca": False}


def test_a_password_need_not_stand_on_the_command_line(tapgate: Tapgate, monkeypatch):
    def type_in(url: bytes) -> None:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(url + b"\n")))

    type_in(b"mqtt://anna:s3cret@127.0.0.1:9")
    assert tapgate(*INIT[:3], "--broker", "-", "--owner", OWNER).status == 0
    assert tapgate("broker", "--json").json["broker"] == "mqtt://anna@127.0.0.1:9"
    type_in(b"mqtt://bo:s3cret@127.0.0.1:9")
    assert tapgate("broker", "-", "--json").json["broker"] == "mqtt://bo@127.0.0.1:9"


def test_the_broker_can_be_changed(site: Tapgate):
    assert site("broker", "mqtt://other.example:1884").status == 0
    assert site("broker", "--json").json["broker"] == "mqtt://other.example:1884"
    refused(site("broker", "mqtts://other.example"), 2, "--ca")
    assert site("broker", "--json").json["broker"] == "mqtt://other.example:1884"


# --- where and how ---


def test_home_and_json_are_taken_before_and_after_the_command(site: Tapgate, home, monkeypatch):
    monkeypatch.delenv("TAPGATE_HOME")
    where = ("--home", str(home))
    rows = [
        site(*where, "--json", "charger", "list"),
        site("charger", *where, "--json", "list"),
        site("charger", "list", *where, "--json"),
        site("--json", "charger", "list", f"--home={home}"),
    ]
    assert all([row["charger"] for row in each.json] == ["garage"] for each in rows)


def test_the_innermost_home_counts(site: Tapgate, home, tmp_path):
    assert site("--home", str(tmp_path / "no"), "charger", "list", "--home", str(home)).status == 0
    refused(site("charger", "list", "--home", str(tmp_path / "no")), 1, "tapgate init")


@pytest.mark.parametrize(
    "command",
    [
        ("charger", "list"),
        ("person", "list"),
        ("card", "list"),
        ("publish",),
        ("status",),
        ("access", "open"),
        ("charger", "add", "x"),
        ("broker",),
    ],
)
def test_without_an_installation_every_command_says_what_to_do(tapgate: Tapgate, home, command):
    refused(tapgate(*command), 1, "tapgate init", "--home")
    assert not home.exists()


def test_a_home_that_cannot_be_is_one_line(tapgate: Tapgate, tmp_path):
    (tmp_path / "file").touch()
    refused(tapgate(*INIT, "--home", str(tmp_path / "file")), 1, "file")
    refused(tapgate(*INIT, "--home", "/proc/nothing/here"), 1, "/proc/nothing")
    refused(tapgate(*INIT, "--home", ""), 2, "--home")


def test_data_of_another_layout_are_left_alone(site: Tapgate, home):
    with sqlite3.connect(home / "tapgate.db") as connection:
        connection.execute("UPDATE schema SET version = 99")
    refused(site("charger", "list"), 1, "layout 99")


def test_damaged_data_are_one_line(site: Tapgate, home):
    (home / "tapgate.db").write_bytes(b"x" * 8_192)
    refused(site("charger", "list"), 1, "damaged")


@pytest.mark.parametrize(
    "command",
    [
        ("grnt",),
        ("charger", "ad"),
        ("charger", "add"),
        ("charger", "add", "a", "b"),
        ("charger", "add", "garage", "--colour", "red"),
        ("charger", "config", "garage"),
        ("charger", "config", "garage", "--out", "x", "--light", "candle"),
        ("grant", OWNER),
        ("grant", OWNER, "--role", "boss"),
        ("grant", OWNER, "--role"),
        ("grant", OWNER, "--role", "owner", "--until", "tomorrow"),
        ("grant", OWNER, "--role", "owner", "--from", "2027-01-01", "--until", "2026-01-01"),
        ("grant", OWNER, "--role", "user", "--until", "2099-01-01"),
        ("grant", OWNER, "--inherit"),
        ("grant", OWNER, "--inherit", "--charger", "garage", "--role", "user"),
        ("access",),
        ("access", "ajar"),
        ("access", "inherit"),
        ("card", "add", OWNER),
        ("card", "add", OWNER, "--number", "04a1b2c3", "--as", "octal"),
        ("card", "add", OWNER, "--number", "04a1b2c3", "--label", "two\nlines"),
        ("card", "add", OWNER, "--number", "04a1b2c3", "--label", "\x1b[31mred"),
        ("person", "add", "anna"),
        ("person", "add", "anna@example.org", "--name", " "),
        ("charger", "add", "Garage"),
        ("charger", "add", "object"),  # tapgate/home/object/... is where the objects lie
        ("simulate", "--config", "c.json"),
        ("simulate", "--flash", "x", "--control", "99999"),
        ("simulate", "--flash", "x", "--json"),
    ],
)
def test_a_wrong_command_line_is_status_2_and_one_line(site: Tapgate, command):
    refused(site(*command), 2)


def test_help_is_there_for_every_command(tapgate: Tapgate):
    words = ("init", "broker", "access", "grant", "revoke", "publish", "status", "simulate")
    for command in [*((word,) for word in words), ("charger", "config"), ("card", "add")]:
        answer = tapgate(*command, "--help")
        assert answer.status == 0 and "--json" in answer.out and "--home" in answer.out


def test_an_unexpected_error_is_one_line_unless_asked_for(site: Tapgate, monkeypatch):
    from tools.portal import chargers

    def broken(*_):
        raise ZeroDivisionError("two\nlines")

    monkeypatch.setattr(chargers, "every", broken)
    refused(site("charger", "list"), 1, "ZeroDivisionError: two lines", "TAPGATE_DEBUG=1")
    monkeypatch.setenv("TAPGATE_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        site("charger", "list")


# --- chargers, people ---


def test_a_new_charger_comes_with_what_to_do_next(site: Tapgate):
    out = site("charger", "add", "gate").out
    assert "next: tapgate provision --port PORT --charger gate" in out
    assert "tapgate charger config gate --out config.json" in out


def test_a_charger_is_added_once(site: Tapgate):
    assert site("charger", "add", "gate", "--json").json == {
        "charger": "gate",
        "access": "restricted",
    }
    refused(site("charger", "add", "gate"), 1, "'gate'")
    assert [row["charger"] for row in site("charger", "list", "--json").json] == ["garage", "gate"]


def test_every_charger_has_a_key_of_its_own(site: Tapgate, home):
    site("charger", "add", "gate")
    with sqlite3.connect(home / "tapgate.db") as connection:
        keys = [row[0] for row in connection.execute("SELECT key FROM charger")]
        keys += [row[0] for row in connection.execute("SELECT card_key FROM installation")]
    assert len(set(keys)) == 3 and all(len(bytes.fromhex(key)) == 32 for key in keys)


def test_people_are_the_same_in_any_case_of_letters(site: Tapgate, anna):
    refused(site("person", "add", "Anna@Example.ORG"), 1, "anna@example.org")
    assert site("grant", "ANNA@example.org", "--role", "user", "--json").json["person"] == anna


def test_unknown_people_and_chargers_are_refused_with_the_way_to_add_them(site: Tapgate, anna):
    refused(site("grant", "bo@example.org", "--role", "user"), 1, "person add bo@example.org")
    refused(site("revoke", "bo@example.org"), 1, "person add")
    refused(site("card", "add", "bo@example.org", "--number", "04a1b2c3"), 1, "person add")
    refused(site("card", "list", "--person", "bo@example.org"), 1, "person add")
    refused(site("grant", anna, "--role", "user", "--charger", "gate"), 1, "charger add gate")
    refused(site("access", "open", "--charger", "gate"), 1, "charger add gate")
    refused(site("status", "gate"), 1, "charger add gate")
    refused(site("charger", "config", "gate", "--out", "x"), 1, "charger add gate")


def test_people_are_listed_with_what_they_may(site: Tapgate, anna):
    site("grant", anna, "--role", "user", "--until", "2027-01-01")
    site("grant", anna, "--role", "service", "--charger", "garage")
    site("card", "add", anna, "--number", "04a1b2c3")
    first, second = site("person", "list", "--json").json
    assert first == {
        "person": anna,
        "name": None,
        "permissions": [
            {
                "role": "user",
                "charger": None,
                "from": None,
                "until": "2027-01-02T00:00:00+01:00",
                "schedule": None,
            },
            {"role": "service", "charger": "garage", "from": None, "until": None, "schedule": None},
        ],
        "cards": 1,
        "group": None,
        "partner": None,
    }
    assert second["person"] == OWNER and second["permissions"][0]["role"] == "owner"
    for_people = site("person", "list").out
    assert "user, until 2027-01-02 00:00" in for_people and "service on garage" in for_people


def test_a_removed_person_leaves_with_their_cards(site: Tapgate, anna):
    site("grant", anna, "--role", "user")
    site("card", "add", anna, "--number", "04a1b2c3")
    site("card", "add", anna, "--number", "04a1b2c4")
    assert site("person", "remove", anna, "--json").json == {"person": anna, "cards": 2}
    assert site("card", "list", "--json").json == []
    site("person", "add", "bo@example.org")
    assert site("card", "add", "bo@example.org", "--number", "04a1b2c3").status == 0


# --- permissions ---


def test_a_grant_says_what_it_gave_in_local_time(site: Tapgate, anna):
    answer = site(
        *("grant", anna, "--role", "user", "--charger", "garage"),
        *("--from", "2026-07-01T08:00", "--until", "2026-07-31", "--json"),
    )
    assert answer.json == {
        "person": anna,
        "role": "user",
        "charger": "garage",
        "from": "2026-07-01T08:00:00+02:00",
        "until": "2026-08-01T00:00:00+02:00",
        "schedule": None,
    }


def test_a_grant_that_is_over_already_is_given_and_said_to_be(site: Tapgate, anna):
    answer = site("grant", anna, "--role", "user", "--until", "2020-01-01")
    assert answer.status == 0 and "over already" in answer.out


def test_a_second_grant_replaces_the_first_with_its_times(site: Tapgate, anna):
    site("grant", anna, "--role", "user", "--until", "2027-01-01")
    site("grant", anna, "--role", "service")
    [permission] = site("person", "list", "--json").json[0]["permissions"]
    assert (permission["role"], permission["until"]) == ("service", None)


def test_revoke_takes_everything_away(site: Tapgate, anna):
    site("grant", anna, "--role", "user")
    site("grant", anna, "--role", "user", "--charger", "garage")
    assert site("revoke", anna, "--json").json == {
        "person": anna,
        "charger": None,
        "chargers": ["garage"],
        "partner": None,
    }
    assert site("person", "list", "--json").json[0]["permissions"] == []
    refused(site("revoke", anna), 1, "no permission")


def test_revoke_on_a_charger_takes_only_that_away(site: Tapgate, anna):
    site("charger", "add", "gate")
    site("grant", anna, "--role", "user", "--charger", "garage")
    site("grant", anna, "--role", "user", "--charger", "gate")
    assert site("revoke", anna, "--charger", "garage").status == 0
    [left] = site("person", "list", "--json").json[0]["permissions"]
    assert left["charger"] == "gate"
    refused(site("revoke", anna, "--charger", "garage"), 1, "no permission on garage")


def test_revoke_on_a_charger_keeps_out_whom_the_installation_lets_in(site: Tapgate, anna):
    site("grant", anna, "--role", "user")
    assert site("revoke", anna, "--charger", "garage").status == 0
    permissions = site("person", "list", "--json").json[0]["permissions"]
    assert [(each["role"], each["charger"]) for each in permissions] == [
        ("user", None),
        ("none", "garage"),
    ]
    assert "nothing on garage" in site("person", "list").out
    refused(site("revoke", anna, "--charger", "garage"), 1, "already")


def test_inherit_takes_back_what_was_said_for_a_charger(site: Tapgate, anna):
    site("grant", anna, "--role", "user")
    site("revoke", anna, "--charger", "garage")
    assert site("grant", anna, "--charger", "garage", "--inherit").status == 0
    permissions = site("person", "list", "--json").json[0]["permissions"]
    assert [each["charger"] for each in permissions] == [None]
    refused(site("grant", anna, "--charger", "garage", "--inherit"), 1, "garage")


@pytest.mark.parametrize(
    "command",
    [
        ("revoke", OWNER),
        ("person", "remove", OWNER),
        ("grant", OWNER, "--role", "user"),
        ("grant", OWNER, "--role", "owner", "--until", "2050-01-01"),
        ("grant", OWNER, "--role", "owner", "--from", "2050-01-01"),
    ],
)
def test_the_last_owner_stays(site: Tapgate, anna, command):
    site("grant", anna, "--role", "owner", "--charger", "garage")  # not of the installation
    site("grant", anna, "--role", "owner", "--until", "2050-01-01")  # not for good
    before = site("person", "list", "--json").json
    refused(site(*command), 1, "last owner", "--role owner")
    assert site("person", "list", "--json").json == before


def test_with_another_owner_the_first_may_go(site: Tapgate, anna):
    site("grant", anna, "--role", "owner")
    assert site("person", "remove", OWNER).status == 0
    refused(site("revoke", anna), 1, "last owner")


# --- access ---


def test_access_is_the_installations_unless_a_charger_has_its_own(site: Tapgate):
    site("charger", "add", "gate")

    def modes():
        return {row["charger"]: row["access"] for row in site("charger", "list", "--json").json}

    assert modes() == {"garage": "restricted", "gate": "restricted"}
    assert site("access", "open", "--json").json == {"access": "open", "charger": None}
    site("access", "restricted", "--charger", "gate")
    assert modes() == {"garage": "open", "gate": "restricted"}
    answer = site("access", "inherit", "--charger", "gate", "--json")
    assert answer.json == {"access": "open", "charger": "gate", "inherited": True}
    assert modes() == {"garage": "open", "gate": "open"}


# --- cards ---


def test_a_card_is_listed_by_token_and_hint(site: Tapgate, anna, home):
    number = "04:a1:b2:c3:d4:e5:80"
    added = site("card", "add", anna, "--number", number, "--label", "blue fob", "--json").json
    assert added == {
        "token": added["token"],
        "hint": "e580",
        "person": anna,
        "label": "blue fob",
        "blocked": False,
    }
    assert len(bytes.fromhex(added["token"])) == 7
    assert site("card", "list", "--json").json == [added]
    assert site("card", "list", "--person", anna, "--json").json == [added]
    assert site("card", "list", "--person", OWNER, "--json").json == []


def test_the_number_itself_is_nowhere(site: Tapgate, anna, home):
    site("card", "add", anna, "--number", "04a1b2c3d4e580")
    for file in home.iterdir():
        content = file.read_bytes().lower()
        assert b"04a1b2c3" not in content and bytes.fromhex("04a1b2c3d4") not in content


def test_a_card_belongs_to_one_person(site: Tapgate, anna):
    site("card", "add", anna, "--number", "04a1b2c3")
    answer = site("card", "add", OWNER, "--number", "c3b2a104", "--as", "hex-reversed")
    refused(answer, 1, anna, "card remove")
    assert "a1b2c3" not in answer.err and "c3b2a1" not in answer.err
    assert len(site("card", "list", "--json").json) == 1


def test_a_card_is_blocked_and_found_by_number_or_token(site: Tapgate, anna):
    token = site("card", "add", anna, "--number", "04112233445566", "--as", "hex", "--json").json[
        "token"
    ]
    assert site("card", "block", "04112233445566", "--json").json["blocked"] is True
    assert site("card", "unblock", token.upper(), "--json").json["blocked"] is False
    assert site("card", "block", "66554433221104", "--as", "hex-reversed").status == 0
    assert site("card", "list", "--json").json[0]["blocked"] is True
    assert site("card", "remove", "04:11:22:33:44:55:66", "--json").json["token"] == token
    refused(site("card", "remove", token), 1, "card list")
    refused(site("card", "block", "whatever"), 1, "neither")


def test_a_number_can_come_from_standard_input(site: Tapgate, anna, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"04a1b2c3\n")))
    assert site("card", "add", anna, "--number", "-", "--json").json["hint"] == "b2c3"


# --- for people ---


def test_prose_has_no_escape_sequences_and_is_not_cut_in_a_pipe(site: Tapgate):
    long = "a" * 60 + "@" + "b" * 60 + ".example.org"
    site("person", "add", long, "--name", "[red]Anna[/red] " + "x" * 80)
    out = site("person", "list").out
    assert long in out and "[red]Anna[/red] " + "x" * 80 in out and "\x1b" not in out


def test_every_json_answer_is_one_value(site: Tapgate, anna):
    for command in [
        ("person", "add", "å@example.org", "--name", "Åse"),
        ("person", "list"),
        ("grant", anna, "--role", "user"),
        ("card", "add", anna, "--number", "04a1b2c3"),
        ("access", "open"),
        ("charger", "list"),
        ("status",),
    ]:
        answer = site(*command, "--json")
        assert answer.status == 0, answer.err
        json.loads(answer.out)
