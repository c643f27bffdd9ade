"""`make run`: a broker, the portal and one virtual charger with the real firmware, in one terminal.

With a terminal it takes commands; without one it plays a full round and exits 0.
"""

import asyncio
import contextlib
import io
import json
import multiprocessing
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import aiomqtt
from prompt_toolkit import PromptSession
from prompt_toolkit.completion import WordCompleter
from prompt_toolkit.patch_stdout import patch_stdout
from rich.table import Table
from rich.text import Text

from firmware.access.light import COLOURS
from tools.broker import Broker, BrokerError
from tools.portal.output import console, count, in_short
from tools.virtual.client import VirtualCharger, VirtualError

INSTALLATION, CHARGER = "garage", "left"
OWNER, ANNA = "owner@example.org", "anna@example.org"
CARDS = {"anna": "04a1b2c3d4e5f6", "owner": "5ad4e5f6", "unknown": "c0ffee42"}
STEP_TIMEOUT_S = 15
TAP_MS = 300
LINGER_S = 2.2  # an overlay lasts 2 s

HELP = (
    ("plug, unplug", "the vehicle's connector"),
    ("tap anna", "an approved user's card, held to the reader for a moment"),
    ("tap owner", "the owner's card: may end anybody's session"),
    ("tap unknown", "a card that nobody has registered"),
    ("tap 04a1b2c3", "any card by its number (4, 7 or 10 bytes in hex)"),
    ("open, restricted", "whether a card is needed at all"),
    ("revoke, grant", "take Anna's permission away; give it back"),
    ("link off, link on", "the charger's Wi-Fi"),
    ("status", "what the portal knows of the charger"),
    ("help, quit", ""),
)
WORDS = ("plug", "unplug", "tap anna", "tap owner", "tap unknown", "open", "restricted", "revoke",
         "grant", "link off", "link on", "status", "help", "quit")  # fmt: skip

WHY = {
    "Unknown": "not on the charger's list",
    "Blocked": "this card is blocked",
    "Expired": "its permission has run out",
    "ConcurrentTx": "somebody else's session is running",
    "NotAtThisTime": "not at this time",
    "RandomNumber": "a phone, or a card that invents a number each time",
    "ListTooOld": "the charger has not heard from the portal for too long",
    "ClockUnknown": "the charger does not know the time",
    "Invalid": "a service card may end sessions, but start none",
}


Part = str | tuple[str, str]  # text, or text with its style


class Refused(Exception):
    """What was asked cannot be done; the text says why."""


def tapgate(arguments: list[str]) -> tuple[int, str, str]:
    """One `tapgate` command in this process: exit status, standard output, standard error."""
    from tools.cli import main

    out, error = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(error):
        status = main(arguments)
    return status, out.getvalue(), error.getvalue()


def _leave_ctrl_c_to_the_parent() -> None:
    """It reaches every process of the terminal, and would end a command half-way."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


class Portal:
    """The operator's side, through its own commands, in a process that is started once."""

    def __init__(self, home: Path):
        self._home = home
        self._worker = multiprocessing.Pool(1, _leave_ctrl_c_to_the_parent)
        self.people: dict[str, str] = {}  # token -> person

    async def __call__(self, *arguments: str) -> Any:
        """The command's answer; Refused with its one line if it has none."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[tuple[int, str, str]] = loop.create_future()

        def give(settle: Callable[[Any], None], found: object) -> None:
            loop.call_soon_threadsafe(lambda: answer.done() or settle(found))

        self._worker.apply_async(
            tapgate,
            (["--home", str(self._home), *arguments, "--json"],),
            callback=lambda found: give(answer.set_result, found),
            error_callback=lambda error: give(answer.set_exception, error),
        )
        status, out, error = await answer
        if status:
            raise Refused(error.strip())
        return json.loads(out)

    def close(self) -> None:
        """At once, also in the middle of a command."""
        self._worker.terminate()
        self._worker.join()

    async def install(self, broker_url: str) -> Path:
        """An owner, a user and a charger. Returns the charger's config.json."""
        config = self._home / "config.json"
        await self("init", "--installation", INSTALLATION, "--broker", broker_url, "--owner", OWNER)
        await self("charger", "add", CHARGER)
        await self("charger", "config", CHARGER, "--out", str(config))
        await self("person", "add", ANNA, "--name", "Anna")
        await self("grant", ANNA, "--role", "user")
        for person, name in ((ANNA, "anna"), (OWNER, "owner")):
            await self("card", "add", person, "--number", CARDS[name], "--as", "hex")
        for card in await self("card", "list"):
            self.people[card["token"]] = card["person"]
        await self("publish")
        return config

    async def change(self, *arguments: str) -> None:
        """A change of permissions or settings, and out to the chargers."""
        await self(*arguments)
        await self("publish")


