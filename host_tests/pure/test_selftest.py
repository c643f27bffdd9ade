"""The self-test on a real charge point and a real contactor, with the rest of paper. Time passes
only while the test pauses: a whole test is one call."""

import json
import os
from binascii import unhexlify

from firmware import selftest, tested_parts
from firmware.allowlist.ref import Applied
from firmware.hardware.contactor import STUCK_OPEN, Contactor
from firmware.hardware.meter import NoMeter
from firmware.journal import records
from host_tests.pure.place import directory
from host_tests.pure.test_charge_point import NOW, OTHER, Bench
from host_tests.pure.test_charge_point import NUMBER as ANNA

OWNER, SERVICE = b"\x04\xd4\xe5\xf6", b"\x5e\x4c\x1c\xe0"
ENTRIES = {ANNA: (0, 0, 0, 1), OWNER: (0, 0, 0, 0), SERVICE: (0, 0, 0, 2)}
VERSION_2 = (
    "00eb66ba57bf2395d0e30d3d27895cde9d3ba700215b8982513aeb020ca50049"
    "7c844db3ccd21b815d4876d5716121a986968338cf9d5b6ddc15ba3e7d953b2f"
)


class Stand:
    def __init__(self, **members):
        for name, member in members.items():
            setattr(self, name, member)


class Chip:
    """Of version 2.0, whose self-test is right."""

    def __init__(self):
        self.version = 0x92
        self.wakes = True
        self.result = unhexlify(VERSION_2)
        self.wrong = None  # what `check` finds

    def reset(self):
        pass

    def awake(self):
        return self.wakes

    def configure(self):
        return None if self.wakes else "VersionReg 00, expected 91, 92 or a clone's: no chip"

    def check(self):
        return self.wrong

    def _frame(self, frame):
        pass

    def _put(self, register, value):
        pass

    def _get(self, register):
        return self.version if register == 0x37 else 64

    def _cs(self, level):
        pass

    def _exchange_bytes(self, out, into):
        into[1:] = self.result


class Presentation:
    """`looks`: at a card that lies there, as they come: whether it was read. Then it is gone."""

    def __init__(self):
        self.looks = []

    @property
    def misses(self):
        return not self.looks

    @property
    def settled(self):
        return self.looks.pop(0)


class Reader:
    def __init__(self):
        self.chip = Chip()
        self.health = "ok"
        self.detail = ""
        self.failures = 0
        self.presentation = Presentation()
        self.lent = []

    def lend(self, ms):
        self.lent.append(ms)


class Wired:
    """Coil, contacts that follow it after 20 ms, mirror contact. `stuck`: where they stay."""

    def __init__(self, time):
        self.time = time
        self.changes = []  # (ms, on)
        self.stuck = None
        self._on = self._was = 0
        self._at_ms = 0

    def coil(self, level):
        if level != self._on:
            self.changes.append((self.time.ms, bool(level)))
            self._was, self._on, self._at_ms = self._on, level, self.time.ms

    def feedback(self):
        if self.stuck is not None:
            return self.stuck
        return self._on if self.time.ms - self._at_ms >= 20 else self._was


