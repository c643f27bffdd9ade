from collections import namedtuple

from firmware import charge_point, ledger
from firmware.access.light import STATES
from firmware.allowlist.ref import Applied
from firmware.charge_point import ChargePoint
from firmware.clock import EPOCH_2024, Clock
from firmware.hardware import meter
from host_tests.pure.check import raises

# As in firmware/journal, whose own tests show what it keeps of a session.
FIELDS = ("n", "boot", "up", "t", "token", "group", "role", "by")
FIELDS += ("mwh", "last_boot", "last_up", "last_t", "t_min", "stops")
Open = namedtuple("Open", FIELDS)

NUMBER = b"\x04\xa1\xb2\xc3"
OTHER = b"\xde\xad\xbe\xef"
USER, OWNER_FLAGS, SERVICE_FLAGS = 1, 0, 2
BLOCKED = 4
MONTH_S = 30 * 86_400
FIRST_N = 700
NOW = EPOCH_2024 + 86_400  # 1,440 minutes into the allow-list's time


class Time:
    """Milliseconds that pass when told to; real ticks are not asked."""

    def __init__(self):
        self.ms = 1_000

    def __call__(self):
        return self.ms & (1 << 30) - 1


class Rtc:
    def datetime(self, *_):
        return (2000, 1, 1, 0, 0, 0, 0, 0)


class Contactor:
    def __init__(self, done):
        self._done = done
        self.interlock = lambda: False
        self.closed = False
        self.fault = None

    def open(self):
        self._done.append(("coil", False))
        self.closed = False

    def close(self):
        if self.interlock():
            self._done.append(("coil", True))
            self.closed = True

    def check(self, now_ms):
        return self.fault


class Vehicle:
    def __init__(self, done):
        self._done = done
        self.seen = (False, False)
        self.fault = None
        self.tells_draw = True

    def sample(self, now_ms):
        return self.seen

    def offer(self, on):
        self._done.append(("offer", on))


class Light:
    def __init__(self, done):
        self._done = done
        self.shown = None

    def state(self, name):
        assert name in STATES
        self.shown = name

    def overlay(self, name, now_ms):
        self._done.append(("overlay", name))

    def uncover(self):
        self._done.append(("uncover",))

    def render(self, now_ms):
        pass


class Meter(meter.Meter):
    """Counts what it is told; 1,000 pulses are a kilowatt-hour."""

    def __init__(self, stall_s=600):
        super().__init__(1_000, stall_s)
        self.looks = 0

    def look(self, now_ms):
        self.looks += 1


class Tokens:
    """A token is the number, three times."""

    def of(self, number):
        return (number * 3)[:7]


class Settings(dict):
    """`schedules`: what of them holds, by number; no number: nobody knows."""

    schedules: dict = {}  # noqa: RUF012 (each test that uses it gives its own)

    def in_schedule(self, schedule, now_min):
        return self.schedules.get(schedule)


class Bench:
    """A charge point on hardware of paper. `entries`: number -> entry of the allow-list.

    `done`: what was done, in order; `events`: (event, fields) on record; `questions`: (token,
    state) put to the operator.
    """

    def __init__(self, entries=None, clock_set=True, left=None, **settings):
        self.time = charge_point.ticks_ms = Time()
        self.done = []
        self.events = []
        self.errors = []
        self.changes = 0
        self.contactor = Contactor(self.done)
        self.vehicle = Vehicle(self.done)
        self.light = Light(self.done)
        self.meter = Meter()
        self.entries = {NUMBER: (0, 0, 0, USER)} if entries is None else entries
        self.applied = Applied(1, "", 1, MONTH_S, NOW)
        self.linked = True
        self.question = None
        self.questions = []
        self.settings = Settings(
            access="restricted",
            authority="native",
            offline="deny",
            operator_wait_s=10,
            service_may_start=False,
            stop_on_withdrawal=True,
            resume_within_s=4 * 3_600,
        )
        self.settings.update(settings)
        self.clock = Clock(Rtc(), ticks=self.time)
        if clock_set:
            self.clock.set_exactly(NOW)
        self.breaks = None  # the event whose record raises
        self.readings = []  # (seconds up, mWh)
        self.point = ChargePoint(
            self,
            Tokens(),
            self,
            self.settings,
            self.clock,
            self,
            self.errors.append,
        )
        self.point.left_running(left)
        if left is None:
            self.turn()

    def lookup(self, token):
        for number, entry in self.entries.items():
            if Tokens().of(number) == token:
                return entry
        return None

    def record(self, event, fields):
        if event == self.breaks:
            raise MemoryError("no room for " + event)
        self.done.append(("record", event))
        self.events.append((event, fields))
        return FIRST_N + len(self.events)

    def reading(self, mwh):
        self.readings.append((self.clock.up_s(), mwh))

    def changed(self):
        self.changes += 1

    def ask(self, token, state):
        self.done.append(("ask", token))
        self.questions.append((token, state))
        self.question = "not taken by the link yet"
        return len(self.questions)

    def answer(self, verdict="Accepted", role="user", group=0, n=None, number=NUMBER):
        n = len(self.questions) if n is None else n
        return self.point.answer(n, Tokens().of(number), role, group, verdict)

    def turn(self, ms=10):
        self.time.ms += ms
        self.clock.tick()
        self.point.control(self.time())

    def pass_s(self, seconds):
        for _ in range(seconds * 2):
            self.turn(500)

    def plug(self):
        self.vehicle.seen = (True, True)
        self.turn()

    def unplug(self):
        self.vehicle.seen = (False, False)
        self.turn()

    def tap(self, number=NUMBER):
        del self.done[:]
        self.point.tap(number)

    def charging(self):
        self.plug()
        self.tap()
        assert self.state == "charging"
        self.pass_s(2)  # the tap has settled
        return self

    def charging_by_operator(self):
        self.plug()
        self.tap()
        self.answer()
        assert self.state == "charging"
        self.pass_s(2)
        return self

    @property
    def state(self):
        return self.point.session.state

    def fields(self, event):
        """Those of the only event of that name."""
        (found,) = [fields for name, fields in self.events if name == event]
        return found


def test_an_approved_card_closes_the_contactor_before_anything_else():
    bench = Bench()
    bench.plug()
    assert bench.light.shown == "awaiting"
    bench.tap()
    assert bench.done == [
        ("offer", True),
        ("coil", True),
        ("overlay", "accepted"),
        ("record", "session_started"),
    ]
    assert bench.light.shown == "charging"


