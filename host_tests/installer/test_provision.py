"""From a bare board to a charger that reports itself, by one command, and again by the same one."""

import dataclasses
import hashlib
import json
import os
import re
import subprocess
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest

from host_tests.installer.conftest import until
from tools import mpy
from tools.installer import arrival, copying, flashing, provision, slots
from tools.installer.board import NeedsMicroPython
from tools.installer.link import Link
from tools.portal.refusal import Refusal
from tools.virtual.client import PROJECT

PASSWORD = "long-enough"
WIFI = ("--wifi-ssid", "garage")


def said(board) -> list[str]:
    return [push["reset"] for push in board.pushes if "reset" in push]


def test_a_bare_board_becomes_a_charger_and_is_left_alone_the_second_time(workshop):
    name = workshop.charger()
    board = workshop.board(name)
    board.do("place", uid="04a1b2c3")
    first = subprocess.run(
        [
            *(PROJECT / ".venv/bin/tapgate", "--home", workshop.home, "provision"),
            *("--port", board.serial, "--charger", name, "--wifi-ssid", "garage"),
        ],
        capture_output=True,
        text=True,
        env={**os.environ, "TAPGATE_WIFI_PASSWORD": PASSWORD},
        stdin=subprocess.DEVNULL,
        timeout=120,
    )
    assert first.returncode == 0, first
    assert f"Charger {name} at {board.serial}:  PASSED" in first.stdout
    for part, found in (("charger", "online, available"), ("reader", "MFRC522"), ("list", "")):
        assert re.search(f"✓  {part} +{found}", first.stdout), part
    keys = json.loads(workshop.config(name).read_text())
    for secret in (keys["charger_key"], keys["card_key"], PASSWORD):
        assert secret not in first.stdout + first.stderr + "\n".join(board.output)
    since = board.mark()
    again = workshop.provision(board, name)
    assert again.status == 0, again
    assert again.found["done"] == ["nothing: the board has it all already, and was not stopped"]
    assert again.found["sent"] < 100
    assert not [push for push in board.pushes[since:] if "reset" in push]


def test_a_charger_that_has_delivered_everything_is_removed_at_the_first_try(workshop):
    """Also where the last acknowledgements have come a moment ago."""
    name = workshop.charger()
    # That the clock is set is an event, too, and comes when it likes.
    out = str(workshop.folder / f"{name}.json")
    workshop.tapgate("charger", "config", name, "--out", out, "--set", "ntp.host=")
    board = workshop.installed(name)

    def delivered() -> bool:
        (row,) = workshop.tapgate("status", name)
        return row["in_step"] and row["journal"]["pending"] == 0

    until(delivered, 20, "everything delivered")
    gone = workshop.tapgate("charger", "remove", name, "--port", board.serial)
    assert gone["removed"] and gone["undelivered"] == 0


def test_another_configuration_writes_that_alone(workshop):
    name = workshop.charger()
    board = workshop.installed(name)
    again = workshop.provision(board, name, "--set", "poll_ms=50")
    assert again.status == 0, again
    assert again.found["done"] == ["config.json written"]
    with Link(board.serial) as link:
        assert json.loads(link.read("/config.json") or b"")["poll_ms"] == 50


def test_an_update_of_one_module_sends_little_and_proves_itself(workshop, release):
    name = workshop.charger()
    board = workshop.installed(name)
    release(
        "0.2.0",
        # A new name would be one more in the one table that linking leaves, and move all numbers.
        {
            "firmware/app.py": (
                "_RESTART_WITHIN_MS = const(5_000)",
                "_RESTART_WITHIN_MS = const(5_050)",
            )
        },
    )
    done = workshop.provision(board, name)
    assert done.status == 0, done
    assert done.part("firmware")["found"] == (
        "0.2.0, slot b, compared there; has proven itself, 0.1.0 stays beside it"
    )
    assert done.found["done"][-1] == "firmware 0.2.0 has proven itself"
    assert done.found["sent"] < 20_000


def test_a_version_that_crashes_gives_way_and_the_page_says_so(workshop, release, monkeypatch):
    name = workshop.charger()
    board = workshop.installed(name)
    release(
        "0.2.0",
        {"firmware/app.py": ("    def _load(self):", "    def _load(self):\n        1 / 0")},
    )
    done = workshop.provision(board, name, "--timeout", "60")
    assert done.status == 1
    charger = done.part("charger")
    assert (
        charger["ok"] is False and "gives way to the version before: 3 crashes" in charger["found"]
    )
    assert done.part("firmware")["found"] == "0.2.0 has given way, 0.1.0 runs"
    assert "has not passed: firmware, charger" in done.err
    until(lambda: workshop.tapgate("status", name)[0]["online"], 30, "online again")
    with Link(board.serial) as link:
        failed = slots.given_up(json.loads(link.read("/firmware.json") or b""))
    assert failed and failed["sha256"] == hashlib.sha256(mpy.image()).hexdigest()
    monkeypatch.setattr(copying, "copy", _not_reached)
    again = workshop.provision(board, name)
    assert again.status == 1 and "no further" in again.err
    assert "this very firmware, 0.2.0, has given way on this board before (3 crashes)" in again.err
    monkeypatch.setattr(mpy, "image", lambda: b"another one of that name")
    another = workshop.provision(board, name)
    assert "firmware 0.2.0 has given way on this board before (3 crashes)" in another.err
    assert "this very" not in another.err


