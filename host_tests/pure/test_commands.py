from firmware.commands import Commands, SwitchedOff
from host_tests.pure.check import raises
from host_tests.pure.place import directory

TOKEN = "04a1b2c304a1b2"


class Bench:
    """Commands to a point of paper: `events` is what reached it."""

    def __init__(self, path=None):
        self.events = []
        self.declines = None
        self.identified = 0
        self.restarts = 0
        self.switched_off = SwitchedOff(path or directory() + "available")
        self.commands = Commands(self, self, self.switched_off, self.restart)

    def happened(self, event):
        self.events.append(event)
        return self.declines

    def identify(self, now_ms):
        self.identified += 1

    def restart(self):
        self.restarts += 1

    def do(self, name, **body):
        return self.commands.by_name[name](body)


def test_a_start_from_the_app_names_the_person():
    bench = Bench()
    assert bench.do("authorise", token=TOKEN, role="user", group=3) is None
    assert bench.events == [("authorise", b"\x04\xa1\xb2\xc3\x04\xa1\xb2", "user", 3)]


def test_a_start_without_a_group_is_of_none():
    bench = Bench()
    assert bench.do("authorise", token=TOKEN, role="owner") is None
    assert bench.events[0][3] == 0


def test_a_start_with_wrong_values_names_them_and_starts_nothing():
    bench = Bench()
    for said, wrong in (
        ("token", {"token": None}),
        ("token", {"token": 5}),
        ("token", {"token": "04a1"}),
        ("token", {"token": "zz" * 7}),
        ("token", {"token": [TOKEN]}),
        ("role", {"role": "king"}),
        ("role", {"role": None}),
        ("role", {"role": ["user"]}),
        ("group", {"group": -1}),
        ("group", {"group": 65_536}),
        ("group", {"group": True}),
        ("group", {"group": "1"}),
    ):
        body = {"token": TOKEN, "role": "user", "group": 1}
        body.update(wrong)
        assert bench.do("authorise", **body).startswith(said + ": "), wrong
    assert bench.events == []


def test_what_the_session_declines_is_the_answer():
    bench = Bench()
    bench.declines = "authorise: not while faulted"
    assert bench.do("authorise", token=TOKEN, role="user") == bench.declines


def test_switched_off_outlives_a_restart():
    path = directory() + "available"
    bench = Bench(path)
    assert SwitchedOff(path).load() is False
    assert bench.do("available", on=False) is None
    assert bench.events == [("available", False)]
    assert SwitchedOff(path).load() is True
    assert bench.do("available", on=True) is None
    assert SwitchedOff(path).load() is False


def test_switching_off_works_at_once_even_where_it_cannot_be_kept():
    bench = Bench("build/pure/no/such/available")
    error = raises(OSError, lambda: bench.do("available", on=False))
    assert isinstance(error, OSError)
    assert bench.events == [("available", False)]


def test_on_must_be_a_yes_or_a_no():
    bench = Bench()
    for wrong in (None, 1, "false", []):
        assert bench.do("available", on=wrong).startswith("on: ")
    assert bench.events == []


def test_enrolling_lasts_as_long_as_told():
    bench = Bench()
    bench.do("enrol", seconds=30)
    bench.do("enrol")
    bench.do("enrol", seconds=0)
    assert bench.events == [("enrol", 30), ("enrol", 60), ("cancel_enrol",)]
    for wrong in (-1, True, "30", 1.5, None):
        assert bench.do("enrol", seconds=wrong).startswith("seconds: ")
    assert len(bench.events) == 3


def test_identify_blinks():
    bench = Bench()
    assert bench.do("identify") is None
    assert bench.identified == 1


def test_stop_ends_the_session_from_afar():
    bench = Bench()
    bench.do("stop")
    assert bench.events == [("stop", None)]


def test_a_restart_ends_the_session_first_and_is_no_failure_where_there_is_none():
    bench = Bench()
    bench.declines = "stop: not while available"
    assert bench.do("restart") is None
    assert bench.events == [("stop", "restart")]
    assert bench.restarts == 1


def test_selftest_begins():
    bench = Bench()
    bench.do("selftest")
    assert bench.events == [("selftest", True)]
