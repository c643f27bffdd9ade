"""The board's network: through relays to the real hosts, as well and as badly as over the air."""

import socket
import threading
import time

import pytest

CONNECT = """
import network, socket, time
wlan = network.WLAN(network.STA_IF)
wlan.active(True)
wlan.connect("any", "password")
while not wlan.isconnected():
    time.sleep_ms(10)
def address(host, port, kind=socket.SOCK_STREAM):
    return socket.getaddrinfo(host, port, 0, kind)[0][-1]
"""


class Host:
    """A host that the board talks to: accepts one connection after the other."""

    def __init__(self):
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]

    def accept(self) -> socket.socket:
        self._server.settimeout(5)
        connection, _ = self._server.accept()
        connection.settimeout(5)
        return connection

    def close(self) -> None:
        self._server.close()


@pytest.fixture
def host():
    host = Host()
    yield host
    host.close()


def test_a_connection_carries_bytes_both_ways_and_its_end(bench, host):
    bench.run(CONNECT + f"s = socket.socket(); s.connect(address('localhost', {host.port}))")
    with host.accept() as peer:
        bench.run("s.write(b'question')")
        assert peer.recv(100) == b"question"
        peer.sendall(b"answer")
        assert bench.run("print(s.recv(100))") == "b'answer'"
    assert bench.run("print(s.recv(100))") == "b''"
    bench.run("s.close()")


def test_a_link_that_is_down_holds_everything_back_and_closes_nothing(bench, host):
    bench.run(CONNECT + f"s = socket.socket(); s.connect(address('127.0.0.1', {host.port}))")
    with host.accept() as peer:
        bench.charger.do("link", up=False)
        assert bench.run("print(wlan.isconnected())") == "False"
        bench.run("s.write(b'late')")
        peer.settimeout(0.2)
        with pytest.raises(TimeoutError):
            peer.recv(100)
        bench.charger.do("link", up=True)
        peer.settimeout(5)
        assert peer.recv(100) == b"late"
        bench.run("while not wlan.isconnected(): time.sleep_ms(10)")


def test_a_host_that_refuses_is_an_error_soon(bench, host):
    host.close()
    assert "OSError" in bench.fails(
        CONNECT + f"s = socket.socket(); s.connect(address('127.0.0.1', {host.port}))\n"
        "s.settimeout(5); s.write(b'x'); s.recv(1); s.write(b'x'); s.recv(1); raise OSError(104)"
    )


def test_names_are_answered_by_the_dns_server_that_dhcp_named(bench):
    answer = bench.run(
        CONNECT + "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(2)\n"
        "server = address(wlan.ifconfig()[3], 53, socket.SOCK_DGRAM)\n"
        "question = b'\\x12\\x34\\x01\\0\\0\\1\\0\\0\\0\\0\\0\\0\\x09localhost\\0\\0\\1\\0\\1'\n"
        "s.sendto(question, server); answer = s.recv(512); print(answer[:2], answer[-4:])"
    )
    assert answer == r"b'\x124' b'\x7f\x00\x00\x01'"


def test_a_name_that_nobody_knows_has_no_answer(bench):
    answer = bench.run(
        CONNECT + "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(5)\n"
        "server = address(wlan.ifconfig()[3], 53, socket.SOCK_DGRAM)\n"
        "question = b'\\x12\\x34\\x01\\0\\0\\1' + bytes(6)\n"
        "question += b'\\x04none\\x07invalid\\0\\0\\1\\0\\1'\n"
        "s.sendto(question, server); answer = s.recv(512); print(answer[3] & 15, answer[7])"
    )
    assert answer == "3 0"


def test_a_dns_server_that_is_silent_is_silent(bench):
    bench.charger.do("dns", up=False)
    try:
        failure = bench.fails(
            CONNECT + "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(0.2)\n"
            "server = address(wlan.ifconfig()[3], 53, socket.SOCK_DGRAM)\n"
            "s.sendto(b'\\x12\\x34\\x01\\0\\0\\1\\0\\0\\0\\0\\0\\0\\x01a\\0\\0\\1\\0\\1', server)\n"
            "s.recv(512)"
        )
        assert "ETIMEDOUT" in failure or "EAGAIN" in failure
        assert "OSError: -202" in bench.fails("socket.getaddrinfo('localhost', 1)")
    finally:
        bench.charger.do("dns", up=True)


def test_the_time_comes_over_the_network(bench):
    bench.run(CONNECT + "import ntptime; ntptime.host = '127.0.0.1'; ntptime.settime()")
    board = int(bench.run("print(time.time())")) + 946_684_800
    assert abs(board - time.time()) < 3


SETTIME = CONNECT + "import ntptime; ntptime.timeout = 0.3; ntptime.settime()\n"


def test_the_time_servers_name_needs_no_name_server_out_there(bench):
    answer = bench.run(
        CONNECT + "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(2)\n"
        "server = address(wlan.ifconfig()[3], 53, socket.SOCK_DGRAM)\n"
        "question = b'\\x12\\x34\\x01\\0\\0\\1' + bytes(6)\n"
        "question += b'\\x04pool\\x03ntp\\x03org\\0\\0\\1\\0\\1'\n"
        "s.sendto(question, server); answer = s.recv(512); print(list(answer[-4:]))"
    )
    assert answer == "[192, 0, 2, 123]"


def test_the_time_server_may_be_ahead(bench):
    bench.charger.do("time", offset_s=86_400)
    try:
        bench.run(SETTIME)
        ahead = int(bench.run("print(time.time())")) + 946_684_800 - time.time()
        assert abs(ahead - 86_400) < 3
    finally:
        bench.charger.do("time", offset_s=0)


def test_a_time_server_that_is_silent_is_silent(bench):
    bench.charger.do("ntp", up=False)
    try:
        assert "OSError" in bench.fails(SETTIME)
    finally:
        bench.charger.do("ntp", up=True)
    bench.run(SETTIME)


def test_a_wrong_password_or_network_is_told_apart(start):
    charger = start(
        "import network, time\nwlan = network.WLAN(network.STA_IF); wlan.active(True)\n"
        "for ssid, key in (('home', 'wrong-one'), ('away', 'right-one'), ('home', 'right-one')):\n"
        "    wlan.disconnect(); wlan.connect(ssid, key)\n"
        "    time.sleep_ms(300); print(wlan.status())\n",
        config={"wifi": {"ssid": "home", "password": "right-one"}},
    )
    charger.wait_for_output("stopped", 5)
    assert [line for line in charger.output if line.isdigit()] == ["202", "201", "1010"]


def test_a_power_cut_leaves_the_peer_without_a_word(start, host):
    program = CONNECT + f"s = socket.socket(); s.connect(address('127.0.0.1', {host.port}))\n"
    charger = start(program + "s.write(b'hello')\nwhile True: time.sleep(1)\n")
    with host.accept() as peer:
        assert peer.recv(100) == b"hello"
        again: list[bytes] = []

        def next_life() -> None:
            with host.accept() as other:
                again.append(other.recv(100))

        thread = threading.Thread(target=next_life)
        thread.start()
        charger.do("power", off_ms=10)
        thread.join(5)
        assert again == [b"hello"]
        peer.settimeout(0.2)
        with pytest.raises(TimeoutError):
            peer.recv(100)
