"""Events waiting to be sent and acknowledged, in order, in bounded memory."""

from micropython import const

_LIMIT = const(24)  # some 6 KB, counted on 64 bit: a tap must find memory after a week offline

# Given up last when the room is full: people are billed from these.
_KEPT_LONGEST = const(("session_started", "session_ended"))


class Pending:
    """The queue between what happened and the broker's acknowledgement.

    `numbering` gives `boot` and `next()`. `lost` counts the events that found no room. An event is
    a dict as it goes out: `n`, `boot`, `t` (seconds since 1970 or None), `up` (seconds since the
    start), `event` and the event's own fields (DESIGN section 8).
    """

    def __init__(self, numbering, limit: int = _LIMIT):
        self._numbering = numbering
        self._limit = limit
        self._waiting = []  # events, oldest first
        self._in_flight = {}  # packet id -> n
        self.lost = 0

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def in_flight(self) -> int:
        """How many events are on their way, not yet acknowledged."""
        return len(self._in_flight)

    def add(self, event: str, fields: dict, t: int | None, up: int) -> None:
        """Take one event in. When full, the oldest routine event goes first, a session's last.
        What finds no memory is lost and counted: whoever reports has more important things to do.
        """
        if len(self._waiting) >= self._limit:
            self._make_room()
        try:
            body = self.header(t, up)
            body["event"] = event
            body.update(fields)
            self._waiting.append(body)
        except MemoryError:
            self.lost += 1

    def header(self, t: int | None, up: int) -> dict:
        """What each message that is numbered begins with; the number is used up."""
        numbering = self._numbering
        return {"n": numbering.next(), "boot": numbering.boot, "t": t, "up": up}

    def unsent(self) -> dict | None:
        """The oldest event that is not on its way, or None."""
        on_its_way = self._in_flight.values()
        for body in self._waiting:
            if body["n"] not in on_its_way:
                return body
        return None

    def sent(self, n: int, packet_id: int) -> None:
        self._in_flight[packet_id] = n

    def acknowledged(self, packet_id: int) -> None:
        """The broker has it: only now is it forgotten. Unknown packet ids are ignored."""
        n = self._in_flight.pop(packet_id, None)
        if n is not None:
            self._waiting = [body for body in self._waiting if body["n"] != n]

    def link_lost(self) -> None:
        """What was on its way is sent again: an event may arrive twice, but never not at all."""
        self._in_flight.clear()

    def _make_room(self) -> None:
        self.lost += 1
        for i, body in enumerate(self._waiting):
            if body["event"] not in _KEPT_LONGEST:
                del self._waiting[i]
                return
        del self._waiting[0]