def test_a_card_on_no_list_is_refused_and_reported_without_its_number():
    bench = Bench()
    bench.plug()
    bench.tap(OTHER)
    assert bench.contactor.closed is False
    assert bench.fields("card_refused") == {
        "token": "deadbeefdeadbe",
        "role": None,
        "verdict": "Unknown",
        "state": "awaiting",
    }


def test_unplugging_opens_the_contactor_first():
    bench = Bench().charging()
    del bench.done[:]
    bench.unplug()
    assert bench.done == [
        ("coil", False),
        ("offer", False),
        ("record", "session_ended"),
        ("uncover",),
    ]


def test_a_record_that_fails_leaves_nothing_else_undone():
    bench = Bench().charging()
    bench.breaks = "session_ended"
    bench.tap()
    assert bench.contactor.closed is False
    assert ("overlay", "accepted") in bench.done
    assert bench.light.shown == "finished"
    assert bench.point.session_shown() is None
    assert len(bench.errors) == 1


def test_a_sessions_record_that_found_no_memory_is_made_up_for_in_its_order():
    bench = Bench().charging()
    bench.meter.pulses = 12
    bench.breaks = "session_ended"
    bench.unplug()
    bench.plug()
    bench.tap()
    assert bench.state == "charging"
    assert bench.point.session_shown()["n"] is None, "that of the other session?"
    assert [name for name, _ in bench.events] == ["session_started"]
    bench.breaks = None
    bench.pass_s(1)
    assert [name for name, _ in bench.events] == [
        "session_started",
        "session_ended",
        "session_started",
    ]
    ended = bench.fields("session_ended")
    assert (ended["session"], ended["wh"]) == (FIRST_N + 1, 12)
    assert bench.point.session_shown()["n"] == FIRST_N + 3
    bench.unplug()
    assert bench.events[-1][1]["session"] == FIRST_N + 3


def test_a_sessions_record_is_taken_down_before_anything_needs_memory():
    bench = Bench()
    bench.plug()
    text = ledger.hex_of

    def fails(token):
        raise MemoryError("no room for text")

    ledger.hex_of = fails
    try:
        bench.tap()
    finally:
        ledger.hex_of = text
    assert bench.contactor.closed is True
    assert bench.events == []
    bench.pass_s(1)
    assert bench.fields("session_started")["token"] == (NUMBER * 3)[:7].hex()


def test_contactor_and_record_are_reached_although_nothing_else_can_be():
    bench = Bench()
    bench.plug()
    bench.point._effects = {}  # as where there is no memory to hand anything over
    bench.tap()
    assert bench.contactor.closed is True
    assert bench.fields("session_started")["by"] == "card"
    assert bench.errors


def test_an_offer_that_fails_does_not_keep_the_contactor_closed():
    bench = Bench().charging()

    def broken(on):
        raise OSError(5)

    bench.point._effects["offer"] = broken
    bench.unplug()
    assert bench.contactor.closed is False
    assert bench.fields("session_ended")["reason"] == "unplugged"
    assert len(bench.errors) == 1


def test_a_look_up_that_fails_is_shown_and_does_not_end_the_reader():
    bench = Bench()
    bench.plug()
    bench.point._allowlist = None
    bench.tap()
    assert bench.done == [("overlay", "unreadable")]
    assert bench.state == "awaiting"
    assert len(bench.errors) == 1


def test_memory_that_runs_out_in_a_tap_does_not_end_the_session():
    bench = Bench().charging()

    def no_memory(session, event, now_ms):
        raise MemoryError

    step, charge_point.rules.step = charge_point.rules.step, no_memory
    try:
        bench.tap()
        bench.point.problem("random")
        assert bench.contactor.closed is True
        assert len(bench.errors) == 2
        # The vehicle's side may not be overlooked: what raises here ends the start of the board.
        bench.vehicle.seen = (False, False)
        raises(MemoryError, bench.turn)
    finally:
        charge_point.rules.step = step
    bench.turn()
    assert bench.contactor.closed is False


def test_a_card_that_cannot_be_read_is_shown_and_a_random_number_refused():
    bench = Bench()
    bench.plug()
    bench.point.problem("several")
    assert bench.done[-1] == ("overlay", "unreadable")
    bench.point.problem("random")
    assert bench.fields("card_refused")["verdict"] == "RandomNumber"


def test_the_interlock_says_no_but_while_charging():
    bench = Bench()
    assert bench.contactor.interlock() is False
    bench.charging()
    assert bench.contactor.interlock() is True
    bench.tap()
    assert bench.contactor.interlock() is False


def test_new_settings_are_told_with_the_state_even_where_nothing_follows():
    bench = Bench()
    before = bench.changes
    bench.settings["authority"] = "operator"
    bench.point.review()
    assert bench.changes == before, "told before the session has taken the access mode"
    bench.point.control(0)
    assert bench.changes > before


def test_a_vehicle_that_waits_starts_when_access_becomes_open():
    bench = Bench()
    bench.plug()
    bench.settings["access"] = "open"
    bench.point.review()
    bench.turn()
    assert bench.state == "charging"
    assert bench.point.authorisation_required is False
    assert bench.fields("session_started")["by"] == "open"
    assert bench.point.session_shown()["by"] == "open"


def test_a_session_goes_on_when_access_becomes_restricted():
    bench = Bench(access="open")
    bench.plug()
    bench.settings["access"] = "restricted"
    bench.point.review()
    bench.turn()
    assert bench.state == "charging"
    assert bench.point.authorisation_required is True


def test_a_withdrawn_card_ends_its_session_at_the_next_look():
    bench = Bench().charging()
    bench.entries = {}
    bench.turn()
    assert bench.contactor.closed is True  # nobody has said so yet
    bench.point.review()
    bench.turn()
    assert bench.contactor.closed is False
    assert bench.fields("session_ended")["reason"] == "withdrawn"


def test_a_withdrawal_that_could_not_be_looked_at_is_looked_at_again():
    bench = Bench().charging()
    bench.entries = {}

    def no_memory(token):
        raise MemoryError

    bench.lookup = no_memory
    bench.point.review()
    raises(MemoryError, bench.turn)
    bench.lookup = lambda token: None
    bench.turn()
    assert bench.contactor.closed is False


def test_a_blocked_card_ends_its_session():
    bench = Bench().charging()
    bench.entries = {NUMBER: (0, 0, 0, USER | BLOCKED)}
    bench.point.review()
    bench.turn()
    assert bench.state == "finished"


def test_a_withdrawn_preauthorisation_is_void():
    bench = Bench()
    bench.tap()
    assert bench.state == "preauthorised"
    bench.entries = {}
    bench.point.review()
    bench.turn()
    assert bench.state == "available"
    bench.plug()
    assert bench.state == "awaiting"


