import json
from binascii import hexlify

from firmware.clock import EPOCH_2024, Clock
from firmware.downlink import Downlink
from firmware.hmac_sha256 import HmacSha256
from firmware.link.messages import MessageError, Versions, sign
from firmware.link.topics import Topics
from firmware.settings import Settings
from host_tests.pure.place import directory

KEY = b"k" * 32
TOPICS = Topics("home", "left")
NOW = EPOCH_2024 + 1_000_000
DEFAULTS = {"access": "restricted", "stop_on_withdrawal": True}


class Time:
    def __init__(self):
        self.ms = 0

    def __call__(self):
        return self.ms & (1 << 30) - 1


class Rtc:
    def datetime(self, *_):
        return (2000, 1, 1, 0, 0, 0, 0, 0)


class Sync:
    def __init__(self):
        self.offered = []
        self.objects = []

    def offer(self, body, raw):
        self.offered.append((body, raw))

    def object(self, digest, payload):
        self.objects.append((digest, payload))


class Link:
    """Takes `room` subscriptions, then none."""

    def __init__(self):
        self.room = 100
        self.topics = []

    def subscribe(self, topic, qos):
        assert qos == 1
        if len(self.topics) >= self.room:
            return False
        self.topics.append(topic)
        return True


class Bench:
    """A downlink with its files under a directory of its own; `events`: (event, fields)."""

    def __init__(self, root=None):
        self.root = root or directory()
        self.time = Time()
        self.clock = Clock(Rtc(), ticks=self.time)
        self.events = []
        self.done = []
        self.reviews = 0
        self.answer = None
        self.asked = None
        self.answers = []
        self.link = Link()
        self.sync = Sync()
        self.settings = Settings(self.root + "settings", json.loads, DEFAULTS)
        self.versions = Versions(self.root + "versions")
        self.downlink = Downlink(
            KEY,
            TOPICS,
            self.versions,
            self.settings,
            self.sync,
            self.clock,
            {
                "stop": self.carry_out,
                "available": self.carry_out,
                "authorise": self.carry_out,
                "identify": self.fail,
            },
            self.judged,
            lambda event, fields: self.events.append((event, fields)),
            self.changed,
        )

    def carry_out(self, body):
        self.done.append(body["v"])
        return self.answer

    def judged(self, body):
        if self.asked != body.get("n"):
            raise MessageError("answer", "no question")
        self.answers.append(body["verdict"])

    def fail(self, body):
        raise OSError(28)

    def changed(self):
        self.reviews += 1

    def pass_s(self, seconds):
        self.time.ms += seconds * 1_000
        self.clock.tick()

    def send(self, topic, v=1, t=NOW, key=KEY, **body):
        body["v"], body["t"] = v, t
        self.downlink.message(topic, sign(key, topic, body))

    def command(self, v=1, command="stop", exp=NOW + 60, **body):
        self.send(TOPICS.command, v, command=command, exp=exp, **body)

    def subscribed(self):
        """The topics that are subscribed to now."""
        self.link.topics = []
        self.downlink.subscribe(self.link)
        return self.link.topics

    @property
    def causes(self):
        """(topic, why) of each message_rejected on record."""
        return [(f["topic"], f["why"]) for event, f in self.events if event == "message_rejected"]


def signed(topic, text):
    """Any text, signed as the portal would."""
    return hexlify(HmacSha256(KEY).digest(topic.encode(), b"\n", text)) + b" " + text


def test_settings_are_applied_and_reported_by_their_version():
    bench = Bench()
    bench.send(TOPICS.settings, 7, access="open")
    assert bench.settings["access"] == "open"
    assert bench.events == [("settings_applied", {"v": 7})]
    assert bench.reviews == 1


def test_the_settings_in_force_may_come_again_and_say_nothing():
    bench = Bench()
    for _ in range(3):
        bench.send(TOPICS.settings, 7, access="open")
    assert len(bench.events) == 1


