"""A charger's board is given up, or given another key: what is on its flash afterwards, to the
byte, whenever it was interrupted."""

import json
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from littlefs import LittleFS

from tools.cli import main
from tools.installer import wiping
from tools.installer.link import Link
from tools.portal import charger_removal, chargers, database, installation, publishing
from tools.portal.schema import ReportedState
from tools.virtual.client import VirtualCharger
from tools.virtual.flash import open_flash

SSID, PASSWORD, BROKER_PASSWORD = "Hytta ved sjøen", "correct-horse-battery", "broker-secret-77"
TOKEN = bytes.fromhex("a1b2c3d4e5f607")
FORMER_KEY = "c0ffee" * 10 + "c0de"
WITHIN_S = 20


@dataclass
class Answer:
    status: int
    out: str
    err: str

    @property
    def json(self):
        assert self.status == 0, self.err
        return json.loads(self.out)


class Site:
    """An installation with the charger "garage", and the image of its board's flash."""

    def __init__(self, folder: Path, capsys):
        self.folder, self._capsys = folder, capsys
        self.home, self.image = folder / "home", folder / "board.img"
        self.config = folder / "config.json"
        self("init", "--installation", "home", "--owner", "ola@example.org",
             "--broker", f"mqtt://portal:{BROKER_PASSWORD}@127.0.0.1:9")  # fmt: skip
        self("charger", "add", "garage")
        self.write_config()

    def __call__(self, *arguments: str) -> Answer:
        self._capsys.readouterr()
        status = main(["--home", str(self.home), *arguments])
        said = self._capsys.readouterr()
        assert "Traceback" not in said.err and said.err.count("\n") <= (2 if not status else 1)
        for secret in self.secrets():
            assert secret not in said.out + said.err
        return Answer(status, said.out, said.err)

    def write_config(self) -> dict:
        status = main([
            "--home", str(self.home), "charger", "config", "garage", "--out", str(self.config),
            "--wifi-ssid", SSID, "--wifi-password", PASSWORD,
        ])  # fmt: skip
        assert status == 0
        return json.loads(self.config.read_text())

    def secrets(self) -> list[str]:
        if not self.config.exists():
            return []
        found = json.loads(self.config.read_text())
        keys = [found["charger_key"], found["card_key"], self.key, FORMER_KEY]
        return [PASSWORD, BROKER_PASSWORD, *keys]

    @property
    def key(self) -> str:
        with database.reading(self.home) as session:
            charger = chargers.named(session, "garage")
            return charger.key if charger else "?" * 64

    def chargers(self) -> list[str]:
        return [each["charger"] for each in self("charger", "list", "--json").json]

    def in_use(self) -> None:
        """A flash as it is after some time: files replaced and deleted, whose bytes are there."""
        flash = open_flash(self.image)
        config = json.loads(self.config.read_text())
        former = json.dumps({**config, "charger_key": FORMER_KEY}).encode()
        flash.install({"config.json": former})
        flash.install({"config.json": json.dumps(config, ensure_ascii=False).encode()})
        shard = b"TGS1" + TOKEN * 500
        flash.install({"allowlist/00": shard, "state/settings": b"s" * 90, "journal/a": TOKEN * 9})
        flash.install(
            {"boot.py": b"print('old')\n", "lib/own.py": b"pass\n", "allowlist/01": shard}
        )
        flash.remove("allowlist")
        flash.close()
        other = {"nvs.net80211": {"sta.pswd": PASSWORD}}  # of what ran there before
        self.image.with_name("board.img.nvs").write_text(json.dumps(other))
        with self.image.open("r+b") as chip:  # what lay in the last block once
            chip.seek(-60, 2)
            chip.write(PASSWORD.encode())
        assert FORMER_KEY.encode() in self.image.read_bytes()

    def left(self) -> list[str]:
        """What of all that is anywhere on the flash, in letters or in bytes."""
        content = b"".join(each.read_bytes() for each in self.folder.glob("board.img*"))
        site = json.loads(self.config.read_text())
        found = [SSID, PASSWORD, BROKER_PASSWORD, FORMER_KEY, site["charger_key"], site["card_key"]]
        forms = [each.encode() for each in found] + [TOKEN, TOKEN.hex().encode()]
        forms += [bytes.fromhex(each) for each in found[3:]]
        forms += [each.upper().encode() for each in found[3:]]
        return [repr(each) for each in forms if each in content]

    def files(self) -> dict[str, bytes]:
        fs = LittleFS(block_size=4_096, block_count=512, mount=False)
        fs.context.buffer[:] = self.image.read_bytes()
        fs.mount()
        found = {}
        for folder, _, names in fs.walk("/"):
            for name in names:
                with fs.open(f"{folder}/{name}", "rb") as file:
                    found[f"{folder}/{name}".strip("/")] = file.read()
        return found