def test_withdrawals_wait_for_the_session_to_end_where_settings_say_so():
    bench = Bench(stop_on_withdrawal=False).charging()
    bench.entries = {}
    bench.point.review()
    bench.turn()
    assert bench.contactor.closed is True
    bench.settings["stop_on_withdrawal"] = True
    bench.point.review()
    bench.turn()
    assert bench.contactor.closed is False


def test_another_list_with_the_same_card_changes_nothing():
    bench = Bench().charging()
    bench.entries[OTHER] = (0, 0, 0, USER)
    bench.point.review()
    bench.turn()
    assert bench.contactor.closed is True


def test_a_start_from_the_app_needs_no_card_on_the_list():
    bench = Bench()
    bench.plug()
    assert bench.point.happened(("authorise", b"7654321", "user", 0)) is None
    bench.point.review()
    bench.turn()
    assert bench.contactor.closed is True
    assert bench.fields("session_started")["by"] == "remote"


def test_a_persons_own_card_ends_the_session_that_the_app_has_started():
    bench = Bench({NUMBER: (12, 0, 0, USER), OTHER: (0, 0, 0, USER)})
    bench.plug()
    bench.point.happened(("authorise", b"7654321", "user", 12))
    bench.pass_s(2)
    bench.tap(OTHER)
    assert bench.contactor.closed is True
    bench.tap()
    assert bench.contactor.closed is False
    assert bench.fields("session_ended")["reason"] == "group"


def test_a_clock_set_in_mid_session_takes_no_permission_away():
    # It may have begun before the permission's first minute: nobody knew the time.
    bench = Bench({NUMBER: (0, 0, 0, USER)}, clock_set=False)
    bench.clock.lower_bound(NOW)
    bench.charging()
    bench.clock.set_exactly(NOW + 86_400)
    bench.entries = {NUMBER: (0, 1_440 + 60, 0, USER)}
    bench.point.review()
    bench.turn()
    assert bench.contactor.closed is True


def test_a_permission_that_runs_out_in_mid_session_ends_none():
    bench = Bench({NUMBER: (0, 0, 1_441, USER)}).charging()
    bench.pass_s(120)
    bench.point.review()
    bench.turn()
    assert bench.contactor.closed is True


def test_a_list_of_30_days_turns_cards_away_and_ends_no_session():
    bench = Bench()
    bench.applied = Applied(1, "", 1, MONTH_S, NOW - MONTH_S + 10)
    bench.charging()
    bench.pass_s(20)
    bench.point.review()
    bench.turn()
    assert bench.contactor.closed is True
    bench.tap()
    assert bench.state == "finished"  # its own card still ends it
    bench.pass_s(3)
    bench.tap()
    assert bench.done[0] == ("overlay", "expired")
    assert bench.fields("card_refused")["verdict"] == "ListTooOld"


def test_a_list_without_an_end_is_never_too_old():
    bench = Bench()
    bench.applied = Applied(1, "", 1, 0, NOW - 10 * MONTH_S)
    bench.charging()


def test_a_session_is_measured_from_its_own_start():
    bench = Bench()
    bench.meter.pulses = 5_000
    bench.charging()
    bench.meter.pulses = 5_250
    shown = bench.point.session_shown()
    assert shown["token"] == "04a1b2c304a1b2"
    assert (shown["role"], shown["by"]) == ("user", "card")
    assert shown["n"] == FIRST_N + 1
    assert shown["wh"] == 250
    assert NOW <= shown["start"] <= NOW + 1
    bench.unplug()
    ended = bench.fields("session_ended")
    assert ended["wh"] == 250
    assert (ended["session"], ended["by"]) == (FIRST_N + 1, "card")
    assert ended["start"] == shown["start"]
    assert ended["end"] >= ended["start"] + 2
    assert bench.point.session_shown() is None


def test_a_session_without_a_clock_has_no_times():
    bench = Bench(clock_set=False).charging()
    bench.unplug()
    ended = bench.fields("session_ended")
    assert (ended["start"], ended["end"]) == (None, None)


def test_a_clock_set_in_mid_session_tells_when_it_began():
    bench = Bench(clock_set=False).charging()
    bench.pass_s(100)
    bench.clock.set_exactly(NOW)
    bench.unplug()
    ended = bench.fields("session_ended")
    assert ended["end"] == NOW
    assert NOW - 103 <= ended["start"] <= NOW - 102


# Energy.


def test_the_meter_is_looked_at_before_the_vehicle_so_that_its_last_pulse_still_counts():
    bench = Bench().charging()
    bench.meter.look = lambda now_ms: setattr(bench.meter, "pulses", 3)
    bench.unplug()
    assert bench.fields("session_ended")["wh"] == 3


def feed(bench, pulses, seconds):
    """So many pulses, evenly over the time."""
    fed = 0
    for second in range(seconds):
        now = pulses * (second + 1) // seconds
        bench.meter.pulses += now - fed
        fed = now
        bench.turn(1_000)


def gaps(bench):
    """Seconds between one reading and the next."""
    times = [up_s for up_s, _ in bench.readings]
    return [times[i + 1] - times[i] for i in range(len(times) - 1)]


def test_energy_is_stored_within_a_minute_of_having_changed():
    bench = Bench().charging()
    feed(bench, 60, 600)  # 0.36 kW
    assert len(bench.readings) in (10, 11)
    assert max(gaps(bench)) <= 60
    assert bench.meter.mwh - bench.readings[-1][1] <= 6_000


def test_much_energy_is_stored_sooner_and_never_more_often_than_each_ten_seconds():
    bench = Bench().charging()
    feed(bench, 600, 100)  # 21.6 kW: 100 Wh in 17 s
    assert min(gaps(bench)) >= 16 and max(gaps(bench)) <= 18
    bench = Bench().charging()
    feed(bench, 3_000, 100)
    assert set(gaps(bench)) == {10}


def test_energy_that_does_not_change_is_not_stored_again():
    bench = Bench().charging()
    bench.meter.pulses = 1
    bench.pass_s(600)
    assert [mwh for _, mwh in bench.readings] == [1_000]
    bench.unplug()
    bench.meter.pulses = 500
    bench.pass_s(600)
    assert len(bench.readings) == 1, "there is no session"


def test_energy_that_changes_is_told_within_a_minute():
    bench = Bench().charging()
    feed(bench, 0, 60)
    before = bench.changes
    feed(bench, 0, 60)
    assert bench.changes == before
    feed(bench, 10, 300)
    assert 5 <= bench.changes - before <= 10


