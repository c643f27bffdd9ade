"""Every way in which drivers wait works, and the known faults of drivers show."""

import pytest

from host_tests.chip.desk import MS, Desk
from tools.virtual.rc522 import registers as reg

POLL_NS = 40_000  # one SPI frame on the board


def poll(desk: Desk, register: int, bits: int, limit: int = 2_000) -> int:
    """Read until one of `bits` shows; how many reads it took, or `limit`."""
    for count in range(1, limit + 1):
        desk.ns += POLL_NS
        if desk.read(register) & bits:
            return count
    return limit


def test_polling_the_requests():
    desk = Desk()
    desk.card("deadbeef")
    desk.start(b"\x26", last_bits=7)
    assert poll(desk, reg.COM_IRQ, reg.RX_IRQ) < 15


def test_waiting_for_the_irq_pin():
    desk = Desk()
    desk.card("deadbeef")
    desk.write(reg.COM_IEN, reg.IRQ_INV | reg.RX_IRQ | reg.TIMER_IRQ)
    desk.write(reg.DIV_IEN, 0x80)
    desk.start(b"\x26", last_bits=7)
    assert desk.chip.irq == 1
    while desk.chip.irq:
        desk.ns += POLL_NS
    assert desk.read(reg.COM_IRQ) & reg.RX_IRQ


def test_waiting_for_status1_irq():
    desk = Desk()
    desk.card("deadbeef")
    desk.write(reg.COM_IEN, reg.IRQ_INV | reg.RX_IRQ)
    desk.start(b"\x26", last_bits=7)
    assert poll(desk, reg.STATUS1, reg.IRQ_BIT) < 15


def test_waiting_for_the_fifo_level():
    desk = Desk()
    desk.card("deadbeef")
    desk.start(b"\x26", last_bits=7)
    desk.wait(reg.TX_IRQ)
    assert poll(desk, reg.FIFO_LEVEL, 2) < 15
    assert desk.read_many(reg.FIFO_DATA, 2) == b"\x04\x00"


def test_waiting_for_the_high_alert():
    desk = Desk()
    desk.card("deadbeef")
    desk.write(reg.WATER_LEVEL, 63)
    desk.start(b"\x26", last_bits=7)
    desk.wait(reg.TX_IRQ)
    desk.write(reg.COM_IRQ, reg.HI_ALERT_IRQ)
    assert poll(desk, reg.COM_IRQ, reg.HI_ALERT_IRQ) < 15


def test_a_clock_of_ones_own_with_the_timer_off():
    desk = Desk()
    desk.write(reg.T_MODE, 0x00)
    desk.start(b"\x26", last_bits=7)
    began = desk.ns
    while desk.ns - began < 25 * MS:
        desk.ns += POLL_NS
        assert not desk.read(reg.COM_IRQ) & (reg.RX_IRQ | reg.IDLE_IRQ | reg.TIMER_IRQ)
    desk.card("deadbeef")
    assert desk.reqa().data


def test_one_look_long_after_it_was_over():
    desk = Desk()
    desk.card("deadbeef")
    desk.start(b"\x26", last_bits=7)
    desk.ns += 500 * MS
    assert desk.read(reg.COM_IRQ) & reg.RX_IRQ
    assert desk.read_many(reg.FIFO_DATA, 2) == b"\x04\x00"


