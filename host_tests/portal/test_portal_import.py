"""A table of people, permissions and cards: all of it, or nothing."""

import csv
import io
from pathlib import Path

import pytest

from host_tests.portal.conftest import OWNER, Tapgate
from host_tests.portal.test_portal_commands import refused

HEAD = "email,name,role,charger,number,as,label,from,until"
FOUR = "04A1B2C3"


@pytest.fixture
def table(tmp_path):
    """Write a file of these lines; without `head`, under all the columns."""

    def write(*lines: str, head: str | None = HEAD, encoding: str = "utf-8") -> str:
        path: Path = tmp_path / "people.csv"
        path.write_bytes("\n".join([*([head] if head else []), *lines, ""]).encode(encoding))
        return str(path)

    return write


def people(site: Tapgate) -> dict[str, dict]:
    return {each["person"]: each for each in site("person", "list", "--json").json}


def counts(answer) -> list[int]:
    found = answer.json
    return [
        found[what][how]
        for what in ("people", "permissions", "cards")
        for how in ("added", "changed")
    ]


NOTHING = [0] * 6


def test_people_come_with_their_permissions_and_cards(site: Tapgate, table, listed):
    site("charger", "add", "gate")
    path = table(
        f"dora@example.org,Dora,user,,{FOUR},,blue fob,,",
        "dora@example.org,Dora,service,gate,,,,2026-07-01T08:00,2026-07-31",
        "dora@example.org,,user,,3283263749,decimal-reversed,,,",
        '"eva@example.org","Eva, E",owner,,04:11:22:33:44:55:66,hex,,,',
    )
    assert counts(site("import", path, "--json")) == [2, 0, 3, 0, 3, 0]
    found = people(site)
    assert found["dora@example.org"]["permissions"] == [
        {"role": "user", "charger": None, "from": None, "until": None, "schedule": None},
        {
            "role": "service",
            "charger": "gate",
            "from": "2026-07-01T08:00:00+02:00",
            "until": "2026-08-01T00:00:00+02:00",
            "schedule": None,
        },
    ]
    assert found["eva@example.org"]["name"] == "Eva, E"
    cards = site("card", "list", "--person", "dora@example.org", "--json").json
    assert [each["label"] for each in cards] == ["blue fob", None]
    entries = listed()
    groups = [entries[each["token"]][7:9] for each in cards]
    assert groups[0] == groups[1] != b"\0\0"
    assert len(entries) == 3


def test_a_number_is_read_as_it_is_printed(site: Tapgate, table, anna):
    token = site("card", "add", anna, "--number", FOUR, "--json").json["token"]
    site("card", "remove", token)
    for number, reading in (
        (FOUR.lower(), ""),
        ("C3B2A104", "hex-reversed"),
        ("0077705923", "decimal"),
        ("3283263748", "Decimal-Reversed"),
    ):
        path = table(f"bo@example.org,Bo,user,,{number},{reading},,,")
        assert site("import", path).status == 0
        assert [each["token"] for each in site("card", "list", "--json").json] == [token]
        site("card", "remove", token)


@pytest.mark.parametrize(
    ("head", "line", "encoding"),
    [
        ("email,name,role", "å@example.org,Åse,user", "utf-8"),
        ("email,name,role", "å@example.org,Åse,user", "utf-8-sig"),
        ("email;name;role", "å@example.org;Åse;user", "utf-8-sig"),
        ("Role; NAME ;Email", "user;Åse;å@example.org", "utf-8"),
        ("email,name,role,,", "å@example.org,Åse,User,,", "utf-8"),
        ("email,name,role\r", "å@example.org, Åse ,user\r", "utf-8"),
        ('"email","name","role"', '"å@example.org","Åse","user"', "utf-8"),
        ("\n\nemail,name,role", "\n,,\nå@example.org,Åse,user", "utf-8"),
    ],
)
def test_a_table_may_be_written_as_spreadsheets_write_it(
    site: Tapgate, table, head, line, encoding
):
    assert counts(site("import", table(line, head=head, encoding=encoding), "--json")) == [
        *(1, 0, 1, 0, 0, 0)
    ]
    assert people(site)["å@example.org"]["name"] == "Åse"


