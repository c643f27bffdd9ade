"""The line to whoever moves the world (tools/soak/line.py): a question, its answer, and the board's
clock stands still meanwhile. Nothing here takes memory but what a UDP answer needs.
"""

import struct

import clockwork
from codes import ANSWER, ORDER, QUESTION

flags = 0
due_ns = 0
closely_ns = 0  # until then time passes as the firmware's own waiting lets it
obey = None  # (what, argument, data): called for each order
pulses = None  # (): the meter's

_ask = _hear = None
_question = bytearray(struct.calcsize(QUESTION))
_answer = bytearray(struct.calcsize(ANSWER))
_order = bytearray(struct.calcsize(ORDER))
_data = bytearray(256)
_view = memoryview(_data)


def open_line(ask, hear):
    """Named pipes: the one that questions go to, and the one that answers come from."""
    global _ask, _hear
    _ask = open(ask, "wb", buffering=0)
    _hear = open(hear, "rb", buffering=0)


def ask(what, argument=0, data=None, into=None):
    """The number of the answer. `into`: where so many bytes behind it belong."""
    global flags, due_ns, closely_ns
    size = len(data) if data is not None else 0
    struct.pack_into(QUESTION, _question, 0, what, 0, size, argument, clockwork.now_ns, pulses())
    _ask.write(_question)
    if size:
        _ask.write(data)
    _fill(memoryview(_answer))
    number, flags, orders, _, due_ns, closely_ms = struct.unpack(ANSWER, _answer)
    until_ns = clockwork.now_ns + closely_ms * 1_000_000
    if until_ns > closely_ns:
        closely_ns = until_ns
    if into is not None and number > 0:
        _fill(into[:number])
    for _ in range(orders):
        _fill(memoryview(_order))
        what, argument, size = struct.unpack(ORDER, _order)
        _fill(_view[:size])
        obey(what, argument, _view[:size])
    return number


def _fill(view):
    """Pipes hand over what they have."""
    while len(view):
        count = _hear.readinto(view)
        if not count:
            raise SystemExit  # nobody is there any more
        view = view[count:]
