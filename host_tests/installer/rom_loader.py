"""An ESP32 in download mode at the end of a cable: its loader in ROM, and the flasher that esptool
loads into it, with the registers and the flash chip that esptool asks.

Written from Espressif's esptool documentation, "Serial Protocol" and "Flasher Stub", and the ESP32
Technical Reference Manual (SPI and eFuse registers). The flash is as a NOR flash is: erased by
blocks to ones, programmed only from ones to zeroes. So bytes that were not erased first read back
wrong, as on a board.
"""

import hashlib
import os
import pty
import select
import struct
import threading
import tty
import zlib
from typing import NamedTuple

BLOCK_BYTES = 4096
MAC = bytes.fromhex("246f28a1b2c3")

_MAGIC_REGISTER = 0x40001000
_EFUSE = 0x3FF5A000
_APB_DATE = 0x3FF6607C
_SPI_COMMAND, _SPI_ADDRESS = 0x3FF42000, 0x3FF42004
_SPI_USER2, _SPI_WORD0 = 0x3FF42024, 0x3FF42080
_SPI_RUN = 1 << 18

_READ_ID, _READ_SFDP = 0x9F, 0x5A

_OK, _INVALID, _BAD_CHECKSUM = (0, 0), (1, 0x05), (1, 0x07)

FLASH_BEGIN, FLASH_DATA, FLASH_END = 0x02, 0x03, 0x04
MEM_BEGIN, MEM_END, MEM_DATA = 0x05, 0x06, 0x07
SYNC, WRITE_REGISTER, READ_REGISTER = 0x08, 0x09, 0x0A
SPI_PARAMETERS, SPI_ATTACH, READ_SLOWLY, BAUD_RATE = 0x0B, 0x0D, 0x0E, 0x0F
DEFLATED_BEGIN, DEFLATED_DATA, DEFLATED_END = 0x10, 0x11, 0x12
FLASH_MD5, SECURITY = 0x13, 0x14
ERASE_REGION, READ_FLASH = 0xD1, 0xD2

_PROGRAMMING = (FLASH_DATA, DEFLATED_DATA)


class Chip(NamedTuple):
    """How a chip says what it is: by a word in its ROM, the later ones by a number."""

    magic: int
    number: int | None = None


ESP32 = Chip(0x00F01D83)
ESP32_S2 = Chip(0x000007C6)
ESP32_C3 = Chip(0x1B31506F, 5)


