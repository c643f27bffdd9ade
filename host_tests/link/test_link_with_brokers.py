"""The link under MicroPython against real brokers, plain and TLS, when all goes well."""

from collections import Counter

import pytest

from host_tests.link.conftest import Peer
from host_tests.link.running import QUICK, Program
from tools.broker import AMQTT, MOSQUITTO, Broker

TOPIC = "tapgate/home/c1/settings"
STATE = "tapgate/home/c1/state"
EVENT = "tapgate/home/c1/event"
COMMAND = "tapgate/home/c1/command"

PLAIN = pytest.mark.parametrize("broker", ["mosquitto", "amqtt"], indirect=True)


def start(micropython: str, broker: Broker, **options) -> Program:
    tls = {"tls": True, "ca_file": str(broker.ca)} if broker.tls else {}
    login = {"user": broker.user, "password": broker.password} if broker.user else {}
    defaults = {"port": broker.port, "topics": [TOPIC], "keepalive_s": 30, "BACKOFF_MS": [50, 100]}
    return Program(micropython, "client", **(defaults | tls | login | options))


def test_messages_go_both_ways(micropython: str, broker: Broker, peer: Peer) -> None:
    peer.publish(TOPIC, "retained", retain=True)
    with start(micropython, broker) as charger:
        retained = {"what": "message", "topic": TOPIC, "payload": "retained"}
        charger.wait_in_any_order(retained, {"what": "ready"})
        peer.next()
        peer.publish(TOPIC, "größer", qos=0)
        charger.wait("message", topic=TOPIC, payload="größer")
        peer.next()
        peer.publish(TOPIC, "", qos=1)
        charger.wait("message", topic=TOPIC, payload="")
        peer.next()

        charger.do("publish", topic=EVENT, payload="tag für tag", qos=1)
        taken = charger.wait("published")["taken"]
        charger.wait("ack", id=taken)
        assert peer.next() == (EVENT, "tag für tag", False)
        charger.do("publish", topic=STATE, payload="x" * 1500, qos=0, retain=True)
        assert charger.wait("published")["taken"] == 0
        assert peer.next() == (STATE, "x" * 1500, False)
        charger.unblocked(f"messages, {broker.kind}{' TLS' * broker.tls}")


@PLAIN
def test_a_handler_may_publish_and_subscribe(micropython: str, broker: Broker, peer: Peer) -> None:
    peer.publish("tapgate/home/object/7", "an object", retain=True)
    peer.next()
    with start(micropython, broker, answer_on=TOPIC) as charger:
        charger.wait("ready")
        peer.publish(TOPIC, "7")
        taken = charger.wait("published")["taken"]
        charger.wait("message", topic="tapgate/home/object/7", payload="an object")
        assert peer.next() == (TOPIC, "7", False)
        assert peer.next() == (EVENT, "answer 7", False)
        charger.do("publish", topic=EVENT, payload="later", qos=1)
        later = charger.wait("published")["taken"]
        charger.wait("ack", id=later)
        assert charger.count("ack", id=taken) == 1
        assert charger.facts()["connects"] == 1


@PLAIN
def test_what_is_retained_comes_at_each_connect(
    micropython: str, broker: Broker, peer: Peer
) -> None:
    peer.publish(TOPIC, "current", retain=True)
    for _ in range(2):
        with start(micropython, broker) as charger:
            charger.wait("message", payload="current")


@PLAIN
def test_a_topic_given_up_brings_no_more(micropython: str, broker: Broker, peer: Peer) -> None:
    with start(micropython, broker) as charger:
        charger.wait("ready")
        charger.do("subscribe", topic="tapgate/home/object/00")
        peer.publish("tapgate/home/object/00", "one", retain=True)
        charger.wait("message", payload="one")
        charger.do("unsubscribe", topic="tapgate/home/object/00")
        assert charger.wait("unsubscribed")["taken"]
        charger.do("publish", topic=EVENT, payload="after", qos=1)
        charger.wait("ack")  # the broker has worked off what came before
        peer.publish("tapgate/home/object/00", "two")
        peer.publish(TOPIC, "last")
        charger.wait("message", topic=TOPIC, payload="last")
        assert charger.count("message", payload="two") == 0


