"""A chip on a desk: a clock driven by the test, a field, and the shortest way to the registers."""

import random
from typing import NamedTuple

from tools.virtual.rc522 import Chip, Field, MifareClassic
from tools.virtual.rc522 import registers as reg
from tools.virtual.rc522.crc import crc_a

MS = 1_000_000
KEY = b"\xff" * 6
SEL = (0x93, 0x95, 0x97)


class Reply(NamedTuple):
    """What one exchange left in the chip; `at_ns` is when it was over, from StartSend on."""

    data: bytes
    last_bits: int
    errors: int
    requests: int
    at_ns: int


class Desk:
    """A chip set up as the data sheet has it for type A, and cards that start after 1 ms."""

    def __init__(self, version: int = 0x92, set_up: bool = True):
        self.ns = 0
        self.field = Field(lambda: self.ns)
        self.chip = Chip(lambda: self.ns, self.field, version=version, rng=random.Random(5))
        if set_up:
            self.set_up()

    def set_up(self) -> None:
        for register, value in (
            (reg.T_MODE, 0x80),
            (reg.T_PRESCALER, 0xA9),
            (reg.T_RELOAD_H, 0x00),
            (reg.T_RELOAD_L, 199),  # 5 ms
            (reg.TX_ASK, 0x40),
            (reg.MODE, 0x3D),
            (reg.TX_CONTROL, 0x83),
        ):
            self.write(register, value)

    def card(self, number: str, kind: str = "classic1k", **more) -> MifareClassic:
        """A card that lies in the field and has started up."""
        more.setdefault("start_up_ns", MS)
        card = MifareClassic(bytes.fromhex(number), kind, rng=random.Random(9), **more)
        self.field.place(card)
        self.ns += MS
        return card

    # Registers

    def frame(self, out: bytes) -> bytes:
        self.chip.select()
        answer = self.chip.exchange(out)
        self.chip.deselect()
        return answer

    def write(self, register: int, *values: int) -> None:
        self.frame(bytes([register << 1, *values]))

    def read(self, register: int) -> int:
        return self.frame(bytes([0x80 | register << 1, 0]))[1]

    def read_many(self, register: int, count: int) -> bytes:
        address = 0x80 | register << 1
        return self.frame(bytes([address] * count + [0]))[1:] if count else b""

    # Exchanges

    def start(self, data: bytes, last_bits: int = 0, align: int = 0, command: int = 0xC) -> None:
        self.write(reg.COMMAND, reg.IDLE)
        self.write(reg.COM_IRQ, 0x7F)
        self.write(reg.FIFO_LEVEL, reg.FLUSH)
        self.write(reg.FIFO_DATA, *data)
        self.write(reg.COMMAND, command)
        if command == reg.TRANSCEIVE:
            self.write(reg.BIT_FRAMING, reg.START_SEND | align << 4 | last_bits)

    def wait(self, bits: int = reg.RX_IRQ | reg.IDLE_IRQ | reg.TIMER_IRQ) -> bool:
        """Run the clock until one of `bits` is requested; False if that will never be."""
        while not self.read(reg.COM_IRQ) & bits:
            following = self.chip.next_event_ns
            if following is None:
                return False
            self.ns = max(self.ns, following)
        return True

    def step(self) -> None:
        """To the next moment at which something happens in the chip."""
        following = self.chip.next_event_ns
        assert following is not None
        self.ns = max(self.ns, following)

    def result(self, began_ns: int) -> Reply:
        at_ns = self.ns - began_ns
        level = self.read(reg.FIFO_LEVEL)
        return Reply(
            self.read_many(reg.FIFO_DATA, level),
            self.read(reg.CONTROL) & 7,
            self.read(reg.ERROR),
            self.read(reg.COM_IRQ),
            at_ns,
        )

    def exchange(
        self, data: bytes, last_bits: int = 0, align: int = 0, command: int = 0xC
    ) -> Reply:
        began = self.ns
        self.start(data, last_bits, align, command)
        self.wait()
        return self.result(began)

    def command(self, data: bytes) -> Reply:
        """`data` and its CRC."""
        return self.exchange(data + crc_a(data))

    def reqa(self) -> Reply:
        return self.exchange(b"\x26", last_bits=7)

    def wupa(self) -> Reply:
        return self.exchange(b"\x52", last_bits=7)

    def halt(self) -> None:
        assert self.command(b"\x50\x00").data == b""

    def select(self, number: bytes) -> Reply:
        """Select a card whose number is known; the last SAK."""
        reply = None
        for code, part in zip(SEL, levels(number), strict=False):
            reply = self.command(bytes([code, 0x70]) + part)
        assert reply is not None
        return reply

    def anticollision(self) -> tuple[bytes, int]:
        """Number and SAK of one card out of all READY ones, preferring 1 (14443-3, 6.5.3)."""
        number = b""
        self.write(reg.COLL, 0)
        for code in SEL:
            known, length = 0, 0
            while length < 40:
                whole, rest = divmod(length, 8)
                sent = known.to_bytes(5, "little")[: whole + (rest > 0)]
                nvb = (whole + 2) << 4 | rest
                reply = self.exchange(bytes([code, nvb]) + sent, rest, rest)
                known |= int.from_bytes(reply.data, "little") << whole * 8
                if not reply.errors & reg.COLL_ERR:
                    assert reply.errors == 0 and reply.data, reply
                    break
                coll = self.read(reg.COLL)
                assert not coll & reg.COLL_POS_NOT_VALID
                length = whole * 8 + (coll & 0x1F or 32)
                known = known & (1 << length) - 1 | 1 << length - 1
            part = known.to_bytes(5, "little")
            sak = self.command(bytes([code, 0x70]) + part)
            assert sak.data[1:] == crc_a(sak.data[:1])
            if not sak.data[0] & 0x04:
                return number + part[:4], sak.data[0]
            number += part[1:4]
        raise AssertionError("a fourth cascade level")

    def authenticate(self, number: bytes, block: int, key: bytes = KEY, code: int = 0x60) -> Reply:
        data = bytes([code, block]) + key + number[-4:]
        began = self.ns
        self.start(data, command=reg.MF_AUTHENT)
        self.wait(reg.IDLE_IRQ | reg.TIMER_IRQ)
        return self.result(began)

    @property
    def crypto_on(self) -> bool:
        return bool(self.read(reg.STATUS2) & reg.CRYPTO1_ON)

    def open_sector(self, card: MifareClassic, block: int, **more) -> None:
        """Wake, select and authenticate one card, whatever it did before."""
        self.write(reg.STATUS2, 0)
        if not self.wupa().data:
            assert self.wupa().data
        self.select(card.number)
        self.authenticate(card.number, block, **more)
        assert self.crypto_on


def levels(number: bytes) -> list[bytes]:
    """Cascade levels with BCC, built by hand."""
    parts = []
    while len(number) > 4:
        parts.append(b"\x88" + number[:3])
        number = number[3:]
    parts.append(number)
    return [p + bytes([p[0] ^ p[1] ^ p[2] ^ p[3]]) for p in parts]
