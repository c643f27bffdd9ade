"""What a charger tells the portal: records that always fit what the link takes at once."""

from firmware.journal.pending import Pending
from firmware.link.topics import Topics
from firmware.uplink import Uplink

LINK_BYTES = 2_048  # firmware.link.mqtt: what it holds to be sent


class Numbers:
    boot = 1

    def __init__(self):
        self._last = 0

    def next(self) -> int:
        self._last += 1
        return self._last


class Clock:
    def exact(self):
        return 1_800_000_000

    def up_s(self):
        return 60


class Link:
    """Takes what fits, as the real one does."""

    connected = True

    def __init__(self):
        self.sent = []

    def publish(self, topic, payload, retain=False, qos=0):
        if len(payload) > LINK_BYTES:
            return None
        self.sent.append((topic, payload))
        return len(self.sent)


def test_a_record_that_quotes_a_whole_message_is_shortened_and_holds_up_no_other():
    link = Link()
    topics = Topics("home", "one")
    pending = Pending(Numbers())
    uplink = Uplink(bytes(32), topics, link, pending, Clock(), lambda: {})
    uplink.record("message_rejected", {"topic": "settings", "why": "value", "detail": "x" * 8_000})
    uplink.record("fault", {"fault": "reader", "detail": "short"})
    uplink.send()
    events = [payload for topic, payload in link.sent if topic == topics.event]
    assert len(events) == 2
    assert b'"detail":"xxx' in events[0]
    assert b'"short"' in events[1]
