"""CSV files: read to the end with every wrong line named, and taken in whole or not at all."""

import csv
import io
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st

from host_tests.fuzz import inputs
from host_tests.fuzz.trying import fuzz, tried
from tools.cli import main
from tools.portal import database, importing, moments, sheet
from tools.portal.refusal import Refusal
from tools.portal.schema import Base
from tools.portal.token import token

CARD_KEY = b"c" * 32
ZONE = moments.zone("Europe/Oslo")
OWNER = "ola@example.org"

CELLS = st.one_of(
    st.just(""), inputs.TEXTS.filter(lambda t: t.isprintable()), st.text(" \",;'\r\n", max_size=4)
)
EMAILS = st.one_of(
    st.sampled_from(("anna@example.org", "bo@example.org", OWNER, "ANNA@example.org")),
    st.emails(),
    CELLS,
)
ROWS = st.fixed_dictionaries(
    {
        "email": EMAILS,
        "name": st.one_of(st.sampled_from(("", "Anna", "Bo", "=1+1")), CELLS),
        "role": st.one_of(st.sampled_from(("user", "owner", "service", "User", "")), CELLS),
    },
    optional={
        "charger": st.one_of(st.sampled_from(("", "garage", "none-such")), CELLS),
        "number": st.one_of(
            st.sampled_from(("04a1b2c3", "04:a1:b2:c3:d4:e5:f6", "0123456789")),
            st.binary(min_size=4, max_size=4).map(bytes.hex),
            CELLS,
        ),
        "as": st.one_of(st.sampled_from(("", "hex", "decimal", "HEX-REVERSED")), CELLS),
        "label": st.one_of(st.sampled_from(("", "blue")), CELLS),
        "from": st.one_of(st.sampled_from(("", "2026-01-01")), CELLS),
        "until": st.one_of(st.sampled_from(("", "2027-01-01", "2025-01-01")), CELLS),
    },
)
GOOD_ROWS = st.builds(
    lambda n, role, charger, number, until, first: {
        "email": f"p{n}@example.org",
        "name": f"P {n}",
        "role": role,
        "charger": charger,
        "number": (bytes([4, n]) + number).hex(),
        "as": "hex",
        "from": first,
        "until": until,
    },
    st.integers(0, 3),
    st.sampled_from(("user", "service", "owner")),
    st.sampled_from(("", "garage")),
    st.binary(min_size=2, max_size=2),
    st.sampled_from(("", "2027-05-31", "2030-01-01T12:00")),
    st.just(""),
)


TURNED = GOOD_ROWS.map(lambda row: {**row, "from": "2030-01-01", "until": "2029-01-01"})


def written(rows: list[dict[str, str]], separator: str, mark: bool, ends: str) -> bytes:
    file = io.StringIO(newline="")
    writer = csv.DictWriter(
        file, list(sheet.COLUMNS), restval="", delimiter=separator, lineterminator=ends
    )
    writer.writeheader()
    writer.writerows(rows)
    return (b"\xef\xbb\xbf" if mark else b"") + inputs.coded(file.getvalue())


def files(rows: st.SearchStrategy[dict[str, str]]) -> st.SearchStrategy[bytes]:
    return st.builds(
        written,
        st.lists(rows, max_size=5),
        st.sampled_from(",;"),
        st.booleans(),
        st.sampled_from(("\n", "\r\n")),
    )


