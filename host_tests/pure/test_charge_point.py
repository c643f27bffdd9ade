from firmware import charge_point
from firmware.access.light import STATES
from firmware.allowlist.ref import Applied
from firmware.charge_point import ChargePoint
from firmware.clock import EPOCH_2024, Clock
from host_tests.pure.check import raises

NUMBER = b"\x04\xa1\xb2\xc3"
OTHER = b"\xde\xad\xbe\xef"
USER, OWNER_FLAGS = 1, 0
BLOCKED = 4
MONTH_S = 30 * 86_400
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


class Meter:
    mwh = 0


class Tokens:
    """A token is the number, three times."""

    def of(self, number):
        return (number * 3)[:7]


class Bench:
    """A charge point on hardware of paper. `entries`: number -> entry of the allow-list.

    `done`: what was done, in order; `events`: (event, fields) on record.
    """

    def __init__(self, entries=None, clock_set=True, **settings):
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
        self.settings = {
            "access": "restricted",
            "service_may_start": False,
            "stop_on_withdrawal": True,
        }
        self.settings.update(settings)
        self.clock = Clock(Rtc(), ticks=self.time)
        if clock_set:
            self.clock.set_exactly(NOW)
        self.breaks = None  # the event whose record raises
        self.point = ChargePoint(
            self,
            Tokens(),
            self,
            self.settings,
            self.clock,
            self.record,
            self.changed,
            self.errors.append,
        )
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

    def changed(self):
        self.changes += 1

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


def test_a_vehicle_that_waits_starts_when_access_becomes_open():
    bench = Bench()
    bench.plug()
    bench.settings["access"] = "open"
    bench.point.review()
    bench.turn()
    assert bench.state == "charging"
    assert bench.point.authorisation_required is False
    assert bench.fields("session_started")["by"] == "open"


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
    bench.meter.mwh = 5_000_000
    bench.charging()
    bench.meter.mwh = 5_250_600
    shown = bench.point.session_shown()
    assert shown["token"] == "04a1b2c304a1b2"
    assert shown["wh"] == 250
    assert NOW <= shown["start"] <= NOW + 1
    bench.unplug()
    ended = bench.fields("session_ended")
    assert ended["wh"] == 250
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


def test_a_card_held_there_while_enrolling_is_reported_and_not_judged():
    bench = Bench()
    bench.point.happened(("enrol", 60))
    bench.tap(OTHER)
    assert bench.fields("card_enrolled") == {"token": "deadbeefdeadbe"}
    assert bench.state == "available"


def test_nothing_changes_where_nothing_happens():
    bench = Bench()
    before = bench.changes
    bench.pass_s(10)
    assert bench.changes == before
