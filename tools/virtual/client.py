"""A virtual charger as an object: for tests, benches and whatever plays with one.

with VirtualCharger.start(config="config.json", flash="flash") as charger:
    charger.do("plug")
    charger.wait_for(lambda push: push.get("light") == [255, 180, 0], 1.0)
"""

from __future__ import annotations

import json
import os
import queue
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).parents[2]
START_S = 60.0  # of a computer that has much else to do
ANSWER_S = 60.0
END_S = 5.0

Push = dict[str, Any]


class VirtualError(Exception):
    """The simulator did not do what was asked; says what it said."""


class CommandRefused(VirtualError):
    """A command was answered with an error."""


class ControlClient:
    """One connection to the control port. `pushes` grows with what happens at the hardware."""

    def __init__(self, port: int):
        self._socket = socket.create_connection(("127.0.0.1", port), 5)
        self._socket.settimeout(None)
        self._answers: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._news = threading.Condition()
        self._asking = threading.Lock()
        self.pushes: list[Push] = []
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        try:
            for line in self._socket.makefile("rb"):
                message = json.loads(line)
                if "ok" in message:
                    self._answers.put(message)
                else:
                    with self._news:
                        self.pushes.append(message)
                        self._news.notify_all()
        except (OSError, ValueError):  # closed, or killed in mid-line
            pass
        self._answers.put(None)

    def do(self, do: str, timeout_s: float = ANSWER_S, **arguments: Any) -> dict[str, Any]:
        """Send {"do": do, …} and return its answer; CommandRefused if that says no."""
        with self._asking:
            self._socket.sendall(json.dumps({"do": do, **arguments}).encode() + b"\n")
            try:
                answer = self._answers.get(timeout=timeout_s)
            except queue.Empty:
                raise VirtualError(f"{do}: no answer in {timeout_s:g} s") from None
        if answer is None:
            raise VirtualError(f"{do}: the simulator has ended")
        if not answer["ok"]:
            raise CommandRefused(answer["error"])
        return answer

    def status(self) -> dict[str, Any]:
        return self.do("status")

    def mark(self) -> int:
        """The place in `pushes` from which a later `wait_for` may start."""
        with self._news:
            return len(self.pushes)

    def wait_for(
        self, wanted: Callable[[Push], bool], timeout_s: float, since: int | None = None
    ) -> Push:
        """The first push that is wanted, among those from `since` on (default: all from now)."""
        deadline = time.monotonic() + timeout_s
        with self._news:
            at = len(self.pushes) if since is None else since
            while True:
                for push in self.pushes[at:]:
                    if wanted(push):
                        return push
                    at += 1
                left = deadline - time.monotonic()
                if left <= 0:
                    seen = self.pushes[since or 0 :][-8:]
                    raise VirtualError(f"not seen within {timeout_s:g} s; last seen: {seen}")
                self._news.wait(left)

    def close(self) -> None:
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:  # closed from the other side already
            pass
        self._socket.close()
        self._thread.join()


class VirtualCharger(ControlClient):
    """A simulator of our own, ended with `stop` or the end of a `with` block."""

    def __init__(self, process: subprocess.Popen, output: _Output, port: int):
        self.process = process
        self._output = output
        self.port = port
        super().__init__(port)

    @classmethod
    def start(
        cls,
        config: str | os.PathLike[str] | None = None,
        flash: str | os.PathLike[str] | None = None,
        *,
        main: str | os.PathLike[str] | None = None,
        path: str | os.PathLike[str] | None = None,
        serial: bool = False,
        heap: int | None = None,
        first: Sequence[dict[str, Any]] = (),
        board: Sequence[str] = (),
        until: str = "ready",
        timeout_s: float = START_S,
        environment: dict[str, str] | None = None,
    ) -> VirtualCharger:
        """Start one and wait until it says `until` ("ready", "stopped" or "either"). `first`:
        commands, as {"do": …}, carried out before the supply is switched on. `board`: what kind
        of board it is, as KEY=VALUE each."""
        command = [sys.executable, "-m", "tools.virtual", "--stdin"]
        for name, value in (
            ("config", config), ("flash", flash), ("main", main), ("path", path), ("heap", heap)
        ):  # fmt: skip
            if value is not None:
                command += [f"--{name}", str(value)]
        if serial:
            command.append("--serial")
        for each in first:
            command += ["--first", json.dumps(each)]
        for option in board:
            command += ["--board", option]
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONPATH": str(PROJECT), **(environment or {})},
        )
        output = _Output(process)
        marks = ("ready", "stopped") if until == "either" else (until,)
        try:
            line = output.wait_for(
                lambda text: text.split(" control=")[0] in marks and " control=" in text, timeout_s
            )
            return cls(process, output, int(line.rpartition(":")[2]))
        except BaseException:
            process.kill()
            process.wait()
            raise

    @property
    def output(self) -> list[str]:
        """The lines that came on standard output so far."""
        return list(self._output.lines)

    @property
    def serial(self) -> str:
        """The serial port that --serial made, by its latest name."""
        return [line[7:] for line in self.output if line.startswith("serial=")][-1]

    def wait_for_output(self, text: str, timeout_s: float) -> str:
        """The first line of output, from the start on, that contains the text."""
        return self._output.wait_for(lambda line: text in line, timeout_s)

    def stop(self) -> int:
        """End the simulator; returns its exit status."""
        self.close()
        if self.process.stdin:
            self.process.stdin.close()
        try:
            status = self.process.wait(END_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            status = self.process.wait()
        self._output.join()
        return status

    def __enter__(self) -> VirtualCharger:
        return self

    def __exit__(self, *failure: object) -> None:
        self.stop()


class _Output:
    """What the simulator prints, line by line."""

    def __init__(self, process: subprocess.Popen):
        self._process = process
        self._news = threading.Condition()
        self._ended = False
        self.lines: list[str] = []
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            with self._news:
                self.lines.append(line.decode(errors="replace").rstrip("\r\n"))
                self._news.notify_all()
        with self._news:
            self._ended = True
            self._news.notify_all()

    def wait_for(self, wanted: Callable[[str], bool], timeout_s: float) -> str:
        deadline = time.monotonic() + timeout_s
        with self._news:
            while True:
                for line in self.lines:
                    if wanted(line):
                        return line
                left = deadline - time.monotonic()
                if left <= 0 or self._ended:
                    said = "\n".join(self.lines[-30:]) or "(nothing)"
                    why = "it ended" if self._ended else f"not within {left + timeout_s:g} s"
                    raise VirtualError(f"the simulator: {why}; it said:\n{said}")
                self._news.wait(left)

    def join(self) -> None:
        self._thread.join(END_S)
