"""Builds the charger from its parts and runs them; the only place that knows them all."""

import asyncio
import binascii
import gc
import sys
from time import ticks_add, ticks_diff, ticks_ms

from micropython import const

from firmware import VERSION
from firmware.access import light
from firmware.access.words import AWAITING
from firmware.allowlist.store import Store
from firmware.allowlist.sync import Sync
from firmware.allowlist.token import Tokens
from firmware.cards.mfrc522 import MFRC522
from firmware.cards.reader import Reader
from firmware.charge_point import ChargePoint
from firmware.clock import Clock, TimeFile
from firmware.commands import Commands, SwitchedOff
from firmware.downlink import Downlink
from firmware.flash import make_folder
from firmware.journal.journal import Journal
from firmware.link.framing import OBJECT_LIMIT
from firmware.link.messages import Versions, verify
from firmware.link.mqtt import Mqtt
from firmware.link.timekeeper import keep as keep_time
from firmware.link.topics import Topics
from firmware.link.wifi import Wifi
from firmware.settings import Settings
from firmware.uplink import Uplink

_CONTROL_MS = const(10)
_HOUSEKEEPING_MS = const(50)
# How late a task may be before the watchdog is left to bite.
_CONTROL_LIMIT_MS = const(2_000)
_LIMIT_MS = const(6_000)
_SLICE_MS = const(5)
_RESTART_WITHIN_MS = const(5_000)  # for the answer to get out
# Percent of the journal's room for sessions, from which on it is a fault, and up to which again.
_JOURNAL_FULL = const(75)
_JOURNAL_EASED = const(70)
_JOURNAL_STEPS = const(4)  # that bring everything to the flash
# Garbage is collected so often, between two looks of the reader, and while a card is awaited only
# if there is need; besides, be it in the midst of a tap, once so many bytes have been taken: where
# the reader finds no such moment, and more often while a list is on its way, as main.py has it for
# the start and for the same reason. What a function takes and gives back as it returns counts as
# well: some 90 KB a second, beside 8 KB of garbage.
_TIDY_MS = const(1_000)
_TIDY_BYTES = const(1_048_576)
_TIDY_BUSY_BYTES = const(24_576)


