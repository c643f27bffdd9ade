"""The message path as the firmware wires it, while memory ends at one allocation after the other.

`micropython no_memory.py FOLDER KINDS EVERY`: an App on hardware of paper, its files in FOLDER. For
each of the kinds (of KINDS, with commas between) the heap is filled up but for k bytes, for every k
from none to what it takes in steps of EVERY times the least that the heap gives, and the collector
is off: with EVERY 1 each allocation on the way fails once. Prints one JSON value: for each kind how
often it was tried, and how often it came to nothing at first.
"""

import binascii
import gc
import json
import os
import sys
import time

sys.path.insert(0, os.getcwd())  # and not "": the folder changes

from firmware import charge_point, config
from firmware.access.words import CHARGING
from firmware.app import App
from firmware.hardware.contactor import Contactor
from firmware.hardware.light import Light
from firmware.hardware.meter import NoMeter
from firmware.hardware.watchdog import Watchdog
from firmware.link.messages import Versions, sign, verify
from firmware.settings import Settings
from host_tests.pure.lists import List, token

KEY = b"k" * 32
NOW = 1_800_000_000
NUMBER = bytes.fromhex("04a1b2c3")
BLOCK = 32  # bytes: the least that the heap gives, on 64 bit


# --- hardware of paper ------------------------------------------------------------------------


class Pin:
    def __init__(self, level=0):
        self.level = level
        self.moved = 0

    def __call__(self, level=None):
        if level is None:
            return self.level
        self.moved += level != self.level
        self.level = level
        return None


class Vehicle:
    fault = None
    tells_draw = False
    seen = (False, False)

    def sample(self, now_ms):
        return self.seen

    def offer(self, on):
        pass


class Lamp:
    def write(self, red, green, blue):
        pass


class Rtc:
    def datetime(self, *_):
        return (2000, 1, 1, 0, 0, 0, 0, 0)


class Spi:
    def write(self, out):
        pass

    def write_readinto(self, out, into):
        pass


class Wdt:
    def feed(self):
        pass


class Board:
    spi, cs, rst, rtc = Spi(), Pin(), Pin(), Rtc()
    vehicle, meter = Vehicle(), NoMeter()
    reset_cause = "power"

    def __init__(self):
        self.coil = Pin()
        self.light = Light(Lamp())
        self.contactor = Contactor(self.coil, None, None)

    def watchdog(self):
        return Watchdog(Wdt())


class Network:
    STA_IF = 0

    def WLAN(self, which):
        return self


class Stream:
    """What the broker sends, without any memory of its own."""

    def __init__(self):
        self.data = b""
        self.at = 0

    def read(self, view):
        count = min(len(view), len(self.data) - self.at)
        if not count:
            return None
        for i in range(count):
            view[i] = self.data[self.at + i]
        self.at += count
        return count


# --- memory -----------------------------------------------------------------------------------

ballast = [None] * 2_000
spare = [None]
SIZES = (65_536, 16_384, 4_096, 1_024, 256, 64, 1)


def fill():
    n = 0
    for size in SIZES:
        while True:
            try:
                ballast[n] = bytearray(size)
                n += 1
            except MemoryError:
                break
    try:
        while True:
            ballast[n] = object()
            n += 1
    except MemoryError:
        pass


def leave(k):
    """No more than k bytes are free from now on, until `release`."""
    gc.collect()
    spare[0] = bytearray(k - BLOCK) if k > BLOCK else object() if k else None
    gc.disable()
    fill()
    spare[0] = None
    gc.collect()


def release():
    for n in range(len(ballast)):
        ballast[n] = None
    gc.enable()
    gc.collect()


def packet(topic, payload):
    """PUBLISH with QoS 1 (MQTT 3.3)."""
    body = len(topic).to_bytes(2, "big") + topic.encode() + b"\x12\x34" + payload
    size, length = len(body), b""
    while size > 0x7F:
        length += bytes([size & 0x7F | 0x80])
        size >>= 7
    return b"\x32" + length + bytes([size]) + body


# --- the charger --------------------------------------------------------------------------------


passed_ms = 0


def now():
    """The charger's ticks, moved by hand."""
    return passed_ms & (1 << 30) - 1


def pass_ms(ms):
    global passed_ms
    passed_ms += ms


