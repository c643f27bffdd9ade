"""From a board, with MicroPython or without, to a charger that reports itself and is tested.

Nothing that is done is done again. What is done is done in an order in which the board can be
pulled out at any instant: it starts what it had before, or says that it is incomplete. boot.py,
which holds the contactor open, is the first of all files; /firmware.json is the one step in which
the new firmware takes over; config.json is the last.
"""

import hashlib
import json
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tools.installer import arrival, board, copying, selftest, slots, whose, wiping
from tools.installer.link import (
    BoardError,
    CrashLoop,
    Dropped,
    Link,
    NotMicroPython,
    Restarted,
    Silent,
)
from tools.portal.output import count
from tools.portal.refusal import Refusal

Tell = Callable[[str, int, int], None]

_ABOUT_S = 6.0
_AGAIN_S = 1.5  # a board that has no memory for its answer just then says nothing
_DIGITS = 16  # of each hash in the answer (firmware/about.py)
_LOOK_S = 0.05
_FIRST_START_S = 5.0
_ROOM_BYTES = 16 * 1024  # beside the files themselves: littlefs' own, and what is replaced
_NO_ROOM, _READ_ONLY, _FAILS = 28, 30, 5  # errno
# Where somebody has been let in and is charging, or may begin to at any moment.
_SESSION = ("preauthorised", "checking", "authorised", "charging")
_SUFFIXES = (".py", ".mpy")
_FOLDER = "firmware"  # in the flash; it would run if firmware.json were lost


@dataclass
class Order:
    """What is to be on the board. `config`: as board_config has it, in that order. `firmware`: a
    MicroPython to write where the board has none that does. `sure`: asks a person. `bar`: makes
    progress visible."""

    home: Path
    charger: str
    port: str
    config: dict[str, Any]
    owner: whose.Owner
    keys: tuple[str | None, ...]  # the charger's present one, and the one before
    wanted: slots.Wanted
    starters: dict[str, bytes]
    firmware: Path | None
    timeout_s: int
    say: Callable[[str], None]
    sure: Callable[[str], bool]
    bar: Callable[[], AbstractContextManager[Tell]]
    given: Callable[[], None] = lambda: None  # told when the board has its keys
    flashed: bool = False


@dataclass
class Result:
    """`parts`: {"part", "ok": True, False, or None where it was not tried, "found", "right",
    "advice"}, the last two only where there is something to say."""

    charger: str
    port: str
    done: list[str] = field(default_factory=list)
    board: dict[str, Any] = field(default_factory=dict)
    firmware: dict[str, Any] = field(default_factory=dict)
    parts: list[dict[str, Any]] = field(default_factory=list)
    console: list[str] = field(default_factory=list)
    runs: bool = True  # the firmware does, as far as is known
    sent: int = 0
    received: int = 0
    seconds: float = 0.0

    @property
    def passed(self) -> bool:
        return all(each["ok"] is not False for each in self.parts)

    def part(self, name: str, ok: bool | None, found: str, advice: str = "") -> None:
        self.parts.append({"part": name, "ok": ok, "found": found, "right": "", "advice": advice})


def provision(order: Order) -> Result:
    """Refusal where the board is none that could become this charger, or it is not wanted; nothing
    was changed by then, unless it says so."""
    began = time.monotonic()
    result = Result(order.charger, order.port)
    try:
        _provision(order, result)
    except (board.NeedsMicroPython, Silent, NotMicroPython, CrashLoop) as why:
        if order.firmware is None or order.flashed:
            raise
        _flash(order, result, why)
        _provision(order, result)
    _test(order, result)
    result.seconds = round(time.monotonic() - began, 1)
    return result


def _flash(order: Order, result: Result, why: Refusal) -> None:
    from tools.installer import flashing

    assert order.firmware
    order.say(str(why).partition(";")[0])
    order.flashed = True
    written = flashing.write(
        order.port,
        order.firmware,
        order.say,
        sure=lambda: order.sure("Go on?"),
        progress=order.bar,
    )
    result.done.append(f"MicroPython {written['micropython']} written")


def _provision(order: Order, result: Result) -> None:
    link = Link(order.port, order.say)
    try:
        if order.flashed:
            order.say("waiting for MicroPython's first start, which makes its file system")
            time.sleep(_FIRST_START_S)
        about = _about(link)
        _mind_the_session(order, about)
        console = arrival.Console(order.config["wifi"]["ssid"], _broker_shown(order))
        restart = None
        if about and _is_all_there(order, about):
            order.given()
            on_trial = _describe(order, result, about)
        else:
            link.stop()
            on_trial, restart = _bring_up(order, result, link), link.restart
        _publish(order, result)  # before it starts: it is to find its list at once
        _await(order, result, link, console, arrival.Wish(order.wanted.version, on_trial, restart))
        result.sent, result.received = link.traffic
    finally:
        link.close()


