"""The command as a process: pipes, full disks, start-up."""

import io
import os
import resource
import subprocess
import sys
import time

import pytest

from host_tests.portal.conftest import OWNER, process
from tools.cli import main


def test_a_reader_that_has_had_enough_is_no_error(site):
    """Neither for prose nor for JSON, nor when the process ends."""
    code = (
        "import sys; from tools.cli import main;"
        "sys.exit(main(['person', 'list']) or main(['person', 'list', '--json']))"
    )
    reader, writer = os.pipe()
    os.close(reader)
    running = subprocess.run(
        [sys.executable, "-c", code], stdout=writer, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(writer)
    assert (running.returncode, running.stderr) == (0, "")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full on this system")
def test_output_that_does_not_fit_is_one_line(site):
    with open("/dev/full", "w") as full:
        running = subprocess.run(
            [sys.executable, "-m", "tools.cli", "person", "list"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert running.returncode == 1
    assert running.stderr == "tapgate: No space left on device\n"


def test_without_any_output_the_work_is_done(site):
    command = f"'{sys.executable}' -m tools.cli charger add gate >&- 2>&-"
    assert subprocess.run(command, shell=True, check=False).returncode == 0
    assert "gate" in site("charger", "list").out


def test_a_disk_that_takes_no_more_changes_nothing(site):
    """A limit on file sizes stands in for the full disk."""
    before = site("person", "list", "--json").json
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8_192, hard))
    try:
        answer = site("person", "add", "anna@example.org")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (answer.status, answer.out) == (1, "")
    assert answer.err.startswith("tapgate: ") and answer.err.count("\n") == 1
    assert site("person", "list", "--json").json == before


def test_another_command_that_holds_the_data_is_waited_for(site, home):
    from tools.portal import database

    with database.changing(home):
        waiting = process("person", "add", "anna@example.org")
        time.sleep(1.5)
        assert waiting.poll() is None
    _, err = waiting.communicate(timeout=30)
    assert waiting.returncode == 0, err
    assert len(site("person", "list", "--json").json) == 2


def test_data_held_for_too_long_are_said_to_be(site, home, monkeypatch):
    from tools.portal import database

    with database.changing(home):
        monkeypatch.setattr(database, "PATIENCE_S", 0.2)
        answer = site("person", "add", "anna@example.org")
    assert (answer.status, answer.out) == (1, "")
    assert "another command" in answer.err and answer.err.count("\n") == 1


def test_help_needs_nothing_heavy():
    code = (
        "import sys; from tools.cli import main; main(['grant', '--help']);"
        "heavy = {'sqlalchemy', 'aiomqtt', 'paho', 'asyncio'} & sys.modules.keys();"
        "sys.exit(f'imported: {heavy}' if heavy else 0)"
    )
    running = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert running.returncode == 0, running.stderr


def test_names_that_the_terminal_cannot_show_stop_no_command(site, monkeypatch):
    site("person", "add", "åse@example.org", "--name", "Åse 電")
    shown = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(shown, encoding="ascii"))
    assert main(["person", "list"]) == 0
    assert OWNER.encode() in shown.getvalue() and b"?se@example.org" in shown.getvalue()
