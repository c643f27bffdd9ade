"""The control port: what it takes, what it refuses, and that nobody can break it."""

import json
import socket
import time

import pytest

from tools.virtual.client import CommandRefused, ControlClient, VirtualCharger


@pytest.fixture(scope="module")
def charger(tmp_path_factory):
    folder = tmp_path_factory.mktemp("control")
    (folder / "program.py").write_text("")
    with VirtualCharger.start(main=folder / "program.py", until="either") as running:
        yield running


def lines(port: int, *sent: bytes) -> list[dict]:
    """Answers to raw bytes, one connection."""
    with socket.create_connection(("127.0.0.1", port), 5) as connection:
        for data in sent:
            connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        connection.settimeout(0.3)
        received = b""
        try:
            while data := connection.recv(65536):
                received += data
        except TimeoutError:
            pass
    return [answer for line in received.splitlines() if "ok" in (answer := json.loads(line))]


@pytest.mark.parametrize(
    ("command", "error"),
    [
        ({"do": "fly"}, 'do: found "fly", allowed plug, unplug, draw'),
        ({"plug": 1}, "do: missing"),
        ({"do": "draw"}, "on: missing"),
        ({"do": "draw", "on": 1}, "on: found 1, allowed true, false"),
        ({"do": "draw", "on": True}, "draw: no vehicle is connected"),
        ({"do": "place"}, "uid: missing"),
        ({"do": "place", "uid": "04a1b2"}, 'uid: found "04a1b2", allowed 4, 7 or 10 bytes in hex'),
        ({"do": "place", "uid": "04a1b2zz"}, 'uid: found "04a1b2zz", allowed 4, 7 or 10 bytes'),
        ({"do": "place", "uid": [4]}, "uid: found [4], allowed 4, 7 or 10 bytes in hex"),
        ({"do": "place", "uid": "04a1b2c3", "kind": "desfire"}, 'kind: found "desfire", allowed'),
        ({"do": "remove", "uid": "04a1b2c3"}, "uid: found 04a1b2c3, in the field: no card"),
        ({"do": "tap", "uid": "04a1b2c3", "ms": -1}, "ms: found -1, allowed a number of 0 to"),
        ({"do": "reader", "fault": "tired"}, 'fault: found "tired", allowed none, deaf, dead'),
        ({"do": "contactor", "fault": None}, "fault: found null, allowed none, welded, open_coil"),
        ({"do": "energy", "wh": "much"}, 'wh: found "much", allowed a number of 0 to'),
        ({"do": "energy", "wh": float("nan")}, "wh: found NaN, allowed a number of 0 to"),
        ({"do": "link", "up": "no"}, 'up: found "no", allowed true, false'),
        ({"do": "ntp", "up": 1}, "up: found 1, allowed true, false"),
        ({"do": "time"}, "offset_s: missing"),
        ({"do": "time", "offset_s": -1}, "offset_s: found -1, allowed a number of 0 to"),
        ({"do": "time", "offset_s": 1e12}, "offset_s: found 1000000000000.0, allowed a number of"),
        ({"do": "time", "offset_s": 0, "at": 0}, "unknown: at"),
        ({"do": "power", "off_ms": True}, "off_ms: found true, allowed a number of 0 to"),
        ({"do": "status", "of": "me"}, "unknown: of"),
    ],
)
def test_a_wrong_command_is_answered_with_what_was_found_and_what_is_allowed(
    charger, command, error
):
    (answer,) = lines(charger.port, json.dumps(command).encode() + b"\n")
    assert answer["ok"] is False
    assert answer["error"].startswith(error)


@pytest.mark.parametrize(
    "garbage",
    [b"\x00\xff\xfe\n", b"{\n", b'"plug"\n', b"[" * 50_000 + b"\n", b"7\n", b"x" * 300_000 + b"\n"],
    ids=["bytes", "half", "text", "nested", "number", "huge"],
)
def test_garbage_gets_one_error_and_the_connection_goes_on(charger, garbage):
    refused, status = lines(charger.port, garbage, b'{"do":"status"}\n')
    assert refused["ok"] is False
    assert "\n" not in refused["error"]
    assert status["ok"] is True


def test_a_line_without_end_is_refused_before_it_fills_the_memory(charger):
    with socket.create_connection(("127.0.0.1", charger.port), 5) as connection:
        connection.sendall(b"x" * 100_000)
        refused = json.loads(connection.makefile("rb").readline())
        assert refused == {"ok": False, "error": "line longer than 65536 bytes"}


def test_a_client_that_goes_away_in_the_middle_of_a_tap_leaves_no_card_behind(charger):
    client = socket.create_connection(("127.0.0.1", charger.port), 5)
    since = charger.mark()
    client.sendall(b'{"do":"tap","uid":"0badcafe","ms":60}\n')
    charger.wait_for(lambda push: push.get("card") == "placed", 2, since)
    client.close()
    charger.wait_for(lambda push: push.get("card") == "removed", 2, since)
    assert charger.status()["cards"] == []


def test_a_tap_is_answered_when_the_card_is_gone(charger):
    since = charger.mark()
    began = time.monotonic()
    charger.do("tap", uid="04A1B2C3D4E5F6", ms=80)
    assert time.monotonic() - began >= 0.08
    cards = [(push["card"], push["uid"]) for push in charger.pushes[since:] if "card" in push]
    assert cards == [("placed", "04a1b2c3d4e5f6"), ("removed", "04a1b2c3d4e5f6")]


def test_every_client_sees_what_happens(charger):
    other = ControlClient(charger.port)
    charger.do("place", uid="01020304")
    other.wait_for(lambda push: push.get("uid") == "01020304", 2, 0)
    other.do("remove", uid="01020304")
    charger.wait_for(lambda push: push == push and push.get("card") == "removed", 2, 0)
    other.close()


def test_a_card_cannot_be_placed_twice(charger):
    charger.do("place", uid="01020304")
    with pytest.raises(CommandRefused, match="in the field already"):
        charger.do("place", uid="01020304", kind="classic4k")
    assert charger.status()["cards"] == ["01020304"]
    charger.do("remove")


def test_a_phone_needs_no_number(charger):
    assert charger.do("place", kind="phone")["uid"] == "phone"
    charger.do("remove", uid="phone")
    assert charger.status()["cards"] == []


def test_status_says_what_the_page_promises(charger):
    status = charger.status()
    assert set(status) >= {
        "ok", "contactor", "light", "vehicle", "cards", "resets", "heap_used", "spi_frames"
    }  # fmt: skip
    assert status["light"] == [0, 0, 0]
    charger.do("plug", draw=False)
    assert [charger.status()[name] for name in ("vehicle", "asks", "pilot")] == [True, False, "B"]
    charger.do("unplug")
    assert charger.status()["vehicle"] is False


def test_plugging_and_unplugging_are_answered_with_their_time(charger):
    before = charger.status()["t_ms"]
    plugged, unplugged = (charger.do(what)["t_ms"] for what in ("plug", "unplug"))
    assert before <= plugged < unplugged <= charger.status()["t_ms"]
