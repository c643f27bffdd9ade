"""The same day with TLS, with a password, and with the embedded broker."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trustme

from host_tests.end_to_end.conftest import ANNA, Site
from host_tests.end_to_end.seeing import coil, start_charging, unplug
from tools.broker import AMQTT, MOSQUITTO, Broker, mosquitto

Start = Callable[..., Site]


@pytest.fixture
def start(micropython: str, tmp_path: Path) -> Iterator[Start]:
    """Start a broker with the options given, and a site on it."""
    running: list[Broker] = []

    def begin(**options) -> Site:
        if options.get("kind") == MOSQUITTO and not mosquitto():
            pytest.skip("mosquitto is not installed")
        running.append(Broker(**options).__enter__())
        return Site(tmp_path, running[-1])

    yield begin
    for broker in running:
        broker.__exit__()


def a_session(site: Site, **changes) -> None:
    site.add("left")
    with site.charger("left", **changes) as charger:
        site.wait_in_step("left")
        start_charging(charger, ANNA)
        since = charger.mark()
        unplug(charger)
        charger.wait_for(coil(False), 5, since)


@pytest.mark.parametrize("kind", [MOSQUITTO, AMQTT])
def test_with_tls_and_a_password(start: Start, kind: str):
    a_session(start(kind=kind, tls=True, user="site", password="a secret: é"))


def test_with_the_embedded_broker(start: Start):
    a_session(start(kind=AMQTT))


def test_a_certificate_for_another_name_is_refused(start: Start, tmp_path: Path):
    authority = trustme.CA()
    issued = authority.issue_cert("elsewhere.example")
    chain, key, ca = (tmp_path / name for name in ("chain.pem", "key.pem", "ca.pem"))
    issued.cert_chain_pems[0].write_to_path(chain)
    issued.private_key_pem.write_to_path(key)
    authority.cert_pem.write_to_path(ca)
    site = start(tls=True)
    site.add("left")
    with (
        Broker(certificate=(chain, key)) as other,
        site.charger("left", port=other.port, ca=ca.read_text()) as charger,
    ):
        charger.wait_for_output("link tls", 20)
        assert site.status("left")["online"] is not True


def test_a_broker_of_another_authority_is_refused(start: Start, tmp_path: Path):
    site = start(tls=True)
    site.add("left")
    with Broker(tls=True) as other:
        assert other.ca
        with site.charger("left", ca=other.ca.read_text()) as charger:
            charger.wait_for_output("link tls", 20)
            assert site.status("left")["online"] is not True