charge_point.ticks_ms = now


def access(version):
    return ("open", "restricted")[version & 1]


class Charger:
    def __init__(self):
        self.config = config.check(
            {
                "installation": "home",
                "charger": "left",
                "charger_key": binascii.hexlify(KEY).decode(),
                "card_key": "11" * 32,
                "wifi": {"ssid": "any"},
                "broker": {"host": "127.0.0.1"},
                "ntp": {"host": ""},
                "issued": NOW,
            }
        )
        self.stream = Stream()
        self.version = 0
        self.start()
        self.anna = self.app.point._tokens.of(NUMBER)
        cards = {self.anna: (7, 0, 0, 1)}
        for n in range(60):
            cards[token(n)] = (0, 0, 0, 1)
        self.cards = cards
        self.turns(10)
        self.list_version = 0
        self.offer_list()
        self.fetch()

    def start(self):
        self.board = Board()
        self.app = app = App(self.config, self.board, None, Network())
        app._load()
        self.mqtt = app.mqtt
        self.topics = app._topics
        self.connect()

    def starts_again(self):
        """What could not even be taken down ends the start of the board; the next one goes by what
        the journal has."""
        gone = self.app
        try:
            gone.point.control(now())
            raise AssertionError("it goes on")
        except MemoryError:
            gone.open()
            gone._keep(now())
        gone.store.close()
        assert self.board.coil.level == 0
        self.start()
        self.turns(5)
        if access(self.app.settings.version) != "open":
            assert self.charging == (self.app.journal.open is not None)

    # the link

    def connect(self):
        mqtt = self.mqtt
        mqtt._packet_began = mqtt._heard = mqtt._skipped = time.ticks_ms()
        mqtt._strayed = False
        mqtt.connected = True
        self.app._connected()

    def take(self):
        """What has come, as `Mqtt._serve` takes it."""
        while self.mqtt._receive(self.stream):
            pass

    def arrives(self, data):
        self.stream.data = data
        self.stream.at = 0
        self.take()

    def dropped(self, error):
        """As `Mqtt.run` does it; and there is a new connection."""
        self.mqtt._report(error)
        self.mqtt._drop(None)
        self.connect()

    def signed(self, word, version, **body):
        topic = getattr(self.topics, word)
        body["v"] = version
        body["t"] = NOW
        return packet(topic, sign(KEY, topic, body))

    def settings(self, version):
        week = {"schedules": {"3": "13882760" if version & 1 else "00002760"}}
        week["offsets"] = [[0, 60]]
        week["offsets_until"] = 5_000_000
        return self.signed("settings", version, access=access(version), **week)

    def command(self, name, **body):
        self.version += 1
        return self.signed("command", self.version, exp=NOW + 9_999, command=name, **body)

    # the other tasks

    def turn(self):
        pass_ms(50)
        app = self.app
        app.point.control(now())
        for work in (app._keep_in_step, app._keep_journal, app.uplink.send):
            try:
                work(now())
            except MemoryError as error:
                app._failed(error)

    def turns(self, count):
        for _ in range(count):
            self.turn()
            self.mqtt._waiting.clear()
            self.mqtt._outbox.clear()
            for packet_id in list(self.app.journal._in_flight):
                self.app.journal.acknowledged(packet_id)

    # what people do

    def charge(self):
        self.board.vehicle.seen = (True, True)
        self.turns(1)
        if not self.charging:
            pass_ms(2_000)
            self.app.point.tap(NUMBER)
        self.turns(1)
        assert self.charging and self.board.coil.level == 1, self.app.point.session

    def leave(self):
        self.board.vehicle.seen = (False, False)
        pass_ms(2_000)
        self.turns(2)
        assert self.board.coil.level == 0

    @property
    def charging(self):
        return self.app.point.session.state == CHARGING

    # lists

    def next_list(self):
        """With a card that no other has."""
        self.list_version += 1
        cards = dict(self.cards)
        cards[token(1_000 + self.list_version)] = (0, 0, 0, 1)
        self.wanted = List(cards, 1)

    def ref(self):
        body, _ = self.wanted.ref(self.list_version)
        body.pop("v")
        body.pop("t")
        return self.signed("allowlist", self.list_version, **body)

    def offer_list(self):
        self.next_list()
        self.arrives(self.ref())

    def asked(self):
        """Turn until the charger has asked for something."""
        for _ in range(200):
            self.turns(1)
            if self.app.sync.asked:
                return list(self.app.sync.asked)
            if self.in_force:
                return []
        raise AssertionError("nothing asked for")

    def object(self, digest):
        return packet(self.topics.object(digest), self.wanted.objects[digest])

    def fetch(self):
        """All that is missing comes, also what has come in vain; the names of it."""
        fetched = []
        for _ in range(200):
            for digest in list(self.app.sync.asked):
                fetched.append(digest)
                self.arrives(self.object(digest))
            if self.in_force:
                return fetched
            pass_ms(1_000)
            self.turns(1)
        raise AssertionError((self.app.sync.problem, self.list_version))

    @property
    def in_force(self):
        applied = self.app.store.applied
        return applied is not None and applied.version == self.list_version