def test_settings_that_were_damaged_on_flash_come_again_and_older_ones_do_not():
    root = directory()
    bench = Bench(root)
    bench.send(TOPICS.settings, 7, access="open")
    bench.command(1)  # keeps the versions
    with open(root + "settings", "wb") as file:
        file.write(b"damaged")
    again = Bench(root)
    assert again.settings.load() is not None
    again.send(TOPICS.settings, 6, access="open")
    assert again.causes == [("settings", "version")]
    again.send(TOPICS.settings, 7, access="open")
    assert again.settings["access"] == "open"
    assert again.events[-1] == ("settings_applied", {"v": 7})
    again.send(TOPICS.settings, 7, access="restricted")  # another with the number in force
    assert again.settings["access"] == "open"


def test_an_older_message_is_refused():
    bench = Bench()
    bench.send(TOPICS.settings, 7)
    bench.send(TOPICS.settings, 6, access="open")
    assert bench.settings["access"] == "restricted"
    assert bench.causes == [("settings", "version")]


def test_what_is_not_signed_with_this_key_for_this_topic_is_refused():
    bench = Bench()
    bench.downlink.message(TOPICS.settings, b'{"v":1,"t":1,"access":"open"}' + b" " * 60)
    bench.send(TOPICS.settings, access="open", key=b"K" * 32)
    moved = sign(KEY, "tapgate/home/right/settings", {"v": 1, "t": NOW, "access": "open"})
    bench.downlink.message(TOPICS.settings, moved)
    assert bench.settings["access"] == "restricted"
    assert bench.causes == [("settings", "form"), ("settings", "signature")]
    assert bench.downlink.rejected == 3


def test_an_empty_message_is_refused():
    bench = Bench()
    bench.downlink.message(TOPICS.allowlist, b"")
    assert bench.causes == [("allowlist", "size")]
    assert bench.sync.offered == []


def test_a_value_that_is_not_allowed_is_named_and_changes_nothing():
    bench = Bench()
    bench.send(TOPICS.settings, 1, access="closed")
    assert bench.causes == [("settings", "value")]
    bench.send(TOPICS.settings, 1, access="open")  # its version was not used up
    assert bench.settings["access"] == "open"


def test_a_ref_goes_to_the_list_with_the_very_bytes_that_were_signed():
    bench = Bench()
    raw = sign(KEY, TOPICS.allowlist, {"v": 3, "t": NOW})
    bench.downlink.message(TOPICS.allowlist, memoryview(raw))
    assert bench.sync.offered == [({"v": 3, "t": NOW}, raw)]


def test_a_ref_rolled_back_is_refused():
    bench = Bench()
    bench.versions.floor("allowlist", 3)
    bench.send(TOPICS.allowlist, 2)
    assert bench.sync.offered == []
    assert bench.causes == [("allowlist", "version")]
    bench.send(TOPICS.allowlist, 3)  # the one in force: it may have been damaged on flash
    assert len(bench.sync.offered) == 1


def test_objects_go_to_the_list_unsigned():
    bench = Bench()
    bench.downlink.message(TOPICS.object("ab" * 16), b"whatever")
    assert bench.sync.objects == [("ab" * 16, b"whatever")]
    assert bench.events == []


def test_a_command_is_answered_by_its_version():
    bench = Bench()
    bench.command(5)
    bench.answer = "stop: not while available"
    bench.command(6)
    assert bench.done == [5, 6]
    assert bench.events == [
        ("command_done", {"v": 5, "command": "stop", "ok": True, "why": None}),
        ("command_done", {"v": 6, "command": "stop", "ok": False, "why": bench.answer}),
    ]


def test_a_command_is_carried_out_once():
    root = directory()
    bench = Bench(root)
    bench.command(5)
    bench.command(5)
    again = Bench(root)
    again.command(5)
    assert bench.done == [5]
    assert again.done == []
    assert again.causes == [("command", "version")]


def test_a_command_that_came_too_late_is_not_carried_out():
    bench = Bench()
    bench.clock.set_exactly(NOW + 61)
    bench.command(exp=NOW + 60)
    bench.command(exp=NOW + 61)
    assert len(bench.done) == 1
    assert bench.causes == [("command", "expired")]


