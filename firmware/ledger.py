"""What goes on record of a session: its beginning, its end, and what it has taken in between.

People are billed by it. So whatever finds no memory is owed, and recorded later, in its order.
"""

import binascii

from micropython import const

from firmware.clock import EPOCH_2024

# The energy of a session is stored and told when it has changed; in seconds, and mWh.
_STORE_S = const(55)  # a round of the tasks more, and it is still within a minute
_STORE_AGAIN_S = const(10)
_STORE_MWH = const(100_000)
_TELL_S = const(30)


class Ledger:
    """`uplink`: takes the records and the readings (uplink.py).

    `began`: (minutes since 2024 or None, clock set) when the session that runs began; None: none
    runs. `torn`: a beginning or an end could not even be taken down. Only a new start helps: it
    finds in the journal the session as it is there.
    """

    def __init__(self, meter, clock, uplink):
        self._meter = meter
        self._clock = clock
        self._uplink = uplink
        self._owed = []  # (event, fields) not recorded yet
        self._number = None  # of the first record of the session recorded last
        self._base_mwh = 0  # on the meter when the session that runs began
        self._up_s = None  # when that was; None: in an earlier life of the board, at
        self._start = None  # this time
        self._stored_s = self._stored_pulses = self._stored_mwh = 0
        self._told_s = self._told_pulses = 0
        self.began = None
        self.torn = False

    def record(self, event: str, fields: dict) -> None:
        """session_started, session_resumed or session_ended; `token` in bytes. Raises MemoryError
        where it is owed, or `torn`.
        """
        try:
            self._take_down(event, fields)
        except MemoryError:
            self.torn = event != "session_resumed"
            raise
        self._pay()

    def settle(self) -> None:
        """Record what is owed, if there is memory by now."""
        try:
            self._pay()
        except MemoryError:
            pass

    def resume(self, left, start: int | None) -> None:
        """The session that was cut short (`journal.Open`) goes on; `start`: of `start_of`."""
        self._number = left.n
        self._up_s = None
        self._start = start
        self._begin(self._meter.mwh - left.mwh, left.mwh, (minutes(start), start is not None))

    def cut_short(self, left, start: int | None, reason: str) -> None:
        """It does not go on: its last reading is all that is known."""
        self.began = None
        self._number = left.n
        fields = {"token": hex_of(left.token), "role": left.role, "by": left.by}
        fields["reason"] = reason
        fields["start"], fields["end"] = start, left.last_t
        fields["wh"] = left.mwh // 1_000
        fields["last_boot"], fields["last_up"] = left.last_boot, left.last_up
        self._owed.append(("session_ended", fields))
        self.settle()

    def shown(self, holder: tuple) -> dict | None:
        """The session that runs, for the state message; None when there is none."""
        if self.began is None:
            return None
        token, _, role, by = holder
        n = None if self._owed else self._number
        shown = {"n": n, "token": hex_of(token), "role": role, "by": by, "start": self._started()}
        shown["wh"] = self._mwh() // 1_000
        return shown

    def store(self) -> None:
        """Store what the session that runs has taken so far, once its beginning is recorded."""
        if self.began is not None and not self._owed:
            mwh = self._mwh()
            self._uplink.reading(mwh)
            self._noted(mwh)

    def follow(self) -> None:
        """Store and tell what has been taken, where that is due."""
        if self.began is None:
            return
        up_s, pulses = self._clock.up_s(), self._meter.pulses
        still_s = up_s - self._stored_s
        if (
            pulses != self._stored_pulses
            and still_s >= _STORE_AGAIN_S
            and (still_s >= _STORE_S or self._mwh() - self._stored_mwh >= _STORE_MWH)
        ):
            self.store()
        if pulses != self._told_pulses and up_s - self._told_s >= _TELL_S:
            self._told_s, self._told_pulses = up_s, pulses
            self._uplink.changed()

    def _take_down(self, event, fields):
        clock = self._clock
        if event == "session_started":
            self._up_s = clock.up_s()
            self._start = None
            self._begin(self._meter.mwh, 0, (clock.minutes(), clock.is_set))
        else:
            fields["wh"] = self._mwh() // 1_000
        if event == "session_ended":
            fields["start"], fields["end"] = self._started(), clock.exact()
        self._owed.append((event, fields))
        if event == "session_ended":
            self.began = None

    def _pay(self):
        while self._owed:
            event, fields = self._owed[0]
            if type(fields.get("token")) is bytes:  # only now: what is owed is taken down first
                fields["token"] = hex_of(fields["token"])
            if event != "session_started":
                fields["session"] = self._number
            n = self._uplink.record(event, fields)
            if event == "session_started":
                self._number = n
            del self._owed[0]

    def _begin(self, base_mwh, mwh, began):
        self._base_mwh = base_mwh
        self._noted(mwh)
        self._told_s, self._told_pulses = self._stored_s, self._stored_pulses
        self.began = began

    def _noted(self, mwh):
        self._stored_s = self._clock.up_s()
        self._stored_pulses = self._meter.pulses
        self._stored_mwh = mwh

    def _mwh(self):
        return self._meter.mwh - self._base_mwh

    def _started(self):
        """The clock may have been set since it began."""
        if self._up_s is None:
            return self._start
        return self._clock.exact_at(self._up_s)


def start_of(left) -> int | None:
    """When the session that was cut short began, so far as that is known: a clock that was not set
    then may have been at its last reading."""
    if left.t is None and left.last_t is not None and left.last_boot == left.boot:
        return left.last_t - (left.last_up - left.up)
    return left.t


def minutes(t: int | None) -> int | None:
    """As the allow-list counts them."""
    return None if t is None else (t - EPOCH_2024) // 60


def hex_of(token) -> str | None:
    return None if token is None else binascii.hexlify(token).decode()
