"""Brokers to test against, and somebody at the other end of them."""

import os
import queue
import ssl
from collections.abc import Iterator

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from tools.broker import AMQTT, MOSQUITTO, Broker, mosquitto
from tools.fault_proxy import FaultProxy


def needs(kind: str) -> None:
    """Skip, with the reason, where this broker is not to be had."""
    if kind == MOSQUITTO and os.environ.get("BROKER") == AMQTT:
        pytest.skip("BROKER=amqtt: not with mosquitto")
    if kind == MOSQUITTO and not mosquitto():
        pytest.skip("mosquitto is not installed")


class Peer:
    """The portal's place: publishes, and collects what is published under `tapgate/`."""

    def __init__(self, broker: Broker):
        self._messages: queue.Queue[tuple[str, str, bool]] = queue.Queue()
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id="portal-test")
        if broker.tls:
            context = ssl.create_default_context(cafile=str(broker.ca))
            self._client.tls_set_context(context)
        if broker.user:
            self._client.username_pw_set(broker.user, broker.password)
        subscribed = queue.Queue()
        self._client.on_subscribe = lambda *_: subscribed.put(True)
        self._client.on_message = lambda _client, _data, message: self._messages.put(
            (message.topic, message.payload.decode(), message.retain)
        )
        self._client.connect(broker.host, broker.port)
        self._client.loop_start()
        self._client.subscribe("tapgate/#", 1)
        subscribed.get(timeout=5)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def publish(self, topic: str, payload: str | bytes, retain: bool = False, qos: int = 1) -> None:
        self.publish_all([(topic, payload)], retain, qos)

    def publish_all(self, messages: list, retain: bool = False, qos: int = 1) -> None:
        """Pairs of topic and payload, one after the other without waiting in between."""
        sent = [self._client.publish(topic, text, qos, retain) for topic, text in messages]
        for one in sent:
            one.wait_for_publish(10)

    def next(self, within_s: float = 5) -> tuple[str, str, bool]:
        """The next message: topic, payload, whether it was retained."""
        try:
            return self._messages.get(timeout=within_s)
        except queue.Empty:
            raise AssertionError(f"no message within {within_s} s") from None

    def silent(self, for_s: float = 0.3) -> bool:
        try:
            self._messages.get(timeout=for_s)
        except queue.Empty:
            return True
        return False


KINDS = {
    "mosquitto": (MOSQUITTO, False),
    "mosquitto-tls": (MOSQUITTO, True),
    "amqtt": (AMQTT, False),
    "amqtt-tls": (AMQTT, True),
}


@pytest.fixture(params=["mosquitto", "mosquitto-tls", "amqtt"])
def broker(request) -> Iterator[Broker]:
    """Each broker, plain and with TLS."""
    kind, tls = KINDS[request.param]
    needs(kind)
    with Broker(kind, tls=tls) as broker:
        yield broker


@pytest.fixture(scope="module")
def plain_broker() -> Iterator[Broker]:
    """The broker that the environment has, without TLS; shared by a file's tests."""
    with Broker() as broker:
        yield broker


@pytest.fixture
def peer(broker: Broker) -> Iterator[Peer]:
    peer = Peer(broker)
    yield peer
    peer.close()


@pytest.fixture
def proxy(plain_broker: Broker) -> Iterator[FaultProxy]:
    """Between a charger and `plain_broker`."""
    with FaultProxy(plain_broker.port) as proxy:
        yield proxy


@pytest.fixture
def needed():
    """`needs`, for tests that choose their broker themselves."""
    return needs
