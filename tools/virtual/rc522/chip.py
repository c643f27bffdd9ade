"""The MFRC522 as its pins show it: SPI, NRSTPD, IRQ, supply; and the ways in which it fails.

SPI framing after data sheet 8.1.2: the first byte of a frame is an address, bit 7 set to read. A
write sends every further byte to that register. A read is pipelined: each byte out is the next
address, each byte in is the content of the register that was addressed one byte before.
"""

import random
from collections.abc import Callable

from tools.virtual.rc522 import registers as reg
from tools.virtual.rc522.core import START_UP_NS, Core
from tools.virtual.rc522.field import Field

FAULTS = ("none", "deaf", "dead", "noise", "brownout", "stuck", "unplugged")


class Chip:
    """An MFRC522 of `version` in front of `field`, powered and ready.

    It lives on `now_ns` (nanoseconds) and is brought up to date at each access; nothing sleeps.
    """

    def __init__(
        self,
        now_ns: Callable[[], int],
        field: Field,
        version: int = 0x92,
        rng: random.Random | None = None,
    ):
        self._now_ns = now_ns
        self._core = Core(field, version, rng or random.Random(), now_ns())
        self._powered = True
        self._reset_level = 1
        self._selected = False
        self._address: int | None = None
        self._reading = False
        self._fault = "none"
        self.dead_level = 0x00
        self.frames = 0
        field.attach(self)

    # SPI

    def select(self) -> None:
        """NSS falls: a frame begins."""
        self.frames += 1
        self._selected = True
        self._address = None

    def exchange(self, out: bytes) -> bytes:
        """Clock `out` in while the chip shifts the same number of bytes out."""
        core = self._core
        self.settle(self._now_ns())
        if (
            not self._selected
            or not self._powered
            or not self._reset_level
            or self._fault == "dead"
        ):
            level = self.dead_level if self._fault in ("dead", "unplugged") else 0
            return bytes((level,)) * len(out)
        answer = bytearray(len(out))
        for n, value in enumerate(out):
            if self._address is None:
                self._reading = value >= 0x80
                self._address = value >> 1 & 0x3F
            elif self._reading:
                answer[n] = core.read(self._address)
                self._address = value >> 1 & 0x3F
            else:
                core.write(self._address, value)
        return bytes(answer)

    def deselect(self) -> None:
        """NSS rises: the frame ends; an address that nothing followed is forgotten."""
        self._selected = False

    # Other pins

    @property
    def irq(self) -> int:
        """Level of the IRQ pin, pulled up where the chip leaves it floating (9.3.1.3, 9.3.1.4)."""
        self.settle(self._now_ns())
        inverted = self._core.r[reg.COM_IEN] >= reg.IRQ_INV
        return int(self._core.interrupt != inverted)

    def reset_pin(self, level: int) -> None:
        """NRSTPD: low is hard power-down, the rising edge a reset (8.6.1, 8.8.1)."""
        now = self._now_ns()
        self.settle(now)
        if level == self._reset_level:
            return
        self._reset_level = 1 if level else 0
        self._restart(now)

    def power(self, on: bool) -> None:
        """The supply; without it the internal buffer is lost too."""
        now = self._now_ns()
        self.settle(now)
        on = on and self._fault != "unplugged"
        if on == self._powered:
            return
        self._powered = on
        if not on:
            self._core.buffer = bytes(len(self._core.buffer))
        self._restart(now)

    def _restart(self, now_ns: int) -> None:
        if self._powered and self._reset_level:
            self._core.reset(now_ns, START_UP_NS)
            if self._fault == "stuck":
                self._fault = "none"
        else:
            self._core.hold(now_ns)

    # Time

    def settle(self, now_ns: int) -> None:
        """Catch up with everything until `now_ns`."""
        self._core.settle(now_ns)

    def air_changed(self) -> None:
        """An answer in flight was cut short."""
        self._core.receiver.air_changed()

    @property
    def next_event_ns(self) -> int | None:
        """When something next happens inside (and the IRQ pin may change), if nobody writes."""
        return self._core.next_event_ns

    # Faults

    @property
    def fault(self) -> str:
        """What is wrong with the chip: one of `FAULTS`."""
        if self._fault == "stuck" and not self._core.wedged:
            self._fault = "none"  # a reset has freed it
        return self._fault

    @fault.setter
    def fault(self, fault: str) -> None:
        if fault not in FAULTS:
            raise ValueError(f"fault {fault!r}, allowed {', '.join(FAULTS)}")
        now = self._now_ns()
        self.settle(now)
        core = self._core
        if fault == "brownout":
            core.reset(now)
            fault = "none"
        core.deaf = fault == "deaf"
        core.noise = fault == "noise"
        core.wedged = fault == "stuck"
        plugged_in_again = self._fault == "unplugged" != fault
        self._fault = fault
        if fault == "unplugged" or plugged_in_again:
            self.power(plugged_in_again)
