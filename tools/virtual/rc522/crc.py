"""The CRC of ISO/IEC 13239 as the coprocessor and the cards compute it: x16 + x12 + x5 + 1."""

PRESETS = (0x0000, 0x6363, 0xA671, 0xFFFF)  # ModeReg CRCPreset (data sheet 9.3.2.2)
PRESET_A = 0x6363  # CRC_A, ISO/IEC 14443-3, 6.2.4


def _reflected(value: int) -> int:
    for _ in range(8):
        value = (value >> 1) ^ (0x8408 if value & 1 else 0)
    return value


_TABLE = [_reflected(value) for value in range(256)]


def crc16(data: bytes, register: int = PRESET_A) -> int:
    """CRC over `data`, least significant bit first, without final inversion."""
    for value in data:
        register = (register >> 8) ^ _TABLE[(register ^ value) & 0xFF]
    return register


def crc_a(data: bytes) -> bytes:
    """The two bytes that follow `data` on air, low byte first."""
    return crc16(data).to_bytes(2, "little")


def reversed_bits(value: int) -> int:
    """One byte mirrored, as MSBFirst has it."""
    return int(f"{value:08b}"[::-1], 2)
