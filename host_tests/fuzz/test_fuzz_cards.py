"""What a card, or noise in its place, may answer, under the driver and under the selection.

A chip of three hundred lines is not needed for that: here its registers say whatever was drawn,
most often what one honest card would say. A number comes out only when a second look at all that
was answered finds a whole number of 4, 7 or 10 bytes with right check bytes in it.
"""

import functools
import operator
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from hypothesis import strategies as st

from firmware.cards import mfrc522, mifare
from firmware.cards.iso14443a import DEAD, NOBODY, NUMBER, SEVERAL, UNREADABLE, Selection
from firmware.cards.mfrc522 import MFRC522, CardError
from firmware.cards.mifare import AUTH_A, ChipError, Mifare
from host_tests.fuzz.trying import fuzz, tried

RX, TIMER, IDLE = 0x20, 0x01, 0x10
COLLISION = 0x08


class Reply(NamedTuple):
    """What the chip's registers say after an exchange. `data` None: as an honest card answers."""

    irq: int = RX
    error: int = 0
    level: int | None = None  # None: as many as there are
    control: int = 0
    coll: int = 0x20
    data: bytes | None = None
    flips: tuple[tuple[int, int], ...] = ()  # (place, bits) in the answer
    mend: bool = False  # check bytes made right again afterwards


HONEST = Reply()


def reply(**other: Any) -> Reply:
    """Honest but for that."""
    return HONEST._replace(**other)


def crc(data: bytes) -> bytes:
    found = 0x6363
    for byte in data:
        byte ^= found & 0xFF
        byte = (byte ^ byte << 4) & 0xFF
        found = found >> 8 ^ byte << 8 ^ byte << 3 ^ byte >> 4
    return found.to_bytes(2, "little")


def bcc(four: bytes) -> int:
    return functools.reduce(operator.xor, four)


class Exchange(NamedTuple):
    sent: bytes
    irq: int
    error: int
    level: int
    last_bits: int
    answer: bytes


class Air:
    """SPI bus, chip and card in one. `exchanges`: what was sent, and what came."""

    def __init__(self, number: bytes, sak: int, replies: list[Reply]):
        self.levels = [number] if len(number) == 4 else [b"\x88" + number[:3], number[3:]]
        if len(number) == 10:
            self.levels = [b"\x88" + number[:3], b"\x88" + number[3:6], number[6:]]
        self.sak = sak
        self.replies = iter(replies)
        self.fifo = b""
        self.sent = True
        self.rest = b""
        self.registers: dict[int, int] = {0x37: 0x92}
        self.exchanges: list[Exchange] = []

    def write(self, frame: bytes) -> None:
        register = frame[0] >> 1
        if register == 0x09:
            self.fifo = bytes(frame[1:])
            self.sent = True
        else:
            self.registers[register] = frame[1]

    def write_readinto(self, out: bytes, into: bytearray) -> None:
        registers = [byte >> 1 & 0x3F for byte in out[:-1]]
        if registers[:1] == [0x09]:  # the rest of an answer, in a frame of its own
            for at in range(len(registers)):
                into[1 + at] = self.rest[at] if at < len(self.rest) else 0
            return
        if registers[:1] != [0x04]:
            for at, register in enumerate(registers):
                into[1 + at] = self.registers.get(register, 0)
            return
        reply = next(self.replies, HONEST)
        answer = bytearray(self._honest() if reply.data is None else reply.data)
        for place, bits in reply.flips:
            if answer:
                answer[place % len(answer)] ^= bits
        if reply.mend and len(answer) == 5:
            answer[4] = bcc(bytes(answer[:4]))
        elif reply.mend and len(answer) == 3:
            answer[1:] = crc(bytes(answer[:1]))
        level = len(answer) if reply.level is None else reply.level
        irq = reply.irq if answer or reply.data is not None or reply.irq != RX else TIMER
        status = (irq, reply.error, level, reply.control, reply.coll)
        data = iter(answer)
        for at, register in enumerate(registers):
            if at < 5:
                into[1 + at] = status[at]
            elif register == 0x09:
                into[1 + at] = next(data, 0)
            else:
                into[1 + at] = self.registers.get(register, 0)
        self.rest = bytes(answer)
        if not self.sent:  # looked at once more: it was not over
            self.exchanges.pop()
        self.sent = False
        self.exchanges.append(
            Exchange(self.fifo, irq, reply.error, level, reply.control & 7, bytes(answer))
        )

    def _honest(self) -> bytes:
        sent = self.fifo
        if sent in (b"\x26", b"\x52"):
            return b"\x04\x00"
        if len(sent) < 2 or sent[0] not in (0x93, 0x95, 0x97):
            return b""
        level = (sent[0] - 0x93) // 2
        if level >= len(self.levels):
            return b""
        five = self.levels[level] + bytes([bcc(self.levels[level])])
        if sent[1] == 0x70:
            if sent[2:7] != five:
                return b""
            sak = self.sak & ~4 if level == len(self.levels) - 1 else self.sak | 4
            return bytes([sak]) + crc(bytes([sak]))
        return five[(sent[1] - 0x20) >> 4 :]


