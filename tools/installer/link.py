"""A board at the other end of a cable, worked on through MicroPython's raw REPL.

    with Link(port) as link:
        link.write("/config.json", data)

Whatever runs on the board is stopped; the firmware opens its contactor then. However the block
ends, Ctrl-C included, the board is restarted at its end; and where this computer is not there any
more to do that, the board does it by itself after two minutes.

Before the block, and after `restart`, `type` and `heard` are its console: nothing is stopped.
"""

import ast
import hashlib
import re
import textwrap
import time
import zlib
from collections.abc import Callable
from typing import Any

from mpremote.transport import TransportError, TransportExecError

from tools.installer.cable import ANSWER_S, Cable, Dropped, RawRepl
from tools.portal.refusal import Refusal

Say = Callable[[str], None]
Progress = Callable[[int, int], None]  # bytes done, of how many

PART_BYTES = 4_096  # what is sent in one go; a board has memory for it several times over
LEAVE_MS = 120_000
FIRST_S = 3.0  # the firmware stores what it knows before it gives way to Ctrl-C
_PROMPT_S = 0.4
_HOLD_OFF_S = 0.03
_STRIKES = 10
ENTER_S = 20.0
_RESET_AFTER = 0.5  # of that
_RESTARTED_S = 0.2
_WINDOW_BITS = 12  # of deflate: a window of 4 KB on the board
_SHOWN = 60

_CTRL_A, _CTRL_B, _CTRL_C = b"\x01", b"\x02", b"\x03"
_BANNER = b"raw REPL; CTRL-B to exit\r\n"
# What an ESP32's own loader says when it finds nothing to start, and at every start.
_EMPTY = re.compile(rb"invalid header: 0x|flash read err|No bootable app|Invalid image block")
_START = re.compile(rb"rst:0x[0-9a-f]+ \(")
# What MicroPython says when it has started, and while it works on an order does not.
_STARTED = (b'Type "help()"', b">>> ", b"tapgate is incomplete", b"tapgate cannot start")
_CRASHES = 3

# The timer that judges a firmware on trial (main.py): nothing is judged while somebody works here.
_HELPERS = """
import machine
_t_timer = machine.Timer(3)
def _t_leave(_):
    machine.reset()
def _t_stay():
    _t_timer.init(mode=machine.Timer.ONE_SHOT, period=%d, callback=_t_leave)
def _t_sum(path):
    import hashlib
    from binascii import hexlify
    try:
        file = open(path, "rb")
    except OSError as error:
        if error.errno == 2:
            return
        raise
    digest, part = hashlib.sha256(), bytearray(512)
    with file:
        while True:
            size = file.readinto(part)
            if not size:
                return hexlify(digest.digest()).decode()
            digest.update(memoryview(part)[:size])
def _t_inflate(data):
    import deflate, io
    return deflate.DeflateIO(io.BytesIO(data), deflate.RAW, 12).read()
def _t_remove(path):
    import os
    try:
        folder = os.stat(path)[0] & 0x4000
    except OSError as error:
        if error.errno == 2:
            return
        raise
    if folder:
        for name in os.listdir(path):
            _t_remove(path + "/" + name)
        os.rmdir(path)
    else:
        os.remove(path)
"""


class Silent(Refusal):
    """Nothing answers at that port."""


class NotMicroPython(Refusal):
    """Something is there, and it is not MicroPython."""


class CrashLoop(Refusal):
    """The board restarts over and over, and does not give way."""


class BoardError(Refusal):
    """What the board was asked to do has failed there. `last`: the last line of its traceback;
    `errno`: of an OSError, else None."""

    def __init__(self, port: str, traceback: str):
        lines = [line.strip() for line in traceback.splitlines() if line.strip()]
        self.last = lines[-1] if lines else "no reason given"
        found = re.match(r"OSError: (?:\[Errno )?\(?-?(\d+)", self.last)
        self.errno = int(found[1]) if found else None
        super().__init__(f"the board at {port} has failed at it ({self.last}); try again")


