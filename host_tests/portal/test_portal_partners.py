"""Partners: found by four digits that are hard to guess, and what their people may do."""

import pytest

from host_tests.portal.conftest import OWNER, Tapgate
from host_tests.portal.test_portal_commands import refused
from tools.portal import partners
from tools.portal.refusal import Refusal

CARL = "carl@example.org"
ROLES = {0: "owner", 1: "user", 2: "service"}


@pytest.fixture
def key(site: Tapgate) -> str:
    """Of the partner "Elektro", which has no permissions yet."""
    return site("partner", "add", "Elektro", "--json").json["lookup_key"]


@pytest.fixture
def carl(site: Tapgate, key) -> str:
    """One of its people, with a card. Returns the card's token."""
    assert site("person", "add", CARL, "--partner", key, "--json").json["partner"] == "Elektro"
    return site("card", "add", CARL, "--number", "04a1b2c3", "--json").json["token"]


@pytest.fixture
def role(site: Tapgate, carl, listed):
    """What Carl's card may do at a charger; None where it is not listed."""
    site("charger", "add", "gate")

    def at(charger: str = "garage") -> str | None:
        found = listed(charger).get(carl)
        return None if found is None else ROLES[found[15] & 3]

    return at


@pytest.fixture
def clock(monkeypatch):
    """Seconds that pass when they are told to."""
    now = [2_000_000_000]
    monkeypatch.setattr(partners.time, "time", lambda: now[0])
    return now


def wrong(key: str) -> str:
    return f"{(int(key) + 1) % 10_000:04}"


def test_a_partner_is_found_by_a_key_of_four_digits(site: Tapgate):
    first = site("partner", "add", "Elektro", "--json").json
    second = site("partner", "add", "Lade AS", "--json").json
    keys = [first["lookup_key"], second["lookup_key"]]
    assert all(len(each) == 4 and each.isdigit() for each in keys) and keys[0] != keys[1]
    refused(site("partner", "add", "ELEKTRO"), 1, "'Elektro'")
    assert site("partner", "list", "--json").json == [
        {"partner": "Elektro", "lookup_key": keys[0], "permissions": [], "people": []},
        {"partner": "Lade AS", "lookup_key": keys[1], "permissions": [], "people": []},
    ]


def test_keys_are_drawn_from_all_that_are_free(site: Tapgate, home, monkeypatch):
    from sqlalchemy import insert

    from tools.portal import database
    from tools.portal.schema import Partner

    with database.changing(home) as session:
        rows = [
            {"name": f"p{each}", "lookup_key": f"{each:04}", "added_at": 0}
            for each in range(10_000)
            if each not in (17, 9_321)
        ]
        session.execute(insert(Partner), rows)
    assert {site("partner", "add", name, "--json").json["lookup_key"] for name in "ab"} == {
        "0017",
        "9321",
    }
    refused(site("partner", "add", "c"), 1, "10000")


def test_its_people_may_what_the_partner_may(site: Tapgate, key, role):
    assert role() is None
    answer = site("partner", "grant", key, "--role", "service", "--json").json
    assert (answer["partner"], answer["role"], answer["people"]) == ("Elektro", "service", 1)
    assert role() == role("gate") == "service"
    site("person", "set", CARL, "--no-partner")
    assert role() is None
    site("person", "set", CARL, "--partner", key)
    assert role() == "service"


def test_a_partner_can_be_limited_in_time_and_place(site: Tapgate, key, role, listed, carl):
    site("schedule", "add", "office", "--week", "mo-fr 08:00-18:00")
    where = ("--charger", "gate", "--schedule", "office", "--until", "2030-01-01")
    answer = site("partner", "grant", key, "--role", "service", *where, "--json").json
    assert (answer["charger"], answer["schedule"]) == ("gate", "office")
    assert role() is None and role("gate") == "service"
    entry = listed("gate")[carl]
    assert entry[15] >> 3 == 1 and any(entry[12:15])


