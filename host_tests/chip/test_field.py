"""Cards that come and go, in the middle of a frame too, and a field that goes off."""

import random

import pytest

from host_tests.chip.desk import MS, Desk
from tools.virtual.rc522 import MifareClassic, Phone
from tools.virtual.rc522 import registers as reg

ANSWER_BEGINS_NS = 90_000  # a little after TxIRq and (1,300 + 39 - 128) carrier periods


def ready_card(number: str) -> MifareClassic:
    return MifareClassic(bytes.fromhex(number), start_up_ns=0, rng=random.Random(1))


def test_a_card_placed_during_a_frame_has_not_heard_its_beginning():
    desk = Desk()
    desk.start(b"\x26", last_bits=7)
    desk.ns += 30_000
    card = ready_card("deadbeef")
    desk.field.place(card)
    desk.wait()
    assert desk.read(reg.FIFO_LEVEL) == 0
    assert card.state == "IDLE"


def test_a_card_removed_during_a_frame_does_not_answer():
    desk = Desk()
    card = desk.card("deadbeef")
    desk.start(b"\x26", last_bits=7)
    desk.ns += 30_000
    desk.field.remove(card)
    desk.wait()
    assert desk.read(reg.FIFO_LEVEL) == 0


def test_a_card_removed_before_its_answer_begins_says_nothing():
    desk = Desk()
    card = desk.card("deadbeef")
    desk.start(b"\x26", last_bits=7)
    desk.wait(reg.TX_IRQ)
    desk.ns += 40_000
    desk.field.remove(card)
    desk.wait()
    assert desk.read(reg.COM_IRQ) & reg.TIMER_IRQ
    assert desk.read(reg.FIFO_LEVEL) == 0


@pytest.mark.parametrize("bits", range(1, 18))
def test_a_card_removed_in_its_answer_is_heard_up_to_there(bits):
    desk = Desk()
    card = desk.card("deadbeef")
    desk.start(b"\x26", last_bits=7)
    desk.wait(reg.TX_IRQ)
    desk.ns += ANSWER_BEGINS_NS + (1 + bits) * 9_440
    desk.field.remove(card)
    desk.wait()
    assert desk.read(reg.COM_IRQ) & reg.RX_IRQ
    level, last = desk.read(reg.FIFO_LEVEL), desk.read(reg.CONTROL) & 7
    whole, rest = divmod(bits, 9)
    assert (level, last) == (whole + (rest > 0), rest % 8)


def test_the_other_card_is_heard_alone_once_one_has_gone():
    desk = Desk()
    desk.card("0f0f0f0f")
    leaving = desk.card("0f0ff0f0")
    desk.reqa()
    desk.ns += MS
    desk.start(b"\x93\x20")
    desk.wait(reg.TX_IRQ)
    desk.ns += ANSWER_BEGINS_NS + 19 * 9_440  # two equal bytes are out
    desk.field.remove(leaving)
    desk.wait()
    assert desk.read(reg.ERROR) == 0
    assert desk.read_many(reg.FIFO_DATA, 5) == bytes.fromhex("0f0f0f0f00")


def test_a_card_forgets_its_state_without_a_field():
    desk = Desk()
    card = desk.card("deadbeef")
    desk.reqa()
    desk.select(card.number)
    desk.halt()
    desk.write(reg.TX_CONTROL, 0x80)
    desk.ns += MS
    desk.write(reg.TX_CONTROL, 0x83)
    desk.ns += 5 * MS
    assert desk.reqa().data == b"\x04\x00"


def test_a_halted_card_taken_away_and_put_back_is_idle():
    desk = Desk()
    card = desk.card("deadbeef")
    desk.reqa()
    desk.select(card.number)
    desk.halt()
    desk.field.remove(card)
    desk.field.place(card)
    desk.ns += 5 * MS
    assert desk.reqa().data


def test_the_field_going_off_cuts_an_answer():
    desk = Desk()
    desk.card("deadbeef")
    desk.start(b"\x26", last_bits=7)
    desk.wait(reg.TX_IRQ)
    desk.ns += ANSWER_BEGINS_NS + 11 * 9_440
    desk.write(reg.TX_CONTROL, 0x80)
    desk.wait()
    assert (desk.read(reg.FIFO_LEVEL), desk.read(reg.CONTROL) & 7) == (2, 1)


def test_a_card_is_in_the_field_once():
    desk = Desk()
    card = desk.card("deadbeef")
    with pytest.raises(ValueError, match="already"):
        desk.field.place(card)
    desk.field.remove(card)
    with pytest.raises(ValueError, match="not in the field"):
        desk.field.remove(card)
    assert desk.field.cards == []


def test_two_equal_cards_look_like_one():
    desk = Desk()
    desk.card("deadbeef")
    desk.card("deadbeef")
    desk.reqa()
    assert desk.anticollision() == (bytes.fromhex("deadbeef"), 0x08)


def test_a_phone_shows_a_new_random_number_at_each_field():
    desk = Desk()
    desk.field.place(Phone(rng=random.Random(4)))
    seen = set()
    for _ in range(5):
        desk.ns += 5 * MS
        assert desk.reqa().data == b"\x04\x00"
        number, sak = desk.anticollision()
        assert (number[0], sak) == (0x08, 0x20)
        seen.add(number)
        desk.write(reg.TX_CONTROL, 0x80)
        desk.write(reg.TX_CONTROL, 0x83)
    assert len(seen) == 5


def test_a_phone_keeps_its_number_while_the_field_is_on():
    desk = Desk()
    desk.field.place(Phone(rng=random.Random(4)))
    desk.ns += 5 * MS
    desk.reqa()
    number, _ = desk.anticollision()
    desk.halt()
    desk.wupa()
    assert desk.anticollision()[0] == number


def test_a_phone_speaks_iso_dep():
    desk = Desk()
    desk.field.place(Phone(rng=random.Random(4)))
    desk.ns += 5 * MS
    desk.reqa()
    desk.anticollision()
    ats = desk.command(b"\xe0\x50").data
    assert ats[0] == len(ats) - 2
    assert desk.command(b"\xc2").data[:1] == b"\xc2"
    assert not desk.reqa().data
    assert desk.wupa().data
