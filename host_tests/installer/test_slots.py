"""Which slot an update goes to, for every state that a board may be found in."""

import itertools

from tools.installer.slots import Wanted, named, plan

NEW = Wanted(b"new" * 1000, "0.3.0")


def entry(slot: str, version: str = "0.1.0") -> dict:
    return {"run": slot, "sha256": f"{version:0>64}", "bytes": 3000, "version": version}


def state(runs: dict, proven: bool = True, before: dict | None = None) -> dict:
    return {**runs, "proven": proven, "starts": 0, "before": before, "gave_up": None}


def test_a_fresh_board_gets_slot_a_and_nothing_to_go_back_to():
    found = plan(NEW, None, set())
    assert found.slot == "a" and found.first is None
    assert found.after == state(NEW.entry("a"), proven=False)


def test_what_works_stays_beside_the_update():
    found = plan(NEW, state(entry("a")), {"a"})
    assert found.slot == "b" and found.first is None
    assert found.after == state(NEW.entry("b"), proven=False, before=entry("a"))


def test_what_runs_already_is_left_alone():
    there = state(NEW.entry("b"), proven=False, before=entry("a"))
    assert plan(NEW, there, {"a", "b"}) == (None, None, there)


def test_an_update_in_the_middle_of_a_trial_goes_over_what_is_on_trial():
    there = state(entry("b", "0.2.0"), proven=False, before=entry("a"))
    found = plan(NEW, there, {"a", "b"})
    assert found.slot == "b"
    assert found.first == state(entry("a"))
    assert found.after == state(NEW.entry("b"), proven=False, before=entry("a"))


def test_back_to_the_version_before_in_the_middle_of_a_trial_writes_nothing():
    there = state(entry("b", "0.2.0"), proven=False, before=NEW.entry("a"))
    assert plan(NEW, there, {"a", "b"}) == (None, state(NEW.entry("a")), state(NEW.entry("a")))


def test_a_version_that_never_proved_itself_is_nothing_to_go_back_to():
    found = plan(NEW, state(entry("a"), proven=False), {"a"})
    assert found.slot == "b" and found.after["before"] is None


def test_a_damaged_slot_is_written_over_and_the_whole_one_kept():
    there = state(entry("b", "0.2.0"), proven=True, before=entry("a"))
    found = plan(NEW, there, {"a"})
    assert found.slot == "b" and found.first == state(entry("a"))
    assert plan(NEW, state(entry("b")), set()).slot == "a"


def test_what_is_known_to_work_is_never_written_over():
    for slot, proven, other, whole, same in itertools.product(
        "ab", (False, True), (False, True), ("", "a", "b", "ab"), (False, True)
    ):
        before = entry("b" if slot == "a" else "a", "0.0.9") if other else None
        runs = NEW.entry(slot) if same else entry(slot)
        there = state(runs, proven, before)
        found = plan(NEW, there, set(whole))
        works = (
            slot
            if proven and slot in whole
            else before and before["run"] in whole and before["run"]
        )
        assert found.slot is None or found.slot != works
        if works and found.slot:
            assert found.after["before"]["run"] == works
            assert (found.first or there)["run"] == works


def test_nonsense_in_the_file_is_a_fresh_board():
    for found in ({}, {"run": "c"}, {"run": "a", "bytes": -1, "sha256": "x"}, {"run": ["a"]}):
        assert named(found) == []
        assert plan(NEW, found, set()).slot == "a"