@pytest.mark.parametrize(
    ("of_partner", "own", "garage"),
    [
        ({None: "service"}, {}, "service"),
        ({None: "service"}, {None: "user"}, "user"),  # the same place: one's own counts
        ({"garage": "service"}, {None: "user"}, "service"),  # a charger comes before the whole
        ({"garage": None}, {None: "user"}, None),
        ({None: "service"}, {"garage": "user"}, "user"),
        ({None: "service"}, {"garage": None}, None),
        ({"garage": "service"}, {"garage": "user"}, "user"),
    ],
)
def test_a_charger_comes_before_the_whole_and_ones_own_before_the_partners(
    site: Tapgate, key, role, of_partner, own, garage
):
    for grant, revoke, given in (
        (("partner", "grant", key), ("partner", "revoke", key), of_partner),
        (("grant", CARL), ("revoke", CARL), own),
    ):
        for charger, what in given.items():
            where = ("--charger", charger) if charger else ()
            if what:
                assert site(*grant, "--role", what, *where).status == 0
            else:  # kept from there, where the whole would let them in
                assert site(*grant, "--role", "user").status == 0
                assert site(*revoke, *where).status == 0
    assert role() == garage


def test_revoking_somebody_of_a_partner_takes_them_out_of_it(site: Tapgate, key, role):
    site("partner", "grant", key, "--role", "service")
    answer = site("revoke", CARL, "--json").json
    assert (answer["partner"], answer["chargers"]) == ("Elektro", [])
    assert role() is None and role("gate") is None
    assert site("partner", "list", "--json").json[0]["people"] == []
    refused(site("revoke", CARL), 1, "no permission")


def test_revoking_says_through_whom_somebody_had_rights(site: Tapgate, key, role):
    site("partner", "grant", key, "--role", "service")
    assert "Elektro" in site("revoke", CARL).out


def test_somebody_of_a_partner_can_be_kept_from_one_charger(site: Tapgate, key, role):
    site("partner", "grant", key, "--role", "service")
    site("grant", CARL, "--role", "owner", "--charger", "gate")
    assert site("revoke", CARL, "--charger", "gate").status == 0
    assert role() == "service" and role("gate") is None
    refused(site("revoke", CARL, "--charger", "gate"), 1, "already")
    site("grant", CARL, "--charger", "gate", "--inherit")
    assert role("gate") == "service"


def test_somebody_can_be_kept_from_the_one_charger_that_is_their_partners(site: Tapgate, key, role):
    site("partner", "grant", key, "--role", "service", "--charger", "gate")
    assert role("gate") == "service"
    assert site("revoke", CARL, "--charger", "gate").status == 0
    assert role("gate") is None
    refused(site("revoke", CARL, "--charger", "garage"), 1, "no permission on garage")


def test_where_the_partner_is_kept_out_there_is_nothing_left_to_keep_its_people_from(
    site: Tapgate, key, role
):
    site("partner", "grant", key, "--role", "service")
    site("partner", "revoke", key, "--charger", "gate")
    site("grant", CARL, "--role", "user", "--charger", "gate")
    assert role("gate") == "user"
    assert site("revoke", CARL, "--charger", "gate").status == 0
    assert role("gate") is None
    refused(site("revoke", CARL, "--charger", "gate"), 1, "no permission on gate")


def test_revoking_a_partner_leaves_its_people_what_is_theirs(site: Tapgate, key, role):
    site("partner", "grant", key, "--role", "service")
    site("partner", "grant", key, "--role", "owner", "--charger", "gate")
    site("grant", CARL, "--role", "user")
    assert role("gate") == "owner"
    answer = site("partner", "revoke", key, "--json").json
    assert (answer["chargers"], answer["with_their_own"]) == (["gate"], [CARL])
    assert role() == role("gate") == "user"
    refused(site("partner", "revoke", key), 1, "Elektro has no permission")