class Screen:
    """A line per change; remembers what it last showed."""

    def __init__(self):
        self._console = console()
        self._began = time.monotonic()
        self._hue = ""

    def line(self, about: str, *parts: Part) -> None:
        """When, about what, and what of it."""
        stamp = f"{time.monotonic() - self._began:6.1f} s "
        self._columns([(Text(stamp, "dim"), Text(f"{about:10}"), Text.assemble(*parts))])

    def title(self, text: str) -> None:
        self._console.print(Text(f"-- {text}", "bold"))

    def wrong(self, why: str) -> None:
        self._console.print(Text(why, "red"))

    def rows(self, rows: Iterable[tuple[str, str | Text]]) -> None:
        """Names and what they stand for."""
        self._columns((Text(f"  {name}", "bold"), text) for name, text in rows)

    def lamp(self, rgb: list[int]) -> None:
        """The lamp's own colour; the dark of a blink is no change."""
        hue = hue_of(rgb)
        if hue and hue != self._hue:
            self._hue = hue
            self.line("light", ("\u2588\u2588\u2588", _style(hue)), f" {hue}")

    def _columns(self, rows: Iterable[Iterable[str | Text]]) -> None:
        """The last column wraps within itself, however narrow the terminal."""
        grid = Table.grid(padding=(0, 1))
        for row in rows:
            grid.add_row(*row)
        for column in grid.columns[:-1]:
            column.no_wrap = True
        self._console.print(grid)


def _style(hue: str) -> str:
    return "rgb({},{},{})".format(*COLOURS[hue])


def hue_of(rgb: list[int]) -> str | None:
    """The name of the lamp's colour, whatever its brightness; None for dark."""
    most = max(rgb)
    if not most:
        return None
    full = [255 * part / most for part in rgb]

    def distance(name: str) -> float:
        return sum((a - b) ** 2 for a, b in zip(full, COLOURS[name], strict=True))

    return min(COLOURS, key=distance)


