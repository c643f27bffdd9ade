"""The MFRC522 by itself: set up without a supervisor, and MIFARE Classic blocks read and written.

The charger needs only numbers and leaves this file alone. Elsewhere the driver is a package of its
own, put there by `mpremote mip install firmware/cards/package.json`:

    from machine import Pin, SPI
    from rc522.mfrc522 import ANSWER
    from rc522.mifare import AUTH_A, Mifare

    chip = Mifare(SPI(2, baudrate=5_000_000), Pin(5, Pin.OUT), Pin(22, Pin.OUT))
    chip.init()
    if chip.request() == ANSWER and chip.anticoll() == ANSWER and chip.select_tag() == ANSWER:
        number = bytes(chip.uid[:4])  # complete unless chip.sak has bit 2 set (cascade)
        chip.auth(AUTH_A, 8, b"\\xff" * 6, number)
        block = chip.read(8)
        chip.stop_crypto1()

Bare section numbers are those of the MFRC522 data sheet, Rev. 3.9.
"""

from time import sleep_ms, sleep_us

from micropython import const

from .mfrc522 import FIELD_GUARD_MS, MFRC522, WAKE_MS, CardError, crc_a

# Commands to the card (MF1S50yyX, section 9)
AUTH_A = const(0x60)
AUTH_B = const(0x61)
_READ = const(0x30)
_WRITE = const(0xA0)
_ACK = const(0x0A)

# Registers (section 9.2) and whole SPI frames, as in mfrc522.py
_STATUS2 = const(0x08)
_BIT_FRAMING = const(0x0D)
_IDLE = const(b"\x02\x00")
_TRANSCEIVE = const(b"\x02\x0c")
_AUTHENT = const(b"\x02\x0e")
_CLEAR_IRQS = const(b"\x08\x7f")
_FLUSH = const(b"\x14\x80")
_FRAME_WHOLE = const(b"\x1a\x00")

_IRQ_RX = const(0x20)
_IRQ_IDLE = const(0x10)
_IRQ_TIMER = const(0x01)
_ERROR_ANY = const(0x1F)  # FIFO overflow, collision, CRC, parity, protocol
_CRYPTO1_ON = const(0x08)  # Status2Reg
_FIFO_SIZE = const(64)
_STEPS_PER_MS = const(40)  # of the chip's timer, see mfrc522.py
_READ_FIFO = const(b"\x92")

# Where an exchange leaves its answers, as in mfrc522.py
_AT_IRQ = const(1)
_AT_ERROR = const(2)
_AT_LEVEL = const(3)
_AT_CONTROL = const(4)


class ChipError(OSError):
    """The reader chip is absent or does not keep its settings; says what was found and expected."""


