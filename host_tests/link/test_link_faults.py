"""The link under MicroPython while broker and network misbehave: it notices, it comes back, and no
other task of the charger is kept waiting."""

import socket
import time

import pytest

from host_tests.link.conftest import Peer
from host_tests.link.running import QUICK, Program
from tools.broker import Broker, free_port
from tools.fault_proxy import FaultProxy

TOPIC = "tapgate/home/c1/settings"


def publish_packet(topic: str, payload: bytes, flags: int = 0, packet_id: bytes = b"") -> bytes:
    body = len(topic).to_bytes(2, "big") + topic.encode() + packet_id + payload
    size, length = len(body), b""
    while size > 0x7F:
        length += bytes([size & 0x7F | 0x80])
        size >>= 7
    return bytes([0x30 | flags]) + length + bytes([size]) + body


@pytest.fixture
def peer(plain_broker: Broker):
    peer = Peer(plain_broker)
    yield peer
    peer.close()


@pytest.fixture
def charger(micropython: str, proxy: FaultProxy):
    with Program(micropython, "client", port=proxy.port, topics=[TOPIC], **QUICK) as charger:
        charger.wait("ready")
        charger.facts()
        yield charger


def comes_back(charger: Program, proxy: FaultProxy, fault: str) -> None:
    """The link is up again once all is well, and blocked nobody in between."""
    charger.wait("disconnected")
    proxy.heal()
    charger.wait("ready")
    charger.unblocked(fault)


def test_a_packet_that_stops_in_the_middle(charger: Program, proxy: FaultProxy, peer: Peer) -> None:
    proxy.down_limit = 1000
    peer.publish(TOPIC, "x" * 4000)
    charger.wait("problem", kind="timeout", detail="a packet that stopped after 1000 bytes")
    assert charger.count("message") == 0
    comes_back(charger, proxy, "stall in mid packet")


def test_a_packet_that_stops_in_its_header(charger: Program, proxy: FaultProxy, peer: Peer) -> None:
    proxy.down_limit = 1
    peer.publish(TOPIC, "x" * 4000)
    charger.wait("problem", kind="timeout", detail="a packet that stopped after 1 bytes")
    comes_back(charger, proxy, "stall after one byte")


def test_everything_one_byte_at_a_time(charger: Program, proxy: FaultProxy, peer: Peer) -> None:
    proxy.down = proxy.up = "split"
    peer.publish(TOPIC, "byte by byte")
    charger.wait("message", payload="byte by byte")
    charger.do("publish", topic="tapgate/home/c1/event", payload="also back", qos=1)
    charger.wait("ack")
    assert charger.unblocked("one byte at a time")["connects"] == 1


def test_a_link_that_is_half_open(charger: Program, proxy: FaultProxy) -> None:
    proxy.down = proxy.up = "stall"
    began = time.monotonic()
    charger.wait("problem", kind="timeout", detail="no answer to a ping")
    longest_s = (QUICK["keepalive_s"] * 500 + QUICK["ANSWER_MS"]) / 1000
    assert time.monotonic() - began < longest_s + 1
    comes_back(charger, proxy, "half-open")


def test_an_acknowledgement_that_never_comes(charger: Program, proxy: FaultProxy) -> None:
    proxy.rewrite = lambda data: b"" if data[0] == 0x40 else data
    charger.do("publish", topic="tapgate/home/c1/event", payload="x", qos=1)
    taken = charger.wait("published")["taken"]
    found = charger.wait("problem", kind="timeout")
    assert found["detail"] == f"no PUBACK {taken} for tapgate/home/c1/event"
    assert charger.count("ack") == 0
    comes_back(charger, proxy, "no acknowledgement")


def test_acknowledgements_of_what_was_never_sent(charger: Program, proxy: FaultProxy) -> None:
    proxy.rewrite = lambda data: b"\x40\x02\x30\x39" if data[0] == 0x40 else data
    charger.do("publish", topic="tapgate/home/c1/event", payload="x", qos=1)
    charger.wait("problem", kind="protocol", detail="PUBACK for 12345, which nobody awaits")
    charger.wait("problem", kind="timeout")
    assert charger.count("ack") == 0
    comes_back(charger, proxy, "wrong acknowledgements")


def test_another_kind_of_acknowledgement_does_not_count(
    charger: Program, proxy: FaultProxy
) -> None:
    # SUBACK and UNSUBACK with the identifier of the message: umqtt alone would lose its place here.
    proxy.rewrite = lambda data: (
        b"\x90\x03" + data[2:4] + b"\x00\xb0\x02" + data[2:4] if data[0] == 0x40 else data
    )
    charger.do("publish", topic="tapgate/home/c1/event", payload="x", qos=1)
    charger.wait("problem", kind="protocol")
    charger.wait("problem", kind="timeout")
    assert charger.count("ack") == 0
    comes_back(charger, proxy, "acknowledgements of another kind")


