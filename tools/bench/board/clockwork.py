"""Board time: a clock that only moves as DESIGN section 11 says, with an account of what moved it.

What the interpreter does between two calls of the stand-ins is timed on the computer and counted
`rate` times over. What a stand-in itself takes is not counted. All times are whole nanoseconds of
board time, so that keeping them takes no memory.

How good that is: what a neighbour on this computer takes away is noticed (`quiet`) and left out;
what it throws out of the caches slows the yardstick down as well, as pystone is run in between
(`adjust_in_place`). What C does, a SHA-256 or a collection, is counted as if a board were as much
slower at it as at bytecode. A board's Wi-Fi has a processor of its own and does not appear; nor
does what an ESP32 loses to the cache before its flash. None of it was compared with a board.
"""

import time as _native

FRAMES, BITS, AIR, FLASH, INTERPRETER, IDLE = range(6)
PARTS = ("frames", "bits", "air", "flash", "interpreter", "idle")
PYSTONES_ESP32 = 1_732  # published, see DESIGN section 11

_MS = 1_000_000
_LONG_US = 300  # longer without a call: the computer may have had other things to do meanwhile
_HEAD_START_NS = 100_000 * _MS  # asyncio's queue, in C, now and then takes the computer's ticks

_ticks_us = _native.ticks_us
_since_us = _ticks_us()
_debt_ns = 0
rate = 1_000  # board nanoseconds for a microsecond of interpreter here
overhead_ns = 0  # of a stand-in's call beyond what a call of C costs, in board time

now_ns = _native.ticks_ms() * _MS + _HEAD_START_NS
total = [0] * len(PARTS)

# The account of what happens from `_begin_ns` on, while one is kept.
_begin_ns = None
_begun = False
_begun_turns = _begun_lost = 0
parts = [0] * len(PARTS)

_schedstat = None
_text = bytearray(64)
_turns = 0
_lost = 0  # how often the computer was seen to take the processor away
_pieces_ppm = 0  # pystones in a piece of work, a million times over
_ROUNDS = 60
_AT_ONCE = 200  # pystones of one round
_pystone = None
_IN_PLACE = 8  # pystones, run between the firmware's own work
_SAMPLES = 96
_samples = [0] * _SAMPLES
_taken = 0
in_place_us = 0.0  # of one pystone there, as last known


# Stand-ins


def enter():
    """First of all in a stand-in: the interpreter has worked until now."""
    global _debt_ns, _turns, _lost
    spent_us = _ticks_us() - _since_us
    if spent_us > _LONG_US:
        count = turns()
        if count != _turns:  # not all of it was work, nobody knows how much
            _turns = count
            _lost += 1
            spent_us = 0
    ns = spent_us * rate - overhead_ns - _debt_ns
    if ns < 0:  # a short one, that began and ended within one tick
        _debt_ns = -ns
        return
    _debt_ns = 0
    passes(INTERPRETER, ns)


def leave():
    """Last of all in a stand-in."""
    global _since_us
    _since_us = _ticks_us()


def passes(part, ns):
    """So much board time, spent on one of `PARTS`; within a stand-in."""
    global now_ns, _begun, _begun_turns, _begun_lost
    now_ns += ns
    total[part] += ns
    if _begin_ns is not None and now_ns > _begin_ns:
        if _begun:
            parts[part] += ns
        else:
            _begun = True
            _begun_turns, _begun_lost = turns(), _lost
            parts[part] = now_ns - _begin_ns


def now_ms():
    """`time.ticks_ms` of the board."""
    enter()
    ms = now_ns // _MS
    leave()
    return ms


def now_us():
    enter()
    us = now_ns // 1_000
    leave()
    return us


def sleep_us(us):
    """In the firmware it is the driver that waits like this, for what is on the air."""
    enter()
    passes(AIR, us * 1_000)
    leave()


def sleep_ms(ms):
    enter()
    passes(IDLE, ms * _MS)
    leave()


def sleep(seconds):
    sleep_ms(round(seconds * 1_000))


def time_ns():
    return now_ns


def time():
    return now_ns // 1_000_000_000


# Accounts


def watch(from_ns):
    """Keep an account in `parts` from that moment on, or none."""
    global _begin_ns, _begun
    _begin_ns = from_ns
    _begun = False
    for part in range(len(PARTS)):
        parts[part] = 0


