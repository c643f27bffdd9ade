"""The board's end of the line to the world: tell (one way), ask (one round trip), call (JSON).

Hot paths allocate nothing. Interrupts, timers and questions from the world arrive on a thread of
their own, which hands them to micropython.schedule and wakes whoever sleeps or polls.
"""

import _thread
import json
import os
import select

import micropython
import wire

frame = bytearray(600)  # the packet under construction; deferred chip-select edges wait in it
fill = 2  # bytes of frame in use, its length field included
_write = _readinto = None
_torn = False  # a request was interrupted (Ctrl-C) before its reply was read
_short = bytearray(16)
_unread = bytearray(wire.SPI_CHUNK)

_handlers = [None] * 8  # event kind -> function(number)
_QUEUE = 8  # events that may wait, as many as an ESP32's scheduler takes
_events = bytearray(2 * _QUEUE)
_came = _served = 0  # events put in by the thread, taken out by the program
_served_soon = False
lost = 0  # events that found the queue full, as on the board

_wake_r = _wake_w = None
_wake_sent = False
_sleeper = None


def start(requests: int, replies: int, events: int, wake_r: int, wake_w: int):
    global _write, _readinto, _wake_r, _wake_w, _sleeper
    _write = open(requests, "wb").write
    _readinto = open(replies, "rb").readinto
    _wake_r = open(wake_r, "rb")
    _wake_w = open(wake_w, "wb")
    _sleeper = select.poll()
    _sleeper.register(_wake_r, select.POLLIN)
    _thread.start_new_thread(_listen, (open(events, "rb").readinto,))


# --- requests -------------------------------------------------------------------------------


def tell(packet, size):
    """Send a whole packet of which nobody waits for the outcome."""
    _write(packet, size)


def defer_edge(pin, level):
    """Keep a chip-select edge for the next SPI operation: one packet instead of three."""
    global fill
    if fill > 300:
        flush()
    at = fill
    frame[at] = wire.DRIVE
    frame[at + 1] = pin
    frame[at + 2] = level
    fill = at + 3


def flush():
    global fill
    if fill > 2:
        frame[0] = (fill - 2) & 255
        frame[1] = (fill - 2) >> 8
        _write(frame, fill)
        fill = 2


def spi(out, offset, count, into, fixed):
    """One SPI operation of count bytes: out[offset:] or, if out is None, the byte `fixed` again
    and again. The bytes that come back go into `into`, or nowhere if that is None."""
    global fill, _torn
    if _torn:
        resync()
    f = frame
    at = fill
    f[at] = wire.SPI
    f[at + 1] = count & 255
    f[at + 2] = count >> 8
    at += 3
    if out is None:
        for i in range(at, at + count):
            f[i] = fixed
    elif count <= 12:
        for i in range(offset, offset + count):
            f[at - offset + i] = out[i]
    elif offset:
        f[at : at + count] = out[offset : offset + count]
    elif len(out) == count:
        f[at : at + count] = out
    else:
        f[at : at + count] = out[:count]
    at += count
    f[0] = (at - 2) & 255
    f[1] = (at - 2) >> 8
    fill = 2
    into = into or _unread
    _torn = True
    _write(f, at)
    _readinto(into, count)
    _torn = False


def ask(packet, size, into, count):
    """Send a whole packet and read the count bytes of its answer. Straight on, no jump between:
    a scheduled callback must not come between question and answer."""
    global _torn
    if _torn:
        resync()
    _torn = True
    _write(packet, size)
    _readinto(into, count)
    _torn = False


def call(name, *arguments):
    """A question of the cold path; errors of the world are raised as what they are on the board."""
    global _torn
    flush()
    body = json.dumps((name,) + arguments).encode()
    size = len(body) + 5
    packet = bytearray(2 + size)
    packet[0] = size & 255
    packet[1] = size >> 8
    packet[2] = wire.CALL
    packet[3] = len(body) & 255
    packet[4] = len(body) >> 8
    packet[7:] = body
    if size > 0xFFFF:
        raise ValueError("call too long")
    length = bytearray(4)
    if _torn:
        resync()
    _torn = True
    _write(packet, len(packet))
    _readinto(length, 4)
    answer = bytearray(int.from_bytes(length, "little"))
    _readinto(answer, len(answer))
    _torn = False
    answer = json.loads(answer)
    if answer[0]:
        return answer[1]
    if answer[1] == "OSError":
        raise OSError(*answer[2]) if isinstance(answer[2], list) else OSError(answer[2])
    raise (ValueError if answer[1] == "ValueError" else RuntimeError)(answer[2])


def resync():
    """After an interrupted request: throw away what was still to come."""
    global _torn, fill
    fill = 2
    nonce = os.urandom(8)
    packet = bytes((9, 0, wire.SYNC)) + nonce
    _write(packet, len(packet))
    seen = b""
    one = bytearray(1)
    while seen != nonce:
        _readinto(one, 1)
        seen = (seen + one)[-8:]
    _torn = False


# --- events ---------------------------------------------------------------------------------


def on_event(kind, function):
    _handlers[kind] = function


def _serve(_):
    global _served, _served_soon
    _served_soon = False
    while _served != _came:
        at = 2 * (_served % _QUEUE)
        handler, number = _handlers[_events[at]], _events[at + 1]
        _served += 1
        if handler is not None:
            handler(number)


def _listen(readinto):
    global _wake_sent, _came, _served_soon, lost
    record = bytearray(2)
    while readinto(record, 2) == 2:
        if _came - _served == _QUEUE:
            lost += 1
            continue
        at = 2 * (_came % _QUEUE)
        _events[at] = record[0]
        _events[at + 1] = record[1]
        _came += 1
        if not _served_soon:
            _served_soon = True
            try:
                micropython.schedule(_serve, 0)
            except RuntimeError:  # full of the program's own: the next event brings these along
                _served_soon = False
        if not _wake_sent:
            _wake_sent = True
            _wake_w.write(b"w")
    os.system("kill -9 $PPID")  # the world is gone, and nothing here may outlive it


def is_wake(stream):
    return stream is _wake_r


def register_wake(poller):
    poller.register(_wake_r, select.POLLIN)


def drained():
    """Take the wake mark off; the callbacks it stands for run at the caller's next jump."""
    global _wake_sent
    _readinto_wake()
    _wake_sent = False


def _readinto_wake():
    _wake_r.readinto(_short, 1)


def doze(ms):
    """Sleep up to ms milliseconds; True if an event came before."""
    for _ in _sleeper.ipoll(ms):
        drained()
        return True
    return False