class RomLoader:
    """A board at `port`. `flash` is its flash chip's content, to be looked at and prepared.

    `hang_up_after`, `silent_after`: so many blocks programmed, then the cable is out, or nothing is
    answered any more. `stuck`: this byte of the flash takes no value. `awake`: not in download
    mode: its own program runs and does not understand. `secured`: flash encryption is burnt in.
    """

    def __init__(self, chip: Chip = ESP32, flash_mb: int = 4):
        self.flash = bytearray(b"\xff" * (flash_mb << 20))
        self.chip = chip
        self.flash_id = 0x0040EF | (flash_mb.bit_length() + 19) << 16
        self.awake = False
        self.secured = False
        self.hang_up_after: int | None = None
        self.hang_up_at: int | None = None  # this command
        self.silent_after: int | None = None
        self.stuck: int | None = None
        self.programmed = 0  # blocks of data taken
        self.flasher = False  # esptool's own runs, not the ROM's
        self.asked: list[int] = []
        self.erased: list[tuple[int, int]] = []  # first and behind the last block
        self._registers: dict[int, int] = {_SPI_COMMAND: 0}
        self._at = self._end = self._erased_to = 0
        self._inflate = zlib.decompressobj()
        self._reading, self._sent, self._block = b"", 0, 0
        self._line, self._board_end = pty.openpty()
        tty.setraw(self._board_end)
        self.port = os.ttyname(self._board_end)
        self._stop, self._stopped = os.pipe()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> "RomLoader":
        self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        os.write(self._stopped, b".")
        self._thread.join(10)
        for each in (self._stop, self._stopped):
            os.close(each)
        self._hang_up()

    # The line: SLIP packets

    def _serve(self) -> None:
        packet: bytearray | None = None
        while self._line >= 0:
            ready, _, _ = select.select([self._line, self._stop], [], [])
            if self._stop in ready:
                return
            for byte in os.read(self._line, 1 << 16):
                if self.awake:
                    continue
                if byte != 0xC0:
                    if packet is not None:
                        packet.append(byte)
                elif packet:
                    self._take(_unescaped(bytes(packet)))
                    packet = None
                else:
                    packet = bytearray()
                if self._line < 0:
                    return

    def _send(self, packet: bytes) -> None:
        escaped = packet.replace(b"\xdb", b"\xdb\xdd").replace(b"\xc0", b"\xdb\xdc")
        rest = memoryview(b"\xc0" + escaped + b"\xc0")
        while rest:
            rest = rest[os.write(self._line, rest) :]

    def _hang_up(self) -> None:
        if self._line >= 0:
            os.close(self._line)
            os.close(self._board_end)
            self._line = -1

    # Commands

    def _take(self, packet: bytes) -> None:
        if self._reading:
            self._read_on()
            return
        direction, command, size, checksum = struct.unpack_from("<BBHI", packet)
        data = packet[8:]
        if direction != 0 or size != len(data):
            return
        self.asked.append(command)
        if command == self.hang_up_at:
            self._hang_up()
            return
        if command in _PROGRAMMING:
            if self.programmed == self.hang_up_after:
                self._hang_up()
                return
            if self.programmed == self.silent_after:
                return
            self.programmed += 1
        if command == SYNC:
            for _ in range(8):
                self._answer(command, value=0 if self.flasher else 0x20120707)
        elif command in (FLASH_DATA, DEFLATED_DATA, MEM_DATA) and checksum != _checksum(data[16:]):
            self._answer(command, status=_BAD_CHECKSUM)
        elif command in ((READ_SLOWLY,) if self.flasher else (ERASE_REGION, READ_FLASH)):
            self._answer(command, status=_INVALID)
        else:
            getattr(self, f"_command_{command:02x}", self._unknown)(command, data)

    def _answer(
        self, command: int, data: bytes = b"", value: int = 0, status: tuple[int, int] = _OK
    ) -> None:
        data += bytes(status) + (b"" if self.flasher else b"\0\0")
        self._send(struct.pack("<BBHI", 1, command, len(data), value) + data)

    def _unknown(self, command: int, data: bytes) -> None:
        self._answer(command, status=_INVALID)

    def _command_0a(self, command: int, data: bytes) -> None:
        self._answer(command, value=self._register(*struct.unpack("<I", data)))

    def _command_09(self, command: int, data: bytes) -> None:
        for address, value, mask, _ in struct.iter_unpack("<IIII", data):
            self._registers[address] = (self._registers.get(address, 0) & ~mask) | (value & mask)
            if address == _SPI_COMMAND and value & _SPI_RUN:
                self._registers[_SPI_COMMAND] = 0
                self._registers[_SPI_WORD0] = self._flash_chip(
                    self._registers[_SPI_USER2] & 0xFF, self._registers.get(_SPI_ADDRESS, 0) >> 8
                )
        self._answer(command)

    def _command_14(self, command: int, data: bytes) -> None:
        if self.chip.number is None:
            self._answer(command, status=_INVALID)
        else:
            self._answer(command, struct.pack("<IB7sII", 0, 0, bytes(7), self.chip.number, 0))

    def _accept(self, command: int, data: bytes) -> None:
        self._answer(command)

    _command_0b = _command_0d = _command_0f = _command_05 = _command_07 = _accept

    def _command_06(self, command: int, data: bytes) -> None:
        self._answer(command)
        stay, entry = struct.unpack("<II", data)
        if not stay and entry:
            self.flasher = True
            self._send(b"OHAI")

    def _command_02(self, command: int, data: bytes) -> None:
        size, _, _, self._at = struct.unpack_from("<IIII", data)
        if len(data) != (20 if self.flasher else 16):  # the ROM of the ESP32 knows four words
            self._answer(command, status=_INVALID)
            return
        self._end = self._at + size
        self._erased_to = self._at
        if not self.flasher:
            self._erase(self._at, size)
        self._answer(command)

    def _command_10(self, command: int, data: bytes) -> None:
        self._inflate = zlib.decompressobj()
        self._command_02(command, data)

    def _command_03(self, command: int, data: bytes) -> None:
        self._program(data[16:])
        self._answer(command)

    def _command_11(self, command: int, data: bytes) -> None:
        self._program(self._inflate.decompress(data[16:]))
        self._answer(command)

    _command_04 = _command_12 = _accept

    def _command_13(self, command: int, data: bytes) -> None:
        at, size, _, _ = struct.unpack("<IIII", data)
        digest = hashlib.md5(self.flash[at : at + size])
        self._answer(command, digest.digest() if self.flasher else digest.hexdigest().encode())

    def _command_0e(self, command: int, data: bytes) -> None:
        at, size = struct.unpack("<II", data)
        self._answer(command, bytes(self.flash[at : at + size]).ljust(64, b"\0"))

    def _command_d1(self, command: int, data: bytes) -> None:
        self._erase(*struct.unpack("<II", data))
        self._answer(command)

    def _command_d2(self, command: int, data: bytes) -> None:
        at, size, self._block, _ = struct.unpack("<IIII", data)
        self._answer(command)
        self._reading, self._sent = bytes(self.flash[at : at + size]), 0
        self._read_on()

    def _read_on(self) -> None:
        """The next block; each is acknowledged by its end; after the last, the MD5 of all."""
        if self._sent < len(self._reading):
            block = self._reading[self._sent : self._sent + self._block]
            self._sent += len(block)
            self._send(block)
        else:
            self._send(hashlib.md5(self._reading).digest())
            self._reading = b""

    # What lies behind

    def _register(self, address: int) -> int:
        if address == _MAGIC_REGISTER:
            return self.chip.magic
        if self.chip is ESP32:
            words = {
                0: 1 << 20 if self.secured else 0,
                1: int.from_bytes(MAC[2:], "big"),
                2: int.from_bytes(MAC[:2], "big"),
                3: 1 << 15 | 1 << 9,  # revision bit 0; package D0WD
                5: 1 << 20 | 1 << 24,  # revision bit 1; minor revision 1
            }
            if _EFUSE <= address < _EFUSE + 28:
                return words.get((address - _EFUSE) // 4, 0)
            if address == _APB_DATE:
                return 1 << 31  # revision bit 2: v3
        return self._registers.get(address, 0)

    def _flash_chip(self, command: int, address: int) -> int:
        if command == _READ_ID:
            return self.flash_id
        if command == _READ_SFDP and address == 0:
            return int.from_bytes(b"SFDP", "little")
        return 0

    def _erase(self, at: int, size: int) -> None:
        first, behind = at // BLOCK_BYTES, -(-(at + size) // BLOCK_BYTES)
        self.erased.append((first, behind))
        self.flash[first * BLOCK_BYTES : behind * BLOCK_BYTES] = b"\xff" * (
            (behind - first) * BLOCK_BYTES
        )

    def _program(self, data: bytes) -> None:
        """The flasher erases as it goes, the ROM's loader did before."""
        data = data[: self._end - self._at] if self.flasher else data
        if self.flasher and self._at + len(data) > self._erased_to:
            self._erase(self._erased_to, self._at + len(data) - self._erased_to)
            self._erased_to = -(-(self._at + len(data)) // BLOCK_BYTES) * BLOCK_BYTES
        old = int.from_bytes(self.flash[self._at : self._at + len(data)], "big")
        both = (old & int.from_bytes(data, "big")).to_bytes(len(data), "big")
        self.flash[self._at : self._at + len(data)] = both
        if self.stuck is not None and self._at <= self.stuck < self._at + len(data):
            self.flash[self.stuck] = 0
        self._at += len(data)


def _unescaped(packet: bytes) -> bytes:
    return packet.replace(b"\xdb\xdc", b"\xc0").replace(b"\xdb\xdd", b"\xdb")


def _checksum(data: bytes) -> int:
    """Serial Protocol, "Checksum"."""
    found = 0xEF
    for byte in data:
        found ^= byte
    return found
