"""Sending and receiving: framing, parity, CRC, collisions, commands (data sheet 9.3.1, 10.3)."""

import random

import pytest

from host_tests.chip.desk import MS, Desk
from tools.virtual.rc522 import MifareClassic
from tools.virtual.rc522 import registers as reg
from tools.virtual.rc522.crc import crc_a
from tools.virtual.rc522.crypto1 import Crypto1, successor


def test_nobody_answers_in_an_empty_field():
    desk = Desk()
    reply = desk.reqa()
    assert reply.requests & reg.TIMER_IRQ
    assert reply.data == b""
    assert reply.errors == 0


def test_transceive_never_ends_itself():
    desk = Desk()
    desk.card("deadbeef")
    reply = desk.reqa()
    assert reply.requests & reg.RX_IRQ
    assert not reply.requests & reg.IDLE_IRQ
    assert desk.read(reg.COMMAND) & 0xF == reg.TRANSCEIVE


def test_the_modem_state_goes_through_sending_and_receiving():
    desk = Desk()
    desk.card("deadbeef")
    seen = []
    desk.start(b"\x26", last_bits=7)
    while not desk.read(reg.COM_IRQ) & reg.RX_IRQ:
        state = desk.read(reg.STATUS2) & 7
        if not seen or seen[-1] != state:
            seen.append(state)
        desk.ns += 5_000
    assert seen == [3, 4, 5, 6]
    assert desk.read(reg.STATUS2) & 7 == 1
    desk.write(reg.COMMAND, reg.IDLE)
    assert desk.read(reg.STATUS2) & 7 == 0


def test_start_send_counts_only_in_transceive():
    desk = Desk()
    desk.card("deadbeef")
    desk.write(reg.FIFO_DATA, 0x26)
    desk.write(reg.BIT_FRAMING, reg.START_SEND | 7)
    assert desk.chip.next_event_ns is None
    desk.write(reg.COMMAND, reg.TRANSCEIVE)
    assert desk.chip.next_event_ns is None
    desk.write(reg.BIT_FRAMING, reg.START_SEND | 7)
    assert desk.chip.next_event_ns is not None


def test_the_next_exchange_needs_only_start_send():
    desk = Desk()
    desk.card("deadbeef")
    desk.reqa()
    desk.write(reg.COM_IRQ, 0x7F)
    desk.write(reg.FIFO_DATA, 0x93, 0x20)
    desk.write(reg.BIT_FRAMING, reg.START_SEND)
    desk.wait()
    assert desk.read_many(reg.FIFO_DATA, 5) == bytes.fromhex("deadbeef22")


def test_bytes_arrive_in_the_fifo_one_by_one():
    desk = Desk()
    desk.card("deadbeef")
    desk.reqa()
    desk.start(b"\x93\x20")
    levels = set()
    while not desk.read(reg.COM_IRQ) & reg.RX_IRQ:
        if desk.read(reg.COM_IRQ) & reg.TX_IRQ:
            levels.add(desk.read(reg.FIFO_LEVEL))
        desk.ns += 20_000
    assert levels >= {0, 1, 2, 3, 4, 5}


def test_a_host_may_fill_the_fifo_while_it_is_being_sent():
    desk = Desk()
    desk.write(reg.COM_IRQ, 0x7F)
    desk.write(reg.FIFO_DATA, *bytes(10))
    desk.write(reg.COMMAND, reg.TRANSCEIVE)
    began = desk.ns
    desk.write(reg.BIT_FRAMING, reg.START_SEND)
    desk.ns += 200_000
    desk.write(reg.FIFO_DATA, *bytes(10))
    desk.wait(reg.TX_IRQ)
    assert desk.ns - began == pytest.approx((1 + 20 * 9) * 9_439.5, abs=100)


