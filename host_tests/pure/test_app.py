"""What one part tells another, with stands in the place of the parts."""

import sys


class _Stand:
    """Takes whatever it is given, and knows no more."""

    def __init__(self, **members):
        for name, member in members.items():
            setattr(self, name, member)


sys.modules["firmware.link.mqtt"] = _Stand(Mqtt=None)  # it needs the board's own codec
try:
    from firmware import app
finally:
    del sys.modules["firmware.link.mqtt"]

DIGEST = "ab" * 16
QUIET_BYTES = 1_048_576  # taken before MicroPython collects garbage by itself


class _Pause:
    def __iter__(self):
        yield

    __await__ = __iter__


async def _sleep_ms(ms):
    await _Pause()


class _App(app.App):
    def __init__(self):
        """Of no parts."""


class _Bench:
    """An App whose parts write down what they are asked for. `full`: which find no memory."""

    def __init__(self, full=(), connected=True, **settings):
        self.full = full
        self.done = []
        self.events = []
        self.lamp = {}
        made = self.app = _App()
        made._errors = 0
        made._tidy_bytes = QUIET_BYTES
        made.said = "no link"
        made._typed = _Stand(ipoll=lambda ms: ())
        made._update = None
        made._restart_at = None
        made._reader_failed = False
        made._journal_fails = made._shard_told = False
        made.store = _Stand(damaged=None)
        made._watchdog = _Stand(feed=lambda now_ms: True)
        made._light = _Stand(standing=self.lamp.__setitem__)
        made._topics = _Stand(digest=lambda topic: topic if topic == DIGEST else None)
        made.clock = _Stand(tick=lambda: None)
        made.point = _Stand(
            authorisation_required=True,
            session=_Stand(state="available"),
            store_reading=lambda: self._note("reading"),
        )
        made.journal = _Stand(
            flush=lambda now_ms, last=False: self._note("last flush" if last else "flush"),
            pending=0,
            full=0,
            lost_routine=0,
            lost_sessions=0,
            stored=True,
        )
        made._machine = _Stand(reset=lambda: self._note("reset"))
        made.open = lambda: self._note("contactor opens")
        made.settings = settings or {"authority": "native", "offline": "deny"}
        made.mqtt = _Stand(connected=connected)
        made.sync = _Stand(
            tick=lambda now_ms: self._note("sync"),
            lost=lambda digest, why: self.done.append((digest, why)),
            resume=lambda: self._note("resume"),
            busy=False,
        )
        made.downlink = _Stand(
            connected=lambda: self._note("connected"),
            subscribe=lambda link: self._note("subscribe"),
            skipped=lambda topic, size: self.done.append((topic, size)),
        )
        made.uplink = _Stand(
            connected=lambda: self._note("all is due"),
            send=lambda now_ms: self._note("send"),
            record=lambda event, fields: self.events.append((event, fields)),
            changed=lambda: None,
        )
        made._failed = lambda error: self._note("failed")

    def _note(self, what):
        self.done.append(what)
        if what in self.full:
            raise MemoryError

    def housekeeping(self):
        kept, app.asyncio = app.asyncio, _Stand(sleep_ms=_sleep_ms)
        try:
            self.app._housekeeping().send(None)
        finally:
            app.asyncio = kept


def test_housekeeping_outlives_a_want_of_memory_and_none_keeps_the_other_from_its_work():
    bench = _Bench()
    bench.housekeeping()
    assert bench.done == ["subscribe", "sync", "flush", "send"]
    bench = _Bench(full=("subscribe", "send"))
    bench.housekeeping()
    assert bench.done == ["subscribe", "failed", "flush", "send", "failed"]
    bench = _Bench(full=("sync",))
    bench.housekeeping()
    assert bench.done == ["subscribe", "sync", "failed", "flush", "send"]


def test_an_update_is_looked_after_until_nothing_is_left_of_it():
    bench = _Bench()
    alive = []
    left = [False, False, True]

    def tick(now_ms, *parts):
        alive.append(parts[0])
        return left.pop(0)

    bench.app._update = _Stand(tick=tick, proven=False)
    fed = [True, False, True]
    bench.app._watchdog = _Stand(feed=lambda now_ms: fed.pop(0), late=lambda now_ms: ["reader"])
    for _ in range(3):
        bench.housekeeping()
    bench.app._watchdog = _Stand(feed=lambda now_ms: True)
    assert alive == [True, False, True]
    assert bench.app._update is None
    bench.housekeeping()


def test_a_new_connection_is_told_to_everybody_before_anything_needs_memory():
    bench = _Bench(full=("subscribe",))
    bench.app._connected()
    assert bench.done == ["connected", "all is due", "resume"]
    bench.housekeeping()
    assert "subscribe" in bench.done


def test_the_wink_says_that_the_list_counts_without_a_link_and_no_more():
    for authority, offline, connected, winks in (
        ("native", "deny", False, True),
        ("native", "deny", True, False),
        ("operator", "list", False, True),
        ("operator", "list", True, False),
        ("operator", "deny", False, False),
    ):
        bench = _Bench(connected=connected, authority=authority, offline=offline)
        bench.housekeeping()
        assert bench.lamp["offline"] is winks, (authority, offline, connected)


def test_an_object_that_was_skipped_is_told_by_its_cause():
    bench = _Bench()
    bench.app._skipped(DIGEST, 8_205)
    bench.app._skipped(DIGEST, 8_204)
    bench.app._skipped("another topic", 9)
    bench.app._skipped(None, 9)
    assert bench.done == [
        (DIGEST, "8205 bytes"),
        (DIGEST, "no memory for 8204 bytes"),
        ("another topic", 9),
        (None, 9),
    ]


