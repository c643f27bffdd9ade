"""Who may stop whose sessions: groups of one's own, and those that people give a name."""

import sqlite3

import pytest

from host_tests.portal.conftest import OWNER, Tapgate
from host_tests.portal.test_portal_commands import refused

BO = "bo@example.org"


@pytest.fixture
def family(site: Tapgate, anna):
    """Anna with two cards and Bo with one, nobody in a named group. Returns their tokens."""
    site("person", "add", BO)
    for person in (anna, BO):
        site("grant", person, "--role", "user")
    numbers = [(anna, "04a1b2c3"), (anna, "04a1b2c4"), (BO, "04a1b2c5")]
    return [
        site("card", "add", person, "--number", number, "--json").json["token"]
        for person, number in numbers
    ]


@pytest.fixture
def groups(family, listed):
    """The numbers of these three cards' groups, as the charger is told them."""

    def now() -> list[int]:
        entries = listed()
        return [int.from_bytes(entries[token][7:9], "big") for token in family]

    return now


def test_everybody_has_a_group_of_their_own_from_the_first(groups):
    first, second, other = groups()
    assert first == second != other and 0 not in (first, other)


def test_people_who_join_a_group_share_its_number(site, anna, groups):
    number = site("group", "add", "Family", "--json").json["number"]
    assert site("group", "join", anna, "family", "--json").json == {
        "person": anna,
        "group": "Family",
        "left": None,
    }
    site("group", "join", BO, "Family")
    assert groups() == [number] * 3
    assert site("group", "list", "--json").json == [
        {"group": "Family", "number": number, "members": [anna, BO]}
    ]
    assert site("person", "list", "--json").json[0]["group"] == "Family"


def test_who_leaves_a_group_is_on_their_own_again(site, anna, groups):
    site("group", "add", "Family")
    for person in (anna, BO):
        site("group", "join", person, "Family")
    assert site("group", "leave", BO, "--json").json["left"] == "Family"
    first, second, other = groups()
    assert first == second != other != 0
    refused(site("group", "leave", BO), 1, "no group")


def test_one_is_in_one_group_only(site, anna):
    for name in ("Family", "Work"):
        site("group", "add", name)
    site("group", "join", anna, "Family")
    assert site("group", "join", anna, "Work", "--json").json["left"] == "Family"
    refused(site("group", "join", anna, "Work"), 1, "already")
    members = {each["group"]: each["members"] for each in site("group", "list", "--json").json}
    assert members == {"Family": [], "Work": [anna]}


def test_the_members_of_a_removed_group_are_each_on_their_own(site, anna, groups):
    site("group", "add", "Family")
    for person in (anna, BO):
        site("group", "join", person, "Family")
    assert site("group", "remove", "Family", "--json").json["members"] == [anna, BO]
    first, second, other = groups()
    assert first == second != other and 0 not in (first, other)
    assert site("group", "list", "--json").json == []


def test_a_group_is_there_once_in_any_case_of_letters(site, anna):
    site("group", "add", "Family")
    refused(site("group", "add", "FAMILY"), 1, "'Family'")
    refused(site("group", "join", anna, "Firm"), 1, "'Firm'", "group list")
    refused(site("group", "add", "two\nlines"), 2)


def test_a_freed_number_comes_round_again_as_late_as_can_be(site, anna, groups, home):
    used = groups()[2]
    site("person", "remove", BO)
    given = []
    for i in range(3):
        site("person", "add", f"x{i}@example.org")
        with sqlite3.connect(home / "tapgate.db") as connection:
            given += [row[0] for row in connection.execute("SELECT max(number) FROM card_group")]
    assert used not in given and len(set(given)) == 3
    with sqlite3.connect(home / "tapgate.db") as connection:
        connection.execute("UPDATE installation SET last_group = 65535")
    site("group", "add", "Family")
    assert site("group", "list", "--json").json[0]["number"] == used


def test_past_the_last_number_people_are_in_no_group_and_told_so(site, anna, home, listed):
    with sqlite3.connect(home / "tapgate.db") as connection:
        taken = {row[0] for row in connection.execute("SELECT number FROM card_group")}
        connection.executemany(
            "INSERT INTO card_group (number, name) VALUES (?, ?)",
            [
                (each, "g77" if each == 77 else None)
                for each in range(1, 65_536)
                if each not in taken
            ],
        )
    refused(site("group", "add", "Family"), 1, "65535")
    answer = site("person", "add", BO)
    assert answer.status == 0 and "65535" in answer.out
    site("grant", BO, "--role", "user")
    site("card", "add", BO, "--number", "04a1b2c5")
    assert [each[7:9] for each in listed().values()] == [b"\0\0"]
    site("group", "remove", "g77")
    token = site("card", "add", BO, "--number", "04a1b2c6", "--json").json["token"]
    assert listed()[token][7:9] == (77).to_bytes(2, "big")


def test_a_removed_person_frees_their_group(site, anna, home):
    def numbers() -> int:
        with sqlite3.connect(home / "tapgate.db") as connection:
            return connection.execute("SELECT count(*) FROM card_group").fetchone()[0]

    before = numbers()
    site("person", "remove", anna)
    assert numbers() == before - 1
    site("person", "add", anna)
    site("group", "add", "Family")
    site("group", "join", OWNER, "Family")
    assert numbers() == before  # the one of their own is gone, the family's is there