def test_tx_wait_rf_without_a_field_waits_for_ever():
    desk = Desk()
    desk.write(reg.TX_CONTROL, 0x80)
    desk.start(b"\x26", last_bits=7)
    desk.ns += 1_000 * MS
    assert desk.read(reg.COM_IRQ) & (reg.TX_IRQ | reg.RX_IRQ | reg.TIMER_IRQ) == 0
    assert desk.read(reg.STATUS2) & 7 == 2
    desk.write(reg.TX_CONTROL, 0x83)
    desk.ns += MS
    assert desk.read(reg.COM_IRQ) & reg.TX_IRQ


def test_without_tx_wait_rf_it_sends_into_nothing():
    desk = Desk()
    desk.card("deadbeef")
    desk.write(reg.MODE, 0x1D)
    desk.write(reg.TX_CONTROL, 0x80)
    assert desk.reqa().requests & reg.TIMER_IRQ


@pytest.mark.parametrize(
    ("register", "value"),
    [
        (reg.TX_ASK, 0x00),  # no 100 % ASK
        (reg.TX_MODE, 0x10),  # 212 kbit/s
        (reg.TX_SEL, 0x00),  # drivers not modulated
        (reg.COMMAND, reg.RCV_OFF | reg.NO_CMD_CHANGE),
        (reg.RX_SEL, 0x04),  # receiver input constant
        (reg.RX_MODE, 0x20),
    ],
)
def test_a_wrong_setting_makes_the_card_silent(register, value):
    desk = Desk()
    desk.card("deadbeef")
    desk.write(register, value)
    desk.write(reg.COM_IRQ, 0x7F)
    desk.write(reg.FIFO_LEVEL, reg.FLUSH)
    desk.write(reg.FIFO_DATA, 0x26)
    receiver_off = register == reg.COMMAND
    desk.write(reg.COMMAND, reg.TRANSCEIVE | (reg.RCV_OFF if receiver_off else 0))
    desk.write(reg.BIT_FRAMING, reg.START_SEND | 7)
    desk.wait()
    assert desk.read(reg.COM_IRQ) & (reg.TIMER_IRQ | reg.RX_IRQ) == reg.TIMER_IRQ


def test_a_long_rx_wait_misses_the_answer():
    desk = Desk()
    desk.card("deadbeef")
    desk.write(reg.RX_SEL, 0x80 | 12)  # the answer begins after 9.5 bits
    assert desk.reqa().data == b""


def test_tx_crc_is_appended_and_rx_crc_taken_off():
    desk = Desk()
    card = desk.card("deadbeef")
    desk.reqa()
    desk.write(reg.TX_MODE, reg.CRC_EN)
    desk.write(reg.RX_MODE, reg.CRC_EN)
    reply = desk.exchange(b"\x93\x70" + card.cascade()[0])
    assert reply.data == b"\x08"
    assert reply.errors == 0


def test_rx_crc_over_an_answer_without_one_is_an_error():
    desk = Desk()
    desk.card("deadbeef")
    desk.reqa()
    desk.write(reg.RX_MODE, reg.CRC_EN)
    reply = desk.exchange(b"\x93\x20")
    assert reply.errors & reg.CRC_ERR
    assert reply.requests & reg.ERR_IRQ


def test_four_bit_answers_leave_four_valid_bits():
    desk = Desk()
    card = desk.card("deadbeef")
    desk.reqa()
    desk.select(card.number)
    reply = desk.command(b"\x30\x04")  # read without authentication
    assert (reply.data, reply.last_bits) == (b"\x04", 4)


def test_parity_off_turns_parity_into_data():
    desk = Desk()
    desk.card("deadbeef")
    desk.write(reg.MF_RX, reg.PARITY_DISABLE)
    reply = desk.reqa()
    bits = int.from_bytes(reply.data, "little")
    assert (len(reply.data), reply.last_bits) == (3, 2)
    assert bits == 0x04 | 0 << 8 | 0x00 << 9 | 1 << 17


