"""mqtt[s]://[USER:PASSWORD@]HOST:PORT, read strictly."""

import pytest
import trustme

from tools.portal import broker_address
from tools.portal.refusal import Refusal, WrongUsage


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("mqtt://broker.example", ("broker.example", 1883, False, "", "")),
        ("mqtts://broker.example", ("broker.example", 8883, True, "", "")),
        ("mqtt://192.0.2.7:18830/", ("192.0.2.7", 18830, False, "", "")),
        ("mqtt://Broker.Example:1", ("broker.example", 1, False, "", "")),
        ("mqtt://anna:secret@b:65535", ("b", 65535, False, "anna", "secret")),
        ("mqtt://anna@b", ("b", 1883, False, "anna", "")),
        (
            "mqtts://an%40na:p%3A%2F%25%20%C3%A5@b",
            ("b", 8883, True, "an@na", "p:/% å"),
        ),
    ],
)
def test_an_address_is_taken_apart(text, address):
    assert broker_address.parse(text) == address


@pytest.mark.parametrize(
    "text",
    [
        "",
        "broker.example",
        "http://broker.example",
        "mqtt:broker.example",
        "mqtt://",
        "mqtt://:1883",
        "mqtt://broker:",
        "mqtt://broker:0",
        "mqtt://broker:65536",
        "mqtt://broker:1883x",
        "mqtt://broker:-1",
        "mqtt://broker/topic",
        "mqtt://broker?x=1",
        "mqtt://broker#x",
        "mqtt://bro ker",
        "mqtt://broker\n",
        "mqtt://-broker",
        "mqtt://bro..ker",
        "mqtt://" + "a" * 64,
        "mqtt://[::1]:1883",
        "mqtt://anna:se@cret@broker",
        "mqtt://anna:se:cret@broker",
        "mqtt://anna:se%cret@broker",
        "mqtt://anna:%ff@broker",
        "mqtt://anna:%00@broker",
        "mqtt://:secret@broker",
        "mqtt://" + "a" * 129 + ":secret@broker",
        "mqtt://anna:" + "secret" * 50 + "@broker",
        "mqtt://br%6Fker",
    ],
)
def test_anything_else_is_refused_without_showing_a_password(text):
    with pytest.raises(WrongUsage) as refused:
        broker_address.parse(text)
    assert "secret" not in str(refused.value)
    assert "\n" not in str(refused.value)


def test_an_address_is_shown_without_its_password():
    address = broker_address.parse("mqtts://an%40na:secret@b:9")
    assert str(address) == "mqtts://an%40na@b:9"


def test_only_the_certificates_of_a_file_are_taken(tmp_path):
    authority = trustme.CA()
    file = tmp_path / "ca.pem"
    pem = authority.cert_pem.bytes().decode()
    file.write_text("Bag Attributes\n    friendlyName: x\n" + pem + "trailing\n")
    assert broker_address.certificates(file) == pem


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "no certificate"),
        (b"hello", "no certificate"),
        (b"\x30\x82\xff\xfe", "not PEM"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "damaged"),
    ],
)
def test_a_file_without_a_sound_certificate_is_refused(tmp_path, content, why):
    file = tmp_path / "ca.pem"
    file.write_bytes(content)
    with pytest.raises(Refusal, match=why):
        broker_address.certificates(file)


def test_a_private_key_is_refused(tmp_path):
    issued = trustme.CA().issue_cert("broker.example")
    file = tmp_path / "both.pem"
    file.write_bytes(issued.private_key_and_cert_chain_pem.bytes())
    with pytest.raises(Refusal, match="private key"):
        broker_address.certificates(file)


def test_more_certificates_than_a_charger_holds_are_refused(tmp_path):
    file = tmp_path / "bundle.pem"
    file.write_bytes(trustme.CA().cert_pem.bytes() * 20)
    with pytest.raises(Refusal, match="8192"):
        broker_address.certificates(file)