def test_a_refused_subscription_is_told(
    micropython: str, proxy: FaultProxy, charger: Program
) -> None:
    proxy.rewrite = lambda data: data[:4] + b"\x80" + data[5:] if data[0] == 0x90 else data
    charger.do("subscribe", topic="tapgate/home/c1/forbidden")
    charger.wait("problem", kind="subscribe", detail="tapgate/home/c1/forbidden")
    assert charger.unblocked("refused subscription")["connected"]


def test_a_reset(charger: Program, proxy: FaultProxy) -> None:
    proxy.drop()
    comes_back(charger, proxy, "reset")


def test_the_broker_closes_its_half(charger: Program, proxy: FaultProxy) -> None:
    proxy.half_close()
    charger.wait("problem", kind="closed", detail="by the broker")
    comes_back(charger, proxy, "half-closed")


GARBAGE = {
    "http": b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "zeros": bytes(5000),
    "ones": b"\xff" * 5000,
    "second CONNACK": b"\x20\x02\x00\x00",
    "endless length": b"\x30\xff\xff\xff\xff\xff\xff",
    "QoS 2": publish_packet(TOPIC, b"x" * 9, 4, b"\x00\x01"),
    "QoS 3": publish_packet(TOPIC, b"x" * 9, 6, b"\x00\x01"),
    "identifier 0": publish_packet(TOPIC, b"x", 2, b"\x00\x00"),
    "empty topic": publish_packet("", b"x"),
    "topic past the end": b"\x30\x04\x00\x09ab",
    "no UTF-8": b"\x30\x05\x00\x02\xff\xfex",
    "CONNECT": b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01a",
    "PUBREL": b"\x62\x02\x00\x01",
    "long PINGRESP": b"\xd0\x01\x00",
}


def test_garbage(charger: Program, proxy: FaultProxy) -> None:
    for name, data in GARBAGE.items():
        proxy.inject(data)
        charger.wait("problem", kind="protocol")
        assert charger.count("message") == 0, name
        comes_back(charger, proxy, f"garbage: {name}")


def test_a_packet_of_200_megabytes_that_stops(charger: Program, proxy: FaultProxy) -> None:
    proxy.inject(b"\x30\xff\xff\xff\x63\x00\x18" + TOPIC.encode() + b"x" * 3_000_000)
    heap = charger.facts()["heap"]
    charger.wait("problem", kind="timeout")
    comes_back(charger, proxy, "200 MB announced, 3 MB sent")
    assert charger.facts()["heap"] < heap + 8192


def test_an_oversized_message_slower_than_every_deadline_passes_by(
    micropython: str, proxy: FaultProxy
) -> None:
    with Program(micropython, "client", port=proxy.port, topics=[TOPIC], **QUICK) as charger:
        charger.wait("ready")
        proxy.down = "stall"  # the broker's own packets wait for the end of this one
        proxy.inject(b"\x30\xa2\xf8\x01\x00\x18" + TOPIC.encode())
        charger.do("publish", topic="tapgate/home/c1/event", payload="x", qos=1)
        for pause_s in (0, 0.45, 0.45, 0.45):  # longer than any wait, and no answer meanwhile
            time.sleep(pause_s)
            proxy.inject(b"x" * 7938)
        proxy.heal()
        charger.wait("oversized", topic=TOPIC, size=31_752)
        charger.wait("ack")
        assert charger.unblocked("slow oversized message")["connects"] == 1


FLOODS = {
    "messages": publish_packet(TOPIC, b"flood"),
    "messages of 2 KB": publish_packet(TOPIC, b"flood" * 400),
    "QoS 1 messages": publish_packet(TOPIC, b"flood", 2, b"\x12\x34"),
    "oversized messages": publish_packet(TOPIC, b"x" * 9000),
    "pings' answers": b"\xd0\x00",
    "acknowledgements": b"\x40\x02\x00\x63",
}


