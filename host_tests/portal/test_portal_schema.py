"""What the tables themselves do not allow, whoever writes to them."""

import sqlite3

import pytest


@pytest.fixture
def tables(site, anna, home):
    connection = sqlite3.connect(home / "tapgate.db")
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute("INSERT INTO partner VALUES (1, 'Elektro', '4821', 0)")
    connection.commit()
    yield connection
    connection.close()


def permission(holder: str, charger: str = "NULL", role: str = "user", until: str = "NULL") -> str:
    return (
        f"INSERT INTO permission ({holder}, charger_id, role, valid_from, valid_until, given_at) "
        f"VALUES (1, {charger}, '{role}', 100, {until}, 0)"
    )


@pytest.mark.parametrize(
    "twice",
    [
        permission("partner_id"),
        permission("partner_id", "1"),
        permission("person_id", "1"),
        "INSERT INTO partner (name, lookup_key, added_at) VALUES ('Other', '1234', 0)",
        "INSERT INTO schedule (number, name) VALUES (3, 'nights')",
        "INSERT INTO event (charger_id, n, boot, up, event, body, received_at) "
        "VALUES (1, 7, 1, 0, 'booted', '{}', 0)",
    ],
)
def test_what_exists_once_exists_once(tables, twice):
    tables.execute(twice)
    with pytest.raises(sqlite3.IntegrityError, match="UNIQUE"):
        tables.execute(twice)


@pytest.mark.parametrize(
    "wrong",
    [
        permission("person_id", role="boss"),
        permission("partner_id", role="none"),  # nothing, on the whole installation
        permission("partner_id", until="100"),  # ends as it begins
        permission("partner_id", "77"),  # no such charger
        "INSERT INTO permission (person_id, partner_id, role, given_at) VALUES (1, 1, 'user', 0)",
        "INSERT INTO permission (role, given_at) VALUES ('user', 0)",
        "INSERT INTO partner (name, lookup_key, added_at) VALUES ('Other', '123', 0)",
        "INSERT INTO partner (name, lookup_key, added_at) VALUES ('Other', '4821', 0)",
        "INSERT INTO schedule (number, name) VALUES (0, 'always')",
        "INSERT INTO schedule (number, name) VALUES (32, 'nights')",
        "INSERT INTO card_group (number) VALUES (65536)",
        "UPDATE charger SET access = 'ajar'",
        "UPDATE installation SET operator_offline = 'perhaps'",
        "UPDATE installation SET id = 2",
    ],
)
def test_what_means_nothing_is_not_stored(tables, wrong):
    with pytest.raises(sqlite3.DatabaseError):
        tables.execute(wrong)


def test_no_error_tells_a_key(site, home):
    from sqlalchemy.exc import StatementError

    from tools.portal import database
    from tools.portal.schema import Charger

    def wrong() -> None:
        with database.changing(home) as session:
            session.add(Charger(name="gate", key="s3cret", hardware={"no": "json"}.keys()))

    with pytest.raises(StatementError) as raised:
        wrong()
    assert "s3cret" not in str(raised.value)


def entries(home) -> list[bytes]:
    from tools.portal import database, installation, lists

    with database.reading(home) as session:
        [wanted] = lists.wanted(session, installation.current(session))
    [shard] = [each for each in wanted.built.objects.values() if each.startswith(b"TGS1")]
    return [shard[at : at + 16] for at in range(8, len(shard), 16)]


def test_a_partners_people_have_its_permission_unless_they_have_their_own(tables, site, home):
    site("card", "add", "anna@example.org", "--number", "04a1b2c3")
    tables.execute("UPDATE person SET partner_id = 1 WHERE id = 2")
    tables.execute(permission("partner_id", role="service"))
    tables.commit()
    assert [each[15] for each in entries(home)] == [2]
    site("grant", "anna@example.org", "--role", "user")
    assert [each[15] for each in entries(home)] == [1]


def test_groups_and_schedules_reach_the_list(tables, site, home):
    site("grant", "anna@example.org", "--role", "user")
    site("card", "add", "anna@example.org", "--number", "04a1b2c3")
    tables.execute("INSERT INTO card_group VALUES (9, 513, 'family')")
    tables.execute("UPDATE person SET group_id = 9 WHERE id = 2")
    tables.execute("INSERT INTO schedule VALUES (1, 5, 'nights')")
    tables.execute("UPDATE permission SET schedule_id = 1 WHERE person_id = 2")
    tables.commit()
    [entry] = entries(home)
    assert entry[7:9] == b"\x02\x01" and entry[15] == 5 << 3 | 1


def test_a_grant_forgets_the_schedule_of_the_one_it_replaces(tables, site, home):
    test_groups_and_schedules_reach_the_list(tables, site, home)
    site("grant", "anna@example.org", "--role", "user")
    assert entries(home)[0][15] == 1