# --- each kind --------------------------------------------------------------------------------


class Kind:
    """`data(charger)`: what comes; `check(charger)`: nothing is half done, and the next is."""

    charging = True
    restarts = 0
    may_raise = True  # the link is then dropped, and made anew

    def before(self, charger):
        if self.charging:
            charger.charge()

    def act(self, charger):
        charger.take()

    def data(self, charger):
        return b""


class NewSettings(Kind):
    def data(self, charger):
        self.version = charger.app.settings.version + 1
        return charger.settings(self.version)

    def check(self, charger):
        app = charger.app
        found = app.settings
        assert found.version in (self.version - 1, self.version)
        if found.version:
            assert found["access"] == access(found.version)
            assert found.in_schedule(3, 0) is (not found.version & 1)
            kept = Settings(
                "state/settings",
                lambda raw: verify(KEY, charger.topics.settings, raw),
                charger.config,
            )
            assert kept.load() is None
            assert kept.version == found.version, (kept.version, found.version)
        done = found.version == self.version
        charger.arrives(charger.settings(self.version))
        assert found.version == self.version
        assert found["access"] == access(self.version)
        return done


class NewRef(Kind):
    def data(self, charger):
        charger.next_list()
        return charger.ref()

    def check(self, charger):
        assert charger.app.store.lookup(charger.anna) == (7, 0, 0, 1)
        done = charger.app.sync.busy
        charger.arrives(charger.ref())
        charger.fetch()
        assert charger.app.store.lookup(charger.anna) == (7, 0, 0, 1)
        assert charger.app.store.lookup(token(1_000 + charger.list_version)) is not None
        return done


class Index(Kind):
    """The first object that is asked for."""

    skip = 0

    def data(self, charger):
        charger.offer_list()
        digests = charger.asked()
        for _ in range(self.skip):
            charger.arrives(charger.object(digests[0]))
            digests = charger.asked()
        self.digest = digests[0]
        return charger.object(self.digest)

    def check(self, charger):
        assert charger.app.store.lookup(charger.anna) == (7, 0, 0, 1)
        fetched = charger.fetch()
        assert charger.app.store.lookup(charger.anna) == (7, 0, 0, 1)
        assert charger.app.store.lookup(token(1_000 + charger.list_version)) is not None
        return self.digest not in fetched


class Shard(Index):
    skip = 1


class Command(Kind):
    name = "identify"

    def data(self, charger):
        return charger.command(self.name)

    def check(self, charger):
        last = charger.app.versions.last("command")
        assert last in (charger.version - 1, charger.version)
        assert Versions("state/versions").last("command") == last
        charger.arrives(charger.command(self.name))
        assert charger.app.versions.last("command") == charger.version
        return last == charger.version - 1


class Stop(Command):
    name = "stop"
    ends = True

    def check(self, charger):
        ended = not charger.charging
        charger.turns(3)  # what is owed is recorded
        assert (charger.app.journal.open is None) == ended
        charger.arrives(charger.command(self.name))
        assert not charger.charging and charger.board.coil.level == 0
        charger.turns(3)
        assert charger.app.journal.open is None
        charger.leave()
        return ended


class Verdict(Kind):
    """Nobody has asked."""

    def data(self, charger):
        charger.version += 1
        return charger.signed(
            "verdict", charger.version, n=1, token="01" * 7, verdict="Accepted", role="owner"
        )

    def check(self, charger):
        return charger.app.versions.last("verdict") == charger.version


