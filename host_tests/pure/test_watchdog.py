from time import ticks_add  # pyright: ignore[reportAttributeAccessIssue]

from firmware.hardware.watchdog import Watchdog


class _Timer:
    def __init__(self):
        self.fed = 0

    def feed(self):
        self.fed += 1


def test_it_is_fed_while_every_task_beats():
    timer = _Timer()
    dog = Watchdog(timer)
    beats = [dog.task("reader", 500), dog.task("link", 500)]
    for now_ms in range(0, 5_000, 100):
        for beat in beats:
            beat()
        assert dog.feed(now_ms) is True
    assert timer.fed == 50


def test_a_start_that_takes_its_time_is_fed_through_and_makes_no_task_late():
    timer = _Timer()
    dog = Watchdog(timer)
    dog.task("reader", 500)
    for _ in range(20):
        dog.starting()
    assert timer.fed == 20
    assert dog.feed(60_000) is True


def test_it_starves_when_one_task_is_late():
    timer = _Timer()
    dog = Watchdog(timer)
    alive = dog.task("reader", 500)
    dog.task("link", 500)
    fed = []
    for now_ms in range(0, 1_000, 100):
        alive()
        fed.append(dog.feed(now_ms))
    assert fed == [True] * 6 + [False] * 4
    assert timer.fed == 6


def test_each_task_has_its_own_limit():
    timer = _Timer()
    dog = Watchdog(timer)
    dog.task("slow", 10_000)
    dog.task("quick", 100)
    dog.feed(0)
    dog.feed(200)
    assert dog.late(200) == ["quick"]


def test_the_late_ones_are_named():
    dog = Watchdog(_Timer())
    dog.task("reader", 500)
    beat = dog.task("link", 500)
    dog.task("light", 500)
    dog.feed(0)
    assert dog.late(400) == []
    beat()
    assert dog.late(600) == ["reader", "light"]


def test_a_task_that_beats_again_is_forgiven():
    timer = _Timer()
    dog = Watchdog(timer)
    beat = dog.task("reader", 500)
    dog.feed(0)
    assert dog.feed(1_000) is False
    beat()
    assert dog.late(1_000) == []
    assert dog.feed(1_100) is True


def test_a_task_that_never_beats_has_its_limit_from_the_first_feed():
    dog = Watchdog(_Timer())
    dog.task("reader", 500)
    assert dog.feed(100_000) is True
    assert dog.feed(100_500) is True
    assert dog.feed(100_501) is False


def test_after_forgetting_the_tasks_it_is_fed_without_them():
    timer = _Timer()
    dog = Watchdog(timer)
    dog.task("reader", 500)
    dog.feed(0)
    assert dog.feed(1_000) is False
    dog.forget()
    assert dog.feed(1_100) is True
    assert dog.late(1_100) == []


def test_without_a_beat_no_wrap_of_the_ticks_brings_it_back():
    timer = _Timer()
    dog = Watchdog(timer)
    dog.task("reader", 500)
    now_ms = 0
    dog.feed(now_ms)
    for _ in range(20):
        now_ms = ticks_add(now_ms, 1 << 27)
        assert dog.feed(now_ms) is False
    assert timer.fed == 1


def test_the_wrap_of_the_ticks_is_not_seen():
    dog = Watchdog(_Timer())
    beat = dog.task("reader", 500)
    now_ms = ticks_add(0, -1_000)
    for _ in range(20):
        beat()
        assert dog.feed(now_ms) is True
        now_ms = ticks_add(now_ms, 100)
    assert dog.late(now_ms) == []
