"""The self-test of a charger on a cable: asked for at its console, while the firmware runs on."""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

from tools.installer import remedies
from tools.installer.cable import Cable
from tools.installer.remedies import Row
from tools.portal import busy
from tools.portal.intake import shown
from tools.portal.refusal import Refusal

Say = Callable[[str], None]

ANSWER_S = 6.0  # a firmware that runs answers at once, or is writing its flash
START_S = 25.0  # a board that has begun to say something may be starting
AGAIN_S = 3.0
LINE_S = 25.0  # the longest part waits 10 s for a card
_PROMPT_S = 1.5
_LOOK_S = 0.02

_CTRL_B = b"\x02"
_FILES = b"import os; print('files:', os.listdir('/'))\r\n"


class NotRunning(Refusal):
    """Something answers at that port, and it is not Tapgate's firmware at work."""


class NoAnswer(Refusal):
    """Nothing answers at that port."""


class Declined(Refusal):
    """The charger does not test itself now."""


class EndedEarly(Refusal):
    """The self-test is over before its time. `rows`: what was tested until then."""

    def __init__(self, why: str, rows: list[Row]):
        super().__init__(f"the self-test has ended early: {why}")
        self.rows = rows


def run(port: str, say: Say = lambda line: None) -> list[Row]:
    """Each part's line (`remedies.Row`). `say` takes what somebody is to do meanwhile.

    Nothing is interrupted, and the board is not reset. Refusal where the port cannot be used, the
    firmware does not answer, or will not now; EndedEarly.
    """
    console = _Console(Cable(port))
    try:
        return _carried_out(console, say)
    except KeyboardInterrupt:
        console.cable.type(b"\r\nstop\r\n")
        raise
    finally:
        console.cable.close()


def passed(rows: list[Row]) -> bool:
    """None of them has failed."""
    return all(each["ok"] is not False for each in rows)


class _Console:
    """What the board says, line by line."""

    def __init__(self, cable: Cable):
        self.cable = cable
        self.port = cable.port
        self.last: list[str] = []  # lines that were no answers of the self-test
        self.heard = False
        self._waiting: list[str] = []

    def lines(self, within_s: float) -> Iterator[str]:
        """The whole lines that come in that time, and ">>>" for MicroPython's prompt. Who stops
        listening in between gets the others the next time."""
        end = time.monotonic() + within_s
        while True:
            while self._waiting:
                yield self._waiting.pop(0)
            if time.monotonic() >= end:
                return
            before = self.cable.received
            self._waiting += self.cable.lines()
            if self.cable.received == before:
                time.sleep(_LOOK_S)
                continue
            self.heard = True
            if self.cable.unfinished.rstrip().endswith(b">>>"):
                self._waiting.append(">>>")

    def answers(self, within_s: float) -> Iterator[dict[str, Any] | str]:
        """Of these, the self-test's as what they say."""
        for line in self.lines(within_s):
            answer = _answer(line)
            if answer is None and line:
                self.last = [*self.last[-7:], line]
            yield answer or line


def _carried_out(console: _Console, say: Say) -> list[Row]:
    rows: list[Row] = []
    answer = _first(console)
    while True:
        name = answer["selftest"]
        if name == "over":
            if "why" in answer:
                raise EndedEarly(shown(answer["why"]), rows)
            return rows
        if name != "declined":
            rows.append(_row(answer))
            _instruct(name, say)
        answer = _next(console, rows)


