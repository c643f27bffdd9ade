import json
from binascii import hexlify

from firmware.clock import EPOCH_2024, Clock
from firmware.hmac_sha256 import HmacSha256
from firmware.link.topics import Topics
from firmware.uplink import Uplink
from host_tests.pure.check import raises

KEY = b"k" * 32
TOPICS = Topics("home", "left")
NOW = EPOCH_2024 + 1_000_000


class Time:
    def __init__(self):
        self.ms = 0

    def __call__(self):
        return self.ms & (1 << 30) - 1


class Rtc:
    def datetime(self, *_):
        return (2000, 1, 1, 0, 0, 0, 0, 0)


class Journal:
    """Events in memory; those on their way are not given out again."""

    boot = 7

    def __init__(self):
        self.n = 0
        self.waiting = []
        self.on_the_way = {}
        self.readings = []

    @property
    def in_flight(self):
        return len(self.on_the_way)

    @property
    def pending(self):
        return len(self.waiting)

    def header(self, t, up):
        self.n += 1
        return {"n": self.n, "boot": self.boot, "t": t, "up": up}

    def add(self, event, fields, t, up, t_min=None):
        body = self.header(t, up)
        body["event"] = event
        body.update(fields)
        if t_min is not None:
            body["t_min"] = t_min
        self.waiting.append(body)
        return self.n

    def reading(self, mwh, t, up):
        self.readings.append((mwh, t, up))

    def unsent(self):
        for body in self.waiting:
            if body["n"] not in self.on_the_way.values():
                return dict(body)
        return None

    def sent(self, n, packet_id):
        self.on_the_way[packet_id] = n

    def acknowledged(self, packet_id):
        n = self.on_the_way.pop(packet_id)
        self.waiting = [body for body in self.waiting if body["n"] != n]

    def link_lost(self):
        self.on_the_way.clear()


class Mqtt:
    """Takes `room` messages, then none."""

    def __init__(self):
        self.connected = True
        self.room = 1_000
        self.sent = []
        self.asked = 0

    def publish(self, topic, payload, retain=False, qos=0):
        assert self.connected
        self.asked += 1
        if len(self.sent) >= self.room:
            return None
        self.sent.append((topic, payload, retain, qos))
        return len(self.sent)


class Bench:
    def __init__(self):
        self.time = Time()
        self.clock = Clock(Rtc(), ticks=self.time)
        self.mqtt = Mqtt()
        self.journal = Journal()
        self.said = {"online": True}
        self.uplink = Uplink(KEY, TOPICS, self.mqtt, self.journal, self.clock, self.state)

    def state(self):
        if self.said is None:
            raise MemoryError
        return self.said

    def send(self):
        self.uplink.send(self.time())

    def pass_s(self, seconds):
        """Time, with a call every 50 ms."""
        for _ in range(seconds * 20):
            self.time.ms += 50
            self.send()

    @property
    def events(self):
        return [said(payload) for topic, payload, _, _ in self.mqtt.sent if topic == TOPICS.event]

    @property
    def states(self):
        return [json.loads(sent[1]) for sent in self.mqtt.sent if sent[0] == TOPICS.state]


def said(payload):
    """What an event says, once its signature is right."""
    signed = HmacSha256(KEY).digest(TOPICS.event.encode(), b"\n", payload[65:])
    assert payload[:65] == hexlify(signed) + b" "
    return json.loads(payload[65:])


def test_the_state_is_retained_and_sent_at_once():
    bench = Bench()
    bench.send()
    ((topic, payload, retain, qos),) = bench.mqtt.sent
    assert (topic, json.loads(payload), retain, qos) == (TOPICS.state, {"online": True}, True, 1)


def test_over_each_connection_a_state_has_yet_to_be_told():
    bench = Bench()
    assert not bench.uplink.told
    bench.mqtt.room = 0
    bench.send()
    assert not bench.uplink.told
    bench.mqtt.room = 9
    bench.pass_s(1)
    assert bench.uplink.told
    bench.uplink.connected()
    assert not bench.uplink.told
    bench.send()
    assert bench.uplink.told


def test_a_state_that_stays_as_it_is_goes_out_once_a_minute():
    bench = Bench()
    bench.pass_s(59)
    assert len(bench.states) == 1
    bench.pass_s(2)
    assert len(bench.states) == 2