class Stage:
    """What can be done at the charger, and what has been seen of it."""

    def __init__(self, charger: VirtualCharger, portal: Portal, screen: Screen):
        self._charger = charger
        self._portal = portal
        self._screen = screen
        self.light: str | None = None
        self.coil = False
        self.state: dict = {}
        self.events: list[dict] = []
        self._changed = asyncio.Event()

    async def do(self, **command) -> dict:
        return await asyncio.to_thread(lambda: self._charger.do(**command))

    async def watch_hardware(self) -> None:
        """The lamp and the coil, as the pins drive them."""
        reader, _ = await asyncio.open_connection("127.0.0.1", self._charger.port)
        while line := await reader.readline():
            push = json.loads(line)
            if "light" in push:
                self.light = hue_of(push["light"]) or self.light
                self._screen.lamp(push["light"])
            elif push.get("pin") == "contactor":
                self.coil = push["on"]
                said = ("closed: current flows", "bold blue") if self.coil else ("open", "bold")
                self._screen.line("contactor", said)
            elif "reset" in push:
                self._screen.line("board", (f"restarted ({push['reset']})", "red"))
            self._changed.set()
        raise Refused("the virtual charger has ended")

    async def watch_broker(self, broker: Broker) -> None:
        """What the firmware says of itself over MQTT."""
        base = f"tapgate/{INSTALLATION}/{CHARGER}/"
        try:
            async with aiomqtt.Client(broker.host, broker.port, identifier="demo") as client:
                await client.subscribe([(base + "state", 1), (base + "event", 1)])
                async for message in client.messages:
                    payload = bytes(message.payload).decode()
                    if str(message.topic).endswith("state"):
                        self._said_state(json.loads(payload))
                    else:
                        self._said_event(json.loads(payload.partition(" ")[2]))
                    self._changed.set()
        except aiomqtt.MqttError as error:
            raise Refused(f"the broker has gone: {error}") from None

    async def until(self, condition: Callable[[], object], what: str) -> None:
        try:
            async with asyncio.timeout(STEP_TIMEOUT_S):
                while not condition():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise Refused(f"waited {STEP_TIMEOUT_S} s in vain for: {what}") from None

    async def tap(self, who: str) -> None:
        await self.do(do="tap", uid=CARDS.get(who, who), ms=TAP_MS)

    async def mode(self, mode: str) -> None:
        await self._portal.change("access", mode)

    def is_in(self, state: str) -> bool:
        return self.state.get("state") == state

    def refused(self) -> bool:
        return any(event["event"] == "card_refused" for event in self.events)

    def _said_state(self, state: dict) -> None:
        before, self.state = self.state, state
        if not state.get("online"):
            self._screen.line("charger", ("offline", "red"))
        elif before.get("state") != state["state"] or not before.get("online"):
            self._screen.line("state", (state["state"], "bold"), f" ({_light(state['light'])})")

    def _said_event(self, event: dict) -> None:
        self.events.append(event)
        name = event["event"]
        who = self._portal.people.get(event.get("token") or "", "somebody")
        if name == "card_refused":
            verdict = event["verdict"]
            why = ": refused" + (f", {WHY[verdict]}" if verdict in WHY else "")
            self._screen.line("verdict", (verdict, "bold red"), why)
        elif name == "session_started":
            if event["token"] is None:
                self._screen.line("session", "started: open to all, no card needed")
            else:
                self._screen.line("verdict", ("Accepted", "bold green"), f": {who} may charge")
        elif name == "session_ended":
            self._screen.line("session", f"ended: {event['reason']}, {event['wh']} Wh")
        elif name == "list_applied":
            self._screen.line("list", f"version {event['v']}, {count(event['cards'], 'card')}")
        elif name == "settings_applied":
            self._screen.line("settings", f"version {event['v']}")
        elif name in ("message_rejected", "fault"):
            said = [
                str(event[key]) for key in ("fault", "topic", "why", "detail") if event.get(key)
            ]
            self._screen.line("trouble", (f"{name.replace('_', ' ')}: {', '.join(said)}", "red"))


def _light(light: dict[str, str]) -> str:
    return f"{light['colour']}, {light['pattern']}"


async def play(stage: Stage, screen: Screen) -> None:
    """One full round: open, awaiting, refused, accepted, charging, finished."""
    screen.title("open to all: plugging in is enough")
    await stage.mode("open")
    await stage.until(lambda: stage.state.get("access") == "open", "open access")
    await stage.do(do="plug")
    await stage.until(lambda: stage.coil and stage.is_in("charging"), "charging without a card")
    await stage.do(do="unplug")
    await stage.until(lambda: not stage.coil and stage.is_in("available"), "available again")

    screen.title("restricted: a vehicle waits for a card")
    await stage.mode("restricted")
    await stage.until(lambda: stage.state.get("access") == "restricted", "restricted access")
    await stage.do(do="plug")
    await stage.until(lambda: stage.light == "yellow" and stage.is_in("awaiting"), "yellow")

    screen.title("an unknown card")
    await stage.tap("unknown")
    await stage.until(stage.refused, "a refusal")
    if stage.coil:
        raise Refused("the contactor closed for an unknown card")
    await asyncio.sleep(LINGER_S)

    screen.title("Anna's card")
    await stage.tap("anna")
    await stage.until(lambda: stage.coil and stage.is_in("charging"), "charging")
    await stage.until(lambda: stage.light == "blue", "blue")

    screen.title("Anna's card again ends her session")
    await stage.tap("anna")
    await stage.until(lambda: not stage.coil and stage.is_in("finished"), "finished")
    await asyncio.sleep(LINGER_S)
    await stage.do(do="unplug")
    await stage.until(lambda: stage.is_in("available"), "available")
    screen.title("the round is complete")


async def converse(stage: Stage, portal: Portal, screen: Screen) -> None:
    """Commands typed in, until `quit` or the end of the input."""
    screen.rows(HELP)
    prompt: PromptSession = PromptSession(
        "tapgate> ", completer=WordCompleter(WORDS, sentence=True)
    )
    while True:
        try:
            typed = (await prompt.prompt_async()).split()
        except (EOFError, KeyboardInterrupt):
            return
        if typed in (["quit"], ["exit"], ["q"]):
            return
        try:
            await obey(typed, stage, portal, screen)
        except (Refused, VirtualError) as error:
            screen.wrong(str(error))


