"""MIFARE Classic 1K and 4K once selected: authentication, memory, access conditions, value blocks.

After MF1S50yyX (1K) and MF1S70yyX (4K), data sheet sections 8.6, 8.7 and 10. The memory outlives
the field; authentication and the transfer buffer do not.
"""

import random

from tools.virtual.rc522 import access
from tools.virtual.rc522.air import (
    ETU_CYCLES,
    Answer,
    Frame,
    cycles,
    ns,
    standard_frame,
    take_apart,
)
from tools.virtual.rc522.card import HALT, HLTA, Card
from tools.virtual.rc522.crc import crc_a
from tools.virtual.rc522.crypto1 import Crypto1, nonce_after, successor

KINDS = {  # kind: (bytes of memory, first ATQA byte for a 4-byte number, SAK)
    "classic1k": (1024, 0x04, 0x08),
    "classic4k": (4096, 0x02, 0x18),
}
ATQA_SIZE = {4: 0x00, 7: 0x40, 10: 0x80}  # ATQA bits 7:6, size of the number (AN10833, 3.2)

AUTH_A, AUTH_B = 0x60, 0x61
READ, WRITE = 0x30, 0xA0
DECREMENT, INCREMENT, RESTORE, TRANSFER = 0xC0, 0xC1, 0xC2, 0xB0
ACK = 0xA
NAK_OPERATION, NAK_INTEGRITY = 0x0, 0x1  # transfer buffer valid (table 10)
NAK_BUFFER_INVALID = 0x4  # added while it is not
BLOCK = 16
PROGRAM_ETU = 300  # EEPROM programming, about 2.8 ms: 5.5 ms typical for a write less its air time

KEY_DELIVERED = bytes([0xFF] * 6)
TRAILER_DELIVERED = KEY_DELIVERED + access.TRANSPORT + b"\x69" + KEY_DELIVERED


