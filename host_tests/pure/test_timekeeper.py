"""When the time is asked for, on a clock that the test moves."""

import sys
from time import ticks_add, ticks_diff  # pyright: ignore[reportAttributeAccessIssue]

from firmware import link
from firmware.clock import Clock
from firmware.link import timekeeper
from firmware.loaded import forget

T = 1_790_000_000
HOURS = 3_600_000
SILENT = "silent"


class _Pause:
    """What an `await` gives back to the test, under both interpreters."""

    def __iter__(self):
        yield

    __await__ = __iter__


class _Kiss(OSError):
    kiss = True


class _World:
    """The place of `time`, `asyncio`, Wi-Fi and the server. It begins at T. `wrong_s`: how far the
    server is ahead; `failure`: what becomes of a question instead."""

    def __init__(self, wrong_s=0, failure=None):
        self.ms = 0
        self.wrong_s = wrong_s
        self.failure = failure
        self.up = False
        self.dns = "10.0.0.1"
        self.asked = []  # when, in ms
        self.told = []
        self.problems = []
        self.beats = 0
        self._ticks = 0
        self.clock = Clock(_Rtc(), ticks=self.ticks_ms)
        self._keeping = timekeeper.keep(
            self.clock, self, "time.example", self.told.append, self._problem, self._beat
        )

    @property
    def t(self):
        return T + self.ms // 1_000

    def pass_ms(self, ms):
        self.ms += ms
        self._ticks = ticks_add(self._ticks, ms)

    def ticks_ms(self):
        return self._ticks

    def ticks_diff(self, later, earlier):
        return ticks_diff(later, earlier)

    async def sleep_ms(self, ms):
        self.pass_ms(ms)
        await _Pause()

    async def ask(self, host, port, dns_server, rng, beat):
        assert (host, port, dns_server) == ("time.example", 123, self.dns)
        self.asked.append(self.ms)
        await self.sleep_ms(300)
        if self.failure:
            raise self.failure
        return (self.t + self.wrong_s) * 1_000 + 999

    def run(self, ms):
        kept = timekeeper.asyncio, timekeeper.time
        timekeeper.asyncio = timekeeper.time = self
        end = self.ms + ms
        try:
            while self.ms < end:
                link.ntp = sys.modules["firmware.link.ntp"] = self  # forgotten after each question
                self._keeping.send(None)
        finally:
            timekeeper.asyncio, timekeeper.time = kept

    def waits(self):
        return [self.asked[i] - self.asked[i - 1] for i in range(1, len(self.asked))]

    def _problem(self, kind, detail):
        assert kind == "ntp"
        self.problems.append(detail)

    def _beat(self):
        self.beats += 1


class _Rtc:
    def datetime(self, *_):
        return (2000, 1, 1, 0, 0, 0, 0, 0)


def test_nobody_is_asked_while_there_is_no_network():
    world = _World()
    world.run(HOURS)
    assert world.asked == []
    assert world.beats >= 3_600  # alive all the same


def test_the_time_is_asked_for_as_soon_as_there_is_a_network():
    world = _World()
    world.run(5_000)
    world.up = True
    world.run(1_000)
    assert len(world.asked) == 1 and world.asked[0] <= 5_250
    assert world.clock.is_set
    assert abs((world.clock.now() or 0) - world.t) <= 1
    assert world.told == [""]


def test_a_clock_that_is_set_is_set_again_every_few_hours_and_not_in_step_with_others():
    world = _World()
    world.up = True
    world.run(32 * HOURS)
    assert 9 <= len(world.asked) <= 11, world.asked
    assert all(3 * HOURS <= wait <= 4 * HOURS + 1_000 for wait in world.waits())
    assert len(set(world.waits())) > 5


def test_a_silent_server_is_asked_less_and_less_often():
    world = _World(failure=OSError(SILENT))
    world.up = True
    world.run(6 * HOURS)
    waits = world.waits()
    assert 1_000 <= waits[0] <= 2_600
    assert all(waits[i] < waits[i + 2] for i in range(6))
    assert all(512_000 <= wait <= 1_025_000 for wait in waits[10:])
    assert not world.clock.is_set
    assert world.told == [] and set(world.problems) == {SILENT}


def test_after_an_answer_the_next_silence_begins_with_short_waits():
    world = _World(failure=OSError(SILENT))
    world.up = True
    world.run(HOURS)
    world.failure = None
    world.run(HOURS)
    assert world.clock.is_set
    world.failure = OSError(SILENT)
    before = len(world.asked)
    world.run(4 * HOURS)
    assert world.asked[before + 1] - world.asked[before] <= 2_600
    assert world.clock.is_set  # a quartz needs nobody to go on