@pytest.fixture
def site(tmp_path, capsys, monkeypatch) -> Site:
    monkeypatch.setattr(wiping, "ANSWER_S", 3.0)  # the virtual board erases at once
    return Site(tmp_path, capsys)


@pytest.fixture
def bare(site) -> Iterator[VirtualCharger]:
    """The board of a charger in use, without the firmware."""
    site.in_use()
    with VirtualCharger.start(flash=site.image, serial=True, until="either") as running:
        yield running


def boot_py() -> bytes:
    return (Path(__file__).parents[2] / "boot.py").read_bytes()


def test_nothing_secret_is_left_on_the_flash(site, bare):
    assert len(site.left()) > 6
    answer = site("charger", "remove", "garage", "--port", bare.serial, "--json").json
    assert (answer["removed"], answer["erased_blocks"]) == (True, 512)
    assert answer["undelivered"] is None  # no firmware there that could say it
    assert site.left() == []
    assert site.files() == {"boot.py": boot_py()}
    assert site.chargers() == []


@pytest.mark.parametrize("write", [2, 300, 513])
def test_a_wipe_cut_short_is_completed_when_it_is_run_again(site, bare, write):
    """The supply goes in the middle of an erase, of the first blocks and the last."""
    bare.do("power", at_block_write=write, part=0.5, off_ms=100)
    since = bare.mark()
    first = site("charger", "remove", "garage", "--port", bare.serial)
    assert first.status == 1, first
    assert site.chargers() == ["garage"]
    bare.wait_for(lambda push: push.get("reset") == "power", WITHIN_S, since)
    assert site("charger", "remove", "garage", "--port", bare.serial).status == 0
    assert site.left() == [] and site.files() == {"boot.py": boot_py()}
    assert site.chargers() == []


