"""What `tapgate publish` puts on a real broker, and that it stays there."""

import os
import signal
import socket
import sqlite3
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from firmware.link import messages
from host_tests.portal.conftest import OWNER, Observer, Tapgate, process
from tools.broker import MOSQUITTO, Broker, free_port, mosquitto
from tools.cli import main
from tools.portal import home as homes
from tools.portal import signing

SETTINGS = "tapgate/home/garage/settings"
ALLOWLIST = "tapgate/home/garage/allowlist"
OBJECT = "tapgate/home/object/"


def key(home, charger: str = "garage") -> bytes:
    with sqlite3.connect(home / "tapgate.db") as connection:
        rows = connection.execute("SELECT key FROM charger WHERE name = ?", [charger])
        return bytes.fromhex(next(rows)[0])


def tokens(newest: dict[str, bytes], ref: dict) -> list[str]:
    """The tokens on the list that a ref names."""
    index = newest[OBJECT + ref["index"]]
    found = []
    for at in range(12, len(index), 16):
        shard = newest[OBJECT + index[at : at + 16].hex()]
        found += [shard[i : i + 7].hex() for i in range(8, len(shard), 16)]
    return found


def with_card(site: Tapgate, person: str, number: str = "04a1b2c3") -> str:
    site("grant", person, "--role", "user")
    return site("card", "add", person, "--number", number, "--json").json["token"]


def test_a_charger_finds_its_settings_and_its_list(site, anna, any_broker, observe, home):
    site("broker", any_broker.url)
    token = with_card(site, anna)
    before = int(time.time())
    answer = site("publish", "--json").json
    seen: Observer = observe(any_broker)
    seen.until(lambda: len(seen.newest()) == 4)
    if any_broker.kind == MOSQUITTO:  # amqtt hands retained messages out without these marks
        assert all(each.retain and each.qos == 1 for each in seen.messages)
    newest = seen.newest()
    settings = messages.verify(key(home), SETTINGS, newest[SETTINGS])
    assert before <= settings.pop("t") <= time.time()
    assert settings.pop("v") >= before
    assert settings == {
        "access": "restricted",
        "authority": "native",
        "offline": "deny",
        "operator_wait_s": 10,
        "service_may_start": False,
        "stop_on_withdrawal": True,
        "resume_within_s": 14_400,
    }
    ref = messages.verify(key(home), ALLOWLIST, newest[ALLOWLIST])
    assert list(ref) == ["v", "t", "index", "cards", "max_age_s"]
    assert (ref["cards"], ref["max_age_s"]) == (1, 2_592_000)
    assert tokens(newest, ref) == [token]
    assert (answer["messages"], answer["objects"]) == (2, 2)
    [charger] = answer["chargers"]
    assert charger["allowlist"] == {
        "version": ref["v"],
        "published": True,
        "digest": ref["index"],
        "cards": 1,
    }


def test_objects_come_before_the_ref_that_names_them(live, anna, broker, observe):
    seen = observe(broker)
    with_card(live, anna)
    live("publish")
    seen.until(lambda: len(seen.newest()) == 4)
    kinds = [each.topic.startswith(OBJECT) for each in seen.messages]
    assert kinds == [True, True, False, False]


def test_what_is_there_is_not_published_again(live, anna, broker, observe):
    with_card(live, anna)
    live("publish")
    seen = observe(broker)
    answer = live("publish", "--json").json
    assert (answer["messages"], answer["objects"]) == (0, 0)
    assert "nothing has changed" in live("publish").out
    live("access", "open")
    live("publish")
    seen.until(lambda: len(seen.messages) > 4)
    assert [each.topic for each in seen.messages if not each.retain] == [SETTINGS]


def test_all_issues_every_message_anew(live, anna, broker, observe, home):
    with_card(live, anna)
    first = live("publish", "--json").json["chargers"][0]
    again = live("publish", "--all", "--json").json["chargers"][0]
    for kind in ("settings", "allowlist"):
        assert again[kind]["version"] > first[kind]["version"]


def test_a_withdrawn_card_is_off_the_list(live, anna, broker, observe, home):
    token = with_card(live, anna)
    other = live("card", "add", OWNER, "--number", "04a1b2c4", "--json").json["token"]
    live("publish")
    live("revoke", anna)
    live("publish")
    seen = observe(broker)
    seen.until(lambda: len(seen.newest()) >= 6)
    ref = messages.verify(key(home), ALLOWLIST, seen.newest()[ALLOWLIST])
    assert token not in tokens(seen.newest(), ref)
    assert tokens(seen.newest(), ref) == [other]


def test_chargers_with_the_same_permissions_share_their_objects(live, anna, broker):
    live("charger", "add", "gate")
    with_card(live, anna)
    answer = live("publish", "--json").json
    assert answer["objects"] == 2 and answer["messages"] == 4
    live("revoke", anna, "--charger", "gate")
    answer = live("publish", "--json").json
    counts = {each["charger"]: each["allowlist"]["cards"] for each in answer["chargers"]}
    assert counts == {"garage": 1, "gate": 0}
    assert (answer["objects"], answer["messages"]) == (2, 1)


