"""MicroPython onto a bare ESP32, by esptool, with Tapgate's partition table.

The board's own loader is talked to first: which chip, how much flash, what lies where the file
system goes. Nothing is written before all of that is right and was said.
"""

import hashlib
import struct
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from tools.installer import micropython_image, partitions
from tools.portal.refusal import Refusal

CHIP = "ESP32"
BAUD = 460_800
SLOW_BAUD = 115_200
CONNECT_ATTEMPTS = 7  # each with another timing of the reset lines: about eight seconds in all

Say = Callable[[str], None]
Progress = Callable[[], AbstractContextManager[Callable[[str, int, int], None]]]

_LITTLEFS = struct.Struct("<8x8s4x4xII")  # littlefs SPEC.md: the superblock's name, sizes
_LITTLEFS_SIZES = (partitions.BLOCK_BYTES, partitions.VFS.size // partitions.BLOCK_BYTES)
_BOOT_BUTTON = (
    "hold its BOOT button while plugging it in (or hold BOOT and press EN), and run this again"
)
_LOST = "a loose cable, a hub or a weak supply does that; plug it in again and repeat"

try:
    from termios import error as _TerminalError
except ImportError:  # not on Windows
    _TerminalError = OSError


class Board(NamedTuple):
    """What the loader on the board says of it."""

    port: str
    chip: str
    mac: str
    flash_bytes: int
    table: tuple[partitions.Partition, ...]  # as it was; empty: none
    files: str  # what lies where the file system goes: "littlefs", "blank", "other"


def write(
    port: str,
    image: Path,
    say: Say,
    *,
    erase: bool = False,
    slow: bool = False,
    sure: Callable[[], bool] | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """MicroPython from `image` onto the board at `port`.

    A file system that is there stays, unless `erase`; what is none is erased, since MicroPython
    would stop at it. `say` takes what was found and what is about to happen; then `sure` is asked,
    if given, whether to go on. What is there already is not written again. `slow`: at 115,200 baud
    and by the chip's own loader alone, for cables and boards that lose bytes.

    Returns port, chip, mac, flash_mb, micropython, wrote (names of the pieces), files ("kept",
    "erased" or "none"). Raises Refusal; what is wrong with the image is said before the port is
    opened.
    """
    wanted = micropython_image.read(image)
    meter = _Meter()
    with _quiet(meter), _loader(port) as talk:
        esp = talk.connected(slow)
        talk.doing = "it was looked at"
        board = _look(esp, port)
        say(f"{port}: {board.chip}, {board.flash_bytes >> 20} MB flash, MAC {board.mac}")
        _suits(board, wanted)
        missing = [
            piece for piece in wanted.pieces if not _lies_there(esp, piece[1], _padded(piece[2]))
        ]
        erased = _to_erase(board, erase)
        if missing or erased:
            say(_plan(board, wanted, missing, erased))
            if sure is not None and not sure():
                raise Refusal("nothing was written")
        else:
            say(f"MicroPython {wanted.version} is on it already")
        with (progress or _no_progress)() as meter.tell:
            for each in erased:
                talk.doing = f"'{each.name}' was erased"
                talk.begun = True
                meter.tell(f"erasing {each.name}", 0, 1)
                _erase(esp, each)
            for name, at, data in missing:
                talk.doing = f"'{name}' was written"
                talk.begun = True
                meter.what = f"writing {name}"
                _write(esp, at, _padded(data))
        talk.doing, talk.begun = "it was restarted", False
        talk.restart()
    if missing:
        say(
            f"MicroPython {wanted.version} is written and read back; "
            "if the board stays silent, press its EN button"
        )
    return {
        "port": port,
        "chip": board.chip,
        "mac": board.mac,
        "flash_mb": board.flash_bytes >> 20,
        "micropython": wanted.version,
        "wrote": [name for name, _, _ in missing],
        "files": _files_now(board, erased),
    }


def files_in(start: bytes) -> str:
    """What the first two blocks of a file system's place hold: "littlefs" (one that MicroPython
    would mount there), "blank" (it makes one) or "other" (it would stop there)."""
    for block in (start[: partitions.BLOCK_BYTES], start[partitions.BLOCK_BYTES :]):
        if len(block) >= _LITTLEFS.size:
            name, *sizes = _LITTLEFS.unpack_from(block)
            if name == b"littlefs" and tuple(sizes) == _LITTLEFS_SIZES:
                return "littlefs"
    return "other" if start.strip(b"\xff") else "blank"


def _plan(
    board: Board,
    wanted: micropython_image.Image,
    missing: list[tuple[str, int, bytes]],
    erased: list[partitions.Partition],
) -> str:
    parts = []
    if missing:
        parts.append(f"MicroPython {wanted.version} ({wanted.built}) goes onto it")
    if partitions.VFS not in erased:
        if board.files == "littlefs":
            parts.append("the files on it stay")
    elif board.files == "littlefs":
        parts.append(
            "the files on it are erased: its config, its list, and whatever events have not "
            "reached the portal yet are lost"
        )
    else:
        parts.append(
            "what lies where the files go is no file system of this kind, and is erased: should it "
            "be a charger's, events not delivered yet are lost"
        )
    return "; ".join(parts)


def _files_now(board: Board, erased: list[partitions.Partition]) -> str:
    if partitions.VFS in erased:
        return "erased"
    return "kept" if board.files == "littlefs" else "none"


def _to_erase(board: Board, everything: bool) -> list[partitions.Partition]:
    found = []
    if everything or (board.table and partitions.NVS not in board.table):
        found.append(partitions.NVS)  # another layout's bytes in it are no NVS
    if (everything and board.files != "blank") or board.files == "other":
        found.append(partitions.VFS)
    return found


def _suits(board: Board, wanted: micropython_image.Image) -> None:
    if board.flash_bytes < partitions.FLASH_BYTES:
        raise Refusal(
            f"the board at {board.port} has {board.flash_bytes >> 20} MB of flash; Tapgate needs "
            f"{partitions.FLASH_BYTES >> 20} MB: take another board"
        )
    if board.flash_bytes < wanted.flash_mb << 20:
        raise Refusal(
            f"{wanted.file} is built for {wanted.flash_mb} MB of flash and would not start on the "
            f"{board.flash_bytes >> 20} MB of the board at {board.port}: take one built for that; "
            + micropython_image.WHERE_FROM
        )


def _look(esp: Any, port: str) -> Board:
    """Raises Refusal where the board is none for Tapgate, and what esptool raises."""
    from esptool import cmds, util

    if esp.get_secure_boot_enabled() or esp.get_flash_encryption_enabled():
        raise Refusal(
            f"the board at {port} has secure boot or flash encryption burnt in for somebody "
            "else's program: take another board"
        )
    cmds.attach_flash(esp)
    size = util.flash_size_bytes(cmds.detect_flash_size(esp))
    if size is None:
        raise Refusal(
            f"the flash of the board at {port} does not say its size (ID {esp.flash_id():06x}): "
            "nothing may be wired to GPIO 6 to 11; else take another board"
        )
    esp.flash_set_parameters(size)
    try:
        table = partitions.read(esp.read_flash(partitions.TABLE_AT, partitions.TABLE_BYTES))
    except partitions.PartitionError:
        table = ()
    files = "blank"
    if size >= partitions.FLASH_BYTES:
        files = files_in(esp.read_flash(partitions.VFS.at, 2 * partitions.BLOCK_BYTES))
    mac = ":".join(f"{byte:02x}" for byte in esp.read_mac())
    return Board(port, esp.get_chip_description(), mac, size, table, files)


def _lies_there(esp: Any, at: int, data: bytes) -> bool:
    return esp.flash_md5sum(at, len(data)) == hashlib.md5(data).hexdigest()


def _erase(esp: Any, part: partitions.Partition) -> None:
    if esp.IS_STUB:
        esp.erase_region(part.at, part.size)
    else:
        esp.flash_begin(part.size, part.at)  # the ROM's loader erases ahead of a write


def _write(esp: Any, at: int, data: bytes) -> None:
    """Written and read back as MD5."""
    from esptool import cmds

    cmds.write_flash(esp, [(at, data)])


def _padded(data: bytes) -> bytes:
    """As esptool does it, which writes whole words."""
    return data + b"\xff" * (-len(data) % 4)


class _Loader:
    """The loader on the board at one port, and what is being done with it, for what is said when
    that goes wrong."""

    def __init__(self, port: str, line: Any):
        self.port = port
        self.line = line
        self.doing = ""
        self.begun = False  # the flash is no longer what it was

    def connected(self, slow: bool) -> Any:
        """esptool's object for this chip, in its fast form unless `slow`."""
        from esptool import cmds

        esp = cmds.detect_chip(self.line, SLOW_BAUD, connect_attempts=CONNECT_ATTEMPTS)
        if esp.CHIP_NAME != CHIP:
            raise Refusal(
                f"the board at {self.port} has an {esp.CHIP_NAME}; Tapgate needs an {CHIP}"
            )
        if slow:
            return esp
        self.doing = "the flasher was loaded into it"
        esp = cmds.run_stub(esp)
        esp.change_baud(BAUD)
        return esp

    def restart(self) -> None:
        from esptool.reset import HardReset

        HardReset(self.line)()

    def silent(self, why: str) -> Refusal:
        if not self.doing:
            return Refusal(f"no {CHIP} waits for a program at {self.port} ({why}): {_BOOT_BUTTON}")
        return Refusal(
            f"the board at {self.port} stopped answering while {self.doing} ({why}){self._left()}: "
            "repeat it with --slow, another cable or another supply"
        )

    def gone(self) -> Refusal:
        doing = self.doing or "it was called"
        return Refusal(f"{self.port} dropped off while {doing}{self._left()}: {_LOST}")

    def wrong(self) -> Refusal:
        return Refusal(
            f"the flash of the board at {self.port} does not hold what was written: repeat it with "
            "another cable and supply; if that is no better, the board's flash is worn out"
        )

    def _left(self) -> str:
        return ", and what is on it now does not start" if self.begun else ""


@contextmanager
def _loader(port: str) -> Iterator[_Loader]:
    """The port, opened; esptool's errors and the system's as refusals."""
    from esptool.util import FatalError

    from tools.installer import cable

    line = cable.opened(port, SLOW_BAUD)
    talk = _Loader(port, line)
    try:
        yield talk
    except Refusal:
        with suppress(OSError, _TerminalError):
            talk.restart()  # to what it did before
        raise
    except FatalError as why:
        text = str(why)
        if "MD5 of file does not match" in text or "region is empty" in text:
            raise talk.wrong() from None
        raise talk.silent(_first_line(text)) from None
    except (OSError, _TerminalError):
        raise talk.gone() from None
    except (struct.error, IndexError):  # an answer cut short, or noise
        raise talk.silent("garbled answers") from None
    finally:
        try:
            line.close()
        except (OSError, _TerminalError):
            pass


def _first_line(text: str) -> str:
    line = text.strip().splitlines()[0] if text.strip() else "no reason given"
    return line.removeprefix("Failed to connect to Espressif device: ").rstrip(".!")


class _Meter:
    """How far esptool is with what it does now."""

    def __init__(self) -> None:
        self.what = ""
        self.tell: Callable[[str, int, int], None] = lambda what, done, total: None


@contextmanager
def _no_progress() -> Iterator[Callable[[str, int, int], None]]:
    yield lambda what, done, total: None


@contextmanager
def _quiet(meter: _Meter) -> Iterator[None]:
    """esptool prints nothing meanwhile; its progress goes to the meter."""
    from esp_pylib.logger import EspLog, EspLogBase
    from esptool.reset import ResetStrategy
    from esptool.util import PrintOnce

    class Quiet(EspLogBase):
        def print(self, *args: Any, **kwargs: Any) -> None: ...
        def err(self, *args: Any, suggestion: str | None = None) -> None: ...
        def warn(self, *args: Any, suggestion: str | None = None) -> None: ...
        def note(self, *args: Any) -> None: ...
        def hint(self, *args: Any) -> None: ...
        def debug(self, *args: Any) -> None: ...
        def set_verbosity(self, mode: int | str) -> None: ...

        def progress_bar(
            self,
            cur_iter: int,
            total_iters: int,
            prefix: str = "",
            suffix: str = "",
            bar_length: int = 30,
        ) -> None:
            meter.tell(meter.what, cur_iter, total_iters)

    before = EspLog.instance, ResetStrategy.print_once
    quiet = Quiet()
    # A port without reset lines is no news here: then the BOOT button has done it, or is named.
    EspLog.instance, ResetStrategy.print_once = quiet, PrintOnce(quiet.warn)
    try:
        yield
    finally:
        EspLog.instance, ResetStrategy.print_once = before
