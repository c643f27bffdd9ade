"""The bytes between this computer and a board: a serial port that says in one line what is wrong
with it, and mpremote's raw REPL on top.

No read waits for ever, and nothing is lost of what the board says without being asked.
"""

import contextlib
import errno
import math
import os
import time
from collections.abc import Callable
from typing import Any

import serial
from mpremote.transport import TransportError
from mpremote.transport_serial import SerialTransport
from serial.tools import list_ports

from tools.portal.refusal import Refusal

BAUD = 115_200  # what MicroPython's console has on an ESP32
ANSWER_S = 10.0
_WRITE_S = 10.0
_LOOK_S = 0.005
_TAIL_BYTES = 4_096
_PULSE_S = 0.1


class NoPort(Refusal):
    """There is no port of that name, or it is none."""


class PortBusy(Refusal):
    """Another program has it open."""


class NoPermission(Refusal):
    """This user may not open it."""


class Dropped(Refusal):
    """It was there, and is gone in mid-work."""


class Cable:
    """An open port, with the few methods of pyserial's that mpremote's transport uses. `sent` and
    `received`: bytes so far. `tail`: the last of what came. `unfinished`: what `lines` has kept."""

    def __init__(self, port: str):
        self.port = port
        self.sent = self.received = 0
        self.tail = self.unfinished = b""
        self._waiting = b""
        self._serial: Any = opened(port, BAUD, timeout=0, write_timeout=_WRITE_S)

    # what the transport uses

    def inWaiting(self) -> int:
        self._take()
        return len(self._waiting)

    def read(self, size: int) -> bytes:
        """Exactly so many bytes; TransportError if they do not come in time."""
        end = time.monotonic() + ANSWER_S
        while self.inWaiting() < size:
            if time.monotonic() >= end:
                raise TransportError("no answer")
            time.sleep(_LOOK_S)
        found, self._waiting = self._waiting[:size], self._waiting[size:]
        return found

    def write(self, data: bytes) -> None:
        try:
            self._serial.write(data)
        except serial.SerialTimeoutException:
            raise TransportError("it takes nothing") from None
        except OSError:  # pyserial's own errors are such, too
            raise self._dropped() from None
        self.sent += len(data)

    def close(self) -> None:
        try:
            # In this order no board with the usual two transistors is reset by it.
            self._serial.rts = False
            self._serial.dtr = False
        except OSError:  # a port without these lines, or one that is gone
            pass
        try:
            self._serial.close()
        except OSError:
            pass

    # what else there is to it

    def until(
        self,
        ending: bytes,
        within_s: float,
        consumer: Callable[[bytes], object] | None = None,
        most_s: float = math.inf,
    ) -> bytes:
        """What comes, up to and with `ending`; without it if nothing has come for so long, or
        nothing but other things in all of `most_s`."""
        data = b""
        began = last = time.monotonic()
        while True:
            if self.inWaiting():
                last = time.monotonic()
                start = max(0, len(data) - len(ending) + 1)
                at = (data + self._waiting).find(ending, start)
                size = len(self._waiting) if at < 0 else at + len(ending) - len(data)
                part, self._waiting = self._waiting[:size], self._waiting[size:]
                if consumer:
                    consumer(part)
                    data = part
                else:
                    data += part
                if at >= 0:
                    return data
            elif time.monotonic() - last >= within_s:
                return data
            else:
                time.sleep(_LOOK_S)
            if time.monotonic() - began >= most_s:
                return data

    def rest(self) -> bytes:
        """What has come and was not read."""
        self._take()
        found, self._waiting = self._waiting, b""
        return found

    def type(self, data: bytes) -> None:
        """For the program that runs there."""
        try:
            self.write(data)
        except TransportError:
            pass  # it takes nothing: it will not answer either

    def lines(self) -> list[str]:
        """The whole lines that have come since the last time. Does not wait."""
        *whole, unfinished = (self.unfinished + self.rest()).split(b"\n")
        self.unfinished = unfinished[-_TAIL_BYTES:]
        return [line.decode(errors="replace").strip() for line in whole]

    def pulse_reset(self) -> bool:
        """Pull the board's EN line by RTS, as the boards' own USB converters have it wired. False
        where the port has no such line."""
        try:
            self._serial.dtr = False
            self._serial.rts = True
            time.sleep(_PULSE_S)
            self._serial.rts = False
        except OSError:
            return False
        return True

    def _take(self) -> None:
        try:
            waiting = self._serial.in_waiting
            data = self._serial.read(waiting) if waiting else b""
            if not waiting and not os.path.exists(self.port) and "://" not in self.port:
                raise OSError
        except (OSError, TypeError):  # pyserial trips over a descriptor that is closed under it
            raise self._dropped() from None
        if data:
            self.received += len(data)
            self._waiting += data
            self.tail = (self.tail + data)[-_TAIL_BYTES:]

    def _dropped(self) -> Dropped:
        return Dropped(
            f"the board has gone from {self.port}: the cable was pulled, or the supply is weak; "
            "plug it in again and repeat"
        )


class RawRepl(SerialTransport):
    """mpremote's raw REPL over a Cable: the same bytes, with our port and our patience."""

    def __init__(self, cable: Cable):
        self.in_raw_repl = False
        self.use_raw_paste = True
        self.device_name = cable.port
        self.mounted = False
        self.is_pty = False
        self.serial = cable

    def exec_raw_no_follow(self, command):
        with contextlib.redirect_stdout(None):  # where it fails it prints what it has read
            super().exec_raw_no_follow(command)

    def read_until(
        self, min_num_bytes, ending, timeout=ANSWER_S, data_consumer=None, timeout_overall=None
    ):
        return self.serial.until(ending, ANSWER_S if timeout is None else timeout, data_consumer)


def opened(port: str, baud: int, **waits: float) -> Any:
    """pyserial's object, for us alone. `waits`: its own. NoPort, PortBusy or NoPermission."""
    alone: dict[str, Any] = {} if "://" in port else {"exclusive": True}
    try:
        return serial.serial_for_url(port, baudrate=baud, **waits, **alone)
    except ValueError as error:
        raise NoPort(f"{port}: {error}; {_ports()}") from None
    except OSError as error:
        raise _not_opened(port, error) from None


def _not_opened(port: str, error: OSError) -> Refusal:
    if error.errno in (errno.EAGAIN, errno.EBUSY):
        return PortBusy(
            f"{port} is in use by another program: a serial monitor, mpremote, or another "
            "'tapgate'; end that one first"
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return NoPermission(f"you may not use {port}; {_who_may(port)}")
    if error.errno in (errno.ENOENT, errno.ENXIO, errno.ENODEV):
        return NoPort(f"there is no port {port}; {_ports()}")
    if error.errno is None and "configure" in str(error):
        return NoPort(f"{port} is no serial port; {_ports()}")
    return NoPort(f"{port} cannot be opened ({error.strerror or error}); {_ports()}")


def _ports() -> str:
    """What there is to choose from."""
    found = [each for each in list_ports.comports() if each.vid is not None]
    if not found:
        return (
            "no board is seen at this computer's USB: is its cable one for data, and its lamp on?"
        )
    return "found: " + ", ".join(f"{each.device} ({each.description})" for each in found)


def _who_may(port: str) -> str:
    try:
        import grp

        name = grp.getgrgid(os.stat(port).st_gid).gr_name
    except (ImportError, KeyError, OSError):
        return "give your user the right to it"
    return f"'sudo usermod -aG {name} $USER', log out and in again"
