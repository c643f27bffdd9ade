"""Keys and passwords: in files for nobody else to read, and nowhere else."""

import json
import os
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
import typer

from host_tests.portal.conftest import OWNER, Tapgate, process
from host_tests.portal.served import Served, until
from tools.portal import database
from tools.portal.commands import application
from tools.portal.schema import Charger, Installation

BROKER_PASSWORD, WIFI_PASSWORD = "kveldssang-broker", "kveldssang-wifi"
ADDRESS = f"mqtt://portal:{BROKER_PASSWORD}@127.0.0.1:9"
ANNA = "anna@example.org"


@pytest.fixture(params=[0o022, 0o000], ids=["umask 022", "umask 000"])
def umask(request):
    before = os.umask(request.param)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def set_up(tapgate: Tapgate) -> None:
    init = ["init", "--installation", "home", "--broker", ADDRESS, "--owner", OWNER]
    assert tapgate(*init).status == 0
    assert tapgate("charger", "add", "garage").status == 0


def test_the_data_are_for_their_owner_alone(tapgate, home, umask):
    """The database, what lies beside it while it is written, and every other file there."""
    set_up(tapgate)
    assert mode(home) == 0o700
    with database.changing(home) as session:
        session.add(Charger(name="gate", key="00" * 32, hardware={}, added_at=0))
        session.flush()
        names = {each.name for each in home.iterdir()}
        assert {"tapgate.db", "tapgate.db-wal", "tapgate.db-shm"} <= names
        assert {each.name: mode(each) for each in home.iterdir()} == dict.fromkeys(names, 0o600)
    with Served(home) as served:
        served.says("trying again")
    tapgate("publish")
    assert [each.name for each in home.iterdir() if mode(each) != 0o600] == []
    assert len(list(home.iterdir())) > 1


@pytest.mark.parametrize("there", ["nothing", "a file", "an open file", "a link"])
@pytest.mark.parametrize(
    "command",
    [
        ["charger", "config", "garage"],
        ["operator", "show"],
        ["report", "--from", "2026-05-01", "--to", "2026-05-31"],
    ],
    ids=["config", "operator", "report"],
)
def test_a_file_with_a_secret_is_for_its_owner_alone(tapgate, tmp_path, umask, there, command):
    """Also where something lay before that anybody may read."""
    set_up(tapgate)
    tapgate("operator", "connect", "Ladeby")
    out = tmp_path / "out.json"
    if there == "a link":
        (tmp_path / "target.json").write_text("old")
        out.symlink_to(tmp_path / "target.json")
    elif there != "nothing":
        out.write_text("old")
        out.chmod(0o666 if there == "an open file" else 0o644)
    opened = out.open() if there == "an open file" else None
    assert tapgate(*command, "--out", str(out)).status == 0
    assert mode(out) == 0o600 and out.read_text() != "old"
    if opened:
        assert opened.read() == "old"  # whoever had it open before has what it was before
        opened.close()
    assert [each.name for each in tmp_path.iterdir() if each.name.startswith(".")] == []


# --- what commands say ----------------------------------------------------------------------------


def secrets(home: Path) -> list[str]:
    with database.reading(home) as session:
        site = session.query(Installation).one()
        found = [site.card_key, site.operator_key, BROKER_PASSWORD, WIFI_PASSWORD]
        for each in session.query(Charger):
            found += [each.key, each.former_key]
    return [each for each in found if each]


Words = tuple[str, ...]


def commands(group: Any, path: Words = ()) -> list[tuple[Words, Any]]:
    """All that there are, by what is typed."""
    found = []
    for name, each in sorted(group.commands.items()):
        if hasattr(each, "commands"):
            found += commands(each, (*path, name))
        else:
            found.append(((*path, name), each))
    return found


# What stands for an argument or an option, by its name; others are left out.
GIVEN = {
    "name": ["garage", "nobody"], "charger": ["garage", "nobody"], "email": [ANNA, "x"],
    "role": ["user"], "number": ["04a1b2c3"], "from": ["2026-05-01"], "to": ["2026-05-31"],
    "first": ["2026-05-01"], "last": ["2026-05-31"], "installation": ["home"], "owner": [OWNER],
    "broker": [ADDRESS, ADDRESS.replace(":9", ":x"), ADDRESS.replace("mqtt:", "http:")],
    "url": [ADDRESS, ADDRESS.replace("@127", "@@127"), ADDRESS.replace(":9", ":99999")],
    "wifi_password": [WIFI_PASSWORD, WIFI_PASSWORD * 9], "mode": ["open"], "key": ["4821"],
    "lookup_key": ["4821"], "assignments": [f"wifi.password={WIFI_PASSWORD * 9}",
    f"broker.password={BROKER_PASSWORD}", f"wifi.pasword={WIFI_PASSWORD}"],
    "port": ["/dev/nothing-there"],
}  # fmt: skip
LASTING = {("serve",), ("simulate",), ("run",)}