class Junk(Kind):
    def data(self, charger):
        return packet(charger.topics.settings, b"0" * 64 + b" " + b"[" * 900)

    def check(self, charger):
        """Only that all else goes on, as `once` and the other kinds see it."""
        return True


class Tap(Kind):
    charging = False
    may_raise = False

    def before(self, charger):
        charger.leave()
        charger.board.vehicle.seen = (True, True)
        charger.turns(1)
        pass_ms(2_000)
        if access(charger.app.settings.version) == "open":
            charger.arrives(charger.settings(charger.app.settings.version + 1))

    def act(self, charger):
        charger.app.point.tap(NUMBER)

    def check(self, charger):
        done = charger.charging
        charger.turns(3)
        assert (charger.app.journal.open is not None) == done
        charger.charge()
        return done


class SecondTap(Tap):
    ends = True

    def before(self, charger):
        charger.charge()
        pass_ms(2_000)

    def check(self, charger):
        done = not charger.charging
        charger.turns(3)
        assert (charger.app.journal.open is None) == done
        charger.leave()
        charger.turns(3)
        assert charger.app.journal.open is None
        return done


class Sending(Kind):
    """An event goes out, and the state."""

    def data(self, charger):
        charger.turns(5)
        assert not charger.app.journal.pending
        self.lost = charger.app.journal.lost_routine
        charger.app.uplink.record("fault", {"fault": "x", "detail": "y" * 90})
        for _ in range(4):
            pass_ms(1_000)
            charger.app.journal.flush(now())
        charger.app.uplink.changed()
        charger.app.uplink._tried_ms = None
        return b""

    def act(self, charger):
        for work in (charger.app._keep_in_step, charger.app._keep_journal, charger.app.uplink.send):
            try:
                work(now())
            except MemoryError as error:
                charger.app._failed(error)

    def check(self, charger):
        journal = charger.app.journal
        done = journal.in_flight > 0
        assert (journal.pending, journal.lost_routine) == (1, self.lost)
        pass_ms(1_000)
        charger.turns(6)
        assert not journal.pending
        return done


KINDS = {
    "settings": NewSettings,
    "allow-list": NewRef,
    "index": Index,
    "shard": Shard,
    "command": Command,
    "stop": Stop,
    "verdict": Verdict,
    "junk": Junk,
    "tap": Tap,
    "second tap": SecondTap,
    "sending": Sending,
}


def once(charger, kind, k):
    """k: bytes that are free; None: all, and how much of it was taken is the answer."""
    kind.before(charger)
    charger.stream.data = kind.data(charger)
    charger.stream.at = 0
    coil = charger.board.coil
    moved = coil.moved
    error = None
    if k is None:
        gc.collect()
        gc.disable()
    else:
        leave(k)
    before = gc.mem_alloc()
    try:
        kind.act(charger)
    except Exception as caught:
        error = caught
    taken = gc.mem_alloc() - before
    release()
    assert coil.level == charger.charging
    assert kind.charging is False or hasattr(kind, "ends") or coil.moved == moved
    if error is not None:
        if k is None or not kind.may_raise:
            raise error
        charger.dropped(error)
    if charger.app.point._books.torn:
        kind.restarts += 1
        charger.starts_again()
    charger.mqtt._outbox.clear()
    charger.mqtt._waiting.clear()
    done = kind.check(charger)
    return taken if k is None else done


def main():
    root = os.getcwd()
    os.chdir(sys.argv[1])
    charger = Charger()
    report = {}
    for name in sys.argv[2].split(","):
        kind = KINDS[name]()
        once(charger, kind, None)
        most = once(charger, kind, None) + 4 * BLOCK
        tried = failed = 0
        for k in range(0, most, BLOCK * int(sys.argv[3])):
            try:
                done = once(charger, kind, k)
            except BaseException as error:
                print("with", k, "bytes free:", name)
                raise error
            tried += 1
            failed += not done
        report[name] = {"bytes": most, "tried": tried, "failed": failed}
        report[name]["restarts"] = kind.restarts
    os.chdir(root)
    print(json.dumps(report))


main()
