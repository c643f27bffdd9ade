"""What main.py hands over to: starts the charger with what config.json says; without a good one,
says why and shows red."""

import sys
import time

import machine
from micropython import const

_ERASE = const(6)  # of a block device
_BAD_BLOCKS = const(8)  # in a row that are looked past
_CORRUPT = const(-84)  # littlefs: LFS_ERR_CORRUPT, LFS_ERR_IO
_IO_ERROR = const(-5)
_CRASH_PAUSE_S = const(2)  # long enough to read what went wrong, and to press Ctrl-C


def run(state: dict | None) -> bool:
    """Until somebody at the console ends it: True. False: config.json does not allow it to start,
    which is said and shown. Raises what goes wrong before there is a charger; later it is printed,
    and the board starts again.

    state: what firmware.json says, as main.py has it, which looks there for `proven`; None for a
    firmware that lies in the flash.
    """
    remount()
    settings = configured("config.json")
    if settings is None:
        return False
    forget("firmware.config")
    app = board = update = None
    if state is not None:
        if state["proven"] and not state.get("gave_up"):
            state.clear()  # nobody asks for it again
        else:
            from firmware.update import Update

            update = Update(state)
    try:
        import network

        from firmware.app import App
        from firmware.hardware.board import Board

        board = Board(settings, machine)
        app = App(settings, board, machine, network, update)
        board = None  # gives its memory back
        forget("firmware.hardware.board")
        settings.clear()
        app.run()
    except KeyboardInterrupt:
        leave_to_console(app, board)
    except BaseException as error:
        if app is None:
            raise
        try:
            app.open()
            sys.print_exception(error)
            time.sleep(_CRASH_PAUSE_S)
        except KeyboardInterrupt:
            leave_to_console(app, board)
            return True
        machine.reset()
    return True


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
        blocks = Blocks(flashbdev.bdev)
        fresh = vfs.VfsLfs2(blocks, readsize=128, lookahead=64, mtime=False)  # pyright: ignore[reportArgumentType]
    except (ImportError, AttributeError, OSError, TypeError):
        return
    vfs.umount("/")
    vfs.mount(fresh, "/")
    flashbdev.remounted = True  # pyright: ignore[reportAttributeAccessIssue]


class Blocks:
    """The blocks of `bdev` as littlefs wants them: what fails is an answer. The port's own raise,
    right through littlefs, which is left with open files that are none, and later hangs.

    A block that does not take what is written is bad, and littlefs takes another in its place. A
    chip that takes nothing at all is not searched for one that does.

    For the same reason nothing branches in here, and what works returns from within `try`: where
    bytecode branches, MicroPython raises a Ctrl-C that has come, and calls what is due, such as
    the end of a trial, which writes itself.
    """

    def __init__(self, bdev):
        self.readblocks = bdev.readblocks
        self._bdev = bdev
        self._failures = 0  # in a row

    def writeblocks(self, number, data, offset=0):
        try:
            self._bdev.writeblocks(number, data, offset)
            self._failures = 0
            return 0
        except Exception:
            return self._failed()

    def ioctl(self, what, argument):
        try:
            answer = self._bdev.ioctl(what, argument)
            self._failures *= what != _ERASE
            return answer
        except Exception:
            return self._failed()

    def _failed(self):
        self._failures += 1
        return _CORRUPT if self._failures <= _BAD_BLOCKS else _IO_ERROR


def configured(path: str) -> dict | None:
    """The checked configuration; None where there is none, which is then said and shown."""
    from firmware import config

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
    from firmware.hardware import board

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
    """Give the memory of a module back that has done its work. It is emptied first, as a forgotten
    word on the stack keeps a module; and overwritten, as MicroPython leaves in its place what is
    deleted from a dict, where the collector finds it."""
    package, _, module = name.rpartition(".")
    sys.modules[name].__dict__.clear()
    setattr(sys.modules[package], module, None)
    delattr(sys.modules[package], module)
    sys.modules[name] = None  # pyright: ignore[reportArgumentType]
    del sys.modules[name]


def leave_to_console(app, board) -> None:
    """Somebody has pressed Ctrl-C: no task runs any more, and the board is theirs. `board`: where
    it came while the charger was being made of it."""
    feed = None
    if app is not None:
        app.open()  # first: tools send Ctrl-C twice, and the second cuts short what comes here
        feed = app.feed
    elif board is not None and board.guarded is not None:
        watchdog = board.guarded
        feed = lambda _: watchdog.starting()  # noqa: E731
    # The watchdog cannot be stopped: from here on a timer feeds it.
    if feed is not None:
        machine.Timer(0).init(period=1_000, callback=feed)
    print("tapgate stopped by the console")