def test_what_the_session_has_taken_is_stored_when_the_board_is_about_to_stop():
    bench = Bench()
    bench.point.store_reading()
    assert bench.readings == []
    bench.charging()
    bench.meter.pulses = 7
    bench.point.store_reading()
    assert [mwh for _, mwh in bench.readings] == [7_000]


def test_a_reading_that_found_no_memory_is_stored_at_the_next_tick():
    bench = Bench().charging()
    readings, bench.reading = bench.reading, _no_memory
    feed(bench, 60, 120)
    assert bench.state == "charging"
    bench.reading = readings
    bench.pass_s(1)
    assert [mwh for _, mwh in bench.readings] == [60_000]


def _no_memory(*_):
    raise MemoryError


def test_a_meter_that_stands_still_while_the_vehicle_draws_is_a_fault_that_ends_nothing():
    bench = Bench().charging()
    feed(bench, 1, 1)
    bench.pass_s(599)
    assert bench.point.meter_stalled is False
    before = bench.changes
    bench.pass_s(3)
    assert bench.point.meter_stalled is True
    assert bench.changes > before
    assert bench.fields("fault")["fault"] == "meter"
    assert bench.state == "charging" and bench.contactor.closed is True
    bench.pass_s(1_000)
    assert bench.fields("fault"), "told once"
    feed(bench, 1, 1)
    assert bench.point.meter_stalled is False
    assert bench.fields("fault_cleared") == {"fault": "meter"}


def test_a_meter_need_not_count_while_the_vehicle_does_not_draw():
    bench = Bench().charging()
    for _ in range(10):
        bench.pass_s(400)
        bench.vehicle.seen = (True, False)
        bench.pass_s(1)
        bench.vehicle.seen = (True, True)
        bench.turn()
    bench.contactor.closed = False  # it waits for its pause to end
    bench.pass_s(700)
    assert bench.point.meter_stalled is False
    bench.unplug()
    bench.contactor.closed = True  # a self-test
    bench.pass_s(700)
    assert bench.point.meter_stalled is False


def test_nobody_knows_whether_a_vehicle_draws_that_only_closes_a_contact():
    bench = Bench()
    bench.vehicle.tells_draw = False
    bench.charging().pass_s(2_000)
    assert bench.point.meter_stalled is False


def test_a_meter_may_stand_still_where_the_configuration_says_so():
    bench = Bench()
    bench.meter.stall_s = 0
    bench.charging().pass_s(2_000)
    assert bench.point.meter_stalled is False


# A session that the end of the power has cut short.

BEGAN = NOW - 3_600
TOKEN = Tokens().of(NUMBER)
LEFT = Open(
    41, 6, 500, BEGAN, TOKEN, 7, "user", "card", 2_345_678, 6, 2_900, BEGAN + 2_400, None, 1
)


def but(left, **changes):
    """The same with other fields."""
    fields = [changes.pop(name, left[i]) for i, name in enumerate(FIELDS)]
    assert not changes
    return Open(*fields)


NOBODYS = but(LEFT, token=None, group=0, role=None, by="open")


def back(left=LEFT, vehicle=(True, True), **more):
    """The board has started again; 50 ms later the contact says what is there."""
    bench = Bench(left=left, **more)
    for _ in range(5):
        bench.turn()
    bench.vehicle.seen = vehicle
    bench.turn()
    return bench


def names(bench):
    return [name for name, _ in bench.events]


def test_a_session_resumes_when_the_power_is_back_and_the_vehicle_still_there():
    bench = back()
    assert bench.state == "charging"
    assert bench.light.shown == "charging"
    assert bench.contactor.closed is True
    assert bench.done == [("offer", True), ("coil", True), ("record", "session_resumed")]
    assert bench.events == [("session_resumed", {"session": 41, "wh": 2_345})]
    assert bench.point.session_shown() == {
        "n": 41,
        "token": "04a1b2c304a1b2",
        "role": "user",
        "by": "card",
        "start": BEGAN,
        "wh": 2_345,
    }


def test_a_session_that_has_resumed_ends_as_the_one_that_was_started():
    bench = back()
    bench.meter.pulses = 100
    bench.pass_s(100)
    assert bench.readings[-1][1] == 2_445_678
    bench.pass_s(3)
    bench.unplug()
    ended = bench.fields("session_ended")
    assert ended["end"] >= NOW
    del ended["end"]
    assert ended == {
        "token": "04a1b2c304a1b2",
        "role": "user",
        "by": "card",
        "session": 41,
        "start": BEGAN,
        "wh": 2_445,
        "reason": "unplugged",
    }
    assert names(bench) == ["session_resumed", "session_ended"]


def lost(bench):
    """The session ended with the power, and did not resume."""
    assert [name for name in names(bench) if name in ("session_resumed", "session_ended")] == [
        "session_ended"
    ]
    ended = bench.fields("session_ended")
    assert ended == {
        "token": "04a1b2c304a1b2" if ended["by"] != "open" else None,
        "role": "user" if ended["by"] != "open" else None,
        "by": ended["by"],
        "session": 41,
        "start": BEGAN,
        "end": BEGAN + 2_400,
        "wh": 2_345,
        "reason": "power_loss",
        "last_boot": 6,
        "last_up": 2_900,
    }
    return True


def test_without_its_vehicle_a_session_has_ended_with_the_power():
    bench = back(vehicle=(False, False))
    bench.pass_s(1)
    assert bench.events == [] and bench.state == "available"
    bench.pass_s(1)
    assert lost(bench)
    assert bench.point.session_shown() is None
    bench.plug()
    assert bench.state == "awaiting"
    assert names(bench) == ["session_ended"]


def test_a_pilot_that_says_so_late_still_resumes_its_session():
    bench = back(vehicle=(False, False))
    bench.pass_s(1)
    bench.vehicle.seen = (True, False)
    bench.turn()
    assert bench.state == "authorised"
    assert names(bench) == ["session_resumed"]


def test_a_vehicle_is_not_given_up_while_a_fault_hides_it():
    bench = back(vehicle=(False, False))
    bench.vehicle.fault = "pilot_short"
    bench.pass_s(60)
    assert names(bench) == ["fault"]
    bench.vehicle.fault = None
    bench.vehicle.seen = (True, False)
    bench.turn()
    assert names(bench) == ["fault", "session_resumed", "fault_cleared"]
    bench.pass_s(2)
    assert bench.state == "authorised"
    bench = back(vehicle=(False, False))
    bench.vehicle.fault = "pilot_short"
    bench.pass_s(60)
    bench.vehicle.fault = None
    bench.pass_s(3)
    assert lost(bench)