def test_a_state_that_flickers_goes_out_four_times_a_second_and_its_last_word_counts():
    bench = Bench()
    for i in range(100):
        bench.said = {"i": i}
        bench.uplink.changed()
        bench.send()
        bench.time.ms += 50
    bench.pass_s(2)
    assert 18 <= len(bench.states) <= 22
    assert bench.states[-1] == {"i": 99}


def test_a_backlog_goes_out_one_event_at_a_time_so_that_no_tap_waits_for_all_of_it():
    bench = Bench()
    for i in range(6):
        bench.uplink.record("card_refused", {"i": i})
    for count in (1, 2, 3, 4, 4):  # four at most are on their way
        bench.send()
        assert len(bench.events) == count


def test_a_state_after_days_of_silence_is_not_taken_for_one_too_many():
    bench = Bench()
    bench.send()
    for _ in range(9 * 24):  # past half the period of the ticks
        bench.time.ms += 3_600_000
        bench.clock.tick()
    bench.send()
    assert len(bench.states) == 2


def test_a_new_connection_is_told_the_state_at_once():
    bench = Bench()
    bench.send()
    bench.uplink.connected()
    bench.send()
    assert len(bench.states) == 2


def test_an_event_is_signed_and_numbered():
    bench = Bench()
    bench.clock.set_exactly(NOW)
    bench.uplink.record("booted", {"cause": "power"})
    bench.send()
    assert bench.events == [
        {"n": 1, "boot": 7, "t": NOW, "up": 0, "event": "booted", "cause": "power"}
    ]
    assert bench.mqtt.sent[-1][2:] == (False, 1)


def test_an_event_from_before_the_clock_was_set_gets_its_time_with_it():
    bench = Bench()
    bench.mqtt.connected = False
    bench.uplink.record("booted", {})
    bench.pass_s(100)
    bench.clock.set_exactly(NOW)
    bench.mqtt.connected = True
    bench.send()
    assert bench.events[0]["t"] == NOW - 100
    assert bench.events[0]["up"] == 0


def test_an_event_without_a_clock_says_how_long_the_board_was_up_and_when_it_was_not_yet():
    bench = Bench()
    bench.uplink.record("fault", {})
    bench.clock.lower_bound(NOW)  # no time that an event may claim
    bench.pass_s(5)
    bench.uplink.record("fault", {})
    bench.send()
    assert (bench.events[0]["t"], bench.events[0]["up"]) == (None, 0)
    assert "t_min" not in bench.events[0]
    assert (bench.events[1]["t"], bench.events[1]["up"]) == (None, 5)
    assert bench.events[1]["t_min"] == NOW + 5


def test_the_exact_time_takes_the_place_of_the_one_that_was_certainly_past():
    bench = Bench()
    bench.clock.lower_bound(NOW)
    bench.uplink.record("fault", {})
    bench.time.ms += 5_000
    bench.clock.set_exactly(NOW + 100)
    bench.send()
    assert bench.events[0]["t"] == NOW + 95
    assert "t_min" not in bench.events[0]


def test_an_event_of_an_earlier_start_keeps_the_time_it_has_or_has_not():
    bench = Bench()
    bench.clock.lower_bound(NOW)
    bench.uplink.record("fault", {})
    bench.journal.boot = 8  # the board has started again since
    bench.clock.set_exactly(NOW + 100)
    bench.send()
    assert (bench.events[0]["boot"], bench.events[0]["t"]) == (7, None)
    assert bench.events[0]["t_min"] == NOW


def test_whoever_records_an_event_learns_its_number():
    bench = Bench()
    assert bench.uplink.record("session_started", {}) == 1
    assert bench.uplink.record("session_ended", {}) == 2


def test_a_reading_is_stored_with_its_time():
    bench = Bench()
    bench.pass_s(3)
    bench.uplink.reading(1_500)
    bench.clock.set_exactly(NOW)
    bench.uplink.reading(2_500)
    assert bench.journal.readings == [(1_500, None, 3), (2_500, NOW, 3)]