def test_a_subscription_that_the_broker_refuses_is_told_to_whom_it_was_for():
    bench = _Bench()
    bench.app.downlink.refused = bench.done.append
    bench.app._link_problem("subscribe", DIGEST)
    bench.app._link_problem("subscribe", "another topic")
    bench.app._link_problem("closed", "by the broker")
    assert bench.done == [(DIGEST, "the broker forbids it"), "another topic"]


def test_a_journal_that_fills_up_is_a_fault_long_before_anything_is_lost():
    bench = _Bench()
    journal = bench.app.journal
    for full, fault in ((74, False), (75, True), (99, True), (70, True), (69, False), (74, False)):
        journal.full = full
        bench.housekeeping()
        assert bench.app._journal_fails is fault, full
    assert bench.events == [
        ("fault", {"fault": "journal", "detail": "75 % full"}),
        ("fault_cleared", {"fault": "journal"}),
    ]


def test_a_flash_that_cannot_be_written_is_a_fault_until_it_can():
    bench = _Bench()
    bench.app.journal.stored = False
    bench.housekeeping()
    bench.housekeeping()
    bench.app.journal.stored = True
    bench.housekeeping()
    assert bench.events == [
        ("fault", {"fault": "journal", "detail": "flash not written"}),
        ("fault_cleared", {"fault": "journal"}),
    ]


def test_a_shard_that_is_damaged_is_told_once_until_it_is_renewed():
    bench = _Bench()
    store = bench.app.store
    for damaged, told in ((None, 0), (7, 1), (7, 1), (9, 1), (None, 1), (9, 2), (9, 2)):
        store.damaged = damaged
        bench.housekeeping()
        assert len(bench.events) == told, damaged
    assert [fields["detail"] for _, fields in bench.events] == ["shard 7", "shard 9"]
    assert bench.events[0] == ("fault", {"fault": "allowlist_damaged", "detail": "shard 7"})


def test_a_shard_is_told_before_it_can_be_renewed():
    bench = _Bench()
    store = bench.app.store
    bench.app.sync.tick = lambda now_ms: setattr(store, "damaged", None)
    store.damaged = 0
    bench.housekeeping()
    assert len(bench.events) == 1


def test_a_restart_waits_for_acknowledgements_and_stores_what_the_session_has_taken():
    bench = _Bench()
    bench.app.journal.pending = 1
    bench.app._restart_soon()
    bench.housekeeping()
    assert "reset" not in bench.done
    bench.app.journal.pending = 0
    bench.housekeeping()
    assert bench.done[-7:] == ["contactor opens", "reading"] + ["last flush"] * 4 + ["reset"]


def test_a_restart_waits_no_longer_than_five_seconds():
    bench = _Bench()
    bench.app.journal.pending = 1
    bench.app._restart_at = app.ticks_ms()
    bench.housekeeping()
    assert bench.done[-1] == "reset"


def test_whatever_ends_the_tasks_the_contactor_opens_before_anything_is_stored():
    bench = _Bench(full=("last flush",))
    bench.app._load = lambda: None
    kept, app.asyncio = app.asyncio, _Stand(run=_fails)
    bench.app._run = lambda: None
    try:
        bench.app.run()
    except ZeroDivisionError:
        pass
    finally:
        app.asyncio = kept
    assert bench.done == ["contactor opens", "reading", "last flush", "failed"]


def test_garbage_is_collected_once_a_second_and_the_state_message_never_walks_the_heap():
    bench = _Bench()
    kept, app.gc, app.ticks_ms = (app.gc, app.ticks_ms), _Collector(), lambda: now_ms
    bench.app._tidied_ms = 1_000
    try:
        for now_ms, collections in ((1_000, 0), (1_999, 0), (2_000, 1), (2_025, 1), (3_000, 2)):
            bench.app._tidy()
            assert app.gc.collections == collections, now_ms
        assert bench.app._heap_free == 40_002
        bench.app.point.session.state = "awaiting"
        for now_ms, free, collections in (
            (4_000, 20_002, 2),
            (4_999, 20_001, 2),
            (5_000, 20_001, 3),
            (6_000, 20_002, 3),
        ):
            app.gc.free = free
            bench.app._tidy()
            assert app.gc.collections == collections, now_ms
        bench.app.point.session.state = "available"
        for now_ms, collections in ((6_999, 3), (7_000, 4)):
            bench.app._tidy()
            assert app.gc.collections == collections, now_ms
    finally:
        app.gc, app.ticks_ms = kept


def test_while_a_list_is_on_its_way_garbage_is_collected_as_it_comes():
    bench = _Bench()
    kept, app.gc = app.gc, _Collector()
    try:
        for busy, told in ((False, []), (True, [24_576]), (True, [24_576])):
            bench.app.sync.busy = busy
            bench.housekeeping()
            assert app.gc.thresholds == told
        bench.app.sync.busy = False
        bench.housekeeping()
        assert app.gc.thresholds == [24_576, QUIET_BYTES]
    finally:
        app.gc = kept


class _Collector:
    collections = 0
    free = 0

    def __init__(self):
        self.thresholds = []

    def collect(self):
        self.collections += 1
        self.free = 40_000 + self.collections

    def mem_free(self):
        return self.free

    def threshold(self, size):
        self.thresholds.append(size)


def test_the_first_time_that_is_told_is_an_event_from_which_others_get_theirs():
    bench = _Bench()
    bench.app._time_refused = bench.app._time_known = False
    for refused in ("silent", None, None, "silent", None):
        bench.app._time_told(refused)
    assert [name for name, _ in bench.events].count("clock_set") == 1
    bench = _Bench()
    bench.app._time_refused, bench.app._time_known = False, True
    bench.app._time_told(None)
    assert bench.events == []


def _fails(_):
    raise ZeroDivisionError