# What can be known without stopping anything.


def _about(link: Link) -> dict[str, Any] | None:
    """What the firmware that runs there says of itself; None if none does that knows how."""
    link.type("")  # ends what may be left of somebody else's line
    began, typed = time.monotonic(), 0
    while (waited := time.monotonic() - began) < _ABOUT_S:
        if waited >= typed * _AGAIN_S:
            link.type("about")
            typed += 1
        for line in link.heard():
            if "NameError: name 'about'" in line:
                return None  # MicroPython's prompt
            if line.startswith('{"about"'):
                try:
                    found = json.loads(line)["about"]
                except (ValueError, KeyError):
                    continue
                return found if isinstance(found, dict) else None
        time.sleep(_LOOK_S)
    return None


def _is_all_there(order: Order, about: dict[str, Any]) -> bool:
    """Whether there is nothing to do on the board, down to the last byte of config.json."""
    files, state = about.get("files"), about.get("firmware")
    if not isinstance(files, dict) or not isinstance(state, dict):
        return False
    issued = about.get("issued")
    config = {**order.config, "issued": issued if type(issued) is int else None}
    expected = {**order.starters, "config.json": _text(config)}
    return (
        str(about.get("runs_from")).startswith("/rom/")
        and not _in_the_way(order).intersection(files)
        and state.get("sha256") == order.wanted.sha256[:_DIGITS]
        and all(files.get(name) == _sha256(data)[:_DIGITS] for name, data in expected.items())
    )


def _in_the_way(order: Order) -> set[str]:
    """Files that MicroPython would take in place of one that is put there: sources go first."""
    names = {Path(name).with_suffix(suffix).name for name in order.starters for suffix in _SUFFIXES}
    return names - order.starters.keys()


def _mind_the_session(order: Order, about: dict[str, Any] | None) -> None:
    """Refusal if somebody charges there and nobody says that it may be interrupted."""
    if about is not None:
        if _is_all_there(order, about):
            return
        state, name = about.get("state"), about.get("charger")
    else:
        state, name = _last_state(order), order.charger
    if state in _SESSION and not order.sure(
        f"'{name}' is {state}: its contactor opens for the work on it, and the session goes on "
        "after that. Interrupt it?"
    ):
        raise Refusal(f"'{name}' is {state}; wait for the end of that session, or say --yes")


def _last_state(order: Order) -> str | None:
    """What the charger of that name says at the broker; None where it is not there, or the broker
    cannot be asked."""
    from tools.portal import status

    rows, away = status.status(order.home, order.charger)
    return None if away or not rows[0]["online"] else rows[0]["state"]


def _describe(order: Order, result: Result, about: dict[str, Any]) -> bool:
    state = about["firmware"]
    machine = str(about.get("machine"))
    version = ".".join(map(str, about.get("micropython") or ()))
    result.board = {"chip": machine.rpartition(" with ")[2], "micropython": version}
    result.done.append("nothing: the board has it all already, and was not stopped")
    result.part("board", True, f"{machine}, MicroPython {version}")
    result.part("firmware", True, f"{state.get('version')}, in slot {state.get('run')} already")
    result.firmware = {"version": order.wanted.version, "slot": state.get("run"), "written": 0}
    result.part("config", True, "is as it should be")
    return state.get("trial") is True


# The work on the board.


def _bring_up(order: Order, result: Result, link: Link) -> bool:
    """Everything onto the board. Returns whether what it will run is on trial."""
    with order.bar() as tell:
        tell("looking at the board", 0, 1)
        found = board.look(link)
        board.check(found, len(order.wanted.image))
    result.board = found.shown()
    result.part(
        "board",
        True,
        f"{found.chip}, {found.flash_bytes >> 20} MB flash, MicroPython {found.shown_version}",
    )
    config = _owned(order, result, link)
    if config is None and found.disk is not None:
        found = board.look(link)  # it may have been wiped
    try:
        return _write(order, result, link, found, config)
    except BoardError as error:
        raise _not_written(order, link, error) from None
    except (Dropped, Restarted) as why:
        raise type(why)(
            f"{why}. Until then it starts with what it had, or says that it is incomplete, its "
            "contactor open"
        ) from None