def test_four_events_at_most_are_on_their_way():
    bench = Bench()
    for _ in range(6):
        bench.uplink.record("fault", {})
    bench.pass_s(1)
    assert [event["n"] for event in bench.events] == [1, 2, 3, 4]
    bench.journal.acknowledged(3)  # the state was the first message
    bench.send()
    assert [event["n"] for event in bench.events] == [1, 2, 3, 4, 5]


def test_events_on_their_way_go_again_over_a_new_connection():
    bench = Bench()
    bench.uplink.record("fault", {})
    bench.send()
    bench.uplink.connected()
    bench.send()
    assert [event["n"] for event in bench.events] == [1, 1]


def test_a_question_goes_before_everything_else_signed_and_numbered():
    bench = Bench()
    bench.clock.set_exactly(NOW)
    bench.uplink.record("fault", {})
    assert bench.uplink.ask("04a1b2c304a1b2", "awaiting") == 2
    bench.send()
    topic, payload, retain, qos = bench.mqtt.sent[0]
    assert (topic, retain, qos) == (TOPICS.authorise, False, 1)
    signed = HmacSha256(KEY).digest(TOPICS.authorise.encode(), b"\n", payload[65:])
    assert payload[:65] == hexlify(signed) + b" "
    assert json.loads(payload[65:]) == {
        "n": 2,
        "boot": 7,
        "t": NOW,
        "up": 0,
        "token": "04a1b2c304a1b2",
        "state": "awaiting",
    }
    bench.pass_s(5)
    assert [sent[0] for sent in bench.mqtt.sent].count(TOPICS.authorise) == 1


def test_a_question_that_the_link_does_not_take_yet_is_asked_as_soon_as_it_does():
    bench = Bench()
    bench.pass_s(1)
    bench.mqtt.room = len(bench.mqtt.sent)
    bench.uplink.ask("04a1b2c304a1b2", "awaiting")
    bench.pass_s(1)
    bench.mqtt.room += 1
    bench.time.ms += 50
    bench.send()
    assert bench.mqtt.sent[-1][0] == TOPICS.authorise


def test_a_question_is_not_asked_over_the_next_connection():
    bench = Bench()
    bench.mqtt.connected = False
    assert bench.uplink.linked is False
    bench.uplink.ask("04a1b2c304a1b2", "awaiting")
    bench.send()
    bench.mqtt.connected = True
    assert bench.uplink.linked is True
    bench.uplink.connected()
    bench.pass_s(1)
    assert TOPICS.authorise not in [sent[0] for sent in bench.mqtt.sent]


def test_nothing_is_worked_out_without_a_link():
    bench = Bench()
    bench.said = None
    bench.mqtt.connected = False
    bench.uplink.record("fault", {})
    bench.pass_s(2)
    assert bench.mqtt.asked == 0


def test_a_link_that_takes_nothing_is_asked_now_and_then():
    bench = Bench()
    bench.mqtt.room = 0
    bench.uplink.record("fault", {})
    bench.pass_s(10)
    assert bench.mqtt.asked <= 2 * 4 * 10 + 2
    bench.mqtt.room = 1_000
    bench.pass_s(1)
    assert len(bench.states) == 1
    assert len(bench.events) == 1


def test_a_state_that_finds_no_memory_is_tried_again_a_moment_later():
    bench = Bench()
    said, bench.said = bench.said, None
    raises(MemoryError, bench.send)
    bench.send()
    bench.said = said
    bench.pass_s(1)
    assert len(bench.states) == 1


def test_long_texts_are_cut_so_that_every_event_fits_a_message():
    bench = Bench()
    bench.uplink.record("message_rejected", {"why": "json", "detail": "\x01" * 8_000})
    bench.send()
    assert len(bench.mqtt.sent[-1][1]) < 1_000
    assert bench.events[0]["why"] == "json"


def test_that_no_event_waits_any_more_is_told_at_once():
    bench = Bench()
    bench.uplink.record("booted", {})
    bench.pass_s(5)
    assert (len(bench.states), bench.journal.pending) == (1, 1)
    for packet_id in list(bench.journal.on_the_way):
        bench.journal.acknowledged(packet_id)
    bench.pass_s(1)
    assert len(bench.states) == 2
    bench.pass_s(30)
    assert len(bench.states) == 2