OTHERS = Tokens().of(OTHER)


def hidden(left=LEFT, **more):
    """The session waits for its vehicle, which a fault of the pilot hides."""
    bench = Bench(left=left, **more)
    bench.vehicle.fault = "pilot_short"
    bench.pass_s(3)
    assert bench.state == "faulted" and bench.point.left is left
    return bench


def well(bench):
    """The pilot is well and the vehicle wants energy. Whether it charges."""
    bench.vehicle.fault = None
    bench.vehicle.seen = (True, True)
    bench.pass_s(3)
    return bench.contactor.closed


def ended_once(bench, reason):
    """With the power's last reading, and it does not come back."""
    assert [name for name in names(bench) if name.startswith("session_")] == ["session_ended"]
    ended = bench.fields("session_ended")
    assert (ended["reason"], ended["session"]) == (reason, 41)
    assert (ended["end"], ended["last_up"], ended["wh"]) == (BEGAN + 2_400, 2_900, 2_345)
    assert well(bench) is False
    return [name for name in names(bench) if name.startswith("session_")] == ["session_ended"]


def test_a_session_that_waits_behind_a_fault_can_be_ended():
    bench = hidden()
    changes = bench.changes
    bench.point.end_left("remote")
    assert bench.point.left is None and bench.changes > changes
    bench.point.end_left("remote")
    assert ended_once(bench, "remote")
    assert well(hidden()) is True


def test_an_end_that_finds_no_memory_leaves_the_session_waiting():
    bench = hidden()
    kept = ledger.hex_of

    def no_memory(token):
        raise MemoryError

    ledger.hex_of = no_memory
    try:
        raises(MemoryError, bench.point.end_left, "remote")
    finally:
        ledger.hex_of = kept
    assert bench.point.left is LEFT
    bench.point.end_left("remote")
    assert ended_once(bench, "remote")


def test_the_cards_that_end_a_session_end_one_that_waits_behind_a_fault():
    for left, entries, reason in (
        (LEFT, {}, "card"),  # taken off the list: its own session it ends all the same
        (but(LEFT, token=OTHERS), {NUMBER: (7, 0, 0, USER)}, "group"),
        (but(LEFT, token=OTHERS), {NUMBER: (1, 0, 0, OWNER_FLAGS)}, "owner"),
        (but(LEFT, token=OTHERS), {NUMBER: (0, 0, 0, SERVICE_FLAGS)}, "service"),
        (NOBODYS, {NUMBER: (1, 0, 0, OWNER_FLAGS)}, "owner"),
    ):
        bench = hidden(left, entries=entries)
        bench.tap()
        assert bench.done == [("record", "session_ended"), ("overlay", "accepted")], reason
        assert bench.state == "faulted"
        assert ended_once(bench, reason)
    for left, entries in (
        (but(LEFT, token=OTHERS), {NUMBER: (8, 0, 0, USER), OTHER: (7, 0, 0, USER)}),
        (but(LEFT, token=OTHERS), {OTHER: (7, 0, 0, USER)}),
        (but(LEFT, token=OTHERS), {NUMBER: (7, 0, 0, USER | BLOCKED), OTHER: (7, 0, 0, USER)}),
        (but(LEFT, token=OTHERS, by="operator"), {NUMBER: (7, 0, 0, USER)}),
    ):
        bench = hidden(left, entries=entries)
        bench.tap()
        assert "card_refused" in names(bench) and "session_ended" not in names(bench)
        assert well(bench) is True
    bench = hidden()
    bench.point.problem("random")
    assert well(bench) is True


def test_with_an_operator_the_own_card_ends_the_session_that_waits():
    bench = hidden(but(LEFT, by="operator"), authority="operator")
    bench.tap()
    assert bench.questions == []
    assert ended_once(bench, "card")


def test_a_card_that_is_withdrawn_while_its_session_waits_does_not_resume():
    for entries in ({}, {NUMBER: (0, 0, 0, USER | BLOCKED)}):
        bench = hidden()
        bench.entries = entries
        bench.point.review()
        bench.turn()
        assert well(bench) is False
        assert bench.state == "awaiting" and lost(bench)


def test_a_session_resumes_behind_a_welded_contactor_and_goes_on_without_it():
    bench = Bench(left=LEFT)
    bench.contactor.fault = "contactor_welded"
    bench.turn()
    bench.plug()
    assert bench.state == "faulted"
    assert names(bench) == ["fault", "session_resumed"]
    bench.contactor.fault = None
    bench.pass_s(3)
    assert bench.state == "charging"


def test_an_authorisation_that_is_too_old_is_not_resumed():
    for within_s, resumes in ((3_700, True), (3_500, False)):
        bench = back(resume_within_s=within_s)
        if resumes:
            assert bench.state == "charging"
        else:
            assert lost(bench)
            assert bench.state == "awaiting" and bench.contactor.closed is False


def test_a_session_in_which_the_board_has_stopped_too_often_does_not_resume():
    assert back(but(LEFT, stops=10)).state == "charging"
    bench = back(but(LEFT, stops=11))
    assert lost(bench)
    assert bench.state == "awaiting" and bench.contactor.closed is False


def test_a_session_whose_age_nobody_knows_is_not_resumed_but_where_access_is_open():
    no_start = but(LEFT, t=None, last_t=None)
    for left, clock_set in ((LEFT, False), (no_start, True), (no_start, False)):
        bench = back(left, clock_set=clock_set)
        assert bench.state == "awaiting"
        assert names(bench) == ["session_ended"]
        left = but(left, token=None, group=0, role=None, by="open")
        bench = back(left, clock_set=clock_set, access="open")
        assert bench.state == "charging"
        assert names(bench) == ["session_resumed"]


def test_a_time_that_is_only_a_lower_bound_tells_the_age():
    bench = Bench(left=LEFT, clock_set=False)
    bench.clock.lower_bound(LEFT.last_t)
    bench.plug()
    assert names(bench) == ["session_resumed"]


def test_a_start_before_the_clock_was_set_counts_from_what_was_certain_then():
    unset = but(LEFT, t=None, last_t=None, t_min=BEGAN)
    for within_s, state in ((3_700, "charging"), (3_500, "awaiting")):
        assert back(unset, resume_within_s=within_s).state == state
    assert back(unset, vehicle=(True, True)).point.session_shown()["start"] is None


def test_a_clock_that_was_set_after_the_start_tells_when_that_was():
    bench = back(but(LEFT, t=None))
    assert names(bench) == ["session_resumed"]
    assert bench.point.session_shown()["start"] == BEGAN
    bench = back(but(LEFT, t=None, last_boot=7), vehicle=(True, True))
    assert bench.fields("session_ended")["start"] is None