def test_taking_a_table_in_again_changes_nothing(site: Tapgate, table, listed):
    path = table(
        f"dora@example.org,Dora,user,garage,{FOUR},,blue,2026-01-01,2026-12-31",
        "eva@example.org,,owner,,,,,,",
    )
    assert counts(site("import", path, "--json")) == [2, 0, 2, 0, 1, 0]
    before, entries = people(site), listed()
    site("card", "block", FOUR)
    answer = site("import", path, "--json")
    assert counts(answer) == NOTHING and answer.json["lines"] == 2
    assert "not here already" in site("import", path).out
    assert people(site) == before
    assert site("card", "list", "--json").json[0]["blocked"] is True
    site("card", "unblock", FOUR)
    assert listed() == entries


def test_what_differs_is_changed_and_the_rest_stays(site: Tapgate, table, anna):
    site("grant", anna, "--role", "user")
    site("grant", anna, "--role", "service", "--charger", "garage")
    site("card", "add", anna, "--number", FOUR)
    path = table(f"ANNA@example.org,Anna,owner,,{FOUR},,blue,,")
    assert counts(site("import", path, "--json")) == [0, 1, 0, 1, 0, 1]
    found = people(site)[anna]
    assert found["name"] == "Anna"
    assert [(each["role"], each["charger"]) for each in found["permissions"]] == [
        ("owner", None),
        ("service", "garage"),
    ]
    assert site("card", "list", "--json").json[0]["label"] == "blue"


def test_a_table_which_knows_no_schedules_takes_none_away(site: Tapgate, table, anna):
    """It would let somebody in at all hours who was not."""
    site("schedule", "add", "office", "--week", "mo-fr 08:00-18:00")
    site("grant", anna, "--role", "user", "--schedule", "office")
    site("grant", anna, "--role", "user", "--charger", "garage", "--schedule", "office")
    again = table(f"{anna},,user,,,,,,", f"{anna},,user,garage,,,,,")
    assert counts(site("import", again, "--json")) == NOTHING
    other = table(f"{anna},,service,,,,,,", f"{anna},,user,garage,,,,2026-01-01,")
    assert counts(site("import", other, "--json")) == [0, 0, 0, 2, 0, 0]
    found = people(site)[anna]["permissions"]
    assert [each["role"] for each in found] == ["service", "user"]
    assert [each["schedule"] for each in found] == ["office", "office"]


def test_every_wrong_line_is_named_and_nothing_is_taken_in(site: Tapgate, table, anna):
    site("card", "add", anna, "--number", FOUR)
    before = people(site)
    path = table(
        "dora@example.org,Dora,user,,04A1B2C4,,,,",  # right
        "dora,Dora,user,,,,,,",
        "eva@example.org,Eva,boss,,12345678,,,,",
        "fay@example.org,Fay,user,nowhere,,,,,",
        f"gil@example.org,Gil,user,,{FOUR},,,,",
        "hal@example.org,Hal,user,,08A1B2C3,,,,",
        "ida@example.org,Ida,user,,,,,2027-01-01,2026-01-01",
        "jon@example.org,Jon,user,,,,,tomorrow,",
        "kim@example.org,Kim,,,04A1B2C9,,,,",
        "lea@example.org,Lea,user,,,,blue,,",
        "mia@example.org,Mia,user,,04A1B2D0,octal,,,",
        "ned@example.org,Ned,user,,,,,,,surplus",
        "dora@example.org,Dolly,user,,,,,,",
        "dora@example.org,,owner,,,,,,",
        "oda@example.org,Oda,user,,04A1B2C4,,,,",
        "dora@example.org,,user,,04A1B2C4,,red,,",
        "dora@example.org,,user,,04A1B2C4,,blue,,",
        "dora@example.org,,,garage,,,,,",
    )
    answer = site("import", path)
    refused(answer, 1, "nothing was imported")
    for line, word in {
        3: "e-mail",
        4: "'boss'",
        5: "'nowhere'",
        6: anna,
        7: "made up anew",
        8: "later than",
        9: "'tomorrow'",
        10: "no role",
        11: "label without",
        12: "'octal'",
        13: "more fields",
        14: "name",
        15: "line 2 gives",
        16: "line 2 gives",
        18: "another label",
        19: "without a role",
    }.items():
        said = answer.err.partition(f"line {line}: ")[2].partition("; line ")[0]
        assert word in said, (line, answer.err)
    assert "line 2: " not in answer.err and "line 17: " not in answer.err
    assert "A1B2C" not in answer.err.upper() and "12345678" not in answer.err
    assert people(site) == before


