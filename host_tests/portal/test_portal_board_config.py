"""The config.json of a board."""

import json
import stat

import pytest

from firmware import config as board
from host_tests.portal.conftest import Tapgate


@pytest.fixture
def out(tmp_path):
    return tmp_path / "config.json"


def written(site: Tapgate, out, *options: str) -> dict:
    answer = site("charger", "config", "garage", "--out", str(out), *options)
    assert answer.status == 0, answer.err
    return json.loads(out.read_text())


def test_the_file_is_what_the_board_accepts(site: Tapgate, out):
    found = written(site, out)
    assert board.load(str(out)) == found
    assert (found["installation"], found["charger"]) == ("home", "garage")
    assert found["broker"]["host"] == "127.0.0.1" and found["broker"]["port"] == 9
    assert found["pins"] == board.DEFAULTS["pins"]
    assert found["access"] == "restricted"


def test_the_keys_are_this_chargers(site: Tapgate, out):
    site("charger", "add", "gate")
    one = written(site, out)
    site("charger", "config", "gate", "--out", str(out))
    other = json.loads(out.read_text())
    assert one["card_key"] == other["card_key"]
    assert one["charger_key"] != other["charger_key"]
    assert len(bytes.fromhex(one["charger_key"])) == 32


def test_the_file_is_for_its_owner_alone_and_nothing_is_shown(site: Tapgate, out):
    out.write_text("old")
    out.chmod(0o644)
    answer = site(
        *("charger", "config", "garage", "--out", str(out)),
        *("--wifi-ssid", "hjemme", "--wifi-password", "hemmelig!"),
    )
    found = json.loads(out.read_text())
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    for secret in ("hemmelig!", found["charger_key"], found["card_key"]):
        assert secret not in answer.out + answer.err
    assert [each.name for each in out.parent.iterdir() if each.name.startswith(".")] == []


def test_the_boards_parts_are_chosen_and_remembered(site: Tapgate, out):
    first = written(
        *(site, out, "--light", "neopixel", "--vehicle", "pilot", "--meter", "s0"),
        *("--wifi-ssid", "a:b", "--wifi-password", "c:d:e:f:g"),
        *("--set", "pins.feedback=null", "--set", "vehicle.max_current_a=10"),
        *("--set", "light.order=RGB", "--set", "poll_ms=50"),
    )
    assert first["light"] == {"kind": "neopixel", "leds": 1, "order": "RGB", "brightness": 100}
    assert first["vehicle"] == {"kind": "pilot", "max_current_a": 10}
    assert first["meter"]["kind"] == "s0"
    assert first["wifi"] == {"ssid": "a:b", "password": "c:d:e:f:g"}
    assert first["pins"]["feedback"] is None and first["poll_ms"] == 50
    again = written(site, out)
    assert {**again, "issued": 0} == {**first, "issued": 0}
    assert written(site, out, "--light", "rgb")["light"] == board.DEFAULTS["light"]
    bare = written(site, out, "--defaults")
    assert bare["vehicle"] == {"kind": "contact"} and bare["poll_ms"] == 25


def test_a_wifi_password_may_come_from_the_environment(site: Tapgate, out, monkeypatch):
    monkeypatch.setenv("TAPGATE_WIFI_PASSWORD", "hemmelig!")
    assert written(site, out, "--wifi-ssid", "hjemme")["wifi"]["password"] == "hemmelig!"


def test_a_charger_may_reach_the_broker_by_another_address(site: Tapgate, out):
    site("broker", "mqtt://portal:one@127.0.0.1:9")
    moved = written(site, out, "--broker", "mqtt://192.0.2.7:1884")["broker"]
    assert (moved["host"], moved["port"]) == ("192.0.2.7", 1884)
    assert (moved["user"], moved["password"]) == ("portal", "one")
    own = written(site, out, "--broker", "mqtt://garage:two@192.0.2.7")["broker"]
    assert (own["user"], own["password"]) == ("garage", "two")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--wifi-ssid", "x" * 33), "wifi.ssid"),
        (("--wifi-password", "short"), "wifi.password"),
        (("--set", "pins.contactor=34"), "pins.contactor"),
        (("--set", "pins.red=18"), "pins."),
        (("--set", "light.leds=3"), "light.leds"),
        (("--set", "poll_ms=fast"), "poll_ms"),
        (("--set", "charger_key=" + "0" * 64), "charger_key"),
        (("--set", "broker.tls=false"), "broker"),
        (("--set", "nonsense=1"), "nonsense"),
        (("--set", "pins"), "pins"),
        (("--set", ".=1"), "--set"),
        (("--set", "a.b.c=1"), "--set"),
        (("--set", "poll_ms=50", "--set", "poll_ms.x=1"), "poll_ms"),
        (("--set", "pins=7"), "pins"),
        (("--broker", "nowhere"), "broker"),
    ],
)
def test_what_a_board_would_refuse_is_refused_here_and_not_remembered(
    site: Tapgate, out, options, says
):
    answer = site("charger", "config", "garage", "--out", str(out), *options)
    assert (answer.status, answer.out) == (2, "")
    assert says in answer.err and answer.err.count("\n") == 1
    assert "short" not in answer.err.replace("shorter", "")
    assert not out.exists()
    written(site, out)


@pytest.mark.parametrize("where", ["/no/such/directory/config.json", "/dev/null", "/tmp"])
def test_a_place_where_no_file_can_be_is_one_line(site: Tapgate, where):
    answer = site("charger", "config", "garage", "--out", where)
    assert answer.status == 1 and answer.err.count("\n") == 1 and where in answer.err


def test_a_tls_broker_comes_with_its_authority(site: Tapgate, out, tmp_path):
    import trustme

    ca = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(ca)
    assert site("broker", "mqtts://broker.example", "--ca", str(ca)).status == 0
    found = written(site, out)["broker"]
    assert (found["tls"], found["port"]) == (True, 8883)
    assert found["ca"].strip() == ca.read_text().strip()
