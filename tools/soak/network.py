"""Everything at the other end of the charger's radio: name server, time server, broker; and what
goes wrong with them."""

from __future__ import annotations

import random
from collections.abc import Callable

from tools.soak.board import codes
from tools.soak.broker import Broker, Session

_DNS, _NTP = 53, 123
_1970_S = 2_208_988_800
_ADDRESS = bytes((192, 168, 4, 9))


class Network:
    """`wrong`: the names of what is wrong just now. `unix()`: the true time."""

    def __init__(self, broker: Broker, unix: Callable[[], float], chance: random.Random):
        self.broker = broker
        self._unix, self._chance = unix, chance
        self.wrong: set[str] = set()
        self._session: Session | None = None
        self._pending = bytearray()
        self._over = self._refused = False
        self.connections = 0

    def break_link(self) -> None:
        """Whatever stands is closed by the other side."""
        self._over = self._session is not None
        self._forget()

    def lose_link(self) -> None:
        """Whatever stands is dead, and nobody says so."""
        self._forget()

    def spoil(self) -> None:
        """The broker talks nonsense, in the middle of everything."""
        self._pending += self._chance.randbytes(64)

    def flags(self) -> int:
        return (
            (codes.READABLE if self._there() else 0)
            | (codes.OVER if self._over else 0)
            | (codes.STANDS if self._session or self._over else 0)
            | (codes.REFUSED if self._refused else 0)
        )

    def connect(self) -> None:
        self.close()
        if "radio" in self.wrong or "no route" in self.wrong:
            return  # it hangs
        if "broker" in self.wrong:
            self._refused = True
        else:
            self.connections += 1
            self._session = Session(self.broker)

    def send(self, data: bytes) -> bool:
        """Whether there was more in it than the charger's sign of life."""
        if self._session and "stalled" not in self.wrong:
            self._session.take(data)
            return not self._session.pings_only
        return False

    def receive(self, most: int) -> bytes:
        source = self._there()
        found = bytes(source[:most])
        del source[:most]
        return found

    def close(self) -> None:
        self._over = self._refused = False
        self._forget()
        self._pending.clear()

    def datagram(self, port: int, message: bytes) -> bytes | None:
        if "radio" in self.wrong:
            return None
        if port == _DNS:
            return None if "names" in self.wrong else _resolved(message)
        if port == _NTP and "time" not in self.wrong:
            return _time(message, self._unix() - (7_200 if "past" in self.wrong else 0))
        return None

    def _there(self) -> bytearray:
        if self._pending:
            return self._pending
        if self._session and not {"stalled", "radio"} & self.wrong:
            return self._session.out
        return bytearray()

    def _forget(self) -> None:
        self._session = self.broker.session = None


def _resolved(question: bytes) -> bytes:
    head = question[:2] + b"\x81\x80\x00\x01\x00\x01\x00\x00\x00\x00"
    answer = b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04" + _ADDRESS
    return head + question[12:] + answer


def _time(question: bytes, unix: float) -> bytes:
    answer = bytearray(48)
    answer[0], answer[1] = 0x24, 2
    answer[24:32] = question[40:48]
    stamp = int((unix + _1970_S) * (1 << 32)).to_bytes(8, "big")
    answer[32:40] = answer[40:48] = stamp
    return bytes(answer)
