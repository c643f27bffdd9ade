"""tapgate charger add, config, list, rekey, held, remove."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from tools.portal.commands.board_options import (
    Assignments,
    BrokerUrl,
    Choices,
    Defaults,
    Light,
    Meter,
    Vehicle,
    WifiPassword,
    WifiSsid,
)
from tools.portal.commands.calling import Call, command, group
from tools.portal.output import count, in_short
from tools.portal.refusal import Refusal, WrongUsage

Name = Annotated[str, typer.Argument(metavar="NAME", show_default=False)]
OnCable = Annotated[
    str | None,
    typer.Option(
        "--port",
        metavar="PORT",
        help="The serial port of its board, like /dev/ttyUSB0.",
        show_default=False,
    ),
]

_BOARD = "the board"
_UNCHANGED = (
    "nothing else is another one: a board that was stolen has card_key and the passwords still "
    '(docs/threats.md, "At the cable")'
)


def register(app: typer.Typer) -> None:
    charger = group("Chargers, and what their boards are told: add, config, list, rekey, remove.")
    command(charger, "add")(add)
    command(charger, "config")(config)
    command(charger, "list")(list_)
    command(charger, "rekey")(rekey)
    command(charger, "held")(held)
    command(charger, "remove")(remove)
    app.add_typer(charger, name="charger")


def add(call: Call, name: Name) -> None:
    """Add a charger, with a key of its own."""
    from tools.portal import chargers, database, installation, settings

    with database.changing(call.home) as session:
        charger = chargers.add(session, name)
        access = settings.access(installation.current(session), charger)
        answer = {"charger": charger.name, "access": access}
    call.out.done(
        answer,
        f"charger '{answer['charger']}' is added, {access}",
        f"next: tapgate provision --port PORT --charger {answer['charger']} --wifi-ssid SSID",
        f"without a board on a cable: tapgate charger config {answer['charger']} --out config.json",
    )


def config(
    call: Call,
    name: Name,
    out: Annotated[Path, typer.Option("--out", metavar="FILE", show_default=False)],
    wifi_ssid: WifiSsid = None,
    wifi_password: WifiPassword = None,
    light: Light = None,
    vehicle: Vehicle = None,
    meter: Meter = None,
    broker: BrokerUrl = None,
    assignments: Assignments = None,
    defaults: Defaults = False,
) -> None:
    """Write the config.json for that board, secrets included, readable by you alone."""
    from tools.portal import board_config, chargers, database, home, installation

    choices = Choices(
        wifi_ssid, wifi_password, light, vehicle, meter, broker, assignments, defaults
    )
    with database.changing(call.home) as session:
        charger = chargers.find(session, name)
        found = choices.remember(installation.current(session), charger)
        home.write_secret(out, board_config.text(found))
        no_wifi = "wifi" not in charger.hardware
    lines = ["it holds this charger's keys: put it onto the board and nowhere else"]
    if no_wifi:
        lines.append(
            f"no Wi-Fi was given, so it says '{found['wifi']['ssid']}' without a password: "
            "see --wifi-ssid"
        )
    call.out.done(
        {"charger": name, "file": str(out), "wifi": found["wifi"]["ssid"]},
        f"{out} is written for charger '{name}'",
        *lines,
    )


def list_(call: Call) -> None:
    """List the chargers."""
    from tools.portal import chargers, database, installation, moments, settings

    with database.reading(call.home) as session:
        site = installation.current(session)
        zone = installation.zone(site)
        rows = [
            {
                "charger": each.name,
                "access": settings.access(site, each),
                "override": each.access,
                "added": moments.shown(each.added_at, zone),
            }
            for each in chargers.every(session)
        ]
    if call.out.as_json:
        call.out.value(rows)
        return
    call.out.table(
        ["charger", "access", "added"],
        (
            (
                row["charger"],
                row["access"] + (" (its own)" if row["override"] else ""),
                in_short(row["added"]),
            )
            for row in rows
        ),
        nothing="no chargers yet; run 'tapgate charger add NAME'",
    )


def rekey(
    call: Call,
    name: Name,
    port: OnCable = None,
    again: Annotated[
        bool,
        typer.Option("--again", help="Another one, though its board has not shown the last."),
    ] = False,
    yes: Annotated[
        bool,
        typer.Option("--yes", help="With --port: also a board with a key that is not known."),
    ] = False,
) -> None:
    """Give a charger a new key; the old one is dead at once.

    With --port the board gets it at once. Without, it needs its new config.json; until then what
    it tells is held back. Interrupted, run it again.
    """
    if port is not None:
        _rekey_board(call, name, port, again, yes)
        return
    if yes:
        raise WrongUsage("--yes goes with --port")
    from tools.portal import chargers, database, rekeying

    with database.changing(call.home) as session:
        charger = chargers.find(session, name)
        rekeying.rekey(session, charger, again=again)
        name = charger.name
    _forget_old_key(call)
    call.out.done(
        {"charger": name, "board": None, "published": False},
        f"charger '{name}' has a new key, and the old one opens nothing any more",
        f"its board follows nothing until it has it: tapgate charger rekey {name} --port PORT, or "
        f"tapgate charger config {name} --out config.json and put that onto the board",
        _UNCHANGED,
        "next: tapgate publish",
    )


def _rekey_board(call: Call, name: str, port: str, again: bool, yes: bool) -> None:
    from tools.installer import whose
    from tools.installer.link import Link
    from tools.portal import board_config, chargers, database, publishing, rekeying

    with database.reading(call.home) as session:
        charger = chargers.find(session, name)
        name, owner, keys = charger.name, _owner(session, charger.name), _keys(charger)
    with Link(port, call.out.say) as link:
        found = whose.config(link)
        if found is None:
            raise Refusal(
                f"the board at {port} has no config.json that can be read; run 'tapgate provision "
                f"--port {port} --charger {name}'"
            )
        whose.require(found, owner)
        if found.get("charger_key") not in keys and not yes:
            raise Refusal(
                f"the board at {port} has a key that '{name}' does not have: was it another one's "
                "of that name before? If it is the right one, say --yes"
            )
        with database.changing(call.home) as session:
            charger = chargers.find(session, name)
            if charger.rekeyed_at is None or again:
                rekeying.rekey(session, charger, again=again)
            key = charger.key
        if found.get("charger_key") != key:
            # All else as it is: what works there is not to change by this.
            link.write("config.json", board_config.text({**found, "charger_key": key}).encode())
        _forget_old_key(call)
        try:  # before it starts: it is to find its list at once
            publishing.publish(call.home, everything=False)
            published = True
        except Refusal as why:
            call.out.note(f"{why}; its settings and list go out with 'tapgate publish'")
            published = False
        with database.changing(call.home) as session:  # last: until then it is the same key again
            charger = chargers.find(session, name)
            if charger.key == key:
                rekeying.given(charger)
        link.restart()
    call.out.done(
        {"charger": name, "board": port, "published": published},
        f"charger '{name}' and its board have a new key, and the old one opens nothing any more",
        _UNCHANGED,
    )


def _keys(charger: Any) -> set[str]:
    """Those that its board may have."""
    return {charger.key, charger.former_key} - {None}


def _forget_old_key(call: Call) -> None:
    from tools.portal import database

    database.wipe(call.home)  # of older ones; where that fails they open nothing all the same


def _owner(session: Any, name: str) -> Any:
    from tools.installer.whose import Owner
    from tools.portal import installation

    site = installation.current(session)
    return Owner(site.name, name, site.card_key)


def held(
    call: Call,
    name: Name,
    take: Annotated[
        bool, typer.Option("--take", help="They are the charger's own: into the accounts.")
    ] = False,
    drop: Annotated[bool, typer.Option("--drop", help="They are not: forget them.")] = False,
) -> None:
    """Events that came signed with a charger's former key after it had been given a new one.

    They may be its own, from the time before its board had the new key, or the work of somebody
    who has the old one. They are in no report unless you take them.
    """
    if take and drop:
        raise WrongUsage("--take and --drop exclude each other")
    from tools.portal import chargers, database, installation, intake, moments, rekeying

    with (database.changing if take or drop else database.reading)(call.home) as session:
        charger = chargers.find(session, name)
        zone = installation.zone(installation.current(session))
        rows = [
            {**each.body, "received": moments.shown(each.received_at, zone)}
            for each in rekeying.held(session, charger)
        ]
        new = kept = 0
        if take:
            new, kept = intake.take_held(session, charger)
        elif drop:
            rekeying.drop_held(session, charger)
        name = charger.name
    if take:
        taken = len(rows) - kept
        unlike = (
            f"held back still: {count(kept, 'event')} with numbers that others in the accounts have"
        )
        call.out.done(
            {"charger": name, "taken": taken, "new": new, "kept": kept},
            f"{count(taken, 'event')} of '{name}' {'is' if taken == 1 else 'are'} in the accounts "
            "now",
            *([unlike] if kept else ()),
        )
    elif drop:
        events = count(len(rows), "event")
        call.out.done({"charger": name, "dropped": len(rows)}, f"{events} of '{name}' forgotten")
    elif call.out.as_json:
        call.out.value(rows)
    else:
        _show_held(call, name, rows)


def _show_held(call: Call, name: str, rows: list[dict[str, Any]]) -> None:
    from tools.portal.intake import shown

    fixed = ("n", "boot", "t", "up", "event", "received")
    call.out.table(
        ["received", "event", "what it says"],
        (
            (
                in_short(row["received"]),
                shown(row["event"]).replace("_", " "),
                shown(json.dumps({key: row[key] for key in row if key not in fixed})),
            )
            for row in rows
        ),
        nothing=f"no event of '{name}' is held back",
    )
    if rows:
        call.out.line(f"tapgate charger held {name} --take, or --drop")


def remove(
    call: Call,
    name: Name,
    port: OnCable = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="Even if something of it is lost by that.")
    ] = False,
) -> None:
    """Take a charger out, and with --port everything secret from its board.

    Its sessions and events stay in the accounts. The board is erased first, so that an
    interruption leaves nothing half-done that is not done when you run it again.
    """
    from tools.portal import charger_removal, chargers, database, names, rekeying
    from tools.portal.charger_removal import Undelivered

    with database.reading(call.home) as session:
        # With its board on the cable, one that was removed before is wiped all the same.
        if port is None or not chargers.removed(session, name):
            chargers.find(session, name)
        name = names.slug(name, "charger")
        charger = chargers.named(session, name)
        waits, kept_back, keys = Undelivered(0, False), 0, set()
        if charger is not None:
            waits = charger_removal.last_said(session, charger)
            kept_back = rekeying.held_count(session, charger)
            keys = _keys(charger)
        owner = _owner(session, name)
    if kept_back and not yes:
        raise Refusal(
            f"{count(kept_back, 'event')} of '{name}' {'is' if kept_back == 1 else 'are'} held "
            f"back: decide about that first (tapgate charger held {name}), or say --yes"
        )
    permissions: list[int] = []

    def take_out() -> None:
        if charger is None:
            return  # it was before
        with database.changing(call.home) as session:
            permissions.append(charger_removal.remove(session, chargers.find(session, name)))

    board = None
    if port is None:
        _require_all_delivered(name, waits, yes, "its last state")
        take_out()
    else:
        board = _wipe_board(call, port, owner, keys, waits, yes, take_out)
        waits = board.waits
    if permissions and not database.wipe(call.home):
        call.out.note(charger_removal.NOT_WIPED)
    answer = {
        "charger": name,
        "removed": bool(permissions),
        "permissions": sum(permissions),
        "board": port,
        "erased_blocks": board and board.blocks,
        "undelivered": waits and waits.events,
    }
    if permissions:
        call.out.done(
            answer,
            f"charger '{name}' is removed; its sessions and events stay in the reports",
            _about_board(name, port, board),
            "next: tapgate publish, which takes what is left of it from the broker",
        )
    elif charger is None:
        call.out.done(answer, _about_board(name, port, board))
    else:
        call.out.done(
            answer,
            _about_board(name, port, board),
            f"it had a key that '{name}' does not have, so '{name}' itself stays; to take it out: "
            f"tapgate charger remove {name}",
        )


def _about_board(name: str, port: str | None, board: "_Board | None") -> str:
    if board is None:
        return (
            "its board still has its keys and the Wi-Fi password: "
            f"tapgate charger remove {name} --port PORT erases them"
        )
    if not board.blocks:
        return f"the files of the board at {port} are deleted; it has no partition to erase"
    said = f"the board at {port} is wiped, {count(board.blocks, 'block')} erased"
    if board.waits is None:
        said += "; whether its journal held events it could not say"
    elif board.waits.events:
        said += f"; lost with it: {count(board.waits.events, 'event')}"
    return said


class _Board(NamedTuple):
    """One that was wiped. `waits`: what went with it that was not delivered, where it could say."""

    blocks: int
    waits: Any


def _wipe_board(
    call: Call,
    port: str,
    owner: Any,
    keys: set[str],
    said: Any,
    yes: bool,
    take_out: Callable[[], None],
) -> _Board:
    """`said`: what the charger's last state says is not delivered, for a board that cannot say it.
    `take_out`: of the portal, once nothing secret is left on its board. A board of one that had
    the name before, with another key, says nothing against who has it now."""
    from tools import mpy
    from tools.installer import whose, wiping
    from tools.installer.link import Link
    from tools.portal.charger_removal import Undelivered

    waits = None
    with Link(port, call.out.say) as link:
        found = whose.config(link)
        if found is not None:
            whose.require(found, owner)
            own = found.get("charger_key") in keys
            try:
                told = wiping.undelivered(link)
            except wiping.NotTold as error:
                told = None
                if not yes:
                    raise Refusal(
                        f"what '{owner.charger}' has not delivered the board does not say: "
                        f"{error}. It has been restarted, and goes on: let it connect (tapgate "
                        f"status {owner.charger} says what waits) and say --yes, which loses that"
                    ) from None
            if told is not None:
                waits = Undelivered(*told)
                _require_all_delivered(owner.charger, waits, yes, _BOARD)
            elif own:
                _require_all_delivered(owner.charger, said, yes, "its last state")
        else:
            own = whose.wipe_begun(link, owner, whatever_it_is=yes)
        whose.mark(link, owner, own)
        with call.out.progress() as progress:
            blocks = wiping.wipe(link, (mpy.ROOT / "boot.py").read_bytes(), progress)
        if own:
            take_out()
            whose.mark(link, owner, False)  # whoever gets the name now is not taken out by it
        wiping.wipe_store(link)  # last: by it an interrupted wipe is known
        link.restart()
    return _Board(blocks, waits)


def _require_all_delivered(name: str, waits: Any, yes: bool, says: str) -> None:
    if yes or not (waits.events or waits.session):
        return
    what = [count(waits.events, "event")] if waits.events else []
    what += ["a session that still runs"] if waits.session else []
    still = f"'{name}' has not delivered everything, {says} says: {' and '.join(what)}"
    if says == _BOARD:
        raise Refusal(
            f"{still}. It has been restarted, and goes on: let it connect (tapgate status {name} "
            "says when it is online) and run this again, or say --yes and lose that"
        )
    raise Refusal(f"{still}. Let it connect while 'tapgate serve' runs, or say --yes and lose that")
