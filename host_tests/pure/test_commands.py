from firmware.access.session import NOT_BEGUN, OVER, RUNNING, START, Session
from firmware.commands import Commands, SwitchedOff
from firmware.link.messages import MessageError
from host_tests.pure.check import raises
from host_tests.pure.place import directory

TOKEN = "04a1b2c304a1b2"


def session(token, progress):
    holder = token and (token, 0, "user", "card")
    return Session("", False, False, False, True, (), progress, holder, None, None, None)


class Bench:
    """Commands to a point of paper: `events` is what reached it."""

    def __init__(self, path=None):
        self.events = []
        self.declines = None
        self.identified = 0
        self.session = START
        self.left = None  # what waits to resume
        self.ended = []
        self.tester = None
        self.enrolments = []
        self.answers = []
        self.asked = None
        self.restarts = 0
        self.switched_off = SwitchedOff(path or directory() + "available")
        self.commands = Commands(self, self, self.switched_off, self.restart)

    def happened(self, event):
        self.events.append(event)
        return self.declines

    def end_left(self, reason):
        if self.left is not None:
            self.ended.append(reason)
        self.left = None

    def enrol(self, seconds, version):
        self.enrolments.append((seconds, version))
        return self.declines

    def answer(self, n, token, role, group, word):
        if n != self.asked:
            return False
        self.answers.append((token, role, group, word))
        return True

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


def test_where_it_is_damaged_whether_it_is_switched_off_it_is_off():
    path = directory() + "available"
    for damaged in (b"", b"o", b"of", b"\x00\x00\x00", b"on\n", b"off" * 9):
        with open(path, "wb") as file:
            file.write(damaged)
        switched_off = SwitchedOff(path)
        assert switched_off.load() is True
        assert switched_off.damaged


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
    bench.do("enrol", v=5, seconds=30)
    bench.do("enrol", v=6)
    assert bench.enrolments == [(30, 5), (60, 6)]
    bench.do("enrol", v=7, seconds=0)
    assert bench.events == [("cancel_enrol",)]
    for wrong in (-1, True, "30", 1.5, None):
        assert bench.do("enrol", v=8, seconds=wrong).startswith("seconds: ")
    assert len(bench.enrolments) == len(bench.events) + 1 == 2
    bench.declines = "enrol: not while charging"
    assert bench.do("enrol", v=8, seconds=30) == bench.declines


def test_identify_blinks():
    bench = Bench()
    assert bench.do("identify") is None
    assert bench.identified == 1


def test_stop_ends_the_session_from_afar():
    bench = Bench()
    bench.do("stop")
    bench.do("stop", reason="operator")
    assert bench.events == [("stop", None), ("stop", "operator")]
    for wrong in ("", "x" * 33, 5, True, ["operator"]):
        assert bench.do("stop", reason=wrong).startswith("reason: ")
    assert len(bench.events) == 2


def test_a_stop_for_one_person_ends_no_other_session():
    mine, others = b"\x04\xa1\xb2\xc3\x04\xa1\xb2", b"7654321"
    for holder, progress, stops in (
        (mine, RUNNING, True),
        (mine, NOT_BEGUN, True),  # approved, and no vehicle yet
        (others, RUNNING, False),
        (others, NOT_BEGUN, False),
        (None, RUNNING, False),  # an open charger's
        (None, NOT_BEGUN, True),  # nothing: the session says so
        (None, OVER, True),
    ):
        bench = Bench()
        bench.session = session(holder, progress)
        why = bench.do("stop", token=TOKEN)
        assert why == (None if stops else "another session")
        assert bench.events == ([("stop", None)] if stops else [])
    for wrong in ("04a1", None, 5, "zz" * 7):
        assert Bench().do("stop", token=wrong).startswith("token: ")


class Left:
    def __init__(self, token):
        self.token = token


