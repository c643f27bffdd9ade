import json

from firmware import update
from host_tests.pure.loading import Stand, on_trial, proven
from host_tests.pure.place import directory

GAVE_UP = {"version": "0.2.0", "why": "3 crashes"}
TICK_MS = 50


class _Bench:
    """An Update, its file, and the parts of a charger by which it judges."""

    def __init__(self, state):
        self.path = directory() + "firmware.json"
        self.update = update.Update(state, self.path)
        self.now_ms = 1_000
        self.alive = True
        self.changes = 0
        self.written = 0
        self.events = []
        self.stored_up_to = 0
        self.mqtt = Stand(connected=True)
        self.uplink = Stand(told=True, changed=self._changed)
        self.journal = Stand(stored=True, pending=3, holds=lambda n: n < self.stored_up_to)

    def _changed(self):
        self.changes += 1

    def tick(self, ms):
        """Let so much time pass; whether nothing is left to be done."""
        over = False
        for _ in range(ms // TICK_MS):
            self.now_ms += TICK_MS
            parts = self.mqtt, self.uplink, self.journal
            over = self.update.tick(self.now_ms, self.alive, *parts)
        return over

    def record(self, event, fields):
        self.events.append((event, fields))
        return 7

    @property
    def file(self):
        try:
            with open(self.path) as file:
                return json.loads(file.read())
        except OSError:
            return None


def test_a_version_that_is_well_for_ten_seconds_has_proven_itself():
    bench = _Bench(on_trial(starts=2))
    assert not bench.tick(10_000)
    assert not bench.update.proven and bench.file is None
    assert bench.tick(TICK_MS)
    assert bench.update.proven and bench.changes == 1
    assert bench.file == on_trial(proven=True)


def test_whatever_is_missing_meanwhile_makes_it_begin_anew():
    def without(change, back):
        bench = _Bench(on_trial())
        bench.tick(9_000)
        change(bench)
        bench.tick(TICK_MS)
        back(bench)
        bench.tick(10_000)
        assert bench.file is None
        assert bench.tick(TICK_MS)

    def set_to(part, name, value):
        return lambda bench: setattr(getattr(bench, part) if part else bench, name, value)

    without(set_to(None, "alive", False), set_to(None, "alive", True))
    without(set_to("mqtt", "connected", False), set_to("mqtt", "connected", True))
    without(set_to("uplink", "told", False), set_to("uplink", "told", True))
    without(set_to("journal", "stored", False), set_to("journal", "stored", True))


def test_a_journal_on_a_flash_that_takes_nothing_is_well_when_all_has_been_acknowledged():
    bench = _Bench(on_trial())
    bench.journal.stored, bench.journal.pending = False, 0
    assert bench.tick(11_000)


def test_one_that_is_never_well_never_proves_itself():
    bench = _Bench(on_trial())
    bench.mqtt.connected = False
    assert not bench.tick(300_000)
    assert bench.file is None


def test_the_loader_sees_it_before_the_flash_says_it():
    state = on_trial()
    bench = _Bench(state)
    seen = []
    kept, update.flash = update.flash, Stand(replace=lambda *_: seen.append(state["proven"]))
    try:
        bench.tick(11_000)
    finally:
        update.flash = kept
    assert seen == [True]


def test_a_flash_that_takes_nothing_is_tried_again_after_a_minute():
    tries = []

    def fails(path, content):
        tries.append(bench.now_ms)
        raise OSError(28)

    bench = _Bench(on_trial())
    kept, update.flash = update.flash, Stand(replace=fails)
    try:
        assert not bench.tick(10_050 + 60_000)
    finally:
        update.flash = kept
    assert len(tries) == 2 and tries[1] - tries[0] == 60_000
    assert bench.update.proven
    assert bench.tick(60_000) and bench.file["proven"]


def test_that_another_version_gave_way_is_told_until_the_flash_holds_the_event():
    bench = _Bench(proven(gave_up=GAVE_UP))
    bench.update.report(bench.record)
    assert bench.events == [("update_failed", {"firmware": "0.2.0", "why": "3 crashes"})]
    assert not bench.tick(20_000)
    assert bench.file is None
    bench.stored_up_to = 8
    assert bench.tick(TICK_MS)
    assert bench.file == proven(failed=GAVE_UP)
    bench = _Bench(bench.file)
    bench.update.report(bench.record)
    assert bench.events == []


def test_nothing_is_told_where_no_version_gave_way():
    for found in (None, 7, "x", []):
        bench = _Bench(on_trial(gave_up=found))
        bench.update.report(bench.record)
        assert bench.events == []
        assert bench.tick(11_000)
