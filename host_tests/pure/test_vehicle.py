from time import ticks_add  # pyright: ignore[reportAttributeAccessIssue]

from firmware.hardware.pilot import DIODE, LOST, SHORT, STEADY, VENTILATION, Pilot, duty
from firmware.hardware.vehicle import Contact
from host_tests.pure.heap import without_heap

NONE = (False, False)
CONNECTED = (True, False)
ASKS = (True, True)


# --- contact --------------------------------------------------------------------------------------


class _Contact:
    def __init__(self, begin_ms=0):
        self.open = 1
        self.now_ms = begin_ms
        self.vehicle = Contact(lambda: self.open)
        self.run(200)

    def run(self, ms, step_ms=10):
        for _ in range(ms // step_ms):
            self.now_ms = ticks_add(self.now_ms, step_ms)
            self.seen = self.vehicle.sample(self.now_ms)
        return self.seen


def test_a_connected_vehicle_counts_as_one_that_asks():
    rig = _Contact()
    assert rig.seen == NONE
    rig.open = 0
    assert rig.run(100) == ASKS


def test_connecting_is_believed_after_fifty_milliseconds():
    rig = _Contact()
    rig.open = 0
    assert rig.run(50) == NONE
    assert rig.run(10) == ASKS


def test_disconnecting_is_seen_within_forty_milliseconds():
    rig = _Contact()
    rig.open = 0
    rig.run(100)
    rig.open = 1
    # The look that fell just before the opening costs up to 10 ms more.
    assert rig.run(30) == NONE


def test_disconnecting_is_seen_at_once_after_a_loop_that_was_held_up():
    rig = _Contact()
    rig.open = 0
    rig.run(100)
    rig.open = 1
    rig.run(10)
    assert rig.run(60, step_ms=60) == NONE


def test_two_bad_looks_end_nothing():
    rig = _Contact()
    rig.open = 0
    rig.run(100)
    for _ in range(20):
        rig.open = 1
        assert rig.run(20) == ASKS
        rig.open = 0
        assert rig.run(20) == ASKS


def test_a_contact_that_bounces_connects_once():
    rig = _Contact()
    changes = []
    for opened in (0, 1, 0, 0, 1, 0, 1, 0) + (0,) * 20:
        rig.open = opened
        before = rig.seen
        if rig.run(10) != before:
            changes.append(rig.seen)
    assert changes == [ASKS]


def test_a_contact_that_bounces_disconnects_within_its_time():
    rig = _Contact()
    rig.open = 0
    rig.run(100)
    for opened in (1, 0, 1, 1, 1):
        rig.open = opened
        rig.run(10)
    assert rig.seen == NONE


def test_the_wrap_of_the_ticks_is_not_seen():
    rig = _Contact(begin_ms=ticks_add(0, -230))
    rig.open = 0
    assert rig.run(50) == NONE
    assert rig.run(10) == ASKS


# --- pilot ----------------------------------------------------------------------------------------


class _Pilot:
    """A pilot line on a clock in microseconds: each reading takes `read_us`.

    high_mv: the level while the PWM is high, low_mv: while it is low.
    """

    def __init__(self, max_current_a=16, read_us=90, begin_ms=0):
        self.us = 0
        self.read_us = read_us
        self.duty = -1
        self.high_mv = 12_000
        self.low_mv = -12_000
        self.edge_us = 0  # how long a rise takes
        self.reads = 0
        self.now_ms = begin_ms
        self.vehicle = Pilot(self, self, max_current_a, lambda: self.us)
        self.seen = NONE

    def duty_u16(self, value):
        self.duty = value

    def read_uv(self):
        self.us += self.read_us
        self.reads += 1
        at_us = self.us % 1_000
        high_us = 1_000 if self.duty == STEADY else self.duty * 1_000 // 65_535
        if at_us >= high_us:
            mv = self.low_mv
        elif at_us < self.edge_us and self.duty != STEADY:
            mv = self.low_mv + (self.high_mv - self.low_mv) * at_us // self.edge_us
        else:
            mv = self.high_mv
        return 1_300_000 + mv * 1_000 // 12

    def at(self, high_mv, low_mv=-12_000):
        self.high_mv = high_mv
        self.low_mv = low_mv
        return self

    def run(self, ms):
        for _ in range(ms // 10):
            self.now_ms = ticks_add(self.now_ms, 10)
            spent_us = self.us
            self.seen = self.vehicle.sample(self.now_ms)
            self.us = max(self.us, spent_us + 10_037)  # the two clocks are not in step
        return self.seen


def _charging(**options):
    rig = _Pilot(**options)
    rig.at(9_000).run(200)
    rig.vehicle.offer(True)
    rig.run(200)
    rig.at(6_000).run(200)
    assert rig.seen == ASKS
    return rig


def test_six_amperes_are_ten_percent_and_fifty_one_are_eighty_five():
    assert abs(duty(6) / 65_535 - 0.10) < 0.0001
    assert abs(duty(16) / 65_535 - 0.26667) < 0.0001
    assert abs(duty(32) / 65_535 - 0.53333) < 0.0001
    assert abs(duty(51) / 65_535 - 0.85) < 0.0001


def test_nothing_is_offered_until_it_is_said():
    rig = _Pilot()
    assert rig.duty == STEADY
    rig.vehicle.offer(True)
    assert rig.duty == duty(16)
    rig.vehicle.offer(False)
    assert rig.duty == STEADY


def test_the_states_are_told_by_the_positive_peak():
    rig = _Pilot()
    assert rig.run(100) == NONE
    assert rig.at(9_000).run(100) == CONNECTED
    rig.vehicle.offer(True)
    assert rig.run(100) == CONNECTED
    assert rig.at(6_000).run(100) == ASKS
    assert rig.at(9_000).run(100) == CONNECTED
    assert rig.at(12_000).run(100) == NONE
    assert rig.vehicle.fault is None


def test_a_vehicle_cannot_ask_before_it_is_offered_energy():
    rig = _Pilot()
    assert rig.at(6_000).run(1_000) == CONNECTED
    rig.vehicle.offer(True)
    assert rig.run(100) == ASKS
    rig.vehicle.offer(False)
    assert rig.run(30) == CONNECTED


def test_every_level_is_good_to_one_volt():
    rig = _charging()
    levels = ((12_000, NONE, "A"), (9_000, CONNECTED, "B"), (6_000, ASKS, "C"))
    for before_mv, _, _ in levels:
        for nominal_mv, seen, letter in levels:
            for off_mv in (1_000, -1_000):
                rig.at(before_mv).run(200)
                rig.at(nominal_mv + off_mv, -12_000 + off_mv).run(200)
                assert (rig.seen, rig.vehicle.letter) == (seen, letter), (nominal_mv, off_mv)
    assert rig.vehicle.fault is None


def test_between_two_levels_the_state_stays():
    rig = _charging()
    assert rig.at(7_500).run(200) == ASKS
    rig.at(9_000).run(200)
    assert rig.at(7_500).run(200) == CONNECTED
    assert rig.at(10_500).run(200) == CONNECTED
    rig.at(12_000).run(200)
    assert rig.at(10_500).run(200) == NONE


def test_unplugging_is_seen_within_forty_milliseconds():
    for max_current_a in (6, 16, 32, 51):
        rig = _charging(max_current_a=max_current_a)
        rig.at(12_000)
        assert rig.run(30) == NONE, max_current_a


def test_a_vehicle_that_stops_asking_is_seen_within_forty_milliseconds():
    rig = _charging()
    rig.at(9_000)
    assert rig.run(30) == CONNECTED


def test_connecting_through_the_pilot_is_believed_after_fifty_milliseconds():
    rig = _Pilot()
    rig.run(100)
    rig.at(9_000)
    assert rig.run(50) == NONE
    assert rig.run(10) == CONNECTED


def test_two_wrong_looks_end_nothing():
    rig = _charging()
    for level in (12_000, 9_000, 0, 3_000):
        rig.at(level).run(20)
        assert rig.at(6_000).run(50) == ASKS, level
    assert rig.vehicle.fault is None


def test_charging_is_steady_whatever_the_phase_and_the_speed_of_the_readings():
    for max_current_a in (6, 16, 51):
        for read_us in (23, 61, 90, 97, 110, 190):
            rig = _charging(max_current_a=max_current_a, read_us=read_us)
            for _ in range(100):
                assert rig.run(10) == ASKS, (max_current_a, read_us)
                assert rig.vehicle.letter == "C", (max_current_a, read_us)
                assert rig.vehicle._misses == 0, (max_current_a, read_us)


def test_a_half_wave_that_is_missed_now_and_then_changes_nothing():
    # 100 us long, and a reading every 125 us on a clock in step with it: met in some looks only.
    rig = _charging(max_current_a=6)
    rig.read_us = 125
    missed = 0
    for look in range(300):
        rig.us = look * 10_000 + (110 if look % 4 else 0)
        rig.now_ms = ticks_add(rig.now_ms, 10)
        rig.seen = rig.vehicle.sample(rig.now_ms)
        missed += rig.vehicle._misses > 0
        assert rig.seen == ASKS, look
    assert missed > 200, missed
    assert rig.vehicle.fault is None


def test_a_reading_on_the_rising_edge_is_not_taken_for_the_peak():
    rig = _charging(read_us=40)
    rig.edge_us = 15
    for _ in range(300):
        rig.run(10)
        assert rig.vehicle.letter == "C"


def test_a_look_ends_as_soon_as_it_has_both_half_waves():
    rig = _charging()
    rig.reads = 0
    rig.run(1_000)
    assert rig.reads <= 100 * 13, rig.reads
    rig.vehicle.offer(False)
    rig.reads = 0
    rig.run(1_000)
    assert rig.reads == 200


def test_a_look_never_takes_longer_than_its_time():
    rig = _charging()
    rig.at(0, 0)
    before_us = rig.us
    rig.vehicle.sample(rig.now_ms)
    assert rig.us - before_us <= 4_400 + 90


def test_a_short_to_earth_takes_the_energy_away_and_is_a_fault():
    rig = _charging()
    rig.at(0, 0)
    assert rig.run(40)[1] is False
    rig.run(100)
    assert rig.vehicle.fault == SHORT
    assert rig.seen == CONNECTED  # nobody can tell: it was, so it still is
    rig.vehicle.offer(False)
    rig.run(5_000)
    assert rig.vehicle.fault == SHORT


def test_a_short_disturbance_takes_the_energy_away_and_is_no_fault():
    rig = _charging()
    rig.at(0, 0)
    assert rig.run(60) == CONNECTED
    assert rig.vehicle.fault is None
    assert rig.at(6_000).run(100) == ASKS


def test_a_short_without_a_vehicle_connects_none():
    rig = _Pilot()
    rig.run(100)
    assert rig.at(0, 0).run(1_000) == NONE
    assert rig.vehicle.fault == SHORT


def test_a_vehicle_with_a_fault_cannot_ask():
    rig = _charging()
    rig.at(3_000).run(300)
    assert rig.at(6_000).run(3_000) == CONNECTED


def test_a_pilot_that_is_well_for_a_second_is_no_fault_any_more():
    rig = _charging()
    rig.at(0, 0).run(500)
    rig.at(6_000).run(900)
    assert rig.vehicle.fault == SHORT
    assert rig.run(300) == ASKS
    assert rig.vehicle.fault is None


def test_a_pilot_without_a_positive_voltage_is_a_fault():
    rig = _charging()
    rig.at(-12_000)
    assert rig.run(50)[1] is False
    rig.run(100)
    assert rig.vehicle.fault == LOST


def test_a_missing_diode_is_no_vehicle():
    rig = _Pilot()
    rig.at(9_000).run(200)
    rig.vehicle.offer(True)
    rig.at(6_000, -6_000)
    rig.run(50)
    assert rig.seen == CONNECTED
    rig.run(200)
    assert rig.vehicle.fault == DIODE
    assert rig.seen == CONNECTED


def test_a_missing_diode_stays_a_fault_until_the_plug_is_pulled():
    rig = _Pilot()
    rig.at(9_000).run(200)
    rig.vehicle.offer(True)
    rig.at(6_000, -6_000).run(300)
    rig.vehicle.offer(False)
    rig.run(5_000)
    assert rig.vehicle.fault == DIODE
    rig.at(12_000).run(2_000)
    assert rig.vehicle.fault is None


def test_a_diode_that_fails_in_mid_session_takes_the_energy_away():
    rig = _charging()
    rig.at(6_000, -6_000)
    assert rig.run(40) == CONNECTED


def test_a_vehicle_that_needs_ventilation_gets_none_and_no_energy():
    rig = _charging()
    rig.at(3_000)
    assert rig.run(40) == CONNECTED
    rig.run(200)
    assert rig.vehicle.fault == VENTILATION
    rig.vehicle.offer(False)
    rig.at(9_000).run(3_000)
    assert rig.vehicle.fault == VENTILATION
    rig.at(12_000).run(2_000)
    assert rig.vehicle.fault is None


def test_too_few_readings_are_no_ground_for_a_fault_and_none_for_energy():
    rig = _charging()
    rig.read_us = 1_000  # always in the same place, outside the positive half-wave
    rig.us = rig.us // 1_000 * 1_000 + 500
    rig.at(6_000)
    for _ in range(50):
        rig.us = rig.us // 1_000 * 1_000 + 500
        rig.now_ms += 10
        rig.seen = rig.vehicle.sample(rig.now_ms)
    assert rig.seen == CONNECTED
    assert rig.vehicle.fault is None


def test_looking_allocates_nothing():
    seen = NONE
    contact = Contact(lambda: 0)
    for now_ms in range(0, 200, 10):
        seen = without_heap(contact.sample, now_ms)
    assert seen == ASKS
    line = _Constant()
    pilot = Pilot(line, line, 16, lambda: 0)
    for now_ms in range(0, 200, 10):
        seen = without_heap(pilot.sample, now_ms)
    assert seen == CONNECTED


class _Constant:
    """A pilot at +9 V."""

    def duty_u16(self, value):
        self.duty = value

    def read_uv(self):
        return 2_050_000