def _first(console: _Console) -> dict[str, Any]:
    """The first line of the answer. A board that starts may need to be asked again."""
    began = asked = time.monotonic()
    console.cable.type(b"\r\nselftest\r\n")
    times, crashes = 1, 0
    while True:
        for answer in console.answers(_LOOK_S):
            if isinstance(answer, dict):
                if answer["selftest"] != "declined":
                    return answer
                if times == 1 or "service" not in str(answer.get("why")):
                    raise Declined(_declined(answer))
            elif answer.startswith("Traceback"):
                crashes += 1
            elif answer.endswith(">>>"):
                raise NotRunning(_at_prompt(console))
            elif answer.startswith("tapgate "):
                raise NotRunning(
                    f"the board at {console.port} does not run: {shown(answer)}; "
                    "'tapgate provision' puts that right"
                )
            elif "waiting for download" in answer:
                raise NotRunning(
                    f"the board at {console.port} waits for a download: let go of its BOOT button "
                    "(GPIO 0), and press EN"
                )
        waited = time.monotonic() - began
        if waited >= (START_S if console.heard else ANSWER_S):
            raise _no_answer(console, crashes)
        if console.heard and time.monotonic() - asked >= AGAIN_S:
            asked = time.monotonic()
            times += 1
            console.cable.type(b"\r\nselftest\r\n")


def _next(console: _Console, rows: list[Row]) -> dict[str, Any]:
    for answer in console.answers(LINE_S):
        if isinstance(answer, dict):
            return answer
        if answer.endswith(">>>") or answer.startswith(("Traceback", "rst:0x", "ets ")):
            raise EndedEarly(f"the firmware has stopped ({shown(answer)})", rows)
    raise EndedEarly(f"the board at {console.port} says no more", rows)


def _no_answer(console: _Console, crashes: int) -> Refusal:
    if crashes:
        why = next((line for line in reversed(console.last) if "Error" in line), console.last[-1])
        return NotRunning(
            f"the board at {console.port} crashes at each start: {shown(why)}; put the firmware on "
            "again with 'tapgate provision', and see docs/trouble-shooting.md"
        )
    if not console.heard:  # a raw REPL answers nothing, until it is left
        console.cable.type(_CTRL_B + b"\r\n")
        if any(line.endswith(">>>") for line in console.lines(_PROMPT_S)):
            return NotRunning(_at_prompt(console))
    if console.heard:
        said = console.last[-1] if console.last else "no readable line"
        return NoAnswer(
            f"something at {console.port} talks and does not answer: {shown(said)!r}; is it this "
            "charger's port, and its firmware one that has a self-test?"
        )
    return NoAnswer(
        f"nothing answers at {console.port}: another port? a charger without supply? a cable "
        "without data?"
    )


def _at_prompt(console: _Console) -> str:
    """Why MicroPython waits for commands there, as far as its files tell."""
    console.cable.type(_FILES)
    files = ""
    for line in console.lines(_PROMPT_S):
        if line.startswith("files: ["):
            files = line
            break
    where = f"the board at {console.port} waits at MicroPython's prompt"
    again = f"'tapgate provision --port {console.port} --charger NAME'"
    if files and "'main.py'" not in files:
        return f"{where}: Tapgate is not on it; run {again}"
    if files and ("'config.json'" not in files or "'firmware.json'" not in files):
        return f"{where}: Tapgate is incomplete on it; run {again}"
    return (
        f"{where}: Ctrl-C has stopped the firmware, or it could not start; 'mpremote connect "
        f"{console.port} reset' starts it again, and {again} says why if it does not run then"
    )


def _instruct(name: str, say: Say) -> None:
    if name == "reader":
        say("hold any card to the reader now (10 s)")
    elif name == "card":
        say("look at the light: red, green, blue, yellow, white, magenta; the contactor follows")


def _answer(line: str) -> dict[str, Any] | None:
    if not line.startswith('{"selftest"'):
        return None
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) and isinstance(found.get("selftest"), str) else None


def _row(answer: dict[str, Any]) -> Row:
    ok = answer.get("ok")
    ok = ok if isinstance(ok, bool) else None
    return remedies.row(shown(answer["selftest"], 32), ok, shown(answer.get("found", "")))


def _declined(answer: dict[str, Any]) -> str:
    why = str(answer.get("why"))
    return f"the charger does not test itself now: {busy.with_selftest(why) or shown(why)}"
