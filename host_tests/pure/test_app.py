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
        self.lamp = {}
        made = self.app = _App()
        made._errors = 0
        made._said = "no link"
        made._restart_at = None
        made._reader_failed = False
        made._watchdog = _Stand(feed=lambda now_ms: True)
        made._light = _Stand(standing=self.lamp.__setitem__)
        made._topics = _Stand(digest=lambda topic: topic if topic == DIGEST else None)
        made.clock = _Stand(tick=lambda: None)
        made.point = _Stand(authorisation_required=True)
        made.settings = settings or {"authority": "native", "offline": "deny"}
        made.mqtt = _Stand(connected=connected)
        made.sync = _Stand(
            tick=lambda now_ms: self._note("sync"),
            lost=lambda digest, why: self.done.append((digest, why)),
            resume=lambda: self._note("resume"),
        )
        made.downlink = _Stand(
            connected=lambda: self._note("connected"),
            subscribe=lambda link: self._note("subscribe"),
            skipped=lambda topic, size: self.done.append((topic, size)),
        )
        made.uplink = _Stand(
            connected=lambda: self._note("all is due"), send=lambda now_ms: self._note("send")
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
    assert bench.done == ["subscribe", "sync", "send"]
    bench = _Bench(full=("subscribe", "send"))
    bench.housekeeping()
    assert bench.done == ["subscribe", "failed", "send", "failed"]
    bench = _Bench(full=("sync",))
    bench.housekeeping()
    assert bench.done == ["subscribe", "sync", "failed", "send"]


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
