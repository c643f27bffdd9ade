"""What a charger tells the portal: its state, retained, its events, until acknowledged, and the
cards that the operator is to judge.
"""

import json
from time import ticks_diff

from micropython import const

from firmware.link.messages import sign

_STATE_EVERY_S = const(60)  # even where nothing has changed: uptime, memory, signal
_PAUSE_MS = const(250)  # between two states that flicker, and after what the link did not take
_IN_FLIGHT = const(4)
_TEXT_MOST = const(96)  # characters of one text in an event, so that a message always takes it


class Uplink:
    """Sends through `mqtt` as fast as it takes it: an event at each `send`, the state at most four
    times a second; call `send` every 50 ms.

    `journal`: the events. `state()`: the state message as a dict. `question`: what the operator is
    asked, until the link has taken it; it goes before everything else. `told`: a state message has
    gone out over this connection.
    """

    def __init__(self, key, topics, mqtt, journal, clock, state):
        self._key = key
        self._topics = topics
        self._mqtt = mqtt
        self._journal = journal
        self._clock = clock
        self._state = state
        self._due = True
        self._sent_up_s = 0
        self._told_pending = 0  # events not acknowledged, as last said: that there are none is news
        self._tried_ms = None  # when a state was last worked out
        self._refused_ms = None  # when the link last took no event
        self.question = None
        self.told = False

    def record(self, event: str, fields: dict) -> int:
        """An event for the operator: its time is that of now. Long texts in it are cut. Returns its
        number. In memory only: whoever records has more urgent things to do than to wait for flash.
        """
        for name, value in fields.items():
            if type(value) is str and len(value) > _TEXT_MOST:
                fields[name] = value[:_TEXT_MOST]
        clock = self._clock
        t = clock.exact()
        known = clock.now() if t is None else None
        return self._journal.add(event, fields, t, clock.up_s(), known)

    def reading(self, mwh: int) -> None:
        """The energy of the session that runs, to be stored."""
        clock = self._clock
        self._journal.reading(mwh, clock.exact(), clock.up_s())

    @property
    def linked(self) -> bool:
        """Whether a question can be asked at all."""
        return self._mqtt.connected

    def ask(self, token: str, state: str) -> int:
        """Put a card to the operator. Returns the number that the answer names."""
        clock = self._clock
        question = self._journal.header(clock.exact(), clock.up_s())
        question["token"] = token
        question["state"] = state
        self.question = question
        return question["n"]

    def changed(self) -> None:
        """The state message would read differently now."""
        self._due = True

    def connected(self) -> None:
        """A new connection: the broker knows nothing of what was on its way."""
        self._journal.link_lost()
        self.question = None  # too late: whoever asked has not waited
        self._due = True
        self.told = False
        self._tried_ms = self._refused_ms = None

    def send(self, now_ms: int) -> None:
        """Hand over what is due, as far as the link takes it. May raise MemoryError, and goes on
        where it was the next time.
        """
        if not self._mqtt.connected:
            return
        if self.question is not None:
            payload = sign(self._key, self._topics.authorise, self.question)
            if self._mqtt.publish(self._topics.authorise, payload, qos=1) is not None:
                self.question = None
        up_s = self._clock.up_s()
        pending = self._journal.pending
        due = self._due or up_s - self._sent_up_s >= _STATE_EVERY_S
        due = due or (not pending and self._told_pending)
        if due and not _lately(self._tried_ms, now_ms):
            self._tried_ms = now_ms
            payload = json.dumps(self._state())
            if self._mqtt.publish(self._topics.state, payload, retain=True, qos=1) is not None:
                self._due = False
                self.told = True
                self._sent_up_s = up_s
                self._told_pending = pending
        if self._journal.in_flight >= _IN_FLIGHT or _lately(self._refused_ms, now_ms):
            return
        # One and no more: signing and writing it take a board milliseconds that a tap may wait for.
        body = self._journal.unsent()
        if body is None:
            return
        if body["t"] is None and body["boot"] == self._journal.boot:
            t = self._clock.exact_at(body["up"])
            if t is not None:
                body["t"] = t
                body.pop("t_min", None)
        payload = sign(self._key, self._topics.event, body)
        packet_id = self._mqtt.publish(self._topics.event, payload, qos=1)
        if packet_id is None:
            self._refused_ms = now_ms
        else:
            self._journal.sent(body["n"], packet_id)


def _lately(then_ms, now_ms):
    # The ticks wrap: what lies days back may look like the future, but never like a moment ago.
    return then_ms is not None and 0 <= ticks_diff(now_ms, then_ms) < _PAUSE_MS