def test_a_broker_that_lost_everything_is_given_the_same_again(live, anna, broker, observe):
    with_card(live, anna)
    live("publish")
    before = observe(broker)
    before.until(lambda: len(before.newest()) == 4)
    broker.stop()
    broker.start()
    answer = live("publish", "--json").json
    assert (answer["messages"], answer["objects"]) == (2, 2)
    after = observe(broker)
    after.until(lambda: len(after.newest()) == 4)
    assert after.newest() == before.newest()  # the very same, so no charger sees anything new


@pytest.mark.parametrize("payload", [b"", b"nonsense", b"\xff" * 9_000])
def test_what_others_wrote_over_is_put_back(live, anna, broker, observe, payload):
    with_card(live, anna)
    live("publish")
    seen = observe(broker)
    seen.until(lambda: len(seen.newest()) == 4)
    right = seen.newest()
    for topic in right:
        seen.say(topic, payload)
    live("publish")
    seen.until(lambda: seen.newest() == right)


def test_versions_go_on_above_what_an_older_copy_of_the_data_has_forgotten(
    live, anna, broker, observe, home
):
    live("publish")
    seen = observe(broker)
    seen.until(lambda: SETTINGS in seen.newest())
    ahead = int(time.time()) + 1_000
    forgotten = signing.sign(key(home), SETTINGS, {"v": ahead, "t": ahead, "access": "open"})
    seen.say(SETTINGS, forgotten)
    live("publish")
    seen.until(lambda: seen.newest()[SETTINGS] != forgotten)
    found = messages.verify(key(home), SETTINGS, seen.newest()[SETTINGS])
    assert found["v"] == ahead + 1 and found["access"] == "restricted"


def test_a_version_that_nobody_signed_moves_nothing(live, broker, observe, home):
    first = live("publish", "--json").json["chargers"][0]["settings"]["version"]
    seen = observe(broker)
    seen.say(SETTINGS, signing.sign(bytes(32), SETTINGS, {"v": 1 << 60, "t": 0}))
    live("access", "open")
    second = live("publish", "--json").json["chargers"][0]["settings"]["version"]
    assert first < second <= time.time() + 1


def test_versions_rise_also_when_the_clock_is_set_back(live, broker, home, monkeypatch):
    from tools.portal import publishing

    def version(at: int) -> int:
        monkeypatch.setattr(publishing.time, "time", lambda: at)
        plan = publishing.publish(home, everything=True, clock_is_right=True)
        return plan.chargers[0]["settings"]["version"]

    assert [version(2_000_000_000), version(1_900_000_000), version(2_000_000_000)] == [
        2_000_000_000,
        2_000_000_001,
        2_000_000_002,
    ]


def test_a_list_is_issued_anew_half_way_to_its_greatest_age(live, broker, home, monkeypatch):
    from tools.portal import publishing

    def published(at: int) -> dict[str, bool]:
        monkeypatch.setattr(publishing.time, "time", lambda: at)
        plan = publishing.publish(home, everything=False, clock_is_right=at == 2_000_000_000)
        [charger] = plan.chargers
        return {kind: charger[kind]["published"] for kind in ("settings", "allowlist")}

    assert published(2_000_000_000) == {"settings": True, "allowlist": True}
    assert published(2_000_000_000 + 1_295_999) == {"settings": False, "allowlist": False}
    assert published(2_000_000_000 + 1_296_000) == {"settings": False, "allowlist": True}


# --- the broker is not as it should be ---


def failed(answer, *words: str) -> None:
    assert (answer.status, answer.out) == (1, "")
    assert answer.err.count("\n") == 1
    for word in words:
        assert word in answer.err, answer.err


def test_a_broker_that_is_away_loses_nothing(live, anna, broker, observe):
    with_card(live, anna)
    broker.stop()
    failed(live("publish"), broker.url, "nothing answers")
    broker.start()
    assert live("publish", "--json").json["messages"] == 2


def test_a_host_that_does_not_exist_is_named(site):
    site("broker", "mqtt://no-such-host.invalid")
    failed(site("publish"), "no-such-host.invalid", "no such host")


def test_a_wrong_password_is_said_so_and_the_right_one_works(site):
    with Broker(user="portal", password="right") as broker:
        site("broker", f"mqtt://portal:wrong@{broker.host}:{broker.port}")
        failed(site("publish"), "user name or password")
        site("broker", f"mqtt://{broker.host}:{broker.port}")
        failed(site("publish"), "user name or password")
        site("broker", broker.url)
        assert site("publish").status == 0


def test_tls_needs_the_right_authority(site, tmp_path, observe, monkeypatch):
    import trustme

    from tools.portal import broker as brokers

    monkeypatch.setattr(brokers, "CONNECT_S", 0.5)

    with Broker(tls=True) as broker:
        other = tmp_path / "other.pem"
        trustme.CA().cert_pem.write_to_path(other)
        site("broker", broker.url, "--ca", str(other))
        failed(site("publish"), "certificate is not accepted")
        site("broker", f"mqtt://127.0.0.1:{broker.port}")
        failed(site("publish"), "port for mqtt://")
        assert site("broker", broker.url, "--ca", str(broker.ca)).status == 0
        assert site("publish").status == 0
        seen = observe(broker)
        seen.until(lambda: SETTINGS in seen.newest())


