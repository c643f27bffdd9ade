"""MIFARE Classic: authentication, access conditions, reading, writing, values (MF1S50, MF1S70)."""

import random

import pytest

from host_tests.chip.desk import KEY, MS, Desk
from tools.virtual.rc522 import MifareClassic
from tools.virtual.rc522 import registers as reg
from tools.virtual.rc522.access import conditions, encode
from tools.virtual.rc522.air import Answer, Frame
from tools.virtual.rc522.classic import (
    first_block,
    sector_of,
    trailer_of,
    value_block,
    value_of,
)
from tools.virtual.rc522.crc import crc_a
from tools.virtual.rc522.crypto1 import Crypto1, successor

KEY_B = bytes.fromhex("b0b1b2b3b4b5")
ACK, NAK_BUFFER_VALID, NAK = b"\x0a", b"\x00", b"\x04"


def opened(number: str = "deadbeef", block: int = 4, kind: str = "classic1k"):
    desk = Desk()
    card = desk.card(number, kind)
    desk.open_sector(card, block)
    return desk, card


def with_conditions(groups: list[int], code: int, block: int = 4):
    """A desk and a card whose sector has these access bits, authenticated with key A or B."""
    desk = Desk()
    card = desk.card("deadbeef")
    trailer = trailer_of(block) * 16
    card.memory[trailer : trailer + 16] = KEY + encode(groups) + b"\x69" + KEY_B
    desk.open_sector(card, block, key=KEY_B if code == 0x61 else KEY, code=code)
    return desk, card


# Authentication


@pytest.mark.parametrize("number", ["deadbeef", "04a1b2c3d4e5f6", "04112233445566778899"])
def test_authentication_takes_the_last_four_bytes_of_the_number(number):
    desk, card = opened(number)
    reply = desk.command(b"\x30\x04")
    assert reply.data[:16] == card.memory[64:80]
    assert reply.errors == 0


def test_the_first_four_of_a_longer_number_are_the_wrong_ones():
    desk = Desk()
    card = desk.card("04a1b2c3d4e5f6")
    desk.reqa()
    desk.select(card.number)
    reply = desk.authenticate(card.number[:4], 4)
    assert reply.requests & reg.TIMER_IRQ
    assert not desk.crypto_on


def test_success_ends_the_command_and_switches_the_cipher_on():
    desk = Desk()
    card = desk.card("deadbeef")
    desk.reqa()
    desk.select(card.number)
    reply = desk.authenticate(card.number, 4)
    assert reply.requests & reg.IDLE_IRQ
    assert not reply.requests & (reg.RX_IRQ | reg.TX_IRQ)  # blocked during MFAuthent
    assert desk.crypto_on
    assert desk.read(reg.COMMAND) & 0xF == reg.IDLE
    assert desk.read(reg.FIFO_LEVEL) == 0


def test_a_wrong_key_meets_silence_and_drops_the_card():
    desk = Desk()
    card = desk.card("deadbeef")
    desk.reqa()
    desk.select(card.number)
    reply = desk.authenticate(card.number, 4, key=bytes(6))
    assert reply.requests & reg.TIMER_IRQ
    assert not reply.requests & reg.IDLE_IRQ  # without an answer it does not end itself
    assert not desk.crypto_on
    assert card.state == "IDLE"


def test_a_wrong_proof_with_the_right_parity_meets_silence_too():
    desk = Desk()
    card = desk.card("deadbeef")
    desk.reqa()
    desk.select(card.number)
    nonce = desk.command(b"\x60\x04").data
    cipher = Crypto1(KEY)
    for number, value in zip(card.number, nonce, strict=True):
        cipher.stream(number ^ value)
    first = cipher.encrypt(bytes(4), feed=True)
    second = cipher.encrypt(successor(nonce, 65))
    desk.write(reg.MF_RX, reg.PARITY_DISABLE)
    reply = desk.exchange((first.bits | second.bits << 36).to_bytes(9, "little"))
    assert reply.data == b""
    assert card.state == "IDLE"