class Mifare(MFRC522):
    """An MFRC522 that also reads and writes blocks; what does so raises `CardError`."""

    def init(self) -> None:
        """Resets and sets up the chip and waits until a card in its field is awake: some 10 ms,
        70 ms at most. Raises `ChipError`."""
        self.reset()
        for _ in range(WAKE_MS // 5):
            sleep_ms(5)
            if self.awake():
                break
        fault = self.configure()
        if fault:
            raise ChipError(fault)
        sleep_ms(FIELD_GUARD_MS + 1)

    # MIFARE Classic, on a selected card

    def auth(self, mode: int, block: int, key: bytes, uid: bytes) -> None:
        """Authenticates the sector of `block`: mode AUTH_A or AUTH_B, key of 6 bytes, the card's
        whole number. Raises `CardError`; the card must be selected anew after that."""
        if len(key) != 6 or len(uid) < 4:
            raise ValueError("key of {} bytes, expected 6".format(len(key)))
        self._set_reload(2 * _STEPS_PER_MS)
        self._frame(_IDLE)
        self._frame(_CLEAR_IRQS)
        self._frame(_FLUSH)
        self._frame(_FRAME_WHOLE)
        # The four bytes of the last cascade level (AN10927, MIFARE Classic authentication).
        self._frame(b"\x12" + bytes([mode, block]) + bytes(key) + bytes(uid[-4:]))
        self._frame(_AUTHENT)
        irq = self._await(_IRQ_IDLE | _IRQ_TIMER, 8)
        status2 = self._get(_STATUS2)
        if not status2 & _CRYPTO1_ON:
            self._frame(_IDLE)
            self._frame(_FLUSH)
            raise CardError(
                "authentication of block {}: irq {:02x} Status2 {:02x}, expected {:02x}".format(
                    block, irq, status2, _CRYPTO1_ON
                )
            )

    def stop_crypto1(self) -> None:
        """Back to plain text, so that other cards can be talked to."""
        self._put(_STATUS2, 0)

    def read(self, block: int) -> bytes:
        """The 16 bytes of a block in an authenticated sector."""
        answer = self.transceive(_with_crc(bytes([_READ, block])), 6)
        if len(answer) != 18:
            raise CardError(
                "read of block {}: {}, expected 18 bytes".format(block, self._answer_name(answer))
            )
        _check_crc(answer, "block {}".format(block))
        return answer[:16]

    def write(self, block: int, data: bytes) -> None:
        """Writes 16 bytes to a block in an authenticated sector."""
        if len(data) != 16:
            raise ValueError("block of {} bytes, expected 16".format(len(data)))
        for part, timeout_ms in ((bytes([_WRITE, block]), 6), (bytes(data), 12)):
            answer = self.transceive(_with_crc(part), timeout_ms)
            if len(answer) != 1 or self.last_bits != 4 or answer[0] & 0x0F != _ACK:
                raise CardError(
                    "write of block {}: {}, expected ACK a".format(block, self._answer_name(answer))
                )

    def transceive(self, data: bytes, timeout_ms: int, last_bits: int = 0) -> bytes:
        """Sends `data` as it is (the CRC is the caller's), its last byte with `last_bits` bits (0 =
        all), and returns the answer; `last_bits` then tells how many bits its last byte has (0 =
        all). Raises `CardError` on silence, collision or damage."""
        self._set_reload(timeout_ms * _STEPS_PER_MS)
        self._frame(_IDLE)
        self._frame(_CLEAR_IRQS)
        self._frame(_FLUSH)
        self._put(_BIT_FRAMING, last_bits)
        self._frame(b"\x12" + bytes(data))
        self._frame(_TRANSCEIVE)
        self._put(_BIT_FRAMING, 0x80 | last_bits)
        irq = self._await(_IRQ_RX | _IRQ_TIMER, timeout_ms + 8)
        got = self._got
        level = got[_AT_LEVEL]
        self.last_bits = got[_AT_CONTROL] & 7
        answer = bytearray(1)
        if irq & _IRQ_RX and level <= _FIFO_SIZE:
            answer = bytearray(level + 1)
            self._cs(0)
            self._exchange_bytes(_READ_FIFO * level + b"\x00", answer)
            self._cs(1)
        self._frame(_IDLE)
        self._leftovers = True
        if not irq & _IRQ_RX or got[_AT_ERROR] & _ERROR_ANY:
            raise CardError("command {:02x}: {}, expected an answer".format(data[0], self.status()))
        return bytes(answer[1:])

    def _await(self, wanted: int, limit_ms: int) -> int:
        """The interrupt bits, once one of those wanted is there or `limit_ms` are over."""
        out, into = self._status[0]
        for _ in range(limit_ms * 5):
            sleep_us(200)
            self._cs(0)
            self._exchange_bytes(out, into)
            self._cs(1)
            if self._got[_AT_IRQ] & wanted:
                break
        return self._got[_AT_IRQ]

    def _answer_name(self, answer: bytes) -> str:
        if len(answer) == 1 and self.last_bits == 4:
            return "NAK {:x}".format(answer[0] & 0x0F)
        return "{} bytes".format(len(answer))


def _with_crc(data: bytes) -> bytes:
    crc = crc_a(data, 0, len(data))
    return data + bytes([crc & 0xFF, crc >> 8])


def _check_crc(data: bytes, what: str) -> None:
    computed = crc_a(data, 0, len(data) - 2)
    found = data[-2] | data[-1] << 8
    if found != computed:
        raise CardError("CRC of {} {:04x}, computed {:04x}".format(what, found, computed))
