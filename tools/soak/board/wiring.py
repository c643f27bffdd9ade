"""What is at the board's pins, as the world on the other side of the line has it, and the time that
passes while the firmware waits.

Where nothing is going on (`line.closely_ns`) a wait is as long as `coarse_ns`, whatever the
firmware asked for: as if the board were busy with something else so long. It ends with the next
thing that is due in the world.
"""

import gc
import os
import struct
from time import gmtime, mktime

import clockwork
import codes
import line
import reader_chip

_MS = 1_000_000

pins = {}  # name of a function here: number
silence = b""
bus = None
flash = None
cause = 1
coarse_ns = 0
radio = True
datagrams = []

connected = False
coil = 0
_dead = False
_feedback_lost = False
_found_ns = 0
_found_us = 0
_pulses = 0
_per_hour = 0
_since_ms = 0
_fed_ns = 0
_bite_ns = 0
_job = None  # what an order leaves to be done once the answer is taken in
_BALLAST = "/ballast"


def begin(job):
    global coarse_ns, cause, silence, connected, radio, _dead, _feedback_lost, _per_hour, _since_ms
    pins.update(job["pins"])
    silence = bytes.fromhex(job["silence"])
    cause = job["cause"]
    coarse_ns = job["coarse_ms"] * _MS
    connected, radio = job["connected"], job["radio"]
    _dead, _feedback_lost, _per_hour = job["reader_dead"], job["feedback_lost"], job["per_hour"]
    _since_ms = clockwork.now_ns // _MS
    rtc.set(job["rtc_s"], bytes.fromhex(job["rtc_memory"]))
    line.obey, line.pulses = _obey, pulses
    line.due_ns = 0


# Pins


def contactor(level=None):
    global coil
    if level is not None and level != coil:
        clockwork.enter()
        _count_up()
        coil = level
        frames = bus.frames if bus else 0
        us = _native_us() - _found_us
        struct.pack_into("<qiii", _found, 0, _found_ns, us, frames, flash.reads)
        line.ask(codes.COIL, level, _found)
        clockwork.leave()
    return coil


_found = bytearray(struct.calcsize("<qiii"))
_native_us = clockwork._native.ticks_us


def contact(level=None):
    return 0 if connected else 1


def feedback(level=None):
    return 0 if _feedback_lost else coil


# The meter, which counts while the coil is driven and the vehicle there


def pulses():
    if not (coil and connected and _per_hour):
        return _pulses
    return _pulses + (clockwork.now_ns // _MS - _since_ms) * _per_hour // 3_600_000


def _count_up():
    global _pulses, _since_ms
    _pulses = pulses()
    _since_ms = clockwork.now_ns // _MS


# The reader


class _Spi(reader_chip.Spi):
    """Whose chip may have lost its supply."""

    def _register(self, register):
        return 0 if _dead else reader_chip.Spi._register(self, register)

    def _start(self):
        if not _dead:
            reader_chip.Spi._start(self)


def spi(hertz):
    global bus
    bus = _Spi(silence, hertz)
    return bus


def _is_found():
    """The card answers for the first time."""
    global _found_ns, _found_us
    bus.on_found = None
    _found_ns = clockwork.now_ns
    _found_us = _native_us()
    bus.frames = 0
    flash.count()


# Watchdog, restart, clock


def bites_after(ms):
    global _bite_ns
    _bite_ns = ms * _MS
    fed()


def fed():
    global _fed_ns
    _fed_ns = clockwork.now_ns


def restart():
    line.ask(codes.RESET)


class _Rtc:
    """Runs as true as the world's own time. It outlives a reset, not the supply."""

    def set(self, s, memory):
        self._s, self._at_ns, self._memory = s, clockwork.now_ns, memory

    def datetime(self, moment=None):
        if moment is None:
            now = self._s + (clockwork.now_ns - self._at_ns) // 1_000_000_000
            year, month, day, hour, minute, second, weekday = gmtime(now)[:7]
            return year, month, day, weekday, hour, minute, second, 0
        year, month, day, _, hour, minute, second, _ = moment
        self.set(mktime((year, month, day, hour, minute, second, 0, 0)), self._memory)
        self._tell()
        return None

    def memory(self, data=None):
        if data is None:
            return self._memory
        self._memory = bytes(data)
        self._tell()
        return None

    def _tell(self):
        now = self._s + (clockwork.now_ns - self._at_ns) // 1_000_000_000
        line.ask(codes.RTC, 0, struct.pack("<q", now) + self._memory)


rtc = _Rtc()


# Time


def waits(ms):
    """The firmware has nothing to do for so long, or less."""
    global _job
    now = clockwork.now_ns
    if _bite_ns and now - _fed_ns > _bite_ns:
        line.ask(codes.BITE)
    if now >= line.due_ns:
        line.ask(codes.TURN)
        while _job is not None:
            job, _job = _job, None
            job[0](*job[1:])
            clockwork.now_ns = now  # the world has done that, not the board
    step = ms * _MS
    if now >= line.closely_ns and step < coarse_ns:
        step = coarse_ns
    left = line.due_ns - now
    clockwork.passes(clockwork.IDLE, max(100_000, min(step, left)))


# Orders


def _obey(what, argument, data):
    global connected, radio, _dead, _feedback_lost, _per_hour, _job
    if what == codes.VEHICLE:
        _count_up()
        connected = bool(argument)
    elif what == codes.CARD:
        bus.there_ns, bus.gone_ns = struct.unpack("<qq", data[:16])
        for at in range(len(bus.card)):
            bus.card[at] = data[16 + at]
        bus.on_found = _is_found
    elif what == codes.POWER:
        _count_up()
        (_per_hour,) = struct.unpack("<i", data)
    elif what == codes.READER:
        _dead = bool(argument)
    elif what == codes.FEEDBACK:
        _feedback_lost = bool(argument)
    elif what == codes.RADIO:
        radio = bool(argument)
    elif what == codes.DATAGRAM:
        datagrams.append((argument, bytes(data)))
    elif what == codes.BALLAST:
        _job = (_fill_flash, argument)
    elif what == codes.MEASURE:
        _job = (_measure,)
    elif what == codes.CUT_AT:
        flash.cut_at(*struct.unpack("<HB", data))


def _fill_flash(leave):
    """Something else lies on the flash, up to `leave` blocks; 0: no more."""
    if not leave:
        os.remove(_BALLAST)
        return
    block = bytes(512)
    with open(_BALLAST, "wb") as file:
        while os.statvfs("/")[3] > leave:
            for _ in range(8):
                file.write(block)


def _measure():
    """What is in use: after a collection, and on the flash."""
    gc.collect()
    used, free = gc.mem_alloc(), gc.mem_free()
    least, most = 0, free
    while most - least > 256:
        middle = (least + most) // 2
        try:
            bytearray(middle)
            least = middle
        except MemoryError:
            most = middle
        gc.collect()
    blocks, unused = os.statvfs("/")[2:4]
    files = 0
    places = ["/"]
    while places:
        place = places.pop()
        for entry in os.ilistdir(place):
            if entry[1] == 0x4000:
                if place == "/" and entry[0] in ("rom", "stand-ins"):
                    continue
                places.append(place + entry[0] + "/")
            else:
                files += 1
    line.ask(codes.MEASURED, 0, struct.pack("<iiiii", used, free, least, blocks - unused, files))