def test_a_command_without_any_time_to_hold_it_against_is_not_carried_out():
    bench = Bench()
    bench.send(TOPICS.command, 1, t=0, command="stop", exp=60)
    assert bench.done == []
    assert bench.causes == [("command", "expired")]


def test_the_time_of_any_verified_message_is_a_lower_bound():
    bench = Bench()
    bench.send(TOPICS.allowlist, 1, t=NOW + 500)
    bench.command(exp=NOW + 60)
    assert bench.done == []


def test_wrong_types_in_a_command_are_refused():
    bench = Bench()
    for wrong in ({"exp": None}, {"exp": True}, {"exp": "9999999999"}, {"command": ["stop"]}):
        bench.command(1, **wrong)
    assert bench.done == []
    assert bench.causes == [("command", "type")]
    assert bench.downlink.rejected == 4
    bench.command(1)  # none of them used up the version
    assert bench.done == [1]


def test_a_command_nobody_knows_is_answered():
    bench = Bench()
    bench.command(5, command="explode")
    (event, fields) = bench.events[0]
    assert event == "command_done"
    assert (fields["v"], fields["ok"], fields["why"]) == (5, False, "no such command")


def test_a_command_that_fails_is_answered():
    bench = Bench()
    bench.command(5, command="identify")
    (event, fields) = bench.events[0]
    assert (event, fields["v"], fields["ok"]) == ("command_done", 5, False)
    assert "OSError" in fields["why"]


def test_a_cause_is_reported_once_a_minute():
    bench = Bench()
    for _ in range(100):
        bench.downlink.message(TOPICS.settings, b"")
    bench.downlink.message(TOPICS.command, b"")
    assert bench.causes == [("settings", "size"), ("command", "size")]
    assert bench.downlink.rejected == 101
    bench.pass_s(60)
    bench.downlink.message(TOPICS.settings, b"")
    assert len(bench.causes) == 3


def test_a_cause_is_reported_again_after_the_ticks_have_wrapped():
    bench = Bench()
    bench.downlink.message(TOPICS.settings, b"")
    for _ in range(9 * 24):
        bench.pass_s(3_600)
    bench.downlink.message(TOPICS.settings, b"")
    assert len(bench.causes) == 2


def test_ever_new_causes_do_not_flood_the_operator():
    bench = Bench()
    for i in range(100):
        bench.downlink.reject("settings", f"cause {i}", "")
        bench.downlink.reject("settings", "cause 0", "")
    assert len(bench.causes) == 16
    bench.pass_s(60)
    bench.downlink.reject("settings", "cause 99", "")
    assert len(bench.causes) == 17


def test_what_cannot_be_stored_changes_nothing_and_is_asked_for_again():
    bench = Bench("build/pure/no/such/")
    bench.send(TOPICS.settings, 1, access="open")
    bench.command(1, command="authorise")
    assert bench.settings["access"] == "restricted"
    assert bench.done == []
    assert bench.causes == [("settings", "flash"), ("command", "flash")]
    assert bench.subscribed() == []
    bench.pass_s(60)
    assert TOPICS.settings in bench.subscribed()
    assert bench.subscribed() == []


def test_what_only_opens_the_contactor_is_carried_out_although_it_cannot_be_stored():
    bench = Bench("build/pure/no/such/")
    bench.command(5)
    bench.command(6, command="available", on=False)
    assert bench.done == [5, 6]
    assert [fields["ok"] for event, fields in bench.events if event == "command_done"] == [True] * 2
    for v in (5, 6):  # once in this life
        bench.command(v)
    assert bench.done == [5, 6]
    for v in (1, 0, None, "off"):
        bench.command(7, command="available", on=v)
    bench.command(7, command="available", on=True)
    bench.command(7, command="available")
    assert bench.done == [5, 6]
    assert bench.causes == [("command", "version"), ("command", "flash")]
    bench.command(7, exp=NOW - 1)
    assert bench.done == [5, 6]
    assert Bench("build/pure/no/such/").versions.last("command") == 0


