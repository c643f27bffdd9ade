"""Weekly schedules: at which minutes of the local week a permission counts.

Kept packed, as many small lists would cost a board ten times the memory.
"""

import binascii

from micropython import const

_WEEK_MIN = const(10_080)
_WINDOW_BYTES = const(4)
_WINDOWS_MOST = const(256)  # of all schedules together
_CHANGE_BYTES = const(6)  # u32 minute, u16 offset + _OFFSET_LIMIT
_CHANGES_MOST = const(64)
_OFFSET_LIMIT = const(1_440)
_MINUTE_MOST = const(0x3FFF_FFFF)


class Week:
    """`schedules`: {"1".."31": hex of windows, u16 first and u16 end minute since Monday 00:00}.
    `offsets`: [[minute, offset_min], ...], from which minute on local time is UTC + offset, all
    minutes since 2024-01-01 UTC. `until`: from when on nobody knows the offset.

    Raises ValueError that begins with the path of what is not allowed.
    """

    def __init__(self, schedules, offsets, until):
        self._windows = _windows(schedules)
        self._changes = _changes(offsets)
        if not _whole(until, 0, _MINUTE_MOST):
            raise ValueError(f"offsets_until: found {until!r}, allowed a whole number from 0")
        self._until = until

    def holds(self, schedule: int, now_min: int) -> bool | None:
        """Whether `now_min` lies in that schedule; None, which is no yes, where nobody knows: there
        is no such schedule here, or the local time is not known then."""
        windows = self._windows.get(schedule)
        offset = self._offset(now_min)
        if windows is None or offset is None:
            return None
        # 2024-01-01 was a Monday.
        minute = (now_min + offset) % _WEEK_MIN
        for at in range(0, len(windows), _WINDOW_BYTES):
            if _u16(windows, at) <= minute < _u16(windows, at + 2):
                return True
        return False

    def _offset(self, now_min):
        changes = self._changes
        at = len(changes) if now_min < self._until else 0
        while at:
            at -= _CHANGE_BYTES
            if now_min >= int.from_bytes(changes[at : at + 4], "big"):
                return _u16(changes, at + 4) - _OFFSET_LIMIT
        return None


def _windows(schedules):
    if type(schedules) is not dict:
        raise ValueError(f"schedules: found {schedules!r}, allowed an object")
    numbers = [str(number) for number in range(1, 32)]
    windows = {}
    left = _WINDOWS_MOST
    for name, digits in schedules.items():
        if name not in numbers:
            raise ValueError(f"schedules.{name}: allowed are 1 to 31")
        try:
            packed = binascii.unhexlify(digits)
        except (TypeError, ValueError):
            packed = b"\0"
        if type(digits) is not str or len(packed) % _WINDOW_BYTES:
            raise ValueError(f"schedules.{name}: found {digits!r}, allowed hex digits, 8 a window")
        left -= len(packed) // _WINDOW_BYTES
        if left < 0:
            raise ValueError(f"schedules.{name}: more than {_WINDOWS_MOST} windows in all")
        least = 0
        for at in range(0, len(packed), _WINDOW_BYTES):
            first, end = _u16(packed, at), _u16(packed, at + 2)
            if not least <= first < end <= _WEEK_MIN:
                raise ValueError(
                    f"schedules.{name}: found {first} to {end}, allowed ascending windows"
                    f" that do not touch, up to {_WEEK_MIN}"
                )
            least = end + 1
        windows[int(name)] = packed
    return windows


def _changes(offsets):
    if type(offsets) is not list or len(offsets) > _CHANGES_MOST:
        raise ValueError(f"offsets: allowed a list of up to {_CHANGES_MOST}")
    changes = bytearray()
    least = 0
    for i, change in enumerate(offsets):
        if (
            type(change) is not list
            or len(change) != 2
            or not _whole(change[0], least, _MINUTE_MOST)
            or not _whole(change[1], 1 - _OFFSET_LIMIT, _OFFSET_LIMIT - 1)
        ):
            raise ValueError(
                f"offsets.{i}: found {change!r}, allowed [minute, offset], ascending, within a day"
            )
        least = change[0] + 1
        changes += change[0].to_bytes(4, "big")
        changes += (change[1] + _OFFSET_LIMIT).to_bytes(2, "big")
    return bytes(changes)


def _whole(found, least, most):
    return type(found) is int and least <= found <= most


def _u16(data, at):
    return data[at] << 8 | data[at + 1]
