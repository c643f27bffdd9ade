"""`neopixel` for WS2812 lamps."""

import claims as _claims
from machine import bitstream


class NeoPixel:
    ORDER = (1, 0, 2, 3)  # green first, then red, blue, white: how the lamps want it

    def __init__(self, pin, n, bpp=3, timing=1):
        self.pin = pin
        self.n = n
        self.bpp = bpp
        self.buf = bytearray(n * bpp)
        if isinstance(timing, int):
            timing = (400, 850, 800, 450) if timing else (800, 1700, 1600, 900)
        self.timing = timing
        pin.init(pin.OUT)
        _claims.claim(pin._n, "NeoPixel")

    def __len__(self):
        return self.n

    def __setitem__(self, i, v):
        offset = i * self.bpp
        for at in range(self.bpp):
            self.buf[offset + self.ORDER[at]] = v[at]

    def __getitem__(self, i):
        offset = i * self.bpp
        return tuple(self.buf[offset + self.ORDER[at]] for at in range(self.bpp))

    def fill(self, v):
        for i in range(self.n):
            self[i] = v

    def write(self):
        bitstream(self.pin, 0, self.timing, self.buf)
