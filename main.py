"""Starts the charger with what config.json says; without a good one, says why and shows red."""

import gc
import sys
import time

import machine

# Collecting rarely would leave garbage between what stays, and no large piece free for a buffer.
gc.threshold(8_192)

_CRASH_PAUSE_S = 2  # long enough to read what went wrong, and to press Ctrl-C


def remount() -> None:
    """Mount the flash again, for larger reads: a directory that is full is rewritten in one go, and
    at the 32 bytes of the port that takes up to 15,000 of them, during which nothing else happens.
    It only reads. Where the flash is no littlefs, all stays as it is. Not while files may be open:
    once in each life.
    """
    try:
        import flashbdev
        import vfs

        if hasattr(flashbdev, "remounted"):
            return
        fresh = vfs.VfsLfs2(flashbdev.bdev, readsize=128, lookahead=64, mtime=False)
    except (ImportError, AttributeError, OSError, TypeError):
        return
    vfs.umount("/")
    vfs.mount(fresh, "/")
    flashbdev.remounted = True  # pyright: ignore[reportAttributeAccessIssue]


def configured(path: str) -> dict | None:
    """The checked configuration; None where there is none, which is then said and shown."""
    from firmware import config
    from firmware.hardware import board

    try:
        settings = config.load(path)
        if settings["broker"]["tls"]:
            check_ca(settings["broker"]["ca"], config.ConfigError)
        return settings
    except config.ConfigError as error:
        print("tapgate cannot start:", error)
    try:
        found = config.read(path)
    except config.ConfigError:
        found = None
    board.alarm(config.lamp(found), machine)
    return None


def check_ca(ca: str, wrong) -> None:
    """What `config` cannot tell: whether the TLS library takes these certificates."""
    from firmware.link.secure import tls_context

    try:
        tls_context(ca)
    except ValueError as error:
        found = "broker.ca: found {}, allowed the CA's certificate as PEM text".format(error)
        raise wrong(found) from None


def forget(name: str) -> None:
    """Give the memory of a module back that has done its work."""
    package, _, module = name.rpartition(".")
    delattr(sys.modules[package], module)
    del sys.modules[name]


def leave_to_console(app) -> None:
    """Somebody has pressed Ctrl-C: no task runs any more, and the board is theirs."""
    if app is not None:
        app.open()  # first: tools send Ctrl-C twice, and the second cuts short what comes here
        # The watchdog cannot be stopped: from here on a timer feeds it.
        machine.Timer(0).init(period=1_000, callback=app.feed)
    print("tapgate stopped by the console")


def run(settings: dict) -> None:
    app = None
    try:
        import network

        from firmware.app import App
        from firmware.hardware.board import Board

        app = App(settings, Board(settings, machine), machine, network)
        forget("firmware.hardware.board")
        settings.clear()
        app.run()
    except KeyboardInterrupt:
        leave_to_console(app)
    except BaseException as error:
        try:
            if app is not None:
                app.open()
            sys.print_exception(error)
            time.sleep(_CRASH_PAUSE_S)
        except KeyboardInterrupt:
            leave_to_console(app)
            return
        machine.reset()


def below(depth: int, function, *arguments):
    """Call from so far down the stack that what it leaves there lies under nothing that stays:
    the collector would take an old word on the stack for the whole module of `config`."""
    if depth:
        return below(depth - 1, function, *arguments)
    return function(*arguments)


below(12, remount)
del remount
settings = below(12, configured, "config.json")
if settings is not None:
    forget("firmware.config")
    run(settings)