def test_stop_ends_a_session_that_waits_to_resume():
    mine, others = b"\x04\xa1\xb2\xc3\x04\xa1\xb2", b"7654321"
    for left, holder, body, ended, stopped, why in (
        (mine, None, {}, ["remote"], True, None),
        (None, None, {"reason": "operator"}, ["operator"], True, None),
        (mine, None, {"token": TOKEN}, ["remote"], False, None),
        (others, None, {"token": TOKEN}, [], False, "another session"),
        (None, None, {"token": TOKEN}, [], False, "another session"),
        (mine, None, {"token": "04a1"}, [], False, "token: allowed 14 hex digits"),
        (mine, None, {"reason": ""}, [], False, "reason: found '', allowed a text of 1 to 32"),
        # A card was quicker than the vehicle's contact.
        (mine, others, {"token": TOKEN}, ["remote"], False, None),
        (mine, mine, {"token": TOKEN}, ["remote"], True, None),
        (mine, others, {}, ["remote"], True, None),
    ):
        bench = Bench()
        bench.left = Left(left)
        bench.session = session(holder, NOT_BEGUN)
        bench.declines = "stop: not while faulted"
        assert bench.do("stop", **body) == why
        assert bench.ended == ended
        assert bench.events == ([("stop", body.get("reason"))] if stopped else [])
    bench = Bench()
    bench.left = Left(others)
    bench.session = session(mine, NOT_BEGUN)
    assert bench.do("stop", token=TOKEN) is None
    assert bench.ended == [] and bench.events == [("stop", None)]


def test_switched_off_ends_a_session_that_waits_to_resume():
    bench = Bench()
    bench.left = Left(None)
    bench.do("available", on=True)
    assert bench.ended == []
    bench.do("available", on=False)
    assert bench.ended == ["unavailable"]


def test_an_answer_goes_to_the_card_in_question():
    bench = Bench()
    bench.asked = 9
    bench.commands.answer({"n": 9, "token": TOKEN, "verdict": "Accepted"})
    bench.commands.answer(
        {"n": 9, "token": TOKEN, "verdict": "NoCredit", "role": "service", "group": 7}
    )
    token = b"\x04\xa1\xb2\xc3\x04\xa1\xb2"
    assert bench.answers == [(token, "user", 0, "Accepted"), (token, "service", 7, "NoCredit")]


def test_an_answer_to_nothing_that_was_asked_is_refused():
    bench = Bench()
    error = raises(
        MessageError, bench.commands.answer, {"n": 9, "token": TOKEN, "verdict": "Accepted"}
    )
    assert error.why == "answer"


def test_wrong_types_in_an_answer_are_refused():
    bench = Bench()
    bench.asked = 9
    for name, wrong in (
        ("n", None),
        ("n", "9"),
        ("n", 9.0),
        ("n", True),
        ("token", None),
        ("token", 5),
        ("token", "04a1"),
        ("token", [TOKEN]),
        ("verdict", None),
        ("verdict", ""),
        ("verdict", True),
        ("verdict", "x" * 33),
        ("verdict", ["Accepted"]),
        ("role", None),
        ("role", "king"),
        ("role", {}),
        ("group", None),
        ("group", -1),
        ("group", 65_536),
        ("group", True),
    ):
        body = {"n": 9, "token": TOKEN, "verdict": "Accepted"}
        body[name] = wrong
        error = raises(MessageError, bench.commands.answer, body)
        assert error.why == "type", body
    assert bench.answers == []


def test_a_restart_keeps_nobody_waiting_for_a_card_and_ends_no_session():
    bench = Bench()
    bench.declines = "stop: not while available"
    assert bench.do("restart") is None
    assert bench.events == [("cancel_enrol",)]
    assert bench.restarts == 1


def test_selftest_begins():
    bench = Bench()
    bench.tester = Bench()  # that the point made of it
    assert bench.do("selftest", v=77) is None
    assert bench.events == [("selftest", True)]
    assert bench.tester.v == 77
    bench.declines = "selftest: not while charging"
    assert bench.do("selftest", v=78) == "selftest: not while charging"
    assert bench.tester.v == 77