def told(exchanges: list[Exchange]) -> bytes | None:
    """The number in a flawless selection (ISO/IEC 14443-3, 6.5), or None: read once more."""
    exchanges = [each for each in exchanges if each.sent not in (b"\x26", b"\x52")]
    number = b""
    for level in range(3):
        selection = exchanges[2 * level : 2 * level + 2]
        if len(selection) < 2:
            return None
        anticollision, select = selection
        for each, size in ((anticollision, 5), (select, 3)):
            if each.error & 0x1F or each.level != size or each.last_bits or not each.irq & RX:
                return None
        five, sak = anticollision.answer, select.answer
        command = bytes([0x93 + 2 * level])
        if anticollision.sent != command + b"\x20" or bcc(five[:4]) != five[4]:
            return None
        frame = command + b"\x70" + five
        if select.sent != frame + crc(frame) or crc(sak[:1]) != sak[1:]:
            return None
        if not sak[0] & 4:
            return number + five[:4] if len(exchanges) == 2 * level + 2 else None
        if five[0] != 0x88:
            return None
        number += five[1:4]
    return None


@pytest.fixture(autouse=True, scope="module")
def hasty() -> Iterator[None]:
    """Nobody waits here."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (mfrc522, mifare):
            patch.setattr(module, "sleep_us", lambda _: None)
        patch.setattr(mifare, "sleep_ms", lambda _: None)
        yield


NUMBERS = st.one_of(
    *(st.binary(min_size=size, max_size=size) for size in (4, 7, 10)),
    st.sampled_from(
        (b"\x88\x01\x02\x03", b"\x88" * 7, b"\x88" * 10, bytes(4), b"\x08\x01\x02\x03")
    ),
)
FLIPS = st.lists(st.tuples(st.integers(0, 5), st.integers(1, 255)), min_size=1, max_size=2).map(
    tuple
)
ANY = st.builds(
    reply,
    irq=st.one_of(st.sampled_from((RX, TIMER, RX | TIMER, 0, RX | 0x80)), st.integers(0, 255)),
    error=st.one_of(st.sampled_from((0, 0, COLLISION, 1, 2, 4, 16)), st.integers(0, 255)),
    level=st.one_of(st.none(), st.sampled_from((0, 1, 3, 5, 64, 65)), st.integers(0, 127)),
    control=st.one_of(st.just(0), st.integers(0, 255)),
    coll=st.one_of(st.integers(0, 32), st.integers(0, 255)),
    data=st.one_of(st.none(), st.binary(max_size=8)),
    flips=FLIPS,
    mend=st.booleans(),
)
# Right in form, but for one thing.
ANSWERS = st.one_of(
    st.builds(
        lambda place, bits: reply(flips=((place, bits),)), st.integers(0, 4), st.integers(1, 255)
    ),
    st.builds(lambda sak: reply(data=sak + crc(sak)), st.sampled_from((b"\x04", b"\x08", b"\x24"))),
    st.builds(lambda bits: reply(flips=((0, bits),), mend=True), st.integers(1, 255)),
)
REPLIES = st.one_of(
    st.just(HONEST),
    st.just(HONEST),
    st.just(HONEST),
    st.builds(reply, flips=FLIPS, mend=st.booleans()),
    st.builds(reply, level=st.integers(0, 64)),
    st.builds(reply, control=st.integers(0, 7), error=st.sampled_from((0, 1, 2, 4, 16))),
    st.builds(reply, error=st.just(COLLISION), coll=st.integers(0, 32), flips=FLIPS),
    st.builds(reply, irq=st.sampled_from((0, TIMER, 0x80))),
    # Any answer whose check bytes are right: another number, another SAK.
    st.builds(
        lambda four: Reply(data=four + bytes([bcc(four)])), st.binary(min_size=4, max_size=4)
    ),
    st.builds(
        lambda four: Reply(data=b"\x88" + four + bytes([bcc(b"\x88" + four)])),
        st.binary(min_size=3, max_size=3),
    ),
    st.builds(lambda sak: Reply(data=sak + crc(sak)), st.binary(min_size=1, max_size=1)),
    ANY,
)


# One flaw alone, at any place of a look or two; or several.
ALL_REPLIES = st.one_of(
    st.builds(lambda before, one: [HONEST] * before + [one], st.integers(1, 12), REPLIES),
    st.builds(lambda before, one: [HONEST] * before + [one], st.integers(1, 6), ANSWERS),
    st.lists(REPLIES, max_size=8),
)


@fuzz("card responses", 350, NUMBERS, st.integers(0, 255), ALL_REPLIES)
def test_a_number_is_a_whole_one_that_was_answered_without_a_flaw(
    number: bytes, sak: int, replies: list[Reply]
) -> None:
    air = Air(number, sak, replies)
    chip = MFRC522(air, lambda _: None)
    chip.configure()
    selection = Selection(chip)
    for _ in range(3):
        air.exchanges.clear()
        selection.number = b""
        outcome = selection.look(audit=False)
        assert outcome in (NOBODY, NUMBER, SEVERAL, UNREADABLE, DEAD)
        if outcome == NUMBER:
            assert len(selection.number) in (4, 7, 10)
            assert selection.number == told(air.exchanges)
        else:
            assert selection.number == b""
            assert outcome == NOBODY or (isinstance(selection.why, str) and selection.why)
        assert len(air.exchanges) < 200  # a look ends
    # Honest again, it is read whole.
    air.replies = iter(())
    for _ in range(2):
        selection.look()
    assert selection.look() == NUMBER and selection.number == number


def test_a_level_that_is_not_the_last_begins_with_its_tag() -> None:
    for first in (b"\x88", b"\x04", b"\x89"):
        tried["card responses"] += 1
        five = first + b"\1\2\3" + bytes([bcc(first + b"\1\2\3")])
        answers = (five, b"\x04" + crc(b"\x04"), b"\4\5\6\7" + bytes([bcc(b"\4\5\6\7")]))
        air = Air(bytes(4), 8, [HONEST, HONEST, *(reply(data=each) for each in answers)])
        air.replies = iter((*air.replies, reply(data=b"\x08" + crc(b"\x08"))))
        chip = MFRC522(air, lambda _: None)
        chip.configure()
        found = Selection(chip)
        assert found.look() == (NUMBER if first == b"\x88" else UNREADABLE), found.why
        assert found.number == (b"\1\2\3\4\5\6\7" if first == b"\x88" else b"")


@fuzz("card responses", 60, st.lists(ANY, max_size=5), st.sampled_from(("read", "write", "auth")))
def test_a_block_is_read_whole_or_not_at_all(replies: list[Reply], what: str) -> None:
    air = Air(bytes(4), 8, replies)
    card = Mifare(air, lambda _: None)
    try:
        if what == "read":
            block = card.read(4)
            answer = air.exchanges[-1].answer
            assert len(block) == 16
            assert answer[:18] == block + crc(block)
        elif what == "write":
            card.write(4, bytes(16))
        else:
            card.auth(AUTH_A, 4, b"\xff" * 6, bytes(4))
    except CardError as error:
        assert str(error)


@fuzz("card responses", 60, st.binary(max_size=18), st.booleans(), st.integers(0, 3))
def test_a_block_needs_its_check_bytes(data: bytes, right: bool, flips: int) -> None:
    block = data[:16].ljust(16, b"\0")
    answer = bytearray(block + crc(block))
    if not right:
        answer[flips] ^= 1
    card = Mifare(Air(bytes(4), 8, [Reply(data=bytes(answer))]), lambda _: None)
    if right:
        assert card.read(4) == block
    else:
        with pytest.raises(CardError, match="CRC of block 4"):
            card.read(4)


@fuzz("card responses", 60, st.dictionaries(st.integers(0, 63), st.integers(0, 255), max_size=4))
def test_a_chip_that_says_anything_is_set_up_or_named(registers: dict[int, int]) -> None:
    class Odd(Air):
        def write(self, frame: bytes) -> None:
            super().write(frame)
            self.registers.update(registers)

    air = Odd(bytes(4), 8, [])
    air.registers.update(registers)
    try:
        Mifare(air, lambda _: None).init()
    except ChipError as error:
        assert ", expected " in str(error)
