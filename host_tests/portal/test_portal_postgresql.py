"""The portal's data in a real PostgreSQL: a cluster of one's own, where PostgreSQL is installed."""

import getpass
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies
from sqlalchemy import create_engine, text

from host_tests.portal import test_portal_layouts
from host_tests.portal.books import ANNAS, NOON, Books, card, ended, started
from host_tests.portal.books import event as account_event
from host_tests.portal.conftest import OWNER, Tapgate
from host_tests.portal.lives import lives
from host_tests.portal.served import Served, event, state, until
from tools.broker import Broker, free_port
from tools.cli import main
from tools.portal import database
from tools.portal.duty import Duty

_DEBIAN = Path("/usr/lib/postgresql")
STATE = "tapgate/home/garage/state"


def _programs() -> Path:
    """Where initdb and postgres are; the tests are skipped where they are not."""
    found = shutil.which("initdb")
    places = [Path(found).parent] if found else sorted(_DEBIAN.glob("*/bin"), reverse=True)
    for place in places:
        if (place / "initdb").exists() and (place / "postgres").exists():
            return place
    pytest.skip("PostgreSQL is not installed on this machine")


def _user() -> str:
    """PostgreSQL refuses to be run by root."""
    if os.geteuid():
        return getpass.getuser()
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name).pw_name
        except KeyError:
            continue
    pytest.skip("PostgreSQL refuses root, and there is no user 'postgres' or 'nobody' here")


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """The address of a cluster, without the database."""
    pytest.importorskip("psycopg", reason="the package psycopg is not installed")
    programs, user = _programs(), _user()
    as_user: dict[str, Any] = {"user": user} if os.geteuid() == 0 else {}
    folder = Path(tempfile.mkdtemp(prefix="postgresql-", dir="/tmp"))
    try:
        if as_user:
            shutil.chown(folder, user)
        data, port = folder / "data", free_port()
        made = subprocess.run(
            [programs / "initdb", "-D", data, "-U", "tapgate", "--auth=trust", "-E", "UTF8", "-N"],
            cwd=folder, capture_output=True, text=True, check=False, **as_user,
        )  # fmt: skip
        if made.returncode:
            pytest.skip(f"initdb: {made.stderr.strip()[-200:]}")
        running = subprocess.Popen(
            [programs / "postgres", "-D", data, "-p", str(port), "-h", "127.0.0.1", "-k", "",
             "-F", "-c", "log_min_messages=fatal", "-c", "log_min_error_statement=panic"],
            cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **as_user,
        )  # fmt: skip
        try:
            import psycopg

            def there() -> bool:
                try:
                    psycopg.connect(
                        host="127.0.0.1", port=port, user="tapgate", dbname="postgres"
                    ).close()
                except psycopg.OperationalError:
                    return False
                return True

            until(there, "PostgreSQL did not start")
            yield f"postgresql+psycopg://tapgate@127.0.0.1:{port}"
        finally:
            running.send_signal(signal.SIGINT)  # without waiting for those who are connected
            try:
                running.wait(20)
            except subprocess.TimeoutExpired:
                running.kill()
                running.wait()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def address(server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An empty database, named by the setting."""
    import psycopg

    plain = server.replace("+psycopg", "") + "/postgres"
    with psycopg.connect(plain, autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS site WITH (FORCE)")
        connection.execute("CREATE DATABASE site")
    monkeypatch.setenv(database.VARIABLE, f"{server}/site")
    yield f"{server}/site"
    database._engine.cache_clear()


@pytest.fixture
def there(address: str, tapgate: Tapgate, broker: Broker) -> Tapgate:
    """An installation "home" with the owner OWNER and a charger "garage", a broker beside it."""
    init = ["init", "--installation", "home", "--broker", broker.url, "--owner", OWNER]
    assert tapgate(*init, "--timezone", "Europe/Oslo").status == 0
    assert tapgate("charger", "add", "garage").status == 0
    return tapgate


def test_one_setting_moves_the_data(there, home):
    assert not (home / "tapgate.db").exists()
    assert there("person", "add", "anna@example.org", "--name", "Åse 電").status == 0
    assert there("grant", "anna@example.org", "--role", "user", "--until", "2030-01-01").status == 0
    assert there("card", "add", "anna@example.org", "--number", "04a1b2c3").status == 0
    assert there("card", "block", "04a1b2c3").status == 0
    assert there("revoke", "anna@example.org", "--charger", "garage").status == 0
    assert there("access", "open").status == 0
    [charger] = there("publish", "--json").json["chargers"]
    assert charger["allowlist"]["cards"] == 0
    assert there("grant", "anna@example.org", "--charger", "garage", "--inherit").status == 0
    assert there("publish", "--json").json["chargers"][0]["allowlist"]["cards"] == 1
    names = [each["name"] for each in there("person", "list", "--json").json]
    assert "Åse 電" in names
    assert there("person", "remove", "anna@example.org").status == 0
    assert there("card", "list", "--json").json == []


def test_a_refused_command_changes_nothing(there):
    before = there("person", "list", "--json").json
    answer = there("init", "--installation", "b", "--broker", "mqtt://127.0.0.1", "--owner", OWNER)
    assert answer.status == 1 and "already holds the installation 'home'" in answer.err
    assert there("revoke", OWNER).status == 1
    assert there("person", "list", "--json").json == before


def test_commands_at_once_lose_nothing(there):
    commands = [["card", "add", OWNER, "--number", f"04a1b2{i:02x}"] for i in range(6)]
    commands += [["publish"], ["publish"]]
    start = threading.Barrier(len(commands))

    def run(command: list[str]) -> int:
        start.wait(10)
        return main(command)

    with ThreadPoolExecutor(len(commands)) as threads:
        assert list(threads.map(run, commands)) == [0] * len(commands)
    there("publish")
    assert there("publish", "--json").json["chargers"][0]["allowlist"]["cards"] == 6


def test_a_writer_sees_all_that_the_one_before_it_has_done(there, home):
    from tools.portal import installation

    entered = threading.Event()

    def add() -> None:
        with database.changing(home) as session:
            entered.set()
            site = installation.current(session)
            time.sleep(0.2)
            site.max_age_s += 1

    with database.changing(home) as session:
        first = installation.current(session).max_age_s
    threads = [threading.Thread(target=add) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    with database.reading(home) as session:
        assert installation.current(session).max_age_s == first + 4


def test_a_reader_sees_one_state_and_waits_for_nobody(there, home):
    from tools.portal import installation

    with database.reading(home) as session:
        before = installation.current(session).access
        assert there("access", "open").status == 0
        session.expire_all()
        assert installation.current(session).access == before


def test_data_held_for_too_long_are_said_to_be(there, home, monkeypatch):
    with database.changing(home):
        monkeypatch.setattr(database, "PATIENCE_S", 0.2)
        answer = there("person", "add", "anna@example.org")
    assert (answer.status, answer.out) == (1, "")
    assert "another command" in answer.err and answer.err.count("\n") == 1


def test_serve_runs_on_it(there, home, broker, observe):
    seen = observe(broker)
    with Served(home) as served:
        served.ready()
        answer = there("serve")
        assert answer.status == 1 and "another 'tapgate serve'" in answer.err
        there("card", "add", OWNER, "--number", "04a1b2c3")
        served.says("published")
        due = there("status", "--json").json[0]["expected"]
        assert due["cards"] == 1
        seen.say(STATE, state(due, odd="\x00\ud800"))
        until(lambda: there("status", "--json").json[0]["in_step"])
        from tools.portal import chargers

        with database.reading(home) as session:
            key = bytes.fromhex(chargers.find(session, "garage").key)
        for n in (1, 2, 2, 3):
            seen.tell(*event(key, n, text="\x00é", more={"a": [1, None]}))
        until(lambda: len(there("events", "--json").json) == 3)
        assert there("events", "--json").json[0]["text"] == "\x00é"
    with Served(home) as again:  # the turn has ended with the one before
        again.ready()


class LosesItsConnection(Duty):
    """As a server does that is stopped in the course of it."""

    def __init__(self) -> None:
        self.lost = 0

    def is_due(self, now: int) -> bool:
        return not self.lost

    def tick(self, session, now):
        self.lost += 1
        own = session.execute(text("SELECT pg_backend_pid()")).scalar_one()
        with create_engine(os.environ[database.VARIABLE]).connect() as other:
            other.execute(text(f"SELECT pg_terminate_backend({own})"))
        session.execute(text("SELECT 1"))
        return []


def test_serve_outlives_a_connection_that_is_lost_in_the_course_of_its_work(
    there, home, broker, observe
):
    duty = LosesItsConnection()
    with Served(home, beside=[duty]) as served:
        served.ready()
        assert "trying again" in served.says("PostgreSQL")
        said = len(served.lines)
        there("access", "open")
        served.says("published", since=said)
        assert duty.lost == 1


def _holders(address: str) -> list[int]:
    with create_engine(address).connect() as other:
        found = other.execute(
            text(
                "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted"
                f" AND objid = {zlib.crc32(b'serve') >> 1 | 1}"
            )
        )
        return [each for (each,) in found]


def _end(address: str, process: int) -> None:
    with create_engine(address).connect() as other:
        other.execute(text(f"SELECT pg_terminate_backend({process})"))
    until(lambda: process not in _holders(address))


def test_a_turn_whose_connection_is_lost_is_taken_again(there, address, home):
    with Served(home) as served:
        served.ready()
        [first] = _holders(address)
        _end(address, first)
        there("access", "open")
        until(lambda: _holders(address))
        served.says("published")
        assert there("serve").status == 1
    assert served.error is None


def test_who_has_lost_their_turn_to_another_gives_up(there, address, home):
    with Served(home) as served:
        served.ready()
        [first] = _holders(address)
        _end(address, first)
        lock = database._lock(home, "serve")
        assert lock.take()
        there("access", "open")
        until(lambda: served.error)
        assert isinstance(served.error, database.Lost) and "one is enough" in str(served.error)
        lock.close()


# --- accounts ---


@pytest.fixture
def accounts(there: Tapgate, home: Path) -> tuple[Books, str]:
    """And a card of anna's."""
    assert there("person", "add", "anna@example.org", "--name", "Anna").status == 0
    return Books(home), card(there, "anna@example.org", ANNAS)


@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(life=lives(), chance=strategies.randoms(use_true_random=False))
def test_sessions_are_accounted_for_there_as_here(accounts, life, chance):
    books, _ = accounts
    books.forget()
    assert books.take(*life.events) == []
    in_order = books.stays()
    assert [each.wh for each in in_order if not each.running] == life.wh
    told = life.events + life.events[::2]
    chance.shuffle(told)
    books.forget()
    for at in range(0, len(told), 7):
        assert books.take(*told[at : at + 7]) == []
    assert books.stays() == in_order


def test_odd_events_break_nothing_there_either(accounts):
    books, _ = accounts
    keys = ("token", "role", "by", "session", "start", "end", "wh", "reason", "last_up", "t_min")
    numbers = itertools.count(1)
    for odd in (None, -1, 1 << 60, 1.5, "\x00", "\ud800", "x" * 500, [[1]]):
        for name in ("session_started", "session_ended", "session_resumed"):
            fields: dict[str, Any] = dict.fromkeys(keys, odd) | {"last_boot": 5}
            assert books.take(account_event(name, next(numbers), None, **fields)) == []
            assert books.take(account_event(name, next(numbers), NOON, **fields)) == []
    huge = (1 << 62) - 1
    assert books.take(account_event("session_ended", huge, huge, up=huge, boot=huge)) == []
    assert books.stays()


def test_a_removed_person_stays_under_a_pseudonym_there_too(there, accounts, home):
    books, token = accounts
    books.at = int(time.time())
    odd = account_event("card_refused", 3, books.at, up=3, token=token, text="\x00\ud800")
    books.take(started(1, books.at, token, up=1), odd)
    books.state({"session": {"n": 1, "token": token}})
    assert books.stays()[0].person == "anna@example.org"
    assert there("person", "remove", "anna@example.org").status == 0
    books.take(ended(2, 1, books.at + 60, 250, up=60, token=token))
    [stay] = books.stays()
    assert stay.person and stay.person.startswith("removed-")
    assert (stay.name, stay.token, stay.wh) == (None, stay.person, 250)
    assert token not in there("events", "--json").out


def test_data_of_the_layout_before_are_brought_up_there_too(there, accounts, address):
    books, token = accounts
    with create_engine(address).begin() as connection:
        for statement in test_portal_layouts.LAYOUT_2.split(";")[:-1]:
            connection.execute(
                text(statement.replace("id INTEGER NOT NULL", "id SERIAL NOT NULL", 1))
            )
        connection.execute(text("UPDATE card SET added_at = :at"), {"at": NOON - 900})
        connection.execute(text(test_portal_layouts.INSERT), test_portal_layouts.told(token))
    found = [(each.person, each.start, each.end, each.wh) for each in books.stays()]
    assert found == test_portal_layouts.expected("anna@example.org")
    assert books.take(started(7, NOON + 900)) == []


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("mysql://x/y", "mysql://"),
        ("nonsense", "no address"),
        ("postgresql://tapgate@127.0.0.1:port/site", "no address"),
        ("postgresql://tapgate@127.0.0.1/site?plugin=none", "no address"),
        ("postgresql://tapgate@127.0.0.1/site?host=a:b&host=c:d", "no address"),
        ("postgresql+psycopg://tapgate@127.0.0.1:9/site", "cannot be reached"),
    ],
)
def test_a_wrong_setting_is_named(tapgate, monkeypatch, wrong, words):
    pytest.importorskip("psycopg", reason="the package psycopg is not installed")
    monkeypatch.setenv(database.VARIABLE, wrong)
    answer = tapgate("person", "list")
    assert answer.status in (1, 2) and answer.out == ""
    assert words in answer.err and answer.err.count("\n") == 1


def test_a_database_that_is_not_there_and_one_that_is_empty(address, tapgate, monkeypatch):
    answer = tapgate("person", "list")
    assert answer.status == 1 and "tapgate init" in answer.err
    monkeypatch.setenv(database.VARIABLE, address.replace("/site", "/nowhere"))
    answer = tapgate("person", "list")
    assert answer.status == 1 and "createdb" in answer.err


def test_no_message_shows_the_password(tapgate, monkeypatch):
    pytest.importorskip("psycopg", reason="the package psycopg is not installed")
    monkeypatch.setenv(database.VARIABLE, "postgresql://tapgate:s3cret@127.0.0.1:9/site")
    assert "s3cret" not in tapgate("person", "list").err