@pytest.mark.parametrize("name", FLOODS)
def test_a_flood(micropython: str, proxy: FaultProxy, plain_broker: Broker, name: str) -> None:
    options = QUICK | {"quiet": True, "keepalive_s": 5}
    with Program(micropython, "client", port=proxy.port, topics=[TOPIC], **options) as charger:
        charger.wait("ready")
        charger.facts()
        packet = FLOODS[name]
        proxy.inject(packet * min(20_000, 30_000_000 // len(packet)))
        proxy.inject(publish_packet(TOPIC, b"end"))
        charger.wait("message", payload="end")
        facts = charger.unblocked(f"flood of {name}")
        assert facts["turns"] > 5  # a flood may be over within a tenth of a second
        assert facts["connects"] == 1


def test_a_broker_that_takes_nothing(micropython: str, proxy: FaultProxy) -> None:
    options = QUICK | {"keepalive_s": 30}
    with Program(micropython, "client", port=proxy.port, topics=[TOPIC], **options) as charger:
        charger.wait("ready")
        proxy.deaf = True
        charger.do("shout", size=1500)
        found = charger.wait("problem", within_s=20, kind="timeout")
        assert found["detail"].endswith("bytes that nobody takes")
        charger.do("shout", size=0)
        comes_back(charger, proxy, "a broker that takes nothing")


def test_a_broker_that_never_greets(micropython: str, proxy: FaultProxy) -> None:
    proxy.mute = True
    with Program(micropython, "client", port=proxy.port, topics=[TOPIC], **QUICK) as charger:
        charger.wait("problem", kind="timeout", detail="no CONNACK")
        proxy.heal()
        charger.wait("ready")
        charger.unblocked("no CONNACK")


def test_a_broker_that_speaks_before_it_greets(micropython: str, proxy: FaultProxy) -> None:
    proxy.rewrite = lambda data: publish_packet(TOPIC, b"too early") + data
    with Program(micropython, "client", port=proxy.port, topics=[TOPIC], **QUICK) as charger:
        charger.wait("problem", kind="protocol", detail="packet 30 before CONNACK")
        assert charger.count("message") == 0


def test_a_broker_that_is_away_is_asked_ever_less_often(micropython: str) -> None:
    options = QUICK | {"BACKOFF_MS": [100, 60_000], "chance": 0.0}
    with Program(micropython, "client", port=free_port(), **options) as charger:
        times = []
        for _ in range(4):
            charger.wait("problem", kind="connect")
            times.append(time.monotonic())
        assert 0.65 <= times[-1] - times[0] < 2  # 100, 200 and 400 ms
        charger.unblocked("no broker")


@pytest.mark.parametrize("lasts", [True, False])
def test_the_wait_grows_from_drop_to_drop_unless_the_link_lasted(
    micropython: str, proxy: FaultProxy, lasts: bool
) -> None:
    # The shortest waits there may be: 100, 200, 400 ms
    options = QUICK | {"BACKOFF_MS": [100, 60_000], "LASTED_MS": 100 if lasts else 60_000}
    with Program(micropython, "client", port=proxy.port, chance=0.0, **options) as charger:
        for _ in range(3):
            charger.wait("connected")
            time.sleep(0.3)
            proxy.drop()
            charger.wait("disconnected")
        dropped = time.monotonic()
        charger.wait("connected")
        waited = time.monotonic() - dropped
    assert waited < 0.35 if lasts else waited > 0.39


def test_a_message_for_which_there_is_no_memory_is_skipped_and_reported(
    charger: Program, peer: Peer
) -> None:
    charger.do("starve")
    connects = charger.facts()["connects"]  # it has been told
    peer.publish(TOPIC, "needs memory", retain=True)
    charger.wait("problem", kind="memory")
    charger.wait("oversized", topic=TOPIC, size=len("needs memory"))
    peer.publish(TOPIC, "has it")
    charger.wait("message", payload="has it")
    assert charger.facts()["connects"] == connects  # a retained one would only come again
    peer.publish(TOPIC, "", retain=True)


def test_a_computer_that_does_not_answer_at_all(micropython: str) -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        waiting = [socket.socket() for _ in range(4)]
        for sock in waiting:
            sock.setblocking(False)
            sock.connect_ex(("127.0.0.1", port))
        with Program(micropython, "client", port=port, **QUICK) as charger:
            charger.wait("problem", kind="timeout", detail="no connection to 127.0.0.1")
            charger.unblocked("no answer to the connection")
        for sock in waiting:
            sock.close()


def test_wifi_drops_and_returns(charger: Program) -> None:
    charger.do("network", up=False)
    charger.wait("problem", kind="closed", detail="the network is down", within_s=1)
    charger.wait("disconnected")
    facts = charger.unblocked("Wi-Fi lost")
    assert not facts["connected"]
    charger.do("network", up=True)
    charger.wait("ready")
    charger.unblocked("Wi-Fi back")


def test_a_name_that_leads_nowhere_is_told_and_the_last_address_kept(
    micropython: str, proxy: FaultProxy
) -> None:
    with Program(
        micropython, "client", host="broker.test", port=proxy.port, names={}, **QUICK
    ) as charger:
        charger.wait("problem", kind="name", detail="no address for broker.test")
        charger.do("names", addresses={"broker.test": "127.0.0.1"})
        charger.wait("connected")
        charger.do("names", addresses={})
        proxy.drop()
        charger.wait("disconnected")
        charger.wait("connected")
        assert charger.count("problem", kind="name") < 10
        charger.unblocked("names without addresses")


def test_nothing_is_taken_without_a_link(micropython: str) -> None:
    with Program(micropython, "client", port=free_port(), **QUICK) as charger:
        charger.do("publish", topic="a", payload="x", qos=1)
        assert charger.wait("published")["taken"] is None
        charger.do("subscribe", topic="a")
        assert charger.wait("subscribed")["taken"] is False
        charger.do("unsubscribe", topic="a")
        assert charger.wait("unsubscribed")["taken"] is False
        charger.do("close")
        charger.wait("ended", by_link=True)


def test_a_message_larger_than_the_room_is_not_taken_and_the_link_goes_on(
    charger: Program,
) -> None:
    charger.do("publish", topic="tapgate/home/c1/event", size=5000, qos=1)
    assert charger.wait("published")["taken"] is None
    charger.do("publish", topic="tapgate/home/c1/event", size=100, qos=1)
    charger.wait("ack")
    assert charger.facts()["connects"] == 1
