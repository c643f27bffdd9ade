from time import ticks_add  # pyright: ignore[reportAttributeAccessIssue]

from firmware.hardware.counted_s0 import CountedS0
from firmware.hardware.meter import NoMeter
from firmware.hardware.s0 import S0


class _Pin:
    IRQ_RISING = 1
    IRQ_FALLING = 2

    def __init__(self, level=1):
        self.level = level
        self.handler = lambda pin: None
        self.trigger = 0

    def __call__(self):
        return self.level

    def irq(self, handler, trigger):
        self.handler = handler
        self.trigger = trigger


class _Rig:
    def __init__(self, pulses_per_kwh=1_000, begin_ms=0, level=1):
        self.now_ms = begin_ms
        self.pin = _Pin(level)
        self.meter = S0(self.pin, pulses_per_kwh, ticks=lambda: self.now_ms)

    def level(self, level, ms):
        """The line goes to a level, with its interrupt, and stays there for so long."""
        self.pin.level = level
        self.pin.handler(self.pin)
        self.now_ms = ticks_add(self.now_ms, ms)

    def pulse(self, width_ms=30, gap_ms=30):
        self.level(0, width_ms)
        self.level(1, gap_ms)


def test_a_charger_without_a_meter_counts_nothing():
    none = NoMeter()
    none.look(0)
    assert (none.pulses, none.wh, none.mwh, none.stall_s) == (0, 0, 0, 0)


def test_both_edges_interrupt():
    assert _Rig().pin.trigger == _Pin.IRQ_FALLING | _Pin.IRQ_RISING


def test_each_pulse_counts_once():
    rig = _Rig()
    rig.now_ms = 100
    for _ in range(250):
        rig.pulse()
    assert rig.meter.pulses == 250
    assert rig.meter.wh == 250
    assert rig.meter.mwh == 250_000


def test_energy_does_not_lose_fractions():
    rig = _Rig(pulses_per_kwh=2_400)
    rig.now_ms = 100
    for _ in range(7):
        rig.pulse()
    assert rig.meter.wh == 2
    assert rig.meter.mwh == 2_916
    for _ in range(2_400 * 3 - 7):
        rig.pulse()
    assert rig.meter.mwh == 3_000_000


def test_a_spike_is_no_pulse():
    rig = _Rig()
    rig.now_ms = 100
    for _ in range(100):
        rig.pulse(width_ms=1, gap_ms=20)
    assert rig.meter.pulses == 0


def test_a_contact_that_bounces_counts_once():
    rig = _Rig()
    rig.now_ms = 100
    for _ in range(10):
        for _ in range(3):
            rig.pulse(width_ms=1, gap_ms=1)
        rig.level(0, 30)
        for _ in range(3):
            rig.pulse(width_ms=1, gap_ms=1)
            rig.level(1, 1)
        rig.level(1, 50)
    assert rig.meter.pulses == 10, rig.meter.pulses


def test_ringing_as_long_as_a_pulse_counts_once():
    rig = _Rig()
    rig.now_ms = 100
    rig.pulse(width_ms=4, gap_ms=1)
    rig.pulse(width_ms=4, gap_ms=50)
    assert rig.meter.pulses == 1


def test_pulses_that_the_interpreter_saw_late_still_count():
    rig = _Rig()
    rig.now_ms = 100
    for _ in range(10):
        rig.pulse(width_ms=5, gap_ms=55)  # the falling edge was served 25 ms late
    assert rig.meter.pulses == 10


def test_a_pulse_that_began_before_the_start_is_not_counted():
    rig = _Rig(level=0)
    rig.now_ms = 100
    rig.level(1, 50)
    assert rig.meter.pulses == 0
    rig.pulse()
    assert rig.meter.pulses == 1


def test_no_pulse_is_lost_after_days_without_one():
    rig = _Rig()
    rig.now_ms = 100
    rig.pulse()
    for days in range(1, 13):
        rig.now_ms = ticks_add(rig.now_ms, 86_400_000)
        rig.pulse()
        assert rig.meter.pulses == 1 + days


def test_no_pulse_is_lost_when_the_ticks_have_wrapped_halfway():
    rig = _Rig()
    rig.now_ms = 100
    rig.pulse()
    for pulses in range(2, 12):
        rig.now_ms = ticks_add(rig.now_ms, (1 << 29) + 1_000)  # ticks_diff is negative
        rig.pulse()
        assert rig.meter.pulses == pulses


def test_the_wrap_of_the_ticks_is_not_seen():
    rig = _Rig(begin_ms=ticks_add(0, -200))
    for _ in range(10):
        rig.pulse()
    assert rig.meter.pulses == 10