class MifareClassic(Card):
    """A MIFARE Classic of `kind` with `number`; `memory` (1,024 or 4,096 bytes) or as delivered."""

    def __init__(
        self,
        number: bytes,
        kind: str = "classic1k",
        memory: bytes | None = None,
        rng: random.Random | None = None,
        start_up_ns: int | None = None,
    ):
        if kind not in KINDS:
            raise ValueError(f"card kind {kind!r}, allowed {', '.join(KINDS)}")
        size, atqa, sak = KINDS[kind]
        atqa_bytes = bytes([atqa | ATQA_SIZE.get(len(number), 0), 0])
        super().__init__(number, atqa_bytes, sak, rng, start_up_ns)
        self.kind = kind
        if memory is None:
            memory = delivered(self.number, kind)
        if len(memory) != size:
            raise ValueError(f"memory of {len(memory)} bytes, {kind} has {size}")
        self.memory = bytearray(memory)
        self._powered_ns = 0
        self._seed = 1
        self._heard_ns = 0
        self._buffer: bytes | None = None  # transfer buffer
        self._programming: tuple[int, int, bytes] | None = None  # (until ns, block, old content)
        self._forget()

    # Life in the field

    def power_up(self, at_ns: int) -> None:
        super().power_up(at_ns)
        self._powered_ns = at_ns
        self._seed = self.rng.randint(1, 0xFFFF)
        self._buffer = None
        self._programming = None
        self._forget()

    def power_down(self, at_ns: int) -> None:
        """A block being programmed as the field goes keeps some old bytes and has some new ones."""
        if self._programming is not None and at_ns < self._programming[0]:
            _, block, old = self._programming
            for n, value in enumerate(old):
                if self.rng.random() < 0.5:
                    self.memory[block * BLOCK + n] = value

    def drop(self) -> None:
        super().drop()
        self._forget()

    def activated(self) -> None:
        self._forget()

    def _forget(self) -> None:
        self._cipher: Crypto1 | None = None
        self._challenge: bytes | None = None  # nonce sent, answer awaited
        self._sector = -1
        self._key_b = False
        self._pending: tuple[int, int] | None = None  # (command, block) awaiting its second part

    # Commands

    def hear_active(self, frame: Frame, start_ns: int) -> Answer | None:
        """A frame while selected, encrypted once authenticated."""
        self._heard_ns = start_ns + ns(frame.length * ETU_CYCLES)
        if self._challenge is not None:
            return self._prove(frame)
        if self._cipher is None:
            data, rest, intact = take_apart(frame)
        elif frame.length < 18 or frame.length % 9:
            return self.drop()
        else:
            data, intact = self._cipher.decrypt(frame)
            rest = Frame(0, 0)
        if rest.length or len(data) < 3:
            return self.drop()
        if not intact or crc_a(data[:-2]) != data[-2:]:
            return self._nak(NAK_INTEGRITY) if self._cipher is not None else self.drop()
        return self._obey(data[:-2], start_ns)

    def _obey(self, command: bytes, start_ns: int) -> Answer | None:
        if self._pending is not None:
            return self._second_part(command)
        if command == HLTA:
            self.drop()
            self.state = HALT
            return None
        if len(command) != 2:
            return self._nak(NAK_OPERATION)
        code, block = command
        if block * BLOCK >= len(self.memory):
            return self._nak(NAK_OPERATION)
        if code in (AUTH_A, AUTH_B):
            return self._challenged(code == AUTH_B, block, start_ns)
        if self._cipher is None or sector_of(block) != self._sector or self._blocked():
            return self._nak(NAK_OPERATION)
        if code == READ:
            return self._read(block)
        if code == WRITE:
            return self._first_part(code, block, self._may_write(block))
        if code == TRANSFER:
            return self._transfer(block)
        if code in (INCREMENT, DECREMENT, RESTORE):
            need = access.INCREMENT if code == INCREMENT else access.DECREMENT
            value = value_of(self._stored(block))
            return self._first_part(code, block, value is not None and self._may(block, need))
        return self._nak(NAK_OPERATION)

    # Authentication (section 10.1): nonce, proof, counter-proof

    def _challenged(self, key_b: bool, block: int, start_ns: int) -> Answer:
        sector = sector_of(block)
        trailer = self._stored(trailer_of(block))
        nested = self._cipher is not None
        self._forget()
        self._sector = sector
        self._key_b = key_b
        cipher = self._cipher = Crypto1(trailer[10:16] if key_b else trailer[:6])
        nonce = nonce_after(self._seed, cycles(start_ns - self._powered_ns) // ETU_CYCLES)
        self._challenge = nonce
        number = self.number[-4:]
        fed = bytes(a ^ b for a, b in zip(number, nonce, strict=True))
        if not nested:
            for value in fed:
                cipher.stream(value)
            return Answer(standard_frame(nonce))
        bits = 0
        plain = standard_frame(nonce).bits
        for n, value in enumerate(fed):
            group = plain >> 9 * n & 0x1FF
            group ^= cipher.stream(value) | cipher.peek() << 8
            bits |= group << 9 * n
        return Answer(Frame(bits, 36))

    def _prove(self, frame: Frame) -> Answer | None:
        nonce, cipher = self._challenge, self._cipher
        self._challenge = None
        if cipher is None or nonce is None or frame.length != 72:
            return self.drop()
        half = (1 << 36) - 1
        _, intact_nonce = cipher.decrypt(Frame(frame.bits & half, 36), feed=True)
        proof, intact_proof = cipher.decrypt(Frame(frame.bits >> 36, 36))
        if not (intact_nonce and intact_proof) or proof != successor(nonce, 64):
            return self.drop()
        return Answer(cipher.encrypt(successor(nonce, 96)))

    # Memory

    def _read(self, block: int) -> Answer | None:
        data = bytearray(self._stored(block))
        if block == trailer_of(block):
            bits = self._trailer_conditions()
            data[:6] = bytes(6)
            if self._key() not in access.TRAILER[bits][access.BITS_READ]:
                data[6:10] = bytes(4)
            if self._key() not in access.TRAILER[bits][access.KEY_B_READ]:
                data[10:] = bytes(6)
        elif not self._may(block, access.READ):
            return self._nak(NAK_OPERATION)
        return self._send(bytes(data) + crc_a(bytes(data)))

    def _first_part(self, code: int, block: int, allowed: bool) -> Answer | None:
        if not allowed:
            return self._nak(NAK_OPERATION)
        self._pending = (code, block)
        return self._four_bits(ACK)

    def _second_part(self, data: bytes) -> Answer | None:
        code, block = self._pending or (0, 0)
        self._pending = None
        if code == WRITE:
            if len(data) != BLOCK:
                return self._nak(NAK_INTEGRITY)
            self._program(block, data)
            return self._four_bits(ACK, PROGRAM_ETU)
        if len(data) != 4:
            return self._nak(NAK_INTEGRITY)
        stored = self._stored(block)
        value = value_of(stored) or 0
        operand = int.from_bytes(data, "little")
        if code == INCREMENT:
            value += operand
        elif code == DECREMENT:
            value -= operand
        if not -(1 << 31) <= value < 1 << 31:
            return self._nak(NAK_OPERATION)
        self._buffer = value_block(value, stored[12])
        return None  # the second part has no acknowledgement (10.4)

    def _transfer(self, block: int) -> Answer | None:
        plain_data = block and block != trailer_of(block)
        if self._buffer is None or not plain_data or not self._may(block, access.DECREMENT):
            return self._nak(NAK_OPERATION)
        self._begin_programming(block)
        self.memory[block * BLOCK : (block + 1) * BLOCK] = self._buffer
        return self._four_bits(ACK, PROGRAM_ETU)

    def _program(self, block: int, data: bytes) -> None:
        at = block * BLOCK
        self._begin_programming(block)
        if block != trailer_of(block):
            self.memory[at : at + BLOCK] = data
            return
        rules = access.TRAILER[self._trailer_conditions()]
        key = self._key()
        for rule, part in (
            (access.KEY_A_WRITE, slice(0, 6)),
            (access.BITS_WRITE, slice(6, 10)),
            (access.KEY_B_WRITE, slice(10, 16)),
        ):
            if key in rules[rule]:
                self.memory[at + part.start : at + part.stop] = data[part]

    def _begin_programming(self, block: int) -> None:
        until = self._heard_ns + ns(PROGRAM_ETU * ETU_CYCLES)
        self._programming = (until, block, self._stored(block))

    # Rights (section 8.7)

    def _key(self) -> str:
        return access.B if self._key_b else access.A

    def _conditions(self) -> list[int] | None:
        trailer = self._stored(trailer_of(first_block(self._sector)))
        return access.conditions(trailer[6:9])

    def _trailer_conditions(self) -> int:
        groups = self._conditions()
        return groups[3] if groups else 0b111

    def _blocked(self) -> bool:
        """The access bits contradict their copy, or key B is readable and so no key (table 8)."""
        groups = self._conditions()
        if groups is None:
            return True
        return self._key_b and access.TRAILER[groups[3]][access.KEY_B_READ] != access.NEVER

    def _may(self, block: int, operation: int) -> bool:
        groups = self._conditions()
        if groups is None or block == trailer_of(block) or (block == 0 and operation):
            return False
        within = block - first_block(self._sector)
        group = within // 5 if self._sector >= 32 else within
        return self._key() in access.DATA[groups[group]][operation]

    def _may_write(self, block: int) -> bool:
        if block != trailer_of(block):
            return self._may(block, access.WRITE)
        rules = access.TRAILER[self._trailer_conditions()]
        writes = (access.KEY_A_WRITE, access.BITS_WRITE, access.KEY_B_WRITE)
        return any(self._key() in rules[rule] for rule in writes)

    def _stored(self, block: int) -> bytes:
        return bytes(self.memory[block * BLOCK : (block + 1) * BLOCK])

    # Answers

    def _send(self, data: bytes) -> Answer:
        if self._cipher is None:
            return Answer(standard_frame(data))
        return Answer(self._cipher.encrypt(data))

    def _four_bits(self, value: int, later_etu: int = 0) -> Answer:
        if self._cipher is not None:
            value ^= self._cipher.stream(0, 4)
        return Answer(Frame(value, 4), later_etu)

    def _nak(self, code: int) -> Answer:
        if self._buffer is None:
            code |= NAK_BUFFER_INVALID
        answer = self._four_bits(code)
        self.drop()
        return answer


def sector_of(block: int) -> int:
    """Sectors of 4 blocks, from block 128 on of 16 (MF1S70yyX, 8.6)."""
    return block // 4 if block < 128 else 32 + (block - 128) // 16


def first_block(sector: int) -> int:
    """The first block of a sector."""
    return sector * 4 if sector < 32 else 128 + (sector - 32) * 16


def trailer_of(block: int) -> int:
    """The last block of the block's sector: keys and access bits."""
    return block | (3 if block < 128 else 15)


def value_of(block: bytes) -> int | None:
    """The signed value of a value block, or None if it is not one (8.6.2.1)."""
    value, inverted, again = block[:4], block[4:8], block[8:12]
    address, not_address = block[12], block[13]
    form = bytes([address, not_address, address, not_address])
    if value != again or inverted != bytes(v ^ 0xFF for v in value):
        return None
    if block[12:] != form or address ^ not_address != 0xFF:
        return None
    return int.from_bytes(value, "little", signed=True)


def value_block(value: int, address: int = 0) -> bytes:
    """The 16 bytes of a value block."""
    plain = value.to_bytes(4, "little", signed=True)
    inverted = bytes(v ^ 0xFF for v in plain)
    return plain + inverted + plain + bytes([address, address ^ 0xFF, address, address ^ 0xFF])


def delivered(number: bytes, kind: str = "classic1k") -> bytes:
    """Memory as it leaves the factory: manufacturer block, zeros, transport keys (8.6.3, 8.6.4)."""
    size, atqa, sak = KINDS[kind]
    memory = bytearray(size)
    for block in range(size // BLOCK):
        if block == trailer_of(block):
            memory[block * BLOCK : (block + 1) * BLOCK] = TRAILER_DELIVERED
    head = number
    if len(number) == 4:
        head += bytes([number[0] ^ number[1] ^ number[2] ^ number[3]])
    head += bytes([sak, atqa | ATQA_SIZE.get(len(number), 0), 0])
    memory[:BLOCK] = head.ljust(BLOCK, b"\x00")
    return bytes(memory)