def quiet():
    """Whether this process has had its processor all the time of the account."""
    return _begun and turns() == _begun_turns and _lost == _begun_lost


def seen():
    """Turns so far are no disturbance of what comes."""
    global _turns
    _turns = turns()


# The computer


def open_schedstat():
    """The kernel's count of this thread's turns on a processor, where there is one."""
    global _schedstat
    try:
        _schedstat = open("/proc/thread-self/schedstat", "rb", buffering=0)
    except OSError:
        _schedstat = None


def turns():
    """How many turns on a processor this thread has had. Takes no memory."""
    if _schedstat is None:
        return 0
    _schedstat.seek(0)
    size = _schedstat.readinto(_text)
    count = 0
    for at in range(size - 1):
        byte = _text[at]
        count = 0 if byte == 32 else 10 * count + byte - 48
    return count


def calibrate(pystone):
    """`pystone(count)`: runs so many, and gives the microseconds for all. Sets rate and overhead;
    returns pystones per second, in a loop.

    The overhead: what of a stand-in's call is taken for work of the interpreter, less what a call
    of a function in C costs, which a board has to make as well.
    """
    global _pieces_ppm, overhead_ns, _debt_ns, _pystone
    _pystone = pystone
    took, ratios = [], []
    while len(took) < _ROUNDS:
        before = turns()
        piece_us = _piece_us()
        us = pystone(_AT_ONCE) / _AT_ONCE
        if turns() == before or len(ratios) > 10 * _ROUNDS:
            took.append(us)
            ratios.append(us / piece_us)
    us = sorted(took)[_ROUNDS // 2]
    _pieces_ppm = round(sorted(ratios)[_ROUNDS // 2] * 1_000_000)
    adjust()
    overhead_ns = 0
    stood_in, plain = [], []
    for _ in range(61):
        _debt_ns = 0
        before = total[INTERPRETER]
        leave()
        for _ in range(100):
            _empty(0)
        enter()
        stood_in.append((total[INTERPRETER] - before) // 100)
        began = _ticks_us()
        for _ in range(100):
            abs(0)
        plain.append((_ticks_us() - began) * rate // 100)
    overhead_ns = max(0, sorted(stood_in)[30] - sorted(plain)[30])
    _debt_ns = 0
    return 1_000_000 / us


def count_calls(start_ns, call_ns):
    """The clock starts there, and moves by the same for every call of a stand-in, however long the
    interpreter took before it: what happens is then the same in every run. Returns 0."""
    global now_ns, rate, overhead_ns
    now_ns, rate, overhead_ns = start_ns, 0, -call_ns
    return 0


def _empty(_):
    enter()
    leave()


def adjust():
    """The computer may be faster or slower now than when pystone was measured: a small piece of
    work, whose length in pystones is known, says how much."""
    global rate
    rate = 1_000_000_000_000_000 // (PYSTONES_ESP32 * _pieces_ppm * _piece_us())
    seen()


def adjust_in_place():
    """The same for what is not done in a loop: two pystones now and then, between what the firmware
    does, find the computer's caches as the firmware's own work finds them.
    """
    global rate, _taken, in_place_us
    before = turns()
    us = _pystone(_IN_PLACE)
    if turns() != before:
        return
    _samples[_taken % _SAMPLES] = us
    _taken += 1
    if _taken % (_SAMPLES // 4) == 0 and _taken >= _SAMPLES:
        middle = sorted(_samples)[_SAMPLES // 4 : 3 * _SAMPLES // 4]
        in_place_us = sum(middle) / len(middle) / _IN_PLACE
        rate = round(1_000_000_000 / PYSTONES_ESP32 / in_place_us)


def _piece_us():
    """How long a fixed piece of work takes here now."""
    took = []
    for _ in range(15):
        began = _ticks_us()
        for _ in range(40):
            _piece(3)
        took.append(_ticks_us() - began)
    return sorted(took)[7]


_work = [3, 1, 4, 1, 5, 9, 2, 6]


def _piece(value):
    for place in range(7):
        if _work[place] > _work[place + 1]:
            value += _work[place] << 1
        else:
            value ^= place
    return value