# Counted by the chip.


class _Counter:
    """A PCNT, so far as it is used here: 16 bits, back to zero at their end, cleared by `value(0)`;
    stopped until it is started."""

    IGNORE, INCREMENT = 0, 1

    def __init__(self):
        self.told = {}
        self.runs = False
        self.count = 31  # left from before a soft reset

    def init(self, **told):
        self.told = told

    def start(self):
        self.runs = True

    def pulses(self, count=1):
        if self.runs:
            self.count = (self.count + count) % 32_767

    def value(self, value=None):
        count = self.count
        if value is not None:
            assert value == 0
            self.count = 0
        return count


def _counted(pulses_per_kwh=1_000):
    counter = _Counter()
    now = [0]
    meter = CountedS0(counter, "the pin", pulses_per_kwh, 600, lambda: now[0])
    look = meter.look

    def look_at(now_ms):
        now[0] = now_ms
        look(now_ms)

    meter.look = look_at
    return meter, counter


def test_the_chip_counts_the_beginning_of_each_pulse_through_its_filter():
    meter, counter = _counted()
    assert counter.told["pin"] == "the pin"
    assert (counter.told["falling"], counter.told["rising"]) == (1, 0)
    assert counter.told["filter"] == 1_023
    assert meter.stall_s == 600
    meter.look(0)
    assert meter.pulses == 0, "what an earlier start has counted is its own"


def test_what_the_chip_has_counted_is_energy_at_the_next_look():
    meter, counter = _counted(800)
    now_ms = 0
    for _ in range(800):
        counter.pulses()
        now_ms += 60
        meter.look(now_ms)
    assert (meter.pulses, meter.wh, meter.mwh) == (800, 1_000, 1_000_000)


def test_no_pulse_is_lost_while_nobody_looks_for_a_while():
    meter, counter = _counted()
    meter.look(0)
    counter.pulses(50)
    meter.look(3_000)
    assert meter.pulses == 50


def test_no_pulse_is_lost_where_the_counters_sixteen_bits_are_over():
    meter, counter = _counted(10_000)
    now_ms = 0
    for _ in range(100_000):
        counter.pulses()
        now_ms = ticks_add(now_ms, 10)
        meter.look(now_ms)
        assert counter.count < 20_000
    assert meter.pulses == 100_000


def test_the_counter_is_cleared_only_when_a_pulse_has_just_been():
    meter, counter = _counted()
    now_ms = 0
    meter.look(now_ms)
    for _ in range(200):
        counter.pulses(100)
        now_ms += 1_000
        before = counter.count
        meter.look(now_ms)
        cleared = counter.count == 0
        meter.look(now_ms + 10)
        assert counter.count == (0 if cleared else before)
    assert meter.pulses == 20_000


def test_a_counter_that_something_else_has_cleared_takes_nothing_back():
    meter, counter = _counted()
    for now_ms in range(0, 1_000, 10):
        counter.pulses()
        meter.look(now_ms)
    counter.count = 0
    meter.look(1_000)
    assert meter.pulses == 100
    counter.count = 3
    meter.look(2_000)
    assert meter.pulses == 103


def test_two_pulses_between_two_looks_both_count_where_none_was_between_the_next_two():
    meter, counter = _counted(10_000)
    meter.look(-10)
    meter.look(0)
    for begin_ms in range(0, 30_000, 30):  # 100 a second: 9 ms apart, then 11
        for now_ms, pulses in ((10, 1), (20, 2), (30, 0)):
            counter.pulses(pulses)
            meter.look(begin_ms + now_ms)
    assert meter.pulses == 3_000


def test_pulses_that_came_while_the_counter_was_read_count():
    now = [0]
    counter = _Counter()
    meter = CountedS0(counter, "the pin", 1_000, 600, lambda: now[0])
    meter.look(0)
    value = counter.value

    def slowly(*new):
        now[0] += 40  # the read itself takes so long, and three pulses come meanwhile
        counter.pulses(3)
        return value(*new)

    counter.value = slowly
    now[0] = 10
    meter.look(10)
    assert meter.pulses == 3


def test_a_burst_that_no_meter_sends_hardly_counts():
    meter, counter = _counted()
    meter.look(0)
    counter.pulses(50)
    meter.look(10)
    assert meter.pulses == 1
    for now_ms in range(20, 1_020, 10):
        meter.look(now_ms)
    assert meter.pulses == 1
    counter.pulses(50)
    meter.look(1_020)
    assert meter.pulses == 1 + 3