def test_a_whole_authentication_over_raw_bits():
    """Both sides' parity under the cipher, sent and received by hand with parity off."""
    desk = Desk()
    card = desk.card("deadbeef")
    desk.reqa()
    desk.select(card.number)
    nonce = desk.command(b"\x60\x04").data
    cipher = Crypto1(b"\xff" * 6)
    for number, value in zip(card.number, nonce, strict=True):
        cipher.stream(number ^ value)
    first = cipher.encrypt(b"\x12\x34\x56\x78", feed=True)
    second = cipher.encrypt(successor(nonce, 64))
    bits = first.bits | second.bits << 36
    desk.write(reg.MF_RX, reg.PARITY_DISABLE)
    reply = desk.exchange(bits.to_bytes(9, "little"))
    proof = int.from_bytes(reply.data, "little")
    assert len(reply.data) * 8 - 8 + reply.last_bits == 36
    expected = cipher.encrypt(successor(nonce, 96))
    assert proof == expected.bits


def test_receivers_ignore_noise_of_three_bits_if_told_to():
    desk = Desk()
    card = desk.card("deadbeef")
    desk.write(reg.RX_MODE, reg.RX_NO_ERR)
    desk.start(b"\x26", last_bits=7)
    desk.wait(reg.TX_IRQ)
    desk.ns += 89_000 + 4 * 9_440
    desk.field.remove(card)
    assert desk.wait(reg.TIMER_IRQ | reg.RX_IRQ)
    assert not desk.read(reg.COM_IRQ) & reg.RX_IRQ


def test_with_rx_multiple_an_error_byte_follows_the_frame():
    desk = Desk()
    desk.card("deadbeef")
    desk.write(reg.RX_MODE, reg.RX_MULTIPLE)
    desk.start(b"\x26", last_bits=7)
    desk.wait(reg.RX_IRQ)
    assert desk.read_many(reg.FIFO_DATA, desk.read(reg.FIFO_LEVEL)) == b"\x04\x00\x00"
    assert desk.read(reg.STATUS2) & 7 == 5


def test_transmit_ends_itself_and_receive_takes_the_answer():
    desk = Desk()
    desk.card("deadbeef")
    desk.write(reg.COM_IRQ, 0x7F)
    desk.write(reg.FIFO_DATA, 0x26)
    desk.write(reg.BIT_FRAMING, 7)
    desk.write(reg.COMMAND, reg.TRANSMIT)
    assert desk.wait(reg.IDLE_IRQ)
    assert desk.read(reg.COM_IRQ) & reg.TX_IRQ
    desk.write(reg.COM_IRQ, 0x7F)
    desk.write(reg.COMMAND, reg.RECEIVE)
    assert desk.wait(reg.RX_IRQ)
    assert desk.read(reg.COM_IRQ) & reg.IDLE_IRQ
    assert desk.read_many(reg.FIFO_DATA, 2) == b"\x04\x00"


def test_idle_in_the_middle_of_a_frame_cuts_it_off():
    desk = Desk()
    card = desk.card("deadbeef")
    desk.reqa()
    desk.ns += MS
    desk.start(b"\x93\x20")
    desk.ns += 60_000
    desk.write(reg.COMMAND, reg.IDLE)
    desk.ns += MS
    assert desk.read(reg.FIFO_LEVEL) < 5
    assert card.state == "IDLE"


def test_a_frame_longer_than_the_fifo_overflows_it():
    desk = Desk()
    desk.card("deadbeef")
    desk.reqa()
    desk.start(b"\x93\x20")
    desk.wait(reg.TX_IRQ)
    desk.write(reg.FIFO_DATA, *bytes(62))
    desk.wait(reg.RX_IRQ)
    assert desk.read(reg.ERROR) & reg.BUFFER_OVFL
    assert desk.read(reg.FIFO_LEVEL) == 64


# Collisions


