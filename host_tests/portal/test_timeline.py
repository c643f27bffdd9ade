"""What a charger's own counting becomes in UTC seconds."""

from hypothesis import given
from hypothesis import strategies as st

from tools.portal.timeline import NEW_JOURNAL, Boot, Timeline, boots

T = 1_780_000_000


def times(*said) -> Timeline:
    return Timeline(boots(said))


def test_one_event_that_knows_the_time_says_all_of_its_start():
    found = times((7, 5, None, None), (7, 100, T, None), (7, 160, None, None))
    assert [found.at(7, up) for up in (5, 100, 160)] == [
        (T - 95, False), (T, False), (T + 60, False),
    ]  # fmt: skip


def test_a_start_without_a_clock_follows_the_one_before_it():
    found = times((7, 100, T, None), (7, 130, None, None), (8, 50, None, None))
    assert found.at(8, 20) == (T + 30 + 20, True)


def test_its_own_lower_bound_counts_where_it_is_later():
    found = times((7, 100, T, None), (8, 50, None, T + 600), (8, 80, None, T + 640))
    assert found.at(8, 0) == (T + 560, True)


def test_it_is_over_before_the_next_one_begins():
    found = times((7, 100, T, None), (8, 500, None, T + 9_000), (9, 10, T + 1_000, None))
    assert found.at(8, 500) == (T + 990, True)
    assert found.at(8, 0) == (T + 490, True)


def test_without_any_lower_bound_it_ends_as_the_next_one_begins():
    found = times((7, 50, None, None), (8, 60, None, None), (9, 10, T, None))
    assert found.at(8, 60) == (T - 10, True)
    assert found.at(7, 50) == (T - 10 - 60, True)


def test_with_nothing_else_it_was_when_it_was_received():
    found = Timeline([Boot(7).heard(50, None, None, received_at=T).heard(20, None, None, T - 5)])
    assert found.at(7, 50) == (T, True)


def test_a_time_of_the_future_is_none():
    found = Timeline([Boot(7).heard(50, T + 3_600, None, T).heard(60, T + 60, None, T + 70)])
    assert found.at(7, 50) == (T + 50, False)


def test_another_journal_bounds_nothing():
    far = NEW_JOURNAL + 8
    found = times((8, 10, T, None), (far, 10, None, T - 9_000), (2 * far, 10, T - 5_000, None))
    assert found.at(far, 10) == (T - 9_000, True)


def test_a_start_that_nobody_has_heard_of_has_no_time():
    assert times((7, 5, T, None)).at(8, 5) is None


up = st.integers(0, 10_000)
maybe = st.none() | st.integers(T, T + 100_000)
said = st.lists(st.tuples(st.integers(1, 12), up, st.none(), maybe), min_size=1, max_size=30)


@given(said, st.dictionaries(st.integers(1, 12), up), st.randoms())
def test_estimates_never_run_backwards_whatever_was_heard_in_whatever_order(said, known, random):
    """`known`: starts whose time is known, each some while after the one before."""
    life = [(boot, up, T + 50_000 * boot + up, None) for boot, up in known.items()]
    everything = said + life
    found = times(*everything)
    random.shuffle(everything)
    assert times(*everything).began == found.began
    ups = {boot: each.up for boot, each in found.boots.items()}
    order = [(boot, at) for boot in sorted(ups) for at in sorted({0, ups[boot] // 2, ups[boot]})]
    estimated = [found.at(*each) for each in order]
    moments = [each[0] for each in estimated if each]
    assert moments == sorted(moments)
