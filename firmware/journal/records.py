"""One event as the flash keeps it: a few bytes with a CRC-32 of their own.

    kind u8 · n u32 · boot u16, its low half · up u32 · t u32 · what the kind says · CRC-32 of
    everything before                                                             all big-endian

    kind, bits 0-2   0 JSON: length u16, of the text alone · the fields, and "event"
                     1 the same, of a session
                     2 session_started: token 7 · who u8 · group u16
                     3 session_ended: token 7 · who u8 · n less that of the start u16 · wh u32
                       · start: seconds before t u24, or where t is not exact, the time u32
                     4 the first record of a segment; up is the whole of boot
    bits 3-4         what t is: 0 nothing · 1 the time · 2 a time that was certainly past
    bit 5            end u32 comes behind it: it is not t
    bit 6            last_boot u32 · last_up u32 come behind that
    bit 7            there is a token
    who              bits 0-1 role · bits 2-3 by · bits 4-7 reason

10,000 sessions are to fit beside a large list. What does not fit into these bytes, whatever it is,
is kept as JSON.
"""

import binascii
import json
import struct

from micropython import const

MOST_BYTES = const(400)  # of one record
_HEADER = const(">BIHII")
_HEADER_BYTES = const(15)
_CRC_BYTES = const(4)
_TEXT = const(17)  # where the JSON begins, always with
_BRACE = const(0x7B)
_TOKEN_BYTES = const(7)
_LATE = const(0xFFFFFF)  # no start

_JSON = const(0)
_SESSION_JSON = const(1)
_START = const(2)
_END = const(3)
_FIRST = const(4)
_KIND = const(7)
_EXACT = const(1 << 3)
_BOUND = const(2 << 3)
_TIME = const(3 << 3)
_OTHER_END = const(1 << 5)
_LAST = const(1 << 6)
_TOKEN = const(1 << 7)

STARTED = "session_started"
ENDED = "session_ended"

# Their places are on the flash: what is new goes behind.
_ROLES = (None, "owner", "user", "service")
_BY = ("card", "operator", "remote", "open")
_REASONS = (
    "card",
    "group",
    "owner",
    "service",
    "unplugged",
    "withdrawn",
    "unavailable",
    "remote",
    "power_loss",
    "operator",
    "fault",
)
_ENDED_FIELDS = const(8)
_SHORT = const(24)  # characters that are left of a text where the whole does not fit


def encode(n: int, boot: int, event: str, fields: dict, t, up: int, t_min=None) -> bytes:
    """The record of one event. Texts in it are cut where it would get too long."""
    when = time = 0
    if t is not None:
        when, time = _EXACT, t
    elif t_min is not None:
        when, time = _BOUND, t_min
    kind, body = _JSON, None
    if event == STARTED:
        kind, body = _start(fields)
    elif event == ENDED:
        kind, body = _end(fields, n, t)
    if body is None:
        body = _json(event, fields)
    return _sealed(kind | when, n, boot, up, time, body)


def first(n: int, boot: int) -> bytes:
    """The record that a segment begins with."""
    return _sealed(_FIRST, n, boot, boot, 0, b"")


def size_at(data, at: int, end: int) -> int:
    """The length of the good record that begins at `at`; 0 where there is none, and -1 where it
    may go on behind `end`."""
    left = end - at
    if left < 1:
        return -1
    kind = data[at]
    what = kind & _KIND
    size = _HEADER_BYTES + _CRC_BYTES
    if what <= _SESSION_JSON:
        if left < _TEXT:
            return -1
        size += 2 + (data[at + 15] << 8 | data[at + 16])
        if size > MOST_BYTES or (left > _TEXT and data[at + _TEXT] != _BRACE):
            return 0
    elif what <= _END:
        size += 3 if what == _START else 10
        if kind & _TOKEN:
            size += _TOKEN_BYTES
        if what == _END and kind & _TIME != _EXACT:
            size += 1
        if kind & _OTHER_END:
            size += 4
        if kind & _LAST:
            size += 8
    elif what != _FIRST:
        return 0
    if size > left:
        return -1
    stop = at + size - _CRC_BYTES
    return size if binascii.crc32(data[at:stop]) == _u32(data, stop) else 0


def number(data, at: int = 0) -> int:
    """The `n` of a record."""
    return _u32(data, at + 1)


def is_session(data) -> bool:
    """Whether a record belongs to the sessions, which are given up last."""
    return _SESSION_JSON <= data[0] & _KIND <= _END


def base_boot(data, at: int = 0) -> int | None:
    """The whole `boot` that a segment's first record holds; None for any other record."""
    return _u32(data, at + 7) if data[at] & _KIND == _FIRST else None


def boot_since(base: int, data) -> int:
    """The `boot` of a record that was written in the start `base` or after it."""
    return base + ((_u16(data, 5) - base) & 0xFFFF)


def boot_until(newest: int, data) -> int:
    """The `boot` of a record that was written in the start `newest` or before it."""
    return newest - ((newest - _u16(data, 5)) & 0xFFFF)