def test_what_was_cut_short_after_the_board_was_done_is_completed(site, bare, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(charger_removal, "remove", interrupted)
        assert site("charger", "remove", "garage", "--port", bare.serial).status == 1
    assert site.chargers() == ["garage"]
    assert site("charger", "remove", "garage", "--port", bare.serial).status == 0
    assert site.chargers() == [] and site.left() == []


def test_another_chargers_board_is_left_as_it_is(site, bare):
    site("charger", "add", "gate")
    before = site.image.read_bytes()
    answer = site("charger", "remove", "gate", "--port", bare.serial, "--yes")
    assert answer.status == 1 and "is 'garage' of 'home', not 'gate'" in answer.err
    answer = site("charger", "rekey", "gate", "--port", bare.serial)
    assert answer.status == 1 and "is 'garage' of 'home', not 'gate'" in answer.err
    with database.changing(site.home) as session:
        installation.current(session).card_key = "ab" * 32
    answer = site("charger", "remove", "garage", "--port", bare.serial)
    assert answer.status == 1 and "another installation" in answer.err
    assert site.image.read_bytes() == before and site.chargers() == ["garage", "gate"]


def test_the_board_of_another_that_was_cut_short_is_still_anothers(site, bare, monkeypatch):
    """Of one that had the name before: nothing on it says so any more."""

    def interrupted(*_):
        raise KeyboardInterrupt

    assert site("charger", "remove", "garage").status == 0
    main(["--home", str(site.home), "charger", "add", "garage"])
    with monkeypatch.context() as patch:
        patch.setattr(wiping, "wipe_store", interrupted)
        assert site("charger", "remove", "garage", "--port", bare.serial).status == 1
    answer = site("charger", "remove", "garage", "--port", bare.serial, "--json").json
    assert not answer["removed"] and site.chargers() == ["garage"] and site.left() == []


def test_whoever_gets_the_name_in_the_midst_of_it_stays(site, bare, monkeypatch):
    """The portal's part was done, and the board's not quite."""

    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(wiping, "wipe_store", interrupted)
        assert site("charger", "remove", "garage", "--port", bare.serial).status == 1
    assert site.chargers() == []
    main(["--home", str(site.home), "charger", "add", "garage"])
    answer = site("charger", "remove", "garage", "--port", bare.serial, "--json").json
    assert not answer["removed"] and site.chargers() == ["garage"] and site.left() == []


def test_where_the_board_cannot_say_what_it_has_not_delivered_its_last_state_counts(site, bare):
    with database.changing(site.home) as session:
        number = chargers.find(session, "garage").id
        body = {"online": True, "journal": {"pending": 3}}
        session.add(ReportedState(charger_id=number, seen_at=0, body=body))
    answer = site("charger", "remove", "garage", "--port", bare.serial)
    assert answer.status == 1 and "its last state says: 3 events" in answer.err
    assert site.chargers() == ["garage"] and site.files()["config.json"]
    assert site("charger", "remove", "garage", "--port", bare.serial, "--yes").status == 0


def test_a_bare_board_is_taken_for_nobodys(site, tmp_path):
    """A charger's own board, with all that is on it, may be somewhere else."""
    with VirtualCharger.start(flash=tmp_path / "x.img", serial=True, until="either") as board:
        answer = site("charger", "remove", "garage", "--port", board.serial)
    assert answer.status == 1 and "is bare" in answer.err and site.chargers() == ["garage"]


def test_a_board_that_says_nothing_of_itself_is_wiped_only_with_yes(site, bare):
    with Link(bare.serial) as link:
        link.remove("config.json")
    answer = site("charger", "remove", "garage", "--port", bare.serial)
    assert answer.status == 1 and "--yes" in answer.err and site.chargers() == ["garage"]
    assert site("charger", "remove", "garage", "--port", bare.serial, "--yes").status == 0
    assert site.left() == []


def test_the_board_of_one_that_had_the_name_before_is_wiped_and_its_successor_stays(site, bare):
    former = site("charger", "remove", "garage")
    assert former.status == 0 and "--port" in former.out
    main(["--home", str(site.home), "charger", "add", "garage"])
    answer = site("charger", "rekey", "garage", "--port", bare.serial)
    assert answer.status == 1 and "has a key that 'garage' does not have" in answer.err
    answer = site("charger", "remove", "garage", "--port", bare.serial, "--json").json
    assert (answer["removed"], answer["erased_blocks"]) == (False, 512)
    assert site.left() == [] and site.chargers() == ["garage"]


def test_the_board_of_a_charger_that_was_removed_is_wiped_afterwards(site, bare):
    assert site("charger", "remove", "garage").status == 0
    assert site("charger", "remove", "garage", "--port", bare.serial).status == 0
    assert site.left() == []


@pytest.mark.parametrize("fault", [{"fault": "bad_block", "block": 3}, {"fault": "readonly"}])
def test_a_flash_that_does_not_erase_is_said_to_be(site, bare, fault):
    bare.do("flash", **fault)
    answer = site("charger", "remove", "garage", "--port", bare.serial)
    assert answer.status == 1 and site.chargers() == ["garage"]
    assert re.search("block [03] .*does not erase", answer.err), answer.err


def test_a_board_with_a_key_that_nobody_knows_gets_another_only_with_yes(site, bare):
    """--again is about the portal's key alone."""
    site("charger", "remove", "garage")
    main(["--home", str(site.home), "charger", "add", "garage"])
    call = ("charger", "rekey", "garage", "--port", bare.serial)
    refused = site(*call, "--again")
    assert refused.status == 1 and "say --yes" in refused.err
    assert site(*call, "--yes").status == 0
    assert json.loads(site.files()["config.json"])["charger_key"] == site.key


def test_a_new_key_is_on_the_board_and_nothing_else_is_changed(site, bare):
    before = site.files()
    answer = site("charger", "rekey", "garage", "--port", bare.serial)
    assert answer.status == 0, answer
    after = site.files()
    then, now = (json.loads(each.pop("config.json")) for each in (before, after))
    assert now["charger_key"] == site.key != then["charger_key"]
    assert {**now, "charger_key": ""} == {**then, "charger_key": ""} and before == after
    assert site("status", "--json").json[0]["rekeyed"] is None


@pytest.mark.parametrize("after", ["portal", "board", "broker"])
def test_a_rekey_cut_short_is_completed_when_it_is_run_again(site, bare, monkeypatch, after):
    """The portal has the new key, and its board not yet, or already, and the broker nothing."""
    before, write = site.key, Link.write

    def interrupted(link: Link, path: str, data: bytes) -> None:
        if after == "board":
            write(link, path, data)
        raise KeyboardInterrupt

    def unpublished(*_, **__) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        if after == "broker":
            patch.setattr(publishing, "publish", unpublished)
        else:
            patch.setattr(Link, "write", interrupted)
        assert site("charger", "rekey", "garage", "--port", bare.serial).status == 1
    pending = site.key
    assert pending != before
    has = json.loads(site.files()["config.json"])["charger_key"]
    assert has == (before if after == "portal" else pending)
    assert site("status", "--json").json[0]["rekeyed"]
    assert site("charger", "rekey", "garage", "--port", bare.serial).status == 0
    assert site.key == pending == json.loads(site.files()["config.json"])["charger_key"]
    assert site("status", "--json").json[0]["rekeyed"] is None


def test_no_secret_is_in_the_arguments_of_any_process(site, bare):
    """Looked for all the time that the commands take, which are one process each."""
    seen: set[str] = set()
    over = threading.Event()

    def look() -> None:
        while not over.is_set():
            for arguments in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    seen.add(arguments.read_bytes().decode(errors="replace"))
                except OSError:  # it has ended
                    continue
            time.sleep(0.01)

    looking = threading.Thread(target=look)
    looking.start()
    try:
        assert site("charger", "rekey", "garage", "--port", bare.serial).status == 0
        site.config.unlink()
        secrets = [PASSWORD, BROKER_PASSWORD, site.key]
        assert site("charger", "remove", "garage", "--port", bare.serial).status == 0
    finally:
        over.set()
        looking.join()
    assert seen and not [each for each in seen if any(one in each for one in secrets)]


@pytest.fixture
def running(site) -> Iterator[VirtualCharger]:
    """The board with the real firmware, to which nobody listens."""
    with VirtualCharger.start(site.config, site.image, serial=True) as found:
        yield found


def test_what_the_journal_holds_keeps_a_board_from_being_wiped(site, running):
    """And the charger goes on; with the consent, all of it goes."""
    since = running.mark()
    answer = site("charger", "remove", "garage", "--port", running.serial)
    assert answer.status == 1 and re.search("the board says: [0-9]+ event", answer.err), answer.err
    assert "It has been restarted" in answer.err
    running.wait_for(lambda push: "ready" in push, WITHIN_S, since)
    assert site.files()["config.json"]
    assert site("charger", "remove", "garage", "--port", running.serial, "--yes").status == 0
    assert site.left() == [] and site.files() == {"boot.py": boot_py()}


def test_events_in_the_journal_outlive_a_new_key(site, running):
    """They are signed as they are sent: all that were there are there under the new key."""
    with Link(running.serial) as link:
        before = wiping.undelivered(link)
    assert before and before[0] >= 1
    since = running.mark()
    assert site("charger", "rekey", "garage", "--port", running.serial).status == 0
    running.wait_for(lambda push: "ready" in push, WITHIN_S, since)
    with Link(running.serial) as link:
        after = wiping.undelivered(link)
    assert after and after[0] >= before[0]


@pytest.mark.parametrize("wrong", ["MemoryError", "ImportError"])
def test_a_board_that_cannot_say_what_its_journal_holds_is_asked_about(
    site, running, monkeypatch, wrong
):
    """No memory for it, or another firmware: there may be events all the same."""
    fails = wiping._UNDELIVERED.replace("_journal.load()", f"raise {wrong}")
    assert fails != wiping._UNDELIVERED
    monkeypatch.setattr(wiping, "_UNDELIVERED", fails)
    with Link(running.serial) as link, pytest.raises(wiping.NotTold, match=wrong):
        wiping.undelivered(link)
    answer = site("charger", "remove", "garage", "--port", running.serial)
    assert answer.status == 1 and f"the board does not say: {wrong}" in answer.err, answer.err
    assert site.files()["config.json"] and site.chargers() == ["garage"]
    assert site("charger", "remove", "garage", "--port", running.serial, "--yes").status == 0
    assert site.left() == [] and site.chargers() == []