def _owned(order: Order, result: Result, link: Link) -> dict[str, Any] | None:
    """The configuration that the board has of this charger, if any. What belongs to another one is
    erased, if that is wanted: events in its journal would go out under the wrong name."""
    config = whose.config(link)
    if config is None:
        return None
    try:
        whose.require(config, order.owner)
        if config.get("charger_key") in order.keys:
            return config
        raise Refusal("an earlier charger of that name")
    except Refusal:
        other = f"'{config.get('charger')}' of '{config.get('installation')}'"
        if other == f"'{order.owner.charger}' of '{order.owner.installation}'":
            other += " with other keys"
        try:
            lost = wiping.undelivered(link)
            events = f", {count(lost[0], 'event')} not delivered yet" if lost and lost[0] else ""
        except wiping.NotTold as error:
            events = f", which may have events not delivered yet (it says: {error})"
        question = (
            f"the board at {order.port} is {other}. Erase it{events}, and make it "
            f"'{order.charger}'?"
        )
        try:
            wanted = order.sure(question)
        except Refusal as nobody:
            raise Refusal(f"{nobody}; it was restarted, and goes on as it was") from None
        if not wanted:
            raise Refusal(
                f"the board at {order.port} is {other}{events}; it was restarted and goes on as "
                f"that. Put that of '{order.charger}' on the cable, or say --yes to erase this one"
            ) from None
    with order.bar() as tell:
        wiping.wipe(link, order.starters["boot.py"], tell)
    result.done.append(f"erased: it was {other}")
    return None


def _write(
    order: Order, result: Result, link: Link, found: board.Board, config: dict[str, Any] | None
) -> bool:
    copying.prepare(link)
    entries = slots.named(found.firmware)
    plan = slots.plan(order.wanted, found.firmware, copying.whole(link, found, entries))
    files = {
        name: data
        for name, data in order.starters.items()  # boot.py comes first
        if found.files[name] != _sha256(data)
    }
    folder = found.disk is not None and _FOLDER in found.disk[2]
    text = _text(order.config)
    same = config is not None and found.files["config.json"] == _sha256(
        _text({**order.config, "issued": config.get("issued")})
    )
    stale = sorted(_in_the_way(order).intersection(found.disk[2] if found.disk else ()))
    if plan.slot:
        _tell_of_failure(order, slots.given_up(found.firmware))
    if files or plan.slot or not same:
        board.room(found, sum(map(len, files.values())) + len(text) + _ROOM_BYTES)
    with order.bar() as tell:
        if found.runs and (files or plan.slot):  # for its memory
            tell("restarting the board", 0, 1)
            link.restart_and_stop()
            copying.prepare(link)
        for name, data in files.items():
            tell(f"writing {name}", 0, 1)
            link.write(f"/{name}", data)
            result.done.append(f"{name} written")
        for name in stale:
            link.remove(f"/{name}")
            result.done.append(f"{name} removed: it went before the one of now")
        copied = None
        if plan.first:
            link.write("/firmware.json", slots.text(plan.first))
        if plan.slot:
            copied = copying.copy(
                link,
                found,
                plan.slot,
                order.wanted.image,
                plan.after["before"],
                lambda done, total: tell("writing the firmware, blocks", done, total),
            )
            how = f"{copied.written} of {count(copied.blocks, 'block')} written"
            result.done.append(f"firmware {order.wanted.version} into slot {plan.slot}, {how}")
        if folder:
            tell(f"removing {_FOLDER}/", 0, 1)
            link.remove(f"/{_FOLDER}")
            result.done.append(f"{_FOLDER}/ in the flash removed: the one in the ROM is what runs")
        if plan.slot:
            link.write("/firmware.json", slots.text(plan.after))
        if not same:
            link.write("/config.json", text)
            result.done.append("config.json written")
    order.given()
    _tell_of_firmware(order, result, plan, copied)
    result.part("config", True, "written" if not same else "is as it should be")
    if not result.done:
        result.done.append("nothing on the board: it has it all already")
    return bool(plan.after.get("before")) and plan.after.get("proven") is not True