@pytest.mark.parametrize(
    ("seen", "gave_way", "ok", "found"),
    [
        (arrival.Arrival({"state": "available"}), False, True, "; has proven itself, 0.1.0 stays"),
        (arrival.Arrival(None, "for 5 s: it is starting"), False, None, "; on trial still, beside"),
        (arrival.Arrival(None, "3 crashes"), True, False, "0.2.0 has given way, 0.1.0 runs"),
        (arrival.Arrival(None, "", "", "0.1.0"), False, False, "0.2.0 has given way, 0.1.0 runs"),
    ],
)
def test_the_firmwares_line_says_how_its_trial_has_ended(monkeypatch, seen, gave_way, ok, found):
    monkeypatch.setattr(arrival, "wait", lambda *_: seen)
    order: Any = SimpleNamespace(
        home=None, charger="left", timeout_s=5, bar=lambda: nullcontext(print),
        wanted=SimpleNamespace(version="0.2.0"),
    )  # fmt: skip
    result = provision.Result("left", "PORT", firmware={"before": "0.1.0"})
    result.part("firmware", True, "0.2.0, slot b, compared there")
    console = arrival.Console("garage", "127.0.0.1:1883")
    console.gave_way = gave_way
    wish = arrival.Wish("0.2.0", on_trial=True, restart=None)
    link: Any = None
    provision._await(order, result, link, console, wish)
    line = result.parts[0]
    assert line["ok"] is ok and found in line["found"], line


def _not_reached(*_):
    raise Refusal("no further")


def test_a_board_that_is_another_charger_is_not_taken_over_unasked(workshop):
    one, other = workshop.charger(), workshop.charger()
    board = workshop.installed(one)
    refused = workshop.provision(board, other)
    assert refused.status == 1 and f"is '{one}' of 'home'" in refused.err
    assert "say --yes" in refused.err and "it was restarted" in refused.err
    taken = workshop.provision(board, other, "--yes")
    assert taken.status == 0, taken
    assert f"erased: it was '{one}' of 'home'" in taken.found["done"]


def test_the_board_of_an_earlier_charger_of_that_name_is_not_taken_for_its_own(workshop):
    """What its journal still holds would count as the new one's."""
    name = workshop.charger()
    board = workshop.installed(name)
    workshop.tapgate("charger", "remove", name, "--yes")
    workshop.tapgate("charger", "add", name)
    refused = workshop.provision(board, name)
    assert refused.status == 1 and f"is '{name}' of 'home' with other keys" in refused.err
    assert "say --yes" in refused.err


def test_a_session_is_interrupted_only_if_somebody_says_so(workshop):
    name = workshop.charger()
    board = workshop.installed(name)
    until(lambda: workshop.tapgate("status", name)[0]["in_step"], 20, "in step")
    board.do("plug")
    board.do("tap", uid="04a1b2c3", ms=300)
    until(lambda: board.status()["contactor"], 10, "charging")
    calm = workshop.provision(board, name)
    assert calm.status == 0 and board.status()["contactor"]
    refused = workshop.provision(board, name, "--set", "poll_ms=50")
    assert refused.status == 1 and f"'{name}' is charging" in refused.err
    assert board.status()["contactor"]
    assert workshop.provision(board, name, "--set", "poll_ms=50", "--yes").status == 0
    until(lambda: board.status()["contactor"], 20, "charging again")


def test_a_firmware_in_the_flash_goes_and_all_else_comes_in_its_order(workshop, monkeypatch):
    monkeypatch.setattr(provision, "_await", lambda *_: None)
    order = _watched(monkeypatch)
    name = workshop.charger()
    board = workshop.board(name)
    with Link(board.serial) as link:
        link.run("import os\nos.mkdir('/firmware')\nos.mkdir('/firmware/link')")
        link.write("/firmware/link/old.py", b"x = 1\n")
        link.write("/firmware/start.py", b"raise SystemExit\n")
    done = workshop.provision(board, name)
    assert done.status == 0, done
    assert any(line.startswith("firmware/ in the flash removed") for line in done.found["done"])
    assert order[2:] == [  # the first two are this test's own
        *("/boot.py", "/loader.mpy", "/main.py", "the slot, compared", "-/firmware"),
        *("/firmware.json", "/config.json"),
    ]


