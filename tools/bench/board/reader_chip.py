"""The reader chip and one card in its field, from answers that the chip model gave beforehand.

It has no radio of its own: what a chip with a card in its field answers to each command was
recorded from the model (tools/bench/frames.py), so that only looking it up takes time here, and
that time is not counted. A record: for each command 24 bytes, the length of what is sent and that
in 11 bytes, the length of the answer and that in 13; all zeros after the last.
"""

import clockwork

FRAME_NS = 40_000  # DESIGN section 11
_COMMAND, _FIFO, _FRAMING, _FIFO_LEVEL, _VERSION = 0x01, 0x09, 0x0D, 0x0A, 0x37
_STATUS = (0x04, 0x06, 0x0A, 0x0C, 0x0E)  # as the driver reads it, and as it was recorded
_START_SEND = 0x80
_FLUSH = 0x80
_SOFT_RESET = 0x0F
_CHIP = 0x92
_SENT_BYTES, _COMMAND_BYTES = 11, 24


class Spi:
    """`machine.SPI` with a chip at its end. `card`: the record of the one in the field.

    It is there from `there_ns` until `gone_ns`. `frames`, `bytes`: counted. `on_found()`: it
    answers a call.
    """

    def __init__(self, silence, hertz):
        self._byte_ns = 8_000_000_000 // hertz
        self._registers = bytearray(64)
        self._registers[_VERSION] = _CHIP
        self._sent = bytearray(64)
        self._size = 0
        self.card = bytearray(6 * _COMMAND_BYTES)
        self._silence = silence
        self._from = silence
        self._first = 0  # where the answer begins in it
        self._length = len(silence)
        self._taken = 0
        self.there_ns = self.gone_ns = 0
        self.on_found = None
        self.frames = self.bytes = 0

    def write(self, out):
        clockwork.enter()
        self._count(len(out))
        register = out[0] >> 1 & 0x3F
        if register == _FIFO:
            self._size = len(out) - 1
            for at in range(self._size):
                self._sent[at] = out[at + 1]
        elif register == _FRAMING and out[1] & _START_SEND:
            self._start()
        elif register == _COMMAND and out[1] == _SOFT_RESET:
            self._registers[_COMMAND] = 0
        elif register != _FIFO_LEVEL:
            self._registers[register] = out[1]
        clockwork.leave()

    def write_readinto(self, out, into):
        clockwork.enter()
        self._count(len(out))
        into[0] = 0
        for at in range(1, len(out)):
            into[at] = self._register(out[at - 1] >> 1 & 0x3F)
        clockwork.leave()

    def _count(self, size):
        self.frames += 1
        self.bytes += size
        clockwork.passes(clockwork.FRAMES, FRAME_NS)
        clockwork.passes(clockwork.BITS, size * self._byte_ns)

    def _register(self, register):
        if register == _FIFO:
            self._taken += 1
            at = self._taken - 1
            return self._from[self._first + at] if at < self._length else 0
        for at in range(5):
            if _STATUS[at] == register:
                if at == 0:
                    self._taken = 5
                return self._from[self._first + at]
        return self._registers[register]

    def _start(self):
        now = clockwork.now_ns
        card = self.card
        self._from = self._silence
        self._first = 0
        self._length = len(self._silence)
        if not self.there_ns <= now < self.gone_ns:
            return
        for at in range(0, len(card), _COMMAND_BYTES):
            if card[at] != self._size:
                continue
            for place in range(self._size):
                if card[at + 1 + place] != self._sent[place]:
                    break
            else:
                self._from = card
                self._first = at + _SENT_BYTES + 1
                self._length = card[at + _SENT_BYTES]
                if at == 0 and self.on_found:
                    self.on_found()
                return
