"""Provisioning interrupted at instants drawn by lot, in every way there is: afterwards the board
starts, its contactor open, with what it had or saying that it is incomplete; and the next time it
becomes what it was to be.
"""

import hashlib
import json
import os
import random
import signal
import subprocess
import time

import pytest

from host_tests.installer.conftest import until
from tools import mpy
from tools.installer import cable, copying, provision
from tools.installer.link import Link
from tools.virtual.client import PROJECT
from tools.virtual.flash import open_flash

SEED = int(os.environ.get("TAPGATE_SEED", "20261122"))
ROUNDS = int(os.environ.get("TAPGATE_INTERRUPTIONS", "4"))
# How many writes to the port a first installation takes: about that many.
WRITES = 640


class Killed(BaseException):
    """The process ends without another word to the board."""


@pytest.fixture
def strike(monkeypatch):
    """strike(n, action): the action happens at the nth write to the port."""
    state = {"left": -1, "action": None}
    write = cable.Cable.write

    def counted(self, data):
        state["left"] -= 1
        if state["left"] == 0:
            state["action"](self)
        write(self, data)

    monkeypatch.setattr(cable.Cable, "write", counted)

    def arm(number, action):
        state.update(left=number, action=action)
        return state

    return arm


def ways(board):
    """How it is interrupted, by name."""

    def ctrl_c(_):
        raise KeyboardInterrupt

    def killed(port):
        port._serial.close()
        raise Killed

    def supply(_):
        board.do("power", off_ms=100)

    def pulled(_):
        board.do("serial", up=False)

    return {"Ctrl-C": ctrl_c, "killed": killed, "supply": supply, "cable": pulled}


def held(flash) -> dict[str, bytes]:
    """The files of a charger in the flash, by name; the board is off."""
    chips = open_flash(flash, flash.stat().st_size // 4096)
    try:
        names = (*mpy.starters(), "firmware.json", "config.json")
        found = {name: chips.read(name) for name in names}
        return {name: data for name, data in found.items() if data is not None}
    finally:
        chips.close()


def test_at_any_instant_in_any_way(workshop, strike, monkeypatch):
    wait = provision._await
    every = random.Random(SEED)
    starters, image = mpy.starters(), mpy.image()
    wanted = hashlib.sha256(image).hexdigest()
    monkeypatch.setattr(mpy, "image", lambda: image)  # also while somebody works on the sources
    monkeypatch.setattr(mpy, "starters", lambda: starters)
    print(f"seed {SEED}")
    for round_ in range(ROUNDS):
        name = workshop.charger()
        board = workshop.board(name)
        way = list(ways(board))[round_ % 4]
        number = every.randrange(8, WRITES)
        state = strike(number, ways(board)[way])
        about = f"seed {SEED}, round {round_}: {way} at write {number}"
        try:
            done = workshop.provision(board, name, "--timeout", "5")
        except Killed:
            done = None
        struck = state["left"] <= 0
        state["left"] = -1
        if way == "cable" and struck:
            board.do("serial", up=True)
        if done is not None and struck and way != "supply":
            assert done.status == 1, about
        board.stop()
        files = held(workshop.folder / f"{name}.img")
        found = [files.get(each) for each in starters]
        assert all(files.get(key, data) == data for key, data in starters.items()), about
        there = [each is not None for each in found]
        assert there == sorted(there, reverse=True), about  # boot.py is the first
        assert "firmware.json" not in files or all(there), about
        assert "config.json" not in files or "firmware.json" in files, about
        if "firmware.json" in files:
            assert json.loads(files["firmware.json"])["sha256"] == wanted, about
        if "config.json" in files:
            assert json.loads(files["config.json"])["charger"] == name, about
        again = workshop.board(name)
        assert not again.status()["contactor"], about
        if "main.py" in files and "config.json" not in files:
            lines = heard(again)
            assert any("is incomplete" in line or "cannot start" in line for line in lines), about
        # That it reports itself then is waited for once, for the sake of time.
        last = round_ == ROUNDS - 1
        monkeypatch.setattr(provision, "_await", wait if last else lambda *_: None)
        finished = workshop.provision(again, name, "--timeout", "60")
        monkeypatch.setattr(provision, "_await", wait)
        assert finished.status == 0, (about, finished)
        again.stop()
        files = held(workshop.folder / f"{name}.img")
        assert len(files) == len(starters) + 2, about
        rom = (workshop.folder / f"{name}.img.rom").read_bytes()
        assert rom.startswith(image), about
        workshop.running.clear()


def heard(board):
    """What it says at a start."""
    link = Link(board.serial)
    try:
        since = board.mark()
        board.do("power", off_ms=10)
        board.wait_for(lambda push: "reset" in push, 5, since)
        end = time.monotonic() + 4
        lines = []
        while time.monotonic() < end and not any("tapgate" in line for line in lines):
            lines += link.heard()
            time.sleep(0.02)
        return [line for line in lines if "tapgate" in line]
    finally:
        link.close()


def test_an_update_interrupted_leaves_the_version_before(workshop, monkeypatch, release):
    every = random.Random(SEED)
    name = workshop.charger()
    board = workshop.installed(name)
    mpy_version = mpy.version()
    release("0.2.0")
    for way in ("cable", "supply"):
        left = every.randrange(1, 12)  # the block at which it happens; others are left over
        put = copying._put

        def struck(link, *arguments, way=way, put=put):
            nonlocal left
            left -= 1
            if left == 0:
                ways(board)[way](None)
            put(link, *arguments)

        with monkeypatch.context() as patched:
            patched.setattr(copying, "_put", struck)
            refused = workshop.provision(board, name)
        assert refused.status == 1, (way, refused)
        if way == "cable":
            board.do("serial", up=True)
    since = board.mark()
    board.do("power", off_ms=10)
    board.wait_for(lambda push: "reset" in push, 5, since)
    until(lambda: workshop.tapgate("status", name)[0]["online"], 20, f"{way}: online")
    with Link(board.serial) as link:
        state = json.loads(link.read("/firmware.json") or b"")
    assert (state["run"], state["version"], state["proven"]) == ("a", mpy_version, True)
    monkeypatch.setattr(provision, "_await", lambda *_: None)  # of that there are other tests
    done = workshop.provision(board, name)
    assert done.status == 0, done
    assert done.found["firmware"]["slot"] == "b"


def test_ctrl_c_at_the_installer_leaves_a_board_that_has_started_again(workshop):
    name = workshop.charger()
    board = workshop.board(name)
    process = subprocess.Popen(
        [
            *(PROJECT / ".venv/bin/tapgate", "--home", workshop.home, "provision"),
            *("--port", board.serial, "--charger", name),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    image = workshop.folder / f"{name}.img.rom"
    until(lambda: image.read_bytes().rstrip(b"\xff"), 30, "at the firmware")
    since = board.mark()
    process.send_signal(signal.SIGINT)
    error = process.communicate(timeout=20)[1]
    assert process.returncode == 1
    assert error.splitlines()[-1] == "tapgate: interrupted; nothing is lost, run it again"
    board.wait_for(lambda push: push.get("reset") == "soft", 10, since)