def test_registers_changed_by_reading_them_first():
    """Idle never written, requests cleared by writing back what was read, StartSend added to it."""
    desk = Desk()
    desk.card("deadbeef")
    for data, last_bits, expected in ((b"\x26", 7, 2), (b"\x93\x20", 0, 5)):
        desk.write(reg.BIT_FRAMING, last_bits)
        desk.write(reg.COM_IRQ, desk.read(reg.COM_IRQ) & ~0x80)
        desk.write(reg.FIFO_LEVEL, desk.read(reg.FIFO_LEVEL) | 0x80)
        for value in data:
            desk.write(reg.FIFO_DATA, value)
        desk.write(reg.COMMAND, reg.TRANSCEIVE)
        desk.write(reg.BIT_FRAMING, desk.read(reg.BIT_FRAMING) | 0x80)
        assert poll(desk, reg.COM_IRQ, 0x30) < 30
        desk.write(reg.BIT_FRAMING, desk.read(reg.BIT_FRAMING) & ~0x80)
        assert desk.read(reg.FIFO_LEVEL) == expected
        desk.read_many(reg.FIFO_DATA, expected)


def test_the_bitwise_not_makes_an_empty_poll_two_thousand_reads():
    """`~((i != 0) and ~(n & 0x01) and ~(n & 0x30))`: the timer never ends this loop."""
    desk = Desk()
    before = desk.chip.frames
    desk.start(b"\x26", last_bits=7)
    started = desk.chip.frames
    i = 2_000
    while True:
        desk.ns += POLL_NS
        n = desk.read(reg.COM_IRQ)
        i -= 1
        if ~(bool(i) and ~(n & 0x01) and ~(n & 0x30)):
            break
    assert n & reg.TIMER_IRQ
    assert desk.chip.frames - started == 2_000
    assert desk.chip.frames > before


def test_a_number_cut_to_four_bytes_begins_with_the_cascade_tag():
    desk = Desk()
    desk.card("04a1b2c3d4e5f6")
    desk.reqa()
    cut = desk.exchange(b"\x93\x20").data[:4]
    assert cut == bytes.fromhex("8804a1b2")


def test_a_card_that_is_not_halted_is_missed_every_second_time():
    desk = Desk()
    card = desk.card("deadbeef")
    seen = []
    for _ in range(4):
        seen.append(bool(desk.reqa().data))
        if seen[-1]:
            desk.select(card.number)
    assert seen == [True, False, True, False]


def test_forgetting_the_field_guard_time_misses_slow_cards():
    desk = Desk()
    desk.card("deadbeef", start_up_ns=4 * MS)
    hits = 0
    for wait_ms in (1, 5):
        desk.write(reg.TX_CONTROL, 0x80)
        desk.ns += MS
        desk.write(reg.TX_CONTROL, 0x83)
        desk.ns += wait_ms * MS
        hits += bool(desk.reqa().data)
        assert hits == (wait_ms == 5)


def test_a_collision_position_taken_from_the_number_makes_no_progress():
    """With three cards the second collision lies before what is known, counted from the frame."""
    desk = Desk()
    for number in ("11223344", "11223345", "11223347"):
        desk.card(number)
    desk.write(reg.COLL, 0)
    desk.reqa()
    desk.exchange(b"\x93\x20")
    known = desk.read(reg.COLL) & 0x1F
    assert known == 25
    desk.exchange(bytes.fromhex("935111223301"), last_bits=1, align=1)
    assert desk.read(reg.COLL) & 0x1F <= known


def test_a_poll_that_ends_before_the_answer_sees_nothing():
    desk = Desk()
    desk.card("deadbeef")
    desk.start(b"\x26", last_bits=7)
    desk.ns += 300_000
    assert not desk.read(reg.COM_IRQ) & reg.RX_IRQ


@pytest.mark.parametrize("order", ["fifo first", "command first"])
def test_the_fifo_may_be_filled_before_or_after_the_command(order):
    desk = Desk()
    desk.card("deadbeef")
    desk.write(reg.COM_IRQ, 0x7F)
    if order == "fifo first":
        desk.write(reg.FIFO_DATA, 0x26)
    desk.write(reg.COMMAND, reg.TRANSCEIVE)
    if order == "command first":
        desk.write(reg.FIFO_DATA, 0x26)
    desk.write(reg.BIT_FRAMING, 0x87)
    desk.wait()
    assert desk.read(reg.FIFO_LEVEL) == 2
