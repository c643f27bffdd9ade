"""What the self-test looks at, part by part. Each says whether that part is good, and what was
measured; what is right, and what to do, a computer knows better (tools/installer/remedies.py).
"""

import os
import sys
from binascii import hexlify
from time import ticks_diff, ticks_ms

from micropython import const

from firmware.clock import date_time

# In this order, and each is a method of `Parts`.
PARTS = (
    "reader",
    "card",
    "light",
    "contactor",
    "vehicle",
    "meter",
    "flash",
    "clock",
    "wifi",
    "broker",
    "list",
)

_SHORT_MS = const(5)
_LOOK_MS = const(20)
_LOOKS = const(20)

_CHIP_MS = const(5_000)  # for which the chip is lent: far more than its own test takes
_CARD_S = const(10)
_CARD_LOOK_MS = const(110)  # a card that lies there is looked at every 100 ms
_CARD_LOOKS = const(10)
_CARD_LOOKS_LEAST = const(3)  # fewer say nothing about how well it can be read
_COLOURS = const(("red", "green", "blue", "yellow", "white", "magenta"))
_COLOUR_MS = const(400)
_CLOSED_MS = const(1_000)
_PAUSE_MS = const(2_000)  # the contactor may have opened just before
_OPENS_MS = const(300)
# A vehicle must see +12 V and -12 V, each to 0.6 V (IEC 61851-1 table A.2); the converter and its
# resistors take as much again.
_PILOT_LEAST_MV = const(10_800)
_PILOT_MOST_MV = const(13_200)
_PILOT_LOOKS = const(5)  # by then it has the voltages of what is offered
_FOLDER = "state"
_FILE = "/selftest"
_WRITE_BYTES = const(256)
_WRITES = const(4)  # together more than littlefs would keep beside the file's name
_FREE_BLOCKS = const(24)  # that the journal leaves to others
_RSSI_DBM = const(-80)

_ERRORS = {28: "it is full", 30: "it is read-only", 5: "it takes nothing, it is broken"}