def test_a_charger_onto_which_somebody_puts_the_sources_goes_on_and_is_tidied_up(workshop):
    """They do not fit into its memory."""
    name = workshop.charger()
    board = workshop.installed(name)
    mpremote = [str(PROJECT / ".venv/bin/mpremote"), "connect", board.serial]
    put = [*mpremote, "mip", "install", str(PROJECT / "package.json")]
    subprocess.run(put, check=True, capture_output=True, timeout=120)
    since = board.mark()
    subprocess.run([*mpremote, "reset"], check=True, capture_output=True, timeout=60)
    board.wait_for(lambda push: "ready" in push, 30, since)
    done = workshop.provision(board, name)
    assert done.status == 0, done
    removed = [line.partition(" removed")[0] for line in done.found["done"] if "removed" in line]
    assert removed == ["loader.py", "firmware/ in the flash"]
    with Link(board.serial) as link:
        names = link.ask("__import__('os').listdir('/')")
    assert "firmware" not in names and "loader.py" not in names and "loader.mpy" in names


def _watched(monkeypatch) -> list[str]:
    """What happens on the board, in its order."""
    order: list[str] = []
    write, remove, copy = Link.write, Link.remove, copying.copy

    def written(self, path, *arguments):
        order.append(path)
        write(self, path, *arguments)

    def removed(self, path):
        order.append(f"-{path}")
        remove(self, path)

    def copied(*arguments):
        found = copy(*arguments)
        order.append("the slot, compared")
        return found

    monkeypatch.setattr(Link, "write", written)
    monkeypatch.setattr(Link, "remove", removed)
    monkeypatch.setattr(copying, "copy", copied)
    return order


def test_micropython_is_written_where_it_is_missing_and_only_once(monkeypatch, tmp_path):
    asked, written, tried = [], [], []

    def write(port, image, say, *, sure, progress):
        sure()
        written.append((port, image))
        return {"micropython": "1.29.0"}

    def missing(order, result):
        tried.append(order.flashed)
        raise NeedsMicroPython("the board has MicroPython 1.20.0; …")

    monkeypatch.setattr(flashing, "write", write)
    monkeypatch.setattr(provision, "_provision", missing)
    settings = {
        field.name: None for field in dataclasses.fields(provision.Order) if field.name != "flashed"
    }
    told: list[str] = []
    given = {"port": "/dev/ttyUSB0", "charger": "left", "say": told.append, "sure": asked.append}
    with pytest.raises(NeedsMicroPython):
        provision.provision(provision.Order(**{**settings, **given}))
    assert not written and tried == [False]
    with pytest.raises(NeedsMicroPython):
        provision.provision(provision.Order(**{**settings, **given, "firmware": tmp_path / "f"}))
    assert written == [("/dev/ttyUSB0", tmp_path / "f")] and tried == [False, False, True]
    assert asked == ["Go on?"] and told == ["the board has MicroPython 1.20.0"]


@pytest.mark.parametrize(
    "options, says",
    [
        (["machine=Generic ESP32S3 module with ESP32S3"], "is no ESP32"),
        (["version=1.26.1", "rom=no", "romfs_kb=0"], "Tapgate needs 1.27 or later"),
    ],
)
def test_a_board_that_does_not_fit_is_refused_and_restarted(workshop, options, says):
    name = workshop.charger()
    board = workshop.board(name, board=options)
    refused = workshop.provision(board, name, *WIFI)
    assert refused.status == 1 and says in refused.err, refused
    assert len(refused.err.splitlines()) == 1
    assert said(board)[-1:] == ["soft"]


def test_a_full_flash_is_said(workshop):
    name = workshop.charger()
    board = workshop.board(name)
    with Link(board.serial) as link:
        link.run(
            "import os\n"
            "with open('/big', 'wb') as file:\n"
            "    for _ in range(os.statvfs('/')[3] - 6): file.write(bytes(4096))",
            within_s=60,
        )
    refused = workshop.provision(board, name)
    assert refused.status == 1 and "is full: " in refused.err and "fs ls" in refused.err


@pytest.mark.parametrize("partition", ["vfs", "romfs"])
def test_a_flash_that_takes_nothing_is_said(workshop, partition):
    name = workshop.charger()
    board = workshop.board(name)
    if partition == "vfs":
        board.do("flash", fault="readonly")
    else:
        board.do("flash", fault="bad_block", partition="romfs", block=3)
    refused = workshop.provision(board, name)
    assert refused.status == 1
    assert "take another board" in refused.err and "flash of the board" in refused.err, refused.err


def test_a_charger_that_the_portal_does_not_know_is_refused_before_the_port_is_opened(workshop):
    name = workshop.charger()
    board = workshop.board(name)
    refused = workshop.provision(board, "elsewhere")
    assert refused.status == 1 and "elsewhere" in refused.err
    assert not said(board)


def test_two_at_once_on_one_port(workshop):
    name = workshop.charger()
    board = workshop.board(name)
    with Link(board.serial):
        refused = workshop.provision(board, name)
    assert refused.status == 1 and "is in use by another program" in refused.err


def test_what_keeps_it_from_the_broker_is_said(workshop):
    name = workshop.charger()
    board = workshop.installed(name)
    board.do("link", up=False)
    alone = workshop.provision(board, name, "--set", "poll_ms=50", "--timeout", "7")
    assert alone.status == 1
    assert "Wi-Fi 'home' is not joined" in alone.part("charger")["found"]
    assert "--wifi-ssid" in alone.part("charger")["advice"]
