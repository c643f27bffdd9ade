"""The timer unit (data sheet 8.5, 9.3.3.10 to 9.3.3.12)."""

import pytest

from host_tests.chip.desk import Desk
from tools.virtual.rc522 import registers as reg


def run_out(desk: Desk) -> float:
    """Microseconds from TStartNow to TimerIRq."""
    desk.write(reg.COM_IRQ, 0x7F)
    began = desk.ns
    desk.write(reg.CONTROL, reg.T_START_NOW)
    assert desk.read(reg.STATUS1) & reg.T_RUNNING
    assert desk.wait(reg.TIMER_IRQ)
    return (desk.ns - began) / 1_000


def program(desk: Desk, prescaler: int, reload: int, mode: int = 0) -> None:
    desk.write(reg.T_MODE, mode | prescaler >> 8)
    desk.write(reg.T_PRESCALER, prescaler & 0xFF)
    desk.write(reg.T_RELOAD_H, reload >> 8)
    desk.write(reg.T_RELOAD_L, reload & 0xFF)


@pytest.mark.parametrize(
    ("prescaler", "reload", "microseconds"),
    [(0xA9, 1000, 25_025.0), (0xD3E, 30, 15_502.3), (0xA9, 39, 1_000.0), (0, 0, 0.0737)],
)
def test_the_time_is_two_prescalers_and_one_by_reload_and_one(prescaler, reload, microseconds):
    desk = Desk()
    program(desk, prescaler, reload)
    assert run_out(desk) == pytest.approx(microseconds, abs=0.1)


def test_version_2_can_count_even_prescalers():
    desk = Desk()
    program(desk, 0xA9, 999)
    desk.write(reg.DEMOD, 0x5D)
    assert run_out(desk) == pytest.approx(340 * 1000 / 13.56, abs=0.1)
    old = Desk(version=0x91)
    program(old, 0xA9, 999)
    old.write(reg.DEMOD, 0x5D)
    assert run_out(old) == pytest.approx(25_000, abs=0.1)


def test_the_counter_counts_down_and_stands_at_zero():
    desk = Desk()
    program(desk, 0xA9, 1000)
    desk.write(reg.CONTROL, reg.T_START_NOW)
    desk.ns += 10 * 25_000 + 100
    counter = desk.read(reg.T_COUNTER_H) << 8 | desk.read(reg.T_COUNTER_L)
    assert counter == 990
    desk.ns += 30_000_000
    assert desk.read(reg.T_COUNTER_H) << 8 | desk.read(reg.T_COUNTER_L) == 0
    assert not desk.read(reg.STATUS1) & reg.T_RUNNING


def test_t_stop_now_keeps_the_value_and_requests_nothing():
    desk = Desk()
    program(desk, 0xA9, 1000)
    desk.write(reg.COM_IRQ, 0x7F)
    desk.write(reg.CONTROL, reg.T_START_NOW)
    desk.ns += 5 * 25_000 + 100
    desk.write(reg.CONTROL, reg.T_STOP_NOW)
    desk.ns += 100_000_000
    assert desk.read(reg.T_COUNTER_H) << 8 | desk.read(reg.T_COUNTER_L) == 995
    assert not desk.read(reg.COM_IRQ) & reg.TIMER_IRQ


def test_auto_restart_requests_again_and_again():
    desk = Desk()
    program(desk, 0xA9, 39, mode=reg.T_AUTO_RESTART)
    desk.write(reg.CONTROL, reg.T_START_NOW)
    for _ in range(3):
        desk.write(reg.COM_IRQ, 0x7F)
        began = desk.ns
        assert desk.wait(reg.TIMER_IRQ)
        assert desk.ns - began == pytest.approx(1_000_000, abs=100)
    assert desk.read(reg.STATUS1) & reg.T_RUNNING


def test_a_new_reload_value_counts_from_the_next_start():
    desk = Desk()
    program(desk, 0xA9, 39)
    began = desk.ns
    desk.write(reg.COM_IRQ, 0x7F)
    desk.write(reg.CONTROL, reg.T_START_NOW)
    program(desk, 0xA9, 3999)
    desk.wait(reg.TIMER_IRQ)
    assert desk.ns - began == pytest.approx(1_000_000, abs=100)


def test_t_auto_starts_at_the_end_of_sending_and_ends_nothing():
    desk = Desk()
    program(desk, 0xA9, 39, mode=reg.T_AUTO)
    desk.start(b"\x26", last_bits=7)
    desk.wait(reg.TX_IRQ)
    sent = desk.ns
    assert desk.wait(reg.TIMER_IRQ)
    assert desk.ns - sent == pytest.approx(1_000_000, abs=100)
    assert desk.read(reg.COMMAND) & 0xF == reg.TRANSCEIVE
    assert not desk.read(reg.COM_IRQ) & (reg.RX_IRQ | reg.IDLE_IRQ)


def test_t_auto_stops_with_the_fifth_bit_received():
    desk = Desk()
    desk.card("deadbeef")
    program(desk, 0xA9, 6, mode=reg.T_AUTO)  # 175 us; the answer goes on from 89 to 269 us
    reply = desk.reqa()
    assert reply.data == b"\x04\x00"
    assert not reply.requests & reg.TIMER_IRQ
    assert not desk.read(reg.STATUS1) & reg.T_RUNNING


def test_a_timer_that_runs_out_before_the_fifth_bit_does_not_stop_the_answer():
    desk = Desk()
    desk.card("deadbeef")
    program(desk, 0xA9, 4, mode=reg.T_AUTO)  # 125 us, the fifth bit is over after 136
    desk.start(b"\x26", last_bits=7)
    desk.wait(reg.RX_IRQ)
    assert desk.read(reg.COM_IRQ) & reg.TIMER_IRQ
    assert desk.read(reg.FIFO_LEVEL) == 2


def test_with_rx_multiple_the_timer_goes_on():
    desk = Desk()
    desk.card("deadbeef")
    desk.write(reg.RX_MODE, reg.RX_MULTIPLE)
    desk.start(b"\x26", last_bits=7)
    desk.wait(reg.RX_IRQ)
    assert desk.read(reg.STATUS1) & reg.T_RUNNING


def test_without_t_auto_the_timer_is_left_alone():
    desk = Desk()
    program(desk, 0xA9, 39)
    desk.start(b"\x26", last_bits=7)
    desk.ns += 50_000_000
    assert desk.read(reg.COM_IRQ) & (reg.TIMER_IRQ | reg.RX_IRQ | reg.IDLE_IRQ) == 0