FILES = st.one_of(
    inputs.some_damaged(files(ROWS)),
    inputs.some_damaged(files(GOOD_ROWS)),
    files(st.one_of(GOOD_ROWS, TURNED)),
    st.binary(max_size=60),
    st.text('email,nrole;\n"\r ', max_size=60).map(lambda t: b"email,name,role\n" + t.encode()),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("import")


def read(folder: Path, content: bytes) -> sheet.Sheet:
    path = folder / "people.csv"
    path.write_bytes(content)
    return sheet.read(path, CARD_KEY, ZONE, lambda *_: None)


@fuzz("CSV files", 150, FILES)
def test_a_file_is_read_to_its_end_or_refused(folder: Path, content: bytes) -> None:
    try:
        found = read(folder, content)
        found.require_right()
    except Refusal as error:
        assert str(folder) in str(error) and len(str(error)) < 20_000
        return
    owners: dict[str, str] = {}
    for key, somebody in found.people.items():
        assert somebody.email.isprintable() and "@" in somebody.email
        assert somebody.email.casefold() == key
        assert somebody.name is None or (somebody.name.isprintable() and somebody.name)
        for given in somebody.permissions.values():
            assert given.role in ("owner", "user", "service")
            first, last = given.valid_from, given.valid_until
            assert first is None or last is None or first < last
        for name, card in somebody.cards.items():
            assert len(bytes.fromhex(name)) == 7 and len(bytes.fromhex(card.hint)) == 2
            assert owners.setdefault(name, key) == key


@fuzz(
    "CSV files",
    50,
    st.lists(GOOD_ROWS, max_size=5, unique_by=lambda row: row["email"]),
    st.sampled_from(",;"),
    st.booleans(),
    st.sampled_from(("\n", "\r\n")),
)
def test_what_was_written_is_read(
    folder: Path, rows: list[dict[str, str]], separator: str, mark: bool, ends: str
) -> None:
    found = read(folder, written(rows, separator, mark, ends))
    found.require_right()
    assert found.lines == len(rows)
    assert list(found.people) == [row["email"] for row in rows]
    for row in rows:
        somebody = found.people[row["email"]]
        assert somebody.name == row["name"]
        assert list(somebody.permissions) == [row["charger"] or None]
        assert list(somebody.cards) == [token(CARD_KEY, bytes.fromhex(row["number"])).hex()]


# --- into a database ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("site") / "home"
    init = ["init", "--installation", "home", "--broker", "mqtt://127.0.0.1:9", "--owner", OWNER]
    assert main([*init, "--timezone", "Europe/Oslo", "--home", str(made)]) == 0
    assert main(["charger", "add", "garage", "--home", str(made)]) == 0
    return made


def everything(home: Path) -> dict[str, list]:
    with database.reading(home) as session:
        return {
            table.name: [tuple(row) for row in session.execute(table.select())]
            for table in Base.metadata.sorted_tables
        }


@fuzz(
    "imports", 12, st.one_of(files(GOOD_ROWS), files(st.one_of(GOOD_ROWS, GOOD_ROWS, ROWS)), FILES)
)
def test_a_file_is_taken_in_whole_or_not_at_all(home: Path, folder: Path, content: bytes) -> None:
    place = folder / "home"
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(home, place)
    path = folder / "people.csv"
    path.write_bytes(content)
    before = everything(place)
    try:
        taken = importing.take_in(place, path, lambda *_: None)
    except Refusal:
        assert everything(place) == before
        return
    after = everything(place)
    assert len(after["person"]) == len(before["person"]) + taken.people_added
    assert len(after["card"]) == len(before["card"]) + taken.cards_added
    assert len(after["permission"]) == len(before["permission"]) + taken.permissions_added
    # Once more: nothing is new in it.
    again: Any = importing.take_in(place, path, lambda *_: None)
    assert again[1:7] == (0, 0, 0, 0, 0, 0)
    assert everything(place) == after


def test_one_wrong_line_keeps_all_others_out(home: Path, folder: Path) -> None:
    before = everything(home)
    right = {"email": "new@example.org", "name": "New", "role": "user"}
    for key, value in (("role", "king"), ("number", "12"), ("until", "soon"), ("charger", "x")):
        tried["imports"] += 1
        path = folder / "people.csv"
        path.write_bytes(
            written([right, {**right, "email": "b@c.d", key: value}], ",", False, "\n")
        )
        with pytest.raises(Refusal, match="line 3"):
            importing.take_in(home, path, lambda *_: None)
        assert everything(home) == before
