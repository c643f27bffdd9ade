"""Power cuts, resets and what outlives them."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from tools.virtual.client import CommandRefused

DIARY = """
import machine, sys, time
from esp32 import NVS
nvs = NVS("diary")
rtc = machine.RTC()
contact = machine.Pin(32, machine.Pin.IN, machine.Pin.PULL_UP)
while contact():
    time.sleep_ms(5)
coil = machine.Pin(27, machine.Pin.OUT)
coil(1)
try:
    kept = nvs.get_i32("kept")
except OSError as error:
    kept = error.args[1]
print("cause", machine.reset_cause(), "rtc", bytes(rtc.memory()), time.time() > 3600, "nvs", kept)
rtc.memory(b"note")
rtc.datetime((2000, 1, 1, 5, 2, 0, 0, 0))
nvs.set_i32("kept", 7)
nvs.commit()
nvs.set_i32("kept", 8)
print("written")
"""


def test_a_power_cut_opens_the_coil_at_once_and_loses_clock_and_memory_but_not_nvs(start):
    charger = start(DIARY)
    charger.do("plug")
    charger.wait_for_output("cause 1 rtc b'' False nvs ESP_ERR_NVS_NOT_FOUND", 5)
    charger.wait_for_output("written", 5)
    charger.wait_for(lambda push: push.get("on") is True, 2, 0)
    charger.do("power", off_ms=150)
    assert charger.status()["power"] is False
    off = charger.wait_for(lambda push: push.get("on") is False, 1, 0)
    back = charger.wait_for(lambda push: push.get("reset") == "power", 2, 0)
    assert 145 <= back["t_ms"] - off["t_ms"] < 1_000
    charger.wait_for_output("cause 1 rtc b'' False nvs 7", 5)
    assert charger.status()["resets"] == 1


def test_a_watchdog_that_is_not_fed_restarts_the_board_and_the_clock_goes_on(start):
    charger = start(DIARY + "machine.WDT(timeout=200)\nwhile True: pass\n")
    charger.do("plug")
    reset = charger.wait_for(lambda push: push.get("reset") == "watchdog", 5, 0)
    charger.wait_for_output("cause 3 rtc b'note' True nvs 7", 5)
    on = next(push for push in charger.pushes if push.get("on") is True)
    off = next(push for push in charger.pushes if push.get("on") is False)
    assert on["t_ms"] < off["t_ms"] <= reset["t_ms"]


def test_a_watchdog_that_is_fed_lets_the_board_live(start):
    charger = start(
        "from machine import WDT; import time\nwatchdog = WDT(timeout=150)\n"
        "for _ in range(30):\n    watchdog.feed(); time.sleep_ms(20)\nprint('alive')\n"
    )
    charger.wait_for_output("alive", 5)
    assert charger.status()["resets"] == 0


def test_a_soft_reset_leaves_the_pins_and_a_hard_one_lets_them_go(start):
    charger = start(
        "import machine, time\nprint('cause', machine.reset_cause())\ncoil = machine.Pin(27)\n"
        "contact = machine.Pin(32, machine.Pin.IN, machine.Pin.PULL_UP)\n"
        "while contact(): time.sleep_ms(5)\n"
        "if machine.reset_cause() == machine.PWRON_RESET:\n"
        "    coil.init(coil.OUT, value=1); machine.soft_reset()\n"
        "elif machine.reset_cause() == machine.SOFT_RESET:\n    machine.reset()\n"
    )
    charger.do("plug")
    charger.wait_for_output("cause 2", 5)
    charger.wait_for(lambda push: push.get("on") is False, 2, 0)
    moments = [(p.get("on"), p.get("reset")) for p in charger.pushes if "ready" not in p]
    moments = [moment for moment in moments if moment != (None, None)]
    assert moments == [(True, None), (None, "soft"), (False, None), (None, "soft")]


def test_deep_sleep_ends_after_its_time_with_its_own_cause(start):
    charger = start(
        "import machine\nprint('cause', machine.reset_cause())\n"
        "if machine.reset_cause() != machine.DEEPSLEEP_RESET:\n    machine.deepsleep(100)\n"
    )
    charger.wait_for_output("cause 4", 5)


FILES = """
import os
def write(name, text):
    with open(name + ".new", "w") as file:
        file.write(text * 2000)
    os.rename(name + ".new", name)
if "state" not in os.listdir():
    write("state", "a")
with open("state") as file:
    text = file.read()
print("state", text[0], len(text), len(set(text)))
for _ in range(1000):
    write("state", "b" if text[0] == "a" else "a")
"""


def test_the_supply_can_be_cut_at_a_block_write_and_littlefs_has_the_old_or_the_new(
    start, tmp_path
):
    charger = start(FILES, flash=tmp_path / "flash.img")
    states = _wait_for_states(charger, 1)
    for n in (1, 2, 3, 5, 8, 13):
        charger.do("power", at_block_write=n, part=0.5, off_ms=1)
        states = _wait_for_states(charger, len(states) + 1)
    assert set(states) <= {"state a 2000 1", "state b 2000 1"}, states
    assert charger.status()["resets"] == 6
    assert charger.status()["flash_erases"] > 6


def _wait_for_states(charger, count: int) -> list[str]:
    deadline = time.monotonic() + 5
    while len(states := [line for line in charger.output if line.startswith("state")]) < count:
        assert time.monotonic() < deadline, charger.output
        time.sleep(0.01)
    return states


def test_a_cut_at_a_block_write_needs_blocks(start):
    charger = start("")
    with pytest.raises(CommandRefused, match="the flash is a directory"):
        charger.do("power", at_block_write=1)


def test_a_file_renamed_on_a_directory_flash_replaces_the_other(start, tmp_path):
    charger = start(FILES.replace("range(1000)", "range(3)"))
    charger.wait_for_output("stopped", 5)
    assert (tmp_path / "flash" / "state").read_text() == "b" * 2000
    assert not (tmp_path / "flash" / "state.new").exists()


def test_the_heap_is_that_of_a_board_and_can_be_made_larger(start, tmp_path):
    program = (
        "import gc; gc.collect(); print('free', gc.mem_free())\n"
        "kept = bytearray(6000)\n"
        "try:\n    bytearray(300_000); print('room')\nexcept MemoryError:\n    print('full')\n"
    )
    charger = start(program)
    free = int(charger.wait_for_output("free", 5).split()[1])
    assert 215_000 < free <= 225_280
    charger.wait_for_output("full", 5)
    assert 5_000 <= charger.status()["heap_used"] < 20_000
    charger.stop()
    start(program, heap=500, flash=tmp_path / "larger").wait_for_output("room", 5)


def test_no_process_outlives_a_simulator_that_is_killed(start):
    charger = start("while True: pass\n")
    board = _child_of(charger.process.pid)
    charger.process.kill()
    charger.process.wait()
    deadline = time.monotonic() + 5
    while Path(f"/proc/{board}").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _child_of(pid: int) -> int:
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True)
    (child,) = found.stdout.split()
    return int(child)


def test_a_crashed_interpreter_is_a_reset(start):
    charger = start("import machine\nprint('cause', machine.reset_cause())\nwhile True: pass\n")
    subprocess.run(["kill", "-SEGV", str(_child_of(charger.process.pid))], check=True)
    charger.wait_for_output("cause 2", 5)
    assert sys.platform == "linux"