class Restarted(Refusal):
    """The board has started anew in the middle of something."""


class Link:
    """`say` takes lines for people, about what takes its time. Refusal if the board cannot be
    reached: NoPort, PortBusy, NoPermission (cable.py), Silent, NotMicroPython, CrashLoop, Dropped;
    later BoardError, Dropped or Restarted."""

    def __init__(self, port: str, say: Say = lambda line: None):
        self.port = port
        self._say = say
        self._attended = False
        self._helpers = False
        self._cable = Cable(port)
        self._repl = RawRepl(self._cable)

    def __enter__(self) -> "Link":
        try:
            self.stop()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def traffic(self) -> tuple[int, int]:
        """Sent and received so far."""
        return self._cable.sent, self._cable.received

    def run(
        self,
        code: str | bytes,
        within_s: float = ANSWER_S,
        consumer: Callable[[bytes], object] | None = None,
    ) -> str:
        """What the code prints on the board. `within_s`: how long it may print nothing."""
        try:
            self._repl.exec_raw_no_follow(code)
            out, error = self._repl.follow(within_s, consumer)
        except TransportError as error:
            raise self._lost(error) from None
        if error:
            raise BoardError(self.port, error.decode(errors="replace"))
        return out.decode(errors="replace").replace("\r\n", "\n")

    def ask(self, expression: str, within_s: float = ANSWER_S) -> Any:
        """The value of an expression on the board, built of what Python can write down."""
        return ast.literal_eval(self.run(f"print(repr({expression}))", within_s))

    def read(self, path: str) -> bytes | None:
        """The content of a file; None if there is none."""
        code = """
            from binascii import hexlify
            try:
                file = open({path!r}, "rb")
            except OSError as error:
                if error.errno != 2:
                    raise
                print("none")
            else:
                with file:
                    while part := file.read(256):
                        print(hexlify(part).decode())
        """
        found = self.run(textwrap.dedent(code).format(path=path)).split()
        return None if found == ["none"] else bytes.fromhex("".join(found))

    def exists(self, path: str) -> bool:
        return self.sha256(path) is not None

    def sha256(self, path: str) -> str | None:
        """Of a file's content, in hex; None if there is none."""
        return self.helped(f"print(repr(_t_sum({path!r})))")

    def write(self, path: str, data: bytes, progress: Progress | None = None) -> None:
        """Put a file in place in one step: beside it first, compared there, then renamed. Whenever
        the power goes, there is the old content or the new."""
        beside = path + ".new"
        try:
            self.helped(f"_t_file = open({beside!r}, 'wb')")
            for at in range(0, len(data), PART_BYTES):
                part = data[at : at + PART_BYTES]
                self.helped(b"_t_file.write(" + carried(part) + b")")
                if progress:
                    progress(at + len(part), len(data))
            self.run("_t_file.close()")
            if self.sha256(beside) != hashlib.sha256(data).hexdigest():
                raise Refusal(
                    f"the board at {self.port} does not hold {path} as it was sent; try again, and "
                    "with another cable if it happens again"
                )
            self.run(f"import os\nos.rename({beside!r}, {path!r})")
        except BoardError:
            self._tidy(beside)
            raise

    def remove(self, path: str) -> None:
        """A file, or a folder with all that is in it; what is not there already is no error."""
        self.helped(f"_t_remove({path!r})")

    def helped(self, code: str | bytes, within_s: float = ANSWER_S) -> Any:
        """Run code that uses _t_sum(path), _t_inflate(data), _t_remove(path). The value it prints,
        if any."""
        if not self._helpers:
            self.run(_HELPERS.replace("%d", str(LEAVE_MS)))
            self._helpers = True
        code = code.encode() if isinstance(code, str) else code
        found = self.run(b"_t_stay()\n" + code, within_s).strip()
        return ast.literal_eval(found) if found else None

    def restart(self) -> None:
        """Reset the board, and return at once; what it says from now on is `heard`."""
        try:
            self._repl.exec_raw_no_follow("import machine\nmachine.reset()")
        except TransportError:
            pass  # it was quicker than its answer
        self._attended = self._helpers = False
        self._repl.in_raw_repl = False

    def restart_and_stop(self) -> None:
        """Reset the board and take it over before its program has filled the memory."""
        self.restart()
        time.sleep(_RESTARTED_S)
        self.stop(gently=False)

    def type(self, line: str) -> None:
        """A line for the program that runs there."""
        self._cable.type(line.encode() + b"\r\n")

    def heard(self) -> list[str]:
        """The whole lines that the board has said since the last time. Does not wait."""
        return [line for line in self._cable.lines() if line]

    def close(self) -> None:
        """Restart the board, unless that is done, and let go of the port."""
        try:
            if self._attended:
                self._release()
        except (Refusal, TransportError):
            pass  # gone: it comes back by itself when it is plugged in
        finally:
            self._attended = False
            self._cable.close()

    # getting in

    def stop(self, gently: bool = True) -> None:
        """End what runs there, and get to the raw REPL.

        `gently`: the first Ctrl-C has time to take effect; firmware that is struck twice may not
        get to store what it knows. Then they come as fast as the prompt could follow, since a board
        that crashes at each start listens for moments only.
        """
        repl, cable = self._repl, self._cable
        cable.tail = b""
        repl.in_raw_repl = False
        began = time.monotonic()
        told = pulsed = False
        strikes, patience = (1, FIRST_S) if gently else (_STRIKES, _PROMPT_S)
        self._attended = True  # from the first Ctrl-C on, `close` restarts it
        while True:
            try:
                for _ in range(strikes):
                    cable.write(b"\r" + _CTRL_C)
                    time.sleep(_HOLD_OFF_S)
                cable.write(b"\r" + _CTRL_A)
                cable.until(_BANNER, patience, most_s=patience)
            except TransportError:
                pass  # it takes nothing at the moment
            if self._prompted():
                break
            waited = time.monotonic() - began
            if waited > ENTER_S * _RESET_AFTER and not pulsed:
                pulsed = True
                cable.pulse_reset()
            elif waited > ENTER_S:
                self._attended = False
                raise self._no_answer()
            elif not told and cable.tail:
                told = True
                self._say(f"the board at {self.port} does not give way at once; trying on")
            strikes, patience = _STRIKES, _PROMPT_S
        repl.in_raw_repl = True
        repl.use_raw_paste = True
        self._helpers = False
        cable.unfinished = cable.tail = b""
        try:
            self.helped(b"pass")
        except BoardError:
            pass  # no ESP32, or one without memory left: it stays where it is

    def _prompted(self) -> bool:
        """Whether it is the raw REPL that waits: it has said so, and nothing came after that. Each
        Ctrl-A that it had still to read brings the same words again."""
        cable = self._cable
        if _BANNER not in cable.tail:
            return False
        try:
            cable.until(b"\0", 0.1, most_s=0.5)
            if not cable.tail.endswith(_BANNER + b">"):
                return False
            # What `exec_raw_no_follow` looks for first.
            cable.write(b"\r" + _CTRL_A)
            return cable.until(_BANNER, _PROMPT_S, most_s=_PROMPT_S).endswith(_BANNER)
        except TransportError:
            return False

    def _no_answer(self) -> Refusal:
        said = self._cable.tail
        if not said.strip(b"\r\n" + _CTRL_A + _CTRL_C):
            return Silent(
                f"nothing answers at {self.port}: is it the right port, has the board power, and "
                "is MicroPython on it? Without it: 'tapgate flash' or provision's --firmware"
            )
        if _EMPTY.search(said):
            return NotMicroPython(
                f"the ESP32 at {self.port} has nothing to start; give it MicroPython with "
                "'tapgate flash' or provision's --firmware"
            )
        odd = sum(byte > 126 or (byte < 32 and byte not in b"\r\n\t\x1b") for byte in said)
        if odd * 4 > len(said):
            return NotMicroPython(
                f"what comes from {self.port} is no text: a board that does not speak at 115,200 "
                "baud, or another device; see 'tapgate flash' for MicroPython on an ESP32"
            )
        if len(_START.findall(said)) >= _CRASHES or _repeated(said):
            return CrashLoop(
                f"the board at {self.port} restarts over and over and cannot be stopped; "
                "make it a bare board again with 'tapgate flash --erase --firmware FILE'"
            )
        words = _printable(said)
        return NotMicroPython(
            f"what answers at {self.port} is not MicroPython, or does not give way to Ctrl-C: it "
            f"says '{words}'; press the board's EN button and try again, or see 'tapgate flash'"
        )

    # letting go

    def _release(self) -> None:
        """Restart a board that may be in the middle of anything."""
        cable = self._cable
        for _ in range(3):
            cable.write(b"\r" + _CTRL_C)
            time.sleep(_HOLD_OFF_S)
            cable.write(b"\r" + _CTRL_A)
            cable.until(_BANNER + b">", 1.0, most_s=1.0)
            cable.rest()
            if cable.tail.endswith(_BANNER + b">"):
                cable.write(b"import machine\nmachine.reset()\n\x04")
                cable.until(b"\x04", 0.3, most_s=0.3)
                return

    def _tidy(self, beside: str) -> None:
        """A part of a file that did not get through takes room."""
        try:
            self.run("_t_file.close()")
        except BoardError:
            pass
        try:
            self.run(f"import os\nos.remove({beside!r})")
        except BoardError:
            pass

    def _lost(self, error: TransportError) -> Refusal:
        """Why there was no answer in mid-work."""
        if isinstance(error, TransportExecError):
            return BoardError(self.port, error.error_output)
        said = self._cable.tail + self._cable.rest()
        if any(each in said for each in _STARTED) or _START.search(said):
            return Restarted(
                f"the board at {self.port} has restarted in the middle of it: a weak supply or a "
                "loose cable does that; try again"
            )
        return Dropped(
            f"the board at {self.port} has stopped answering ({error}); press its EN button and "
            "try again"
        )


