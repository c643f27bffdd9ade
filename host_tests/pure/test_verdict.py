"""Verdicts on allow-list entries, and who may stop whose session."""

from firmware.access import verdict
from firmware.access.verdict import in_force, is_withdrawn, judge, may_stop, role_of

OWNER, USER, SERVICE, NO_ROLE = 0, 1, 2, 3  # flags bits 0-1
BLOCKED = 4
NOW = 1_000_000
SCHEDULE_5 = 5 << 3


def _judge(
    role=USER,
    valid_from=0,
    valid_until=0,
    more_flags=0,
    now: int | None = NOW,
    clock_set=True,
    too_old=False,
    service_may_start=False,
    in_schedule=verdict.never,
):
    entry = (0, valid_from, valid_until, role | more_flags)
    return judge(entry, now, clock_set, too_old, service_may_start, in_schedule)


def test_a_card_that_is_not_listed_is_unknown():
    assert judge(None, NOW, True, False, False) == "Unknown"
    assert judge(None, None, False, False, True) == "Unknown"


def test_users_and_owners_are_accepted_whenever_nothing_bounds_them():
    for role in (USER, OWNER):
        assert _judge(role) == "Accepted"
        assert _judge(role, now=None, clock_set=False) == "Accepted"


def test_a_service_card_starts_nothing_unless_the_settings_say_so():
    assert _judge(SERVICE) == "Invalid"
    assert _judge(SERVICE, service_may_start=True) == "Accepted"


def test_what_is_wrong_with_a_service_card_comes_before_its_role():
    assert _judge(SERVICE, valid_until=NOW) == "Expired"
    assert _judge(SERVICE, more_flags=BLOCKED) == "Blocked"


def test_a_number_that_names_no_role_is_nobody():
    assert _judge(NO_ROLE) == "Unknown"
    assert _judge(NO_ROLE, service_may_start=True) == "Unknown"


def test_blocked_comes_before_everything():
    assert _judge(more_flags=BLOCKED) == "Blocked"
    assert _judge(more_flags=BLOCKED, valid_until=1, too_old=True) == "Blocked"
    assert _judge(more_flags=BLOCKED | SCHEDULE_5, now=None, clock_set=False) == "Blocked"


def test_a_list_too_old_lets_nobody_in():
    for role in (OWNER, USER, SERVICE):
        assert _judge(role, too_old=True, service_may_start=True) == "ListTooOld"
    assert judge(None, NOW, True, True, False) == "ListTooOld"


def test_a_permission_holds_from_its_first_minute_until_the_one_that_ends_it():
    assert _judge(valid_from=NOW + 1) == "NotAtThisTime"
    assert _judge(valid_from=NOW) == "Accepted"
    assert _judge(valid_until=NOW + 1) == "Accepted"
    assert _judge(valid_until=NOW) == "Expired"
    assert _judge(valid_until=NOW - 1) == "Expired"


def test_without_any_idea_of_the_time_a_bounded_permission_is_refused():
    assert _judge(valid_until=NOW, now=None, clock_set=False) == "ClockUnknown"
    assert _judge(valid_from=1, now=None, clock_set=False) == "ClockUnknown"
    assert _judge(more_flags=SCHEDULE_5, now=None, clock_set=False) == "ClockUnknown"


def test_an_expired_card_stays_expired_by_the_lower_bound():
    assert _judge(valid_until=NOW, clock_set=False) == "Expired"


def test_a_permission_is_held_against_the_lower_bound_while_the_clock_is_not_set():
    assert _judge(valid_from=NOW, valid_until=NOW + 1, clock_set=False) == "Accepted"


def test_whether_a_permission_has_begun_is_unknown_below_its_beginning():
    assert _judge(valid_from=NOW + 1, clock_set=False) == "ClockUnknown"


def test_a_schedule_needs_a_clock_that_is_set():
    always = lambda schedule, now_min: True  # noqa: E731
    assert _judge(more_flags=SCHEDULE_5, clock_set=False, in_schedule=always) == "ClockUnknown"
    assert _judge(more_flags=SCHEDULE_5, in_schedule=always) == "Accepted"


def test_a_schedule_is_asked_with_its_number_and_the_minute():
    asked = []

    def in_schedule(schedule, now_min):
        asked.append((schedule, now_min))
        return False

    assert _judge(more_flags=SCHEDULE_5, in_schedule=in_schedule) == "NotAtThisTime"
    assert _judge(more_flags=31 << 3, in_schedule=in_schedule) == "NotAtThisTime"
    assert asked == [(5, NOW), (31, NOW)]