def test_a_partner_can_be_kept_from_one_charger(site: Tapgate, key, role):
    site("partner", "grant", key, "--role", "service")
    assert site("partner", "revoke", key, "--charger", "gate").status == 0
    assert role() == "service" and role("gate") is None


def test_the_people_of_a_removed_partner_stay_without_its_permissions(site: Tapgate, key, role):
    site("partner", "grant", key, "--role", "service")
    assert site("partner", "remove", key, "--json").json == {"partner": "Elektro", "people": [CARL]}
    assert role() is None
    assert [each["partner"] for each in site("person", "list", "--json").json] == [None, None]
    refused(site("partner", "remove", key), 1, "no partner has that lookup key")


def test_a_partners_owner_role_is_not_the_last_owner(site: Tapgate, key, carl):
    site("partner", "grant", key, "--role", "owner")
    refused(site("revoke", OWNER), 1, "last owner")


@pytest.mark.parametrize("text", ["", "482", "48211", "48a1", "-821", "٤٨٢١"])
def test_what_is_no_lookup_key_is_wrong_usage_and_no_guess(site: Tapgate, key, text):
    for _ in range(partners.WRONG_MAX + 1):
        assert site("partner", "grant", "--role", "user", "--", text).status == 2
    assert site("partner", "grant", key, "--role", "user").status == 0


@pytest.mark.parametrize(
    "command",
    [
        ("partner", "grant", "{}", "--role", "user"),
        ("partner", "revoke", "{}"),
        ("partner", "remove", "{}"),
        ("person", "add", CARL, "--partner", "{}"),
        ("person", "set", OWNER, "--partner", "{}"),
    ],
)
def test_who_guesses_too_often_has_to_wait_with_the_right_key_too(
    site: Tapgate, key, clock, command
):
    def guess(text: str):
        return site(*(text if each == "{}" else each for each in command))

    for _ in range(partners.WRONG_MAX):
        refused(guess(wrong(key)), 1, "no partner has that lookup key")
        clock[0] += 60
    refused(guess(wrong(key)), 1, "try again in 10 minutes")
    refused(guess(key), 1, "try again in 10 minutes")
    clock[0] += 10 * 60 - 1
    refused(guess(key), 1, "try again in 1 minute")
    clock[0] += 1
    assert "try again" not in guess(key).err
    assert site("partner", "list", "--json").json is not None


def test_a_right_key_does_not_make_up_for_wrong_ones(site: Tapgate, key, clock):
    for _ in range(partners.WRONG_MAX):
        site("partner", "grant", wrong(key), "--role", "user")
        if _ < partners.WRONG_MAX - 1:
            assert site("partner", "grant", key, "--role", "user").status == 0
    refused(site("partner", "grant", key, "--role", "user"), 1, "try again in 15 minutes")


def test_each_source_guesses_for_itself_up_to_a_limit_for_all(home, key, clock):
    for source in range(partners.WRONG_MAX_IN_ALL):
        with pytest.raises(Refusal, match="no partner"):
            partners.look_up(home, wrong(key), f"address {source}")
    with pytest.raises(Refusal, match="try again"):
        partners.look_up(home, key, "another")
    clock[0] += partners.GUESSES_WITHIN_S
    assert partners.look_up(home, key, "another")


def test_one_source_does_not_lock_out_the_others(home, key, clock):
    for _ in range(partners.WRONG_MAX):
        with pytest.raises(Refusal, match="no partner"):
            partners.look_up(home, wrong(key), "one")
    with pytest.raises(Refusal, match="try again"):
        partners.look_up(home, key, "one")
    assert partners.look_up(home, key, "other")


def test_a_clock_that_was_set_back_locks_nobody_out(home, key, clock):
    for _ in range(partners.WRONG_MAX):
        with pytest.raises(Refusal, match="no partner"):
            partners.look_up(home, wrong(key), "one")
    clock[0] -= 365 * 86_400
    assert partners.look_up(home, key, "one")
