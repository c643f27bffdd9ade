from time import ticks_add  # pyright: ignore[reportAttributeAccessIssue]

from firmware.hardware.contactor import STUCK_OPEN, WELDED, Contactor
from host_tests.pure.heap import without_heap


class _Coil:
    def __init__(self):
        self.level = 1
        self.writes = []

    def __call__(self, level):
        self.level = level
        self.writes.append(level)


class _Rig:
    """A contactor whose contacts follow the coil after `lag_ms`, or hang; time by the check."""

    def __init__(self, feedback=True, lag_ms=40, begin_ms=0):
        self.coil = _Coil()
        self.allowed = True
        self.hang: int | None = None  # the contacts' position, whatever the coil does
        self.lag_ms = lag_ms
        self.now_ms = begin_ms
        self._contacts = 0
        self._moving_ms = 0
        self.contactor = Contactor(
            self.coil, self._feedback if feedback else None, lambda: self.allowed
        )

    def _feedback(self):
        return self._contacts if self.hang is None else self.hang

    def run(self, ms):
        """Check every 10 ms; return the last answer."""
        fault = self.contactor.fault
        for _ in range(ms // 10):
            self.now_ms = ticks_add(self.now_ms, 10)
            if self._contacts != self.coil.level:
                self._moving_ms += 10
                if self._moving_ms >= self.lag_ms:
                    self._contacts = self.coil.level
            else:
                self._moving_ms = 0
            fault = self.contactor.check(self.now_ms)
        return fault


def test_the_coil_is_off_from_the_start():
    rig = _Rig()
    assert rig.coil.level == 0
    assert not rig.contactor.closed


def test_it_closes_with_the_interlocks_leave():
    rig = _Rig()
    assert rig.contactor.close() is True
    assert rig.coil.level == 1
    assert rig.contactor.closed
    assert rig.run(5_000) is None
    assert rig.coil.level == 1


def test_it_does_not_close_without_the_interlock():
    rig = _Rig()
    rig.allowed = False
    assert rig.contactor.close() is False
    rig.run(1_000)
    assert 1 not in rig.coil.writes


def test_an_interlock_that_fails_is_a_no():
    rig = _Rig()
    rig.contactor.interlock = lambda: 1 // 0
    assert rig.contactor.close() is False
    assert 1 not in rig.coil.writes


def test_it_opens_at_the_first_check_without_the_interlock():
    rig = _Rig()
    rig.contactor.close()
    rig.run(1_000)
    rig.allowed = False
    rig.run(10)
    assert rig.coil.level == 0
    assert not rig.contactor.closed


def test_after_the_interlock_alone_opened_it_waits_before_it_closes_again():
    rig = _Rig()
    rig.contactor.close()
    rig.run(1_000)
    rig.allowed = False
    rig.run(10)
    rig.allowed = True
    rig.run(4_980)
    assert rig.coil.level == 0
    rig.run(40)
    assert rig.coil.level == 1


def test_a_flapping_interlock_does_not_make_the_coil_chatter():
    rig = _Rig()
    rig.contactor.close()
    for _ in range(1_000):
        rig.allowed = not rig.allowed
        rig.run(20)
    assert rig.contactor.operations <= 5, rig.contactor.operations


def test_a_close_that_came_too_early_is_made_good_when_it_may():
    rig = _Rig()
    rig.contactor.close()
    rig.run(1_000)
    rig.contactor.open()
    assert rig.contactor.close() is False
    rig.run(90)
    assert rig.coil.level == 0
    rig.run(30)
    assert rig.coil.level == 1


def test_a_close_that_was_withdrawn_is_not_made_good():
    rig = _Rig()
    rig.allowed = False
    rig.contactor.close()
    rig.contactor.open()
    rig.allowed = True
    rig.run(10_000)
    assert 1 not in rig.coil.writes


def test_a_new_order_after_an_ordered_opening_is_not_held_up():
    rig = _Rig()
    rig.contactor.close()
    rig.run(1_000)
    rig.contactor.open()
    rig.run(120)
    assert rig.contactor.close() is True


def test_opening_drives_the_pin_each_time():
    rig = _Rig()
    rig.coil.level = 1  # whoever did that
    rig.contactor.open()
    rig.contactor.open()
    assert rig.coil.level == 0


def test_operations_are_counted():
    rig = _Rig()
    for _ in range(3):
        rig.contactor.close()
        rig.contactor.close()
        rig.run(500)
        rig.contactor.open()
        rig.run(500)
    assert rig.contactor.operations == 3


def test_welded_contacts_are_a_fault_after_their_time():
    rig = _Rig()
    rig.contactor.close()
    rig.run(1_000)
    rig.hang = 1
    rig.contactor.open()
    assert rig.run(100) is None
    assert rig.run(60) == WELDED


def test_welded_contacts_are_found_at_the_start():
    rig = _Rig()
    rig.hang = 1
    assert rig.run(200) == WELDED
    assert rig.contactor.close() is False
    assert rig.coil.level == 0


def test_a_contactor_that_comes_loose_is_good_again_after_a_second():
    rig = _Rig()
    rig.hang = 1
    rig.run(200)
    rig.hang = None
    assert rig.run(900) == WELDED
    assert rig.run(200) is None
    assert rig.contactor.close() is True


def test_contacts_that_do_not_close_take_the_coils_supply_away():
    rig = _Rig()
    rig.hang = 0
    rig.contactor.close()
    assert rig.run(100) is None
    assert rig.run(60) == STUCK_OPEN
    assert rig.coil.level == 0


def test_contacts_that_fall_off_in_mid_session_are_a_fault():
    rig = _Rig()
    rig.contactor.close()
    rig.run(3_000)
    rig.hang = 0
    assert rig.run(50) == STUCK_OPEN
    assert rig.coil.level == 0


def test_a_contactor_that_does_not_close_is_tried_ever_more_seldom():
    rig = _Rig()
    rig.hang = 0
    rig.contactor.close()
    tries = []
    for _ in range(4):
        rig.run(60_000)
        tries.append(rig.contactor.operations)
    # Pauses of 5, 10, 20, 40, 80 s, and 0.15 s of each try.
    assert tries == [4, 5, 6, 6], tries


def test_ordering_it_open_does_not_shorten_the_pause_after_a_failure():
    rig = _Rig()
    rig.hang = 0
    rig.contactor.close()
    rig.run(200)
    rig.contactor.open()
    rig.contactor.close()
    rig.run(4_000)
    assert rig.contactor.operations == 1


def test_a_contactor_that_closed_again_has_its_failures_forgotten():
    rig = _Rig()
    rig.hang = 0
    rig.contactor.close()
    rig.run(15_000)  # failed at 0, 5 and 15 s
    rig.hang = None
    rig.run(30_000)
    assert rig.contactor.closed
    tries = rig.contactor.operations
    rig.hang = 0
    rig.run(5_500)
    assert rig.contactor.operations == tries + 1


def test_after_an_ordered_opening_the_interlocks_pause_is_over():
    rig = _Rig()
    rig.contactor.close()
    rig.run(1_000)
    rig.allowed = False
    rig.run(10)
    rig.contactor.open()
    rig.allowed = True
    rig.run(150)
    assert rig.contactor.close() is True


def test_a_short_disturbance_of_the_feedback_is_no_fault():
    rig = _Rig()
    rig.contactor.close()
    rig.run(1_000)
    for _ in range(20):
        rig.hang = 0
        rig.run(20)
        rig.hang = None
        rig.run(50)
    assert rig.contactor.fault is None
    assert rig.coil.level == 1


def test_a_slow_contactor_is_no_fault_within_its_time():
    rig = _Rig(lag_ms=90)
    for _ in range(3):
        rig.contactor.close()
        assert rig.run(500) is None
        rig.contactor.open()
        assert rig.run(500) is None


def test_without_feedback_there_is_nothing_to_compare():
    rig = _Rig(feedback=False)
    rig.hang = 0
    assert rig.contactor.close() is True
    assert rig.run(1_000) is None
    rig.allowed = False
    rig.run(10)
    assert rig.coil.level == 0


def test_the_wrap_of_the_ticks_is_not_seen():
    rig = _Rig(begin_ms=ticks_add(0, -500))
    rig.contactor.close()
    assert rig.run(1_000) is None
    assert rig.coil.level == 1
    rig.contactor.open()
    assert rig.run(1_000) is None
    assert rig.contactor.close() is True


def test_checking_the_contactor_allocates_nothing():
    contactor = Contactor(_ignore, lambda: 0, lambda: True)
    for now_ms in range(0, 500, 10):
        without_heap(contactor.check, now_ms)
    assert contactor.fault is None


def _ignore(level):
    pass
