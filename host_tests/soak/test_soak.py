"""The soak itself: a short one passes, and it notices what a week is to bring to light."""

import io

import pytest
from rich.console import Console

from tools import mpy
from tools.soak import week
from tools.soak.__main__ import show
from tools.soak.broker import Broker, Session
from tools.soak.drivers import Stay
from tools.soak.week import Day, Found, Plan, differences, drift, lived

SEED = 3


def short(name: str, resets: bool, day_s: float, days: int, pace: float) -> Plan:
    """Everything so much more often than in a week, that minutes hold a few of each."""
    return Plan(name, 200, resets, SEED, day_s, days, pace)


def test_two_days_in_an_hour_with_faults_are_lived_through(micropython: str):
    found = lived(short("short", True, 1_800, 2, 20))
    assert not found.wrong
    assert len(found.days) == 2
    assert found.sessions >= 5
    assert sum(day.taps for day in found.days) >= 3
    assert sum(found.faults.values()) >= 2
    assert found.simulated_s >= 3_600
    assert found.wraps >= 1


def broken(monkeypatch: pytest.MonkeyPatch, changes: dict[str, tuple[str, str]]) -> None:
    """The firmware with something more before what stands there, once in each file."""
    texts = mpy.sources()
    for name, (old, more) in changes.items():
        assert texts[name].count(old) == 1, name
        texts[name] = texts[name].replace(old, more + old)
    whole = mpy.image
    monkeypatch.setattr(mpy, "image", lambda: whole(texts))


def test_what_is_left_behind_and_ticks_that_wrap_are_noticed(
    micropython: str, monkeypatch: pytest.MonkeyPatch
):
    """Each tap leaves memory, each list a file, and the clock knows nothing of the wrap."""
    broken(
        monkeypatch,
        {
            "firmware/charge_point.py": (
                "            token = self._tokens.of(number)\n",
                "            self.kept = getattr(self, 'kept', ()) + (bytearray(1_000),)\n",
            ),
            "firmware/app.py": (
                "        self.point.review()\n        self.uplink.changed()\n        self.versions",
                "        open('state/{}'.format(ticks_ms()), 'w').close()\n",
            ),
            "firmware/clock.py": (
                "        self._last_ms = now_ms\n",
                "        self._rest_ms += now_ms - self._last_ms - "
                "ticks_diff(now_ms, self._last_ms)\n",
            ),
        },
    )
    wrong = lived(short("leaky", False, 1_200, 2, 20)).wrong
    assert any("heap" in each for each in wrong), wrong
    assert any("files" in each for each in wrong), wrong
    assert any("report differs" in each for each in wrong), wrong


def test_a_card_that_is_not_let_in_and_a_coil_without_a_right_are_noticed(
    micropython: str, monkeypatch: pytest.MonkeyPatch
):
    broken(
        monkeypatch,
        {
            "firmware/access/verdict.py": (
                "    if entry is None or role is None:\n",
                "    return ACCEPTED if entry is None else UNKNOWN\n",
            )
        },
    )
    wrong = lived(short("upside-down", False, 900, 1, 20)).wrong
    assert any("not let in" in each for each in wrong), wrong
    assert any("nobody has the right" in each for each in wrong), wrong


def test_energy_that_is_not_reported_is_noticed():
    stay = Stay("a@example.org", 100.0, 0, ended=700.0, wh=1_800)
    row = {
        "person": "a@example.org",
        "start": "2026-03-02T00:01:40+00:00",
        "end": "2026-03-02T00:11:40+00:00",
        "estimated": False,
        "wh": 1_800,
    }
    assert not differences([stay], [row])
    assert differences([stay], [{**row, "wh": 1_700}])
    assert differences([stay], [])
    assert differences([stay], [row, row])
    unsure = Stay("b@example.org", 0.0, 0, sure=False)
    assert not differences([unsure, stay], [row])


def test_what_grows_from_the_first_day_to_the_last_is_named():
    first = Day(200_000, 60_000, 30, 19, 20, 12.0, 20.0, 200)
    assert not drift([first, first])
    for what, worse in {
        "heap": {"heap_bytes": 200_001 + week.HEAP_BYTES},
        "largest": {"largest_bytes": 59_999 - week.LARGEST_BYTES},
        "blocks": {"blocks": 31 + week.BLOCKS},
        "files": {"files": 20 + week.FILES},
        "p50": {"p50_ms": 12.1 + week.P50_MS},
        "p99": {"p99_ms": 20.1 + week.P99_MS},
    }.items():
        (found,) = drift([first, Day(**{**vars(first), **worse})])
        assert what in found


def test_one_of_a_thing_is_shown_as_one():
    plan = short("steady", False, 86_400, 1, 1)
    for number, said in ((1, ("1 session,", "1 life of")), (2, ("2 sessions,", "2 lives of"))):
        out = io.StringIO()
        found = Found(plan, simulated_s=3_600, took_s=1, lives=number, sessions=number)
        show(found, Console(file=out))
        assert all(each in out.getvalue() for each in said), out.getvalue()


def test_the_broker_keeps_what_is_retained_for_who_comes_later():
    heard = []
    broker = Broker(lambda topic, payload: heard.append((topic, payload)))
    broker.publish("a/b", b"kept")
    session = Session(broker)
    session.take(bytes.fromhex("82 08 0001 0003 612f62 01"))
    assert (
        session.out
        == bytes.fromhex("90 03 0001 01") + bytes.fromhex("33 0b 0003 612f62 0001") + b"kept"
    )
    session.out.clear()
    split = bytes.fromhex("32 09 0003 632f64 0007") + b"up"
    session.take(split[:5])
    assert not heard
    session.take(split[5:])
    assert heard == [("c/d", b"up")]
    assert session.out == bytes.fromhex("40 02 0007")
    broker.publish("a/b", b"")
    assert "a/b" not in broker.retained
