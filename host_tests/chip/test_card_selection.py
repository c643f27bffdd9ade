"""Cards up to their selection (ISO/IEC 14443-3, 6.3 to 6.5; AN10833 for ATQA and SAK)."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from host_tests.chip.desk import MS, Desk, levels
from tools.virtual.rc522 import MifareClassic, Phone
from tools.virtual.rc522 import registers as reg
from tools.virtual.rc522.crc import crc_a


@pytest.mark.parametrize(
    ("number", "kind", "atqa", "sak"),
    [
        ("deadbeef", "classic1k", "0400", 0x08),
        ("deadbeef", "classic4k", "0200", 0x18),
        ("04a1b2c3d4e5f6", "classic1k", "4400", 0x08),
        ("04a1b2c3d4e5f6", "classic4k", "4200", 0x18),
        ("04112233445566778899", "classic1k", "8400", 0x08),
    ],
)
def test_each_type_shows_its_atqa_and_sak(number, kind, atqa, sak):
    desk = Desk()
    desk.card(number, kind)
    assert desk.reqa().data.hex() == atqa
    assert desk.anticollision() == (bytes.fromhex(number), sak)


@pytest.mark.parametrize("number", ["deadbeef", "04a1b2c3d4e5f6", "04112233445566778899"])
def test_each_level_has_its_cascade_tag_bcc_and_sak(number):
    desk = Desk()
    desk.card(number)
    desk.reqa()
    parts = levels(bytes.fromhex(number))
    for n, part in enumerate(parts):
        code = 0x93 + 2 * n
        reply = desk.exchange(bytes([code, 0x20]))
        assert reply.data == part
        assert part[0] ^ part[1] ^ part[2] ^ part[3] == part[4]
        sak = desk.command(bytes([code, 0x70]) + part).data
        assert sak == (b"\x04\xda\x17" if part is not parts[-1] else b"\x08\xb6\xdd")


def test_a_four_byte_number_may_begin_with_the_cascade_tag():
    desk = Desk()
    desk.card("88112233")
    desk.reqa()
    assert desk.exchange(b"\x93\x20").data == bytes.fromhex("8811223388")
    assert desk.select(bytes.fromhex("88112233")).data[0] == 0x08


def test_numbers_of_other_lengths_are_refused():
    with pytest.raises(ValueError, match="5 bytes"):
        MifareClassic(bytes(5))


def test_reqa_wakes_idle_cards_and_wupa_halted_ones():
    desk = Desk()
    card = desk.card("deadbeef")
    assert desk.reqa().data
    desk.select(card.number)
    desk.halt()
    assert card.state == "HALT"
    assert not desk.reqa().data
    assert desk.wupa().data
    assert (card.state, card.starred) == ("READY", True)
    desk.select(card.number)
    assert (card.state, card.starred) == ("ACTIVE", True)


@pytest.mark.parametrize("request_code", [0x26, 0x52])
def test_an_active_card_drops_at_a_request_and_answers_the_next(request_code):
    desk = Desk()
    card = desk.card("deadbeef")
    desk.reqa()
    desk.select(card.number)
    answers = [bool(desk.exchange(bytes([request_code]), 7).data) for _ in range(4)]
    assert answers == [False, True, False, True]


def test_a_card_woken_from_halt_falls_back_to_halt():
    desk = Desk()
    card = desk.card("deadbeef")
    desk.reqa()
    desk.select(card.number)
    desk.halt()
    desk.wupa()
    assert not desk.reqa().data
    assert card.state == "HALT"


@pytest.mark.parametrize(
    "frame",
    [
        "95 20",  # another cascade level
        "93 70 deadbeef 22 0000",  # wrong CRC
        "93 70 deadbee0 22 ????",  # somebody else's number
        "93 70 deadbeef 23 ????",  # wrong BCC
        "93 15",  # impossible NVB
        "93 30 df",  # eight bits that do not match
        "30 04 ????",
    ],
)
def test_anything_out_of_order_drops_a_ready_card(frame):
    desk = Desk()
    card = desk.card("deadbeef")
    desk.reqa()
    data = bytes.fromhex(frame.replace("????", ""))
    if "????" in frame:
        data += crc_a(data)
    assert desk.exchange(data).data == b""
    assert card.state == "IDLE"


def test_halt_with_a_wrong_crc_halts_nobody():
    desk = Desk()
    card = desk.card("deadbeef")
    desk.reqa()
    desk.select(card.number)
    desk.exchange(b"\x50\x00\x57\xce")
    assert card.state == "IDLE"


def test_only_cards_with_matching_bits_answer():
    desk = Desk()
    one, other = desk.card("11223344"), desk.card("11a23344")
    desk.reqa()
    reply = desk.exchange(bytes.fromhex("933f1122")[:1] + b"\x40" + b"\x11\x22")
    assert reply.errors == 0
    assert reply.data == one.cascade()[0][2:]
    assert (one.state, other.state) == ("READY", "IDLE")


def test_a_card_needs_its_start_up_time():
    desk = Desk()
    card = MifareClassic(bytes.fromhex("deadbeef"), start_up_ns=5 * MS)
    desk.field.place(card)
    desk.ns += 5 * MS - 10_000
    assert not desk.reqa().data
    desk.write(reg.TX_CONTROL, 0x80)
    desk.write(reg.TX_CONTROL, 0x83)
    desk.ns += 5 * MS
    assert desk.reqa().data


def test_no_card_takes_longer_to_start_than_the_standard_allows():
    rng = random.Random(3)
    cards = [MifareClassic(bytes(4), rng=rng), Phone(rng=rng)]
    times = [[card.draw_start_up_ns() for _ in range(2_000)] for card in cards]
    assert all(max(drawn) <= 5 * MS for drawn in times)
    assert sum(time > MS for time in times[0]) > 50  # so that one millisecond is a fault
    assert sum(time < MS for time in times[0]) > 1_400


@given(st.sets(st.binary(min_size=4, max_size=4), min_size=1, max_size=5), st.data())
@settings(max_examples=25, deadline=None)
def test_bitwise_anticollision_finds_every_card(numbers, data):
    desk = Desk()
    numbers = {n for n in numbers if n[0] != 0x88}
    longer = data.draw(st.sets(st.binary(min_size=7, max_size=7), max_size=2))
    for number in numbers | longer:
        desk.card(number.hex())
    found = set()
    for _ in numbers | longer:
        reply = desk.reqa()
        assert reply.data
        number, _ = desk.anticollision()
        found.add(number)
        desk.halt()
    assert found == numbers | longer
    assert not desk.reqa().data