def test_what_finds_no_memory_is_reported_and_asked_for_again():
    bench = Bench()

    def no_memory(body, raw):
        raise MemoryError

    bench.sync.offer = no_memory
    bench.send(TOPICS.allowlist, 1)
    assert bench.causes == [("allowlist", "memory")]
    bench.pass_s(60)
    assert TOPICS.allowlist in bench.subscribed()


def test_what_the_link_skipped_is_reported_and_asked_for_again_if_it_was_not_too_large():
    bench = Bench()
    bench.downlink.skipped(TOPICS.settings, 8_193)
    bench.downlink.skipped(None, 9)
    bench.pass_s(60)
    assert bench.causes == [("settings", "size"), ("?", "size")]
    assert bench.subscribed() == []
    bench.downlink.skipped(TOPICS.settings, 8_192)
    bench.pass_s(60)
    assert bench.causes[2:] == [("settings", "memory")]
    assert TOPICS.settings in bench.subscribed()


def test_a_topic_that_the_broker_refuses_is_told_once_an_hour_and_asked_for_each_minute():
    bench = Bench()
    bench.downlink.connected()
    bench.subscribed()
    for minute in range(60):
        bench.downlink.refused(TOPICS.settings)
        bench.downlink.refused(TOPICS.command)
        bench.pass_s(59)
        assert bench.subscribed() == [], minute
        bench.pass_s(1)
        topics = bench.subscribed()
        assert TOPICS.settings in topics and TOPICS.command in topics, minute
    assert bench.causes == [("settings", "subscribe"), ("command", "subscribe")]
    assert bench.downlink.rejected == 120
    bench.downlink.refused(TOPICS.settings)
    assert bench.causes[2:] == [("settings", "subscribe")]


def test_a_topic_that_is_no_longer_refused_is_left_alone():
    bench = Bench()
    bench.downlink.refused(TOPICS.settings)
    bench.pass_s(60)
    assert TOPICS.settings in bench.subscribed()
    bench.pass_s(3_600)
    assert bench.subscribed() == []


def test_a_new_connection_subscribes_to_every_topic_the_schedules_before_the_list():
    bench = Bench()
    for _ in range(2):
        bench.downlink.connected()
        assert bench.subscribed() == [
            TOPICS.settings,
            TOPICS.allowlist,
            TOPICS.command,
            TOPICS.verdict,
        ]
    assert bench.subscribed() == []


def test_what_the_link_does_not_take_now_is_subscribed_to_later():
    bench = Bench()
    bench.downlink.connected()
    bench.link.room = 1
    assert bench.subscribed() == [TOPICS.settings]
    bench.link.room = 0
    assert bench.subscribed() == []
    bench.link.room = 100
    assert bench.subscribed() == [TOPICS.allowlist, TOPICS.command, TOPICS.verdict]


def test_what_was_missed_comes_with_the_next_connection_anyway():
    bench = Bench("build/pure/no/such/")
    bench.send(TOPICS.settings, 1)
    bench.downlink.connected()
    assert len(bench.subscribed()) == 4
    bench.pass_s(60)
    assert bench.subscribed() == []


def test_the_operators_verdict_reaches_the_card_that_was_asked_about():
    bench = Bench()
    bench.asked = 5
    bench.send(TOPICS.verdict, 1, n=5, verdict="Accepted")
    assert bench.answers == ["Accepted"]
    assert bench.events == []


def test_a_verdict_nobody_waits_for_is_refused():
    bench = Bench()
    bench.send(TOPICS.verdict, 1, n=5, verdict="Accepted")
    assert bench.answers == []
    assert bench.causes == [("verdict", "answer")]


def test_a_verdict_is_heard_once_and_not_kept_on_flash():
    root = directory()
    bench = Bench(root)
    bench.asked = 5
    for v in (7, 7, 6):
        bench.send(TOPICS.verdict, v, n=5, verdict="Accepted")
    assert bench.answers == ["Accepted"]
    assert bench.causes == [("verdict", "version")]
    assert Bench(root).versions.last("verdict") == 0


