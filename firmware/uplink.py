"""What a charger tells the portal: its state, retained, and its events, until acknowledged."""

import json

from micropython import const

from firmware.link.messages import sign

STATE_EVERY_S = const(60)  # even where nothing has changed: uptime, memory, signal
_IN_FLIGHT = const(4)


class Uplink:
    """Sends through `mqtt` as fast as it takes it; call `send` a few times a second.

    `pending`: the events. `state()`: the state message as a dict.
    """

    def __init__(self, key, topics, mqtt, pending, clock, state):
        self._key = key
        self._topics = topics
        self._mqtt = mqtt
        self._pending = pending
        self._clock = clock
        self._state = state
        self._due = True
        self._sent_up_s = 0

    def record(self, event: str, fields: dict) -> None:
        """An event for the operator: its time is that of now."""
        clock = self._clock
        self._pending.add(event, fields, clock.exact(), clock.up_s())

    def changed(self) -> None:
        """The state message would read differently now."""
        self._due = True

    def connected(self) -> None:
        """A new connection: the broker knows nothing of what was on its way."""
        self._pending.link_lost()
        self._due = True

    def send(self) -> None:
        """Hand over what is due, as far as the link takes it."""
        if not self._mqtt.connected:
            return
        up_s = self._clock.up_s()
        if self._due or up_s - self._sent_up_s >= STATE_EVERY_S:
            payload = json.dumps(self._state())
            if self._mqtt.publish(self._topics.state, payload, retain=True, qos=1) is not None:
                self._due = False
                self._sent_up_s = up_s
        while self._pending.in_flight < _IN_FLIGHT:
            body = self._pending.unsent()
            if body is None:
                return
            payload = sign(self._key, self._topics.event, body)
            packet_id = self._mqtt.publish(self._topics.event, payload, qos=1)
            if packet_id is None:
                return
            self._pending.sent(body["n"], packet_id)
