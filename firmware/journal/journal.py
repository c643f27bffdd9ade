"""What has happened, on flash before it is sent and kept until it is acknowledged.

    journal/a, b      the head: numbers, the session that runs, the newest events (head.py)
    journal/s…, r…    older events that nobody has acknowledged: of sessions, and all others
                      (segments.py)

One write of the head holds together what belongs together: the end of a session is on the flash in
the same write that says that none runs. Online nothing else is ever written. What does not fit into
the head is appended to the segments first; when the supply goes in between, an event lies in both
places, and counts once.
"""

import os
from time import ticks_diff

from micropython import const

from firmware.files import Files
from firmware.journal import records
from firmware.journal.head import ROOM, STOPS_MOST, Head, Open
from firmware.journal.numbers import Numbers
from firmware.journal.segments import Segments

_BLOCK_BYTES = const(4_096)
# littlefs keeps some 44 bytes of its own in the first 8 blocks of a file. 65 bytes a session: 500
# of them in a file, and when the oldest is given up there are still 10,000.
_SESSION_FILES = const(21)
_SESSION_BYTES = const(32_700)
_ROUTINE_FILES = const(4)
_ROUTINE_BYTES = const(8_180)
_SPARE_BLOCKS = const(24)  # that others need while the sessions take what is free

_ACKNOWLEDGED_MS = const(60_000)  # a write for acknowledgements alone may wait so long,
_ACKNOWLEDGED = const(16)  # or until they are so many
_AGAIN_MS = const(5_000)  # after a write that failed
# Routine events alone may cause so many writes at once, and then one in this time: a flood of them
# must not wear the flash out.
_BURST = const(60)
_REFILL_MS = const(1_000)

_EVENTS = const(24)  # held in memory at most, and
_EVENT_BYTES = const(3_000)

_NO_ROOM = const(28)  # ENOSPC
_SESSIONS_NEXT = const(1)
_ROUTINE_NEXT = const(2)
_HEAD_NEXT = const(3)


