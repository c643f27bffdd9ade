"""`make run`: a broker, the portal and one virtual charger with the real firmware, in one terminal.

With a terminal it takes commands; without one it plays a full round and exits 0.
"""

import asyncio
import contextlib
import io
import json
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import aiomqtt
from prompt_toolkit import PromptSession
from prompt_toolkit.completion import WordCompleter
from prompt_toolkit.patch_stdout import patch_stdout
from rich.console import Console
from rich.text import Text

from firmware.access.light import COLOURS
from tools.broker import Broker, BrokerError
from tools.virtual.client import VirtualCharger, VirtualError

INSTALLATION, CHARGER = "garage", "left"
OWNER, ANNA = "owner@example.org", "anna@example.org"
CARDS = {"anna": "04a1b2c3d4e5f6", "owner": "5ad4e5f6", "unknown": "c0ffee42"}
STEP_TIMEOUT_S = 15
TAP_MS = 300
LINGER_S = 2.2  # an overlay lasts 2 s

HELP = """\
  plug, unplug       the vehicle's connector
  tap anna           an approved user's card, held to the reader for a moment
  tap owner          the owner's card: may end anybody's session
  tap unknown        a card that nobody has registered
  tap 04a1b2c3       any card by its number (4, 7 or 10 bytes in hex)
  open, restricted   whether a card is needed at all
  revoke, grant      take Anna's permission away; give it back
  link off, link on  the charger's Wi-Fi
  status             what the portal knows of the charger
  help, quit"""
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


class Refused(Exception):
    """A command that cannot be carried out; the text says why."""


def tapgate(arguments: list[str]) -> tuple[int, str, str]:
    """One `tapgate` command in this process: exit status, standard output, standard error."""
    from tools.cli import main

    out, error = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(error):
        status = main(arguments)
    return status, out.getvalue(), error.getvalue()


class Portal:
    """The operator's side, through its own commands, in a process that is started once."""

    def __init__(self, home: Path):
        self._home = home
        self._process = ProcessPoolExecutor(1)
        self.people: dict[str, str] = {}  # token -> name

    async def __call__(self, *arguments: str):
        status, out, error = await asyncio.get_running_loop().run_in_executor(
            self._process, tapgate, ["--home", str(self._home), *arguments, "--json"]
        )
        if status:
            raise Refused(error.strip())
        return json.loads(out)

    def close(self) -> None:
        self._process.shutdown()

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
        self._console = Console(highlight=False, soft_wrap=True)
        self._began = time.monotonic()
        self._hue = ""

    def line(self, *parts: str | tuple[str, str]) -> None:
        stamp = (f"{time.monotonic() - self._began:6.1f} s  ", "dim")
        self._console.print(Text.assemble(stamp, *parts))

    def title(self, text: str) -> None:
        self.line((f"-- {text}", "bold"))

    def lamp(self, rgb: list[int]) -> None:
        """The lamp's own colour; the dark of a blink is no change."""
        hue = hue_of(rgb)
        if hue and hue != self._hue:
            self._hue = hue
            block = "rgb({},{},{})".format(*COLOURS[hue])
            self.line("light      ", ("\u2588\u2588\u2588", block), f" {hue}")

    def text(self, text: str) -> None:
        self._console.print(text)


def hue_of(rgb: list[int]) -> str | None:
    """The name of the lamp's colour, whatever its brightness; None for dark."""
    most = max(rgb)
    if not most:
        return None
    full = [255 * part / most for part in rgb]

    def distance(name: str) -> float:
        return sum((a - b) ** 2 for a, b in zip(full, COLOURS[name], strict=True))

    return min(COLOURS, key=distance)


class Round:
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
                self._screen.line("contactor  ", said)
            elif "reset" in push:
                self._screen.line("board      ", (f"restarted ({push['reset']})", "red"))
            self._changed.set()

    async def watch_broker(self, broker: Broker) -> None:
        """What the firmware says of itself over MQTT."""
        base = f"tapgate/{INSTALLATION}/{CHARGER}/"
        async with aiomqtt.Client(broker.host, broker.port, identifier="demo") as client:
            await client.subscribe(base + "state", qos=1)
            await client.subscribe(base + "event", qos=1)
            async for message in client.messages:
                payload = bytes(message.payload).decode()
                if str(message.topic).endswith("state"):
                    self._said_state(json.loads(payload))
                else:
                    self._said_event(json.loads(payload.partition(" ")[2]))
                self._changed.set()

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
        return bool(self.events) and self.events[-1]["event"] == "card_refused"

    def _said_state(self, state: dict) -> None:
        before, self.state = self.state, state
        if not state.get("online"):
            self._screen.line("charger    ", ("offline", "red"))
        elif before.get("state") != state["state"] or not before.get("online"):
            light = state["light"]
            shown = f" ({light['colour']}, {light['pattern']})"
            self._screen.line("state      ", (state["state"], "bold"), shown)

    def _said_event(self, event: dict) -> None:
        self.events.append(event)
        name = event["event"]
        who = self._portal.people.get(event.get("token") or "", "somebody")
        if name == "card_refused":
            verdict = event["verdict"]
            why = f" {WHY.get(verdict, '')}"
            self._screen.line("verdict    ", (verdict, "bold red"), ":", why)
        elif name == "session_started":
            how = "open to all, no card needed" if event["token"] is None else f"{who} may charge"
            self._screen.line("verdict    ", ("Accepted", "bold green"), f": {how}")
        elif name == "session_ended":
            self._screen.line("session    ", f"ended: {event['reason']}, {event['wh']} Wh")
        elif name == "list_applied":
            self._screen.line("list       ", f"version {event['v']}, {event['cards']} cards")
        elif name == "settings_applied":
            self._screen.line("settings   ", f"version {event['v']}")
        elif name in ("message_rejected", "fault"):
            self._screen.line(f"{name:11}", (str(event), "red"))