def test_a_certificate_for_another_name_is_refused(site, tmp_path):
    import trustme

    authority, chain, secret = trustme.CA(), tmp_path / "chain.pem", tmp_path / "key.pem"
    issued = authority.issue_cert("elsewhere.example")
    issued.cert_chain_pems[0].write_to_path(chain)
    issued.private_key_pem.write_to_path(secret)
    ca = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(ca)
    with Broker(certificate=(chain, secret)) as broker:
        site("broker", broker.url, "--ca", str(ca))
        failed(site("publish"), "certificate is not accepted")


def test_a_plain_port_is_not_taken_for_tls(site, broker, tmp_path):
    import trustme

    ca = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(ca)
    site("broker", f"mqtts://{broker.host}:{broker.port}", "--ca", str(ca))
    failed(site("publish"), "mqtts://")


def test_rights_that_are_missing_are_not_taken_for_success(site, tmp_path):
    program = mosquitto()
    if not program:
        pytest.skip("mosquitto is not installed on this machine; amqtt has no access list file")
    rights, settings = tmp_path / "rights", tmp_path / "mosquitto.conf"
    rights.write_text("topic read tapgate/#\n")
    port = free_port()
    settings.write_text(
        f"listener {port} 127.0.0.1\nallow_anonymous true\nacl_file {rights}\nuser root\n"
    )
    running = subprocess.Popen([program, "-c", settings], stderr=subprocess.DEVNULL)
    try:
        site("broker", f"mqtt://127.0.0.1:{port}")
        end = time.monotonic() + 10
        while "nothing answers" in (answer := site("publish")).err and time.monotonic() < end:
            time.sleep(0.05)
        failed(answer, "the right to read and write tapgate/home/#")
    finally:
        running.terminate()
        running.wait(10)


# --- several at once, and interrupted ---


def test_every_connection_has_a_client_id_of_its_own(site, home):
    from tools.portal import broker, database, installation

    with database.reading(home) as session:
        clients = {broker.access(installation.current(session)).client for _ in range(3)}
    assert len(clients) == 3 and all(each.startswith("portal-home-") for each in clients)


def test_publishers_take_turns(live, home, broker, monkeypatch):
    from tools.portal import publishing

    monkeypatch.setattr(publishing, "LOCK_PATIENCE_S", 0.2)
    descriptor = homes.open_lock(home, publishing.LOCK)
    assert homes.taken(descriptor)
    failed(live("publish"), "another publisher")
    os.close(descriptor)
    assert live("publish", "--json").json["messages"] == 2


def test_commands_at_once_lose_nothing(live, anna, broker):
    live("grant", anna, "--role", "user")
    commands = [["card", "add", anna, "--number", f"04a1b2{i:02x}"] for i in range(5)]
    commands += [["publish"], ["publish"]]
    start = threading.Barrier(len(commands))

    def run(command: list[str]) -> int:
        start.wait(10)
        return main(command)

    with ThreadPoolExecutor(len(commands)) as threads:
        assert list(threads.map(run, commands)) == [0] * len(commands)
    live("publish")
    assert live("publish", "--json").json["chargers"][0]["allowlist"]["cards"] == 5


def test_ctrl_c_ends_a_publish_in_one_line(live, home):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        live("broker", f"mqtt://127.0.0.1:{silent.getsockname()[1]}")
        # The signal at its default: a background job, as the tests may be, starts with it ignored.
        heed = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
        running = process("publish", preexec_fn=heed)
        silent.settimeout(20)
        connection, _ = silent.accept()
        connection.settimeout(20)
        assert connection.recv(1)  # CONNECT has come; there will be no answer
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=30)
        connection.close()
    assert (running.returncode, out) == (1, "")
    assert err.startswith("tapgate: interrupted") and err.count("\n") == 1


def test_a_broker_that_never_answers_is_given_up(live, monkeypatch):
    from tools.portal import broker

    monkeypatch.setattr(broker, "CONNECT_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        live("broker", f"mqtt://127.0.0.1:{silent.getsockname()[1]}")
        failed(live("publish"), "no answer")


def test_what_was_stored_and_never_sent_goes_out_next_time(live, anna, broker, observe, home):
    """Killed between the commit and the first message."""
    from tools.portal import database, publishing

    with database.changing(home) as session:
        publishing.prepare(session, {}, int(time.time()))
    answer = live("publish", "--json").json
    assert (answer["messages"], answer["objects"]) == (2, 2)
    seen = observe(broker)
    seen.until(lambda: {SETTINGS, ALLOWLIST} <= seen.newest().keys())
    stored = messages.verify(key(home), SETTINGS, seen.newest()[SETTINGS])
    assert stored["v"] == answer["chargers"][0]["settings"]["version"]