class Charger(Bench):
    """`at`: (a condition, what happens as soon as that is so), while the test runs."""

    def __init__(self, feedback=True, **settings):
        super().__init__(entries=ENTRIES, **settings)
        self.wired = Wired(self.time)
        self.point.contactor = Contactor(
            self.wired.coil, self.wired.feedback if feedback else None, self.point.may_close
        )
        self.light.cover = lambda look, now_ms, for_ms: self.done.append(("cover", look[0]))
        self.vehicle.tells_draw = False
        self.vehicle.pin = lambda: 1
        self.meter.pin = lambda: 1
        self.applied = Applied(3, "ab" * 16, 12, 0, NOW - 7_200)
        self.app = Stand(
            point=self.point,
            reader=Reader(),
            clock=self.clock,
            wifi=Stand(up=True, problem="", rssi=lambda: -61),
            mqtt=Stand(connected=True),
            journal=Stand(pending=0),
            store=Stand(applied=self.applied, damaged=None),
            sync=Stand(problem=None),
            uplink=self,
            ntp=True,
            said="",
        )
        self.at = []
        self.printed = []
        self._begun = None
        selftest.asyncio = Stand(create_task=self._begin, sleep_ms=self._sleep_ms)
        selftest.print = self.printed.append
        selftest.forget = lambda name: None
        selftest.ticks_ms = tested_parts.ticks_ms = self.time
        tested_parts._FOLDER = self.folder = directory()[:-1]
        self.point.tested = self.app
        for _ in range(20):
            self.turn()

    def _begin(self, task):
        self._begun = task

    async def _sleep_ms(self, ms):
        for _ in range(max(1, ms // 10)):
            self.turn()
            due = [each for each in self.at if each[0](self)]
            self.at = [each for each in self.at if each not in due]
            for each in due:
                each[1]()

    def carry_out(self):
        """What was begun, to its end."""
        task, self._begun = self._begun, None
        assert task is not None, "no self-test was begun"
        self.began_ms = self.time.ms
        del self.wired.changes[:]
        try:
            task.send(None)
        except StopIteration:
            pass
        self.turn()
        return self

    def test(self, *at, version=None):
        """Begin it, and carry it out."""
        self.at = list(at)
        assert self.point.happened(("selftest", True)) is None
        assert self.state == "service"
        self.point.tester.v = version  # pyright: ignore[reportOptionalMemberAccess]
        return self.carry_out()

    def line(self, part):
        """(passed, found) of the line about it."""
        (found,) = [line for line in map(json.loads, self.printed) if line["selftest"] == part]
        return found["ok"], found.get("found", found.get("why"))

    @property
    def result(self):
        return self.fields("selftest_done")


def at(ms, do, *arguments):
    """So long after the beginning of the test."""
    return lambda charger: charger.time.ms - charger.began_ms >= ms, lambda: do(*arguments)


def once_closed(do, *arguments):
    """When the coil has been on for 300 ms."""

    def is_closed(charger):
        coil = charger.wired.changes
        return len(coil) == 1 and charger.time.ms - coil[0][0] >= 300

    return is_closed, lambda: do(*arguments)


def once_offered(pilot, do, *arguments):
    return lambda charger: pilot.offered[-1:] == [True], lambda: do(*arguments)


def test_a_good_charger_passes_and_what_cannot_flow_is_not_counted_as_passed():
    charger = Charger().test(version=77)
    lines = [json.loads(line) for line in charger.printed]
    assert [line["selftest"] for line in lines[:-1]] == list(tested_parts.PARTS)
    untested = [line["selftest"] for line in lines if line["ok"] is None]
    assert untested == ["card", "meter"]
    assert lines[-1] == {"selftest": "over", "ok": True}
    assert charger.result["passed"] is True
    assert charger.result["failed"] == []
    assert charger.result["v"] == 77
    assert charger.result["parts"]["reader"] == 0x92
    assert charger.result["parts"]["wifi"] == -61
    whole = sorted(list(charger.result["parts"]) + untested)
    assert whole == sorted(tested_parts.PARTS), "each part has passed or was not tested"
    assert charger.state == "available"
    assert charger.done[-1] == ("record", "selftest_done")
    assert ("overlay", "accepted") in charger.done


def test_each_part_says_what_was_measured():
    charger = Charger().test()
    for part, found in (
        ("reader", "MFRC522 version 2.0 (92), its self-test is right, antenna on"),
        ("card", "no card within 10 s"),
        ("light", "shown: red, green, blue, yellow, white, magenta"),
        ("contactor", "closed in 20 ms, opened in 20 ms"),
        ("vehicle", "contact open: no vehicle"),
        ("meter", "its line is high; no pulse, as nothing flows"),
        ("clock", "2024-01-02 00:00 UTC"),
        ("wifi", "-61 dBm"),
        ("broker", "connected"),
        ("list", "version 3, 12 cards, 2 h old"),
    ):
        assert charger.line(part)[1] == found
    assert " blocks free, 1 KB written and read in " in charger.line("flash")[1]
    assert os.listdir(charger.folder) == []


def test_the_longest_event_goes_whole_into_the_journal():
    """All failed, each with the longest that it may measure, and ended before the last one."""
    most = {"reader": 255, "card": True, "contactor": 9_999, "vehicle": "+12.0 V", "meter": 99_999}
    most.update({"flash": 65_535, "wifi": -100, "list": 2**32 - 1})
    fields = {"passed": False, "failed": list(tested_parts.PARTS), "parts": most, "v": 2**32 - 1}
    fields["why"] = "a vehicle was plugged in"
    record = records.encode(2**32 - 1, 9, "selftest_done", dict(fields), NOW, 2**32 - 1)
    assert not records.is_session(record)
    found = records.decode(record, 9)
    for name in fields:
        assert found[name] == fields[name]


def test_the_light_shows_each_of_its_colours():
    charger = Charger().test()
    shown = [done[1] for done in charger.done if done[0] == "cover"]
    assert shown == ["red", "green", "blue", "yellow", "white", "magenta"]


# The card.


def test_a_card_that_was_asked_for_is_read_and_not_judged():
    for number in (ANNA, OTHER, OWNER, SERVICE):
        charger = Charger()
        charger.app.reader.presentation.looks = [True] * 10
        charger.test(at(3_000, charger.point.tap, number))
        passed, found = charger.line("card")
        assert passed is True and found.endswith(", read 10 of 10 times")
        assert [name for name, _ in charger.events] == ["selftest_done"]
        assert charger.result["parts"]["card"] is True


def test_no_more_than_the_last_two_bytes_of_a_number_are_said_and_none_is_sent():
    charger = Charger()
    charger.test(at(3_000, charger.point.tap, ANNA))
    assert charger.line("card") == (True, "ends in b2c3")
    assert "b2c3" not in json.dumps(charger.result)
    assert "04a1" not in "".join(charger.printed)


def test_the_card_that_began_it_need_not_come_again():
    charger = Charger()
    charger.tap(SERVICE)
    charger.carry_out()
    assert charger.line("card") == (True, "ends in 1ce0")
    assert charger.result["passed"] is True


def test_a_card_that_can_seldom_be_read_fails():
    charger = Charger()
    charger.app.reader.presentation.looks = [False, True] * 5
    charger.test(at(3_000, charger.point.tap, ANNA))
    assert charger.line("card") == (False, "ends in b2c3, read 5 of 10 times")
    assert charger.result["failed"] == ["card"]


def test_a_card_that_is_never_read_whole_fails_and_several_cards_prove_nothing():
    charger = Charger()
    charger.test(at(3_000, charger.point.problem, "unreadable"))
    assert charger.line("card") == (False, "a card is there and is never read whole")
    charger = Charger()
    charger.test(at(3_000, charger.point.problem, "several"))
    assert charger.line("card") == (None, "several cards at once")


def test_a_phone_shows_that_cards_can_be_read():
    charger = Charger()
    charger.test(at(3_000, charger.point.problem, "random"))
    assert charger.line("card") == (True, "a phone")
    assert [name for name, _ in charger.events] == ["selftest_done"]


def test_a_card_that_nobody_asked_for_is_judged_as_ever():
    charger = Charger()
    charger.app.reader.chip.wakes = False  # no waiting for a card
    charger.test(at(1_000, charger.tap, OTHER), at(1_500, charger.tap, SERVICE))
    assert charger.fields("card_refused")["state"] == "service"
    assert charger.line("over") == (False, "it was ended")
    assert charger.state == "available"


# How it begins and ends.


def test_an_owners_card_begins_it_when_it_is_held_there_for_five_seconds():
    charger = Charger()
    charger.tap(OWNER)
    charger.pass_s(4)
    assert charger.state == "preauthorised"
    charger.pass_s(2)
    assert charger.state == "service"
    charger.carry_out()
    assert charger.line("card") == (True, "ends in e5f6")


def test_a_card_that_is_taken_away_or_is_no_owners_begins_no_self_test():
    charger = Charger()
    charger.tap(OWNER)
    charger.point.gone()
    charger.pass_s(10)
    assert charger.state == "preauthorised"
    charger = Charger()
    charger.tap(ANNA)
    charger.pass_s(10)
    assert charger.state == "preauthorised"
    charger = Charger()
    charger.point.happened(("authorise", b"the app", "owner", 0))
    charger.tap(OTHER)
    charger.pass_s(10)
    assert charger.state == "preauthorised", "it is not the card that approved"


def test_a_vehicle_opens_the_contactor_at_once_and_ends_it():
    charger = Charger()
    coil = charger.wired.changes

    def plug():
        charger.vehicle.seen = (True, True)
        coil.append((charger.time.ms, "plugged"))

    charger.test(once_closed(plug))
    assert [what for _, what in coil] == [True, "plugged", False]
    assert coil[2][0] - coil[1][0] == 10
    assert charger.state == "awaiting"
    assert charger.line("over") == (False, "a vehicle was plugged in")
    result = charger.result
    assert (result["passed"], result["why"]) == (False, "a vehicle was plugged in")
    assert "contactor" not in result["parts"]
    assert ("overlay", "refused") not in charger.done


def test_a_session_that_a_vehicle_begins_in_its_midst_is_left_alone():
    charger = Charger(access="open")

    def plug():
        charger.vehicle.seen = (True, True)

    charger.test(once_closed(plug))
    assert charger.state == "charging"
    charger.pass_s(2)
    assert charger.point.contactor.closed


def test_the_time_and_an_order_end_it():
    charger = Charger()
    charger.test(at(5_000, charger.pass_s, 90))
    assert charger.line("over") == (False, "it was ended")
    charger = Charger()
    charger.test(at(5_000, charger.point.happened, ("stop", None)))
    assert charger.line("over") == (False, "it was ended")
    assert charger.state == "available"
    assert charger.wired.changes == []


def test_one_that_finds_no_memory_keeps_nobody_waiting():
    charger = Charger()

    def full(task):
        task.close()
        raise MemoryError

    selftest.asyncio.create_task = full
    assert charger.point.happened(("selftest", True)) == "no memory for it"
    charger.pass_s(1)
    assert charger.state == "available"
    assert [type(error) for error in charger.errors] == [MemoryError]


def test_what_a_part_dies_of_is_its_line_and_the_others_go_on():
    charger = Charger()

    def broken():
        raise RuntimeError("no radio")

    charger.app.wifi.rssi = broken
    charger.test()
    passed, found = charger.line("wifi")
    assert passed is False and "no radio" in found
    assert charger.line("list")[0] is True


# The reader.


def test_a_chip_that_does_not_answer_fails_and_no_card_is_waited_for():
    charger = Charger()
    charger.app.reader.chip.wakes = False
    charger.test()
    passed, found = charger.line("reader")
    assert passed is False and "no chip" in found
    assert charger.line("card") == (None, "not tried: the reader does not work")


def test_a_chip_whose_self_test_is_wrong_fails():
    charger = Charger()
    charger.app.reader.chip.result = bytes(64)
    charger.test()
    assert charger.line("reader") == (
        False,
        "MFRC522 version 2.0 (92), 61 of 64 bytes of its self-test are wrong",
    )


def test_a_clone_is_named_and_passes():
    charger = Charger()
    charger.app.reader.chip.version = 0x12
    charger.test()
    assert charger.line("reader") == (True, "a clone (12), its self-test ran, antenna on")


def test_a_setting_that_does_not_come_back_fails():
    charger = Charger()
    charger.app.reader.chip.wrong = "TxControlReg 80, expected 83"
    charger.test()
    passed, found = charger.line("reader")
    assert passed is False and found.endswith("TxControlReg 80, expected 83")


def test_a_reader_that_has_just_recovered_fails():
    charger = Charger()
    charger.app.reader.failures = 1
    charger.app.reader.detail = "no answer, no time-out"
    charger.test()
    passed, found = charger.line("reader")
    assert passed is False and "it has just failed: no answer, no time-out" in found


def test_the_chip_is_given_back_however_it_ends():
    charger = Charger().test()
    assert charger.app.reader.lent[-1] == 0
    charger = Charger()
    charger.test(at(0, charger.point.happened, ("stop", None)))
    assert charger.app.reader.lent == [5_000, 0]


# The contactor.


def test_it_is_closed_for_a_second():
    charger = Charger().test()
    (closed_ms, on), (open_ms, off) = charger.wired.changes
    assert (on, off) == (True, False)
    assert 1_000 <= open_ms - closed_ms <= 1_050


def test_the_interlock_gives_leave_to_that_part_of_it_alone():
    charger = Charger()
    allowed = []

    def ask():
        allowed.append((charger.point.may_close(), charger.point.contactor.close()))
        charger.point.contactor.open()

    charger.test(at(1_000, ask), at(11_500, ask))
    assert allowed == [(False, False)] * 2
    assert len(charger.wired.changes) == 2, "closed and opened, once"


def test_a_contactor_that_welds_fails():
    charger = Charger()
    charger.wired.stuck = 1
    charger.test()
    assert charger.line("contactor") == (False, "coil off, feedback says closed; not tried")
    assert charger.wired.changes == []
    assert charger.state == "faulted"
    charger = Charger()
    charger.test(once_closed(setattr, charger.wired, "stuck", 1))
    passed, found = charger.line("contactor")
    assert passed is False and "feedback still says closed" in found
    assert charger.wired.changes[-1][1] is False


def test_a_coil_that_does_not_pull_fails_and_the_rest_is_tested_all_the_same():
    charger = Charger()
    charger.wired.stuck = 0
    charger.test()
    passed, found = charger.line("contactor")
    assert passed is False and "feedback still says open" in found
    assert charger.fields("fault") == {"fault": STUCK_OPEN}
    assert charger.result["failed"] == ["contactor"]
    assert charger.line("list")[0] is True
    assert charger.state == "faulted"
    assert ("overlay", "refused") in charger.done
    assert [on for _, on in charger.wired.changes] == [True, False]
    charger.pass_s(20)
    assert charger.state == "available"


def test_without_feedback_nobody_can_tell():
    charger = Charger(feedback=False).test()
    passed, found = charger.line("contactor")
    assert passed is None and "no feedback is set up" in found
    assert [on for _, on in charger.wired.changes] == [True, False]


def test_it_is_not_closed_while_there_is_a_fault():
    charger = Charger()
    charger.vehicle.fault = "pilot_short"
    charger.turn()
    assert charger.state == "faulted"
    charger.test()
    assert charger.line("contactor") == (None, "not tried: fault pilot_short")
    assert charger.wired.changes == []


# Vehicle, meter.


class Pilot:
    """As it reads with the PWM on and off."""

    tells_draw = True
    fault = None

    def __init__(self, high_mv, low_mv):
        self._levels = high_mv, low_mv
        self.offered = []
        self.seen = (False, False)

    def sample(self, now_ms):
        return self.seen

    def offer(self, on):
        self.offered.append(on)

    @property
    def peak_mv(self):
        return self._levels[0]

    @property
    def low_mv(self):
        return self._levels[1] if self.offered[-1:] == [True] else self._levels[0]


def test_the_pilots_voltages_are_measured_with_the_wave_on():
    for high_mv, low_mv, good, found in (
        (12_010, -11_980, True, "+12.0 V and -12.0 V; the diode is in the vehicle"),
        (10_700, -12_000, False, "+10.7 V and -12.0 V; the diode is in the vehicle"),
        (12_000, -9_000, False, "+12.0 V and -9.0 V; the diode is in the vehicle"),
        (13_400, -12_000, False, "+13.4 V and -12.0 V; the diode is in the vehicle"),
    ):
        charger = Charger()
        charger.point.vehicle = pilot = Pilot(high_mv, low_mv)
        charger.test()
        assert charger.line("vehicle") == (good, found)
        assert pilot.offered[:2] == [True, False] and True not in pilot.offered[2:]


def test_a_pilot_at_fault_is_named():
    charger = Charger()
    charger.point.vehicle = pilot = Pilot(200, 200)
    pilot.fault = "pilot_short"
    charger.turn()
    charger.test()
    assert charger.line("vehicle") == (False, "+0.2 V and +0.2 V, pilot_short")


def test_nothing_is_offered_any_more_when_a_vehicle_comes_to_the_pilots_test():
    charger = Charger()
    charger.point.vehicle = pilot = Pilot(12_000, -12_000)
    charger.test(once_offered(pilot, setattr, pilot, "seen", (True, False)))
    assert charger.state == "awaiting"
    assert pilot.offered[-1] is False


def test_what_a_session_offers_in_the_midst_of_the_pilots_test_is_left_alone():
    charger = Charger(access="open")
    charger.point.vehicle = pilot = Pilot(12_000, -12_000)
    charger.point._effects["offer"] = pilot.offer
    charger.test(once_offered(pilot, setattr, pilot, "seen", (True, False)))
    assert charger.state == "authorised"
    assert pilot.offered == [True, False, True]


def test_a_contact_that_chatters_fails():
    charger = Charger()
    levels = [1, 0] * 10
    charger.vehicle.pin = levels.pop
    charger.test()
    assert charger.line("vehicle") == (False, "contact closed in 10 of 20 looks")


def test_a_meters_line_that_is_low_and_pulses_that_nobody_causes_fail():
    charger = Charger()
    charger.meter.pin = lambda: 0
    charger.test()
    assert charger.line("meter") == (False, "its line is low all the time")
    charger = Charger()
    charger.test(at(5_000, setattr, charger.meter, "pulses", 4))
    passed, found = charger.line("meter")
    assert passed is False and found.startswith("4 pulses in ")
    charger = Charger()
    charger.point.meter = NoMeter()
    charger.test()
    assert charger.line("meter") == (None, "no meter is set up")


# What it keeps, and its link.


def test_a_flash_that_is_full_or_takes_nothing_fails():
    for error, words in (
        (28, "no file can be written: it is full"),
        (30, "no file can be written: it is read-only"),
        (5, "no file can be written: it takes nothing, it is broken"),
    ):

        def refuses(path, mode, error=error):
            raise OSError(error, "")

        charger = Charger()
        tested_parts.open = refuses
        try:
            charger.test()
        finally:
            del tested_parts.open
        assert charger.line("flash") == (False, words)


def test_too_little_room_on_the_flash_fails():
    charger = Charger()
    kept = tested_parts.os
    tested_parts.os = Stand(
        urandom=os.urandom, remove=os.remove, statvfs=lambda path: (4_096, 4_096, 512, 23)
    )
    try:
        charger.test()
    finally:
        tested_parts.os = kept
    passed, found = charger.line("flash")
    assert passed is False and found.startswith("23 of 512 blocks free")


def test_a_clock_that_is_not_set_fails_where_there_is_somebody_to_ask():
    charger = Charger(clock_set=False).test()
    assert charger.line("clock") == (False, "not set")
    charger = Charger(clock_set=False)
    charger.clock.lower_bound(NOW)
    charger.app.ntp = None
    charger.test()
    passed, found = charger.line("clock")
    assert passed is None
    assert found == "not set; at least 2024-01-02 00:00 UTC; no time server is set up"


def test_wifi_that_is_weak_or_not_joined_fails():
    charger = Charger()
    charger.app.wifi.rssi = lambda: -81
    charger.test()
    assert charger.line("wifi") == (False, "-81 dBm")
    charger.app.wifi = Stand(up=False, problem="wrong password", rssi=lambda: None)
    del charger.printed[:]
    charger.test()
    assert charger.line("wifi") == (False, "not joined: wrong password")


def test_a_broker_that_is_not_reached_fails_with_what_the_link_said():
    charger = Charger()
    charger.app.mqtt.connected = False
    charger.app.said = "link name: broker.lan not found"
    charger.test()
    assert charger.line("broker") == (False, "not connected; link name: broker.lan not found")


def test_a_list_that_is_missing_too_old_damaged_or_refused_fails():
    for applied, damaged, problem, passed, found in (
        (None, None, None, False, "there is none"),
        (None, None, "missing", False, "there is none: missing"),
        (Applied(3, "", 12, 3_600, NOW - 7_200), None, None, False,
         "version 3, 12 cards, 2 h old, too old"),
        (Applied(3, "", 12, 0, NOW), 5, None, False,
         "version 3, 12 cards, 0 h old, damaged on the flash"),
        (Applied(3, "", 12, 0, NOW), None, "flash_full", False,
         "version 3, 12 cards, 0 h old, a newer one is not taken: flash_full"),
    ):  # fmt: skip
        charger = Charger()
        charger.app.store = Stand(applied=applied, damaged=damaged)
        charger.app.sync.problem = problem
        charger.test()
        assert charger.line("list") == (passed, found)


def test_a_reader_that_dies_in_the_midst_of_a_card_is_not_the_cards_fault():
    charger = Charger()
    charger.app.reader.presentation.looks = [False] * 10
    charger.test(
        at(3_000, charger.point.tap, ANNA), at(3_100, setattr, charger.app.reader, "failures", 1)
    )
    assert charger.line("card") == (True, "ends in b2c3")