def collide(*numbers: str) -> Desk:
    desk = Desk()
    for number in numbers:
        desk.card(number)
    desk.write(reg.COLL, 0)
    assert desk.reqa().data == b"\x04\x00"
    return desk


@pytest.mark.parametrize(
    ("one", "other", "position"),
    [
        ("01000000", "00000000", 1),
        ("80000000", "00000000", 8),
        ("00010000", "00000000", 9),
        ("00000040", "00000000", 31),
        ("00000080", "00000000", 0),  # the 32nd bit
    ],
)
def test_coll_pos_counts_data_bits_from_one(one, other, position):
    desk = collide(one, other)
    reply = desk.exchange(b"\x93\x20")
    assert reply.errors == reg.COLL_ERR
    assert reply.requests & reg.RX_IRQ
    assert desk.read(reg.COLL) == position


def test_a_collision_beyond_32_bits_has_no_valid_position():
    desk = collide("11111111", "11111111")
    desk.field.cards[1].cascade = lambda: [bytes.fromhex("1111111101")]  # a broken BCC
    reply = desk.exchange(b"\x93\x20")
    assert reply.errors & reg.COLL_ERR
    assert desk.read(reg.COLL) & reg.COLL_POS_NOT_VALID


def test_values_after_the_collision_are_cleared_within_its_byte_too():
    desk = collide("0fefffff", "0fffffff")
    assert desk.exchange(b"\x93\x20").data == bytes.fromhex("0f1f000000")


def test_values_after_the_collision_are_cleared_or_kept():
    desk = collide("0f7fffff", "0fffffff")
    assert desk.exchange(b"\x93\x20").data == bytes.fromhex("0fff000000")
    desk = collide("0f7fffff", "0fffffff")
    desk.write(reg.COLL, reg.VALUES_AFTER_COLL)
    assert desk.exchange(b"\x93\x20").data[:4] == bytes.fromhex("0fffffff")


def test_no_collision_no_position():
    desk = collide("deadbeef")
    assert desk.exchange(b"\x93\x20").errors == 0
    assert desk.read(reg.COLL) & reg.COLL_POS_NOT_VALID


def test_coll_pos_counts_from_the_frame_and_its_alignment():
    """After 25 known bits only the 26th differs: 1 bit of alignment, 2nd bit of the FIFO image."""
    desk = collide("11223345", "11223347")
    reply = desk.exchange(bytes.fromhex("935111223301"), last_bits=1, align=1)
    assert reply.errors == reg.COLL_ERR
    assert desk.read(reg.COLL) == 2


def test_rx_align_puts_the_first_bit_where_the_byte_was_split():
    desk = Desk()
    card = desk.card("a5c3f00f")
    own = card.cascade()[0]
    for known in range(1, 33):
        desk.reqa()
        if not desk.read(reg.FIFO_LEVEL) and card.state != "READY":
            desk.reqa()
        whole, rest = divmod(known, 8)
        sent = own[: whole + (rest > 0)]
        reply = desk.exchange(bytes([0x93, (whole + 2) << 4 | rest]) + sent, rest, rest)
        assert reply.errors == 0, known
        first = reply.data[0] | own[whole] & ((1 << rest) - 1)
        assert bytes([first]) + reply.data[1:] == own[whole:], known
        assert reply.data[0] & ((1 << rest) - 1) == 0


def test_different_kinds_collide_in_atqa():
    desk = Desk()
    desk.card("11223344")
    desk.card("11223355", kind="classic4k")
    reply = desk.reqa()
    assert reply.errors == reg.COLL_ERR
    assert reply.data[0] & 0x06