def test_a_card_that_cannot_prove_the_key_is_a_protocol_error(monkeypatch):
    desk = Desk()
    card = desk.card("deadbeef")
    monkeypatch.setattr(card, "_prove", lambda frame: Answer(Frame(0x123456789, 36)))
    desk.reqa()
    desk.select(card.number)
    reply = desk.authenticate(card.number, 4)
    assert reply.errors == reg.PROTOCOL_ERR
    assert reply.requests & reg.IDLE_IRQ
    assert not desk.crypto_on


def test_too_few_parameters_are_a_protocol_error():
    desk = Desk()
    desk.card("deadbeef")
    desk.start(b"\x60\x04" + KEY, command=reg.MF_AUTHENT)
    assert desk.read(reg.ERROR) & reg.PROTOCOL_ERR
    assert desk.read(reg.COM_IRQ) & reg.IDLE_IRQ


def test_another_sector_needs_another_authentication():
    desk, card = opened()
    assert desk.command(b"\x30\x08").data == b"\x04"
    assert card.state == "IDLE"


def test_nested_authentication_changes_the_sector():
    desk, card = opened()
    desk.authenticate(card.number, 8)
    assert desk.crypto_on
    assert desk.command(b"\x30\x08").data[:16] == bytes(card.memory[128:144])
    desk.authenticate(card.number, 4)
    assert desk.command(b"\x30\x04").errors == 0


def test_the_nonce_comes_from_the_cards_generator():
    desk = Desk()
    card = desk.card("deadbeef")
    seen = set()
    for _ in range(4):
        desk.write(reg.TX_CONTROL, 0x80)
        desk.write(reg.TX_CONTROL, 0x83)
        desk.ns += 5 * MS
        desk.reqa()
        desk.select(card.number)
        nonce = desk.command(b"\x60\x04").data
        assert len(nonce) == 4
        assert successor(nonce, 16)[:2] == nonce[2:]  # 16 bits of state
        seen.add(nonce)
    assert len(seen) == 4


def test_the_nonce_runs_on_while_the_card_is_powered():
    desk = Desk()
    card = desk.card("deadbeef")
    nonces = set()
    for _ in range(3):
        desk.wupa()
        desk.select(card.number)
        nonces.add(desk.command(b"\x60\x04").data)
        desk.wupa()  # drops it
    assert len(nonces) == 3


def test_the_encrypted_halt_puts_the_card_to_sleep():
    desk, card = opened()
    desk.halt()
    desk.write(reg.STATUS2, 0)
    assert card.state == "HALT"
    assert not desk.reqa().data
    assert desk.wupa().data


def test_a_plain_frame_to_an_authenticated_card_is_noise_to_it():
    desk, card = opened()
    desk.write(reg.STATUS2, 0)
    reply = desk.command(b"\x30\x04")
    assert len(reply.data) == 1 and reply.last_bits == 4
    assert card.state != "ACTIVE"


def test_without_authentication_memory_stays_shut():
    desk = Desk()
    card = desk.card("deadbeef")
    desk.reqa()
    desk.select(card.number)
    reply = desk.command(b"\x30\x04")
    assert (reply.data, reply.last_bits) == (NAK, 4)
    assert card.state == "IDLE"


def test_blocks_beyond_the_card_are_refused():
    desk = Desk()
    card = desk.card("deadbeef")
    desk.reqa()
    desk.select(card.number)
    assert desk.command(b"\x60\x40").data == NAK


def test_a_4k_card_has_large_sectors():
    assert [sector_of(b) for b in (0, 127, 128, 143, 144, 255)] == [0, 31, 32, 32, 33, 39]
    assert [trailer_of(b) for b in (0, 127, 128, 255)] == [3, 127, 143, 255]
    assert [first_block(s) for s in (0, 31, 32, 39)] == [0, 124, 128, 240]
    desk, card = opened(block=200, kind="classic4k")
    assert desk.command(bytes([0xA0, 200])).data == ACK
    assert desk.command(bytes(range(16))).data == ACK
    assert bytes(card.memory[3200:3216]) == bytes(range(16))


# Reading and writing


