"""The board on a cable: a pseudo terminal that carries its console, REPL and raw REPL.

The interpreter's own REPL does the talking. In between are two lines: the outer one is what a
program such as mpremote opens, the inner one is the interpreter's terminal. What the bridge adds is
what a board's UART and reset do: Ctrl-C interrupts a program, a soft reset comes back in the REPL
mode it was left in, line feeds gain their carriage return, output that nobody listens to is lost,
and timers and interrupts call back while the REPL waits for a key. The cable can be pulled, too:
the outer line is hung up then, and the board runs on.

For that last one the interpreter is woken at every tick: it waits for a key in read(), and runs
what is scheduled only when a signal ends that with EINTR (tools/virtual/interpreter.py has the
handler). So callbacks run where MicroPython means them to, on its main thread, between two keys.
While a command runs, the same signal would let them run inside any system call, also between a
question to the world and its answer; and a command may begin at any moment. So the process is
stopped before it is looked at, and what was seen still holds when the signal arrives: one that is
pending is taken before the next instruction. It is stopped only when it seems to wait, because a
stop lengthens some time-outs. The terminal's mode would not do: it is raw also while a command of
the raw REPL runs. A wake-up that comes too early finds nothing, and the next tick brings another.

Ctrl-C is a key at a prompt, and an interrupt while a program runs: also while a command of the raw
REPL does, during which the terminal's mode may be that of the prompt. Which of the two it is, a
board's UART asks the variable that holds the interrupt character; here a handler for SIGINT stands
for it, which the interpreter has as long as Ctrl-C is to interrupt. As an exception that is raised
in a callback is printed and lost, the interrupt waits until the program sleeps or polls, seen as
above; a program that does neither for a while gets it anyhow. SIGUSR2 brings it, and it is raised
before the next instruction, as on a board (tools/virtual/interpreter.py). An interpreter without a
handler for that gets SIGINT, and raises it wherever that strikes: in the middle of a garbage
collection, say, and then the heap stays locked.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import select
import signal
import struct
import subprocess
import termios
import threading
import tty

from tools.virtual import process

_READ_BYTES = 4096
_UNREAD_BYTES = 262_144  # what a listener may leave unread before it is taken to be gone
_LOOK_S = 0.02  # how often a line without a listener is looked at
_HOLD_LOOK_S = 0.002
_TICK_S = 0.02
_IDLE_WITHIN_S = 0.3  # a program that has not slept by then is one that never does
_HOLD_S = 1.0  # how long a program may take to give way to Ctrl-C
_NAMES_TRIED = 64
_CTRL_A, _CTRL_C = b"\x01", b"\x03"
_RAW_PROMPT = b"raw REPL; CTRL-B to exit\r\n>"
_FRIENDLY_PROMPT = b"\r\n>>> "
_SOFT_REBOOT = b"MPY: soft reboot\r\n"


class SerialLine:
    repl = True

    def __init__(self, loop: asyncio.AbstractEventLoop):
        self._loop = loop
        self._lock = threading.RLock()
        self._outer = self._inner = self._keys = -1
        self.name = ""
        self._looking: asyncio.TimerHandle | None = None
        self._process: subprocess.Popen | None = None
        self._raw = False
        self._restart_raw = False
        self._up = False
        self._wakeable: bool | None = None  # not known before it has come to its first prompt
        self._ticking: asyncio.TimerHandle | None = None
        self._interrupts = True  # Ctrl-C is no data
        self._swallow = False
        self._tail = b""
        self._to_host = b""
        self._to_board = b""
        self._held: bytes | None = None
        self._striking = False
        self._writing = False
        self._closed = False
        self.plug()

    @property
    def raw(self) -> bool:
        return self._restart_raw

    # the lives of the board

    def attach(self) -> tuple[int, int]:
        self._inner, slave = os.openpty()
        os.set_blocking(self._inner, False)
        mode = termios.tcgetattr(slave)
        mode[0] = mode[1] = 0
        mode[3] = termios.ISIG  # the mark of "a program runs"; no key raises a signal by itself
        for key in (termios.VINTR, termios.VQUIT, termios.VSUSP):
            mode[6][key] = b"\0"
        mode[6][termios.VMIN], mode[6][termios.VTIME] = 1, 0
        termios.tcsetattr(slave, termios.TCSANOW, mode)
        self._keys = os.dup(slave)  # to see which keys have not been read
        self._up = False
        self._interrupts = True
        self._swallow = False
        self._raw = False
        self._tail = b""
        self._loop.add_reader(self._inner, self._printed)
        return slave, slave

    def life_began(self, process: subprocess.Popen) -> None:
        self._process = process
        self._wakeable = None
        self._tick()

    def life_state(self, name: str) -> None:
        """In the thread of the requests. "repl": boot.py is over and the raw REPL is next."""
        if name == "up":
            self._up = True
        elif name == "repl":
            self._printed()
            with self._lock:
                self._swallow = True
            self._loop.call_soon_threadsafe(self._enter_raw)

    def life_ended(self, soft: bool) -> None:
        if self._inner < 0:
            return
        self._printed()
        self._loop.remove_reader(self._inner)
        self._loop.remove_writer(self._inner)
        os.close(self._inner)
        os.close(self._keys)
        self._inner = self._keys = -1
        self._process = None
        if self._ticking:
            self._ticking.cancel()
            self._ticking = None
        self._to_board = b""
        self._restart_raw = soft and self._raw
        if soft:
            self._say(_SOFT_REBOOT)

    def interrupts(self, on: bool) -> None:
        """micropython.kbd_intr: off while binary data goes over the line. Any thread."""
        self._printed()
        self._interrupts = on

    def catch_up(self) -> None:
        self._printed()

    def close(self) -> None:
        self._closed = True
        self.life_ended(soft=False)
        self.pull()

    # the cable

    def plug(self) -> str:
        """Connect it; returns the terminal's name: the one before, if nobody has taken it."""
        if self._outer < 0:
            with self._lock:
                self._outer, self.name = _terminal(self.name)
            self._look_for_host()
        return self.name

    def pull(self) -> None:
        """Hang up: whoever has the terminal open is told so."""
        if self._outer < 0:
            return
        if self._looking:
            self._looking.cancel()
            self._looking = None
        self._loop.remove_reader(self._outer)
        self._loop.remove_writer(self._outer)
        with self._lock:
            os.close(self._outer)
            self._outer = -1
            self._to_host = b""
            self._writing = False

    # board to host

    def _printed(self) -> None:
        with self._lock:
            while self._inner >= 0:
                try:
                    data = os.read(self._inner, _READ_BYTES)
                except OSError:  # nothing there, or the board is off
                    break
                if not data:
                    break
                self._say(self._cooked(data))

    def _cooked(self, data: bytes) -> bytes:
        before, self._tail = self._tail, (self._tail + data)[-64:]
        if not self._interrupts:
            return data
        seen = before + data
        raw_at, friendly_at = seen.rfind(_RAW_PROMPT), seen.rfind(_FRIENDLY_PROMPT)
        if raw_at != friendly_at:
            self._raw = raw_at > friendly_at
        if self._swallow:
            if raw_at < 0:
                return b""
            self._swallow = False
            return seen[raw_at:]
        if before.endswith(b"\r") and data.startswith(b"\n"):
            return b"\n" + data[1:].replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
        return data.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")

    def _say(self, data: bytes) -> None:
        with self._lock:
            self._to_host += data
            if len(self._to_host) > _UNREAD_BYTES:
                self._to_host = b""
        self._loop.call_soon_threadsafe(self._flush)

    def _flush(self) -> None:
        with self._lock:
            if self._outer < 0:
                self._to_host = b""
                return
            if self._hung_up():
                self._to_host = b""
            while self._to_host:
                try:
                    written = os.write(self._outer, self._to_host)
                except OSError:  # full: go on when there is room
                    break
                self._to_host = self._to_host[written:]
            waiting = bool(self._to_host)
        if waiting and not self._writing:
            self._loop.add_writer(self._outer, self._flush)
        elif self._writing and not waiting:
            self._loop.remove_writer(self._outer)
        self._writing = waiting

    # host to board

    def _hung_up(self) -> bool:
        poll = select.poll()
        poll.register(self._outer, select.POLLIN)
        return any(event & select.POLLHUP for _, event in poll.poll(0))

    def _look_for_host(self) -> None:
        """A line that nobody has open is always "readable": wait for someone by looking."""
        if self._outer < 0:
            return
        if self._hung_up():
            self._looking = self._loop.call_later(_LOOK_S, self._look_for_host)
        else:
            self._looking = None
            self._loop.add_reader(self._outer, self._typed)

    def _typed(self) -> None:
        try:
            data = os.read(self._outer, _READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self._type(data)
        else:
            self._loop.remove_reader(self._outer)
            self._look_for_host()

    def _type(self, data: bytes) -> None:
        if self._held is not None:
            self._held += data
            return
        before, interrupt, after = data.partition(_CTRL_C)
        if interrupt and self._interrupts:
            self._feed(before)
            if self._striking:  # one at a time, as a board has one flag for it
                self._type(after)
                return
            self._held = after
            self._striking = True
            self._interrupt(self._loop.time())
        else:
            self._feed(data)

    @property
    def at_prompt(self) -> bool:
        """The interpreter has read all keys and waits for another one of a command."""
        if not self._process or termios.tcgetattr(self._inner)[3] & termios.ISIG:
            return False
        pid = self._process.pid
        if not process.system_call(pid):  # cannot be seen: then it is the mode that counts
            return True
        unread = struct.unpack("i", fcntl.ioctl(self._keys, termios.FIONREAD, bytes(4)))[0]
        return not unread and process.reads_keys(pid) and not process.handles(pid, signal.SIGINT)

    # callbacks at the prompt

    def _tick(self) -> None:
        self._ticking = self._loop.call_later(_TICK_S, self._tick)
        if self._process and process.reads_keys(self._process.pid):
            if self._wakeable is None:
                self._wakeable = process.handles(self._process.pid, signal.SIGUSR1)
            if self._wakeable:
                process.signal_if(process.reads_keys, self._process, signal.SIGUSR1)

    # Ctrl-C

    def _interrupt(self, since_s: float) -> None:
        """Ctrl-C; a board that is still starting gets it once it is up."""
        if self._closed:
            return
        if self._up and self._process:
            self._strike(self._process, self._loop.time())
        elif self._loop.time() - since_s < _HOLD_S:
            self._loop.call_later(_HOLD_LOOK_S, self._interrupt, since_s)
        else:
            self._struck(0)

    def _strike(self, life: subprocess.Popen, since_s: float) -> None:
        if self._closed:
            return
        if life is not self._process:
            self._struck(_HOLD_S)
            return
        if self.at_prompt:
            self._feed(_CTRL_C)
            self._struck(0)
            return
        waited_s = self._loop.time() - since_s
        ready = _gives_way if waited_s < _IDLE_WITHIN_S else _takes_interrupt
        as_a_board = process.handles(life.pid, signal.SIGUSR2)
        number = signal.SIGUSR2 if as_a_board else signal.SIGINT
        if ready(life.pid) and process.signal_if(ready, life, number):
            self._struck(_HOLD_S)
            return
        if waited_s >= _HOLD_S:
            self._release(0)
        self._loop.call_later(_HOLD_LOOK_S, self._strike, life, since_s)

    def _struck(self, hold_s: float) -> None:
        self._striking = False
        self._release(self._loop.time() + hold_s)

    def _release(self, until_s: float) -> None:
        """What was typed after a Ctrl-C waits for the prompt, which drops what came before it."""
        if self._closed:
            return
        if not self.at_prompt and self._loop.time() < until_s:
            self._loop.call_later(_HOLD_LOOK_S, self._release, until_s)
            return
        held, self._held = self._held or b"", None
        if held:
            self._type(held)

    def _enter_raw(self) -> None:
        if self._closed or self._inner < 0:
            return
        if self.at_prompt:
            self._feed(_CTRL_A)
        else:
            self._loop.call_later(_HOLD_LOOK_S, self._enter_raw)

    def _feed(self, data: bytes = b"") -> None:
        self._to_board += data
        while self._to_board and self._inner >= 0:
            try:
                written = os.write(self._inner, self._to_board)
            except BlockingIOError:
                self._loop.add_writer(self._inner, self._feed)
                return
            except OSError:  # the board is off
                self._to_board = b""
                break
            self._to_board = self._to_board[written:]
        if self._inner >= 0:
            self._loop.remove_writer(self._inner)


def _gives_way(pid: int) -> bool:
    return process.gives_way(pid) and _takes_interrupt(pid)


def _takes_interrupt(pid: int) -> bool:
    return process.handles(pid, signal.SIGINT)


def _terminal(name: str) -> tuple[int, str]:
    """A pseudo terminal for programs to open, by that name if it is free. The system gives out the
    first number that is: those before it are taken, and given back."""
    made: list[tuple[int, str]] = []
    while True:
        master, slave = os.openpty()
        tty.setraw(slave)
        made.append((master, os.ttyname(slave)))
        os.close(slave)
        if not name or made[-1][1] == name or len(made) == _NAMES_TRIED:
            break
    chosen = made[-1] if made[-1][1] == name else made[0]
    for master, _ in made:
        if master != chosen[0]:
            os.close(master)
    os.set_blocking(chosen[0], False)
    return chosen