def test_a_withdrawn_holder_does_not_resume_unless_settings_let_sessions_run():
    for entries in ({}, {NUMBER: (0, 0, 0, USER | BLOCKED)}):
        bench = back(entries=entries)
        assert lost(bench)
        assert bench.state == "awaiting"
        assert names(back(entries=entries, stop_on_withdrawal=False)) == ["session_resumed"]
    # Its hours are judged as when it began, and end no session.
    assert names(back(entries={NUMBER: (0, 0, 1_439, USER)})) == ["session_resumed"]
    assert lost(back(entries={NUMBER: (0, 0, 1_379, USER)}))


def test_a_start_from_the_app_or_by_an_operator_needs_no_card_to_resume():
    for by in ("remote", "operator"):
        bench = back(but(LEFT, by=by), entries={})
        assert names(bench) == ["session_resumed"]
        assert bench.point.session_shown()["by"] == by


def test_a_withdrawal_after_the_resumption_ends_the_session():
    bench = back()
    bench.entries = {}
    bench.point.review()
    bench.turn()
    assert bench.fields("session_ended")["reason"] == "withdrawn"


def test_nobodys_session_resumes_while_access_is_open_and_no_new_one_is_begun():
    bench = back(NOBODYS, access="open")
    assert bench.state == "charging"
    assert bench.events == [("session_resumed", {"session": 41, "wh": 2_345})]


def test_nobodys_session_ends_where_access_is_restricted_by_now():
    bench = back(NOBODYS)
    assert lost(bench)
    assert bench.state == "awaiting"


def test_where_access_is_open_a_new_session_follows_one_that_is_too_old():
    bench = back(NOBODYS, access="open", resume_within_s=60)
    assert bench.state == "charging"
    assert names(bench) == ["session_ended", "session_started"]
    assert lost(bench)
    assert bench.fields("session_started")["by"] == "open"
    assert bench.point.session_shown()["wh"] == 0
    assert bench.point.session_shown()["n"] == FIRST_N + 2


def test_a_charger_that_is_switched_off_resumes_nothing():
    bench = Bench(left=LEFT)
    bench.point.happened(("available", False))
    bench.turn()
    bench.plug()
    assert lost(bench)
    assert bench.state == "unavailable"


def test_a_card_that_is_quicker_than_the_vehicles_contact_begins_its_own_session():
    bench = Bench(left=LEFT)
    bench.turn()
    bench.tap()
    assert bench.state == "preauthorised"
    bench.plug()
    assert lost(bench)
    assert names(bench) == ["session_ended", "session_started"]
    assert bench.state == "charging"


def test_a_card_ends_the_session_that_has_resumed():
    bench = back()
    bench.tap()
    assert bench.state == "finished"
    assert bench.fields("session_ended")["reason"] == "card"


def test_a_resumption_that_finds_no_memory_for_its_record_is_one_all_the_same():
    bench = Bench(left=LEFT)
    bench.breaks = "session_resumed"
    bench.turn()
    bench.plug()
    assert bench.contactor.closed is True
    bench.pass_s(2)
    bench.breaks = None
    bench.pass_s(1)
    assert names(bench) == ["session_resumed"]
    assert bench.fields("session_resumed") == {"session": 41, "wh": 2_345}


def test_a_reading_is_of_its_own_session_and_never_of_one_whose_end_is_still_owed():
    bench = Bench().charging()
    bench.meter.pulses = 12
    bench.breaks = "session_ended"
    bench.unplug()
    bench.plug()
    bench.tap()
    feed(bench, 600, 100)
    bench.point.store_reading()
    assert bench.readings == [], "the journal would take them for the first one's"
    bench.breaks = None
    feed(bench, 1, 1)
    assert [name for name, _ in bench.events][-1] == "session_started"
    assert bench.readings[-1][1] == 601_000


def test_a_session_that_cannot_be_taken_down_stops_the_board_and_no_other_is_named_for_it():
    class Full(list):
        def append(self, what):
            raise MemoryError

    bench = Bench().charging()
    bench.unplug()
    bench.plug()
    del bench.events[:]
    books = bench.point._books
    books._owed = Full()
    bench.tap()
    assert len(bench.errors) == 1
    raises(MemoryError, bench.turn)  # the next start finds what the journal has
    assert bench.events == []
    bench = Bench().charging()
    bench.meter.pulses = 7
    bench.point._books._owed = Full()
    bench.unplug()
    assert bench.contactor.closed is False
    raises(MemoryError, bench.turn)
    bench.point.store_reading()
    assert [mwh for _, mwh in bench.readings] == [7_000], "it ends with what it has taken"


def test_a_session_that_ended_with_the_power_is_recorded_once_there_is_memory():
    bench = Bench(left=LEFT)
    bench.breaks = "session_ended"
    bench.pass_s(5)
    assert bench.state == "available" and bench.events == []
    bench.breaks = None
    bench.pass_s(1)
    assert lost(bench)


# Faults.


def test_a_fault_opens_the_contactor_and_is_reported_once():
    bench = Bench().charging()
    bench.vehicle.fault = "pilot_short"
    bench.turn()
    bench.turn()
    assert bench.contactor.closed is False
    assert bench.fields("fault") == {"fault": "pilot_short"}
    bench.vehicle.fault = None
    bench.turn()
    assert bench.fields("fault_cleared") == {"fault": "pilot_short"}


def test_one_fault_after_another_leaves_no_gap_between_them():
    bench = Bench()
    bench.contactor.fault = "contactor_welded"
    bench.turn()
    bench.contactor.fault = "contactor_stuck_open"
    bench.turn()
    assert bench.point.session.faults == ("contactor_stuck_open",)
    assert [name for name, _ in bench.events] == ["fault", "fault", "fault_cleared"]


def test_an_order_that_does_not_fit_says_why():
    bench = Bench()
    assert bench.point.happened(("stop", None)) == "stop: not while available"
    assert bench.point.happened(("enrol", 60)) is None


# Schedules.


def with_schedule(number, **settings):
    return Bench({NUMBER: (0, 0, 0, USER | number << 3)}, **settings)


def test_a_card_counts_within_its_schedule_and_at_no_other_time():
    for holds, state in ((True, "charging"), (False, "awaiting"), (None, "awaiting")):
        bench = with_schedule(3)
        bench.settings.schedules = {3: holds}
        bench.plug()
        bench.tap()
        assert bench.state == state
        if not holds:
            assert bench.fields("card_refused")["verdict"] == "NotAtThisTime"