def test_a_verdict_of_a_time_before_the_question_is_refused():
    bench = Bench()
    bench.asked = 5
    bench.send(TOPICS.verdict, 1, t=NOW - 601, n=5, verdict="Accepted")
    assert bench.answers == ["Accepted"], "no time to hold it against"
    bench.clock.set_exactly(NOW)
    bench.send(TOPICS.verdict, 2, t=NOW - 601, n=5, verdict="Blocked")
    assert bench.causes == [("verdict", "expired")]
    bench.send(TOPICS.verdict, 2, t=NOW - 600, n=5, verdict="Invalid")
    assert bench.answers == ["Accepted", "Invalid"]


def test_a_verdict_that_is_not_for_this_charger_is_refused():
    bench = Bench()
    bench.asked = 5
    bench.send(TOPICS.verdict, 1, key=b"K" * 32, n=5, verdict="Accepted")
    other = sign(
        KEY, "tapgate/home/right/verdict", {"v": 1, "t": NOW, "n": 5, "verdict": "Accepted"}
    )
    bench.downlink.message(TOPICS.verdict, other)
    assert bench.answers == []
    assert bench.causes == [("verdict", "signature")]


def test_whatever_a_message_holds_is_refused_with_one_word_and_changes_nothing():
    deep = b"[" * 200 + b"]" * 200
    bodies = (
        (b"", "size"),
        (b"x" * 66, "size"),
        (b"x" * 8_193, "size"),
        (b"x" * 200, "form"),
        (b"0" * 64 + b' {"v":1,"t":1}', "signature"),
    )
    texts = (
        (b"{}", "type"),
        (b"[]", "type"),
        (b"null", "type"),
        (b"777", "type"),
        (b'"v"', "type"),
        (b'{"v":1', "json"),
        (b'{"v":1,"t":1}{', "json"),
        (b'{"v":null,"t":1}', "type"),
        (b'{"v":1,"t":"1"}', "type"),
        (b'{"v":0,"t":1}', "type"),
        (b'{"v":-1,"t":1}', "type"),
        (b'{"v":1.0,"t":1}', "type"),
        (b'{"v":true,"t":1}', "type"),
        (b'{"v":[1],"t":1}', "type"),
        (b'{"v":99999999999999999999999999,"t":1}', "type"),
        (b'{"v":1,"t":1e999}', "type"),
        (b'{"v":1,"t":1,"x":' + deep + b"}", "nesting"),
        (deep, "nesting"),
    )
    for topic in (TOPICS.settings, TOPICS.allowlist, TOPICS.command, TOPICS.verdict):
        bench = Bench()
        word = topic.split("/")[-1]
        cases = bodies + tuple((signed(topic, text), why) for text, why in texts)
        for payload, why in cases:
            bench.pass_s(60)
            del bench.events[:]
            bench.downlink.message(topic, payload)
            assert bench.causes == [(word, why)], payload[:80]
            bench.downlink.message(topic, payload)
            assert len(bench.events) == 1, "once a minute"
        assert bench.downlink.rejected == 2 * len(cases)
        assert bench.settings.version == 0
        assert bench.sync.offered == bench.done == bench.answers == []


def test_settings_that_were_emptied_on_the_broker_stay_in_force():
    bench = Bench()
    bench.send(TOPICS.settings, 7, access="open")
    bench.downlink.message(TOPICS.settings, b"")
    assert bench.settings["access"] == "open"
    assert bench.causes == [("settings", "size")]
    again = Bench(bench.root)
    again.settings = Settings(bench.root + "settings", lambda raw: json.loads(raw[65:]), DEFAULTS)
    assert again.settings.load() is None
    assert again.settings["access"] == "open"


def test_topics_that_nobody_asked_for_are_ignored():
    bench = Bench()
    bench.send("tapgate/home/right/settings", access="open")
    assert bench.events == []
    assert bench.downlink.rejected == 0