def calls(path: Words, command: Any, folder: Path) -> list[list[str]]:
    """A call with everything that is needed, one for each thing that may be given beside it, and
    wrong ones."""
    needed: list[str] = []
    besides: list[list[str]] = []
    for each in command.params:
        if each.name in ("home", "as_json", "help"):
            continue
        texts = GIVEN.get(each.name or "", [])
        if each.name in ("out", "file", "config", "flash", "to_file"):
            texts = [str(folder / "out.json")]
        option = each.opts[:1] if each.opts[0].startswith("-") else []
        if getattr(each, "is_flag", False):
            besides.append(option)
        elif each.required:
            needed += [*option, *(texts[:1] or ["garage"])]
            besides += [[*option, text] for text in texts[1:] if option]
        else:
            besides += [[*option, text] for text in texts]
    whole = [[*path, *needed], *([*path, *needed, *each] for each in besides)]
    others = [
        [*path, *needed, "too", ADDRESS],
        [*path, *needed, "--nothing", ADDRESS],
    ]
    return [*whole, [*whole[0], "--json"], *others, [*path, "--help"]]


def test_no_command_says_a_secret(tapgate, home, tmp_path):
    """Each of them, in each of the ways it may be called, right and wrong, beside a broker that is
    not there."""
    from typer.main import get_command

    set_up(tapgate)
    for each in (
        ["person", "add", ANNA],
        ["grant", ANNA, "--role", "user"],
        ["card", "add", ANNA, "--number", "04a1b2c3"],
        ["partner", "add", "Elektro"],
        ["charger", "config", "garage", "--out", str(tmp_path / "c.json"),
         "--wifi-password", WIFI_PASSWORD],
        ["charger", "add", "gate"],
        ["charger", "rekey", "gate"],
    ):  # fmt: skip
        assert tapgate(*each).status == 0, each
    saved = {each.name: each.read_bytes() for each in home.iterdir()}
    app: typer.Typer = application()
    tried = 0
    for path, command in commands(get_command(app)):
        if path in LASTING:
            continue
        for call in calls(path, command, tmp_path):
            tried += 1
            answer = tapgate(*call)
            said = answer.out + answer.err
            told = [each for each in secrets(home) if each in said]
            assert not told, (call, said)
            assert "TAPGATE_DEBUG" not in answer.err, (call, answer)  # nothing is unforeseen
        for each in home.iterdir():
            each.unlink()
        for name, content in saved.items():
            (home / name).write_bytes(content)
    assert tried > 300


def test_a_broker_that_refuses_or_is_away_is_told_without_its_password(site, broker, home):
    """By a command, and by what serve says for as long as it runs."""
    for host, port in (("127.0.0.1", 9), ("no-such-host.invalid", 1883)):
        url = f"mqtt://portal:{BROKER_PASSWORD}@{host}:{port}"
        assert BROKER_PASSWORD not in site("broker", url).out
        for command in (["publish"], ["status"], ["publish", "--json"], ["stop", "garage"]):
            answer = site(*command)
            assert BROKER_PASSWORD not in answer.out + answer.err
        with Served(home) as served:
            until(lambda lines=served.lines: lines)
        assert served.lines and BROKER_PASSWORD not in "".join(served.lines)


def test_no_password_is_in_the_arguments_of_a_command_that_is_given_it_apart(
    site, tmp_path, monkeypatch
):
    """Through the environment, and on standard input."""
    monkeypatch.setenv("TAPGATE_WIFI_PASSWORD", WIFI_PASSWORD)
    config = tmp_path / "c.json"
    running = process(
        "charger", "config", "garage", "--out", str(config), "--broker", "-",
        stdin=subprocess.PIPE,
    )  # fmt: skip
    arguments = Path(f"/proc/{running.pid}/cmdline").read_bytes()
    out, err = running.communicate(f"{ADDRESS}\n", timeout=30)
    assert running.returncode == 0, err
    found = json.loads(config.read_text())
    assert found["wifi"]["password"] == WIFI_PASSWORD
    assert found["broker"]["password"] == BROKER_PASSWORD
    assert b"kveldssang" not in arguments and "kveldssang" not in out + err
