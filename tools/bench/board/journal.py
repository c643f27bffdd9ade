"""Nobody to send to: how many sessions the journal keeps beside what is on the flash.

Prints JSON lines.
"""

import gc
import json
import os

import clockwork

_MS = 1_000_000
_T = 1_800_000_000
_TOKEN = "0123456789abcd"
_AT_ONCE = 5  # sessions between two looks
_HOUR_MS = 3_600_000
_ROUND_MS = 50


def prepare(job):
    """Nothing of the computer's is needed."""


class _Run:
    def __init__(self):
        from firmware.app import Journal

        self.journal = Journal("journal")
        self.load_ms = None
        self._now_ms = 0

    def load(self, chip):
        chip.count()
        gc.collect()
        began = clockwork.now_us()
        assert self.journal.load() is None
        return {"ms": (clockwork.now_us() - began) / 1_000, "reads": chip.reads}

    def session(self, number):
        """A card refused, and an hour's charging."""
        add = self.journal.add
        t = _T + 7_200 * number
        add("card_refused", {"token": _TOKEN, "verdict": "Unknown"}, t, number)
        holder = {"token": _TOKEN, "role": "user", "by": "card"}
        n = add("session_started", dict(holder, group=7), t, number)
        ended = dict(holder, session=n, start=t, end=t + 3_600, wh=11_000, reason="card")
        add("session_ended", ended, t + 3_600, number)
        self._now_ms += _HOUR_MS
        if number % _AT_ONCE == _AT_ONCE - 1:
            for _ in range(3):
                self._now_ms += _ROUND_MS
                self.journal.flush(self._now_ms)


def run(job, chip, speed):
    try:
        os.mkdir("journal")
    except OSError:
        pass
    before = os.statvfs("/")[3]
    line = _Run()
    line.load(chip)
    number = 0
    while number < job["most"] and not line.journal.lost_sessions:
        line.session(number)
        number += 1
        if number == job["wanted"]:
            found = {"at": number, "full": line.journal.full}
            found["blocks"] = before - os.statvfs("/")[3]
            found["load"] = _Run().load(chip)
            print(json.dumps(found))
    print(json.dumps({"kept": number - _AT_ONCE if line.journal.lost_sessions else number}))
