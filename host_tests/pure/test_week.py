from firmware.access.week import Week
from host_tests.pure.check import raises

DAY = 1_440
WEEK = 7 * DAY
NEVER = (1 << 24) - 1


def window(first, end):
    return f"{first:04x}{end:04x}"


def week(schedules, offsets=((0, 0),), until=NEVER):
    return Week(schedules, [list(change) for change in offsets], until)


def test_the_week_begins_on_a_monday_as_2024_did():
    held = week({"1": window(8 * 60, 18 * 60)})
    assert held.holds(1, 8 * 60) is True
    assert held.holds(1, 8 * 60 - 1) is False
    assert held.holds(1, 18 * 60 - 1) is True
    assert held.holds(1, 18 * 60) is False  # its end is the first minute that does not count
    assert held.holds(1, DAY + 12 * 60) is False  # Tuesday
    assert held.holds(1, 52 * WEEK + 12 * 60) is True


def test_several_windows_each_count_up_to_the_end_of_the_week():
    held = week({"31": window(0, 1) + window(DAY, 2 * DAY) + window(WEEK - 1, WEEK)})
    windows = (range(1), range(DAY, 2 * DAY), range(WEEK - 1, WEEK))
    for minute in range(WEEK):
        assert held.holds(31, minute) is any(minute in window for window in windows)


def test_hours_are_those_of_the_local_clock():
    for offset in (60, 120, -300, 345, 840, -720):
        held = week({"1": window(8 * 60, 9 * 60)}, ((0, offset),))
        for minute in (8 * 60, 9 * 60 - 1):
            assert held.holds(1, WEEK + minute - offset) is True
        for minute in (8 * 60 - 1, 9 * 60):
            assert held.holds(1, WEEK + minute - offset) is False


def test_the_local_clock_changes_at_its_minute():
    # Central European time in 2024: to summer on 31 March, back on 27 October, both at 01:00 UTC.
    spring, autumn = 90 * DAY + 60, 300 * DAY + 60
    held = week({"1": window(8 * 60, 9 * 60)}, ((0, 60), (spring, 120), (autumn, 60)))
    for monday, offset in ((84, 60), (91, 120), (294, 120), (301, 60)):
        assert monday % 7 == 0
        eight = monday * DAY + 8 * 60 - offset
        assert held.holds(1, eight) is True
        assert held.holds(1, eight - 1) is False
    sunday = week({"1": window(6 * DAY + 120, 6 * DAY + 180)}, ((0, 60), (spring, 120)))
    # That hour is skipped: at 02:00 it is 03:00.
    assert not any(sunday.holds(1, minute) for minute in range(90 * DAY, 91 * DAY))


def test_where_nobody_knows_the_local_time_no_schedule_holds():
    held = week({"1": window(0, WEEK)}, ((100, 0), (200, 60)), until=300)
    assert held.holds(1, 99) is None
    assert held.holds(1, 100) is True
    assert held.holds(1, 299) is True
    assert held.holds(1, 300) is None
    assert week({"1": window(0, WEEK)}, ()).holds(1, 100) is None
    assert Week({"1": window(0, WEEK)}, [[0, 0]], 0).holds(1, 100) is None


def test_a_schedule_that_is_not_here_does_not_hold():
    held = week({"2": window(0, WEEK)})
    assert held.holds(1, 100) is None
    assert held.holds(31, 100) is None
    assert week({}).holds(2, 100) is None


def test_a_schedule_without_a_window_never_holds():
    assert week({"1": ""}).holds(1, 100) is False


def test_what_is_malformed_is_named_by_its_path():
    good = window(0, 10)
    for path, schedules in (
        ("schedules: ", None),
        ("schedules: ", [good]),
        ("schedules: ", "1"),
        ("schedules.0: ", {"0": good}),
        ("schedules.32: ", {"32": good}),
        ("schedules.01: ", {"01": good}),
        ("schedules.-1: ", {"-1": good}),
        ("schedules.one: ", {"one": good}),
        ("schedules.: ", {"": good}),
        ("schedules.3: ", {"3": None}),
        ("schedules.3: ", {"3": 5}),
        ("schedules.3: ", {"3": [good]}),
        ("schedules.3: ", {"3": good[:-1]}),
        ("schedules.3: ", {"3": good[:-2]}),
        ("schedules.3: ", {"3": "zzzzzzzz"}),
        ("schedules.3: ", {"3": window(10, 10)}),
        ("schedules.3: ", {"3": window(11, 10)}),
        ("schedules.3: ", {"3": window(0, WEEK + 1)}),
        ("schedules.3: ", {"3": window(20, 30) + good}),
        ("schedules.3: ", {"3": good + window(10, 20)}),  # touching: one window in truth
        ("schedules.3: ", {"3": good + window(5, 20)}),
    ):
        error = raises(ValueError, Week, schedules, [[0, 0]], NEVER)
        assert str(error).startswith(path), (schedules, str(error))
    for path, offsets in (
        ("offsets: ", None),
        ("offsets: ", {}),
        ("offsets: ", [[i, 0] for i in range(65)]),
        ("offsets.0: ", [0]),
        ("offsets.0: ", [[]]),
        ("offsets.0: ", [[0, 0, 0]]),
        ("offsets.0: ", [[-1, 0]]),
        ("offsets.0: ", [[True, 0]]),
        ("offsets.0: ", [["0", 0]]),
        ("offsets.0: ", [[0, 1.5]]),
        ("offsets.0: ", [[1 << 30, 0]]),
        ("offsets.0: ", [[0, 1_440]]),
        ("offsets.0: ", [[0, -1_440]]),
        ("offsets.1: ", [[5, 0], [5, 60]]),
        ("offsets.1: ", [[5, 0], [4, 60]]),
    ):
        error = raises(ValueError, Week, {}, offsets, NEVER)
        assert str(error).startswith(path), (offsets, str(error))
    for until in (None, -1, "5", 1.5, True, [5], 1 << 30):
        error = raises(ValueError, Week, {}, [], until)
        assert str(error).startswith("offsets_until: ")


def test_no_more_windows_than_a_board_should_hold():
    many = "".join(window(10 * i, 10 * i + 5) for i in range(256))
    assert week({"1": many}).holds(1, 2_551) is True
    error = raises(ValueError, week, {"1": many, "2": window(0, 1)})
    assert "256" in str(error)
