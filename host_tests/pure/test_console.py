"""Lines that are typed at the console while the charger runs (firmware/console.py)."""

import json

from firmware import console as hearing
from host_tests.pure.loading import Stand


class _Console:
    """`typed`: what lies there to be read; b"" at the end of it once `over`."""

    def __init__(self, tester=None, declined=None):
        self.typed = b""
        self.over = False
        self.registered = True
        self.happened = []
        self.said = []
        self._declined = declined
        self.point = Stand(tester=tester, happened=self._happened)
        hearing.sys = Stand(stdin=Stand(buffer=self), modules={})
        hearing.print = self.said.append
        hearing._line = b""

    def ipoll(self, ms):
        assert ms == 0
        return (1,) if self.typed or self.over else ()

    def unregister(self, stream):
        self.registered = False

    def read(self, size):
        one, self.typed = self.typed[:size], self.typed[size:]
        return one

    def _happened(self, event):
        self.happened.append(event)
        return self._declined

    def look(self, typed=b""):
        self.typed += typed
        hearing.hear(self.point, self)
        return self

    def hear(self, typed):
        """All of it, in as many looks as that takes."""
        self.look(typed)
        while self.typed:
            self.look()
        return self


SELFTEST = ("selftest", True)


def test_a_line_begins_the_self_test_once_whatever_ends_it():
    for typed in (b"selftest\n", b"selftest\r", b"selftest\r\n", b"\r\n\nselftest\r\n"):
        assert _Console().hear(typed).happened == [SELFTEST], typed


def test_it_may_come_in_pieces_and_is_not_carried_out_before_its_end():
    console = _Console()
    for piece in (b"self", b"", b"te", b"st"):
        assert console.look(piece).happened == []
    assert console.look(b"\n").happened == [SELFTEST]


def test_why_it_is_declined_is_said():
    console = _Console(declined="selftest: not while charging")
    (line,) = console.hear(b"selftest\n").said
    assert json.loads(line) == {"selftest": "declined", "why": "selftest: not while charging"}


def test_stop_ends_a_self_test_and_no_session():
    assert _Console(tester=object()).hear(b"stop\n").happened == [("stop", None)]
    assert _Console().hear(b"stop\n").happened == []


def test_nothing_else_is_answered():
    for typed in (b"help", b"selftest ", b"Selftest", b"xselftest", b"selftestx", b"\xff\x00"):
        console = _Console().hear(typed + b"\n")
        assert (console.happened, console.said) == ([], []), typed


def test_a_line_without_end_takes_no_memory_and_the_next_one_counts():
    console = _Console().hear(b"selftest" * 500)
    assert len(hearing._line) <= 16
    assert console.hear(b"\nselftest\n").happened == [SELFTEST]


def test_a_flood_takes_no_more_than_its_share_of_a_look():
    console = _Console().look(b"x" * 1_000)
    assert len(console.typed) == 1_000 - 32
    console = _Console().look(b"selftest\n" * 3)
    assert console.happened == [SELFTEST]


def test_where_nobody_can_type_it_looks_no_more():
    console = _Console()
    console.over = True
    console.look(b"")
    assert not console.registered
