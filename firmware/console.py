"""What is typed at the board's console while the firmware runs: `selftest`, `stop` to end it, and
`about` for an installer.
Loaded when something was typed, and given back when the line is over.

Everything else is left unanswered: noise on the wire, and programs that look for a prompt. Ctrl-C
is no business of this file: it stops the firmware.
"""

import json
import sys

from micropython import const

_LINE_MOST = const(16)
_AT_ONCE = const(32)  # characters in one look: whoever sends more takes nobody's time away
_ENDS = const(b"\r\n")

_line = b""


def hear(point, typed) -> None:
    """Take what there is, without waiting. `typed`: the poll that said that there is something."""
    global _line
    for _ in range(_AT_ONCE):
        for _ in typed.ipoll(0):
            break
        else:
            return
        one = sys.stdin.buffer.read(1)
        if one and one not in _ENDS:
            _line = (_line + one)[:_LINE_MOST]
            continue
        line, _line = _line, b""
        _forget()
        if not one:  # nobody can ever type anything here
            typed.unregister(sys.stdin)
        elif line == b"selftest":
            why = point.happened(("selftest", True))
            if why:
                print('{"selftest": "declined", "why": %s}' % json.dumps(why))
        elif line == b"stop" and point.tester is not None:
            point.happened(("stop", None))
        elif line == b"about":
            _tell_about(point)
        if line or not one:
            return


def _tell_about(point):
    try:
        from firmware.about import tell

        tell(point)
    except (MemoryError, OSError):
        pass  # whoever typed it types it again


def _forget():
    if sys.modules.pop("firmware.console", None):  # not for the second of two line ends
        delattr(sys.modules["firmware"], "console")