def test_no_schedule_holds_before_the_clock_is_set():
    bench = Bench({NUMBER: (0, 0, 0, USER | 3 << 3)}, clock_set=False)
    bench.settings.schedules = {3: True}
    bench.clock.lower_bound(NOW)
    bench.plug()
    bench.tap()
    assert bench.fields("card_refused")["verdict"] == "ClockUnknown"


def test_a_session_that_another_schedule_would_not_have_let_start_is_withdrawn():
    for entry, schedules, goes_on in (
        ((0, 0, 0, USER | 3 << 3), {3: True}, True),
        ((0, 0, 0, USER | 3 << 3), {3: False}, False),
        ((0, 0, 0, USER | 4 << 3), {3: True, 4: False}, False),
        ((0, 0, 0, USER | 4 << 3), {3: True}, True),  # the list came before its schedules
        ((0, 0, 0, USER | BLOCKED | 4 << 3), {3: True}, False),
        ((0, 0, 5, USER | 4 << 3), {3: True}, False),
    ):
        bench = with_schedule(3)
        bench.settings.schedules = {3: True}
        bench.charging()
        bench.entries = {NUMBER: entry}
        bench.settings.schedules = schedules
        bench.point.review()
        bench.turn()
        assert bench.contactor.closed is goes_on, (entry, schedules)


# An operator judges the cards.


def under_operator(**settings):
    return Bench(authority="operator", **settings)


def test_the_operator_is_asked_and_its_word_starts_the_session():
    bench = under_operator()
    bench.plug()
    bench.tap(OTHER)  # the list does not know it
    assert bench.state == "checking"
    assert bench.light.shown == "checking"
    assert bench.questions == [("deadbeefdeadbe", "awaiting")]
    assert bench.contactor.closed is False
    assert bench.answer(number=OTHER) is True
    assert bench.contactor.closed is True
    assert bench.fields("session_started") == {
        "token": "deadbeefdeadbe",
        "role": "user",
        "group": 0,
        "by": "operator",
    }
    assert bench.point.session_shown()["by"] == "operator"


def test_a_card_the_operator_refuses_is_refused_whatever_the_list_says():
    for verdict in ("Blocked", "NoCredit", "accepted", "Accepted "):
        bench = under_operator(offline="list")
        bench.plug()
        bench.tap()
        assert bench.answer(verdict, role="owner") is True
        assert bench.state == "awaiting"
        assert bench.fields("card_refused") == {
            "token": "04a1b2c304a1b2",
            "role": None,
            "verdict": verdict,
            "state": "awaiting",
        }


def test_an_answer_that_does_not_fit_the_question_is_none():
    bench = under_operator()
    assert bench.answer(n=0) is False
    bench.plug()
    bench.tap()
    assert bench.answer(n=0) is False
    assert bench.answer(n=2) is False
    assert bench.answer(number=OTHER) is False
    assert bench.state == "checking"
    assert bench.answer("Blocked") is True
    assert bench.answer() is False, "the first one counted"
    assert bench.state == "awaiting"


def test_an_answer_that_comes_too_late_fits_no_later_question():
    bench = under_operator()
    bench.plug()
    bench.tap()
    bench.pass_s(11)
    bench.tap()
    assert len(bench.questions) == 2
    assert bench.answer(n=1) is False
    assert bench.state == "checking"
    assert bench.answer(n=2) is True
    assert bench.state == "charging"


def test_no_answer_in_time_is_a_refusal():
    bench = under_operator(operator_wait_s=5)
    bench.plug()
    bench.tap()
    bench.pass_s(4)
    assert bench.state == "checking"
    bench.pass_s(1)
    assert bench.state == "awaiting"
    assert bench.fields("card_refused") == {
        "token": "04a1b2c304a1b2",
        "role": None,
        "verdict": "Unknown",
        "state": "awaiting",
        "why": "operator did not answer",
    }
    assert bench.done[-1] == ("record", "card_refused")
    assert ("overlay", "refused") in bench.done
    assert bench.question is None, "it need not be sent any more"


def test_no_answer_in_time_leaves_it_to_the_list_where_the_operator_says_so():
    for number, state in ((NUMBER, "charging"), (OTHER, "awaiting")):
        bench = under_operator(offline="list")
        bench.plug()
        bench.tap(number)
        bench.pass_s(11)
        assert bench.state == state
    assert "why" not in bench.fields("card_refused")
    bench = under_operator(offline="list")
    bench.tap()
    bench.pass_s(11)
    assert bench.state == "preauthorised"


def test_without_a_link_nobody_waits():
    bench = under_operator()
    bench.linked = False
    bench.plug()
    bench.tap()
    assert bench.questions == []
    assert bench.state == "awaiting"
    assert bench.fields("card_refused")["why"] == "operator did not answer"
    bench = under_operator(offline="list")
    bench.linked = False
    bench.plug()
    bench.tap()
    assert bench.done[:2] == [("offer", True), ("coil", True)]
    assert bench.fields("session_started")["by"] == "card"


def test_a_link_that_drops_ends_the_wait():
    for offline, state in (("deny", "awaiting"), ("list", "charging")):
        bench = under_operator(offline=offline)
        bench.plug()
        bench.tap()
        bench.linked = False
        bench.turn()
        assert bench.state == state
        bench.linked = True
        assert bench.answer() is False
        assert bench.state == state


def test_an_operator_that_is_disconnected_while_a_card_is_checked_leaves_it_to_the_list():
    for number, state in ((NUMBER, "charging"), (OTHER, "awaiting")):
        bench = under_operator()
        bench.plug()
        bench.tap(number)
        bench.settings["authority"] = "native"
        bench.point.review()
        bench.turn()
        assert bench.state == state
        assert bench.answer(number=number) is False
        assert bench.state == state


def test_an_operator_that_is_connected_ends_no_session():
    bench = Bench().charging()
    bench.settings["authority"] = "operator"
    bench.point.review()
    bench.turn()
    assert bench.contactor.closed is True
    bench.tap()  # one's own card asks nobody
    assert bench.questions == []
    assert bench.state == "finished"


def test_access_that_becomes_open_while_a_card_is_checked_waits_for_nobody():
    bench = under_operator()
    bench.plug()
    bench.tap()
    bench.settings["authority"], bench.settings["access"] = "native", "open"
    bench.point.review()
    bench.turn()
    assert bench.fields("session_started")["by"] == "open"
    assert bench.answer() is False