def test_a_block_written_is_read_back():
    desk, _ = opened()
    assert desk.command(b"\xa0\x04").data == ACK
    reply = desk.command(bytes(range(16)))
    assert (reply.data, reply.last_bits) == (ACK, 4)
    assert desk.command(b"\x30\x04").data[:16] == bytes(range(16))


def test_the_trailer_hides_key_a():
    desk, _ = opened()
    trailer = desk.command(b"\x30\x07").data[:16]
    assert trailer == bytes(6) + bytes.fromhex("ff078069") + KEY


def test_the_manufacturer_block_is_read_only():
    desk, _ = opened(block=0)
    assert desk.command(b"\x30\x00").data[:5] == bytes.fromhex("deadbeef22")
    assert desk.command(b"\xa0\x00").data == NAK


def test_a_write_lost_in_the_middle_leaves_neither_old_nor_new():
    desk, card = opened()
    data = b"\xff" * 16
    desk.command(b"\xa0\x04")
    desk.start(data + crc_a(data))
    desk.wait(reg.TX_IRQ)
    desk.ns += MS
    desk.field.remove(card)
    assert bytes(card.memory[64:80]) not in (bytes(16), data)


def test_a_nak_ends_the_authentication():
    desk, card = opened(block=0)
    desk.command(b"\xa0\x00")
    assert card.state in ("IDLE", "HALT")
    desk.write(reg.STATUS2, 0)
    assert desk.command(b"\x30\x00").data == b""


# Access conditions, table 8 by hand: (read, write, increment, decrement)
DATA_RIGHTS = {
    0b000: ("AB", "AB", "AB", "AB"),
    0b010: ("AB", "", "", ""),
    0b100: ("AB", "B", "", ""),
    0b110: ("AB", "B", "B", "AB"),
    0b001: ("AB", "", "", "AB"),
    0b011: ("B", "B", "", ""),
    0b101: ("B", "", "", ""),
    0b111: ("", "", "", ""),
}


@pytest.mark.parametrize("group", range(8))
@pytest.mark.parametrize("code", [0x60, 0x61])
@pytest.mark.parametrize("operation", range(4))
def test_data_blocks_keep_their_conditions(group, code, operation):
    desk, card = with_conditions([group, 0, 0, 0b011], code)
    card.memory[64:80] = value_block(5)
    key = "B" if code == 0x61 else "A"
    allowed = key in DATA_RIGHTS[group][operation]
    command = (0x30, 0xA0, 0xC1, 0xC0)[operation]
    reply = desk.command(bytes([command, 4]))
    if not allowed:
        assert (reply.data, reply.last_bits) == (NAK, 4)
    elif operation == 0:
        assert reply.data[:16] == value_block(5)
    else:
        assert reply.data == ACK


# Table 7 by hand: who writes key A, reads and writes the access bits, reads and writes key B
TRAILER_RIGHTS = {
    0b000: ("A", "A", "", "A", "A"),
    0b010: ("", "A", "", "A", ""),
    0b100: ("B", "AB", "", "", "B"),
    0b110: ("", "AB", "", "", ""),
    0b001: ("A", "A", "A", "A", "A"),
    0b011: ("B", "AB", "B", "", "B"),
    0b101: ("", "AB", "B", "", ""),
    0b111: ("", "AB", "", "", ""),
}


@pytest.mark.parametrize("group", range(8))
@pytest.mark.parametrize("code", [0x60, 0x61])
def test_trailers_keep_their_conditions(group, code):
    write_a, read_bits, write_bits, read_b, write_b = TRAILER_RIGHTS[group]
    key = "B" if code == 0x61 else "A"
    desk, card = with_conditions([0, 0, 0, group], code)
    if key == "B" and read_b:  # a readable key B is no key (table 8)
        assert desk.command(b"\x30\x07").data == NAK
        return
    old = bytes(card.memory[112:128])
    read = desk.command(b"\x30\x07").data[:16]
    assert read[:6] == bytes(6)
    assert read[6:10] == (old[6:10] if key in read_bits else bytes(4))
    assert read[10:] == (old[10:] if key in read_b else bytes(6))
    new = b"\xa0" * 6 + encode([0, 0, 0, group]) + b"\x55" + b"\xb0" * 6
    reply = desk.command(b"\xa0\x07")
    may = [key in rule for rule in (write_a, write_bits, write_b)]
    if not any(may):
        assert reply.data == NAK
        return
    assert reply.data == ACK
    assert desk.command(new).data == ACK
    stored = bytes(card.memory[112:128])
    for allowed, part in zip(may, (slice(0, 6), slice(6, 10), slice(10, 16)), strict=True):
        assert stored[part] == (new if allowed else old)[part]


