"""The head of the journal: two files, written in turn, of which the newer good one counts.

    "TGJ1" · length u16 · numbers u32 x 10 (below) · whether a session is open u8 · that session
    the newest events, see records.py · CRC-32 of everything before               all big-endian

At most 512 bytes: littlefs then keeps the file inside its directory, and one write is one small
commit there. A file that is too short was cut off when it was about to be written, which littlefs
allows only before the first byte: it counts for nothing, and is no damage.
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
    `alone`: there is no good other head, although there was one.
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
        self.alone = False

    def read(self) -> tuple:
        """(events or None where there is no good head, what was damaged or None)"""
        damaged = []
        best = seq = 0
        alone = False
        for slot in "ab":
            found = self._load(slot)
            alone = alone or found <= 0
            if found < 0:
                damaged.append(slot)
            elif found > seq:
                best, seq = slot, found
        wrong = "head " + " and ".join(damaged) if damaged else None
        if not best:
            return None, wrong
        self._load(best)
        self.alone = alone and seq > 1
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
        """Its sequence number, once all of it has proved right; 0: none is there, -1: damaged."""
        data = self._buffer
        try:
            self._files.size(self._path(slot))
        except OSError:
            return 0
        try:
            with self._files.open(self._path(slot), "rb") as file:
                there = file.readinto(data)
        except OSError:
            return -1
        magic, size, seq = struct.unpack_from(">4sHI", data)
        stop = size - _CRC_BYTES
        if not there or (magic == _MAGIC and there < size):
            return 0
        if magic != _MAGIC or size != there or stop < _NUMBERS_BYTES:
            return -1
        crc = binascii.crc32(memoryview(data)[:stop])
        return seq if crc == struct.unpack_from(">I", data, stop)[0] else -1

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
