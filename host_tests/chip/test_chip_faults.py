"""The ways in which a reader fails in the field."""

import pytest

from host_tests.chip.desk import MS, Desk
from tools.virtual.rc522 import registers as reg


def test_a_deaf_chip_answers_for_itself_but_hears_no_card():
    desk = Desk()
    desk.card("deadbeef")
    desk.chip.fault = "deaf"
    assert not desk.reqa().data
    assert desk.read(reg.VERSION) == 0x92
    desk.chip.fault = "none"
    assert desk.wupa().data or desk.wupa().data


@pytest.mark.parametrize("level", [0x00, 0xFF])
def test_a_dead_chip_holds_its_line(level):
    desk = Desk()
    desk.chip.dead_level = level
    desk.chip.fault = "dead"
    assert desk.read(reg.VERSION) == level
    desk.write(reg.MODE, 0x00)
    desk.chip.fault = "none"
    assert desk.read(reg.MODE) == 0x3D


def test_a_chip_that_was_unplugged_comes_back_as_new():
    desk = Desk()
    desk.write(reg.MODE, 0x3D)
    desk.chip.dead_level = 0xFF
    desk.chip.fault = "unplugged"
    assert desk.read(reg.VERSION) == 0xFF
    desk.chip.power(True)
    assert desk.read(reg.VERSION) == 0xFF
    desk.chip.fault = "none"
    desk.ns += 40 * MS
    assert desk.read(reg.MODE) == 0x3F
    assert desk.read(reg.VERSION) == 0x92


def test_noise_flips_bits_of_answers():
    desk = Desk()
    card = desk.card("deadbeef")
    desk.chip.fault = "noise"
    answers = []
    for _ in range(40):
        desk.write(reg.TX_CONTROL, 0x80)
        desk.write(reg.TX_CONTROL, 0x83)
        desk.ns += 5 * MS
        reply = desk.reqa()
        assert reply.requests & reg.RX_IRQ
        answers.append((reply.data, bool(reply.errors)))
    assert len(set(answers)) > 3
    assert any(errors for _, errors in answers)
    desk.chip.fault = "none"
    desk.write(reg.TX_CONTROL, 0x80)
    desk.write(reg.TX_CONTROL, 0x83)
    desk.ns += 5 * MS
    assert desk.reqa().data == card.atqa


def test_a_brownout_loses_the_settings_and_the_field_without_a_word():
    desk = Desk()
    card = desk.card("deadbeef")
    desk.reqa()
    desk.select(card.number)
    desk.chip.fault = "brownout"
    assert desk.chip.fault == "none"
    assert desk.read(reg.TX_CONTROL) == 0x80
    assert desk.read(reg.MODE) == 0x3F
    assert desk.read(reg.VERSION) == 0x92
    desk.start(b"\x26", last_bits=7)
    assert not desk.wait()  # neither an answer nor the timer, ever
    desk.write(reg.COMMAND, reg.IDLE)
    desk.set_up()
    desk.ns += 5 * MS
    assert desk.reqa().data


@pytest.mark.parametrize("cure", ["soft", "hard"])
def test_a_stuck_receiver_needs_a_reset(cure):
    desk = Desk()
    desk.card("deadbeef")
    desk.chip.fault = "stuck"
    assert not desk.reqa().data
    desk.write(reg.STATUS2, 0)
    assert desk.crypto_on
    desk.set_up()
    assert not desk.reqa().data
    if cure == "soft":
        desk.write(reg.COMMAND, reg.SOFT_RESET)
    else:
        desk.chip.reset_pin(0)
        desk.chip.reset_pin(1)
    desk.ns += MS
    desk.set_up()
    desk.ns += 5 * MS
    assert not desk.crypto_on
    assert desk.chip.fault == "none"
    assert desk.reqa().data


def test_an_unknown_fault_is_refused():
    with pytest.raises(ValueError, match="cracked"):
        Desk().chip.fault = "cracked"