def test_an_answer_without_its_end_is_no_whole_byte():
    desk = Desk()
    card = desk.card("deadbeef")
    desk.reqa()
    desk.start(b"\x93\x20")
    desk.wait(reg.TX_IRQ)
    desk.ns += 89_000 + 13 * 9_440  # twelve of its bits are out
    desk.field.remove(card)
    desk.wait(reg.RX_IRQ | reg.TIMER_IRQ)
    assert desk.read(reg.COM_IRQ) & reg.RX_IRQ
    assert 0 < desk.read(reg.FIFO_LEVEL) < 5
    assert desk.read(reg.CONTROL) & 7


# Air times (start of the reader's frame to the card's last bit; one more bit until RxIRq)

BIT_US = 128 / 13.56


def air_us(reply) -> float:
    return reply.at_ns / 1_000 - BIT_US


def test_the_air_times_of_a_four_byte_number():
    desk = Desk()
    card = desk.card("deadbeef")
    assert air_us(desk.reqa()) == pytest.approx(344.2, abs=0.1)
    desk.ns += MS
    assert air_us(desk.exchange(b"\x93\x20")) == pytest.approx(702.9, abs=0.1)
    desk.ns += MS
    part = b"\x93\x70" + card.cascade()[0]
    assert air_us(desk.exchange(part + crc_a(part))) == pytest.approx(1127.7, abs=0.1)


def test_the_air_times_of_authentication_reading_and_writing():
    desk = Desk()
    card = desk.card("deadbeef")
    desk.reqa()
    desk.select(card.number)
    desk.ns += MS
    authentication = air_us(desk.authenticate(card.number, 4))
    assert authentication == pytest.approx(787.8 + 86.4 + 1127.7, abs=12)
    desk.ns += MS
    assert air_us(desk.command(b"\x30\x04")) == pytest.approx(1977.2, abs=0.1)
    desk.ns += MS
    assert air_us(desk.command(b"\xa0\x04")) == pytest.approx(485.8, abs=0.1)
    desk.ns += MS
    second = air_us(desk.command(bytes(16)))
    assert 1675.1 + 2_000 < second < 1675.1 + 4_000  # and the EEPROM


def test_two_frames_keep_the_frame_delay_time_between_them():
    desk = Desk()
    desk.card("deadbeef")
    desk.reqa()
    began = desk.ns
    reply = desk.exchange(b"\x93\x20")  # at once after RxIRq, one bit after the last bit
    assert air_us(reply) == pytest.approx(702.9 + 86.4 - BIT_US, abs=0.1)
    assert desk.ns - began == reply.at_ns


def test_the_first_edge_of_an_answer_comes_after_165_us():
    desk = Desk()
    desk.card("deadbeef")
    began = desk.ns
    desk.start(b"\x26", last_bits=7)
    while desk.read(reg.STATUS2) & 7 != 6:
        desk.step()
    assert (desk.ns - began) / 1_000 == pytest.approx(164.8, abs=0.1)


def test_a_whole_selection_by_air_alone():
    """Guard times included: 2,347.6 us for 4 bytes, 4,351.0 for 7, 6,354.4 for 10."""
    for number, expected in (("deadbeef", 2347.6), ("04a1b2c3d4e5f6", 4351.0)):
        desk = Desk()
        desk.field.place(MifareClassic(bytes.fromhex(number), rng=random.Random(1)))
        desk.ns += 5 * MS
        began = desk.ns
        desk.reqa()
        found, _ = desk.anticollision()
        assert found == bytes.fromhex(number)
        assert (desk.ns - began) / 1_000 - BIT_US == pytest.approx(expected, abs=1)


def test_what_was_wrong_is_told_at_the_end_of_the_frame():
    desk = collide("01000000", "00000000")
    desk.ns += MS
    desk.start(b"\x93\x20")
    desk.wait(reg.TX_IRQ)
    desk.ns += 300_000
    assert desk.read(reg.FIFO_LEVEL) > 0
    assert not desk.read(reg.COM_IRQ) & reg.ERR_IRQ
    assert desk.wait(reg.ERR_IRQ)
    assert desk.read(reg.COM_IRQ) & reg.RX_IRQ