class Parts:
    """`app`: point, reader, clock, wifi, mqtt, journal, store, sync; `ntp`: whether there
    is one; `said`: what the link said last. `test`: a SelfTest.

    Each part returns (passed, what was measured); None is no failure: it could not be tested, and
    why is what is said. `short`: the same for the event, one number or word; what passes has one.
    """

    def __init__(self, app, test):
        self._app = app
        self._point = app.point
        self._test = test
        self._pause = test.pause
        self._pulses = app.point.meter.pulses
        self._began_ms = ticks_ms()
        self._chip = False  # there is one
        self.short = None

    async def reader(self):
        """The chip's own test, then that it has all its settings again, the antenna's above all."""
        from firmware.cards import chip_test

        reader = self._app.reader
        trouble = reader.detail if reader.failures else None
        reader.lend(_CHIP_MS)
        try:
            passed, found, self.short = await chip_test.run(reader.chip, self._pause)
        finally:
            reader.lend(0)
            chip_test = None
            forget("firmware.cards.chip_test")
        self._chip = self.short is not None
        if not passed:
            return False, found
        wrong = None
        for _ in range(_LOOKS):
            await self._pause(_LOOK_MS)
            wrong = reader.chip.check()
            if wrong is None:
                break
        else:
            return False, "{}; then {}".format(found, wrong)
        if reader.failures:
            return False, "{}; it has just failed: {}".format(found, trouble or reader.detail)
        return True, found + ", antenna on"

    async def card(self):
        """Any card, once, and how often it can be read while it lies there."""
        reader = self._app.reader
        test = self._test
        await test.card_comes(1_000 * _CARD_S if self._chip else 0)
        if test.card is None and not self._chip:
            return None, "not tried: the reader does not work"
        if test.card is None:
            if test.trouble == "unreadable":
                return False, "a card is there and is never read whole"
            if test.trouble == "several":
                return None, "several cards at once"
            return None, "no card within {} s".format(_CARD_S)
        self.short = True
        seen, failures = reader.presentation, reader.failures
        looks = good = 0
        for _ in range(_CARD_LOOKS):
            await self._pause(_CARD_LOOK_MS)
            if seen.misses or reader.failures > failures:
                break
            looks += 1
            good += seen.settled
        found = "ends in " + hexlify(test.card).decode() if test.card else "a phone"
        if looks < _CARD_LOOKS_LEAST:
            return True, found
        return 4 * good >= 3 * looks, "{}, read {} of {} times".format(found, good, looks)

    async def light(self):
        """Whether anything is lit is for eyes to see."""
        light = self._point.light
        for colour in _COLOURS:
            light.cover((colour, "steady"), ticks_ms(), _COLOUR_MS + _LOOK_MS)
            await self._pause(_COLOUR_MS)
        light.uncover()
        self.short = len(_COLOURS)
        return True, "shown: " + ", ".join(_COLOURS)

    async def contactor(self):
        """Closed for a second, with no vehicle there, and its feedback both ways."""
        point = self._point
        feedback = point.contactor.feedback
        if feedback is not None:
            for _ in range(_LOOKS):
                await self._pause(_LOOK_MS)
                if not feedback():
                    break
            else:
                return False, "coil off, feedback says closed; not tried"
        if point.session.faults:
            return None, "not tried: fault " + point.session.faults[0]
        try:
            return await self._closed(point.contactor, feedback)
        finally:
            self._test.try_contactor(False)

    async def _closed(self, contactor, feedback):
        test = self._test
        test.try_contactor(True)
        began_ms = ticks_ms()
        while not contactor.closed:  # it may have to pause, and does it as soon as it may
            if ticks_diff(ticks_ms(), began_ms) > _PAUSE_MS:
                return False, "the coil is not switched on: {}".format(contactor.fault)
            await self._pause(_SHORT_MS)
        began_ms = ticks_ms()
        ms = 0
        while feedback is not None and not feedback():
            await self._pause(_SHORT_MS)
            ms = ticks_diff(ticks_ms(), began_ms)
            if not contactor.closed:
                return False, "coil on for {} ms, feedback still says open".format(ms)
        self.short = ms
        await self._pause(_CLOSED_MS - ms)
        if not contactor.closed:
            return False, "it did not stay closed"
        test.try_contactor(False)
        if feedback is None:
            return None, "coil on for 1 s; no feedback is set up to tell what it did"
        began_ms = ticks_ms()
        back_ms = 0
        while feedback():
            await self._pause(_SHORT_MS)
            back_ms = ticks_diff(ticks_ms(), began_ms)
            if back_ms > _OPENS_MS:
                return False, "coil off for {} ms, feedback still says closed".format(back_ms)
        return True, "closed in {} ms, opened in {} ms".format(ms, back_ms)

    async def vehicle(self):
        """The contact; or the pilot's two voltages, with energy offered to nobody."""
        vehicle = self._point.vehicle
        if not vehicle.tells_draw:
            closed = 0
            for _ in range(_LOOKS):
                await self._pause(_SHORT_MS)
                closed += not vehicle.pin()
            self.short = "closed" if closed else "open"
            if closed:
                return False, "contact closed in {} of {} looks".format(closed, _LOOKS)
            return True, "contact open: no vehicle"
        highs, lows = [], []
        vehicle.offer(True)
        try:
            for _ in range(_LOOKS):
                await self._pause(_LOOK_MS)
                highs.append(vehicle.peak_mv)
                lows.append(vehicle.low_mv)
        finally:
            if self._point.tester is self._test:  # else it is a session's by now
                vehicle.offer(False)
        high_mv, low_mv = max(highs[_PILOT_LOOKS:]), min(lows[_PILOT_LOOKS:])
        self.short = "{:+.1f} V".format(high_mv / 1_000)
        found = "{} and {:+.1f} V".format(self.short, low_mv / 1_000)
        if vehicle.fault is not None:
            return False, "{}, {}".format(found, vehicle.fault)
        good = _PILOT_LEAST_MV <= high_mv <= _PILOT_MOST_MV
        good = good and _PILOT_LEAST_MV <= -low_mv <= _PILOT_MOST_MV
        return good, found + "; the diode is in the vehicle"

    async def meter(self):
        """Nothing flows: no pulse can be seen, only that none come by themselves."""
        meter = self._point.meter
        pin = getattr(meter, "pin", None)
        if pin is None:
            return None, "no meter is set up"
        high = 0
        for _ in range(_LOOKS):
            await self._pause(_LOOK_MS)
            high += pin()
        pulses = self.short = meter.pulses - self._pulses
        if not high:
            return False, "its line is low all the time"
        if pulses:
            seconds = ticks_diff(ticks_ms(), self._began_ms) // 1_000
            return False, "{} pulses in {} s, while nothing flows".format(pulses, seconds)
        return None, "its line is high; no pulse, as nothing flows"

    async def flash(self):
        """A file is written, read back and removed; and how much room there is."""
        try:
            began_ms = ticks_ms()
            right = await self._written()
            ms = ticks_diff(ticks_ms(), began_ms)
            figures = os.statvfs(_FOLDER)
        except OSError as error:
            return False, "no file can be written: " + _ERRORS.get(error.errno or 0, repr(error))
        finally:
            try:
                os.remove(_FOLDER + _FILE)
            except OSError:
                pass  # it is not there
        free = self.short = figures[3]
        if not right:
            return False, "what is read is not what was written"
        found = "{} of {} blocks free, 1 KB written and read in {} ms".format(free, figures[2], ms)
        return free >= _FREE_BLOCKS, found

    async def _written(self):
        data = os.urandom(_WRITE_BYTES)
        with open(_FOLDER + _FILE, "wb") as file:
            for _ in range(_WRITES):
                file.write(data)
                await self._pause(_SHORT_MS)
        right = True
        with open(_FOLDER + _FILE, "rb") as file:
            for _ in range(_WRITES):
                right = right and file.read(_WRITE_BYTES) == data
                await self._pause(_SHORT_MS)
        return right

    async def clock(self):
        clock = self._app.clock
        now = clock.now()
        time = "{}-{:02}-{:02} {:02}:{:02} UTC".format(*date_time(now)[:5]) if now else ""
        if clock.is_set:
            self.short = True
            return True, time
        found = "not set" + (time and "; at least " + time)
        if not self._app.ntp:
            return None, found + "; no time server is set up"
        return False, found

    async def wifi(self):
        wifi = self._app.wifi
        dbm = self.short = wifi.rssi()
        if not wifi.up:
            return False, "not joined" + (wifi.problem and ": " + wifi.problem)
        if dbm is None:
            return None, "joined, its signal is not known"
        return dbm >= _RSSI_DBM, "{} dBm".format(dbm)

    async def broker(self):
        app = self._app
        if not app.mqtt.connected:
            return False, "not connected" + (app.said and "; " + app.said)
        waiting = self.short = app.journal.pending
        return True, "connected" + ("; {} events wait".format(waiting) if waiting else "")

    async def list(self):
        app = self._app
        applied = app.store.applied
        problem = app.sync.problem
        if applied is None:
            return False, "there is none" + (": " + problem if problem else "")
        self.short = applied.version
        found = "version {}, {} cards".format(applied.version, applied.cards)
        now = app.clock.now()
        if now:
            age_s = max(0, now - applied.t)
            found += ", {} h old".format(age_s // 3_600)
            if applied.max_age_s and age_s > applied.max_age_s:
                return False, found + ", too old"
        if app.store.damaged:
            return False, found + ", damaged on the flash"
        return not problem, found + (", a newer one is not taken: " + problem if problem else "")


def forget(name: str) -> None:
    """Give the memory of a module back that has done its work."""
    package, _, module = name.rpartition(".")
    delattr(sys.modules[package], module)
    del sys.modules[name]
