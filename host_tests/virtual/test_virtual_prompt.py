"""Timers and interrupts while the REPL waits for a key."""

import subprocess
import sys
import time
from pathlib import Path

import pytest
import serial

MPREMOTE = Path(sys.executable).with_name("mpremote")
BLINKING = (
    "import machine\n"
    "coil = machine.Pin(27, machine.Pin.OUT, value=0)\n"
    "machine.Timer(0).init(period=100, callback=lambda timer: coil.toggle())\n"
)
CONFIG = {
    "installation": "home",
    "charger": "bay-1",
    "charger_key": "0123456789abcdef" * 4,
    "card_key": "fedcba9876543210" * 4,
    "wifi": {"ssid": "home", "password": ""},
    "broker": {"host": "127.0.0.1", "port": 1},
    "access": "open",
}
MORE_THAN_THE_WATCHDOG_S = 12  # which bites after 8


def coil(on: bool):
    return lambda push: push.get("pin") == "contactor" and push["on"] is on


def blinks(charger) -> None:
    since = charger.mark()
    for on in (True, False, True, False):
        charger.wait_for(coil(on), 3, since)
        since = charger.mark()


def test_a_timer_calls_back_at_every_kind_of_prompt(start):
    charger = start(BLINKING, serial=True)
    with serial.Serial(charger.serial, timeout=3) as cable:
        for keys, prompt in (
            (b"\r\r", b">>> \r\n>>> "),
            (b"half a li", b"half a li"),
            (b"\x03\x01", b"raw REPL; CTRL-B to exit\r\n>"),
            (b"\x05A\x01", b"R\x01\x80\x00\x01"),
            (b"print('half", b""),
        ):
            cable.write(keys)
            assert not prompt or cable.read_until(prompt).endswith(prompt)
            time.sleep(0.2)  # what the keys themselves let run is over
            blinks(charger)
        cable.write(b" done')\n\x04")
        assert cable.read_until(b"half done\r\n").endswith(b"half done\r\n")


def test_a_timer_calls_back_when_the_program_has_ended_and_nobody_can_type(start):
    blinks(start(BLINKING))


def test_an_interrupt_calls_back_at_the_prompt(start):
    charger = start(
        "import machine\n"
        "coil = machine.Pin(27, machine.Pin.OUT, value=0)\n"
        "contact = machine.Pin(32, machine.Pin.IN, machine.Pin.PULL_UP)\n"
        "contact.irq(lambda pin: coil(1))\n",
        serial=True,
    )
    time.sleep(0.2)
    since = charger.mark()
    charger.do("plug")
    charger.wait_for(coil(True), 3, since)


def test_the_board_counts_its_heap_at_the_prompt(start):
    charger = start("kept = bytearray(30_000)\n", serial=True)
    time.sleep(0.2)
    assert 25_000 < charger.status()["heap_used"] < 40_000


@pytest.fixture
def mpremote(start):
    charger = start(config=CONFIG, serial=True)

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [str(MPREMOTE), "connect", charger.serial, *arguments],
            capture_output=True,
            text=True,
            timeout=20,
        )
        assert done.returncode == 0, done
        return done.stdout

    return charger, run


def test_a_charger_taken_over_from_the_cable_is_left_alone_until_it_is_reset(mpremote):
    charger, run = mpremote
    since = charger.mark()
    charger.do("plug")
    charger.wait_for(coil(True), 8, since)
    since = charger.mark()
    assert run("resume", "exec", "kept = 42; print(kept)").endswith("42\n")
    charger.wait_for(coil(False), 5, since)
    since = charger.mark()
    time.sleep(MORE_THAN_THE_WATCHDOG_S)
    assert not charger.status()["contactor"]
    assert run("resume", "exec", "print(kept)") == "42\n"
    assert not [push for push in charger.pushes[since:] if "reset" in push or coil(True)(push)]
    run("reset")
    charger.wait_for(coil(True), 15, since)