async def play(round_: Round, screen: Screen) -> None:
    """One full round: open, awaiting, refused, accepted, charging, finished."""
    screen.title("open to all: plugging in is enough")
    await round_.mode("open")
    await round_.until(lambda: round_.state.get("access") == "open", "open access")
    await round_.do(do="plug")
    await round_.until(lambda: round_.coil and round_.is_in("charging"), "charging without a card")
    await round_.do(do="unplug")
    await round_.until(lambda: not round_.coil and round_.is_in("available"), "available again")

    screen.title("restricted: a vehicle waits for a card")
    await round_.mode("restricted")
    await round_.until(lambda: round_.state.get("access") == "restricted", "restricted access")
    await round_.do(do="plug")
    await round_.until(lambda: round_.light == "yellow" and round_.is_in("awaiting"), "yellow")

    screen.title("an unknown card")
    await round_.tap("unknown")
    await round_.until(lambda: round_.refused(), "a refusal")
    if round_.coil:
        raise Refused("the contactor closed for an unknown card")
    await asyncio.sleep(LINGER_S)

    screen.title("Anna's card")
    await round_.tap("anna")
    await round_.until(lambda: round_.coil and round_.is_in("charging"), "charging")
    await round_.until(lambda: round_.light == "blue", "blue")

    screen.title("Anna's card again ends her session")
    await round_.tap("anna")
    await round_.until(lambda: not round_.coil and round_.is_in("finished"), "finished")
    await asyncio.sleep(LINGER_S)
    await round_.do(do="unplug")
    await round_.until(lambda: round_.is_in("available"), "available")
    screen.title("the round is complete")


async def converse(round_: Round, portal: Portal, screen: Screen) -> None:
    """Commands typed in, until `quit` or the end of the input."""
    screen.text(HELP)
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
            await obey(typed, round_, portal, screen)
        except (Refused, VirtualError) as error:
            screen.line((str(error), "red"))


async def obey(typed: list[str], round_: Round, portal: Portal, screen: Screen) -> None:
    match typed:
        case []:
            return
        case ["help"]:
            screen.text(HELP)
        case ["plug" | "unplug" as what]:
            await round_.do(do=what)
        case ["tap", who]:
            await round_.tap(who.lower())
        case ["tap"]:
            raise Refused("tap what? anna, owner, unknown, or a number in hex")
        case ["open" | "restricted" as mode]:
            await round_.mode(mode)
        case ["revoke"]:
            await portal.change("revoke", ANNA)
        case ["grant"]:
            await portal.change("grant", ANNA, "--role", "user")
        case ["link", "on" | "off" as up]:
            await round_.do(do="link", up=up == "on")
        case ["status"]:
            for charger in await portal("status"):
                screen.text("\n".join(f"  {key:10} {value}" for key, value in charger.items()))
        case _:
            raise Refused(f"no command {' '.join(typed)!r}; help lists them")


async def run(broker: Broker, home: Path) -> None:
    screen = Screen()
    portal = Portal(home)
    screen.line("broker     ", f"{broker.kind} on {broker.host}:{broker.port}")
    config = await portal.install(broker.url)
    screen.line("portal     ", f"installation {INSTALLATION}: an owner, Anna, and one charger")
    charger = await asyncio.to_thread(VirtualCharger.start, config, home / "flash", heap=400)
    screen.line("charger    ", "the firmware runs")
    try:
        round_ = Round(charger, portal, screen)
        async with asyncio.TaskGroup() as tasks:
            watching = [
                tasks.create_task(round_.watch_hardware()),
                tasks.create_task(round_.watch_broker(broker)),
            ]
            await round_.until(lambda: round_.state.get("allowlist", {}).get("cards") == 2, "list")
            if sys.stdin.isatty() and sys.stdout.isatty():
                with patch_stdout(raw=True):
                    await converse(round_, portal, screen)
            else:
                await play(round_, screen)
            for task in watching:
                task.cancel()
    finally:
        await asyncio.to_thread(charger.stop)
        portal.close()


def main() -> int:
    try:
        with tempfile.TemporaryDirectory(prefix="tapgate-") as home, Broker() as broker:
            asyncio.run(run(broker, Path(home)))
    except* KeyboardInterrupt:
        return_code = 130
    except* (Refused, BrokerError, VirtualError) as group:
        for error in group.exceptions:
            print(f"make run: {error}", file=sys.stderr)
        return_code = 1
    else:
        return_code = 0
    return return_code


if __name__ == "__main__":
    sys.exit(main())