def test_the_largest_message_is_taken_and_a_larger_one_skipped(
    micropython: str, broker: Broker, peer: Peer
) -> None:
    with start(micropython, broker) as charger:
        charger.wait("ready")
        for qos in (0, 1):
            peer.publish(TOPIC, "<" * 4096 + ">" * 4096, qos=qos)
            charger.wait("message", payload="8192:<<<<..>>>>")
            peer.publish(TOPIC, "<" * 8193, qos=qos)
            charger.wait("oversized", topic=TOPIC, size=8193)
            peer.publish(TOPIC, "<" * 300_000, qos=qos)
            charger.wait("oversized", topic=TOPIC, size=300_000)
        heap = charger.facts()["heap"]
        peer.publish(TOPIC, "<" * 2_000_000)
        charger.wait("oversized", topic=TOPIC, size=2_000_000)
        peer.publish(TOPIC, "still there")
        charger.wait("message", payload="still there")
        facts = charger.unblocked(f"oversized, {broker.kind}{' TLS' * broker.tls}")
        assert facts["heap"] < heap + 4096
        assert facts["connects"] == 1


@PLAIN
def test_more_than_a_window_of_skipped_and_failed_messages_blocks_nothing(
    micropython: str, broker: Broker, peer: Peer
) -> None:
    with start(micropython, broker, fail_on=TOPIC, topics=[TOPIC, COMMAND]) as charger:
        charger.wait("ready")
        # Mosquitto sends no more than 20 that are not acknowledged.
        peer.publish_all([(TOPIC, "<" * 8193)] * 25)
        peer.publish_all([(TOPIC, "x")] * 25)
        peer.publish(COMMAND, "after them")
        expected = {
            ("message", COMMAND): 1,
            ("problem", None): 25,
            ("oversized", TOPIC): 25,
        }

        def all_seen(_: dict) -> bool:
            seen = Counter((line["what"], line.get("topic")) for line in charger.seen)
            return all(seen[one] == count for one, count in expected.items())

        charger.until(all_seen, 20, f"all of {expected}")
        assert charger.count("problem", kind="handler") == 25
        assert charger.facts()["connects"] == 1


@PLAIN
def test_a_power_cut_publishes_the_last_will(micropython: str, broker: Broker, peer: Peer) -> None:
    will = {"will_topic": STATE, "will_payload": '{"online":false}'}
    with start(micropython, broker, **will) as charger:
        charger.wait("connected")
        charger.kill()
        assert peer.next() == (STATE, '{"online":false}', False)


@PLAIN
def test_an_orderly_end_sends_what_waits_and_no_last_will(
    micropython: str, broker: Broker, peer: Peer
) -> None:
    will = {"will_topic": STATE, "will_payload": '{"online":false}'}
    with start(micropython, broker, **will) as charger:
        charger.wait("connected")
        charger.do("publish", topic=STATE, payload="good bye", qos=0)
        charger.do("close")
        charger.wait("ended", by_link=True)
        assert peer.next() == (STATE, "good bye", False)
        assert peer.silent()


def test_the_broker_restarts(micropython: str, broker: Broker) -> None:
    with start(micropython, broker) as charger:
        charger.wait("connected")
        broker.stop()
        charger.wait("disconnected")
        charger.wait("problem", kind="connect")
        broker.start()
        charger.wait("connected")
        charger.unblocked(f"restart, {broker.kind}{' TLS' * broker.tls}")


def test_a_session_taken_over_by_another_is_told_and_fetched_back(micropython: str, needed) -> None:
    needed(MOSQUITTO)  # amqtt leaves both connections standing
    with Broker(MOSQUITTO) as broker, start(micropython, broker) as charger:
        charger.wait("connected")
        # The other one leaves the session alone for five seconds when it loses it.
        with start(micropython, broker, BACKOFF_MS=[5000, 5000]) as other:
            other.wait("connected")
            charger.wait("disconnected")
            charger.wait("connected")
            other.wait("disconnected")


@pytest.mark.parametrize("kind", [MOSQUITTO, AMQTT])
def test_user_and_password_are_given_and_a_refusal_is_named(
    micropython: str, kind: str, needed
) -> None:
    needed(kind)
    with Broker(kind, user="charger", password="grün & gut") as broker:
        with start(micropython, broker) as charger:
            charger.wait("connected")
        with start(micropython, broker, password="wrong") as charger:
            charger.wait("problem", kind="refused")
            charger.unblocked("refused")


def test_the_quick_deadlines_do_not_end_a_link_that_is_well(
    micropython: str, plain_broker: Broker
) -> None:
    with start(micropython, plain_broker, **QUICK) as charger:
        charger.wait("connected")
        with pytest.raises(AssertionError, match="no disconnected"):
            charger.wait("disconnected", within_s=1.8)
        assert charger.facts()["connects"] == 1