def test_a_network_that_comes_back_is_asked_at_once_while_the_clock_is_not_set():
    world = _World(failure=OSError(SILENT))
    world.up = True
    world.run(HOURS)
    world.up = False
    world.run(1_000)
    world.up = True
    before = len(world.asked)
    world.run(5_000)
    assert len(world.asked) - before >= 2  # and the waits are short again
    world.failure = None
    world.run(10_000)
    assert world.clock.is_set


def test_a_network_that_flaps_makes_no_questions_once_the_clock_is_set():
    world = _World()
    for _ in range(100):
        world.up = not world.up
        world.run(2_000)
    assert len(world.asked) == 1


def test_after_weeks_without_a_network_the_clock_is_set_at_once():
    world = _World()
    world.up = True
    world.run(1_000)
    world.up = False
    for _ in range(9):  # days; the ticks of a board wrap after twelve and a half
        world.run(1_000)
        world.pass_ms(24 * HOURS)
        world.clock.up_s()
    world.up = True
    world.run(1_000)
    assert len(world.asked) == 2
    assert abs((world.clock.now() or 0) - world.t) <= 1


def test_who_asks_to_be_left_alone_is_left_alone():
    world = _World(failure=_Kiss("kiss of death"))
    world.up = True
    world.run(HOURS)
    assert all(1_024_000 <= wait <= 1_026_000 for wait in world.waits()), world.waits()


def test_a_time_before_what_is_certain_is_refused_with_a_reason_and_asked_for_again():
    world = _World(wrong_s=-10_000)
    world.clock.lower_bound(T)
    world.up = True
    world.run(10_000)
    assert not world.clock.is_set
    assert 2 <= len(world.asked) <= 4
    assert world.told[0].startswith(f"time.example says {T - 10_000}, certain is {T}")
    world.wrong_s = 0
    world.run(20_000)
    assert world.clock.is_set
    assert world.told[-1] == ""


def test_a_clock_that_a_signed_message_has_proved_wrong_is_set_anew_at_once():
    world = _World()
    world.up = True
    world.run(10_000)
    world.clock.lower_bound(T + 86_400)
    assert not world.clock.is_set
    world.wrong_s = 86_400
    world.run(1_000)
    assert world.clock.is_set
    assert len(world.asked) == 2


def test_two_who_contradict_each_other_are_not_asked_in_a_hurry():
    world = _World()
    world.up = True
    world.run(10_000)
    world.clock.lower_bound(T + 86_400)
    world.run(HOURS)  # the server still says otherwise
    assert not world.clock.is_set
    assert len(world.asked) <= 18  # ten waits of 1 to 512 s and more, then 512 s at least


def test_a_time_far_ahead_is_asked_for_again_and_believed_when_it_is_said_twice():
    world = _World()
    world.clock.lower_bound(T - 3 * 86_400)  # without power over the weekend
    world.up = True
    world.run(4_000)
    assert world.clock.is_set
    assert len(world.asked) == 2
    assert world.told == [""], "nothing is wrong"
    assert world.problems[0].startswith(f"time.example says {T}, certain is ")


def test_one_wrong_answer_far_ahead_moves_no_clock_that_is_set():
    world = _World()
    world.up = True
    world.run(10_000)
    world.wrong_s = 100 * 86_400
    while len(world.asked) < 2:
        world.run(HOURS // 60)
    world.wrong_s = 0
    world.run(20 * HOURS // 60)
    assert world.waits()[1] >= 1_000_000, "by then a pool has another server"
    assert abs((world.clock.now() or 0) - world.t) <= 1
    assert world.clock.is_set
    assert world.told == ["", ""]


def test_no_module_stays_in_memory_that_only_the_question_needs():
    world = _World()
    link.dns = sys.modules["firmware.link.dns"] = world
    world.up = True
    world.run(1_000)
    assert world.clock.is_set
    assert not hasattr(link, "dns") and "firmware.link.dns" not in sys.modules


def test_a_question_that_finds_no_memory_ends_nothing():
    world = _World(failure=MemoryError())
    world.up = True
    world.run(1_000)
    assert world.problems == ["MemoryError"]
    world.failure = None
    world.run(5_000)
    assert world.clock.is_set


def test_what_was_not_even_loaded_is_forgotten_too():
    package = sys.modules.pop("firmware.link")
    try:
        forget("firmware.link", "ntp dns")
    finally:
        sys.modules["firmware.link"] = package