def test_twenty_wrong_lines_are_named_and_the_rest_counted(site: Tapgate, table):
    answer = site("import", table(*(f"x{each},,user,,,,,," for each in range(27))))
    refused(answer, 1, "line 2: ", "line 21: ", "and 7 more wrong lines")
    assert "line 22: " not in answer.err


@pytest.mark.parametrize(
    ("head", "words"),
    [
        ("email,name", ("no role", "columns are email,name,role")),
        ("email,name,role,colour", ("unknown colour",)),
        ("email,name,role,email", ("twice the email",)),
        ("a@example.org,A,user", ("no email, name, role",)),
        ("", ("no email, name, role",)),
    ],
)
def test_the_first_line_has_to_name_the_columns(site: Tapgate, table, head, words):
    refused(site("import", table(head=head)), 1, "line 1", *words)


def test_lines_are_counted_as_an_editor_counts_them(site: Tapgate, table):
    path = table('a@example.org,"two\nlines",user', "x,,user", head="email,name,role")
    refused(site("import", path), 1, "line 2: name", "line 4: 'x'")


def test_quotes_that_do_not_match_are_named_with_their_line(site: Tapgate, table):
    path = table("a@example.org,A,user", 'b@example.org,"B,user', head="email,name,role")
    refused(site("import", path), 1, "line 3: the quotes do not match")


def test_what_is_not_utf_8_is_named_with_its_line(site: Tapgate, table):
    path = table("a@example.org,A,user", "b@example.org,Bård,user", encoding="latin-1")
    refused(site("import", path), 1, "line 3 is not UTF-8")


def test_a_file_that_cannot_be_read_is_one_line(site: Tapgate, tmp_path):
    refused(site("import", str(tmp_path / "none.csv")), 1, "none.csv")
    refused(site("import", str(tmp_path)), 1, str(tmp_path))


def test_a_file_without_an_end_is_given_up(site: Tapgate, monkeypatch):
    from tools.portal import sheet

    monkeypatch.setattr(sheet, "LIMIT_BYTES", 1 << 20)
    refused(site("import", "/dev/zero"), 1, "larger than 1 MB")


def test_an_installation_keeps_an_owner(site: Tapgate, table):
    refused(site("import", table(f"{OWNER},,user,,,,,,")), 1, "owner")
    assert people(site)[OWNER]["permissions"][0]["role"] == "owner"
    assert site("import", table(f"{OWNER},,user,,,,,,", "eva@example.org,,owner,,,,,,")).status == 0


def test_somebody_who_may_something_already_may_come_without_a_role(site: Tapgate, table, anna):
    site("grant", anna, "--role", "user")
    assert counts(site("import", table(f"{anna},,,,{FOUR},,,,"), "--json")) == [0, 0, 0, 0, 1, 0]


def test_a_line_for_each_charger_may_name_the_same_card(site: Tapgate, table, listed):
    site("charger", "add", "gate")
    lines = [f"a@example.org,A,user,{each},{FOUR},,," for each in ("garage", "gate")]
    assert counts(site("import", table(*lines), "--json")) == [1, 0, 2, 0, 1, 0]
    assert len(listed()) == len(listed("gate")) == 1


def test_an_operators_permissions_are_not_imported(site: Tapgate, table):
    site("operator", "connect", "Lade AS")
    refused(site("import", table("a@example.org,A,user,,,,,,")), 1, "Lade AS")


def test_thousands_of_lines_are_taken_in_together(site: Tapgate, tmp_path, listed):
    text = io.StringIO()
    rows = csv.writer(text)
    rows.writerow(HEAD.split(","))
    for each in range(3_000):
        number = f"04{each:012X}"
        rows.writerow([f"p{each}@example.org", f"P, {each}", "user", "", number, "hex", "", "", ""])
    path = tmp_path / "many.csv"
    path.write_text(text.getvalue())
    assert counts(site("import", str(path), "--json")) == [3_000, 0, 3_000, 0, 3_000, 0]
    entries = listed()
    assert len(entries) == 3_000
    assert len({each[7:9] for each in entries.values()} - {b"\0\0"}) == 3_000
    assert counts(site("import", str(path), "--json")) == NOTHING
