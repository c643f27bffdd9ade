"""Boards to play with: one that stays on and runs what a test types into it, and fresh ones."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from mpremote.transport import TransportExecError
from mpremote.transport_serial import SerialTransport

from tools.virtual.client import VirtualCharger


class Bench:
    """A virtual board on a cable: `run` executes MicroPython on it and gives what it prints."""

    def __init__(self, charger: VirtualCharger):
        self.charger = charger
        self._cable = SerialTransport(charger.serial)
        self._cable.enter_raw_repl(soft_reset=False)

    def run(self, code: str) -> str:
        return self._cable.exec(code).decode().replace("\r\n", "\n").rstrip("\n")

    def fails(self, code: str) -> str:
        """What the code dies of: the last line of its traceback."""
        with pytest.raises(TransportExecError) as failure:
            self._cable.exec(code)
        return failure.value.error_output.strip().splitlines()[-1].strip()

    def soft_reset(self) -> None:
        self._cable.enter_raw_repl(soft_reset=True)

    def close(self) -> None:
        self._cable.close()


@pytest.fixture(scope="module")
def shared_bench(tmp_path_factory) -> Iterator[Bench]:
    folder = tmp_path_factory.mktemp("bench")
    program = folder / "nothing.py"
    program.write_text("")
    charger = VirtualCharger.start(
        main=program, flash=folder / "flash", serial=True, until="either", path=folder
    )
    bench = Bench(charger)
    yield bench
    bench.close()
    charger.stop()


@pytest.fixture
def bench(shared_bench: Bench) -> Bench:
    """A board just reset, with nothing plugged in and nothing broken."""
    charger = shared_bench.charger
    charger.do("unplug", bounce=False)
    charger.do("contactor", fault="none")
    charger.do("reader", fault="none")
    charger.do("link", up=True)
    shared_bench.soft_reset()
    return shared_bench


Start = Callable[..., VirtualCharger]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """start("program text", config={…}, …): a simulator that ends with the test."""
    running: list[VirtualCharger] = []

    def begin(program: str | None = None, config: dict | None = None, **options) -> VirtualCharger:
        if program is not None:
            options["main"] = tmp_path / "program.py"
            options["main"].write_text(program)
        if config is not None:
            options["config"] = tmp_path / "config.json"
            options["config"].write_text(json.dumps(config))
        options.setdefault("flash", tmp_path / "flash")
        options.setdefault("until", "either")
        charger = VirtualCharger.start(**options)
        running.append(charger)
        return charger

    yield begin
    for charger in running:
        charger.stop()
