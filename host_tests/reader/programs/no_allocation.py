"""Under MicroPython: an empty poll takes nothing from the heap, with and without its audit.

The bus is a stand-in that holds 64 registers and lets the timer run out at once.
"""

import asyncio
import gc
import sys

import micropython

sys.path.insert(0, "")

from firmware.cards.mfrc522 import MFRC522
from firmware.cards.reader import Reader

COM_IRQ = 0x04
FIFO_LEVEL = 0x0A
VERSION = 0x37
TIMER_RAN_OUT = 0x45


class Bus:
    def __init__(self):
        self.registers = bytearray(64)
        self.frames = 0

    def cs(self, level):
        if not level:
            self.frames += 1

    def write(self, out):
        register = out[0] >> 1
        if register != COM_IRQ and register != FIFO_LEVEL:
            self.registers[register] = out[len(out) - 1]

    def write_readinto(self, out, into):
        registers = self.registers
        for n in range(len(out) - 1):
            into[n + 1] = registers[(out[n] & 0x7E) >> 1]


def polls(reader, count):
    for _ in range(count):
        reader.poll()


async def turns(reader, bus):
    """What the heap lost and how many frames went by in 400 ms of `run`."""
    task = asyncio.create_task(reader.run())
    await asyncio.sleep_ms(20)
    before = gc.mem_alloc()
    bus.frames = 0
    await asyncio.sleep_ms(400)
    after = gc.mem_alloc()
    task.cancel()
    return after - before, bus.frames


def main():
    bus = Bus()
    bus.registers[VERSION] = 0x92
    bus.registers[COM_IRQ] = TIMER_RAN_OUT
    reader = Reader(MFRC522(bus, bus.cs), print, poll_ms=5)
    while reader.health != "ok":
        reader.poll()
        assert bus.frames < 100000, reader.detail
    bus.frames = 0
    reader.poll()
    assert bus.frames == 7, bus.frames

    gc.collect()
    gc.disable()
    before = gc.mem_alloc()
    polls(reader, 100)
    assert gc.mem_alloc() == before, gc.mem_alloc() - before

    micropython.heap_lock()
    try:
        polls(reader, 100)
        audited = reader._selection.look(True)
    finally:
        micropython.heap_unlock()
    assert reader.health == "ok" and audited == 0 and reader._selection.fault is None

    taken, frames = asyncio.run(turns(reader, bus))
    assert frames >= 7 * 40, frames
    assert taken == 0, taken
    print("nothing allocated")


main()
