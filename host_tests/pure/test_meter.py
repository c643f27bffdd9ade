from time import ticks_add  # pyright: ignore[reportAttributeAccessIssue]

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
        self.meter = S0(self.pin, pulses_per_kwh, lambda: self.now_ms)

    def level(self, level, ms):
        """The line goes to a level, with its interrupt, and stays there for so long."""
        self.pin.level = level
        self.pin.handler(self.pin)
        self.now_ms = ticks_add(self.now_ms, ms)

    def pulse(self, width_ms=30, gap_ms=30):
        self.level(0, width_ms)
        self.level(1, gap_ms)


def test_a_charger_without_a_meter_counts_nothing():
    assert (NoMeter().wh, NoMeter().mwh) == (0, 0)


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