async def obey(typed: list[str], stage: Stage, portal: Portal, screen: Screen) -> None:
    match typed:
        case []:
            return
        case ["help"]:
            screen.rows(HELP)
        case ["plug" | "unplug" as what]:
            await stage.do(do=what)
        case ["tap", who]:
            await stage.tap(who.lower())
        case ["tap"]:
            raise Refused("tap what? anna, owner, unknown, or a number in hex")
        case ["open" | "restricted" as mode]:
            await stage.mode(mode)
        case ["revoke"]:
            await portal.change("revoke", ANNA)
        case ["grant"]:
            await portal.change("grant", ANNA, "--role", "user")
        case ["link", "on" | "off" as up]:
            await stage.do(do="link", up=up == "on")
        case ["status"]:
            for row in await portal("status"):
                screen.rows(in_words(row))
        case _:
            raise Refused(f"no command {' '.join(typed)!r}; help lists them")


def in_words(row: dict[str, Any]) -> Iterable[tuple[str, str | Text]]:
    """What `tapgate status` says of one charger."""
    online, held, due = row["online"], row["allowlist"], row["expected"]
    link = {True: ("online", "green"), False: ("offline", "red"), None: ("not known", "yellow")}
    yield "charger", Text.assemble(row["charger"], ", ", link[online])
    if row["seen"] is None:
        yield "", "not heard of yet"
        return
    light = row["light"]
    yield "state", row["state"]
    yield "light", Text.assemble(("\u25cf ", _style(light["colour"])), _light(light))
    wanted = "" if row["access"] == due["access"] else f", to be {due['access']}"
    yield "access", row["access"] + wanted
    if row["in_step"]:
        step = ("in step", "green")
    elif row["published"]:
        step = (f"waiting for {count(due['cards'], 'card')}", "yellow")
    else:
        step = ("not published", "yellow")
    yield (
        "list",
        Text.assemble(f"{count(held['cards'], 'card')}, version {held['version']}, ", step),
    )
    yield "vehicle", "connected" if row["vehicle"] else "none"
    yield "reader", str(row["reader"])
    yield "faults", ", ".join(map(str, row["faults"])) or "none"
    yield "heard", in_short(row["seen"])


async def run(broker: Broker, home: Path) -> None:
    screen, portal = Screen(), Portal(home)
    try:
        screen.line("broker", f"{broker.kind} on {broker.host}:{broker.port}")
        config = await portal.install(broker.url)
        screen.line("portal", f"installation {INSTALLATION}: an owner, Anna, and one charger")
        charger = await asyncio.to_thread(VirtualCharger.start, config, home / "flash")
        screen.line("charger", "the firmware runs")
        try:
            await attend(Stage(charger, portal, screen), broker, portal, screen)
        finally:
            await asyncio.to_thread(charger.stop)
    finally:
        portal.close()


async def attend(stage: Stage, broker: Broker, portal: Portal, screen: Screen) -> None:
    """Watch everything, and do what is typed in, or else the full round."""
    me = asyncio.current_task()
    try:
        async with asyncio.TaskGroup() as tasks:
            watching = [
                tasks.create_task(stage.watch_hardware()),
                tasks.create_task(stage.watch_broker(broker)),
            ]
            await stage.until(lambda: stage.state.get("allowlist", {}).get("cards") == 2, "list")
            if sys.stdin.isatty() and sys.stdout.isatty():
                with patch_stdout(raw=True):
                    await converse(stage, portal, screen)
            else:
                await play(stage, screen)
            for task in watching:
                task.cancel()
    except ExceptionGroup:
        # Ctrl-C ends the virtual charger too: that it has gone is then no news.
        if me and me.cancelling():
            raise asyncio.CancelledError from None
        raise


def main() -> int:
    # However it is ended, the broker and the charger end too. A shell's background jobs ignore
    # Ctrl-C unless they say otherwise.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        with tempfile.TemporaryDirectory(prefix="tapgate-") as home, Broker() as broker:
            asyncio.run(run(broker, Path(home)))
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        sys.stderr.write(f"make run: {_one_line(error)}\n")
        return 1
    return 0


def _one_line(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    text = " ".join(str(error).split())
    if isinstance(error, Refused | BrokerError | VirtualError):
        return text
    return f"unexpected {type(error).__name__}" + (f": {text}" if text else "")


if __name__ == "__main__":
    sys.exit(main())
