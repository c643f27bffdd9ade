"""The head of the journal: two files, written in turn, of which the newer good one counts.

    "TGJ1" · length u16 · numbers u32 x 10 (below) · whether a session is open u8 · that session
    the newest events, see records.py · CRC-32 of everything before               all big-endian

At most 512 bytes: littlefs then keeps the file inside its directory, and one write is one small
commit there. When the supply goes, a head is the old or the new one, whole; only one that is made
for the first time may be missing or empty then, `b` before `a` (seq 1 and 2). Any other that is not
whole, or not there, has been damaged: nobody knows whether it was the newer one.
"""

import binascii
import struct
from collections import namedtuple

from micropython import const

from firmware.journal import records

_MOST_BYTES = const(512)
_MAGIC = const(b"TGJ1")
_NUMBERS = const(">4sHIIIIIIIIIIB")
_NUMBERS_BYTES = const(47)
_OPEN = const(">IIIIQIII7sBHIB")
_OPEN_BYTES = const(51)
_CRC_BYTES = const(4)
_TOKEN = const(1 << 7)  # in `who`: there is one
_IS_A_DIRECTORY = const(21)  # EISDIR
_EMPTY = const(-1)  # instead of a sequence number
_DAMAGED = const(-2)

STOPS_MOST = const(255)
ROOM = const(410)  # bytes for events beside an open session

Open = namedtuple(
    "Open",
    (
        "n",
        "boot",
        "up",
        "t",
        "token",
        "group",
        "role",
        "by",
        "mwh",
        "last_boot",
        "last_up",
        "last_t",
        "t_min",  # where t is None: a time that was certainly past when it began, or None
        "stops",  # how often the board has stopped in it
    ),
)


class Head:
    """`files`: see files.py.

    What a head holds: `reserved`: numbers below it may have been used. `covers`: events below it
    are on the flash, and `open` is how they left it. `boot`. `acknowledged`: all events up to it
    are. `lost_routine`, `lost_sessions`. `behind`: events in the segments that are not
    acknowledged; `sessions`, `routine`: the last number in either. `open`: Open or None.
    """

    def __init__(self, files, folder: str):
        self._files = files
        self._folder = folder
        self._buffer = bytearray(_MOST_BYTES)
        self._seq = 0
        self.reserved = self.covers = self.boot = self.acknowledged = 0
        self.lost_routine = self.lost_sessions = 0
        self.behind = self.sessions = self.routine = 0
        self.open = None

    def read(self) -> tuple:
        """(events or None where there is no good head, what was damaged or None)"""
        a, b = self._load("a"), self._load("b")
        damaged = []
        if a == _DAMAGED or (a <= 0 and b > 1) or (a == _EMPTY and b != 1):
            damaged.append("a")
        if b == _DAMAGED or (b <= 0 and a):
            damaged.append("b")
        wrong = "head " + " and ".join(damaged) if damaged else None
        if a <= 0 and b <= 0:
            return None, wrong
        self._load("a" if a > b else "b")
        return self._unpack(), wrong

    def write(self, events: list) -> None:
        """Put a new head in the place of the older of the two. Raises OSError."""
        data = memoryview(self._buffer)[: self._pack(events)]
        path = self._path("ba"[self._seq & 1])
        try:
            file = self._files.open(path, "wb")
        except OSError as error:
            if error.errno != _IS_A_DIRECTORY:
                raise
            self._files.rename(path, path + ".old")
            file = self._files.open(path, "wb")
        with file:
            file.write(data)
        self._seq += 1

    def _path(self, slot):
        return f"{self._folder}/{slot}"

    def _load(self, slot):
        """Its sequence number, once all of it has proved right; 0: none is there."""
        data = self._buffer
        try:
            self._files.size(self._path(slot))
        except OSError:
            return 0
        try:
            with self._files.open(self._path(slot), "rb") as file:
                there = file.readinto(data)
        except OSError:
            return _DAMAGED
        magic, size, seq = struct.unpack_from(">4sHI", data)
        stop = size - _CRC_BYTES
        if not there:
            return _EMPTY
        if magic != _MAGIC or size != there or stop < _NUMBERS_BYTES:
            return _DAMAGED
        crc = binascii.crc32(memoryview(data)[:stop])
        return seq if crc == struct.unpack_from(">I", data, stop)[0] else _DAMAGED

    def _unpack(self):
        data = self._buffer
        (
            _,
            size,
            self._seq,
            self.reserved,
            self.covers,
            self.boot,
            self.acknowledged,
            self.lost_routine,
            self.lost_sessions,
            self.behind,
            self.sessions,
            self.routine,
            there,
        ) = struct.unpack_from(_NUMBERS, data)
        at = _NUMBERS_BYTES
        self.open = None
        if there:
            n, boot, up, t, mwh, last_boot, last_up, last_t, token, who, group, t_min, stops = (
                struct.unpack_from(_OPEN, data, at)
            )
            at += _OPEN_BYTES
            role, by = records.unpack_who(who)
            self.open = Open(
                n,
                boot,
                up,
                t or None,
                token if who & _TOKEN else None,
                group,
                role,
                by,
                mwh,
                last_boot,
                last_up,
                last_t or None,
                t_min or None,
                stops,
            )
        events = []
        stop = size - _CRC_BYTES
        view = memoryview(data)
        while at < stop:
            size = records.size_at(view, at, stop)
            if size <= 0:
                break
            events.append(bytes(view[at : at + size]))
            at += size
        return events

    def _pack(self, events):
        data = self._buffer
        size = _NUMBERS_BYTES + (_OPEN_BYTES if self.open else 0) + _CRC_BYTES
        for event in events:
            size += len(event)
        struct.pack_into(
            _NUMBERS,
            data,
            0,
            _MAGIC,
            size,
            self._seq + 1,
            self.reserved,
            self.covers,
            self.boot,
            self.acknowledged,
            self.lost_routine,
            self.lost_sessions,
            self.behind,
            self.sessions,
            self.routine,
            1 if self.open else 0,
        )
        at = _NUMBERS_BYTES
        if self.open:
            n, boot, up, t, token, group, role, by, mwh, last_boot, last_up, last_t = self.open[:-2]
            who = records.pack_who(role, by) or 0
            struct.pack_into(
                _OPEN,
                data,
                at,
                n,
                boot,
                up,
                t or 0,
                mwh,
                last_boot,
                last_up,
                last_t or 0,
                token or b"",
                who | (_TOKEN if token else 0),
                group,
                self.open.t_min or 0,
                min(STOPS_MOST, self.open.stops),
            )
            at += _OPEN_BYTES
        for event in events:
            data[at : at + len(event)] = event
            at += len(event)
        crc = binascii.crc32(memoryview(data)[:at])
        struct.pack_into(">I", data, at, crc)
        return at + _CRC_BYTES
