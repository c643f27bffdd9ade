"""The journal, whatever lies where it should be: it starts, hands out only what was once put in,
uses no number twice, and is whole again after that."""

import json
from collections.abc import Callable

from hypothesis import strategies as st

from firmware.journal import records
from firmware.journal.journal import Journal
from host_tests.fuzz import inputs
from host_tests.fuzz.trying import fuzz
from host_tests.pure.flash_model import Files, Flash

T = 1_800_000_000
TOKEN = "0123456789abcd"
STEPS = 6


def started(group: int) -> dict:
    return {"token": TOKEN, "role": "user", "by": "card", "group": group}


def ended(n: int, wh: int) -> dict:
    return {
        "token": TOKEN,
        "role": "user",
        "by": "card",
        "session": n,
        "start": T,
        "end": T + 9,
        "wh": wh,
        "reason": "card",
    }


class Life:
    """One start of the board on a flash. `now_ms` goes on."""

    def __init__(self, flash: Flash, random: Callable[[int], bytes]):
        self.journal = Journal("journal", Files(flash), random)
        self.wrong = self.journal.load()
        self.now_ms = 0
        self.packet = 0

    def settle(self) -> None:
        for _ in range(STEPS):
            self.now_ms += 50
            self.journal.flush(self.now_ms)

    def add(self, event: str, fields: dict) -> int:
        return self.journal.add(event, fields, T, self.now_ms // 1_000)

    def all_sent(self) -> list[dict]:
        """Everything that is there, as it goes out; acknowledged."""
        bodies = []
        for _ in range(2_000):
            if not self.journal.pending:
                break
            body = self.journal.unsent()
            if body is None:
                self.settle()
                continue
            bodies.append(body)
            self.packet += 1
            self.journal.sent(body["n"], self.packet)
            self.journal.acknowledged(self.packet)
        assert self.journal.pending == 0
        self.now_ms += 61_000  # what was acknowledged is on the flash within a minute
        self.settle()
        return bodies


def lived() -> tuple[dict[str, bytes], dict[int, tuple[str, dict]]]:
    """The files of a journal that was used for a while offline, and what it holds by number."""
    flash = Flash()
    life = Life(flash, lambda n: bytes(range(1, n + 1)))
    put_in: dict[int, tuple[str, dict]] = {}

    def add(event: str, fields: dict) -> int:
        n = life.add(event, fields)
        put_in[n] = (event, fields)
        return n

    for i in range(12):
        n = add("session_started", started(i))
        add("card_refused", {"token": TOKEN, "verdict": "Unknown"})
        if i < 11:
            add("session_ended", ended(n, i))
        life.settle()
    return {path: content[0] for path, content in flash.contents.items()}, put_in


FILES, PUT_IN = lived()


@st.composite
def damaged_files(draw: st.DrawFn) -> dict[str, bytes]:
    files = dict(FILES)
    for path in draw(st.lists(st.sampled_from(sorted(files)), min_size=1, max_size=3)):
        files[path] = draw(
            st.one_of(
                inputs.damaged(st.just(FILES[path])),
                inputs.damaged(st.just(FILES[path])),
                inputs.damaged(st.sampled_from(sorted(FILES.values()))),
                st.binary(max_size=600),
            )
        )
    if draw(st.integers(0, 3)) == 0:
        files.pop(draw(st.sampled_from(sorted(FILES))), None)
    if draw(st.integers(0, 3)) == 0:
        name = draw(
            st.sampled_from(
                ("s00000001", "sffffffff", "r00000000", "s1", "S0000000a", "x", "a.new")
            )
        )
        files["journal/" + name] = draw(
            st.one_of(st.binary(max_size=40), st.sampled_from(sorted(FILES.values())))
        )
    return files


@fuzz("journal on flash", 40, damaged_files(), st.binary(min_size=4, max_size=4))
def test_a_damaged_journal_hands_out_only_what_was_put_in(
    files: dict[str, bytes], chance: bytes
) -> None:
    flash = Flash()
    flash.contents = {path: [content] for path, content in files.items()}
    life = Life(flash, lambda _: chance)
    assert life.wrong is None or (isinstance(life.wrong, str) and life.wrong)
    left = life.journal.open
    assert left is None or (left.n in PUT_IN and PUT_IN[left.n][0] == "session_started")
    life.settle()
    n = life.add("booted", {})
    life.settle()
    sent = life.all_sent()
    numbers = [body["n"] for body in sent]
    assert len(set(numbers)) == len(numbers) and n in numbers
    for body in sent:
        assert json.loads(json.dumps(body)) == body
        if body["n"] == n:
            assert body["event"] == "booted" and n not in PUT_IN
            continue
        event, fields = PUT_IN[body["n"]]
        assert body["event"] == event
        assert {key: body.get(key) for key in fields} == fields
    # Once more, and nothing is wrong any longer; numbers go on.
    again = Life(flash, lambda _: chance)
    assert again.add("booted", {}) > n
    again.settle()
    third = Life(flash, lambda _: chance)
    assert third.wrong is None or life.wrong is not None
    assert [each["event"] for each in third.all_sent()] == ["booted"]


def test_nothing_is_lost_of_a_journal_that_is_whole() -> None:
    flash = Flash()
    flash.contents = {path: [content] for path, content in FILES.items()}
    life = Life(flash, lambda n: bytes(n))
    assert life.wrong is None
    assert [body["n"] for body in life.all_sent()] == sorted(PUT_IN)


@fuzz(
    "journal on flash",
    150,
    st.one_of(
        st.binary(max_size=80),
        inputs.damaged(st.sampled_from(sorted(FILES.values()))),
        inputs.damaged(st.just(records.first(7, 3))),
    ),
    st.integers(0, 60),
)
def test_a_record_is_one_with_its_check_sum_or_none(data: bytes, at: int) -> None:
    at = min(at, len(data))
    size = records.size_at(memoryview(data), at, len(data))
    assert size == -1 or 0 <= size <= len(data) - at
    assert size <= records.MOST_BYTES
    if size > 0:
        assert records.size_at(memoryview(data), at, at + size) == size
        assert records.size_at(memoryview(data), at, at + size - 1) == -1
