"""Waiting until a charger reports itself at the broker, with an eye on its console meanwhile."""

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from tools.installer.cable import Dropped
from tools.installer.link import Link
from tools.portal import broker, chargers, database, installation, intake, topics
from tools.portal.intake import shown

Tell = Callable[[str, int, int], None]

_LOOK_S = 0.1
_ASK_EVERY_S = 4.0
_MARGIN_S = 3  # between the board's count of seconds and ours
_CRASHES = 3
_LINES = 12
# network.WLAN.status() of MicroPython's ESP32 port
_WIFI = {
    200: "its access point has gone",
    201: "no Wi-Fi of that name is in reach",
    202: "its password is wrong",
    203: "the access point does not let it in",
    204: "the access point does not answer (handshake)",
    1000: "it is not asked to join yet",
    1001: "it is still joining",
}
_JOINED = 1010


class Arrival(NamedTuple):
    """`state`: the charger's state message; None if it never came, and `why`, `advice` then.
    `runs`: the firmware that it has named last, another one maybe."""

    state: dict[str, Any] | None
    why: str = ""
    advice: str = ""
    runs: str | None = None


class Console:
    """What the board says beside, made into what to tell somebody who waits."""

    def __init__(self, wifi: str, broker_shown: str):
        self._wifi, self._broker = wifi, broker_shown
        self._tracebacks: list[str] = []
        self._in_traceback = False
        self.lines: list[str] = []
        self.doing = "it is starting"
        self.advice = "see what it says: mpremote connect PORT"
        self.over: str | None = None  # nothing better comes after that
        self.on_trial = False  # crashes have an end then
        self.gave_way = False
        self.about: dict[str, Any] = {}

    def hear(self, line: str) -> None:
        if line.startswith("{"):
            self._answered(line)
            return
        line = shown(line)
        self.lines = [*self.lines[1 - _LINES :], line]
        if line.startswith(("tapgate cannot start:", "tapgate is incomplete:")):
            self.over = line
            self.advice = "put that right and run this again"
        elif "gives way to the version before" in line:
            self.over, self.gave_way = line, True
            self.advice = "the charger works on with the version before; this one has a fault"
        elif line.startswith("link "):
            self.doing = f"its link to {self._broker} fails ({line[5:]})"
            self.advice = "is the broker's address right as the charger reaches it (--broker)?"
        elif line.startswith("Traceback"):
            self._in_traceback = True
        elif self._in_traceback and not line.startswith(("File ", "  ")):
            self._in_traceback = False
            self._crashed(line)

    def _crashed(self, line: str) -> None:
        self._tracebacks.append(line)
        self.doing = f"it has crashed: {line}"
        last = self._tracebacks[-_CRASHES:]
        if not self.on_trial and len(last) == _CRASHES and len(set(last)) == 1:
            self.over = f"it crashes at each start: {line}"
            self.advice = "this firmware has a fault, or the wiring one that it does not stand"

    def _answered(self, line: str) -> None:
        try:
            about = json.loads(line)["about"]
            status = about["wifi"]
        except (ValueError, KeyError, TypeError):
            return
        self.about = about
        if status != _JOINED:
            what = _WIFI.get(status, f"status {status}")
            self.doing = f"Wi-Fi '{self._wifi}' is not joined: {what}"
            self.advice = (
                "its name with --wifi-ssid, its password as $TAPGATE_WIFI_PASSWORD; only 2.4 GHz "
                "will do; try it closer to the access point"
            )
        elif self.doing.startswith(("Wi-Fi", "it is starting")):
            self.doing = f"it has joined Wi-Fi '{self._wifi}', and is connecting to {self._broker}"
            self.advice = "does the broker let it in, and is its address right (--broker)?"


class Wish(NamedTuple):
    """`version`: of the firmware. `on_trial`: it has to say that it is proven. `restart`: restarts
    the board, so that what lies at the broker from before does not count; None: it runs on."""

    version: str
    on_trial: bool
    restart: Callable[[], None] | None


def wait(
    home: Path, name: str, link: Link | None, console: Console, wish: Wish, limit_s: int, tell: Tell
) -> Arrival:
    """Until the charger has reported itself as wished for, or never will. Refusal if the broker
    cannot be reached from here."""
    with database.reading(home) as session:
        site = installation.current(session)
        name = chargers.find(session, name).name
        access, topic = broker.access(site), topics.state(site.name, name)
    return asyncio.run(_wait(access, topic, link, console, wish, limit_s, tell))


async def _wait(
    access: broker.Access,
    topic: str,
    link: Link | None,
    console: Console,
    wish: Wish,
    limit_s: int,
    tell: Tell,
) -> Arrival:
    wrong, runs = "", None
    async with broker.connected(access) as mqtt:
        await mqtt.look([topic], enough=[])
        before = None
        if wish.restart:
            before = mqtt.seen.get(topic)
            wish.restart()
        began = asked = time.monotonic()
        while (waited := time.monotonic() - began) < limit_s:
            link = _listen(link, console)
            payload = mqtt.seen.get(topic)
            found = intake.state(payload if payload != before else None)
            up = found.get("uptime_s")
            if wish.restart and type(up) is int and up > waited + _MARGIN_S:
                found = {}  # of before, sent while we looked
            if found.get("online") is True:
                runs = shown(found.get("firmware"), 32)
            wrong = _wrong(found, wish, console.doing)
            if not wrong:
                return Arrival(found)
            if console.over:
                return Arrival(None, console.over, console.advice, runs)
            if link and time.monotonic() - asked >= _ASK_EVERY_S:
                asked = time.monotonic()
                link.type("about")
            tell(f"waiting: {wrong}", int(waited), limit_s)
            await asyncio.sleep(_LOOK_S)
    return Arrival(None, f"for {limit_s} s: {wrong}", console.advice, runs)


def _listen(link: Link | None, console: Console) -> Link | None:
    try:
        for line in link.heard() if link else ():
            console.hear(line)
    except Dropped:  # somebody has begun to build it in: the broker tells the rest
        return None
    return link


def _wrong(state: dict[str, Any], wish: Wish, doing: str) -> str:
    """What is missing yet; nothing if it is all there."""
    if state.get("online") is not True:
        return doing
    if state.get("firmware") != wish.version:
        return f"it runs firmware {shown(state.get('firmware'))} instead of {wish.version}"
    if wish.on_trial and state.get("proven") is not True:
        return "its new firmware is on trial"
    return ""
