"""FIFO, level alarms, interrupt requests, errors and the IRQ pin (data sheet 8.3, 8.4, 9.3.1)."""

import pytest

from host_tests.chip.desk import Desk
from tools.virtual.rc522 import registers as reg


def test_the_fifo_holds_64_bytes_and_reports_the_65th():
    desk = Desk()
    desk.write(reg.FIFO_DATA, *range(64))
    assert not desk.read(reg.ERROR)
    desk.write(reg.FIFO_DATA, 99)
    assert desk.read(reg.ERROR) == reg.BUFFER_OVFL
    assert desk.read(reg.COM_IRQ) & reg.ERR_IRQ
    assert desk.read(reg.FIFO_LEVEL) == 64
    assert desk.read_many(reg.FIFO_DATA, 64) == bytes(range(64))


def test_flush_empties_the_fifo_and_clears_the_overflow():
    desk = Desk()
    desk.write(reg.FIFO_DATA, *range(65))
    desk.write(reg.FIFO_LEVEL, reg.FLUSH)
    assert desk.read(reg.FIFO_LEVEL) == 0
    assert not desk.read(reg.ERROR)


@pytest.mark.parametrize(
    ("water", "level", "high", "low"),
    [(8, 0, 0, 1), (8, 8, 0, 1), (8, 9, 0, 0), (8, 55, 0, 0), (8, 56, 1, 0), (63, 1, 1, 1)],
)
def test_the_level_alarms_follow_the_water_level(water, level, high, low):
    desk = Desk()
    desk.write(reg.WATER_LEVEL, water)
    desk.write(reg.FIFO_DATA, *bytes(level))
    status = desk.read(reg.STATUS1)
    assert (bool(status & reg.HI_ALERT), bool(status & reg.LO_ALERT)) == (bool(high), bool(low))
    desk.write(reg.COM_IRQ, 0x7F)
    requests = desk.read(reg.COM_IRQ)
    assert bool(requests & reg.HI_ALERT_IRQ) == bool(high)
    assert bool(requests & reg.LO_ALERT_IRQ) == bool(low)


def test_an_alarm_that_is_over_stays_requested_until_it_is_cleared():
    desk = Desk()
    desk.write(reg.FIFO_DATA, *bytes(60))
    desk.write(reg.FIFO_LEVEL, reg.FLUSH)
    assert desk.read(reg.COM_IRQ) & reg.HI_ALERT_IRQ
    desk.write(reg.COM_IRQ, reg.HI_ALERT_IRQ)
    assert not desk.read(reg.COM_IRQ) & reg.HI_ALERT_IRQ


def test_requests_are_set_with_set1_and_cleared_without():
    desk = Desk()
    desk.write(reg.COM_IRQ, 0x7F)
    desk.write(reg.COM_IRQ, reg.SET1 | reg.TIMER_IRQ | reg.RX_IRQ)
    assert desk.read(reg.COM_IRQ) == reg.TIMER_IRQ | reg.RX_IRQ | reg.LO_ALERT_IRQ
    desk.write(reg.COM_IRQ, reg.RX_IRQ)
    assert desk.read(reg.COM_IRQ) == reg.TIMER_IRQ | reg.LO_ALERT_IRQ
    desk.write(reg.DIV_IRQ, reg.SET2 | reg.CRC_IRQ)
    assert desk.read(reg.DIV_IRQ) == reg.CRC_IRQ
    desk.write(reg.DIV_IRQ, reg.CRC_IRQ)
    assert desk.read(reg.DIV_IRQ) == 0


def test_an_unknown_command_falls_back_to_idle_and_says_so():
    desk = Desk()
    desk.write(reg.COM_IRQ, 0x7F)
    desk.write(reg.COMMAND, 0x5)
    assert desk.read(reg.COMMAND) & 0xF == reg.IDLE
    assert desk.read(reg.COM_IRQ) & reg.IDLE_IRQ


def test_idle_written_by_the_host_is_no_request():
    desk = Desk()
    desk.write(reg.COMMAND, reg.TRANSCEIVE)
    desk.write(reg.COM_IRQ, 0x7F)
    desk.write(reg.COMMAND, reg.IDLE)
    assert not desk.read(reg.COM_IRQ) & reg.IDLE_IRQ


def test_no_cmd_change_leaves_the_command_running():
    desk = Desk()
    desk.write(reg.COMMAND, reg.TRANSCEIVE)
    desk.write(reg.COMMAND, reg.RCV_OFF | reg.NO_CMD_CHANGE)
    assert desk.read(reg.COMMAND) == reg.RCV_OFF | reg.TRANSCEIVE


def test_a_command_clears_the_errors_of_the_one_before():
    desk = Desk()
    desk.write(reg.FIFO_DATA, *range(65))
    desk.write(reg.COMMAND, reg.TRANSCEIVE)
    assert not desk.read(reg.ERROR)


@pytest.mark.parametrize(("inverted", "idle_level"), [(True, 1), (False, 0)])
def test_the_irq_pin_shows_enabled_requests_only(inverted, idle_level):
    desk = Desk()
    desk.write(reg.COM_IRQ, 0x7F)
    enable = reg.TIMER_IRQ | (reg.IRQ_INV if inverted else 0)
    desk.write(reg.COM_IEN, enable)
    desk.write(reg.COM_IRQ, reg.SET1 | reg.RX_IRQ)
    assert desk.chip.irq == idle_level
    assert not desk.read(reg.STATUS1) & reg.IRQ_BIT
    desk.write(reg.COM_IRQ, reg.SET1 | reg.TIMER_IRQ)
    assert desk.chip.irq == 1 - idle_level
    assert desk.read(reg.STATUS1) & reg.IRQ_BIT
    desk.write(reg.COM_IRQ, reg.TIMER_IRQ)
    assert desk.chip.irq == idle_level


def test_the_crc_request_reaches_the_irq_pin_too():
    desk = Desk()
    desk.write(reg.DIV_IEN, 0x80 | reg.CRC_IRQ)
    desk.write(reg.FIFO_DATA, 1, 2, 3)
    desk.write(reg.COMMAND, reg.CALC_CRC)
    assert desk.chip.irq == 1
    desk.step()
    assert desk.chip.irq == 0


def test_the_next_event_tells_when_the_pin_will_change():
    desk = Desk()
    desk.write(reg.COM_IEN, 0x80 | reg.TIMER_IRQ)
    desk.write(reg.COM_IRQ, 0x7F)
    desk.write(reg.CONTROL, reg.T_START_NOW)
    due = desk.chip.next_event_ns
    assert due is not None
    desk.ns = due - 1
    assert desk.chip.irq == 1
    desk.ns = due
    assert desk.chip.irq == 0


def test_writing_the_fifo_between_sending_and_receiving_is_a_write_error():
    desk = Desk()
    desk.start(b"\x26", last_bits=7)
    desk.wait(reg.TX_IRQ)
    desk.write(reg.FIFO_DATA, 0)
    assert desk.read(reg.ERROR) == reg.WR_ERR


def test_the_fifo_is_closed_during_authentication():
    desk = Desk()
    card = desk.card("deadbeef")
    desk.reqa()
    desk.select(card.number)
    desk.start(b"\x60\x04" + b"\xff" * 6 + card.number, command=reg.MF_AUTHENT)
    desk.write(reg.FIFO_DATA, 1)
    assert desk.read(reg.ERROR) == reg.WR_ERR
    assert desk.read(reg.FIFO_LEVEL) == 0