def decode(data, boot: int) -> dict:
    """The event as it goes out. `data`: one good record, `boot`: the whole number of its start.
    Raises ValueError where the bytes mean nothing, for all that their CRC is right."""
    kind, n, _, up, time = struct.unpack_from(_HEADER, data)
    when = kind & _TIME
    t = time if when == _EXACT else None
    body = {"n": n, "boot": boot, "t": t, "up": up}
    if when == _BOUND:
        body["t_min"] = time
    what = kind & _KIND
    try:
        if what <= _SESSION_JSON:
            body.update(json.loads(bytes(data[_TEXT : _TEXT + _u16(data, _HEADER_BYTES)])))
        elif what <= _END:
            _put_session(body, data, kind, n, t)
        if type(body["event"]) is not str:
            raise ValueError("event")
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise ValueError(f"record {n}: {error}") from None
    return body


def pack_who(role, by) -> int | None:
    """Holder's role and way as one byte, or None where there is no number for them."""
    if role not in _ROLES or by not in _BY:
        return None
    return _ROLES.index(role) | _BY.index(by) << 2


def unpack_who(who: int) -> tuple:
    """(role, by)"""
    return _ROLES[who & 3], _BY[who >> 2 & 3]


def token_bytes(token) -> bytes | None:
    """The 7 bytes of a token in hex; None for anything else."""
    if type(token) is not str or len(token) != 2 * _TOKEN_BYTES:
        return None
    try:
        found = binascii.unhexlify(token)
    except ValueError:
        return None
    return found if _hex(found) == token else None


def _start(fields):
    kind, body = _holder(_START, fields, 0)
    group = fields.get("group")
    if body is None or len(fields) != 4 or not _fits(group, 0xFFFF):
        return _SESSION_JSON, None
    return kind, body + struct.pack(">H", group)


def _end(fields, n, t):
    reason, session, wh = fields.get("reason"), fields.get("session"), fields.get("wh")
    start, end = fields.get("start"), fields.get("end")
    known = _ENDED_FIELDS
    kind, body = _SESSION_JSON, None
    if reason in _REASONS:
        kind, body = _holder(_END, fields, _REASONS.index(reason) << 4)
    fits = _fits(session) and 0 <= n - session <= 0xFFFF and _fits(wh)
    if t is None:
        began = 0 if start is None else start
        fits = fits and _fits(began) and (start is None) == (began == 0)
    else:
        began = _LATE if start is None else t - start
        fits = fits and _fits(began, _LATE) and (start is None) == (began == _LATE)
    if body is None or not fits:
        return _SESSION_JSON, None
    body += struct.pack(">HI", n - session, wh) + struct.pack(">I", began)[0 if t is None else 1 :]
    if end != t:
        kind |= _OTHER_END
        if end is not None and (not _fits(end) or not end):
            return _SESSION_JSON, None
        body += struct.pack(">I", end or 0)
    if "last_boot" in fields:
        kind |= _LAST
        known += 2
        last_boot, last_up = fields["last_boot"], fields.get("last_up")
        if not _fits(last_boot) or not _fits(last_up):
            return _SESSION_JSON, None
        body += struct.pack(">II", last_boot, last_up)
    return (kind, body) if len(fields) == known else (_SESSION_JSON, None)


def _holder(kind, fields, reason):
    """Token and who; None where there are no bytes for them."""
    token = fields.get("token")
    who = pack_who(fields.get("role"), fields.get("by"))
    raw = b"" if token is None else token_bytes(token)
    if who is None or raw is None:
        return kind, None
    return kind | (_TOKEN if raw else 0), raw + bytes([who | reason])


def _put_session(body, data, kind, n, t):
    at = _HEADER_BYTES
    body["token"] = None
    if kind & _TOKEN:
        body["token"] = _hex(data[at : at + _TOKEN_BYTES])
        at += _TOKEN_BYTES
    who = data[at]
    body["role"], body["by"] = unpack_who(who)
    if kind & _KIND == _START:
        body["event"] = STARTED
        body["group"] = _u16(data, at + 1)
        return
    body["event"] = ENDED
    body["reason"] = _REASONS[who >> 4]
    body["session"] = n - _u16(data, at + 1)
    body["wh"] = _u32(data, at + 3)
    at += 7
    if t is None:
        body["start"] = _u32(data, at) or None
        at += 4
    else:
        began = data[at] << 16 | _u16(data, at + 1)
        body["start"] = None if began == _LATE else t - began
        at += 3
    body["end"] = t
    if kind & _OTHER_END:
        body["end"] = _u32(data, at) or None
        at += 4
    if kind & _LAST:
        body["last_boot"], body["last_up"] = _u32(data, at), _u32(data, at + 4)


def _json(event, fields):
    most = MOST_BYTES - _TEXT - _CRC_BYTES
    body = {"event": event}
    body.update(fields)
    text = json.dumps(body).encode()
    if len(text) > most:
        for name, value in fields.items():
            if type(value) is str:
                body[name] = value[:_SHORT]
            elif type(value) in (list, tuple, dict):
                body[name] = None
        text = json.dumps(body).encode()
    if len(text) > most:
        text = json.dumps({"event": event[:_SHORT]}).encode()
    return struct.pack(">H", len(text)) + text


def _sealed(kind, n, boot, up, time, body):
    data = struct.pack(_HEADER, kind, n, boot & 0xFFFF, up, time) + body
    return data + struct.pack(">I", binascii.crc32(data))


def _fits(value, most: int = 0xFFFFFFFF) -> bool:
    return type(value) is int and 0 <= value <= most


def _u16(data, at):
    return data[at] << 8 | data[at + 1]


def _u32(data, at):
    return struct.unpack_from(">I", data, at)[0]


def _hex(data):
    return binascii.hexlify(data).decode()