def test_contradicting_access_bits_block_the_sector():
    desk = Desk()
    card = desk.card("deadbeef")
    card.memory[112 + 6] ^= 0x01
    for block in (4, 7):
        desk.open_sector(card, 4)
        assert desk.command(bytes([0x30, block])).data == NAK


def test_each_access_bit_has_an_inverted_copy():
    for groups in ([0, 0, 0, 1], [7, 6, 5, 4], [3, 2, 1, 0]):
        stored = encode(groups)
        assert conditions(stored) == groups
        for bit in range(24):
            broken = (int.from_bytes(stored, "big") ^ 1 << bit).to_bytes(3, "big")
            assert conditions(broken) is None
    assert encode([0, 0, 0, 1]).hex() == "ff0780"  # as delivered (8.6.3)


# Value blocks


def change(desk: Desk, command: int, block: int, operand: int = 0) -> None:
    assert desk.command(bytes([command, block])).data == ACK
    second = desk.command(operand.to_bytes(4, "little"))
    assert second.data == b""  # silence is success
    assert second.requests & reg.TIMER_IRQ


def test_values_are_counted_and_transferred():
    desk, card = opened()
    card.memory[64:80] = value_block(100, 4)
    change(desk, 0xC1, 4, 7)
    assert desk.command(b"\xb0\x04").data == ACK
    change(desk, 0xC0, 4, 10)
    assert desk.command(b"\xb0\x05").data == ACK
    change(desk, 0xC2, 4)
    assert desk.command(b"\xb0\x06").data == ACK
    assert [value_of(bytes(card.memory[16 * n : 16 * n + 16])) for n in (4, 5, 6)] == [107, 97, 107]


def test_a_value_below_zero_keeps_its_sign():
    desk, card = opened()
    card.memory[64:80] = value_block(-5)
    change(desk, 0xC0, 4, 1)
    desk.command(b"\xb0\x04")
    assert value_of(bytes(card.memory[64:80])) == -6


@pytest.mark.parametrize(("command", "value"), [(0xC1, 0x7FFFFFFF), (0xC0, -0x80000000)])
def test_a_value_that_would_overflow_is_refused(command, value):
    desk, card = opened()
    card.memory[64:80] = value_block(value)
    assert desk.command(bytes([command, 4])).data == ACK
    assert desk.command(b"\x01\x00\x00\x00").data == NAK


def test_what_is_no_value_is_not_counted():
    desk, _ = opened()
    assert desk.command(b"\xc1\x04").data == NAK


def test_a_transfer_without_a_value_is_refused():
    desk, _ = opened()
    assert desk.command(b"\xb0\x04").data == NAK


def test_the_buffer_stays_valid_after_a_refusal():
    desk, card = opened()
    card.memory[64:80] = value_block(1)
    change(desk, 0xC1, 4, 1)
    assert desk.command(b"\xa0\x08").data == NAK_BUFFER_VALID


def test_the_value_format_is_checked_in_full():
    good = value_block(0x12345678, 9)
    assert value_of(good) == 0x12345678
    for n in range(16):
        assert value_of(good[:n] + bytes([good[n] ^ 1]) + good[n + 1 :]) is None


def test_memory_of_the_wrong_size_is_refused():
    with pytest.raises(ValueError, match="1024"):
        MifareClassic(bytes(4), memory=bytes(100))
    with pytest.raises(ValueError, match="classic2k"):
        MifareClassic(bytes(4), kind="classic2k", rng=random.Random(1))
