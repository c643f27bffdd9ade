"""Waits between attempts to connect."""

from firmware.link.backoff import Backoff


def test_waits_double_from_one_second_to_a_minute():
    low = Backoff(lambda: 0.0)
    high = Backoff(lambda: 0.999999)
    lows = [low.wait_ms() for _ in range(8)]
    highs = [high.wait_ms() for _ in range(8)]
    assert lows == [1000, 2000, 4000, 8000, 16000, 30000, 30000, 30000]
    assert highs == [1999, 3999, 7999, 15999, 31999, 59999, 59999, 59999]


def test_a_reset_starts_again():
    backoff = Backoff(lambda: 0.0)
    for _ in range(5):
        backoff.wait_ms()
    backoff.reset()
    assert backoff.wait_ms() == 1000


def test_two_chargers_do_not_wait_alike():
    numbers = iter((0.1, 0.9, 0.2, 0.7))
    one = Backoff(lambda: next(numbers))
    other = Backoff(lambda: next(numbers))
    assert one.wait_ms() != other.wait_ms()
    assert one.wait_ms() != other.wait_ms()
