"""MIFARE Classic access conditions: three bits for each of four groups (MF1S50yyX, 8.7)."""

A, B, BOTH, NEVER = "A", "B", "AB", ""

# C1 C2 C3 -> who may read, write, increment, and decrement/transfer/restore (table 8)
DATA = {
    0b000: (BOTH, BOTH, BOTH, BOTH),
    0b010: (BOTH, NEVER, NEVER, NEVER),
    0b100: (BOTH, B, NEVER, NEVER),
    0b110: (BOTH, B, B, BOTH),
    0b001: (BOTH, NEVER, NEVER, BOTH),
    0b011: (B, B, NEVER, NEVER),
    0b101: (B, NEVER, NEVER, NEVER),
    0b111: (NEVER, NEVER, NEVER, NEVER),
}
READ, WRITE, INCREMENT, DECREMENT = range(4)

# C1 C2 C3 -> write key A, read access bits, write access bits, read key B, write key B (table 7).
# Key A can never be read.
TRAILER = {
    0b000: (A, A, NEVER, A, A),
    0b010: (NEVER, A, NEVER, A, NEVER),
    0b100: (B, BOTH, NEVER, NEVER, B),
    0b110: (NEVER, BOTH, NEVER, NEVER, NEVER),
    0b001: (A, A, A, A, A),
    0b011: (B, BOTH, B, NEVER, B),
    0b101: (NEVER, BOTH, B, NEVER, NEVER),
    0b111: (NEVER, BOTH, NEVER, NEVER, NEVER),
}
KEY_A_WRITE, BITS_READ, BITS_WRITE, KEY_B_READ, KEY_B_WRITE = range(5)

TRANSPORT = bytes.fromhex("ff0780")


def conditions(stored: bytes) -> list[int] | None:
    """C1 C2 C3 of groups 0 to 3 from trailer bytes 6 to 8; None if the inverted copy disagrees."""
    b6, b7, b8 = stored
    c1, c2, c3 = b7 >> 4, b8 & 0xF, b8 >> 4
    if b6 & 0xF != c1 ^ 0xF or b6 >> 4 != c2 ^ 0xF or b7 & 0xF != c3 ^ 0xF:
        return None
    return [(c1 >> n & 1) << 2 | (c2 >> n & 1) << 1 | (c3 >> n & 1) for n in range(4)]


def encode(groups: list[int]) -> bytes:
    """The three bytes for C1 C2 C3 of groups 0 to 3."""
    c1 = sum((group >> 2 & 1) << n for n, group in enumerate(groups))
    c2 = sum((group >> 1 & 1) << n for n, group in enumerate(groups))
    c3 = sum((group & 1) << n for n, group in enumerate(groups))
    return bytes([(c2 ^ 0xF) << 4 | c1 ^ 0xF, c1 << 4 | c3 ^ 0xF, c3 << 4 | c2])