def _tell_of_failure(order: Order, failed: slots.State | None) -> None:
    """Before a firmware is written, of the last one that has given way on this board."""
    if failed is None:
        return
    version, why = (arrival.shown(failed[each], 100) for each in ("version", "why"))
    if failed["sha256"] in (None, order.wanted.sha256) and version == order.wanted.version:
        order.say(
            f"this very firmware, {version}, has given way on this board before ({why}); it is put "
            "there once more, and gives way again if it fails again"
        )
    else:
        order.say(f"firmware {version} has given way on this board before ({why})")


def _tell_of_firmware(
    order: Order, result: Result, plan: slots.Plan, copied: copying.Copied | None
) -> None:
    version, slot = order.wanted.version, plan.after["run"]
    result.firmware = {"version": version, "slot": slot, "written": copied and copied.written}
    where = f"in slot {slot} already" if copied is None else f"slot {slot}, compared there"
    result.part("firmware", True, f"{version}, {where}")
    if plan.after.get("before") and plan.after.get("proven") is not True:
        result.firmware["before"] = plan.after["before"]["version"]


def _not_written(order: Order, link: Link, error: BoardError) -> Refusal:
    if error.errno == _NO_ROOM:
        return board.full(order.port, None)
    if error.errno in (_READ_ONLY, _FAILS) or "ESP_ERR_FLASH" in error.last:
        return Refusal(
            f"the flash of the board at {order.port} takes nothing ({error.last}): it is "
            "write-protected or worn; take another board"
        )
    return error


# Afterwards.


def _publish(order: Order, result: Result) -> None:
    from tools.portal import publishing

    with order.bar() as tell:
        tell("publishing", 0, 1)
        try:
            plan = publishing.publish(order.home, everything=False)
        except Refusal as why:
            result.part("published", False, str(why), "then 'tapgate publish', and this again")
            return
    if plan.messages or plan.objects:
        result.done.append("its settings and list published")
    result.part("published", True, "its settings and list lie at the broker")


def _await(
    order: Order, result: Result, link: Link, console: arrival.Console, wish: arrival.Wish
) -> None:
    console.on_trial = wish.on_trial
    try:
        if not result.passed:
            raise Refusal("not waited for: the broker cannot be used from here")
        with order.bar() as tell:
            seen = arrival.wait(
                order.home, order.charger, link, console, wish, order.timeout_s, tell
            )
    except Refusal as why:
        result.part("charger", None if not result.passed else False, str(why))
        _tell_how_it_ended(order, result, wish, arrival.Arrival(None), gave_way=False)
        if wish.restart:
            wish.restart()
        return
    result.console, result.runs = console.lines, console.over is None
    other_runs = seen.runs not in (None, order.wanted.version)
    _tell_how_it_ended(order, result, wish, seen, gave_way=console.gave_way or other_runs)
    if seen.state is None:
        result.part("charger", False, seen.why, seen.advice)
        return
    rssi = seen.state.get("rssi")
    wifi = f", Wi-Fi {rssi} dBm" if type(rssi) is int else ""
    result.part("charger", True, f"online, {arrival.shown(seen.state.get('state'))}{wifi}")
    if wish.on_trial:
        result.done.append(f"firmware {order.wanted.version} has proven itself")


def _tell_how_it_ended(
    order: Order, result: Result, wish: arrival.Wish, seen: arrival.Arrival, *, gave_way: bool
) -> None:
    """The firmware's line once its trial is over, or nobody waits for that any more."""
    if not wish.on_trial:
        return
    line = next(each for each in result.parts if each["part"] == "firmware")
    before = result.firmware.get("before") or "the version before"
    if seen.state is not None:
        line["found"] += f"; has proven itself, {before} stays beside it"
    elif gave_way:
        line["ok"] = False
        line["found"] = f"{order.wanted.version} has given way, {before} runs"
    else:
        line["ok"] = None
        line["found"] += f"; on trial still, beside {before}"


def _test(order: Order, result: Result) -> None:
    if not result.runs:
        result.part("self-test", None, "not run: the firmware does not run")
        return
    try:
        rows, ended = selftest.run(order.port, order.say), ""
    except selftest.EndedEarly as early:
        rows, ended = early.rows, str(early)
    except Refusal as why:
        again = f"then: tapgate selftest --port {order.port}"
        result.part("self-test", None, f"not run: {why}", again)
        return
    result.parts += rows
    if ended:
        result.part("self-test", False, ended, f"tapgate selftest --port {order.port}")


def _broker_shown(order: Order) -> str:
    return f"{order.config['broker']['host']}:{order.config['broker']['port']}"


def _text(config: dict[str, Any]) -> bytes:
    from tools.portal import board_config

    return board_config.text(config).encode()


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
