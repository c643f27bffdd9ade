"""CRYPTO1, the stream cipher of MIFARE Classic, and the 16-bit generator of its nonces.

From the published analysis (Garcia et al., "Dismantling MIFARE Classic", ESORICS 2008). The
cipher is a 48-bit shift register; a filter of twenty of its bits gives the key stream. Register
bit 0 is the one that is shifted out next. Bytes are fed and given least significant bit first.
"""

from tools.virtual.rc522.air import Frame, parity

_FEEDBACK = sum(
    1 << n for n in (0, 5, 9, 10, 12, 14, 15, 17, 19, 24, 25, 27, 29, 35, 39, 41, 42, 43)
)


def _fa(a: int, b: int, c: int, d: int) -> int:
    return ((a | b) ^ (a & d)) ^ (c & ((a ^ b) | d))


def _fb(a: int, b: int, c: int, d: int) -> int:
    return ((a & b) | c) ^ ((a ^ b) & (c | d))


def _fc(a: int, b: int, c: int, d: int, e: int) -> int:
    return (a | ((b | e) & (d ^ e))) ^ ((a ^ (b & d)) & ((c ^ d) | (b & e)))


def _of_even_bits(function, byte: int) -> int:
    return function(byte & 1, byte >> 2 & 1, byte >> 4 & 1, byte >> 6 & 1)


# The filter sees register bits 9, 11, ... 47: taken sixteen at a time through tables.
_A = [_of_even_bits(_fa, byte) for byte in range(256)]
_B = [_of_even_bits(_fb, byte) for byte in range(256)]
_BITS_9 = bytes(low | high << 1 for high in _B for low in _A)
_BITS_25 = bytes(low << 2 | high << 3 for high in _A for low in _B)
_BITS_41 = bytes(value << 4 for value in _B[:128])
_FC = bytes(_fc(n & 1, n >> 1 & 1, n >> 2 & 1, n >> 3 & 1, n >> 4) for n in range(32))


class Crypto1:
    """One side's cipher after `key` (6 bytes) is loaded."""

    __slots__ = ("state",)

    def __init__(self, key: bytes):
        self.state = int.from_bytes(key, "little")

    def peek(self) -> int:
        """The next key-stream bit; parity bits are hidden under it without advancing."""
        state = self.state
        return _FC[
            _BITS_9[state >> 9 & 0xFFFF] | _BITS_25[state >> 25 & 0xFFFF] | _BITS_41[state >> 41]
        ]

    def stream(self, feed: int = 0, length: int = 8, encrypted: bool = False) -> int:
        """Advance `length` bits, feeding `feed` in, and return the key stream.

        `encrypted`: what is fed is cipher text and is to be fed as the plain text that it hides.
        """
        state = self.state
        out = 0
        mask = -1 if encrypted else 0
        for n in range(length):
            bit = _FC[
                _BITS_9[state >> 9 & 0xFFFF]
                | _BITS_25[state >> 25 & 0xFFFF]
                | _BITS_41[state >> 41]
            ]
            out |= bit << n
            fed = ((state & _FEEDBACK).bit_count() ^ (feed >> n) ^ (bit & mask)) & 1
            state = state >> 1 | fed << 47
        self.state = state
        return out

    def encrypt(self, data: bytes, feed: bool = False) -> Frame:
        """`data` as a frame, parity bits hidden too; `feed` it into the register as well."""
        bits = position = 0
        for value in data:
            hidden = value ^ self.stream(value if feed else 0)
            bits |= (hidden | (parity(value) ^ self.peek()) << 8) << position
            position += 9
        return Frame(bits, position)

    def decrypt(self, frame: Frame, feed: bool = False) -> tuple[bytes, bool]:
        """Whole bytes of `frame`, and whether every parity bit held."""
        bits, length = frame
        data = bytearray()
        intact = True
        for position in range(0, length - 8, 9):
            group = bits >> position & 0x1FF
            value = group & 0xFF
            value ^= self.stream(value if feed else 0, encrypted=feed)
            data.append(value)
            intact &= (group >> 8) ^ self.peek() == parity(value)
        return bytes(data), intact


def successor(nonce: bytes, steps: int) -> bytes:
    """The nonce generator `steps` bits on: suc of the literature, x16 + x14 + x13 + x11 + 1."""
    state = _mirrored(nonce)
    for _ in range(steps):
        fed = (state >> 16 ^ state >> 18 ^ state >> 19 ^ state >> 21) & 1
        state = state >> 1 | fed << 31
    return _mirrored_back(state)


def _mirrored(nonce: bytes) -> int:
    """The bits in the order in which they go on air, first in bit 0."""
    return int.from_bytes(nonce, "little")


def _mirrored_back(state: int) -> bytes:
    return state.to_bytes(4, "little")


NONCE_PERIOD = 0xFFFF


def nonce_after(seed: int, steps: int) -> bytes:
    """What the free-running generator stands at `steps` etu after it started from `seed` (16 bits).

    Jumps by computing x**steps modulo its polynomial: cards stay in the field for hours.
    """
    polynomial = 0x1002D  # x16 = x0 + x2 + x3 + x5, the recurrence of `successor`
    power = 1
    for bit in f"{steps % NONCE_PERIOD:b}":
        power = _times(power, power, polynomial)
        if bit == "1":
            power = _times(power, 2, polynomial)
    window = seed & 0xFFFF
    for n in range(16, 47):
        fed = (window >> n - 16 ^ window >> n - 14 ^ window >> n - 13 ^ window >> n - 11) & 1
        window |= fed << n
    out = 0
    for n in range(32):
        out |= ((window >> n & power).bit_count() & 1) << n
    return _mirrored_back(out)


def _times(a: int, b: int, polynomial: int) -> int:
    product = 0
    while b:
        if b & 1:
            product ^= a
        b >>= 1
        a <<= 1
        if a & 0x10000:
            a ^= polynomial
    return product