class App:
    """`config`: checked. `board`: what it says is wired (hardware/board.py). `machine`, `network`:
    the modules, or what stands for them. Neither `config` nor `board` is needed afterwards.
    `update`: update.py, or None where this version has proven itself and has nothing to tell."""

    def __init__(self, config: dict, board, machine, network, update=None):
        for directory in ("state", "allowlist", "journal"):
            make_folder(directory)
        key = binascii.unhexlify(config["charger_key"])
        topics = Topics(config["installation"], config["charger"])
        self._machine = machine
        self._topics = topics
        self._update = update
        self._restart_at = None
        self.said = ""
        self._reader_failed = False
        self._journal_fails = self._shard_told = False
        self._errors = 0

        self._contactor = board.contactor
        self._vehicle = board.vehicle
        self._light = board.light
        self._reset_cause = board.reset_cause
        self._watchdog = watchdog = board.watchdog()
        self._control_beat = watchdog.task("control", _CONTROL_LIMIT_MS)
        self.clock = clock = Clock(board.rtc, *_time_file("state/clock"))
        clock.lower_bound(config["issued"])
        self.settings = Settings(
            "state/settings", lambda raw: verify(key, topics.settings, raw), config
        )
        self.versions = Versions("state/versions")
        self.store = Store("allowlist", lambda raw: verify(key, topics.allowlist, raw))
        self.journal = journal = Journal("journal")
        self.wifi = Wifi(
            network.WLAN(network.STA_IF),
            config["wifi"]["ssid"],
            config["wifi"]["password"],
            beat=watchdog.task("wifi", _LIMIT_MS),
        )
        broker = config["broker"]
        self.mqtt = Mqtt(
            self.wifi,
            broker["host"],
            broker["port"],
            f"charger-{config['installation']}-{config['charger']}",
            broker["user"],
            broker["password"],
            broker["tls"],
            broker["ca"],
            config["keepalive_s"],
            will_topic=topics.state,
            will_payload=b'{"online":false}',
            on_connect=self._connected,
            on_message=lambda topic, payload: self.downlink.message(topic, payload),
            on_ack=journal.acknowledged,
            on_skipped=self._skipped,
            on_problem=self._link_problem,
            beat=watchdog.task("mqtt", _LIMIT_MS),
            objects=topics.object(""),
        )
        self.ntp = None
        if config["ntp"]["host"]:
            self.ntp = keep_time(
                clock,
                self.wifi,
                config["ntp"]["host"],
                self._time_told,
                self._link_problem,
                watchdog.task("ntp", _LIMIT_MS),
            )
        self._time_refused = False
        self._time_known = clock.is_set
        self.uplink = Uplink(key, topics, self.mqtt, journal, clock, self.state)
        self.point = ChargePoint(
            board,
            Tokens(binascii.unhexlify(config["card_key"])),
            self.store,
            self.settings,
            clock,
            self.uplink,
            self._failed,
        )
        self.point.tested = self  # pyright: ignore[reportAttributeAccessIssue]
        import select

        self._typed = select.poll()
        self._typed.register(sys.stdin, select.POLLIN)
        self.sync = Sync(
            self.store, self._fetch, self._list_applied, self._list_rejected, self._release
        )
        journal.make_room = self.sync.drop  # pyright: ignore[reportAttributeAccessIssue]
        self._switched_off = SwitchedOff("state/available")
        commands = Commands(self.point, board.light, self._switched_off, self._restart_soon)
        self.downlink = Downlink(
            key,
            topics,
            self.versions,
            self.settings,
            self.sync,
            clock,
            commands.by_name,
            commands.answer,
            self.uplink.record,
            self.point.review,
        )
        self.reader = Reader(
            MFRC522(board.spi, board.cs, board.rst),
            on_card=self.point.tap,
            on_problem=self.point.problem,
            on_gone=self.point.gone,
            on_health=self._reader_health,
            beat=watchdog.task("reader", _LIMIT_MS),
            poll_ms=config["poll_ms"],
            awaited=self._awaited,
            between=self._tidy,
        )
        self._tidied_ms = ticks_add(ticks_ms(), -_TIDY_MS)
        self._heap_free = 0
        self._tidy_bytes = 0

    def run(self) -> None:
        """Load what the flash holds, then run every task; raises what any of them raises. Whatever
        ends them, the contactor opens."""
        self._load()
        try:
            asyncio.run(self._run())
        finally:
            self.open()
            self._keep(_now_ms())

    def open(self) -> None:
        """The contactor opens, whatever else is wrong; then the vehicle and the driver are told."""
        self._contactor.open()
        self._vehicle.offer(False)
        self._light.state("faulted")
        self._light.render(_now_ms())

    def feed(self, _=None) -> None:
        """Feed the watchdog although no task runs: somebody is at the console."""
        self._watchdog.forget()
        self._watchdog.feed(_now_ms())
        self._light.render(_now_ms())

    def state(self) -> dict:
        """The state message (DESIGN section 8)."""
        point = self.point
        session = point.session
        journal = self.journal
        faults = list(session.faults)
        if point.meter_stalled:
            faults.append("meter")
        if self._journal_fails:
            faults.append("journal")
        colour, pattern = light.entry(light.STATES, session.state)
        applied = self.store.applied
        now = self.clock.now()
        return {
            "online": True,
            "state": session.state,
            "light": {"colour": colour, "pattern": pattern},
            "access": self.settings["access"],
            "authority": self.settings["authority"],
            "authorisation_required": point.authorisation_required,
            "vehicle": session.connected,
            "contactor": self._contactor.closed,
            "session": point.session_shown(),
            "allowlist": {
                "version": applied.version if applied else 0,
                "cards": applied.cards if applied else 0,
                "digest": applied.index if applied else None,
                "age_s": max(0, now - applied.t) if applied and now else None,
                "problem": self.sync.problem,
            },
            "reader": self.reader.health,
            "clock": "set" if self.clock.is_set else "lower bound" if now else "unknown",
            "faults": faults,
            "rejected": self.downlink.rejected,
            "journal": {
                "pending": journal.pending,
                "full": journal.full,
                "lost_routine": journal.lost_routine,
                "lost_sessions": journal.lost_sessions,
                "stored": journal.stored,
            },
            "events_lost": journal.lost_routine + journal.lost_sessions,
            "errors": self._errors,
            "firmware": VERSION,
            "proven": self._update is None or self._update.proven,
            "uptime_s": self.clock.up_s(),
            "heap_free": self._heap_free,
            "rssi": self.wifi.rssi(),
        }

    # Tasks.

    async def _run(self):
        work = [
            self._control(),
            self.reader.run(),
            self.wifi.run(),
            self.mqtt.run(),
            self._housekeeping(),
        ]
        if self.ntp:
            work.append(self.ntp)
        tasks = [asyncio.create_task(each) for each in work]

        # What asyncio's `gather` does takes 1 KB.
        def ended(loop, context):
            """Whichever of them breaks ends them all; of any other one it is only said."""
            if context["future"] in tasks:
                raise context["exception"]
            loop.default_exception_handler(loop, context)

        asyncio.get_event_loop().set_exception_handler(ended)
        await tasks[0]

    async def _control(self):
        while True:
            self._control_beat()
            self.point.control(_now_ms())
            await asyncio.sleep_ms(_CONTROL_MS)

    async def _housekeeping(self):
        while True:
            now_ms = _now_ms()
            alive = self._watchdog.feed(now_ms)
            if not alive:
                self._say("late: " + ", ".join(self._watchdog.late(now_ms)))
            self.clock.tick()
            for work in (self._hear, self._keep_in_step, self._keep_journal, self.uplink.send):
                try:
                    work(now_ms)
                except MemoryError as error:  # the next time there may be enough
                    self._failed(error)
            self._remarks()
            update = self._update
            if update and update.tick(now_ms, alive, self.mqtt, self.uplink, self.journal):
                self._update = None
            self._restart_if_due(now_ms)
            await asyncio.sleep_ms(_HOUSEKEEPING_MS)

    # What one part has to tell another.

    def _keep_in_step(self, now_ms):
        """Work on a new list, in pieces, for a slice of time in which no tap need wait."""
        self.downlink.subscribe(self.mqtt)
        damaged = self.store.damaged
        if damaged is None:
            self._shard_told = False
        elif not self._shard_told:
            fields = {"fault": "allowlist_damaged", "detail": f"shard {damaged}"}
            self.uplink.record("fault", fields)
            self._shard_told = True
        while self.sync.tick(now_ms) and ticks_diff(ticks_ms(), now_ms) < _SLICE_MS:
            pass
        tidy_bytes = _TIDY_BUSY_BYTES if self.sync.busy else _TIDY_BYTES
        if tidy_bytes != self._tidy_bytes:
            self._tidy_bytes = tidy_bytes
            gc.threshold(tidy_bytes)

    def _keep_journal(self, now_ms):
        """Here the flash is written, and nobody who drives the coil waits for it."""
        journal = self.journal
        journal.flush(now_ms)
        known = self._journal_fails
        full = journal.full
        fails = not journal.stored or full >= (_JOURNAL_EASED if known else _JOURNAL_FULL)
        if fails != known:
            fields = {"fault": "journal"}
            if fails:
                fields["detail"] = f"{full} % full" if journal.stored else "flash not written"
            self.uplink.record("fault" if fails else "fault_cleared", fields)
            self._journal_fails = fails
            self.uplink.changed()

    def _keep(self, now_ms):
        """The board is about to stop: store what is known. The session resumes afterwards."""
        try:
            self.point.store_reading()
            for _ in range(_JOURNAL_STEPS):
                self.journal.flush(now_ms, True)
        except Exception as error:
            self._failed(error)

    def _awaited(self):
        """Whether a card is expected at any moment."""
        return self.point.session.state == AWAITING

    def _tidy(self):
        """Collect garbage while no card waits for it. It takes up to 20 ms, which a tap would take
        longer if MicroPython chose the moment."""
        now_ms = ticks_ms()
        if ticks_diff(now_ms, self._tidied_ms) >= _TIDY_MS:
            self._tidied_ms = now_ms
            if self._awaited() and gc.mem_free() > self._heap_free >> 1:
                return
            gc.collect()
            self._heap_free = gc.mem_free()  # walks through all of it: nothing for state()

    def _remarks(self):
        lamp = self._light
        settings = self.settings
        by_list = settings["authority"] == "native" or settings["offline"] == "list"
        lamp.standing("offline", by_list and not self.mqtt.connected)
        lamp.standing("reader", self._reader_failed and self.point.authorisation_required)

    def _load(self):
        record = self.uplink.record
        alive = self._watchdog.starting
        torn = self.journal.load(alive)
        alive()
        left = self.journal.open
        if left is not None:
            for t in (left.t, left.last_t):
                if t is not None:
                    self.clock.lower_bound(t)
        record("booted", {"cause": self._reset_cause, "firmware": VERSION})
        if self._update:
            self._update.report(record)
        try:
            no_list = self.store.load()
        except OSError as error:
            no_list = str(error)  # nobody is on it; open access and the portal still work
        off = self._switched_off.load()
        for what, why in (
            ("available", "switched off" if self._switched_off.damaged else None),
            ("settings", self.settings.load()),
            ("allowlist", no_list),
            ("versions", "unreadable" if self.versions.damaged else None),
            ("journal", torn),
        ):
            if why is not None:
                record("fault", {"fault": what + "_damaged", "detail": why})
        self.versions.floor("settings", self.settings.version)
        applied = self.store.applied
        if applied is not None:
            self.versions.floor("allowlist", applied.version)
            self.clock.lower_bound(applied.t)
        self.versions.mend()
        if off:
            self.point.happened(("available", False))
        self.point.left_running(left)

    def _connected(self):
        self.downlink.connected()
        self.uplink.connected()
        self.sync.resume()
        self.said = ""

    def _skipped(self, topic, size):
        digest = self._topics.digest(topic) if topic else None
        if digest is None:
            self.downlink.skipped(topic, size)
        else:
            why = f"{size} bytes" if size > OBJECT_LIMIT else f"no memory for {size} bytes"
            self.sync.lost(digest, why)

    def _link_problem(self, kind, detail):
        self._say(f"link {kind}: {detail}")
        if kind == "subscribe":
            digest = self._topics.digest(detail)
            if digest is None:
                self.downlink.refused(detail)
            else:
                self.sync.lost(digest, "the broker forbids it")

    def _time_told(self, refused):
        """NTP has set the clock, or `refused` says why it could not; told when that changes. The
        first time also as an event: by it the portal finds the times of those before."""
        if not refused and not self._time_known:
            self._time_known = True
            self.uplink.record("clock_set", {})
        if bool(refused) != self._time_refused:
            self._time_refused = bool(refused)
            event = "fault" if refused else "fault_cleared"
            self.uplink.record(event, {"fault": "clock", "detail": refused})
        self.uplink.changed()

    def _say(self, text):
        if text != self.said:  # the same line over and over helps nobody
            self.said = text
            print(text)

    def _fetch(self, digest):
        return self.mqtt.subscribe(self._topics.object(digest), 1) or None

    def _release(self, digest):
        self.mqtt.unsubscribe(self._topics.object(digest))

    def _list_applied(self, version, digest, cards):
        self.point.review()
        self.uplink.changed()
        self.versions.floor("allowlist", version)
        self.uplink.record("list_applied", {"v": version, "digest": digest, "cards": cards})

    def _list_rejected(self, why, detail):
        self.downlink.reject("allowlist", why, detail)
        self.uplink.changed()

    def _reader_health(self, health, detail):
        if health == "fault":
            self._reader_failed = True
            self.uplink.record("fault", {"fault": "reader", "detail": detail})
        elif health == "ok" and self._reader_failed:
            self._reader_failed = False
            self.uplink.record("reader_recovered", {"detail": detail})
        self.uplink.changed()

    def _hear(self, now_ms):
        for _ in self._typed.ipoll(0):
            from firmware.console import hear

            hear(self.point, self._typed)

    def _restart_soon(self):
        self._restart_at = ticks_add(ticks_ms(), _RESTART_WITHIN_MS)

    def _restart_if_due(self, now_ms):
        """Once every event has been acknowledged, or time is up."""
        at = self._restart_at
        if at is not None and (not self.journal.pending or ticks_diff(now_ms, at) >= 0):
            self.open()
            self._keep(now_ms)
            self._machine.reset()

    def _failed(self, error):
        """Something went wrong that is nobody's fault but ours: on the console, and counted."""
        self._errors += 1
        sys.print_exception(error)  # pyright: ignore[reportAttributeAccessIssue]


def _time_file(path):
    file = TimeFile(path)
    return file.load, file.save


def _now_ms() -> int:
    return ticks_ms()  # pyright: ignore[reportReturnType] (an int on every port)