def carried(data: bytes) -> bytes:
    """An expression whose value on the board is `data`, in few bytes; with `_t_inflate` there."""
    press = zlib.compressobj(9, zlib.DEFLATED, -_WINDOW_BITS)
    pressed = press.compress(data) + press.flush()
    if len(pressed) >= len(data):
        return _literal(data)
    return b"_t_inflate(" + _literal(pressed) + b")"


# A bytes literal may hold any byte as it is, but for its own marks and what the REPL keeps to
# itself: Ctrl-A to Ctrl-E, and line ends (MicroPython, py/lexer.c, shared/runtime/pyexec.c).
_ESCAPED = {each: b"\\x%02x" % each for each in (0, 1, 2, 3, 4, 5)} | {
    ord("\n"): b"\\n",
    ord("\r"): b"\\r",
    ord("\\"): b"\\\\",
    ord("'"): b"\\'",
}


def _literal(data: bytes) -> bytes:
    return b"b'" + b"".join(_ESCAPED.get(each) or bytes((each,)) for each in data) + b"'"


def _repeated(said: bytes) -> bool:
    """Whether the same words come again and again."""
    words = [line.strip() for line in said.splitlines() if len(line.strip()) > 2]
    return any(words.count(each) >= _CRASHES for each in words)


def _printable(said: bytes) -> str:
    text = "".join(each if each.isprintable() else " " for each in said.decode(errors="replace"))
    text = " ".join(text.split())
    return text if len(text) <= _SHOWN else "…" + text[-_SHOWN:]