def test_a_schedule_that_nobody_knows_lets_nobody_in():
    assert _judge(more_flags=SCHEDULE_5) == "NotAtThisTime"


def test_an_expired_card_is_expired_whatever_its_schedule():
    assert _judge(more_flags=SCHEDULE_5, valid_until=NOW) == "Expired"


def test_roles_come_from_the_lowest_two_bits():
    names = [role_of((0, 0, 0, flags)) for flags in (0xFC, 0xFD, 0xFE, 0xFF)]
    assert names == ["owner", "user", "service", None]
    assert role_of(None) is None


def test_a_session_is_withdrawn_by_removal_and_by_blocking():
    assert is_withdrawn(None, NOW, True)
    assert is_withdrawn((0, 0, 0, USER | BLOCKED), NOW, True)
    assert not is_withdrawn((0, 0, 0, USER), NOW, True)


def test_a_session_outlives_the_end_of_its_permission_but_not_an_end_moved_before_its_start():
    assert not is_withdrawn((0, 0, NOW + 1, USER), NOW, True)
    assert is_withdrawn((0, 0, NOW, USER), NOW, True)
    assert is_withdrawn((0, NOW + 1, 0, USER), NOW, True)


def test_a_session_outlives_its_hours_but_not_a_schedule_without_its_start():
    assert not is_withdrawn((0, 0, 0, USER | SCHEDULE_5), NOW, True, lambda *_: True)
    assert is_withdrawn((0, 0, 0, USER | SCHEDULE_5), NOW, True, lambda *_: False)


def test_a_session_that_began_at_an_unknown_time_is_not_withdrawn_for_that():
    assert not is_withdrawn((0, 0, NOW, USER), None, False)
    assert not is_withdrawn((0, 0, 0, SERVICE), None, False)


HOLDER = (b"own", 7, "user", "card")


def test_the_same_card_stops_its_session_even_when_it_could_not_start_one_now():
    for now in ("Accepted", "Expired", "NotAtThisTime", "ClockUnknown", "ListTooOld", "Unknown"):
        assert may_stop(HOLDER, b"own", "user", 7, now) == "card", now


def test_a_blocked_card_stops_nothing_not_even_its_own_session():
    assert may_stop(HOLDER, b"own", "user", 7, "Blocked") is None
    for role in ("owner", "service", "user"):
        assert may_stop(HOLDER, b"other", role, 7, "Blocked") is None


def test_a_card_of_the_same_group_stops_the_session():
    assert may_stop(HOLDER, b"mate", "user", 7, "Accepted") == "group"
    assert may_stop(HOLDER, b"mate", "user", 8, "Accepted") is None


def test_cards_without_a_group_are_no_group():
    assert may_stop((b"own", 0, "user", "card"), b"other", "user", 0, "Accepted") is None


def test_owners_and_service_stop_any_session():
    for holder in (HOLDER, None):
        assert may_stop(holder, b"boss", "owner", 0, "Accepted") == "owner"
        assert may_stop(holder, b"tech", "service", 0, "Invalid") == "service"
        assert may_stop(holder, b"tech", "service", 0, "Accepted") == "service"


def test_a_right_from_the_list_needs_a_card_that_is_in_force():
    for now in (
        "Expired",
        "NotAtThisTime",
        "ClockUnknown",
        "ListTooOld",
        "Unknown",
        "RandomNumber",
    ):
        assert may_stop(HOLDER, b"mate", "user", 7, now) is None
        assert may_stop(HOLDER, b"boss", "owner", 0, now) is None
        assert may_stop(HOLDER, b"tech", "service", 0, now) is None
        assert not in_force("service", now)


def test_invalid_is_a_right_for_service_cards_alone():
    assert in_force("service", "Invalid")
    for role in ("user", "owner", None):
        assert not in_force(role, "Invalid")
        assert may_stop(HOLDER, b"mate", role, 7, "Invalid") is None


def test_no_number_is_nobodys_card():
    assert may_stop((None, 0, "user", "remote"), None, None, 0, "RandomNumber") is None


def test_a_session_that_nobody_holds_has_no_own_card():
    assert may_stop(None, b"any", "user", 7, "Accepted") is None
