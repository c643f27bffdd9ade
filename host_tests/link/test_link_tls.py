"""TLS: whom the link trusts, whom it does not, and what a handshake that goes wrong costs."""

import datetime
from pathlib import Path

import pytest
import trustme

from host_tests.link.conftest import Peer
from host_tests.link.running import QUICK, Program
from tools.broker import AMQTT, Broker
from tools.fault_proxy import FaultProxy

TOPIC = "tapgate/home/c1/settings"
NAMES = {"broker.test": "127.0.0.1", "other.test": "127.0.0.1"}


class Authority:
    """A certificate authority whose certificates lie in `folder`."""

    def __init__(self, folder: Path):
        self._folder = folder
        self._authority = trustme.CA()
        self._issued = 0
        self.file = folder / f"ca-{id(self)}.pem"
        self._authority.cert_pem.write_to_path(self.file)

    def issue(self, *names: str, **validity) -> tuple[Path, Path]:
        self._issued += 1
        chain = self._folder / f"{id(self)}-{self._issued}.pem"
        key = chain.with_suffix(".key")
        issued = self._authority.issue_cert(*names, **validity)
        issued.cert_chain_pems[0].write_to_path(chain)
        issued.private_key_pem.write_to_path(key)
        return chain, key


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def start(micropython: str, port: int, ca: Path, host: str = "broker.test", **options) -> Program:
    defaults = QUICK | {"OPEN_MS": 4000, "topics": [TOPIC], "names": NAMES}
    return Program(
        micropython, "client", host=host, port=port, tls=True, ca_file=str(ca),
        **(defaults | options),
    )  # fmt: skip


def test_the_name_and_the_address_in_a_certificate_are_accepted(
    micropython: str, authority: Authority
) -> None:
    certificate = authority.issue("broker.test", "127.0.0.1")
    with Broker(certificate=certificate) as broker:
        for host in ("broker.test", "127.0.0.1"):
            with start(micropython, broker.port, authority.file, host) as charger:
                charger.wait("connected")
                facts = charger.unblocked(f"TLS handshake with {host}")
                assert facts["slices"] >= 3, "a handshake is to be taken one record at a time"


def test_amqtt_with_tls(micropython: str) -> None:
    with Broker(AMQTT, tls=True) as broker:
        peer = Peer(broker)
        assert broker.ca is not None
        with start(micropython, broker.port, broker.ca, "127.0.0.1") as charger:
            charger.wait("ready")
            peer.publish(TOPIC, "x" * 8192)
            charger.wait("message", payload="8192:xxxx..xxxx")
            charger.do("publish", topic="tapgate/home/c1/event", payload="up", qos=1)
            charger.wait("ack")
        peer.close()


def refused(
    micropython: str, broker: Broker, ca: Path, why: str, host: str = "broker.test"
) -> None:
    with start(micropython, broker.port, ca, host) as charger:
        found = charger.wait("problem")
        assert found["kind"] == "tls"
        assert why in found["detail"]
        charger.wait("problem", kind="tls")  # tried again, and refused again
        assert not charger.unblocked(f"certificate: {why}")["connected"]
        assert charger.count("connected") == 0


def test_a_certificate_of_another_authority_is_refused(
    micropython: str, authority: Authority, tmp_path: Path
) -> None:
    with Broker(certificate=Authority(tmp_path).issue("broker.test")) as broker:
        refused(micropython, broker, authority.file, "not correctly signed by the trusted CA")


def test_a_certificate_for_another_name_or_address_is_refused(
    micropython: str, authority: Authority
) -> None:
    with Broker(certificate=authority.issue("broker.test", "127.0.0.2")) as broker:
        for host in ("other.test", "127.0.0.1"):
            refused(
                micropython, broker, authority.file, "does not match with the expected CN", host
            )


def test_an_expired_certificate_is_refused(micropython: str, authority: Authority) -> None:
    then = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    validity = {"not_before": then, "not_after": then + datetime.timedelta(days=90)}
    with Broker(certificate=authority.issue("broker.test", **validity)) as broker:
        refused(micropython, broker, authority.file, "validity has expired")


def test_several_authorities_may_be_trusted(
    micropython: str, authority: Authority, tmp_path: Path
) -> None:
    bundle = tmp_path / "bundle.pem"
    bundle.write_text(Authority(tmp_path).file.read_text() + "\n" + authority.file.read_text())
    with (
        Broker(certificate=authority.issue("broker.test")) as broker,
        start(micropython, broker.port, bundle) as charger,
    ):
        charger.wait("connected")


def test_a_broker_without_tls_is_no_broker(
    micropython: str, plain_broker: Broker, authority: Authority
) -> None:
    with start(micropython, plain_broker.port, authority.file, OPEN_MS=1500) as charger:
        charger.wait("problem")
        charger.wait("problem")
        assert charger.count("connected") == 0
        charger.unblocked("no TLS at the other side")


def test_a_handshake_that_stalls_is_given_up(micropython: str, authority: Authority) -> None:
    with (
        Broker(certificate=authority.issue("broker.test")) as broker,
        FaultProxy(broker.port) as proxy,
    ):
        for limit in (3, 300):
            proxy.down_limit = limit
            with start(micropython, proxy.port, authority.file, OPEN_MS=700) as charger:
                charger.wait("problem", kind="timeout", detail="no CONNACK")
                proxy.heal()
                charger.wait("ready")
                charger.unblocked(f"handshake that stalls after {limit} bytes")


def test_a_handshake_byte_by_byte(micropython: str, authority: Authority) -> None:
    with (
        Broker(certificate=authority.issue("broker.test")) as broker,
        FaultProxy(broker.port) as proxy,
    ):
        proxy.down = proxy.up = "split"
        with start(micropython, proxy.port, authority.file, OPEN_MS=15_000) as charger:
            charger.wait("connected", within_s=15)
            charger.unblocked("handshake byte by byte")


def test_garbage_and_resets_in_a_handshake(micropython: str, authority: Authority) -> None:
    with (
        Broker(certificate=authority.issue("broker.test")) as broker,
        FaultProxy(broker.port) as proxy,
        start(micropython, proxy.port, authority.file, OPEN_MS=700) as charger,
    ):
        charger.wait("ready")
        proxy.rewrite = lambda data: b"\x00" * len(data)
        proxy.drop()
        charger.wait("disconnected")
        charger.wait("problem")
        proxy.rewrite = lambda data: data[:100] + bytes([data[100] ^ 1]) + data[101:]
        charger.wait("problem")
        charger.wait("problem")
        proxy.heal()
        charger.wait("ready")
        charger.unblocked("garbage in handshakes")


def test_a_record_that_stops_and_one_that_is_changed(
    micropython: str, authority: Authority
) -> None:
    with (
        Broker(certificate=authority.issue("broker.test", "127.0.0.1")) as broker,
        FaultProxy(broker.port) as proxy,
        start(micropython, proxy.port, authority.file) as charger,
    ):
        broker.ca = authority.file
        peer = Peer(broker)
        charger.wait("ready")
        proxy.down_limit = 1000
        peer.publish(TOPIC, "x" * 4000)
        charger.wait("problem", kind="timeout")
        charger.wait("disconnected")
        proxy.heal()
        charger.wait("ready")
        proxy.rewrite = lambda data: data[:-1] + bytes([data[-1] ^ 1])
        peer.publish(TOPIC, "changed on the way")
        charger.wait("disconnected")
        proxy.heal()
        charger.wait("ready")
        assert charger.count("message") == 0
        charger.unblocked("TLS records that stop or change")
        peer.close()