class Journal:
    """`folder`: its own. `files`: see files.py. `random(n)`: n bytes.

    After `load`: `boot`: the number of this start. `open`: the session that runs (Open), with its
    last stored reading, or None. `pending`: events not acknowledged. `full`: percent of the room
    for sessions. `lost_routine`, `lost_sessions`: events given up, of either kind. `stored`: the
    last write has worked; while it has not, events go out from memory all the same. `make_room()`:
    asked once when the flash is full, before anything is given up. Nothing here raises for what the
    flash does.
    """

    def __init__(self, folder: str, files=None, random=os.urandom):
        self._files = files or Files()
        self._folder = folder
        self._head = Head(self._files, folder)
        self._numbers = Numbers(random)
        self._sessions = self._stream("s", _SESSION_FILES, _SESSION_BYTES)
        self._routine = self._stream("r", _ROUTINE_FILES, _ROUTINE_BYTES)
        self._recent = []  # records that are in no segment, oldest first
        self._in_flight = {}  # packet id -> n
        self._sent = 0  # all up to here are on their way or acknowledged
        self._behind = 0  # records in segments that are not acknowledged
        self._room = _SESSION_FILES * _SESSION_BYTES
        self._new_reading = None
        # What the flash does not have yet.
        self._urgent = self._new_routine = False
        self._acknowledged = 0
        self._step = 0
        self._asked = self._cramped = False
        self._written_ms = self._failed_ms = self._refilled_ms = None
        self._allowance = _BURST
        self._look = True  # there may be something to send
        self.make_room = None
        self.open = None
        self.lost_routine = self.lost_sessions = 0
        self.stored = True

    def load(self, alive=lambda: None) -> str | None:
        """Read what the flash holds; what was damaged, or None. `alive()` is called all the time:
        it may take seconds. A session that runs counts this stop of the board before anything else
        can happen: what goes on in it may make the board stop at once.
        """
        wrong = []
        names = self._names(wrong)
        head = self._head
        events, damage = head.read()
        if damage:
            wrong.append(damage)
        self.open = head.open
        self.lost_routine, self.lost_sessions = head.lost_routine, head.lost_sessions
        self._sent = head.acknowledged
        self._behind = head.behind
        numbers = self._numbers
        numbers.boot = head.boot
        for stream in (self._sessions, self._routine):
            torn = stream.load(names, self._found, alive)
            if torn:
                wrong.append(torn)
            stream.start_after(self._sent, alive)
        for record in events or ():
            stream = self._stream_of(record)
            if records.number(record) > max(stream.last, self._sent):
                self._recent.append(record)
        if self._sessions.at_end and self._routine.at_end:
            self._behind = 0
        lowest = max(self._sessions.last, self._routine.last) + 1
        if events is None and lowest > 1 and not damage:
            wrong.append("head a and b")  # there were no segments before there was a head
        numbers.begin(lowest, head.reserved, events is not None, bool(wrong))
        self._measure()
        if self.open is not None:
            # Nobody knows whether the session's end was in what was damaged: it goes on no more,
            # at no later start either.
            self.open = Open(*self.open[:-1], STOPS_MOST if wrong else self.open.stops + 1)
        self._try_first_write()
        return "; ".join(wrong) or None

    # What happens.

    def add(
        self, event: str, fields: dict, t: int | None, up: int, t_min: int | None = None
    ) -> int:
        """Take one event in, and give it a number. In memory only, until `flush`.

        t: seconds since 1970, or None where the clock is not set; `t_min` then is a time that is
        certainly past. `session_started` makes `open` from its fields, `session_ended` clears it.
        Raises MemoryError for a session's beginning and end: nothing has changed then. Other events
        are counted as lost.
        """
        n = self._numbers.take(self.stored)
        session = event in (records.STARTED, records.ENDED)
        opened = None
        try:
            record = records.encode(n, self.boot, event, fields, t, up, t_min)
            if session:
                opened = self._opened(record, self.boot)
            self._wait(record)
        except MemoryError:
            if session:
                raise
            self._lose(False)
        if session:
            self.open = opened
            self._new_reading = None
            self._urgent = True
        else:
            self._new_routine = True
        if not self.stored:
            self._look = True
        return n

    def reading(self, mwh: int, t: int | None, up: int) -> None:
        """The energy of the running session by now: one write, so call it now and then."""
        if self.open is not None:
            self._new_reading = (mwh, self.boot, up, t)  # as in Open

    def header(self, t: int | None, up: int) -> dict:
        """What a question to the operator begins with; its number is used up."""
        return {"n": self._numbers.take(self.stored), "boot": self.boot, "t": t, "up": up}

    def flush(self, now_ms: int, last: bool = False) -> None:
        """Write what is due, one thing at a time: call it every 50 ms. Most calls find nothing.
        last: the board is about to stop, and acknowledgements wait no longer."""
        if last:
            self._written_ms = None
        if not self.stored and _lately(self._failed_ms, now_ms, _AGAIN_MS):
            return
        if self._sessions.overfull:
            self._drop_oldest(self._sessions)
        if self._routine.overfull:
            self._drop_oldest(self._routine)
        if not self._step and not self._is_due(now_ms):
            if len(self._sessions) or len(self._routine):
                self._tidy()
            return
        try:
            self._write(now_ms)
        except OSError as error:
            self._failed(error.errno == _NO_ROOM, now_ms)
        except MemoryError:
            self._failed(False, now_ms)

    # What is sent.

    def unsent(self) -> dict | None:
        """The oldest event that is on the flash, not acknowledged and not on its way, or None. May
        raise MemoryError, and finds it the next time."""
        while self._look:
            best = self._oldest()
            if best is None:
                return None
            n, record, base = best
            try:
                if base is None:
                    boot = records.boot_until(self.boot, record)
                else:
                    boot = records.boot_since(base, record)
                return records.decode(record, boot)
            except ValueError:  # written by something else
                self._lose(records.is_session(record))
                self.sent(n, -n)
                self.acknowledged(-n)
        return None

    def sent(self, n: int, packet_id: int) -> None:
        """Event `n` is on its way."""
        self._in_flight[packet_id] = n
        for stream in (self._sessions, self._routine):
            if stream.n == n:
                stream.take(self._acknowledged_up_to)
        self._sent = max(self._sent, n)

    def acknowledged(self, packet_id: int) -> None:
        """The broker has it: only now is it forgotten. Unknown packet ids are ignored."""
        n = self._in_flight.pop(packet_id, None)
        if n is None:
            return
        self._acknowledged += 1
        up_to = self._acknowledged_up_to
        self._sessions.forget(up_to)
        self._routine.forget(up_to)
        for i, record in enumerate(self._recent):
            if records.number(record) == n:
                del self._recent[i]
                return
        self._behind = max(0, self._behind - 1)

    def holds(self, n: int) -> bool:
        """Whether event `n` is on the flash, or has been."""
        return n < self._head.covers

    def link_lost(self) -> None:
        """What was on its way is sent again: an event may arrive twice, but never not at all."""
        self._sent = self._acknowledged_up_to
        self._in_flight.clear()
        self._sessions.rewind()
        self._routine.rewind()
        self._look = True

    # What is shown.

    @property
    def boot(self) -> int:
        return self._numbers.boot

    @property
    def pending(self) -> int:
        return len(self._recent) + self._behind

    @property
    def in_flight(self) -> int:
        """How many events are on their way, not yet acknowledged."""
        return len(self._in_flight)

    @property
    def full(self) -> int:
        if self._cramped:
            return 100
        return min(100, self._sessions.bytes * 100 // self._room)

    @property
    def _acknowledged_up_to(self):
        """All events up to this number are acknowledged."""
        oldest = self._sent + 1
        for n in self._in_flight.values():
            oldest = min(oldest, n)
        return oldest - 1

    # --- events in memory -------------------------------------------------------------------------

    def _stream(self, letter, files, size):
        return Segments(self._files, self._folder, letter, files, size)

    def _stream_of(self, record):
        return self._sessions if records.is_session(record) else self._routine

    def _lose(self, session, count=1):
        if session:
            self.lost_sessions += count
        else:
            self.lost_routine += count

    def _wait(self, record):
        """Take a record in. Where too much is waiting for the flash already, the oldest routine
        event goes, a session's last, and never for a routine one."""
        recent = self._recent
        session = records.is_session(record)
        while len(recent) >= _EVENTS or self._bytes() + len(record) > _EVENT_BYTES:
            oldest = _oldest_routine(recent)
            if oldest is None and not session:
                self._lose(False)
                return
            self._lose(oldest is None)
            del recent[oldest or 0]
        recent.append(record)

    def _bytes(self):
        size = 0
        for record in self._recent:
            size += len(record)
        return size

    def _opened(self, record, boot):
        """What a session's event makes of `open`."""
        try:
            body = records.decode(record, boot)
        except ValueError:
            return self.open
        if body["event"] == records.ENDED:
            return None
        t, up = body["t"], body["up"]
        token, group = records.token_bytes(body.get("token")), body.get("group")
        role, by = body.get("role"), body.get("by")
        if records.pack_who(role, by) is None:
            role, by = None, "card"
        group = group if type(group) is int else 0
        t_min = body.get("t_min")
        return Open(body["n"], boot, up, t, token, group, role, by, 0, boot, up, t, t_min, 0)

    def _oldest(self):
        """(n, record, base of its boot) of what is to be sent next, or None."""
        after = self._sent
        up_to = self._acknowledged_up_to
        best = None
        lowest = 0
        for stream in (self._sessions, self._routine):
            if stream.at_end:
                continue
            record = stream.peek(after, up_to)
            if stream.damaged:
                self._lose(stream is self._sessions, stream.damaged)
                stream.damaged = 0
            if record is None:
                if not stream.at_end:
                    return None  # it goes on searching
            elif best is None or stream.n < lowest:
                lowest = stream.n
                best = (lowest, record, stream.base)
        for record in self._recent:
            n = records.number(record)
            if n > after:
                if best is None or n < lowest:
                    if self.stored and n >= self._head.covers:
                        return None  # until it is on the flash
                    return n, record, None
                break
        if best is None:
            self._look = False
            self._behind = self._behind_in_flight()
        return best

    def _behind_in_flight(self):
        """All that the segments still hold is on its way."""
        here = [records.number(record) for record in self._recent]
        return sum([1 for n in self._in_flight.values() if n not in here])

    # --- the flash --------------------------------------------------------------------------------

    def _names(self, wrong):
        files, folder = self._files, self._folder
        try:
            files.make(folder)
            return files.names(folder)
        except OSError as error:
            wrong.append(str(error))
        try:
            files.remove(folder)  # a file
            files.make(folder)
        except OSError:
            pass
        return ()

    def _found(self, record, boot):
        """One record of a newest segment: the head may know of it, or not."""
        head = self._head
        session = records.is_session(record)
        n = records.number(record)
        if n > (head.sessions if session else head.routine):
            self._behind += 1
        if boot is None:
            boot = self.boot
        elif boot > self.boot:
            self._numbers.boot = boot
        if session and n >= head.covers:
            self.open = self._opened(record, boot)

    def _measure(self):
        """How much room there is for sessions: they share it with all else."""
        self._cramped = False
        self._room = _SESSION_FILES * _SESSION_BYTES
        if not len(self._sessions):
            return
        try:
            free = self._files.free(self._folder) - _SPARE_BLOCKS * _BLOCK_BYTES
        except OSError:
            return
        self._room = max(1, min(self._room, self._sessions.bytes + max(0, free)))

    def _try_first_write(self):
        """So that neither this start's number nor any of its events' can come again."""
        try:
            self._write_head(self._recent)
        except (OSError, MemoryError):
            self.stored = False
            self._numbers.begin_unwritten()
        self._urgent = not self.stored

    def _is_due(self, now_ms):
        if self._urgent or self._numbers.low or self._new_reading or not self.stored:
            return True
        if self._new_routine and self._may_write(now_ms):
            return True
        return self._acknowledged >= _ACKNOWLEDGED or (
            self._acknowledged > 0 and not _lately(self._written_ms, now_ms, _ACKNOWLEDGED_MS)
        )

    def _may_write(self, now_ms):
        if not _lately(self._refilled_ms, now_ms, _REFILL_MS):
            if self._refilled_ms is not None:
                passed = ticks_diff(now_ms, self._refilled_ms) // _REFILL_MS
                self._allowance = min(_BURST, self._allowance + max(1, passed))
            self._refilled_ms = now_ms
        return self._allowance > 0

    def _write(self, now_ms):
        """One step: the sessions to their segment, the rest to theirs, and last the head."""
        if not self._step and self._bytes() > ROOM:
            self._step = _SESSIONS_NEXT
        if self._step == _SESSIONS_NEXT and self._spill(self._sessions):
            return
        if self._step == _ROUTINE_NEXT and self._spill(self._routine):
            return
        if self._bytes() > ROOM:  # more has come meanwhile
            self._step = _SESSIONS_NEXT
            return
        self._write_head(self._recent)
        self._step = 0
        if self._new_routine and self._allowance:
            self._allowance -= 1
        self._written_ms = now_ms
        self._nothing_new()
        self.stored = True

    def _nothing_new(self):
        self._urgent = self._new_routine = False
        self._acknowledged = 0

    def _spill(self, stream):
        """Whether there was something to do. Once all is done, the next step has its turn."""
        batch = [record for record in self._recent if self._stream_of(record) is stream]
        if not batch:
            self._step += 1
            return False
        begins = stream.begins_file(batch)
        stream.append(batch, self.boot)
        self._step += 1
        self._recent = [record for record in self._recent if self._stream_of(record) is not stream]
        self._behind += len(batch)
        self._look = True
        self._asked = False
        if self._cramped or (begins and stream is self._sessions):
            self._measure()
        return True

    def _tidy(self):
        """Remove a file of which the head on the flash says that nothing is needed."""
        for stream in (self._sessions, self._routine):
            if stream.done_with(self._head.acknowledged):
                stream.remove_oldest()
                self._measure()
                return

    def _drop_oldest(self, stream):
        lost = stream.drop_oldest(self._acknowledged_up_to)
        if lost is not None:
            self._lose(stream is self._sessions, lost)
            self._behind = max(0, self._behind - lost)

    def _write_head(self, events):
        head = self._head
        last = self.open
        if last is not None and self._new_reading is not None:
            last = Open(*(last[:8] + self._new_reading + last[12:]))
        head.open = last
        numbers = self._numbers
        before = head.covers, head.acknowledged
        head.covers = numbers.next
        head.reserved = numbers.to_reserve()
        head.boot = self.boot
        head.acknowledged = self._acknowledged_up_to
        head.lost_routine, head.lost_sessions = self.lost_routine, self.lost_sessions
        head.behind = self._behind
        head.sessions, head.routine = self._sessions.last, self._routine.last
        try:
            head.write(events)
        except (OSError, MemoryError):
            head.covers, head.acknowledged = before
            raise
        self.open = last
        self._new_reading = None
        numbers.written(head.reserved)
        self._look = True

    def _failed(self, full, now_ms):
        """The flash did not take it: make room, or keep at least what fits into the head."""
        step = self._step
        if full:
            self._cramped = True
            if self._made_room():
                return  # and try again at the next call
        self.stored = False
        self._look = True
        self._failed_ms = now_ms
        self._step = 0
        anything_new = self._urgent or self._new_routine or self._new_reading or self._numbers.low
        if step in (_SESSIONS_NEXT, _ROUTINE_NEXT) and anything_new:
            try:
                self._write_head(_most_important(self._recent))
                self._nothing_new()
            except (OSError, MemoryError):
                pass  # tried again later

    def _made_room(self):
        """Whether something has been given up: a draft, routine events, and last sessions."""
        if not self._asked and self.make_room is not None:
            self._asked = True
            self.make_room()
        elif len(self._routine):
            self._drop_oldest(self._routine)
        elif self._step == _ROUTINE_NEXT:
            waiting = len(self._recent)
            self._recent = [record for record in self._recent if records.is_session(record)]
            self._lose(False, waiting - len(self._recent))
        elif len(self._sessions) > 1:
            self._drop_oldest(self._sessions)
        else:
            return False
        return True


def _oldest_routine(recent):
    """Its place, or None."""
    for i, record in enumerate(recent):
        if not records.is_session(record):
            return i
    return None


def _most_important(recent):
    """What fits into the head: the newest sessions' events, then the newest others."""
    room = ROOM
    chosen = set()
    for session in (True, False):
        for i in range(len(recent) - 1, -1, -1):
            size = len(recent[i])
            if records.is_session(recent[i]) is session and size <= room:
                room -= size
                chosen.add(i)
    return [recent[i] for i in sorted(chosen)]


def _lately(then_ms, now_ms, within_ms):
    # The ticks wrap: what lies days back may look like the future, but never like a moment ago.
    return then_ms is not None and 0 <= ticks_diff(now_ms, then_ms) < within_ms