def test_the_operators_word_outlives_the_list():
    bench = under_operator()
    bench.plug()
    bench.tap()
    bench.answer()
    bench.entries = {}
    bench.point.review()
    bench.turn()
    assert bench.contactor.closed is True
    bench.settings["authority"] = "native"
    bench.point.review()
    bench.turn()
    assert bench.contactor.closed is True


def test_a_master_pass_ends_a_session_and_starts_none():
    bench = under_operator()
    bench.plug()
    bench.tap()
    bench.answer(role="service")
    assert bench.state == "awaiting"
    assert bench.fields("card_refused")["verdict"] == "Invalid"
    bench.tap()
    bench.answer()
    bench.pass_s(2)
    bench.tap(OTHER)
    assert bench.contactor.closed is True, "the session goes on meanwhile"
    bench.answer(role="service", number=OTHER)
    assert bench.contactor.closed is False
    assert bench.fields("session_ended")["reason"] == "service"
    bench = under_operator(service_may_start=True)
    bench.plug()
    bench.tap()
    bench.answer(role="service")
    assert bench.state == "charging"


def test_a_card_that_ends_no_session_is_told_so_when_nobody_answers():
    for offline, judged in (("deny", "Unknown"), ("list", "Accepted")):
        bench = under_operator(offline=offline)
        bench.entries[OTHER] = (0, 0, 0, USER)
        bench.charging_by_operator()
        bench.tap(OTHER)
        bench.pass_s(11)
        assert bench.contactor.closed is True
        refused = bench.fields("card_refused")
        assert (refused["verdict"], refused["judged"]) == ("ConcurrentTx", judged)


def test_a_question_that_could_not_be_put_is_not_waited_for():
    bench = under_operator()
    bench.plug()

    def no_memory(token, state):
        raise MemoryError

    bench.point._uplink.ask = no_memory
    bench.tap()
    assert bench.state == "checking"
    assert len(bench.errors) == 1
    assert bench.point.answer(None, Tokens().of(NUMBER), "user", 0, "Accepted") is False
    bench.turn()
    assert bench.state == "awaiting"
    assert bench.fields("card_refused")["why"] == "operator did not answer"


def test_a_question_that_nobody_waits_for_any_more_is_not_sent():
    bench = under_operator()
    bench.plug()
    bench.tap()
    assert bench.question is not None
    bench.unplug()
    assert bench.question is None
    bench.charging_by_operator()
    bench.tap(OTHER)
    assert bench.question is not None
    bench.unplug()
    assert bench.question is None
    assert bench.fields("card_refused")["verdict"] == "ConcurrentTx"
    assert bench.answer(number=OTHER) is False


def test_a_look_up_that_fails_after_the_wait_is_shown():
    bench = under_operator(offline="list")
    bench.plug()
    bench.tap()
    bench.point._allowlist = None
    del bench.done[:]
    bench.pass_s(11)
    assert bench.state == "awaiting"
    assert bench.done == [("overlay", "unreadable")]


def test_a_random_number_is_nothing_to_ask_about():
    bench = under_operator()
    bench.plug()
    bench.point.problem("random")
    assert bench.questions == []
    assert bench.fields("card_refused")["verdict"] == "RandomNumber"


# Enrolling.


def test_a_card_held_there_while_enrolling_is_reported_and_not_judged():
    for settings in ({}, {"authority": "operator"}):
        bench = Bench(**settings)
        assert bench.point.enrol(60, 7) is None
        bench.tap(OTHER)
        assert bench.fields("card_enrolled") == {
            "v": 7,
            "token": "deadbeefdeadbe",
            "hint": "beef",
            "known": False,
        }
        assert ("overlay", "enrolled") in bench.done
        assert bench.state == "available"
        assert bench.questions == []


def test_a_card_that_is_known_already_is_told_so_in_red():
    for entry in ((0, 0, 0, USER), (0, 0, 5, USER), (0, 0, 0, USER | BLOCKED), (0, 0, 0, 3)):
        bench = Bench({NUMBER: entry})
        bench.point.enrol(60, 7)
        bench.tap()
        assert bench.fields("card_enrolled")["known"] is True
        assert ("overlay", "refused") in bench.done


def test_what_goes_wrong_with_cards_while_enrolling_is_told_once_of_each_kind():
    bench = Bench()
    bench.point.enrol(60, 7)
    for kind in ("several", "unreadable", "several", "unreadable"):
        bench.point.problem(kind)
        assert bench.done[-1] in (("overlay", "unreadable"), ("record", "enrol_retry"))
    told = [("enrol_retry", {"v": 7, "why": why}) for why in ("several", "unreadable")]
    assert bench.events == told
    bench.point.enrol(60, 8)
    bench.point.problem("several")
    assert bench.events[-1] == ("enrol_retry", {"v": 8, "why": "several"})
    bench.tap(OTHER)
    assert bench.fields("card_enrolled")["v"] == 8


def test_enrolling_that_fails_names_its_order():
    for end, why in (
        (lambda bench: bench.pass_s(61), "time_out"),
        (lambda bench: bench.point.happened(("cancel_enrol",)), "cancelled"),
        (lambda bench: bench.point.problem("random"), "RandomNumber"),
        (lambda bench: bench.point.happened(("fault", "pilot_short")), "fault"),
        (lambda bench: bench.point.happened(("available", False)), "unavailable"),
    ):
        bench = Bench()
        bench.point.enrol(60, 7)
        end(bench)
        assert bench.fields("enrol_failed") == {"v": 7, "why": why}


def test_an_order_to_enrol_replaces_the_one_before_and_says_so():
    bench = Bench()
    bench.point.enrol(60, 7)
    bench.point.enrol(60, 8)
    assert bench.fields("enrol_failed") == {"v": 7, "why": "replaced"}
    bench.tap(OTHER)
    assert bench.fields("card_enrolled")["v"] == 8


def test_enrolling_that_is_declined_replaces_nothing():
    bench = Bench().charging()
    assert bench.point.enrol(60, 7) == "enrol: not while charging"


def test_a_vehicle_that_comes_or_leaves_while_enrolling_is_served_after_it():
    bench = Bench()
    bench.point.enrol(60, 7)
    bench.plug()
    assert bench.state == "enrolling"
    bench.tap(OTHER)
    assert bench.light.shown == "awaiting"
    bench.tap()
    assert bench.contactor.closed is True
    bench = Bench()
    bench.plug()
    bench.point.enrol(60, 7)
    bench.unplug()
    bench.tap(OTHER)
    assert bench.light.shown == "available"


def test_nothing_changes_where_nothing_happens():
    bench = Bench()
    before = bench.changes
    bench.pass_s(10)
    assert bench.changes == before
