"""The cable: keys that interrupt what the raw REPL runs, and a plug that is pulled."""

import os
import random
import time
from collections.abc import Iterator

import pytest
import serial

from host_tests.virtual.conftest import Bench
from tools.virtual.client import CommandRefused, VirtualCharger

PROMPT = b"raw REPL; CTRL-B to exit\r\n>"
ENDLESS = (
    "import time\nwhile True: time.sleep_ms(5)",
    "import time\ntime.sleep(60)",
    "while True: pass",
    "import os\nwhile True: bytes(os.urandom(200))",
    "import machine\np = machine.Pin(4, machine.Pin.OUT)\nwhile True: p(1); p.value()",
    "import esp32\nwhile True: esp32.Partition('romfs').readblocks(0, bytearray(4096))",
    "import sys\nsys.stdin.read(1)",
)


class Raw:
    """A raw REPL, byte by byte; commands are typed, or pasted as mpremote does."""

    def __init__(self, port: str, paste: bool):
        self.cable = serial.Serial(port, timeout=5)
        self._paste = paste
        self.begun = b"\x04" if paste else b"OK"
        self.cable.write(b"\r\x03\x01")
        self.until(PROMPT)

    def begin(self, code: str) -> None:
        self.send(code)
        self.until(self.begun)

    def send(self, code: str) -> None:
        """All of it; that it has begun is still to be read."""
        if self._paste:
            self.cable.write(b"\x05A\x01")
            self.until(b"R\x01")
            window = int.from_bytes(self.cable.read(2), "little")
            for at in range(0, len(code), window):
                self.until(b"\x01")
                self.cable.write(code[at : at + window].encode())
        else:
            self.cable.write(code.encode())
        self.cable.write(b"\x04")

    def end(self) -> tuple[str, str]:
        """What it printed, and what it died of."""
        printed, died = (self.until(b"\x04").strip(b"\1\4").decode() for _ in range(2))
        self.until(b">")
        return printed.strip(), (died.strip().splitlines() or [""])[-1]

    def until(self, mark: bytes) -> bytes:
        found = self.cable.read_until(mark)
        assert found.endswith(mark), found
        return found


@pytest.fixture(params=[False, True], ids=["typed", "pasted"])
def raw(request, bench: Bench) -> Iterator[Raw]:
    raw = Raw(bench.charger.serial, request.param)
    yield raw
    raw.cable.close()


@pytest.mark.parametrize("code", ENDLESS)
def test_ctrl_c_interrupts_a_command_of_the_raw_repl_and_the_board_goes_on(raw, code):
    raw.begin("kept = 42")
    raw.end()
    for _ in range(2):
        raw.begin(code)
        time.sleep(0.05)
        raw.cable.write(b"\x03")
        assert raw.end()[1].startswith("KeyboardInterrupt")
        raw.begin("import gc; gc.collect(); print(kept, len(bytearray(100_000)))")
        assert raw.end() == ("42 100000", "")


def test_ctrl_c_at_any_instant_leaves_the_raw_repl_whole(raw, shared_bench):
    """While a command is compiled, run, or over."""
    chance = random.Random(1)
    resets = shared_bench.charger.status()["resets"]
    interrupted = 0
    for _ in range(40):
        raw.send("import time\ntime.sleep_ms(4)\nprint('done')")
        time.sleep(chance.random() * 0.012)
        raw.cable.write(b"\x03")
        raw.until(raw.begun)
        printed, died = raw.end()
        assert (printed == "done") != died.startswith("KeyboardInterrupt")
        interrupted += printed != "done"
        raw.begin("print(6 * 7)")
        assert raw.end() == ("42", "")
    assert interrupted > 5
    assert shared_bench.charger.status()["resets"] == resets


def test_a_program_that_never_rests_is_interrupted_between_two_instructions(bench: Bench):
    """Struck in the middle of a garbage collection, the heap would stay locked."""
    raw = Raw(bench.charger.serial, paste=True)
    for _ in range(6):
        raw.begin("while True: [0] * 4000")
        time.sleep(0.02)
        raw.cable.write(b"\x03")
        assert raw.end()[1].startswith("KeyboardInterrupt")
        raw.begin("print(len([0] * 4000))")
        assert raw.end() == ("4000", "")
    raw.cable.close()


def test_ctrl_c_drops_a_command_that_is_half_typed(raw):
    raw.cable.write(b"print('half")
    time.sleep(0.05)
    raw.cable.write(b"\x03print('whole')\x04")
    raw.until(b"OK")
    assert raw.end() == ("whole", "")


def test_a_board_that_works_for_somebody_who_has_gone_gives_way_to_the_next(raw, bench: Bench):
    raw.begin("import time\nwhile True: time.sleep_ms(100)")
    raw.cable.close()
    bench.soft_reset()
    assert bench.run("print('here')") == "here"


def test_a_timer_goes_on_after_an_interrupt(raw):
    """Ctrl-C is for the program alone: whoever brings it events is not struck."""
    raw.begin(
        "import machine, time\nticks = []\n"
        "machine.Timer(0).init(period=5, callback=lambda timer: ticks.append(1))\n"
        "while True: time.sleep_ms(1)"
    )
    for _ in range(50):
        raw.cable.write(b"\x03")
        assert raw.end()[1].startswith("KeyboardInterrupt")
        raw.begin("while True: time.sleep_ms(1)")
    raw.cable.write(b"\x03")
    raw.end()
    raw.begin("before = len(ticks); time.sleep_ms(100); print(len(ticks) > before)")
    assert raw.end() == ("True", "")


# --- the plug -------------------------------------------------------------------------------

COUNTING = "import time\ncount = 0\nwhile True:\n    count += 1; print(count); time.sleep_ms(20)\n"


def test_a_pulled_cable_hangs_up_and_the_board_runs_on(start):
    others = [end for _ in range(3) for end in os.openpty()]
    charger: VirtualCharger = start(COUNTING, serial=True)
    for end in others:  # from now on there are names before this one
        os.close(end)
    name = charger.serial
    cable = serial.Serial(name, timeout=2)
    before = _next_number(cable)
    charger.do("serial", up=False)
    with pytest.raises((serial.SerialException, OSError)):
        for _ in range(100_000):
            assert cable.read(1) != b""
    assert not os.path.exists(name)
    charger.do("serial", up=False)
    cable.close()
    time.sleep(0.2)
    assert charger.do("serial", up=True)["serial"] == name
    assert charger.do("serial", up=True)["serial"] == name
    with serial.Serial(name, timeout=2) as cable:
        assert _next_number(cable) > before + 5
    assert charger.status()["resets"] == 0


def _next_number(cable: serial.Serial) -> int:
    cable.read_until(b"\n")
    return int(cable.read_until(b"\n"))


def test_a_cable_whose_name_was_taken_meanwhile_has_another_that_is_printed(start):
    charger: VirtualCharger = start(COUNTING, serial=True)
    before = charger.serial
    cable = serial.Serial(before)
    charger.do("serial", up=False)
    name = charger.do("serial", up=True)["serial"]
    assert name != before  # whoever had it open has not let go of it yet
    charger.wait_for_output(f"serial={name}", 2)
    cable.close()
    with serial.Serial(name, timeout=2) as cable:
        assert _next_number(cable) > 0


def test_without_a_serial_line_there_is_no_cable(start):
    with pytest.raises(CommandRefused, match="as --serial was not given"):
        start("").do("serial", up=False)
